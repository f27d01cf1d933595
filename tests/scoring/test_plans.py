from __future__ import annotations

import inspect
import json
from pathlib import Path

import polars as pl
import pytest

from models import tiny
from pluralign import scoring
from pluralign.errors import UsageError
from pluralign.models import ModelSettings, Query, SamplingSettings, open_template
from pluralign.models.queries import queries_of
from pluralign.scoring import Prices, plan_sample, plan_score
from scoring.made_episodes import coins, written


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny.spectrum_checkpoint("chatml").save_pretrained(folder)
    return f"hf/{folder}"


def test_plans_take_the_arguments_of_what_they_plan() -> None:
    for run, plan in ((scoring.score, plan_score), (scoring.sample, plan_sample)):
        taken = [name for name in inspect.signature(run).parameters if name not in ("cache", "seed", "engine", "on_progress")]
        assert list(inspect.signature(plan).parameters) == taken


@pytest.mark.parametrize(("ask", "at"), [("outputs", None), ("outputs", "last"), ("options", None), ("options", "all")])
def test_a_plan_says_what_is_then_done(tmp_path: Path, ask: str, at: str | None) -> None:
    path = written(tmp_path, coins(30))
    plan = plan_score(path, tmp_path / "out", model="scripted", ask=ask, at=at)  # type: ignore[arg-type]  # literals
    assert not (tmp_path / "out").exists()
    found = scoring.score(path, tmp_path / "out", model="scripted", ask=ask, at=at)  # type: ignore[arg-type]  # literals
    assert plan.n_answers == pl.read_parquet(tmp_path / "out" / "records.parquet").height
    assert (plan.n_requests, plan.n_units) == (sum(found.outcomes.values()), found.n_units)
    assert (plan.tokens_in, plan.cost_at_most) == (None, None)
    assert "the scripted model has no tokens" in plan.lines()
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()


def test_tokens_and_costs_of_outputs_are_those_of_the_template(tmp_path: Path, model: str) -> None:
    plan = plan_score(written(tmp_path, coins(9)), tmp_path / "out", model=model, prices=Prices(2.0, 100.0))
    tokens = sum(map(len, open_template("spectrum", tiny.spectrum_checkpoint("chatml")).encode(coins(9))))
    assert (plan.tokens_in, plan.tokens_out) == (tokens, 0)
    assert plan.cost_at_most == pytest.approx(tokens * 2e-6)
    assert any(line.startswith("cost: at most") for line in plan.lines())


def test_tokens_of_options_and_samples_by_another_way(tmp_path: Path, model: str) -> None:
    path = written(tmp_path, coins(9))
    template = open_template("spectrum", tiny.spectrum_checkpoint("chatml"))
    heads, tails = map(len, template.encode_options(["heads", "tails"]))

    def lengths(queries: list[Query]) -> list[int]:
        return [len(template.encode_prompts([query.episode], [query.input])[0]) for query in queries]

    asked = [one.query for episode in coins(9) for one in queries_of(episode, at="last")]
    plan = plan_score(path, tmp_path / "out", model=model, ask="options")
    assert plan.tokens_in == sum(2 * length + heads + tails for length in lengths(asked))
    elicited = ModelSettings(elicit="sampling", n_elicit=5)
    plan = plan_score(path, tmp_path / "out", model=model, ask="options", settings=elicited)
    assert (plan.tokens_in, plan.tokens_out) == (5 * sum(lengths(asked)), 9 * 5 * max(heads, tails))
    plan = plan_score(path, tmp_path / "out", model=model, ask="options", settings=ModelSettings(elicit="verbalised"))
    assert plan.tokens_in is None
    assert any("not known" in note for note in plan.notes)
    drawn = plan_sample(path, tmp_path / "out", model=model, sampling=SamplingSettings(n=3, max_tokens=7))
    following = lengths([one.query for episode in coins(9) for one in queries_of(episode, at="next")])
    assert (drawn.tokens_in, drawn.tokens_out, drawn.n_answers) == (3 * sum(following), 9 * 3 * 7, 27)


def test_a_server_without_tokenizer_has_no_known_tokens(tmp_path: Path, model: str) -> None:
    path = written(tmp_path, coins(9))
    unknown = plan_score(path, tmp_path / "out", model="openai/some", prices=Prices(1.0, 1.0))
    assert (unknown.tokens_in, unknown.cost_at_most) == (None, None)
    assert any("--tokenizer" in line for line in unknown.lines())
    settings = ModelSettings(tokenizer=model.removeprefix("hf/"))
    assert plan_score(path, tmp_path / "out", model="openai/some", settings=settings).tokens_in is not None
    with pytest.raises(UsageError, match="no tokenizer can be opened"):
        plan_score(path, tmp_path / "out", model=f"hf/{tmp_path}")
