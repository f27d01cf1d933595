"""The raters that are hardest to predict, and the items that divide their raters most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pluralign.estimates import estimate_from_draws, estimate_mean
from pluralign.metrics import item_option_counts, normalised_entropy, polarisation
from pluralign.raters.evidence import StudyEvidence
from pluralign.raters.findings import HardRater, PolarisingItem
from pluralign.raters.held_out import HeldOutLosses, labelled
from pluralign.raters.item_text import item_text
from pluralign.ratings import Ratings

__all__ = ["hardest_raters", "polarising_items"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_HARDEST = 10
N_POLARISING = 15
MIN_RATINGS_SHOWN = 8
"""Fewest ratings of a rater or item that is singled out: with fewer, chance picks them."""


def hardest_raters(evidence: StudyEvidence, losses: HeldOutLosses) -> list[HardRater]:
    """Raters whose held-out ratings are least expected, after the most past ratings, among those with enough of them."""
    examples = [n for n in losses.nats if n.startswith("examples:")]
    representation = examples[-1] if examples else "nothing"
    known = losses.nats[representation]
    n_raters = evidence.ratings.n_raters
    counts = np.bincount(losses.rater, minlength=n_raters)
    enough = counts >= min(MIN_RATINGS_SHOWN, int(np.median(counts[counts > 0])))
    mean = np.bincount(losses.rater, known, n_raters) / np.maximum(counts, 1)
    order = np.argsort(np.where(enough, -mean, np.inf), kind="stable")[: min(N_HARDEST, int(enough.sum()))]
    out = []
    for rater in order:
        rows = np.flatnonzero(losses.rater == rater)
        interval = estimate_mean(known[rows], np.arange(len(rows)), unit="rating", seed=evidence.settings.seed)
        out.append(
            HardRater(
                rater_id=evidence.ratings.rater_ids[rater],
                n_ratings=len(rows),
                loss_nats=interval,
                loss_nothing_nats=float(losses.nats["nothing"][rows].mean()),
                representation_label=labelled(representation)[0],
            )
        )
    return out


def polarising_items(ratings: Ratings, seed: int, n_resamples: int) -> list[PolarisingItem]:
    """The items whose answers lie furthest apart, among those with enough ratings; each item's raters are resampled."""
    counts = item_option_counts(ratings.item_index, ratings.rating_index, n_items=ratings.n_items, n_options=ratings.n_options)
    values = _polarisation(counts, ratings)
    n = counts.sum(axis=1)
    enough = n >= min(MIN_RATINGS_SHOWN, int(np.median(n[n > 0])))
    order = np.argsort(np.where(enough & ~np.isnan(values), -values, np.inf), kind="stable")
    out = []
    for item in order[: min(N_POLARISING, int((enough & ~np.isnan(values)).sum()))]:
        drawn = np.random.default_rng(seed).multinomial(n[item], counts[item] / n[item], size=n_resamples)
        interval = estimate_from_draws(
            float(values[item]), _polarisation(drawn, ratings), n=int(n[item]), unit="rater", seed=seed
        )
        out.append(
            PolarisingItem(
                item_id=ratings.item_ids[item],
                text=item_text(ratings, int(item)),
                n_ratings=int(n[item]),
                polarisation=interval,
                option_shares=(counts[item] / n[item]).tolist(),
            )
        )
    return out


def _polarisation(counts: IntArray, ratings: Ratings) -> FloatArray:
    return polarisation(counts, ratings.scale.values) if ratings.scale.is_ordered else normalised_entropy(counts)
