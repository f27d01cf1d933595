"""Turn tokens for a base model: their rows of the embedding and the output layer, copied from its instruct sibling.

A pretrained model has the turn tokens in its vocabulary, but has hardly seen them: their rows are what they were at the start.
The rest of the checkpoint stays byte by byte what it was; no tensor is held in memory whole, and neither model is loaded.

Source: Sorensen et al. 2025 (arXiv 2510.06084), where training starts from such weights.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pluralign.errors import ModelError, UsageError
from pluralign.models.turns import find_turns, open_tokenizer
from pluralign.tuning.transplant_folder import (
    RECORD,
    check_place,
    check_room,
    copy_files,
    new_folder,
    write_generation_config,
    write_json,
    write_tokenizer,
)
from pluralign.tuning.transplant_result import CopiedRows, Matrix, Transplanted
from pluralign.tuning.transplant_rows import Rows, Tensor, decode, encode, read_rows, write_rows
from pluralign.tuning.transplant_source import INDEX, SINGLE, Layers, Source, Weights, open_source, read_layers, read_weights
from pluralign.tuning.transplant_tokens import TurnTokens, choose_tokenizer

__all__ = ["CopiedRows", "Transplanted", "transplant"]

Progress = Callable[[str, int, int], None]
Values = npt.NDArray[np.float64]
_KEPT = (
    *("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENSE.pdf", "NOTICE", "NOTICE.txt", "USE_POLICY.md"),
    *("preprocessor_config.json", "processor_config.json"),
)
"""Of the base, beside weights and tokenizer: what has to go with it, and what models that see need to be opened."""
N_COMPARED = 256
"""Other tokens whose rows are compared to tell whether the two are siblings."""


def transplant(
    base: str | os.PathLike[str],
    instruct: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    base_revision: str | None = None,
    instruct_revision: str | None = None,
    overwrite: bool = False,
    on_progress: Progress = lambda what, done, total: None,
) -> Transplanted:
    """The base model with the turn tokens' rows of its instruct sibling, written to the new or empty folder `out`.

    `base` and `instruct` are folders or hub ids. `overwrite` replaces what an earlier transplant put there, and nothing else.
    Raises UsageError or ModelError where the two do not go together, RunError for a place that cannot be written to; what was
    there is then as it was.
    """
    own, other = open_source(os.fspath(base), base_revision), open_source(os.fspath(instruct), instruct_revision)
    place = Path(out).resolve()
    check_place(place, (own, other), overwrite=overwrite)
    tokens = _choose_tokens(own, other)
    layers = read_layers(own), read_layers(other)
    _check_layers(own, other, *layers, highest_id=max(tokens.ids.values()))
    into, source = read_weights(own, layers[0], whole=True), read_weights(other, layers[1], whole=False)
    _check_others(own, into)
    grafts = _grafts(other, into, source, tokens)
    check_room(place, sum(path.stat().st_size for path in into.paths))
    with new_folder(place) as folder:
        _write_weights(own, into, grafts, folder, on_progress)
        write_tokenizer(own if tokens.whose == "base" else other, folder, tokens.chat_template)
        done = Transplanted(
            out=Path(out),
            base=own.name,
            base_commit=own.commit,
            instruct=other.name,
            instruct_commit=other.commit,
            tokens=tokens.ids,
            rows=tuple(graft.copied for graft in grafts),
            is_tied=layers[0].is_tied,
            tokenizer=tokens.whose,
            end_ids=write_generation_config(own, folder, tokens.end_id),
            likeness=_likeness(into.input, source.input, tokens),
        )
        write_json(
            folder / RECORD, done.to_dict() | {"base": own.public_name, "instruct": other.public_name, "out": place.name}
        )
        copy_files(own, folder, [*_KEPT, "config.json"])
        _check_tokenizer(folder, tokens)
    return done


@dataclass(frozen=True, slots=True)
class _Graft:
    """What to put into a tensor of the base."""

    to: Tensor
    ids: list[int]
    rows: Rows
    copied: CopiedRows


def _choose_tokens(base: Source, instruct: Source) -> TurnTokens:
    own, other = open_tokenizer(base.name, base.commit), open_tokenizer(instruct.name, instruct.commit)
    try:
        return choose_tokenizer(own, other)
    except UsageError as error:
        raise UsageError(f"{instruct.name}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{base.name} and {instruct.name}: {error}") from error


def _check_layers(base: Source, instruct: Source, own: Layers, other: Layers, *, highest_id: int) -> None:
    """All that does not fit, at once."""
    faults = []
    if own.width != other.width:
        faults.append(
            f"a row has {own.width:,} numbers in the base and {other.width:,} in the instruct model; give its sibling."
        )
    if own.is_tied != other.is_tied:
        tied, apart = ("base", "instruct model") if own.is_tied else ("instruct model", "base")
        faults.append(f"the output layer of the {tied} is its embedding, the {apart} has one of its own; give its sibling.")
    elif (own.bias is None) != (other.bias is None):
        faults.append("only one of them has a bias in its output layer; give its sibling.")
    for who, layer in (("base", own), ("instruct model", other)):
        if highest_id >= layer.n_rows:
            faults.append(
                f"turn tokens have ids up to {highest_id:,}, but the {who} has rows for 0 to {layer.n_rows - 1:,} only; "
                "enlarge its embedding first."
            )
    if faults:
        raise ModelError("\n".join([f"{base.name} and {instruct.name} do not go together:", *(f"  - {one}" for one in faults)]))


def _check_others(base: Source, weights: Weights) -> None:
    if weights.others:
        raise ModelError(
            f"{base.name}: {', '.join(weights.others[:3])} seem to have rows for tokens too, which would not be copied; only "
            "models with one embedding and one output layer are known here."
        )


def _grafts(instruct: Source, own: Weights, other: Weights, tokens: TurnTokens) -> list[_Graft]:
    output = other.output or other.input  # where both are tied, and the base has its embedding in the files once more
    pairs: list[tuple[Matrix, Tensor | None, Tensor | None]] = [
        ("input", own.input, other.input),
        ("output", own.output, output),
        ("output bias", own.bias, other.bias),
    ]
    ids = list(tokens.ids.values())
    return [_graft(instruct, matrix, to, source, ids) for matrix, to, source in pairs if to and source]


def _graft(instruct: Source, matrix: Matrix, to: Tensor, source: Tensor, ids: list[int]) -> _Graft:
    """The same numbers, rounded where the base's are coarser. Raises ModelError for what is not finite, or would not be."""
    before, values = (decode(read_rows(one, ids), one.dtype) for one in (to, source))
    rows = encode(values, to.dtype)
    after = decode(rows, to.dtype)
    if not np.isfinite(after).all():
        why = f"too large for {to.dtype}, which the base is in" if np.isfinite(values).all() else "not finite"
        raise ModelError(f"{instruct.name}: {source.name} has a number that is {why}; give another checkpoint of it.")
    return _Graft(
        to,
        ids,
        rows,
        CopiedRows(
            matrix=matrix,
            tensor=to.name,
            file=to.path.name,
            dtype=to.dtype,
            from_dtype=source.dtype,
            norms_before=_norms(before),
            norms_after=_norms(after),
        ),
    )


