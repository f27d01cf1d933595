"""What runs evaluations: which tasks, runs that go on, records that are measured again, runs that are compared."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evals.coin_kind import COINS
from pluralign.errors import DataError, RunError, UsageError
from pluralign.evals import compare, registry
from pluralign.evals.compare import compared
from pluralign.evals.evaluate import evaluate, planned
from pluralign.evals.findings import ITEM_SCHEMA, Finding, mean_of
from pluralign.evals.kinds import Setting
from pluralign.evals.lines import comparison_lines, evaluated_lines, plan_lines
from pluralign.evals.rescore import rescored
from pluralign.evals.results import read_evaluated, read_records
from pluralign.models import Query
from pluralign.models.scripted import ScriptedModel

Shares = Mapping[str, float]


@pytest.fixture(autouse=True)
def coins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KINDS", {"coins": "evals.coin_kind:COINS"})


def heads(share: float, **settings: Any) -> ScriptedModel:
    def shares(query: Query) -> Shares:
        return {"heads": share, "tails": 1 - share}

    return ScriptedModel(shares, revision=f"heads {share}", **settings)


def of(findings: list[Finding], task: str, metric: str) -> Finding:
    [found] = [one for one in findings if (one.task, one.metric) == (task, metric)]
    return found


# which tasks


def test_all_tasks_are_asked_whose_data_are_there_and_the_others_are_named() -> None:
    plan = planned((), Setting())
    assert [material.task for _, material in plan.materials] == ["fair", "bent"]
    [lost] = plan.not_run
    assert (lost.evaluation, lost.task) == ("coins", "lost")
    assert "--data-dir" in lost.why
    assert plan.n_requests == 40


@pytest.mark.parametrize(
    ("names", "tasks"), [(("coins",), 2), (("bent",), 1), (("coins/bent", "bent"), 1), (("bent", "fair"), 2)]
)
def test_tasks_are_named_by_evaluation_or_task(names: tuple[str, ...], tasks: int) -> None:
    assert len(planned(names, Setting()).materials) == tasks


def test_a_named_task_has_to_be_there() -> None:
    for names in (("lost",), ("coins/lost",)):
        with pytest.raises(DataError, match=r"lost\.csv"):
            planned(names, Setting())
    with pytest.raises(UsageError, match="'bent'"):
        planned(("bemt",), Setting())


def test_nothing_is_fetched_for_tasks_that_nobody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KINDS", {"alignment": "pluralign.evals.alignment:ALIGNMENT"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("pluralign.suite.reading.require_file", lambda *_: pytest.fail("a file was asked for"))
    plan = planned((), Setting(limit=2, data_dir=tmp_path))
    assert {material.task for _, material in plan.materials} == {"states", "urn"}
    why = {one.task: one.why for one in plan.not_run}
    assert "--data-dir" in why["mpi"]
    assert "name the task" in why["global_oqa"]


# a run


def test_a_run_leaves_findings_and_every_record(tmp_path: Path) -> None:
    found = evaluate(heads(0.6), tmp_path / "run")
    distance = of(found.findings["coins"], "fair", "distance")  # |.6 - .5|
    assert abs(distance.estimate.value - 0.1) < 1e-12
    assert distance.estimate.n == 10
    assert abs(of(found.findings["coins"], "bent", "distance").estimate.value - 0.2) < 1e-12
    assert found.outcomes == {"coins": {"ok": 40}}
    again = read_evaluated(tmp_path / "run")
    assert again.to_dict() == found.to_dict() == json.loads((tmp_path / "run" / "results.json").read_text())
    records = read_records(tmp_path / "run", "coins")
    assert len(records) == 40
    assert set(records["task"]) == {"fair", "bent"}


def test_a_killed_run_goes_on_and_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.evals.evaluate.PART_REQUESTS", 5)
    with pytest.raises(Exception, match="fail_after"):
        evaluate(heads(0.6, fail_after=23), tmp_path / "run")
    rest = heads(0.6)
    found = evaluate(rest, tmp_path / "run")
    assert rest.usage.requests == 40 - 20
    assert found.findings == evaluate(heads(0.6), tmp_path / "whole").findings
    assert found.totals.usage.requests == 40


def test_another_model_or_limit_is_another_run(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "run")
    for model, setting in ((heads(0.5), Setting()), (heads(0.6), Setting(limit=3)), (heads(0.6), Setting(seed=1))):
        with pytest.raises(RunError, match="another"):
            evaluate(model, tmp_path / "run", setting=setting)


def test_requests_without_an_answer_are_counted_and_have_no_value(tmp_path: Path) -> None:
    found = evaluate(heads(0.6, faults={"refusal": 0.3}), tmp_path / "run")
    n_refused = found.outcomes["coins"]["refusal"]
    assert 0 < n_refused < 40
    items = COINS.items(read_records(tmp_path / "run", "coins"))
    assert items.filter(pl.col("metric") == "heads")["value"].is_nan().sum() == n_refused
    assert abs(of(found.findings["coins"], "fair", "distance").estimate.value - 0.1) < 1e-12


# means


def items_of(values: list[float], units: list[str]) -> pl.DataFrame:
    rows = [("t", "m", str(n), unit, value) for n, (unit, value) in enumerate(zip(units, values, strict=True))]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")


def test_a_mean_is_over_items_and_resamples_units() -> None:
    mean = mean_of(items_of([1.0, 0.0, 0.0, float("nan")], ["a", "a", "b", "b"]), "t", "m", unit="coin", seed=0)
    assert abs(mean.value - 1 / 3) < 1e-12
    assert (mean.n, mean.unit) == (2, "coin")


def test_a_mean_of_what_is_infinite_or_nothing_says_so() -> None:
    infinite = mean_of(items_of([1.0, float("inf")], ["a", "b"]), "t", "m", unit="coin", seed=0)
    assert infinite.why_undefined == "infinite for 1 of 2 items"
    nothing = mean_of(items_of([float("nan")] * 2, ["a", "b"]), "t", "m", unit="coin", seed=0)
    assert "no value for any of 2" in str(nothing.why_undefined)


# measured anew


def test_rescoring_gives_the_same_without_a_model(tmp_path: Path) -> None:
    found = evaluate(heads(0.6), tmp_path / "run")
    assert rescored(tmp_path / "run").to_dict() == found.to_dict()
    only = rescored(tmp_path / "run", metrics=["heads"])
    assert {one.metric for one in only.findings["coins"]} == {"heads"}
    other = rescored(tmp_path / "run", seed=9).findings["coins"][0].estimate
    assert (other.value, other.seed) == (found.findings["coins"][0].estimate.value, 9)
    with pytest.raises(UsageError, match="'heads'"):
        rescored(tmp_path / "run", metrics=["head"])


@pytest.mark.parametrize("content", [None, "{}", '{"evaluations": {}, "format": 99}'])
def test_folders_of_other_kinds_and_versions_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError):
        rescored(tmp_path)


def test_records_that_are_gone_are_named(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "run")
    (tmp_path / "run" / "records-coins.parquet").unlink()
    with pytest.raises(DataError, match="records-coins"):
        rescored(tmp_path / "run")


# compared


def test_a_difference_is_paired_by_item(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "base")
    evaluate(heads(0.7), tmp_path / "tuned")
    found = compared([tmp_path / "base", tmp_path / "tuned"])
    by_task = {one.task: one for one in found.differences if one.metric == "distance"}
    assert abs(by_task["fair"].estimate.value - (0.2 - 0.1)) < 1e-12
    assert abs(by_task["bent"].estimate.value - (0.1 - 0.2)) < 1e-12
    assert by_task["fair"].run == "tuned"
    assert by_task["fair"].n_items == 20
    assert all(one.is_clear for one in found.differences)
    assert {one.metric for one in compared([tmp_path / "base", tmp_path / "tuned"], metrics=["heads"]).differences} == {"heads"}


def test_items_without_a_value_in_one_run_are_left_out_and_counted(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "a")
    found = evaluate(heads(0.7, faults={"refusal": 0.3}), tmp_path / "b")
    differences = compared([tmp_path / "a", tmp_path / "b"]).differences
    assert sum(one.n_undefined for one in differences if one.metric == "heads") == found.outcomes["coins"]["refusal"]


def test_runs_on_different_items_are_refused(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "a")
    evaluate(heads(0.6), tmp_path / "b", setting=Setting(limit=7))
    with pytest.raises(DataError, match="13 items only a has, 0 only b, 7 both"):
        compared([tmp_path / "a", tmp_path / "b"])
    evaluate(heads(0.6), tmp_path / "fair", tasks=["fair"])
    evaluate(heads(0.6), tmp_path / "bent", tasks=["bent"])
    with pytest.raises(DataError, match="no task in common"):
        compared([tmp_path / "fair", tmp_path / "bent"])
    with pytest.raises(UsageError, match="two run folders"):
        compared([tmp_path / "a"])


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("x", "y"):
        evaluate(heads(0.6), tmp_path / name / "run")
    found = compared([tmp_path / "x" / "run", tmp_path / "y" / "run"])
    assert list(found.runs) == [str(tmp_path / "x" / "run"), str(tmp_path / "y" / "run")]
    assert not any(one.is_clear for one in found.differences)


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    values, units = np.array([0.5, 0.1, -0.2, 0.4, 0.3, 0.2, 0.1]), np.array([0, 0, 1, 2, 3, 4, 5])
    sums = np.array([0.6, -0.2, 0.4, 0.3, 0.2, 0.1])
    flips = [abs(float(np.dot(signs, sums))) for signs in itertools.product((1, -1), repeat=6)]
    exact = np.mean([flipped >= abs(sums.sum()) - 1e-12 for flipped in flips])
    assert abs(compare._sign_flip_p(values, units, 0) - exact) < 0.01


def test_differences_by_chance_are_called_clear_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(0)
    p = [compare._sign_flip_p(rng.normal(size=60), np.arange(60) // 3, seed) for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1


# told


def test_lines_for_people(tmp_path: Path) -> None:
    evaluate(heads(0.6), tmp_path / "base")
    found = evaluate(heads(0.7), tmp_path / "tuned")
    text = "\n".join(evaluated_lines(found))
    assert "coins: 40 questions of 2 tasks; ok 40" in text
    assert "0.200 [0.200, 0.200]" in text
    assert "lost" in text
    assert "Heads" not in text
    assert "Heads" in "\n".join(evaluated_lines(found, is_whole=True))
    text = "\n".join(comparison_lines(compared([tmp_path / "base", tmp_path / "tuned"])))
    assert "* worse" in text
    assert "* better" in text
    assert "Nothing was asked" in plan_lines(planned((), Setting()), "scripted", "out")[-1]
