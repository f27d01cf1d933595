from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.evals.coverage import COVERAGE, RECORD_SCHEMA, CoverageEvaluation, CoverageQuestion
from pluralign.evals.coverage_findings import Counting
from pluralign.evals.equivalence import EXACT
from pluralign.evals.findings import ITEM_SCHEMA, Finding
from pluralign.evals.kinds import Setting
from pluralign.models import Query
from pluralign.models.scripted import ScriptedModel

TEN = [str(n) for n in range(1, 11)]
STATES = ["Oregon", "Texas", "Vermont"]


def _model(shares: Mapping[str, float], **faults: float) -> ScriptedModel:
    return ScriptedModel(lambda _: shares, faults=faults)  # type: ignore[arg-type]  # names of faults


def _asked(task: str, model: ScriptedModel, **setting: Any) -> pl.DataFrame:
    chosen = Setting(**setting)
    return COVERAGE.ask(COVERAGE.material(task, chosen).questions, model, chosen)


def _records(
    texts: Sequence[tuple[str, bool | None, str]], *, task: str = "t", prompt: str = "both", closed: int | None = None
) -> pl.DataFrame:
    """Of (text, is_valid, outcome)."""
    rows = [
        {
            "task": task,
            "item": f"{task}/{prompt}/{n}",
            "unit": task,
            "prompt": prompt,
            "text": text,
            "is_valid": is_valid,
            "outcome": outcome,
            "closed_size": closed,
        }
        for n, (text, is_valid, outcome) in enumerate(texts)
    ]
    return pl.DataFrame(rows, schema=RECORD_SCHEMA)


def _found(records: pl.DataFrame, metric: str, *, task: str | None = None, group: str | None = None) -> Finding:
    [finding] = [
        one
        for one in COVERAGE.findings(records, seed=0)
        if one.metric == metric and one.group == group and task in (None, one.task)
    ]
    return finding


MIXED = [
    ("a", True, "ok"),
    ("a", True, "ok"),
    ("b", True, "ok"),
    ("x", False, "ok"),
    ("y", None, "unfinished"),
    ("", None, "refusal"),
    ("", None, "malformed"),
    ("", None, "failed"),
]


# by hand


def test_measures_by_hand() -> None:
    """7 of 8 came, 3 of them are valid, 2 of these different; of 3 pairs of valid ones 1 is the same; 3 of 7 texts differ."""
    records = _records(MIXED, closed=5)
    values = {
        "validity": 3 / 7,
        "yield": 2,
        "diversity": 2 / 3,
        "usable_unique": 2 / 7,
        "covered_share": 2 / 5,
        "pair_collision": 1 / 3,
        "raw_distinct": 3 / 7,
        "unfinished": 1 / 7,
        "refusal": 1 / 7,
        "malformed": 1 / 7,
        "failed": 1 / 8,
    }
    for metric, value in values.items():
        found = _found(records, metric)
        assert found.estimate.value == pytest.approx(value, abs=1e-12), metric
        assert found.estimate.low <= value <= found.estimate.high
    assert _found(records, "yield").scale == "of 8"


def test_floor_and_ceiling_by_hand() -> None:
    """7 even draws of 5: 5 (1 - (4/5)^7); 3 of them: 5 (1 - (4/5)^3) = 61/25."""
    records = _records(MIXED, closed=5)
    most = 5 * (1 - (4 / 5) ** 7)
    references = {
        "yield": (1, most),
        "covered_share": (1 / 5, most / 5),
        "usable_unique": (1 / 7, most / 7),
        "diversity": (1 / 3, 61 / 25 / 3),
        "pair_collision": (1, 1 / 5),
    }
    for metric, (floor, ceiling) in references.items():
        found = _found(records, metric)
        assert found.floor is not None
        assert found.ceiling is not None
        assert found.floor.estimate.value == pytest.approx(floor, abs=1e-12), metric
        assert found.ceiling.estimate.value == pytest.approx(ceiling, abs=1e-12), metric
    of_an_open_set = _found(_records(MIXED), "yield")
    assert of_an_open_set.floor is not None
    assert of_an_open_set.ceiling is None
    assert "covered_share" not in {one.metric for one in COVERAGE.findings(_records(MIXED), seed=0)}


