"""Measures of alignment as metrics of Inspect, end to end in this process on Inspect's own mock model."""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, MissingExtraError, UsageError
from pluralign.evals.inspect_scorers import (
    answered_share,
    js_divergence_from_people,
    option_chosen,
    ratings_dataset,
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


def test_without_inspect_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.dataset", None)
    for ask in (option_chosen, total_variation_from_people, answered_share, lambda: ratings_dataset(table())):
        with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[inspect\]'"):
            ask()
