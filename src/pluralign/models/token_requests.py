"""What backends share that write token ids themselves: requests as bytes, tokens summed to outputs, what weights are theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.files import hash_file
from pluralign.models.content import IdArray
from pluralign.models.protocol import OutputLogprobs, Query
from pluralign.models.templates import Encoded, Template

__all__ = ["prompt_ids", "request_bytes", "sum_by_output", "weights_hash"]

ADAPTER = "adapter_config.json"


def prompt_ids(template: Template, queries: Sequence[Query]) -> list[IdArray]:
    """The ids [tokens] behind which each query's answer comes."""
    return template.encode_prompts([query.episode for query in queries], [query.input for query in queries])


def request_bytes(template: Template, asked: Sequence[Query | Episode]) -> list[bytes]:
    """The token ids of each: prompt and options, or the episode and where it is scored."""
    prompts = iter(prompt_ids(template, [one for one in asked if isinstance(one, Query)]))
    encoded = iter(template.encode([one for one in asked if isinstance(one, Episode)]))
    options: dict[tuple[str, ...] | None, list[IdArray]] = {None: []}
    found = []
    for one in asked:
        if isinstance(one, Query):
            some = one.given_options or None
            if some not in options:
                options[some] = template.encode_options(some or ())
            found.append(_joined([next(prompts), *options[some]]))
        else:
            whole = next(encoded)
            found.append(_joined([whole.ids, whole.is_loss, whole.example_index]))
    return found


def sum_by_output(encoded: Encoded, logprobs: npt.NDArray[np.float64], is_argmax: npt.NDArray[np.bool_]) -> OutputLogprobs:
    """The outputs of an episode, from its tokens that carry loss: their log-probabilities, and whether each was the most
    probable one; both [loss tokens]."""
    of_token = encoded.example_index[encoded.is_loss].astype(np.int64)
    examples, first, n_tokens = np.unique(of_token, return_index=True, return_counts=True)
    if not len(examples):
        none = np.empty(0, dtype=np.int64)
        return OutputLogprobs(none, np.empty(0), none, np.empty(0, dtype=np.bool_))
    return OutputLogprobs(
        example_index=examples,
        logprobs=np.add.reduceat(logprobs, first),
        n_tokens=n_tokens.astype(np.int64),
        is_argmax=np.logical_and.reduceat(is_argmax, first),
    )


def weights_hash(name: str, commit: str | None) -> str:
    """What tells these weights from others: the hub's commit, or the contents of the folder's weights and configuration.

    Of a folder that holds an adapter, those of what it is put on too.
    """
    folder = Path(name)
    if not folder.is_dir():
        return f"{name} {commit}"
    files = sorted(f for f in folder.iterdir() if f.suffix == ".safetensors" or f.name in ("config.json", ADAPTER))
    parts = [f"{f.name} {hash_file(f)}" for f in files]
    if (folder / ADAPTER).exists():
        parts.append(weights_hash(json.loads((folder / ADAPTER).read_text())["base_model_name_or_path"], commit))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    """Lengths and contents, so that no two lists of arrays give the same bytes."""
    lengths = np.array([len(arrays), *map(len, arrays)], dtype=np.int64)
    return lengths.tobytes() + b"".join(array.astype(np.int32).tobytes() for array in arrays)
