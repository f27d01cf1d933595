"""Measures of alignment as metrics of Inspect, end to end in this process on Inspect's own mock model."""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evals.exported_run import made_run
from pluralign.errors import DataError, MissingExtraError, UsageError
from pluralign.evals.export_inspect import to_inspect
from pluralign.evals.inspect_scorers import (
    answered_share,
    js_divergence_from_people,
    option_chosen,
    ratings_dataset,
    shares_stated,
    total_variation_from_people,
)
from pluralign.ratings import Ratings, Scale

inspect_ai = pytest.importorskip("inspect_ai", reason="needs the extra `inspect`")
dataset, model, scorer, solver = (importlib.import_module(f"inspect_ai.{n}") for n in ("dataset", "model", "scorer", "solver"))
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # of Inspect


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """What Inspect leaves open warns here, not in another test; and it logs no more than before."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    gc.collect()


def coins(n: int = 1) -> Any:
    people = {"options": ["heads", "tails"], "people": [0.75, 0.25]}
    samples = [dataset.Sample(id=f"coin-{i}", input=f"Coin {i}?", target="", metadata=people) for i in range(n)]
    return dataset.MemoryDataset(samples)


def reply(text: str, stop_reason: str = "stop") -> Any:
    output = model.ModelOutput.from_content("mockllm/model", text, stop_reason=stop_reason)
    output.usage = model.ModelUsage()  # or else the mock counts tokens with a file from the net
    return output


def said(texts: Sequence[Any]) -> Iterator[Any]:
    for text in texts:
        yield reply(text) if isinstance(text, str) else text


def run(samples: Any, answers: Any, epochs: int, folder: Path, reducer: str = "mean") -> Any:
    """The log; samples are asked one after another, an epoch of all at a time."""
    times = inspect_ai.Epochs(epochs, reducer)
    task = inspect_ai.Task(dataset=samples, solver=solver.generate(), scorer=option_chosen(), epochs=times)
    mock = model.get_model("mockllm/model", custom_outputs=answers, memoize=False)
    [log] = inspect_ai.eval(task, model=mock, display="none", log_dir=str(folder), max_samples=1, log_level="error")
    assert log.status == "success", log.error
    return log


def numbers(log: Any) -> dict[str, float]:
    [score] = log.results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


@pytest.mark.parametrize("reducer", ["mean", "mode"])
def test_answers_over_epochs_are_compared_with_peoples_shares(tmp_path: Path, reducer: str) -> None:
    found = numbers(run(coins(), said(["heads", "Tails ", "heads", "tails"]), 4, tmp_path, reducer))
    assert found["total_variation"] == pytest.approx(1 / 4, abs=1e-12)  # |3/4 - 2/4|
    assert found["total_variation_uniform"] == pytest.approx(1 / 4, abs=1e-12)
    # mixture 5/8, 3/8: half of 3/4 ln 6/5 + 1/4 ln 2/3 and 1/2 ln 4/5 + 1/2 ln 4/3
    nats = (0.75 * math.log(6 / 5) + 0.25 * math.log(2 / 3) + 0.5 * math.log(4 / 5) + 0.5 * math.log(4 / 3)) / 2
    assert found["js_divergence"] == pytest.approx(nats, abs=1e-12)
    assert found["answered_share"] == 1
    assert math.isnan(found["total_variation_low"])  # one sample has no interval


def test_the_mean_over_samples_has_an_interval(tmp_path: Path) -> None:
    answers = {"Coin 0?": itertools.repeat("heads"), "Coin 1?": itertools.cycle(["heads", "heads", "heads", "tails"])}

    def answer(messages: list[Any], *_: Any) -> Any:
        return reply(next(answers[messages[-1].text]))

    found = numbers(run(coins(2), answer, 4, tmp_path))
    assert found["total_variation"] == pytest.approx(1 / 8, abs=1e-12)  # 1/4 and 0
    assert (found["total_variation_low"], found["total_variation_high"]) == (0, 0.25)


def test_what_is_no_answer_is_counted_and_is_no_option(tmp_path: Path) -> None:
    refused, cut = reply("heads", "content_filter"), reply("heads", "max_tokens")
    log = run(coins(), said(["heads", "edge", refused, cut, "", "heads", "heads", "tails"]), 8, tmp_path)
    found = numbers(log)
    assert found["answered_share"] == 4 / 8
    assert found["total_variation"] == pytest.approx(0, abs=1e-12)  # 3 of 4
    reasons = [sample.scores["option_chosen"].reason for sample in log.samples]
    assert reasons == [None, "invalid_response_format", "refusal", "unfinished", "no_response", None, None, None]


def test_nothing_but_refusals_has_no_distance(tmp_path: Path) -> None:
    found = numbers(run(coins(), said(["no", "no"]), 2, tmp_path))
    assert found["answered_share"] == 0
    assert math.isnan(found["total_variation"])
    assert math.isnan(found["js_divergence_people"])


def scores_of(ids: Sequence[str], counts: Sequence[Sequence[int]], people: Sequence[float]) -> list[Any]:
    metadata = {"options": ["a", "b", "c"], "people": list(people)}
    return [
        scorer.SampleScore(
            score=scorer.Score(value={o: float(o == chosen) for o in "abc"}), sample_id=name, sample_metadata=metadata
        )
        for name, row in zip(ids, counts, strict=True)
        for chosen, n in zip("abc", row, strict=True)
        for _ in range(n)
    ]


def test_a_model_that_answers_as_people_do_is_at_the_ceiling_and_one_that_always_says_the_same_is_not() -> None:
    people, rng = [0.5, 0.3, 0.2], np.random.default_rng(1)
    ids = [f"q{i}" for i in range(200)]
    alike = total_variation_from_people()(scores_of(ids, rng.multinomial(30, people, size=200).tolist(), people))
    same = total_variation_from_people()(scores_of(ids, [[30, 0, 0]] * 200, people))
    assert alike["total_variation_low"] < alike["total_variation_people"] < alike["total_variation_high"]
    assert alike["total_variation_high"] < alike["total_variation_uniform"]
    assert same["total_variation"] == pytest.approx(0.5, abs=1e-12)
    assert same["total_variation_low"] > 3 * same["total_variation_people"]


def test_order_and_company_of_samples_change_no_draw() -> None:
    people = [0.5, 0.3, 0.2]
    both = scores_of(["p", "q"], [[1, 2, 3], [3, 2, 1]], people)
    measure = js_divergence_from_people(seed=3)
    assert measure(both)["js_divergence_people"] == pytest.approx(measure(both[::-1])["js_divergence_people"], abs=1e-12)
    assert measure(both) != js_divergence_from_people(seed=4)(both)


def test_samples_without_shares_are_refused() -> None:
    score = scorer.Score(value={"a": 1.0})
    with pytest.raises(DataError, match="no list 'options'"):
        total_variation_from_people()([scorer.SampleScore(score=score, sample_id="q")])
    metadata = {"options": ["a", "b"], "people": [1.0]}
    with pytest.raises(DataError, match="2 options, but 1 shares"):
        total_variation_from_people()([scorer.SampleScore(score=score, sample_id="q", sample_metadata=metadata)])
    with pytest.raises(DataError, match="option_chosen"):
        answered_share()([scorer.SampleScore(score=scorer.Score(value=1.0), sample_id="q")])
    metadata = {"options": ["a"], "people": [0.7]}
    with pytest.raises(UsageError, match=r"0\.7"):
        total_variation_from_people()([scorer.SampleScore(score=score, sample_id="q", sample_metadata=metadata)])


# a table of ratings


def table(text: str = "Is it rude?") -> Ratings:
    rows = [(f"i{i}", f"r{r}", "yes" if r < 3 * (i + 1) else "no", text) for i in range(2) for r in range(8)]
    columns = pl.DataFrame(rows, schema=["item_id", "rater_id", "rating", "item_text"], orient="row")
    return Ratings.from_long(columns, Scale("nominal", ("yes", "no")), name="rude")


def test_a_table_of_ratings_is_the_target(tmp_path: Path) -> None:
    samples = ratings_dataset(table("<script>alert(1)</script> ../x"))
    first = samples[0]
    assert first.metadata is not None
    assert first.metadata["people"] == [3 / 8, 5 / 8]
    assert json.loads(str(first.target)) == {"yes": 3 / 8, "no": 5 / 8}
    assert "<script>alert(1)</script> ../x" in str(first.input)
    found = numbers(run(samples, said(["yes", "yes", "no", "yes"]), 2, tmp_path))
    assert 0 <= found["total_variation"] <= 1
    assert found["answered_share"] == 1


def test_items_with_few_ratings_and_limits() -> None:
    assert len(ratings_dataset(table(), limit=1)) == 1
    with pytest.raises(DataError, match="no item has 9 ratings"):
        ratings_dataset(table(), fewest=9)


# distributions that are stated


def stated(answers: Sequence[Any], folder: Path, target: str = '{"yes": 0.75, "no": 0.25}') -> Any:
    samples = dataset.MemoryDataset([dataset.Sample(id=f"q{i}", input="?", target=target) for i in range(len(answers))])
    task = inspect_ai.Task(dataset=samples, solver=solver.generate(), scorer=shares_stated())
    mock = model.get_model("mockllm/model", custom_outputs=said(answers), memoize=False)
    [log] = inspect_ai.eval(task, model=mock, display="none", log_dir=str(folder), max_samples=1, log_level="critical")
    return log


def test_stated_distributions_are_compared_with_the_target(tmp_path: Path) -> None:
    answers = ['{"no": 0.75, "yes": 0.25}', '{"yes": 0.75, "no": 0.25}', "I think yes", reply("{}", "max_tokens"), '{"yes": 1}']
    log = stated(answers, tmp_path)
    assert log.status == "success", log.error
    total, nats = log.results.scores
    assert (total.name, nats.name) == ("total_variation", "js_divergence")
    assert (total.scored_samples, total.unscored_samples) == (2, 3)
    found = {metric.name: metric.value for metric in total.metrics.values()}
    assert found == {"mean": 0.25, "low": 0, "high": 0.5}  # 1/2 and 0
    # mixture 1/2, 1/2, both distributions as far from it
    whole = 0.75 * math.log(3 / 2) + 0.25 * math.log(1 / 2)
    assert {metric.name: metric.value for metric in nats.metrics.values()}["mean"] == pytest.approx(whole / 2, abs=1e-12)
    reasons = [sample.scores["shares_stated"].reason for sample in log.samples]
    assert reasons == [None, None, "invalid_response_format", "unfinished", "invalid_response_format"]


def test_targets_that_are_no_distribution_are_refused(tmp_path: Path) -> None:
    for target in ("yes", "[1]", '{"yes": 0.7}', "7"):
        log = stated(['{"yes": 1.0}'], tmp_path, target)
        assert log.status == "error"
        assert "its target is no JSON object of shares" in log.error.message


def test_inspect_finds_the_scorers_by_name() -> None:
    [entry] = entry_points(group="inspect_ai", name="pluralign")
    assert entry.load().__name__ == "pluralign.evals.inspect_registry"
    registry = importlib.import_module("inspect_ai._util.registry")
    for name in ("option_chosen", "shares_stated"):
        assert registry.registry_lookup("scorer", f"pluralign/{name}") is not None
    for name in ("answered_share", "js_divergence_from_people", "mean_distance", "total_variation_from_people"):
        assert registry.registry_lookup("metric", f"pluralign/{name}") is not None


@pytest.mark.slow
def test_inspect_scores_an_exported_log_by_that_name(tmp_path: Path) -> None:
    log, *_ = to_inspect(made_run(tmp_path), tmp_path / "out")
    bin = Path(sys.executable).parent
    asked = [bin / "inspect", "list", "logs", "--log-dir", tmp_path / "out", "--absolute"]
    listed = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    assert log.name in listed.stdout
    scored = tmp_path / "scored.eval"
    asked = [bin / "inspect", "score", log, "--scorer", "pluralign/shares_stated", "--model", "none/none"]
    asked += ["--action", "append", "--output-file", scored, "--log-dir", tmp_path / "logs"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    samples = importlib.import_module("inspect_ai.log").read_eval_log(str(scored)).samples
    ours = {sample.id: sample.scores["total_variation"].value for sample in samples}
    theirs = {sample.id: sample.scores["shares_stated"].value for sample in samples}
    assert any(isinstance(value, dict) for value in theirs.values())
    for name, value in ours.items():
        if math.isnan(value):
            assert math.isnan(theirs[name])
        else:
            assert theirs[name]["total_variation"] == pytest.approx(value, abs=1e-12)


def test_without_inspect_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.dataset", None)
    for ask in (option_chosen, shares_stated, total_variation_from_people, answered_share, lambda: ratings_dataset(table())):
        with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[inspect\]'"):
            ask()
