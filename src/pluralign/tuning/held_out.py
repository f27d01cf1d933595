"""How well a model that is being trained does on held-out sequences: steerability and calibration, teacher-forced.

Steerability is the loss of outputs 1..k*, those that come behind at least one example of the same process, where k* is the k
with the most outputs at stake: the largest k x (sequences with at least k + 1 outputs). Only sequences with k* + 1 outputs
count, so that every k is measured on the same ones. Calibration is that of the likeliest token at each supervised place.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084): steerability, its k*, ECE over 10 bins of equal mass.
*Departures*: rows are chosen after k* and not again; intervals resample sequences, not outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError
from pluralign.estimates import estimate_mean
from pluralign.metrics.calibration import expected_calibration_error
from pluralign.tuning.batches import Batch
from pluralign.tuning.packing import IntArray

__all__ = ["TokenMeasures", "chosen_sequences", "held_out_measures", "k_star"]

TokenMeasures = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]
"""Of each target: nats, probability of the likeliest token, whether that is the target."""


def chosen_sequences(task_of: IntArray, usable: IntArray, most: int, seed: int) -> IntArray:
    """At most so many usable sequences of each task, drawn by the seed, in order. Raises DataError where none is usable."""
    if not len(usable):
        raise DataError("held-out data", "no sequence carries loss: every episode has one output, and no description")
    rng = np.random.default_rng([seed, 1])
    shuffled = rng.permutation(usable)
    chosen = [shuffled[task_of[shuffled] == task][:most] for task in np.unique(task_of[usable]).tolist()]
    return np.sort(np.concatenate(chosen))


def k_star(n_outputs: IntArray) -> int:
    """The k with the largest k x #(sequences with at least k + 1 outputs); 0 where none has two.

    >>> k_star(np.array([2, 2, 2, 3]))
    1
    """
    most = int(n_outputs.max(initial=0))
    at_stake = [k * int((n_outputs >= k + 1).sum()) for k in range(most)]
    return int(np.argmax(at_stake)) if at_stake else 0


def held_out_measures(
    batches: Sequence[Batch],
    measure: Callable[[Batch], TokenMeasures],
    task_names: Sequence[str],
    task_of: IntArray,
    *,
    seed: int,
) -> dict[str, Any]:
    """Of each task that occurs in the batches: k_star, nats and accuracy an output, ECE of tokens; JSON-ready.

    Nats of an output are those of its text and its end together; it is right where every token is the likeliest.
    """
    columns: list[tuple[npt.NDArray[Any], ...]] = []
    for batch in batches:
        nats, top, is_top = measure(batch)
        columns.append((batch.sequences[batch.target_segment], batch.target_example.astype(np.int64), nats, top, is_top))
    sequence, example, nats, top, is_top = (np.concatenate(several) for several in zip(*columns, strict=True))
    found = {}
    for task in np.unique(task_of[sequence]).tolist():
        mine = task_of[sequence] == task
        found[task_names[task]] = _of_task(sequence[mine], example[mine], nats[mine], top[mine], is_top[mine], seed)
    return found


def _of_task(
    sequence: IntArray, example: IntArray, nats: npt.NDArray[Any], top: npt.NDArray[Any], is_top: npt.NDArray[Any], seed: int
) -> Mapping[str, Any]:
    keys, output = np.unique(np.stack([sequence, example]), axis=1, return_inverse=True)
    output = output.ravel()
    loss = np.bincount(output, weights=nats)
    is_right = np.bincount(output, weights=~is_top) == 0
    n_outputs = _last_example(keys) + 1
    k = k_star(n_outputs)
    _, row_of = np.unique(keys[0], return_inverse=True)
    counts = (n_outputs[row_of] >= k + 1) & (keys[1] >= 1) & (keys[1] <= k)
    both = [
        estimate_mean(values[counts].astype(np.float64), keys[0][counts], seed=seed, unit="sequence")
        for values in (loss, is_right)
    ]
    return {
        "k_star": k,
        "nats": both[0].to_dict(),
        "accuracy": both[1].to_dict(),
        "token_ece": expected_calibration_error(top, is_top),
        "n_sequences": len(n_outputs),
    }


def _last_example(keys: IntArray) -> IntArray:
    """Of each sequence, in ascending order."""
    sequences, row_of = np.unique(keys[0], return_inverse=True)
    last = np.full(len(sequences), -1, dtype=np.int64)
    np.maximum.at(last, row_of, keys[1])
    return last
