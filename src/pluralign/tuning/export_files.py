"""What an exported model's folder holds beside its weights: configurations, tokenizer, and a record that it is an export."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pluralign.errors import ModelError, RunError
from pluralign.files import read_json
from pluralign.models import open_template
from pluralign.models.turns import Turns, control_tokens, find_bos, find_turns
from pluralign.tuning.export_check import PROBES, chat_faults
from pluralign.tuning.transplant_folder import write_json
from pluralign.tuning.transplant_tokens import spectrum_chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "RECORD",
    "base_config",
    "check_export_place",
    "checkpoint_dtype",
    "end_ids_of",
    "ready_tokenizer",
    "write_config",
    "write_generation_settings",
    "write_ready_tokenizer",
]

RECORD = "export.json"
"""Says what was exported; a folder without it is never replaced."""
_PLAIN_SAMPLING = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
"""What the model was trained for: its own probabilities, untouched."""
_BENDS_SAMPLING = (
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "num_beams",
)
_OLD_ROPE = ("rope_theta", "rope_scaling", "rope_local_base_freq")
"""Where transformers below 5, and what is built on it, read what is now in rope_parameters; else they take 10,000 silently."""


def check_export_place(out: Path, model_name: str, *, overwrite: bool) -> None:
    """Raises RunError for a place that is taken, or that the model came from."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; give a folder that is new or empty.")
    if model_name and Path(model_name).is_dir() and out == Path(model_name).resolve():
        raise RunError(f"{out}: is the model that this one was made of; give another folder.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / RECORD).is_file():
            raise RunError(f"{out}: is not empty and not an export; give a folder that is new or empty.")
        if not overwrite:
            raise RunError(
                f"{out}: holds an export already; give a new folder, or replace it with overwrite=True (--overwrite)."
            )


def base_config(model: Any) -> dict[str, Any]:
    """The config.json that the model was opened with; empty where there is none at hand, as for one made in memory."""
    from transformers import PretrainedConfig

    if not (name := model.config._name_or_path):
        return {}
    commit = getattr(model.config, "_commit_hash", None)  # of a hub id only
    try:
        found, _ = PretrainedConfig.get_config_dict(name, revision=commit, local_files_only=True)
    except (OSError, ValueError):
        return {}
    return dict(found)


def checkpoint_dtype(model: Any, config: dict[str, Any]) -> torch.dtype:
    """Of the weights that the model was opened from, whatever it was opened in; else of the model itself."""
    inner = config.get("text_config") or {}
    named = next((one[key] for one in (config, inner) for key in ("dtype", "torch_dtype") if one.get(key)), None)
    dtype = getattr(torch, str(named).removeprefix("torch.")) if named is not None else model.dtype
    return dtype if isinstance(dtype, torch.dtype) else model.dtype


def ready_tokenizer(tokenizer: PreTrainedTokenizerFast, end_of_text: tuple[int, ...], n_ids: int) -> PreTrainedTokenizerFast:
    """A copy with the chat template of the format 'spectrum', and with a pad token: its own, else the end of text.

    Raises UsageError where it has no turn tokens; ModelError where its ids go beyond the model's, or where it would write the
    format in another way with this chat template than without.
    """
    turns, ready = find_turns(tokenizer), copy.deepcopy(tokenizer)
    ready.chat_template = spectrum_chat_template(turns, has_bos=find_bos(tokenizer) is not None)
    ready.backend_tokenizer.no_truncation()
    ready.backend_tokenizer.no_padding()
    largest = max(ready.get_vocab().values())
    if largest >= n_ids:
        raise ModelError(
            f"the tokenizer has ids up to {largest}, the model only rows for 0..{n_ids - 1}; give its own tokenizer."
        )
    if ready.pad_token_id is None:
        ready.pad_token = _pad_token(ready, turns, end_of_text)
    trained, exported = ([one.ids.tolist() for one in open_template("spectrum", t).encode(PROBES)] for t in (tokenizer, ready))
    faults = [] if trained == exported else ["the format 'spectrum' is written in other ids with it."]
    if faults := [*faults, *chat_faults(ready, n_ids)]:
        raise ModelError(f"no chat template can be made for this tokenizer: {' '.join(faults)}")
    return ready


def write_ready_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Its files, under a class that transformers 4 knows too."""
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise OSError(str(error)) from error  # so the package tokenizers says that a disk refused
    settings = read_json(folder / "tokenizer_config.json")
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_json(folder / "tokenizer_config.json", settings)


def end_ids_of(model: Any) -> tuple[int, ...]:
    """What the model ends a text with, as its configurations say."""
    settings = (model.generation_config, model.config.get_text_config())
    found = [getattr(one, "eos_token_id", None) for one in settings if one is not None]
    return tuple(dict.fromkeys(n for ids in found for n in ([ids] if isinstance(ids, int) else ids or ())))


def write_generation_settings(model: Any, folder: Path, end_ids: tuple[int, ...], pad_id: int | None) -> None:
    """The model's, with these ends and this padding, and with plain sampling in place of what it says of that."""
    settings = {} if model.generation_config is None else json.loads(model.generation_config.to_json_string(use_diff=True))
    # with _from_model_config some versions of transformers would make it anew of config.json, without our end
    kept = {k: v for k, v in settings.items() if k != "_from_model_config" and k not in _BENDS_SAMPLING}
    ends = ({"eos_token_id": list(end_ids)} if end_ids else {}) | ({} if pad_id is None else {"pad_token_id": pad_id})
    write_json(folder / "generation_config.json", kept | ends | _PLAIN_SAMPLING)


def write_config(folder: Path, base: dict[str, Any]) -> None:
    """The folder's config.json once more, with positions in the words of older readers too, where that changes nothing."""
    from transformers import AutoConfig

    written = read_json(folder / "config.json")
    rope = written.get("rope_parameters") or {}
    old = {key: base[key] for key in _OLD_ROPE if key in base}
    if not old and "rope_theta" in rope:
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        old = {"rope_theta": rope["rope_theta"]}
        old |= {} if scaling.get("rope_type", "default") == "default" else {"rope_scaling": scaling}
    expected = AutoConfig.from_pretrained(folder).to_dict()
    write_json(folder / "config.json", written | old)
    if AutoConfig.from_pretrained(folder).to_dict() != expected:
        write_json(folder / "config.json", written)


def _pad_token(tokenizer: PreTrainedTokenizerFast, turns: Turns, end_of_text: tuple[int, ...]) -> str:
    """The end of text, by the tokenizer or the model, if it is a token of control, no piece of texts; else a turn's."""
    controls = {number: text for text, number in control_tokens(tokenizer).items() if text != turns.end}
    return next((controls[number] for number in (tokenizer.eos_token_id, *end_of_text) if number in controls), turns.end)
