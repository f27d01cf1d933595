"""A tuned model as a folder that transformers, vLLM and llama.cpp's converter load, with its chat template.

Adapters are merged into a copy of what they change, and the model that is trained stays as it is. The folder is made beside its
place under another name and renamed at the end, so that it is there whole or not at all, and is read once more there.

Departures from saving the model by itself: precision is the checkpoint's, not training's; embedding and output layer that were
one matrix and have come apart are two, and config.json says so; what generates from the folder samples from the model's own
probabilities (temperature 1, nothing cut off) and stops at the end of a turn.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.loading import without_bars
from pluralign.models.turns import find_turns
from pluralign.tuning.export_check import check_export
from pluralign.tuning.export_files import (
    RECORD,
    base_config,
    check_export_place,
    checkpoint_dtype,
    end_ids_of,
    ready_tokenizer,
    write_config,
    write_generation_settings,
    write_ready_tokenizer,
)
from pluralign.tuning.merging import base_of, merged_weights
from pluralign.tuning.transplant_folder import check_room, new_folder, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["ExportResult", "export_adapter", "export_model"]

SHARD = "4GB"
"""Files of weights are no larger, except for a tensor that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written, and where."""

    folder: str
    base: str
    """What the model was opened from; empty for one made in memory."""
    dtype: str
    n_parameters: int
    n_bytes: int
    """Of the weights."""
    is_tied: bool
    """Whether embedding and output layer are one matrix in the folder."""
    is_merged: bool
    """Whether there were adapters."""
    end_ids: tuple[int, ...]
    """What ends a text: the end of a turn first, if there are turns."""
    pad_id: int | None
    faults: tuple[str, ...] = ()
    """What is wrong with the folder when it is read again; it is there all the same, since a trained model is worth more."""


def export_model(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    out: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    card: str | None = None,
    chat: bool = True,
    overwrite: bool = False,
) -> ExportResult:
    """Writes a causal model, with LoRA adapters or without, and its tokenizer to `out`; what is wrong there is in `.faults`.

    `dtype` is that of the weights in the folder; not given, that of the checkpoint that the model was opened from. `card` is
    the text of README.md. Without `chat` the tokenizer is written as it is, as for a model that was trained on plain text, and
    need not have turn tokens. In memory there is at most one copy of the weights beside the model, in `dtype`.
    Raises RunError for a place that is taken or a disk that refuses; ModelError for weights that are not finite, not whole or
    not to be merged, and for a tokenizer that is not the model's; UsageError for one without turn tokens.
    """
    place, base = Path(out).resolve(), base_of(model)
    check_export_place(place, base.config._name_or_path, overwrite=overwrite)
    opened = base_config(base)
    precision = dtype or checkpoint_dtype(base, opened)
    n_ids = int(base.get_input_embeddings().weight.shape[0])
    ready, ends = tokenizer, list(end_ids_of(base))
    if chat:
        ready = ready_tokenizer(tokenizer, end_ids_of(base), n_ids)
        ends.insert(0, int(ready.convert_tokens_to_ids(find_turns(ready).end)))
    weights = merged_weights(base, precision)
    shell = _shell(base, weights, precision, uses_cache=bool(opened.get("use_cache", True)))
    done = ExportResult(
        folder=str(place),
        base=base.config._name_or_path,
        dtype=str(precision).removeprefix("torch."),
        n_parameters=sum(p.numel() for p in shell.parameters()),
        n_bytes=sum(one.nbytes for one in weights.values()),
        is_tied=bool(shell.all_tied_weights_keys),
        is_merged=base is not model,
        end_ids=tuple(dict.fromkeys(ends)),
        pad_id=ready.pad_token_id,
    )
    check_room(place, done.n_bytes)
    with _written(place) as made, without_bars():
        shell.save_pretrained(made, state_dict=weights, max_shard_size=SHARD)
        write_config(made, opened)
        write_generation_settings(base, made, done.end_ids, done.pad_id)
        write_ready_tokenizer(ready, made)
        if card is not None:
            (made / "README.md").write_text(card, encoding="utf-8")
        _write_record(made, done)
    return ExportResult(**asdict(done) | {"faults": tuple(check_export(place, chat=chat))})


def export_adapter(model: Any, out: str | os.PathLike[str], base_name: str, *, overwrite: bool = False) -> Path:
    """Writes the adapters by themselves, in peft's own files, for `PeftModel.from_pretrained(base, out)`; the folder.

    `base_name` is the folder or hub id of the model that they belong on. Raises ModelError for a model without adapters,
    RunError for a place that is taken or a disk that refuses.
    """
    if not getattr(model, "peft_config", None):
        raise ModelError(f"{type(model).__name__} has no adapters; use export_model.")
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    place = Path(out).resolve()
    check_export_place(place, base_name, overwrite=overwrite)
    # without the embedding's own weights, which are the base's
    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    weights = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in found.items()}
    config = copy.deepcopy(model.peft_config[model.active_adapter])
    config.base_model_name_or_path, config.inference_mode = base_name, True
    check_room(place, sum(one.nbytes for one in weights.values()))
    with _written(place) as made:
        save_file(weights, made / "adapter_model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(made)
        write_json(made / RECORD, {"base": base_name, "is_adapter": True})
    return place


def _shell(base: Any, weights: dict[str, Tensor], dtype: torch.dtype, *, uses_cache: bool) -> Any:
    """The architecture without memory, with the configuration that goes with these weights; of tied weights one is left."""
    config = copy.deepcopy(base.config)
    config.use_cache = config.get_text_config().use_cache = uses_cache  # training goes without
    shell = _without_memory(config, dtype)
    if type(shell) is not type(base):
        raise ModelError(
            f"{type(base).__name__}: its configuration is opened as {type(shell).__name__}; only what AutoModelForCausalLM "
            "opens can be exported."
        )
    _check_names(shell, weights)
    ties = shell.all_tied_weights_keys.items()
    if not all(weights[one] is weights[other] or torch.equal(weights[one], weights[other]) for one, other in ties):
        config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
        shell = _without_memory(config, dtype)
    for target in shell.all_tied_weights_keys:
        del weights[target]
    seen: set[int] = set()
    for name, tensor in weights.items():  # saving would leave out what has another's memory
        weights[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    shell._weight_conversions = getattr(base, "_weight_conversions", None)  # so that files have the names that they had
    return shell


def _without_memory(config: Any, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM, GenerationConfig

    with torch.device("meta"):
        shell = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager")
    shell.generation_config = GenerationConfig()  # the model's own is written apart
    return shell


def _check_names(shell: Any, weights: Mapping[str, Tensor]) -> None:
    needed = {name: one.shape for name, one in shell.state_dict().items()}
    given = {name: one.shape for name, one in weights.items()}
    if different := sorted(name for name in needed.keys() | given.keys() if needed.get(name) != given.get(name)):
        name = different[0]
        raise ModelError(
            f"{len(different)} weights are not those of {type(shell).__name__} by its configuration, e.g. {name}: "
            f"{[*given.get(name, [])] or 'none'}, not {[*needed.get(name, [])] or 'none'}; was a layer added or resized?"
        )


@contextmanager
def _written(place: Path) -> Iterator[Path]:
    """A folder that comes to this place; a file of weights that cannot be written is a disk's refusal as any other."""
    from safetensors import SafetensorError

    with new_folder(place) as made:
        try:
            yield made
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _write_record(made: Path, done: ExportResult) -> None:
    import pluralign

    kept = {name: value for name, value in asdict(done).items() if name not in ("folder", "faults")}
    write_json(made / RECORD, {"pluralign": pluralign.__version__} | kept)