def test_distinct_k_and_utility_k_take_an_equivalence() -> None:
    """Three texts that are one when folded, one of them invalid: utility is patience's first weight times 2/3."""
    records = _records([("Oregon", True, "ok"), ("oregon", False, "ok"), ("OREGON", True, "ok")])
    folded = CoverageEvaluation(counting=Counting(k=2))
    exact = CoverageEvaluation(counting=Counting(k=2, equivalence=EXACT, patience=0.5))
    of_folded = {one.metric: one.estimate.value for one in folded.findings(records, seed=0) if one.group is None}
    of_exact = {one.metric: one.estimate.value for one in exact.findings(records, seed=0) if one.group is None}
    assert of_folded["distinct_2"] == pytest.approx(1, abs=1e-12)
    assert of_folded["utility_2"] == pytest.approx(0.2 / (1 - 0.64) * 2 / 3, abs=1e-12)
    assert of_exact["distinct_2"] == pytest.approx(2, abs=1e-12)
    assert of_exact["utility_2"] == pytest.approx(2 / 3, abs=1e-12)


def test_nothing_undefined_becomes_0() -> None:
    none = _records([("x", False, "ok"), ("", None, "refusal"), ("y", False, "ok")])
    assert _found(none, "validity").estimate.value == 0
    assert _found(none, "yield").estimate.value == 0
    assert _found(none, "diversity").estimate.why_undefined == "none is valid"
    assert _found(none, "pair_collision").estimate.why_undefined is not None
    lost = _records([("", None, "failed")] * 3)
    assert not _found(lost, "validity").estimate.is_defined
    assert not _found(lost, "yield").estimate.is_defined
    assert _found(lost, "failed").estimate.value == 1
    assert COVERAGE.items(lost).filter(pl.col("task") == "t")["value"].is_nan().all()


def test_a_task_is_the_mean_of_its_prompts_and_tasks_are_averaged() -> None:
    """t: (2 + 1) / 2 = 3/2; u: 1; their mean 5/4. Diversity of u is undefined, so t's alone is there, without an interval."""
    records = pl.concat(
        [
            _records([("a", True, "ok"), ("b", True, "ok")], closed=2),
            _records([("a", True, "ok"), ("x", False, "ok")], prompt="examples", closed=2),
            _records([("a", True, "ok"), ("a", True, "ok")], task="u", closed=4),
            _records([("x", False, "ok"), ("x", False, "ok")], task="u", prompt="examples", closed=4),
        ]
    )
    assert _found(records, "yield", task="t").estimate.value == pytest.approx(3 / 2, abs=1e-12)
    assert _found(records, "yield", task="t", group="both").estimate.value == 2
    assert _found(records, "yield", task="u").estimate.value == pytest.approx(1 / 2, abs=1e-12)
    both = _found(records, "yield", task="mean of 2 tasks")
    assert (both.estimate.value, both.estimate.unit, both.estimate.n) == (1.0, "task", 2)
    assert (both.estimate.low, both.estimate.high) == (0.5, 1.5)
    assert both.ceiling is not None
    assert both.ceiling.estimate.value == pytest.approx((1.5 + 1.75) / 2, abs=1e-12)  # 2 (1 - 1/4), 4 (1 - 9/16)
    assert _found(records, "yield", task="mean of 2 tasks", group="both").estimate.value == pytest.approx(3 / 2, abs=1e-12)
    assert _found(records, "diversity", task="u").estimate.why_undefined == "none is valid"
    assert not _found(records, "diversity", task="mean of 2 tasks").estimate.is_defined
    assert {one.metric for one in COVERAGE.findings(records, seed=0) if one.is_headline} == {"yield", "validity"}


