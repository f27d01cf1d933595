"""The measures of LeWiDi-2025 (Learning With Disagreements, third edition): one pair a data set.

*Perspectivist*: how far are predictions of single annotators from what each of them said? *Soft*: how far is the predicted
distribution of answers from the observed one? Every function returns one number an item, so that the caller can form an
interval; the published figures are means over items, all weighing equally. 0 is best everywhere.

    data set                          answers              perspectivist           soft
    MP   MultiPICo, irony             0, 1                 error rate              Manhattan distance
    VEN  VariErrNLI, label sets       3 labels, each 0/1   errors, mean of labels  Manhattan, mean of labels
    CSC  sarcasm in conversation      1..6                 |t - p| / 6             Wasserstein-1, in label units
    Par  paraphrase                   -5..5                |t - p| / 11            Wasserstein-1, in label units

The divisors 6 and 11 are those of the shared task (the number of options), not the widths of the scales, 5 and 10.
Perspectivist functions take a long table: `predicted` and `given` [ratings] (VEN: [ratings, 3 labels]) as answers, not
positions, and `item_index` [ratings]; an item's number is the mean over its annotators, NaN for an item without one.

Sources: Leonardelli et al. 2025, LeWiDi-2025 at NLPerspectives; Sorensen & Choi 2025, Opt-ICL (arXiv 2510.07105).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.metrics._checks import FloatArray, checked_indices
from pluralign.metrics.distances import total_variation_distance, wasserstein1_distance

__all__ = [
    "csc_perspectivist_loss",
    "csc_soft_distance",
    "mp_perspectivist_loss",
    "mp_soft_distance",
    "par_perspectivist_loss",
    "par_soft_distance",
    "ven_perspectivist_loss",
    "ven_soft_distance",
]

N_NLI_LABELS = 3
CSC_ANSWERS = range(1, 7)
PAR_ANSWERS = range(-5, 6)


def mp_perspectivist_loss(
    predicted: npt.NDArray[Any], given: npt.NDArray[Any], item_index: npt.NDArray[Any], *, n_items: int
) -> FloatArray:
    """Share of an item's annotators whose answer (0 or 1) was not predicted [items], 0..1.

    >>> mp_perspectivist_loss(np.array([1, 0, 1]), np.array([1, 1, 1]), np.array([0, 0, 1]), n_items=2).tolist()
    [0.5, 0.0]
    """
    predicted, given = _answers(predicted, given, (0, 1))
    return _item_means((predicted != given).astype(np.float64), item_index, n_items)


def ven_perspectivist_loss(
    predicted: npt.NDArray[Any], given: npt.NDArray[Any], item_index: npt.NDArray[Any], *, n_items: int
) -> FloatArray:
    """Share of wrong 0/1 decisions over an item's annotators and the three NLI labels [items], 0..1; arrays [ratings, 3]."""
    predicted, given = _answers(predicted, given, (0, 1), width=N_NLI_LABELS)
    return _item_means((predicted != given).mean(axis=1), item_index, n_items)


def csc_perspectivist_loss(
    predicted: npt.NDArray[Any], given: npt.NDArray[Any], item_index: npt.NDArray[Any], *, n_items: int
) -> FloatArray:
    """Mean of |given - predicted| / 6 over an item's annotators [items], 0..5/6; answers 1..6."""
    predicted, given = _answers(predicted, given, CSC_ANSWERS)
    return _item_means(np.abs(predicted - given) / len(CSC_ANSWERS), item_index, n_items)


def par_perspectivist_loss(
    predicted: npt.NDArray[Any], given: npt.NDArray[Any], item_index: npt.NDArray[Any], *, n_items: int
) -> FloatArray:
    """Mean of |given - predicted| / 11 over an item's annotators [items], 0..10/11; answers -5..5."""
    predicted, given = _answers(predicted, given, PAR_ANSWERS)
    return _item_means(np.abs(predicted - given) / len(PAR_ANSWERS), item_index, n_items)


def mp_soft_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Manhattan distance of two distributions [items, 2] over (0, 1): [items], 0..2 (twice the total variation).

    >>> mp_soft_distance(np.array([0.5, 0.5]), np.array([0.75, 0.25])).tolist()
    [0.5]
    """
    _check_width(p, q, 2)
    return 2 * total_variation_distance(p, q)


def ven_soft_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Mean over three labels of the Manhattan distance [items], 0..2; arrays [items, 3 labels, 2] over (absent, present)."""
    left, right = np.asarray(p), np.asarray(q)
    for array in (left, right):
        if array.ndim != 3 or array.shape[1:] != (N_NLI_LABELS, 2):
            raise UsageError(f"VEN soft labels: need arrays [items, {N_NLI_LABELS}, 2], got {left.shape} and {right.shape}.")
    by_label = 2 * total_variation_distance(left.reshape(-1, 2), right.reshape(-1, 2))
    return np.asarray(by_label.reshape(-1, N_NLI_LABELS).mean(axis=1))


def csc_soft_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Wasserstein-1 distance of two distributions [items, 6] over the answers 1..6: [items], 0..5 label units."""
    _check_width(p, q, len(CSC_ANSWERS))
    return wasserstein1_distance(p, q, np.array(CSC_ANSWERS))


def par_soft_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Wasserstein-1 distance of two distributions [items, 11] over the answers -5..5: [items], 0..10 label units."""
    _check_width(p, q, len(PAR_ANSWERS))
    return wasserstein1_distance(p, q, np.array(PAR_ANSWERS))


def _answers(
    predicted: npt.NDArray[Any], given: npt.NDArray[Any], allowed: range | tuple[int, ...], *, width: int | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    left, right = np.asarray(predicted), np.asarray(given)
    tail = () if width is None else (width,)
    if left.shape != right.shape or left.ndim == 0 or left.shape[1:] != tail:
        needed = "[ratings]" if width is None else f"[ratings, {width}]"
        raise UsageError(f"predicted {left.shape} and given {right.shape}: need two arrays {needed}.")
    for name, array in (("predicted", left), ("given", right)):
        bad = ~np.isin(array, list(allowed))
        if bad.any():
            where = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
            raise UsageError(f"{name}: row {where} is {array[where]}; allowed are the answers {list(allowed)}.")
    return left.astype(np.int64), right.astype(np.int64)


def _check_width(p: npt.NDArray[Any], q: npt.NDArray[Any], width: int) -> None:
    if any(np.ndim(a) not in (1, 2) or np.shape(a)[-1] != width for a in (p, q)):
        raise UsageError(f"p {np.shape(p)} and q {np.shape(q)}: this data set has {width} options, need [items, {width}].")


def _item_means(losses: FloatArray, item_index: npt.NDArray[Any], n_items: int) -> FloatArray:
    items = checked_indices(item_index, "item_index", length=len(losses), below=n_items)
    n_ratings = np.bincount(items, minlength=n_items)
    sums = np.bincount(items, weights=losses, minlength=n_items)
    return np.asarray(np.divide(sums, n_ratings, out=np.full(n_items, np.nan), where=n_ratings > 0))
