"""The answers that a rating may take, and whether they are ordered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, nearest_name

__all__ = ["Scale", "ScaleKind"]

ScaleKind = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class Scale:
    """A closed answer set.

    nominal: labels without order. ordinal: labels in order. interval: numbers whose differences mean something.

    >>> Scale("ordinal", ("1", "2", "3")).values.tolist()
    [1.0, 2.0, 3.0]
    >>> Scale("ordinal", ("disagree", "pass", "agree")).values.tolist()
    [0.0, 1.0, 2.0]
    """

    kind: ScaleKind
    options: tuple[str, ...]
    """The answers as text, in order where there is one; text, since that is what people and language models are shown."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScaleKind):
            raise DataError("scale", nearest_name(str(self.kind), get_args(ScaleKind)))
        if len(self.options) < 2:
            raise DataError(
                "scale",
                f"a scale needs at least 2 options, got {list(self.options)}; nothing can vary. "
                "If other answers were possible but nobody gave them, name them all with --options.",
            )
        if len(set(self.options)) != len(self.options):
            raise DataError("scale", f"options repeat: {list(self.options)}")
        if self.kind == "interval":
            numbers = _as_numbers(self.options)
            if numbers is None or any(b <= a for a, b in itertools.pairwise(numbers)):
                raise DataError("scale", f"an interval scale needs rising numbers, got {list(self.options)[:12]}")

    def __len__(self) -> int:
        return len(self.options)

    @property
    def is_ordered(self) -> bool:
        return self.kind != "nominal"

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """A number for each option [options]: the option itself where all are rising numbers, else its position."""
        numbers = _as_numbers(self.options)
        rising = numbers is not None and all(a < b for a, b in itertools.pairwise(numbers))
        return np.asarray(numbers if rising else range(len(self.options)), dtype=np.float64)


def _as_numbers(options: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(option) for option in options]
    except ValueError:
        return None
    return numbers if all(np.isfinite(numbers)) else None