def test_items_have_the_means_that_findings_have() -> None:
    records = pl.concat([_records(MIXED, closed=5), _records(MIXED[:7], prompt="examples", closed=5)])
    items = COVERAGE.items(records)
    assert dict(items.schema) == ITEM_SCHEMA
    for metric in ("validity", "yield", "usable_unique", "covered_share"):
        of_both = items.filter(pl.col("task") == "t", pl.col("metric") == metric, pl.col("item").str.starts_with("t/both"))
        assert of_both.height == 8
        assert of_both["value"].is_nan().sum() == 1
        mean = of_both.filter(pl.col("value").is_not_nan())["value"].mean()
        assert mean == pytest.approx(_found(records, metric, group="both").estimate.value, abs=1e-9)
        assert of_both["unit"].n_unique() == 8
    over_tasks = items.filter(pl.col("task") == "mean of 1 tasks", pl.col("metric") == "diversity")
    assert over_tasks.select("item", "unit").rows() == [("t/both", "t"), ("t/examples", "t")]
    assert over_tasks["value"].to_list() == pytest.approx([2 / 3, 2 / 3], abs=1e-12)


# asking


def test_three_prompts_and_a_row_for_each_generation() -> None:
    material = COVERAGE.material("rng_1_10", Setting())
    assert (len(material.questions), material.requests_each, material.unit) == (3, 100, "generation")
    described, shown, both = (question.query for question in material.questions)
    assert described.episode.description
    assert described.episode.examples == ()
    assert shown.episode.description is None
    assert [one.output for one in shown.episode.examples] == ["3", "7", "10"]
    assert both.episode.examples == shown.episode.examples
    assert both.episode.description == described.episode.description
    records = _asked("rng_1_10", _model(dict.fromkeys(TEN, 0.1)))
    assert dict(records.schema) == RECORD_SCHEMA
    assert records.height == 300
    assert records["item"].n_unique() == 300
    assert records["item"][0] == "rng_1_10/description/0"
    assert set(records["closed_size"]) == {10}
    assert records["is_valid"].all()


def test_all_22_tasks_are_known_and_those_without_data_say_so() -> None:
    assert len(COVERAGE.tasks()) == 22
    assert "rng_1_10" in COVERAGE.tasks()
    with pytest.raises(DataError, match="data-dir"):
        COVERAGE.material("color_normal_ex", Setting())
    with pytest.raises(UsageError, match="did you mean 'rng_1_10'"):
        COVERAGE.material("rng_1_11", Setting())
    with pytest.raises(UsageError, match="coverage task 'states' is unknown"):
        COVERAGE.material("states", Setting())
    with pytest.raises(UsageError, match="at least 1 generation"):
        COVERAGE.material("rng_1_10", Setting(limit=0))


def test_a_limit_lowers_the_generations_and_changes_none() -> None:
    model = _model(dict.fromkeys(TEN, 0.1))
    whole, some = _asked("rng_1_10", model, seed=4), _asked("rng_1_10", model, seed=4, limit=7)
    assert some.height == 21
    assert whole.join(some, on="item").select("text").equals(some.select("text"))
    last = COVERAGE.material("rng_1_10", Setting(seed=4)).questions[2:]
    assert COVERAGE.ask(last, model, Setting(seed=4)).equals(whole.tail(100))
    assert not _asked("rng_1_10", model, seed=5).equals(whole)


def _cut(text: str, max_tokens: int) -> dict[str, Any]:
    question = CoverageQuestion(
        task="t",
        prompt="both",
        query=Query(COVERAGE.material("rng_1_10", Setting()).questions[0].query.episode),
        n=1,
        max_tokens=max_tokens,
        is_valid=lambda one: one == "7",
        closed_size=10,
    )
    return COVERAGE.ask([question], _model({text: 1.0}), Setting()).row(0, named=True)


def test_a_generation_that_hits_the_budget_is_never_complete() -> None:
    """What was written so far, "7", would be valid."""
    cut = _cut("77", 1)
    assert (cut["text"], cut["finish_reason"], cut["is_valid"], cut["outcome"]) == ("7", "length", None, "unfinished")
    whole = _cut("7", 2)
    assert (whole["text"], whole["finish_reason"], whole["is_valid"], whole["outcome"]) == ("7", "stop", True, "ok")
    assert whole["n_tokens"] == 2


