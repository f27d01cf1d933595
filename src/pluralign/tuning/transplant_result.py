"""What a transplant did, for people and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["CopiedRows", "Matrix", "Transplanted"]

Matrix = Literal["input", "output", "output bias"]
UNLIKE = 0.5
"""Likeness under which two models are hardly siblings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedRows:
    """What was copied of one matrix; lists are in the order of `Transplanted.tokens`."""

    matrix: Matrix
    tensor: str
    file: str
    dtype: str
    from_dtype: str
    """Another than `dtype` where the numbers were converted."""
    norms_before: tuple[float | None, ...]
    """Euclidean norm of each row in the base; None where it was not finite."""
    norms_after: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transplanted:
    """What a transplant did."""

    out: Path
    base: str
    base_commit: str | None
    """Of the hub; None for a folder. Likewise below."""
    instruct: str
    instruct_commit: str | None
    tokens: dict[str, int]
    """The turn tokens with their ids."""
    rows: tuple[CopiedRows, ...]
    is_tied: bool
    """The output layer is the embedding, so that there are input rows only."""
    tokenizer: Literal["base", "instruct"]
    """Whose tokenizer went into the folder."""
    end_ids: tuple[int, ...]
    """What ends a text by the new generation_config.json."""
    likeness: float | None
    """Mean cosine of other tokens' embeddings in the two models, -1..1: near 1 for siblings, near 0 for strangers.

    None where no other token has a row that is not zero in both.
    """

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"out": str(self.out)}

    def lines(self) -> list[str]:
        """For people."""
        lines = [line for copied in self.rows for line in self._rows_lines(copied)]
        lines.append(f"tokenizer: {self.tokenizer}'s, with the chat template of the format spectrum")
        if self.likeness is not None and self.likeness < UNLIKE:
            lines.append(
                f"Is {self.instruct} really the sibling of {self.base}? Other tokens' embeddings have a mean cosine of "
                f"{self.likeness:.2f}; those of siblings are near 1."
            )
        return lines

    def _rows_lines(self, copied: CopiedRows) -> list[str]:
        converted = "" if copied.dtype == copied.from_dtype else f", {copied.from_dtype} to {copied.dtype}"
        lines = [f"{copied.matrix} rows: {copied.tensor} in {copied.file}{converted}"]
        for (token, number), before, after in zip(self.tokens.items(), copied.norms_before, copied.norms_after, strict=True):
            lines.append(f"  {token} ({number}): norm {_shown(before)} -> {_shown(after)}")
        return lines


def _shown(norm: float | None) -> str:
    return "not finite" if norm is None else f"{norm:.3g}"
