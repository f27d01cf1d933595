"""Comparisons of measures of draws, and of groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import hypergeom

from pluralign.estimates import estimate_mean
from pluralign.evals import compare, compare_draws
from pluralign.evals.compare import Difference, compared
from pluralign.evals.compare_draws import Prompt, dealt_p_values, prompts_of
from pluralign.evals.coverage import COVERAGE, RECORD_SCHEMA
from pluralign.evals.evaluate import evaluate
from pluralign.evals.kinds import Setting
from pluralign.evals.lines import comparison_lines
from pluralign.models import Query
from pluralign.models.scripted import ScriptedModel

# draws


def _prompt(ours: list[int], theirs: list[int], closed: int | None = None) -> Prompt:
    return Prompt(np.array(ours, dtype=np.int64), np.array(theirs, dtype=np.int64), closed)


def test_the_p_value_of_validity_is_that_of_all_deals() -> None:
    """9 of 12 against 3 of 10: how many of the valid are dealt to one run is hypergeometric; two-sided by the shares."""
    ours, theirs = [0] * 9 + [-1] * 3, [0] * 3 + [-1] * 7
    found = dealt_p_values({"p": _prompt(ours, theirs)}, task="t", seed=0)
    first = np.arange(13)
    apart = np.abs((12 - first) / 10 - first / 12)
    exact = hypergeom.pmf(first, 22, 12, 12)[(apart >= abs(3 / 10 - 9 / 12) - 1e-9) & (first >= 2)].sum()
    assert found["validity", None] == found["validity", "p"] == pytest.approx(exact, abs=0.01)


def test_the_p_value_of_different_outputs_is_that_of_all_deals() -> None:
    """Ours a a a, theirs b c d: 1 against 3. Deals of 3 of 6: 20, of which two keep all a together; the others have |d| < 2."""
    found = dealt_p_values({"p": _prompt([0, 0, 0], [1, 2, 3], closed=8)}, task="t", seed=0)
    assert found["yield", None] == pytest.approx(2 / 20, abs=0.01)
    assert found["usable_unique", "p"] == found["covered_share", "p"] == found["yield", "p"]


def test_prompts_are_dealt_apart_and_added() -> None:
    """Two prompts that differ in opposite ways: each alone may be told apart, their mean is 0."""
    one, other = _prompt([0] * 30, list(range(30))), _prompt(list(range(30)), [0] * 30)
    found = dealt_p_values({"a": one, "b": other}, task="t", seed=0)
    assert found["yield", "a"] < 0.001
    assert found["yield", "b"] < 0.001
    assert found["yield", None] == 1.0
    assert "covered_share" not in {metric for metric, _ in found}  # the set is open
    silent = dealt_p_values({"a": one, "b": _prompt([], [0])}, task="t", seed=0)
    assert set(silent) == {(metric, "a") for metric in ("validity", "yield", "usable_unique")}


def test_models_that_are_equal_are_told_apart_as_rarely_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both runs draw from one law, with rare outputs, over three prompts: at most 1 in 20 has p < 0.05, but for chance."""
    monkeypatch.setattr(compare_draws, "N_BLOCKS", 1)
    rng = np.random.default_rng(3)
    law = np.append(np.append(0.85, np.full(100, 0.001)), 0.05)
    p = []
    for seed in range(150):
        drawn = rng.choice(len(law), size=(3, 2, 100), p=law)
        prompts = {str(n): Prompt(*np.where(runs == len(law) - 1, -1, runs), None) for n, runs in enumerate(drawn)}
        p.append(dealt_p_values(prompts, task="t", seed=seed)["yield", None])
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.09


def test_classes_are_the_same_in_both_runs_and_lost_replies_are_left_out() -> None:
    def records(texts: list[str], outcomes: list[str], valid: list[bool | None]) -> pl.DataFrame:
        rows = [
            {
                "task": "t",
                "item": str(n),
                "prompt": "p",
                "text": text,
                "is_valid": is_valid,
                "outcome": outcome,
                "closed_size": 4,
            }
            for n, (text, outcome, is_valid) in enumerate(zip(texts, outcomes, valid, strict=True))
        ]
        return pl.DataFrame(rows, schema=RECORD_SCHEMA)

    ours = records(["a", "b", "", "x"], ["ok", "ok", "failed", "ok"], [True, True, None, False])
    theirs = records(["b", "c", "b", ""], ["ok", "ok", "unfinished", "refusal"], [True, True, None, None])
    found = prompts_of(ours, theirs, "t")["p"]
    assert (found.ours.tolist(), found.theirs.tolist(), found.closed_size) == ([0, 1, -1], [1, 2, -1, -1], 4)
    assert prompts_of(ours.drop("text"), theirs, "t") == {}


# runs


def _says(texts: list[str], valid: float) -> ScriptedModel:
    def shares(query: Query) -> Mapping[str, float]:
        return {**dict.fromkeys(texts, valid / len(texts)), "not a number": 1 - valid}

    return ScriptedModel(shares, revision=f"{len(texts)} {valid}", seed=len(texts))


