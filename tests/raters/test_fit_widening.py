"""Which kind of knowledge is widened by what."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.raters.evidence import StudyEvidence, StudySettings
from pluralign.raters.fit_halves import HALVES_SCHEMA
from pluralign.raters.fit_widening import fit_widenings
from pluralign.ratings.simulate import Population, simulate

NAMES = ["nothing", "attribute:age", "attributes", "examples:1", "examples:2", "clusters:2"]
GAINS = np.array([3.0, 1.0, 2.0, 2.0])


def evidence() -> StudyEvidence:
    without = {(0, 2): 11.0, (0, 3): 9.0, (1, 0): 14.0, (1, 1): 10.0}
    rows = [("attribute:age", fold, group, loss) for (fold, group), loss in without.items()]
    columns = {"representation": pl.String, "fold": pl.Int64, "group": pl.Int64, "loss_nats": pl.Float64}
    # the four scored raters' gains of 3, 1, 2, 2 from two ratings each: variance (1 + 1) / 64
    halves = [("examples:1", (1 + 8 * 3 / 32) ** 0.5, 1.0)]
    return StudyEvidence(
        ratings=simulate(Population(n_raters=4, n_items=8, ratings_per_rater=4), seed=0).ratings,
        attributes=[],
        attribute_summaries=[],
        records=pl.DataFrame(),
        tables=[],
        cluster_of_rater={},
        cluster_predictions={},
        left_out=np.arange(4),
        without=pl.DataFrame(rows, schema=columns, orient="row"),
        halves=pl.DataFrame(halves, schema=HALVES_SCHEMA, orient="row"),
        settings=StudySettings(),
    )


def test_each_kind_has_its_own_widening() -> None:
    gains = np.stack([np.zeros(4), *[GAINS] * 5], axis=1)
    found = fit_widenings(NAMES, gains, np.full(4, 2.0), np.arange(4), evidence())
    # attribute:age: sqrt(8.5 / 2), worked out in test_fit_jackknife; past ratings: 1 + (24 / 32) / 8 / (2 / 64) = 4, for both
    assert found == pytest.approx([1.0, (8.5 / 2) ** 0.5, 1.0, 2.0, 2.0, 1.0], abs=1e-12)


def test_an_infinite_loss_is_left_as_it_is() -> None:
    gains = np.stack([np.zeros(4), [-np.inf, 1.0, 2.0, 2.0], GAINS, GAINS, GAINS, GAINS], axis=1)
    found = fit_widenings(NAMES, gains, np.full(4, 2.0), np.arange(4), evidence())
    assert found == pytest.approx([1.0, 1.0, 1.0, 2.0, 2.0, 1.0], abs=1e-12)
