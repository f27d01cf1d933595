"""Reads an exported model's folder as others would, without a second model in memory: what is wrong with it, in sentences.

The architecture that config.json names is built without memory (on torch's device "meta") and the files are read into it one
tensor at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jinja2.exceptions import TemplateError

from pluralign.episodes import Episode, Example
from pluralign.errors import PluralignError
from pluralign.models import open_template, open_tokenizer
from pluralign.models.loading import without_bars
from pluralign.models.turns import find_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["PROBES", "chat_faults", "check_export", "messages_of"]

PROBES = (
    Episode("", (Example("yes", "How warm?"), Example(" no "), Example("", "Why?\n")), description="A rater of water."),
    Episode("", (Example("heads"), Example("tails"))),
    Episode("", (Example("3", "Rate 'this'."), Example("4", 'And "that" {{ too }}?'))),
)
"""With and without a description and inputs, with blanks at the ends, and with what a template might take for its own."""
_INDEX = "model.safetensors.index.json"


def check_export(folder: str | os.PathLike[str], *, chat: bool = True) -> list[str]:
    """Faults of this folder, each a sentence that begins with the file's name; none for one that is whole.

    Weights: all that the architecture needs, in the right shapes, in the precision that config.json says, no others, each file
    readable to its end. Tokenizer: turn tokens are single ids with rows in the model, and the chat template writes the ids that
    the format 'spectrum' does. Configurations: the end of a turn ends a text; nothing of this package's own is left in them.
    Without `chat`, turn tokens and a chat template are not looked for.
    """
    place = Path(folder)
    if not (place / "config.json").is_file():
        return [f"config.json: is not in {place}."]
    faults, n_ids = _weight_faults(place)
    if "pluralign" in (place / "config.json").read_text("utf-8"):
        faults.append("config.json: names something of 'pluralign', which others do not have.")
    try:
        tokenizer = open_tokenizer(str(place))
        if not chat:
            return faults
        faults += chat_faults(tokenizer, n_ids)
        faults += _end_faults(place, int(tokenizer.convert_tokens_to_ids(find_turns(tokenizer).end)))
    except (PluralignError, OSError, ValueError) as error:
        faults.append(f"tokenizer.json: {error}")
    return faults


def chat_faults(tokenizer: PreTrainedTokenizerFast, n_ids: int | None) -> list[str]:
    """Where the tokenizer's chat template and the format 'spectrum' differ, and turn tokens that the model has no row for."""
    faults, where = [], "chat_template.jinja:"
    for token in find_turns(tokenizer).tokens:
        ids = tokenizer.encode(token, add_special_tokens=False)
        if len(ids) != 1:
            faults.append(f"tokenizer.json: the turn token {token!r} is {len(ids)} tokens, not 1.")
        elif n_ids is not None and ids[0] >= n_ids:
            faults.append(f"tokenizer.json: the turn token {token!r} is id {ids[0]}, but the model has only 0..{n_ids - 1}.")
    template = open_template("spectrum", tokenizer)
    for n, (episode, ours) in enumerate(zip(PROBES, template.encode(PROBES), strict=True)):
        asked = [*messages_of(episode), {"role": "input", "content": "Next?"}]
        [prompt] = template.encode_prompts([episode], ["Next?"])
        for messages, expected, ask in ((messages_of(episode), ours.ids, False), (asked, prompt, True)):
            try:
                found = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, add_generation_prompt=ask)
            except (TemplateError, TypeError, KeyError) as error:
                return [*faults, f"{where} cannot be rendered: {error}"]
            if list(found) != expected.tolist():
                what = "and the next output's header " if ask else ""
                faults.append(f"{where} writes probe {n} {what}in other ids than the format 'spectrum'.")
    return faults


def messages_of(episode: Episode) -> list[dict[str, str]]:
    """The episode as messages for a chat template of the three roles."""
    said = [] if episode.description is None else [("description", episode.description)]
    for example in episode.examples:
        said += [] if example.input is None else [("input", example.input)]
        said.append(("output", example.output))
    return [{"role": role, "content": text} for role, text in said]


def _weight_faults(place: Path) -> tuple[list[str], int | None]:
    """And the number of the embedding's rows, where the model can be opened."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with _quiet(), without_bars():
            model, found = AutoModelForCausalLM.from_pretrained(
                place,
                device_map={"": "meta"},
                dtype="auto",
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        faults = [f"config.json: the architecture needs {name}, which no file has." for name in sorted(found["missing_keys"])]
        faults += [f"*.safetensors: {name} is no weight of the architecture." for name in sorted(found["unexpected_keys"])]
        faults += [
            f"*.safetensors: {name} is {[*there]}, not {[*needed]}." for name, there, needed in sorted(found["mismatched_keys"])
        ]
        faults += [*found["error_msgs"], *_file_faults(place, model.config)]
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        return [f"config.json, *.safetensors: cannot be opened: {error}"], None
    return faults, int(model.get_input_embeddings().weight.shape[0])


def _file_faults(place: Path, config: Any) -> list[str]:
    """Of the index and of precision, by the files' headers."""
    from safetensors import safe_open

    faults: list[str] = []
    names: dict[str, str] = {}
    kinds: set[str] = set()
    for path in sorted(place.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            here = list(file.keys())
            names |= dict.fromkeys(here, path.name)
            kinds |= {file.get_slice(name).get_dtype() for name in here}
    index = place / _INDEX
    listed = (
        json.loads(index.read_text("utf-8"))["weight_map"] if index.is_file() else dict.fromkeys(names, "model.safetensors")
    )
    faults += [
        f"{index.name}: {name} is in {names.get(name, 'no file')}, not in {listed.get(name, 'the index')}."
        for name in sorted(names.keys() | listed.keys())
        if names.get(name) != listed.get(name)
    ]
    expected = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}.get(config.dtype, str(config.dtype))
    if other := sorted(kind for kind in kinds if kind != expected and (kind.startswith(("F", "BF")))):
        faults.append(f"config.json: says {config.dtype}, but there are weights of {', '.join(other)}.")
    return faults


def _end_faults(place: Path, end_id: int) -> list[str]:
    try:
        settings = json.loads((place / "generation_config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        return [f"generation_config.json: cannot be read: {error}"]
    ends, pad = settings.get("eos_token_id"), settings.get("pad_token_id")
    faults = []
    if end_id not in (ends if isinstance(ends, list) else [ends]):
        faults.append(f"generation_config.json: eos_token_id is {ends}, without the end of a turn, {end_id}.")
    if not isinstance(pad, int):
        faults.append(f"generation_config.json: pad_token_id is {pad}.")
    return faults


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own table of what is missing, which comes back as faults."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