def _write_weights(source: Source, base: Weights, grafts: Sequence[_Graft], folder: Path, on_progress: Progress) -> None:
    for n, path in enumerate(base.paths):
        on_progress("copying the base's weights", n, len(base.paths))
        shutil.copyfile(path, folder / path.name)
    if base.paths[0].name != SINGLE:
        copy_files(source, folder, [INDEX])
    for graft in grafts:
        write_rows(dataclasses.replace(graft.to, path=folder / graft.to.path.name), graft.ids, graft.rows)
    on_progress("copying the base's weights", len(base.paths), len(base.paths))


def _check_tokenizer(folder: Path, tokens: TurnTokens) -> None:
    """What was written opens as what it was meant to be."""
    written = open_tokenizer(str(folder))
    if find_turns(written) != tokens.turns or any(written.convert_tokens_to_ids(t) != n for t, n in tokens.ids.items()):
        raise ModelError(f"the {tokens.whose} model's tokenizer cannot be copied; save it anew with save_pretrained first.")


def _likeness(base: Tensor, instruct: Tensor, tokens: TurnTokens) -> float | None:
    """Of tokens at even distances over those that both have."""
    some = np.linspace(0, min(base.n_rows, instruct.n_rows) - 1, N_COMPARED).astype(int)
    ids = sorted({*some.tolist()} - {*tokens.ids.values()})
    a, b = (decode(read_rows(one, ids), one.dtype) for one in (base, instruct))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = (a * b).sum(axis=1)[lengths > 0] / lengths[lengths > 0]
    return float(cosines.mean()) if len(cosines) and np.isfinite(cosines).all() else None


def _norms(rows: Values) -> tuple[float | None, ...]:
    norms = np.linalg.norm(rows, axis=1).tolist()
    return tuple(norm if math.isfinite(norm) else None for norm in norms)