def test_an_output_ends_at_its_first_line_break() -> None:
    told = _cut("7\nand more", 20)
    assert (told["text"], told["outcome"], told["is_valid"]) == ("7", "ok", True)
    assert told["detail"] == "ends at a line break; 8 characters behind it are left out"
    assert (_cut("7\nand more", 4)["outcome"], _cut("\n7", 9)["is_valid"]) == ("ok", False)
    assert _cut(" 7", 9)["is_valid"] is False


def test_refusals_and_lost_replies_are_outcomes() -> None:
    records = _asked("rng_1_10", _model({"7": 1.0}, refusal=0.3, failed=0.2))
    counts = dict(records["outcome"].value_counts().iter_rows())
    assert set(counts) == {"ok", "refusal", "failed"}
    assert records.filter(pl.col("outcome") != "ok")["is_valid"].null_count() == counts["refusal"] + counts["failed"]
    came = counts["ok"] + counts["refusal"]
    pooled = records.filter(pl.col("outcome") != "failed")["is_valid"].fill_null(value=False).mean()
    assert pooled == pytest.approx(counts["ok"] / came, abs=1e-12)
    by_prompt = [_found(records, "validity", group=name).estimate for name in ("description", "examples", "both")]
    assert sum(one.n for one in by_prompt) == came
    assert _found(records, "failed").estimate.value == pytest.approx(counts["failed"] / 300, abs=1e-12)


# recovery


def test_even_draws_reach_the_ceiling_and_one_loud_output_the_floor() -> None:
    even = _asked("rng_1_100", _model({str(n): 0.01 for n in range(1, 101)}))
    loud = _asked("rng_1_100", _model({"7": 1.0}))
    reached, sunk = _found(even, "yield"), _found(loud, "yield")
    assert reached.ceiling is not None
    assert sunk.floor is not None
    assert reached.ceiling.estimate.value == pytest.approx(100 * (1 - 0.99**100), abs=1e-9)
    assert reached.estimate.low <= reached.ceiling.estimate.value <= reached.estimate.high
    assert sunk.estimate.value == sunk.floor.estimate.value == 1
    assert sunk.estimate.high < reached.estimate.low
    assert _found(loud, "validity").estimate.value == 1


def test_a_known_law_gives_its_validity_and_yield() -> None:
    """Half Oregon, a quarter each of Texas and something else: D = 2 nearly surely, validity 3/4 within 3 standard errors."""
    records = _asked("us_states_full_names", _model({"Oregon": 0.5, "Texas": 0.25, "texas": 0.25}))
    assert _found(records, "yield").estimate.value == 2
    validity = _found(records, "validity").estimate
    assert abs(validity.value - 0.75) < 3 * math.sqrt(0.75 * 0.25 / 300)
    assert validity.low <= 0.75 <= validity.high
    assert _found(records, "covered_share").estimate.value == pytest.approx(2 / 50, abs=1e-12)


def test_verbalized_coverage_draws_from_what_replies_list() -> None:
    lines = "\n".join(f'{{"text": "{state}", "probability": 0.3}}' for state in STATES)
    kind = dataclasses.replace(COVERAGE, name="verbalized", verbalize=3)
    setting = Setting(limit=30)
    material = kind.material("us_states_full_names", setting)
    records = kind.ask(material.questions, _model({lines: 0.9, "Oregon": 0.1}), setting)
    counts = dict(records["outcome"].value_counts().iter_rows())
    assert set(counts) == {"ok", "malformed"}
    assert set(records.filter(pl.col("outcome") == "ok")["text"]) == set(STATES)
    assert _found(records, "yield").estimate.value == 3
    assert _found(records, "malformed").estimate.value == pytest.approx(counts["malformed"] / 90, abs=1e-12)
