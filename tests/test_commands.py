from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path

import polars as pl
import pytest

from pluralign import cli, commands
from pluralign.errors import DataError, RunError, UsageError
from pluralign.raters.evidence import StudySettings
from pluralign.raters.mixed import MixedSettings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.simulate import simulate
from pluralign.summaries import summary
from tables import SMALL, small_table, write_table

QUICK = StudySettings(
    cluster_counts=(2,),
    n_candidates=10,
    max_examples=4,
    n_permutations=50,
    n_resamples=200,
    model=MixedSettings(slope_components=2, max_factors=0),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_table(tmp_path_factory.mktemp("table") / "people.csv")


@pytest.fixture(scope="module")
def studied(table: Path) -> Path:
    out = table.parent / "out"
    commands.study(table, out, settings=QUICK)
    return out


def test_a_study_writes_records_results_and_the_page(studied: Path) -> None:
    assert {f.name for f in studied.iterdir()} >= {"config.json", "records.parquet", "results.json", "report.html", "steps"}
    results = json.loads((studied / "results.json").read_text())
    assert (results["data"]["n_ratings"], results["data"]["n_raters"], results["data"]["n_items"]) == (1200, 60, 24)
    records = pl.read_parquet(studied / "records.parquet")
    known = [row["representation"] for row in results["information"]["rows"]]
    assert set(records["representation"].cast(pl.String)) == {*known, "marginal"}
    assert (studied / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_losses_can_be_computed_again_from_the_records(studied: Path) -> None:
    """results.json says no more than records.parquet shows: the mean of -log p(rating) of each representation."""
    results = json.loads((studied / "results.json").read_text())
    options = results["data"]["options"]
    place = pl.col("rating").replace_strict(options, list(range(len(options))), return_dtype=pl.UInt32)
    losses = (
        pl.read_parquet(studied / "records.parquet")
        .with_columns(nats=-pl.col("probabilities").arr.get(place).cast(pl.Float64).log())
        .group_by(pl.col("representation").cast(pl.String))
        .agg(pl.col("nats").mean())
    )
    mean = dict(losses.iter_rows())
    for row in results["information"]["rows"]:
        assert row["loss_nats"]["value"] == pytest.approx(mean[row["representation"]], abs=1e-12)
    assert results["information"]["entropy_nats"]["value"] == pytest.approx(mean["marginal"], abs=1e-12)


def test_a_second_study_fits_nothing_and_finds_the_same(table: Path, studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a finished fold was computed again")

    before = (studied / "results.json").read_bytes(), (studied / "report.html").read_bytes()
    monkeypatch.setattr("pluralign.raters.study.evaluate_fold", refuse)
    monkeypatch.setattr("pluralign.raters.study.findings_of_study", refuse)
    (studied / "records.parquet").rename(studied / "records.kept")
    commands.study(table, studied, settings=QUICK)
    assert ((studied / "results.json").read_bytes(), (studied / "report.html").read_bytes()) == before
    made = pl.read_parquet(studied / "records.parquet")  # it was gone, so it was made again, from the finished folds
    assert made.equals(pl.read_parquet(studied / "records.kept"))


def test_a_folder_of_another_study_is_refused(table: Path, studied: Path) -> None:
    with pytest.raises(RunError, match="n_resamples: there 200, asked 300"):
        commands.study(table, studied, settings=dataclasses.replace(QUICK, n_resamples=300))


def test_the_order_of_rows_changes_nothing(table: Path, studied: Path, tmp_path: Path) -> None:
    rows = pl.read_csv(table, infer_schema=False)
    shuffled = tmp_path / "people.csv"
    rows.sample(fraction=1.0, shuffle=True, seed=3).write_csv(shuffled)
    found = commands.study(shuffled, tmp_path / "out", settings=QUICK)
    before = json.loads((studied / "results.json").read_text())["information"]["rows"]
    for row, old in zip(found.to_dict()["information"]["rows"], before, strict=True):
        assert row["loss_nats"]["value"] == pytest.approx(old["loss_nats"]["value"], abs=1e-6)


def test_a_plan_tells_what_the_study_then_does(table: Path, studied: Path, tmp_path: Path) -> None:
    plan = commands.plan(table, tmp_path / "none", settings=QUICK)
    assert not (tmp_path / "none").exists()
    records = pl.read_parquet(studied / "records.parquet")
    assert plan.n_records == records.height
    assert plan.n_scored == records.filter(pl.col("representation") == "nothing").height
    assert plan.n_fits == 2
    size = (studied / "records.parquet").stat().st_size / 1e6
    assert size / 4 < plan.record_megabytes < 4 * size
    text = "\n".join(plan.lines())
    assert "would fit 2 models" in text
    assert "age, region, education, religiosity" in text
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()


def test_a_plan_finds_what_is_wrong_with_the_data(tmp_path: Path) -> None:
    ratings = simulate(dataclasses.replace(SMALL, n_raters=5), seed=1).ratings
    with pytest.raises(DataError, match="5 of 5 raters have 4 or more ratings"):
        commands.plan(write_table(ratings, tmp_path / "few.csv"), tmp_path / "out")


def test_study_and_plan_take_the_same_arguments() -> None:
    of_study, of_plan = (inspect.signature(f).parameters for f in (commands.study, commands.plan))
    assert [*of_plan, "on_progress"] == list(of_study)
    of_study, of_plan = (inspect.signature(f).parameters for f in (commands.study_simulated, commands.plan_simulated))
    assert [*of_plan, "on_progress"] == list(of_study)


def test_flags_of_the_study_default_to_its_settings() -> None:
    assert cli.StudyFlags().to_settings(seed=0) == StudySettings()
    assert cli.StudyFlags(clusters=(4, 2, 4)).to_settings(seed=3) == StudySettings(seed=3, cluster_counts=(2, 4))


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", -1), ("n_seeds", 0), ("n_folds", 1), ("max_examples", 0), ("n_permutations", 0), ("n_resamples", 99)],
)
def test_settings_that_cannot_be_are_refused(field: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{field} is {value}, lowest is {value + 1}"):
        StudySettings(**{field: value})
    with pytest.raises(UsageError, match="1 clusters were asked for, lowest is 2"):
        StudySettings(cluster_counts=(2, 1))


# features


def test_features_stand_in_for_texts(table: Path, studied: Path, tmp_path: Path) -> None:
    """Texts tell something about these situations; zeros tell nothing, so the loss with them is another."""
    path = tmp_path / "zeros.csv"
    pl.read_csv(table).select("item_id").unique().sort("item_id").with_columns(a=0.0, b=pl.lit(0.0)).write_csv(path)
    found = commands.study(table, tmp_path / "out", features=path, settings=QUICK)
    before = json.loads((studied / "results.json").read_text())["information"]["rows"][0]
    assert found.information.rows[0].loss_nats.value != pytest.approx(before["loss_nats"]["value"], abs=1e-6)
    with pytest.raises(RunError, match="features: there null"):
        commands.study(table, studied, features=path, settings=QUICK)


def test_faults_of_features_come_out_before_anything_is_fitted(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    for text, said in (
        ("item_id,a\ni00000,1.5\n", "23 items have no finite features, e.g. 'i00001'"),
        ("item_id,a\ni00000,word\n", "column 'a' is String, not numbers"),
        ("item,a\ni00000,1\n", "need a column 'item_id'"),
        ("", "cannot be read as csv"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            commands.plan(table, tmp_path / "out", features=path)
    with pytest.raises(DataError, match="cannot be read as parquet"):
        commands.plan(table, tmp_path / "out", features=tmp_path / "none.parquet")


# --limit


def test_limit_keeps_that_many_raters_by_the_seed_and_says_so() -> None:
    ratings = simulate(SMALL, seed=1).ratings
    some, same, other = (commands.limited(ratings, 10, seed=s) for s in (0, 0, 1))
    kept, again, others = (sorted(t.raters["rater_id"].gather(t.rater_index).unique()) for t in (some, same, other))
    assert len(kept) == 10
    assert kept == again != others
    assert len(some) == 200  # each rater gave 20 ratings, and keeps them all
    assert any("raters left out of 60" in str(note) and "(50)" in str(note) for note in some.notes)
    assert commands.limited(ratings, 60, seed=0) is ratings
    with pytest.raises(UsageError, match="--limit 0"):
        commands.limited(ratings, 0, seed=0)


# simulated people


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines that a small study of simulated people prints; the truth is made up here, since its own tests are elsewhere."""
    folder = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "Population", lambda: SMALL)
        patch.setattr(commands, "family_information", lambda *_, **__: {"examples:4": 0.1, "clusters:2": 9.0})
        return summary(commands.study_simulated(folder / "simulated", settings=QUICK))


def test_a_study_of_simulated_people_prints_the_truth_beside_the_estimate_and_whether_the_interval_holds_it(
    shown: list[str],
) -> None:
    rows = {line.strip().partition("  ")[0]: line for line in shown if line.startswith("  ")}
    assert rows["knowing also"].split()[-3:] == ["truth", "in", "interval"]
    assert re.search(r"9\.000 +NO$", rows["2 clusters"])
    low, high = map(float, re.search(r"\[(.*?), (.*?)\]", rows["4 past ratings"]).groups())  # type: ignore[union-attr]  # it matches
    assert rows["4 past ratings"].split()[-2:] == ["0.100", "yes" if low <= 0.1 <= high else "NO"]
    assert rows["age"].split()[-2:] == ["-", "-"]
    assert any(re.fullmatch(r"[012] of 2 intervals hold the true value", line) for line in shown)
    assert any(re.match(r"[012] of 2 do of the wider ones", line) for line in shown)
    assert any(re.search(r"nats, adjusted Rand -?[01]\.\d\d", line) for line in shown)


def test_the_summary_fits_a_terminal_and_has_no_minus_zero(shown: list[str]) -> None:
    assert max(len(line) for line in shown) <= 100
    assert [line for line in shown if re.search(r"-0(\.0+)?(?![.\d])", line)] == []


def test_a_summary_of_a_real_table_has_no_truth(table: Path, studied: Path) -> None:
    lines = summary(commands.study(table, studied, settings=QUICK))
    assert not any("truth" in line for line in lines)
    assert lines[0] == "people: 1,200 ratings by 60 raters of 24 items, 2 ordinal options"
    assert lines[1].startswith("Krippendorff's alpha: 0.")


def test_a_table_that_was_written_is_read_again(table: Path) -> None:
    again = read_ratings(table, ReadOptions())
    assert sorted(again.attributes) == ["rater_age", "rater_education", "rater_region", "rater_religiosity"]