def _of(differences: list[Difference], task: str, metric: str, group: str | None = None) -> Difference:
    [found] = [one for one in differences if (one.task, one.metric, one.group) == (task, metric, group)]
    return found


@pytest.fixture(scope="module")
def coverage(tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    folder = tmp_path_factory.mktemp("coverage")
    numbers = [str(n) for n in range(1, 11)]
    evaluate(_says(numbers[:1], 0.9), folder / "narrow", tasks=["coverage/rng_1_10"])
    evaluate(_says(numbers, 0.9), folder / "broad", tasks=["coverage/rng_1_10"])
    return list(compared([folder / "narrow", folder / "broad"]).differences)


def test_counts_of_draws_are_compared_as_those_of_two_samples(coverage: list[Difference]) -> None:
    different = _of(coverage, "rng_1_10", "yield")
    assert different.estimate.value > 7
    assert different.estimate.excludes(0)
    assert different.is_clear
    assert (different.group, different.n_items, different.is_headline) == (None, 300, True)
    assert not _of(coverage, "rng_1_10", "validity").is_clear


def test_prompts_are_groups_of_their_own(coverage: list[Difference]) -> None:
    groups = {one.group for one in coverage if (one.task, one.metric) == ("rng_1_10", "yield")}
    assert groups == {None, "description", "examples", "both"}
    one = _of(coverage, "rng_1_10", "yield", "both")
    assert one.estimate.excludes(0)
    assert not one.is_headline
    assert one.n_items == 100
    assert one.to_dict()["group"] == "both"


def test_groups_of_examples_are_compared_on_their_own_items(tmp_path: Path) -> None:
    for name, scripted in (("a", ScriptedModel()), ("b", ScriptedModel(lambda q: dict.fromkeys(q.asked_options, 0.5)))):
        evaluate(scripted, tmp_path / name, tasks=["steerability/coinflip"], setting=Setting(limit=30, most_k=6))
    found = compared([tmp_path / "a", tmp_path / "b"])
    differences = list(found.differences)
    groups = [one.group for one in differences if one.metric == "loss_nats"]
    assert groups == [None, *(f"k = {k}" for k in (1, 2, 3, 4, 6))]
    whole, last = (_of(differences, "coinflip", "loss_nats", group) for group in (None, "k = 6"))
    assert (whole.n_items, last.n_items) == (180, 30)
    means = [
        next(f.estimate.value for f in run.findings["steerability"] if (f.metric, f.group) == ("loss_nats", "k = 6"))
        for run in found.runs.values()
    ]
    assert last.estimate.value == pytest.approx(means[1] - means[0], abs=1e-12)
    assert last.p_value is not None
    text = "\n".join(comparison_lines(found))
    n_clear = sum(one.is_clear for one in differences if one.group is not None and one.metric == "loss_nats")
    assert text.count("coinflip, k = ") == n_clear
    assert (f"and {5 - n_clear} of groups that are not told from chance" in text) == (n_clear < 5)


def test_groups_cost_whole_tasks_nothing() -> None:
    """Holm over 1 of a whole task, and over 3 of groups: 0.04 stays; 0.01, 0.02 and 0.5 become 0.03, 0.04 and 0.5."""
    estimate = estimate_mean(np.arange(4.0), np.arange(4), unit="item", seed=0)

    def made(group: str | None, p: float | None) -> Difference:
        same = {"run": "b", "evaluation": "e", "task": "t", "metric": "m", "label": "m", "scale": "0..1"}
        return Difference(**same, better="lower", estimate=estimate, group=group, p_value=p)

    found = compare._adjusted([made("x", 0.01), made(None, 0.04), made("y", 0.5), made("z", 0.02), made(None, None)])
    assert [one.adjusted_p_value for one in found] == pytest.approx([0.03, 0.04, 0.5, 0.04, None])
    assert [one.is_clear for one in found] == [True, True, False, True, False]


def test_the_interval_gives_the_p_value_where_records_do_not() -> None:
    low = estimate_mean(np.array([1.0, 2.0, 3.0]), np.arange(3), unit="generation", seed=0)
    edge = low.__class__(value=1.96, low=0.0, high=4.0, n=3, unit="generation", seed=0)
    assert compare._p_of_interval(edge) == pytest.approx(0.05, abs=1e-4)
    assert compare._p_of_interval(edge.__class__(value=0.0, low=-1.0, high=1.0, n=3, unit="generation", seed=0)) == 1.0


def test_items_of_coverage_and_their_records_have_the_same_prompts() -> None:
    questions = COVERAGE.material("rng_1_10", Setting(limit=5)).questions
    records = COVERAGE.ask(questions, _says(["1", "2"], 0.9), Setting(limit=5))
    found = prompts_of(records, records, "rng_1_10")
    assert set(found) == set(records["prompt"])
    for prompt, one in found.items():
        valid = records.filter(pl.col("prompt") == prompt, pl.col("is_valid").fill_null(value=False))
        assert (one.ours >= 0).sum() == valid.height
        assert len(set(one.ours.tolist()) - {-1}) == valid["text"].n_unique()
        assert one.closed_size == 10
