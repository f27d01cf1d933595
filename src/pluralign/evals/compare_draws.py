"""Differences of measures that are of independent draws, such as how many different outputs a model gave.

Generations of two runs are no pairs: number 7 of one has nothing to do with number 7 of the other, and how many different ones
there are is no mean over them. The interval is made of those of the two runs (`independent_difference`). The p-value is from
dealing the generations of both runs, prompt by prompt, to two runs of their sizes at random: if both models draw from one law,
every deal is as probable as that which was found, so it is exact, whatever the law.

Two runs that share their random numbers differ less than independent ones; then both are on the safe side.

Source: Fisher 1935 (permutation test of two samples).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.evals.equivalence import EXACT, classes_of
from pluralign.metrics.information import permutation_p_value
from pluralign.streams import stream

__all__ = ["UNIT", "Prompt", "dealt_p_values", "prompts_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

UNIT = "generation"
"""What intervals of such measures resample."""
N_BLOCKS, N_TOGETHER = 20, 500
"""Deals: so many times so many."""
_COLUMNS = ("task", "item", "prompt", "text", "is_valid", "outcome", "closed_size")


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """The generations of one prompt of one task, of two runs; those that never came are left out."""

    ours: IntArray
    """[generations] class of the output, -1 where it is not valid; classes are the same in both runs."""
    theirs: IntArray
    closed_size: int | None
    """How many valid outputs there are."""

    @property
    def has_both(self) -> bool:
        """Whether either run has a generation."""
        return len(self.ours) > 0 and len(self.theirs) > 0


_Measure = Callable[[IntArray, int, Prompt], FloatArray]
"""Of counts by class without those that are not valid [deals, classes], generations, and the prompt: values [deals]."""


def _different(counts: IntArray, n: int, prompt: Prompt) -> FloatArray:
    return np.asarray((counts > 0).sum(axis=1), dtype=np.float64)


_MEASURES: Mapping[str, _Measure] = {
    "validity": lambda counts, n, prompt: counts.sum(axis=1) / max(n, 1),
    "yield": _different,
    "usable_unique": lambda counts, n, prompt: _different(counts, n, prompt) / max(n, 1),
    "covered_share": lambda counts, n, prompt: _different(counts, n, prompt) / (prompt.closed_size or np.nan),
}
"""Of one prompt; of a task they are means over its prompts."""


def prompts_of(ours: pl.DataFrame, theirs: pl.DataFrame, task: str) -> dict[str, Prompt]:
    """The prompts of a task that both runs' records have, by name; none where records are not of generations."""
    if any(column not in table.columns for table in (ours, theirs) for column in _COLUMNS):
        return {}
    parts = [_by_prompt(table.filter(pl.col("task") == task)) for table in (ours, theirs)]
    return {name: _prompt(rows, parts[1][name]) for name, rows in parts[0].items() if name in parts[1]}


def dealt_p_values(prompts: Mapping[str, Prompt], *, task: str, seed: int) -> dict[tuple[str, str | None], float]:
    """Two-sided p-values of differences by measure and prompt, None for the mean over prompts.

    How often a random deal gives a difference as far from 0. A measure that is not known here has none, nor has a prompt of
    which a run has no generation, and then neither has the mean.
    """
    found: dict[tuple[str, str | None], float] = {}
    apart = {name: _apart(one, stream(seed, "deals", task, name)) for name, one in prompts.items() if one.has_both}
    for metric in _MEASURES:
        groups: dict[str | None, FloatArray] = {name: values[metric] for name, values in apart.items()}
        if apart and len(apart) == len(prompts):
            groups[None] = np.sum([values[metric] for values in apart.values()], axis=0)
        for group, values in groups.items():
            if np.isfinite(values).all():
                sizes = np.abs(values).round(12)  # what is equal must not look smaller by rounding
                found[metric, group] = permutation_p_value(float(sizes[0]), sizes[1:])
    return found


def _apart(prompt: Prompt, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Of each measure theirs minus ours, as it was found, then by every deal [1 + deals]."""
    classes, index = np.unique(np.concatenate([prompt.ours, prompt.theirs]), return_inverse=True)
    n, size, has_invalid = len(prompt.ours), len(classes), int(classes[0] == -1)
    as_found = np.bincount(index[:n], minlength=size)[None, :]
    counts = np.concatenate([as_found, *(_counts(index, n, size, rng) for _ in range(N_BLOCKS))])
    others = np.bincount(index, minlength=size)[None, :] - counts
    return {
        name: measure(others[:, has_invalid:], len(prompt.theirs), prompt) - measure(counts[:, has_invalid:], n, prompt)
        for name, measure in _MEASURES.items()
    }


def _counts(index: IntArray, n: int, size: int, rng: np.random.Generator) -> IntArray:
    """[deals, classes] how often each class is among n of the generations, at random."""
    places = np.argpartition(rng.random((N_TOGETHER, len(index)), dtype=np.float32), n - 1, axis=1)[:, :n]
    flat = index[places] + np.arange(N_TOGETHER)[:, None] * size
    return np.bincount(flat.ravel(), minlength=N_TOGETHER * size).reshape(N_TOGETHER, size)


def _by_prompt(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    came = rows.filter(pl.col("outcome") != "failed")
    return {str(prompt): part for (prompt,), part in came.group_by("prompt", maintain_order=True)}


def _prompt(ours: pl.DataFrame, theirs: pl.DataFrame) -> Prompt:
    both = pl.concat([ours.select("text", "is_valid", "outcome"), theirs.select("text", "is_valid", "outcome")])
    is_valid = ((both["outcome"] == "ok") & both["is_valid"].fill_null(value=False)).to_numpy()
    classes = np.full(both.height, -1, dtype=np.int64)
    classes[is_valid] = classes_of(both["text"].filter(pl.Series(is_valid)).to_list(), EXACT)
    return Prompt(classes[: ours.height], classes[ours.height :], ours["closed_size"][0])
