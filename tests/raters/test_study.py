"""The study as a whole on small simulated populations: what it depends on, what it must not, and what it warns of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, RunError
from pluralign.estimates import estimate_mean
from pluralign.raters import describe
from pluralign.raters.describe import findings_of_study
from pluralign.raters.evidence import StudySettings
from pluralign.raters.features import GivenFeatures
from pluralign.raters.findings import Findings
from pluralign.raters.mixed import MixedSettings
from pluralign.raters.study import evaluate_folds, modelled_part, run_study
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.simulate import Population, Simulation, simulate

SETTINGS = StudySettings(
    cluster_counts=(2,),
    n_candidates=20,
    n_permutations=99,
    n_resamples=200,
    max_examples=4,
    model=MixedSettings(max_iterations=15),
)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(Population(n_raters=120, n_items=40, ratings_per_rater=16), seed=3)


@pytest.fixture(scope="module")
def findings(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return run_study(simulation.ratings, tmp_path_factory.mktemp("study") / "run", SETTINGS, true_groups=simulation.archetype)


def row_of(findings: Findings, representation: str) -> float:
    return next(r for r in findings.information.rows if r.representation == representation).information_nats.value


def test_the_order_of_rows_changes_nothing(simulation: Simulation, findings: Findings, tmp_path: Path) -> None:
    shuffled = simulation.ratings.to_long().sample(fraction=1.0, shuffle=True, seed=1)
    again = Ratings.from_long(shuffled, simulation.ratings.scale, name=simulation.ratings.name)
    other = run_study(again, tmp_path / "run", SETTINGS, true_groups=simulation.archetype)
    assert other.to_dict() == findings.to_dict()


def test_intervals_that_hold_together_are_wider_and_there_for_every_row(findings: Findings) -> None:
    rows = [row for row in findings.information.rows if row.kind != "nothing"]
    for row in rows:
        assert row.joint_low is not None
        assert row.joint_high is not None
        assert row.joint_low < row.information_nats.low < row.information_nats.high < row.joint_high
    assert findings.information.rows[0].joint_low is None


def test_intervals_have_the_share_of_the_raters_learned_from(simulation: Simulation) -> None:
    """Without what the folds measured of it, intervals are those of the scored raters alone, and narrower."""
    evidence = evaluate_folds(simulation.ratings, SETTINGS)
    assert evidence.without["fold"].unique().sort().to_list() == [0, 1]
    blind = replace(evidence, without=evidence.without.clear(), halves=evidence.halves.clear())
    with_fits, without = (
        {
            row.representation: row.information_nats
            for row in findings_of_study(e, simulation.ratings, truth_nats={}, true_groups=None).information.rows
        }
        for e in (evidence, blind)
    )
    widened = 0
    for name, estimate in with_fits.items():
        if not estimate.is_defined:
            continue
        alone = without[name]
        assert estimate.value == alone.value
        below, above = estimate.value - estimate.low, estimate.high - estimate.value
        ratio = below / (alone.value - alone.low)
        assert ratio == pytest.approx(above / (alone.high - alone.value), rel=1e-9), name
        assert ratio >= 1 - 1e-9
        widened += ratio > 1.05
    assert widened >= 3


def test_another_seed_is_another_split(simulation: Simulation, findings: Findings, tmp_path: Path) -> None:
    other = run_study(simulation.ratings, tmp_path / "run", replace(SETTINGS, seed=1))
    assert row_of(other, "examples:4") != row_of(findings, "examples:4")
    assert row_of(other, "examples:4") == pytest.approx(row_of(findings, "examples:4"), abs=0.05)


def test_more_seeds_score_more_ratings_of_the_same_raters(simulation: Simulation, findings: Findings, tmp_path: Path) -> None:
    twice = run_study(simulation.ratings, tmp_path / "run", replace(SETTINGS, n_seeds=2))
    assert 1.5 * findings.information.n_evaluated < twice.information.n_evaluated < 2.5 * findings.information.n_evaluated
    assert twice.information.entropy_nats.n == 120


def test_of_a_large_table_some_raters_are_modelled_as_if_alone_and_all_are_counted(
    simulation: Simulation, findings: Findings, tmp_path: Path
) -> None:
    """960 ratings are those of 60 of 120 raters; the words for it come from the findings themselves."""
    settings = replace(SETTINGS, most_ratings=960)
    found = run_study(simulation.ratings, tmp_path / "run", settings, true_groups=simulation.archetype)
    part, kept = modelled_part(simulation.ratings, settings)
    alone = run_study(part, tmp_path / "alone", SETTINGS, true_groups=simulation.archetype[kept])
    assert (part.n_raters, len(part)) == (found.data.n_raters_modelled, found.data.n_ratings_modelled) == (60, 960)
    assert (found.data.n_raters, found.data.n_ratings) == (120, 1920)
    for name in ("information", "clusterings", "calibrations", "hardest_raters"):
        assert getattr(found, name) == getattr(alone, name), name
    for name in ("agreement", "polarising_items"):
        assert getattr(found, name) == getattr(findings, name), name
    assert any("60 raters drawn by chance, with 960 of the 1,920 ratings" in note for note in found.data.notes)
    n = [int(np.median(np.bincount(ratings.item_index))) for ratings in (part, simulation.ratings)]
    sizes = f"half of the items have {n[0]} or more of the ratings that were modelled, and {n[1]} or more of all"
    assert sum(note.endswith(sizes) for note in found.data.notes) == 1
    records = pl.read_parquet(tmp_path / "run" / "records.parquet")
    assert set(records["rater_id"]) <= {simulation.ratings.rater_ids[n] for n in kept}
    with pytest.raises(DataError, match="at least 8 such raters"):
        run_study(simulation.ratings, tmp_path / "few", replace(SETTINGS, most_ratings=16))


def test_with_very_many_ratings_alpha_has_fewer_resamples_and_says_so(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = simulation.ratings
    assert describe._of_a_large_table(part, part, 120, 400) == []
    many = describe._agreement(part, 0, 400).alpha_other_raters
    monkeypatch.setattr(describe, "MAX_RATER_CELLS", 100 * len(part))
    # .68 / sqrt(100) of the width
    assert describe._of_a_large_table(part, part, 120, 400) == [
        "alpha's interval for other raters is of 100 resamples, not 400, since the ratings are so many: "
        "each of its ends is good to about 7% of its width"
    ]
    few = describe._agreement(part, 0, 400).alpha_other_raters
    assert few.value == many.value
    assert (few.low, few.high) != (many.low, many.high)
    assert max(abs(few.low - many.low), abs(few.high - many.high)) < 4 * 0.07 * (many.high - many.low)


def test_shares_of_the_options_are_means_over_ratings_with_raters_resampled(simulation: Simulation, findings: Findings) -> None:
    ratings = simulation.ratings
    for option, share in enumerate(findings.data.option_shares):
        chosen = (ratings.rating_index == option).astype(np.float64)
        plain = estimate_mean(chosen, ratings.rater_index, seed=SETTINGS.seed, n_resamples=SETTINGS.n_resamples)
        assert (share.value, share.low, share.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)
        assert share.n == plain.n


def test_results_survive_json(findings: Findings) -> None:
    assert Findings.from_dict(findings.to_dict()) == findings


def test_an_attribute_made_from_the_ratings_is_called_into_question(tmp_path: Path) -> None:
    ratings = simulate(Population(n_raters=120, n_items=40, ratings_per_rater=16, shift_sd=2.0), seed=3).ratings
    mean = np.bincount(ratings.rater_index, ratings.values) / np.bincount(ratings.rater_index)
    quarter = np.searchsorted(np.quantile(mean, [0.25, 0.5, 0.75]), mean)
    vote = pl.Series("rater_vote", [f"quarter {k}" for k in quarter])
    leaky = replace(ratings, raters=ratings.raters.select("rater_id", "rater_age").with_columns(vote))
    found = run_study(leaky, tmp_path / "run", SETTINGS)
    asked = [note for note in found.data.notes if "is it computed from the ratings?" in note]
    assert len(asked) == 1
    assert asked[0].startswith("'vote'")


def test_brought_features_are_part_of_the_run_and_of_the_model(
    simulation: Simulation, findings: Findings, tmp_path: Path
) -> None:
    ratings = simulation.ratings
    phi = pl.DataFrame({f"phi{j}": simulation.features[:, j] for j in range(10)})
    features = GivenFeatures(ratings.items.select("item_id").hstack(phi))
    found = run_study(ratings, tmp_path / "run", SETTINGS, features=features)
    assert row_of(found, "examples:4") != row_of(findings, "examples:4")
    with pytest.raises(RunError, match="features"):
        run_study(ratings, tmp_path / "run", SETTINGS)


def test_records_recompute_the_losses(simulation: Simulation, tmp_path: Path) -> None:
    found = run_study(simulation.ratings, tmp_path / "run", SETTINGS)
    records = pl.read_parquet(tmp_path / "run" / "records.parquet").filter(representation="nothing")
    position = {option: k for k, option in enumerate(simulation.ratings.scale.options)}
    chosen = [position[rating] for rating in records["rating"]]
    loss = -np.log(records["probabilities"].to_numpy()[np.arange(len(chosen)), chosen].astype(np.float64))
    assert found.information.rows[0].loss_nats.value == pytest.approx(loss.mean(), abs=1e-9)


@pytest.mark.parametrize(("n_raters", "per_rater"), [(7, 16), (40, 3)])
def test_too_little_to_study_is_said(n_raters: int, per_rater: int, tmp_path: Path) -> None:
    ratings = simulate(Population(n_raters=n_raters, n_items=40, ratings_per_rater=per_rater), seed=0).ratings
    with pytest.raises(DataError, match="at least 8 such raters"):
        run_study(ratings, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


def test_everybody_agreeing_is_nothing_to_study(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "item_id": [f"i{k % 5}" for k in range(60)],
            "rater_id": [f"r{k // 5:02d}" for k in range(60)],
            "rating": ["yes"] * 60,
        }
    )
    with pytest.raises(DataError, match="no disagreement to study"):
        run_study(Ratings.from_long(table, Scale("nominal", ("no", "yes"))), tmp_path / "run", SETTINGS)
