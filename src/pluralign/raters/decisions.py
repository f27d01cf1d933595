"""From a predicted distribution of answers to one answer, and to the distribution of all answers to an item.

The point answer is the one whose expected loss is least, so it depends on the loss that a task states:

    error rate              the mode
    absolute distance       the median, by the values of the scale
    squared distance        the mean; the option nearest to it where an option is needed

Two answers that cost the same (within 1e-12 of the dearest one) are a tie, and the first of them, the lowest on an ordered
scale, is chosen. Distributions are [queries, options], rows sum to 1.

Source: Sorensen & Choi 2025, Opt-ICL (arXiv 2510.07105): point answers that minimise the task's own loss, soft labels that
average the item's raters.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name

__all__ = ["Loss", "best_options", "loss_table", "mean_options", "mean_values", "median_options", "mode_options", "soft_labels"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Loss = Literal["error", "absolute", "squared"]
TIE = 1e-12


def loss_table(loss: Loss, values: npt.ArrayLike) -> FloatArray:
    """What each answer costs [answers, truths], for options with these values (see `Scale.values`).

    >>> loss_table("absolute", [1, 2, 4]).tolist()
    [[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]
    """
    if loss not in get_args(Loss):
        raise UsageError(f"loss: {nearest_name(str(loss), get_args(Loss))}")
    numbers = np.asarray(values, dtype=np.float64)
    apart = np.abs(numbers[:, None] - numbers)
    if loss == "error":
        return 1.0 - np.eye(len(numbers))
    return np.asarray(apart if loss == "absolute" else apart**2)


def best_options(probabilities: npt.ArrayLike, costs: npt.ArrayLike) -> IntArray:
    """Positions [queries] of the answers whose expected cost is least; `costs` [answers, options] may be any table."""
    p, table = np.asarray(probabilities, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if p.ndim != 2 or table.ndim != 2 or p.shape[1] != table.shape[1] or not np.isfinite(p).all():
        raise UsageError(
            f"need finite probabilities [queries, options] and costs [answers, options]; got {p.shape}, {table.shape}."
        )
    expected = p @ table.T
    allowed = expected.min(axis=1, keepdims=True) + TIE * np.abs(table).max(initial=1.0)
    return np.asarray((expected <= allowed).argmax(axis=1), dtype=np.int64)


def mode_options(probabilities: npt.ArrayLike) -> IntArray:
    """The most probable option [queries].

    >>> mode_options([[0.2, 0.4, 0.4]]).tolist()
    [1]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    return best_options(p, loss_table("error", np.arange(p.shape[-1])))


def median_options(probabilities: npt.ArrayLike, values: npt.ArrayLike) -> IntArray:
    """The option at which the expected absolute distance is least [queries]; where half lies on either side, the lower one.

    >>> median_options([[0.3, 0.3, 0.4], [0.5, 0.0, 0.5]], [1, 2, 3]).tolist()
    [1, 0]
    """
    return best_options(probabilities, loss_table("absolute", values))


def mean_values(probabilities: npt.ArrayLike, values: npt.ArrayLike) -> FloatArray:
    """The expected answer [queries], in the unit of the scale's values; most often between two options."""
    return np.asarray(np.asarray(probabilities, dtype=np.float64) @ np.asarray(values, dtype=np.float64))


def mean_options(probabilities: npt.ArrayLike, values: npt.ArrayLike) -> IntArray:
    """The option at which the expected squared distance is least [queries]: the one nearest to the mean.

    >>> mean_options([[0.5, 0.1, 0.4]], [0, 1, 5]).tolist()
    [1]
    """
    return best_options(probabilities, loss_table("squared", values))


def soft_labels(probabilities: npt.ArrayLike, item_index: npt.ArrayLike, *, n_items: int) -> FloatArray:
    """The distribution of answers to each item [items, options]: the mean over its raters' rows; NaN without a rater.

    >>> soft_labels([[1.0, 0.0], [0.5, 0.5]], [0, 0], n_items=1).tolist()
    [[0.75, 0.25]]
    """
    p, items = np.asarray(probabilities, dtype=np.float64), np.asarray(item_index, dtype=np.int64)
    if p.ndim != 2 or items.shape != (len(p),):
        raise UsageError(f"need probabilities [queries, options] and item_index [queries]; got {p.shape}, {items.shape}.")
    counts = np.bincount(items, minlength=n_items)[:, None]
    sums = np.zeros((n_items, p.shape[1]))
    np.add.at(sums, items, p)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
