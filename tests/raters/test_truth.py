"""The truth of simulated people, and whether a study finds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pluralign.raters.evidence import StudySettings
from pluralign.raters.mixed import MixedSettings
from pluralign.raters.study import run_study
from pluralign.raters.truth import family_information
from pluralign.ratings.simulate import Population, simulate

SMALL = Population(n_raters=200, n_items=60, ratings_per_rater=20)
QUICK = StudySettings(cluster_counts=(2,), n_candidates=20, max_examples=4, model=MixedSettings(max_iterations=10))


def test_truth_has_a_value_for_all_that_can_be_known_and_grows_with_the_examples() -> None:
    truth = family_information(SMALL, QUICK, n_scored=600, n_repeats=1)
    assert set(truth) == {
        *(f"attribute:{name}" for name in ("age", "region", "education", "religiosity")),
        "attributes",
        "examples:1",
        "examples:2",
        "examples:4",
        "clusters:2",
    }
    assert 0 < truth["examples:1"] < truth["examples:2"] < truth["examples:4"]


def test_more_raters_to_fit_on_reveal_more() -> None:
    """The estimand is that of a study's own size; the family gains more from eight times the raters."""
    settings = replace(QUICK, cluster_counts=())
    few = family_information(SMALL, settings, n_train=60, n_scored=500, n_repeats=1)
    many = family_information(SMALL, settings, n_train=480, n_scored=500, n_repeats=1)
    assert many["examples:4"] > few["examples:4"]
    assert many["attributes"] > few["attributes"]


def test_attributes_without_strength_tell_nothing() -> None:
    population = replace(SMALL, attribute_strength=0.0)
    truth = family_information(population, replace(QUICK, cluster_counts=()), n_train=400, n_scored=800, n_repeats=1)
    assert abs(truth["attributes"]) < 0.004
    assert truth["examples:4"] > 0.01


@pytest.mark.slow
def test_intervals_hold_the_truth_and_clusters_are_the_archetypes(tmp_path: Path) -> None:
    """2,000 raters, 40 ratings each, 3 seeds. Rows of one seed share raters and miss together: 4 in 5 have to hold.

    The joint intervals all hold, in each of the seeds.
    """
    population = Population()
    inside, jointly = [], []
    for seed in range(3):
        settings = StudySettings(seed=seed)
        simulation = simulate(population, seed=seed)
        found = run_study(simulation.ratings, tmp_path / f"information-{seed}", settings)
        truth = family_information(population, settings, n_repeats=3)
        rows = [replace(r, truth_nats=truth[r.representation]) for r in found.information.rows if r.representation in truth]
        inside += [row.holds_truth for row in rows]
        jointly += [row.holds_truth_jointly for row in rows]
        separable = simulate(replace(population, sigma=0.05), seed=seed)
        grouped = replace(settings, cluster_counts=(4,))
        groups = run_study(separable.ratings, tmp_path / f"groups-{seed}", grouped, true_groups=separable.archetype)
        rand = groups.clusterings[0].truth_adjusted_rand
        assert rand is not None
        assert rand >= 0.9
    assert len(inside) == 42
    assert sum(bool(holds) for holds in inside) >= 0.8 * len(inside)
    assert all(jointly)
