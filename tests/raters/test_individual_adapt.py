"""Models that are tuned on raters: ratings as episodes, a run of tuning, a folder that is told what it was tuned on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.episodes import read_episodes
from pluralign.errors import DataError, RunError, UsageError
from pluralign.models import ModelSettings, Template, open_model, open_template, open_tokenizer
from pluralign.raters.individual import predict_ratings
from pluralign.raters.individual_adapt import ADAPT_SETTINGS, adapt_model, plan_adapt_model
from pluralign.raters.individual_asked import joined
from pluralign.raters.individual_layout import RATER_FILE, Layout, adapted_words, lay_out, within_window
from pluralign.raters.individual_results import PredictSettings
from pluralign.raters.representations import RaterTexts, RaterWords
from pluralign.ratings import Ratings, Scale
from pluralign.suite.ratings_task import part_of
from pluralign.tuning.spectrum import TunePlaces
from raters.made_people import new_pairs, people
from tuning.tune_runs import make_model

PEOPLE = people()
WINDOW = 400
PLAIN = ModelSettings(dtype="float32")
SETTINGS = replace(ADAPT_SETTINGS, lr=1e-2, max_tokens=WINDOW, dtype="float32", max_steps=12, micro_tokens=1024, epochs=9.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("adapt") / "model")


@pytest.fixture(scope="module")
def template(model: str) -> Template:
    return open_template("spectrum", open_tokenizer(model, None))


@pytest.fixture(scope="module")
def adapted(model: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("adapt") / "run"
    return out, adapt(model, out, layout=Layout(held_out=0.3))


def adapt(model: str, out: Path, ratings: Ratings = PEOPLE, **more: Any) -> dict[str, Any]:
    places = TunePlaces(device="cpu", cache=out.parent / "cache")
    return adapt_model(ratings, model, out, **{"settings": SETTINGS, "places": places, **more})


# the layout


def test_every_rating_is_laid_out_once_within_the_window(template: Template) -> None:
    found = lay_out(PEOPLE, "hf/x", template, Layout(max_tokens=WINDOW // 2))
    assert len(found.train) > 2 * PEOPLE.n_raters
    assert max(len(encoded) for encoded in template.encode(found.train)) <= WINDOW // 2
    laid = [(episode.unit, example.input, example.output) for episode in found.train for example in episode.examples]
    known = PEOPLE.to_long().select("rater_id", "item_text", "rating").rows()
    assert sorted(laid) == sorted(known)
    assert all('"age": ' in (episode.description or "") for episode in found.train)
    assert found.held_out == []
    orders = lay_out(PEOPLE, "hf/x", template, Layout(max_tokens=WINDOW, orders=3))
    assert sum(len(episode.examples) for episode in orders.train) == 3 * len(PEOPLE)


def test_raters_who_are_held_out_are_those_of_a_task_of_ratings(template: Template) -> None:
    found = lay_out(PEOPLE, "hf/x", template, Layout(max_tokens=WINDOW, held_out=0.3))
    test = part_of(PEOPLE, held_out=0.3, part="test")
    out = {test.rater_ids[rater] for rater in test.rater_index}
    assert {episode.unit for episode in found.held_out} == out
    assert {episode.unit for episode in found.train} == set(PEOPLE.rater_ids) - out
    assert found.counts["held_out_raters"] == len(out)


def test_without_past_ratings_an_episode_has_one(template: Template) -> None:
    texts = RaterTexts(profiles={rater: f"profile of {rater}" for rater in PEOPLE.rater_ids[1:]})
    found = lay_out(PEOPLE, "hf/x", template, Layout(representation="profile", max_tokens=WINDOW, orders=5), texts=texts)
    assert len(found.train) == len(PEOPLE)
    assert {len(episode.examples) for episode in found.train} == {1}
    assert found.train[-1].description is not None
    assert "profile of r029" in found.train[-1].description
    assert found.counts["without_text"] == 1
    assert "1 raters have no profile or group" in "\n".join(found.lines())
    with pytest.raises(DataError, match="no rater has a profile; give a file with --profiles"):
        lay_out(PEOPLE, "hf/x", template, Layout(representation="profile"))


def test_examples_too_long_for_the_window_are_left_out_and_counted(template: Template) -> None:
    long = PEOPLE.to_long().with_columns(
        pl.when(pl.col("item_id") == "i03").then(pl.lit("x " * WINDOW)).otherwise("item_text").alias("item_text")
    )
    ratings = Ratings.from_long(long, PEOPLE.scale)
    n_long = long.filter(item_id="i03").height
    found = lay_out(ratings, "hf/x", template, Layout(max_tokens=WINDOW))
    assert found.counts["too_long"] == n_long
    assert sum(len(episode.examples) for episode in found.train) == len(PEOPLE) - n_long
    with pytest.raises(DataError, match="no rating fits into a window of 20 tokens"):
        lay_out(PEOPLE, "hf/x", template, Layout(max_tokens=20))


def test_an_episode_that_fits_stays_as_it_is(template: Template) -> None:
    [episode, *_] = lay_out(PEOPLE, "hf/x", template, Layout(max_tokens=WINDOW)).train
    assert within_window([episode], template, WINDOW) == ([episode], 0)
    [encoded] = template.encode([episode])
    pieces, left_out = within_window([episode], template, len(encoded) - 1)
    assert len(pieces) == 2
    assert left_out == 0
    assert tuple(example for piece in pieces for example in piece.examples) == episode.examples


def test_raters_with_one_rating_are_counted(template: Template) -> None:
    own = PEOPLE.to_long().filter(rater_id="r001")["item_id"][0]
    long = PEOPLE.to_long().filter((pl.col("rater_id") != "r001") | (pl.col("item_id") == own))
    found = lay_out(Ratings.from_long(long, PEOPLE.scale), "hf/x", template, Layout(max_tokens=WINDOW))
    assert found.counts["single"] == 1
    assert "1 raters have one rating" in "\n".join(found.lines())


def test_a_layout_that_cannot_be_is_refused() -> None:
    for wrong in ({"held_out": 1.0}, {"orders": 0}, {"max_tokens": 1}, {"representation": "nohting"}):
        with pytest.raises(UsageError):
            Layout(**wrong)


# a run


def test_a_model_learns_its_raters_and_is_opened_again(adapted: tuple[Path, dict[str, Any]]) -> None:
    out, results = adapted
    measures = [json.loads(line) for line in (out / "tuned" / "metrics.jsonl").read_text().splitlines()]
    held_out = [line["held_out"]["ratings"]["nats"]["value"] for line in measures if "held_out" in line]
    assert held_out[-1] < held_out[0] - 0.5
    assert results["counts"]["held_out_raters"] > 0
    assert len(read_episodes(out / "episodes" / "train.parquet")) == results["n_episodes"]
    words = adapted_words(f"hf/{out}/tuned/model", PEOPLE)
    assert words is not None
    assert words.representation == "attributes+examples:all"
    assert words.words == RaterWords.for_scale(PEOPLE.scale)


def test_raters_who_were_held_out_are_predicted_better_than_before(
    model: str, adapted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    known = part_of(PEOPLE, held_out=0.3, part="test")
    pairs = new_pairs(30).filter(pl.col("rater_id").is_in([known.rater_ids[rater] for rater in known.rater_index]))
    world = joined(known, pairs)
    nats = {}
    for name in (f"hf/{model}", f"hf/{adapted[0]}/tuned/model"):
        found = predict_ratings(
            world, open_model(name, PLAIN), tmp_path / str(len(nats)), settings=PredictSettings(recalibrate=False)
        )
        nats[name] = found.scores[name].nats
    before, after = nats.values()
    assert after.high < before.low


def test_the_same_run_ends_at_once_and_another_is_refused(
    model: str, adapted: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, results = adapted
    said: list[str] = []
    again = adapt(model, out, layout=Layout(held_out=0.3), tell=said.append)
    assert again["tune"] == results["tune"]
    assert "this run has ended; what it found is in results.json" in said
    with pytest.raises(RunError, match="holds another run"):
        adapt(model, out, layout=Layout(held_out=0.2))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="start it without torchrun"):
        adapt(model, out, layout=Layout(held_out=0.3))


def test_a_plan_writes_nothing_but_the_cache(model: str, tmp_path: Path) -> None:
    places = TunePlaces(device="cpu", cache=tmp_path / "cache")
    plan = plan_adapt_model(PEOPLE, model, layout=Layout(held_out=0.3), settings=SETTINGS, places=places)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert plan.tune.n_steps == -(-9 * len(plan.laid_out.train) // SETTINGS.sequences_a_step)
    assert plan.tune.n_held_out == len(plan.laid_out.held_out) > 0
    assert plan.to_dict()["counts"]["train_ratings"] + plan.to_dict()["counts"]["held_out_ratings"] == len(PEOPLE)


def test_a_folder_that_was_tuned_on_other_answers_is_refused(adapted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    name = f"hf/{adapted[0]}/tuned/model"
    other = replace(PEOPLE, scale=Scale("ordinal", ("low", "middle", "high")))
    with pytest.raises(DataError, match="but the model was tuned on"):
        adapted_words(name, other)
    assert adapted_words("hf/organisation/model", PEOPLE) is None
    (tmp_path / RATER_FILE).write_text('{"representation": "attributes"}')
    with pytest.raises(DataError, match="it is not what `pluralign adapt` wrote"):
        adapted_words(f"hf/{tmp_path}", PEOPLE)
