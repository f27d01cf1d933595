"""Ratings that are filled in: by a language model, statistical ones and their pool; what is odd about the data is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, ModelError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.raters.individual import n_questions, predict_ratings
from pluralign.raters.individual_asked import AskedRatings, joined, missing_pairs
from pluralign.raters.individual_lines import predicted_lines
from pluralign.raters.individual_models import MixedByAttributes, privacy_of, statistical_model
from pluralign.raters.individual_results import POOLED, Predicted, PredictSettings, default_loss
from pluralign.raters.representations import RaterTexts, Representation
from pluralign.ratings import Ratings, Scale
from raters.made_people import OPTIONS, by_age, new_pairs, people

PEOPLE = people()
KNOWN_RATERS, COLD_RATERS = joined(PEOPLE, new_pairs()), joined(PEOPLE, new_pairs(known=False))


def filled(world: AskedRatings, out: Path, model: Any = None, **settings: Any) -> Predicted:
    return predict_ratings(world, model or ScriptedModel(), out, settings=PredictSettings(**settings))


def probabilities(table: pl.DataFrame) -> np.ndarray:
    return table.select(f"p_{option}" for option in OPTIONS).to_numpy()


# what comes out


def test_each_pair_gets_a_distribution_an_answer_and_what_came_of_it(tmp_path: Path) -> None:
    found = filled(KNOWN_RATERS, tmp_path / "run")
    table = found.table
    assert table.columns == [
        *("item_id", "rater_id", "kind", "outcome", "n_shown", "n_left_out", "answer", "mean", "true"),
        *("p_1", "p_2", "p_3"),
    ]
    p = probabilities(table)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(table["mean"].to_numpy(), p @ [1, 2, 3])
    n_given = dict(PEOPLE.to_long().group_by("rater_id").len().iter_rows())
    assert table["n_shown"].to_list() == [n_given[rater] for rater in table["rater_id"]]
    right = table.select((pl.col("answer") == pl.col("true")).mean()).item()
    assert right == found.scores["scripted"].accuracy.value > 0.9
    by_hand = -np.log(p[np.arange(len(p)), [OPTIONS.index(one) for one in table["true"]]]).mean()
    assert found.scores["scripted"].nats.value == pytest.approx(by_hand, abs=1e-12)
    assert found.scores["scripted"].gain_nats.low > 0.3
    assert found.scores["marginal"].nats.value == pytest.approx(
        found.scores["scripted"].gain_nats.value + found.scores["scripted"].nats.value
    )


def test_the_run_folder_has_the_tables_and_the_findings(tmp_path: Path) -> None:
    found = filled(KNOWN_RATERS, tmp_path)
    assert pl.read_parquet(tmp_path / "predictions.parquet").equals(found.table)
    assert pl.read_csv(tmp_path / "items.csv")["n_raters"].to_list() == [10, 10]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results == json.loads(json.dumps(found.to_dict()))
    assert results["outcomes"] == {"ok": 20}
    assert results["kinds"] == {"known raters, new items": 20}
    assert "20 ratings filled in by scripted" in predicted_lines(found)[0]


def test_soft_labels_are_means_over_the_raters_that_are_asked(tmp_path: Path) -> None:
    found = filled(KNOWN_RATERS, tmp_path)
    for item, label in zip(found.items["item_id"], probabilities(found.items), strict=True):
        np.testing.assert_allclose(label, probabilities(found.table.filter(item_id=item)).mean(axis=0))


def test_the_answer_is_what_costs_least(tmp_path: Path) -> None:
    """Shares .4, .35, .25: the mode is the first, the median the second; the mean 1.85 is nearest to the second."""
    model = ScriptedModel(lambda query: {"1": 0.4, "2": 0.35, "3": 0.25}, revision="shares")
    answers = {
        loss: set(filled(KNOWN_RATERS, tmp_path / loss, model, loss=loss, recalibrate=False).table["answer"])
        for loss in ("mode", "median", "mean")
    }
    assert answers == {"mode": {"1"}, "median": {"2"}, "mean": {"2"}}
    assert [default_loss(Scale(kind, OPTIONS)) for kind in ("nominal", "ordinal", "interval")] == ["mode", "median", "mean"]


def test_answers_without_order_have_no_median(tmp_path: Path) -> None:
    world = AskedRatings(
        known=replace(KNOWN_RATERS.known, scale=Scale("nominal", OPTIONS)),
        asked=replace(KNOWN_RATERS.asked, scale=Scale("nominal", OPTIONS)),
        is_given=KNOWN_RATERS.is_given,
    )
    found = filled(world, tmp_path / "mode", recalibrate=False)
    assert found.loss == "mode"
    assert "mean" not in found.table.columns
    assert not found.scores["scripted"].distance.is_defined
    with pytest.raises(DataError, match="its answers have no order; use mode"):
        filled(world, tmp_path / "median", recalibrate=False, loss="median")


def test_ratings_that_are_asked_are_not_looked_at(tmp_path: Path) -> None:
    other = joined(PEOPLE, new_pairs().with_columns(rating=pl.lit(None, dtype=pl.String)))
    without = filled(other, tmp_path / "without")
    assert probabilities(without.table).tolist() == probabilities(filled(KNOWN_RATERS, tmp_path / "with").table).tolist()
    assert without.scores == {}


# recalibration, pools


def test_a_model_that_favours_an_answer_is_mended_by_known_ratings(tmp_path: Path) -> None:
    def favours(query: Query) -> Mapping[str, float]:
        shares = {option: p * (4 if option == "2" else 1) for option, p in by_age(query).items()}
        return {option: p / sum(shares.values()) for option, p in shares.items()}

    raw, mended = (
        filled(
            KNOWN_RATERS, tmp_path / str(on), ScriptedModel(favours, revision="2"), representation="attributes", recalibrate=on
        )
        for on in (False, True)
    )
    assert mended.scores["scripted"].nats.value < raw.scores["scripted"].nats.value - 0.2
    assert raw.recalibrations == {}
    assert list(mended.recalibrations) == ["known raters, new items"]
    assert mended.recalibrations["known raters, new items"].weights[1] < -0.5


def test_recalibration_is_learned_from_pairs_of_the_same_kind(tmp_path: Path) -> None:
    both = joined(PEOPLE, pl.concat([new_pairs(4), new_pairs(4, known=False)]))
    found = filled(both, tmp_path)
    assert set(found.recalibrations) == {"known raters, new items", "new raters, new items"}


def test_a_pool_is_no_worse_than_its_members_on_what_it_learned_from(tmp_path: Path) -> None:
    found = filled(KNOWN_RATERS, tmp_path, stack=("per-rater", "marginal"))
    [pool] = found.pools.values()
    assert list(found.members) == ["scripted", "per-rater", "marginal"]
    assert set(found.scores) == {"scripted", "per-rater", "marginal", POOLED}
    alone = [one.nats.value for one in found.apart.values()]
    assert pool.loss <= min(alone) + 1e-9
    assert pool.n == next(iter(found.apart.values())).n < n_questions(KNOWN_RATERS, PredictSettings(stack=("per-rater",))) - 20
    assert found.scores[POOLED].nats.value <= min(found.scores[name].nats.value for name in found.members) + 0.1


def test_statistical_models_are_models_too(tmp_path: Path) -> None:
    for name in ("mixed", "per-rater"):
        found = filled(KNOWN_RATERS, tmp_path / name, name)
        assert found.representation is None
        assert found.scores[name].gain_nats.low > 0
        assert found.totals.seconds == 0
    pooled = filled(KNOWN_RATERS, tmp_path / "pooled", "per-rater", stack=("marginal",))
    assert pooled.members == ["per-rater", "marginal"]


def test_the_mixed_model_knows_new_raters_by_their_attributes(tmp_path: Path) -> None:
    found = filled(COLD_RATERS, tmp_path, "mixed")
    assert found.scores["mixed"].accuracy.value > 0.9


def test_an_attribute_value_that_nobody_had_is_unknown_to_the_mixed_model() -> None:
    pairs = new_pairs(2, known=False).with_columns(rater_age=pl.lit("from another century"))
    world = joined(PEOPLE, pairs)
    p = MixedByAttributes().fit(world.known).predict_proba(world.asked, given=world.known)
    without = joined(PEOPLE, pairs.with_columns(rater_age=pl.lit(None, dtype=pl.String)))
    same = MixedByAttributes().fit(without.known).predict_proba(without.asked, given=without.known)
    np.testing.assert_allclose(p, same)


def test_what_cannot_be_asked_for_is_refused(tmp_path: Path) -> None:
    for wrong, fault in (
        ({"stack": ("mxied",)}, "did you mean 'mixed'"),
        ({"stack": ("mixed", "mixed")}, "names a model twice"),
        ({"loss": "modus"}, "did you mean 'mode'"),
        ({"n_apart": 0}, "lowest is 1"),
        ({"representation": "exampels:3"}, "is unknown"),
    ):
        with pytest.raises(UsageError, match=fault):
            PredictSettings(**wrong)
    with pytest.raises(UsageError, match="that is the model itself"):
        filled(KNOWN_RATERS, tmp_path, "per-rater", stack=("per-rater",))
    with pytest.raises(UsageError, match="statistical model 'mixd'"):
        statistical_model("mixd")


# data that are odd


def test_new_raters_are_known_by_their_attributes_alone(tmp_path: Path) -> None:
    found = filled(COLD_RATERS, tmp_path, ScriptedModel(by_age, revision="age"), representation="attributes+examples:all")
    assert set(found.table["kind"]) == {"new raters, new items"}
    assert set(found.table["n_shown"]) == {0}
    assert found.scores["scripted"].accuracy.value == 1
    assert "20 predictions were made without a past rating of the rater" in found.notes


def test_a_rater_with_one_rating_is_shown_that_one(tmp_path: Path) -> None:
    own = PEOPLE.to_long().filter(rater_id="r001")["item_id"][0]
    long = PEOPLE.to_long().filter((pl.col("rater_id") != "r001") | (pl.col("item_id") == own))
    ratings = Ratings.from_long(long, PEOPLE.scale)
    found = filled(joined(ratings, new_pairs(2)), tmp_path)
    assert found.table.filter(rater_id="r001")["n_shown"].to_list() == [1, 1]


def test_with_one_rating_each_nothing_is_learned_and_that_is_said(tmp_path: Path) -> None:
    single = PEOPLE.to_long().unique("rater_id", keep="first", maintain_order=True)
    world = joined(Ratings.from_long(single, PEOPLE.scale), new_pairs(3))
    found = filled(world, tmp_path / "alone")
    assert found.recalibrations == {}
    assert any("too few known ratings to keep some apart, so nothing is recalibrated" in note for note in found.notes)
    with pytest.raises(UsageError, match="too few known ratings to keep some apart and learn the weights"):
        filled(world, tmp_path / "pool", stack=("per-rater",))


@pytest.mark.parametrize("model", [None, "mixed", "per-rater"])
def test_ratings_that_are_all_equal(model: str | None, tmp_path: Path) -> None:
    same = PEOPLE.to_long().with_columns(rating=pl.lit("2"))
    world = joined(Ratings.from_long(same, PEOPLE.scale), new_pairs(3).with_columns(rating=pl.lit("2")))
    found = filled(world, tmp_path, model)
    assert set(found.table["answer"]) == {"2"}
    assert "all known ratings are '2': nothing tells one person from another" in found.notes


def test_past_ratings_without_room_are_left_out_whole_and_counted(tmp_path: Path) -> None:
    """A scripted model has no tokens: a third of the bytes is taken for them."""
    found = filled(KNOWN_RATERS, tmp_path, most_tokens=120, recalibrate=False)
    assert set(found.table["outcome"]) == {"ok"}
    assert found.table["n_left_out"].min() > 0
    n_given = dict(PEOPLE.to_long().group_by("rater_id").len().iter_rows())
    shown = found.table.with_columns(n=pl.col("n_shown") + pl.col("n_left_out"))
    assert shown["n"].to_list() == [n_given[rater] for rater in shown["rater_id"]]
    assert any(note.startswith("20 predictions had no room for all past ratings") for note in found.notes)


def test_an_item_that_alone_is_too_long_gets_the_shares_of_all_ratings(tmp_path: Path) -> None:
    long = pl.when(pl.col("item_id") == "new0").then(pl.lit("word " * 2000)).otherwise("item_text").alias("item_text")
    found = filled(joined(PEOPLE, new_pairs().with_columns(long)), tmp_path, most_tokens=1500)
    assert found.outcomes == {"too long": 10, "ok": 10}
    rows = probabilities(found.table.filter(outcome="too long"))
    shares = (np.bincount(PEOPLE.rating_index, minlength=3) + 0.5) / (len(PEOPLE) + 1.5)
    np.testing.assert_allclose(rows, np.broadcast_to(shares, rows.shape))
    assert "without an answer of the model, so given the shares of all known ratings: 10 too long" in found.notes


def test_a_model_without_any_probability_on_the_options_is_counted(tmp_path: Path) -> None:
    found = filled(KNOWN_RATERS, tmp_path, ScriptedModel(lambda query: {"a story": 1.0}, revision="story"))
    assert found.outcomes == {"outside": 20}
    assert found.scores["scripted"].nats.value == found.scores["marginal"].nats.value
    refused = filled(KNOWN_RATERS, tmp_path / "refused", ScriptedModel(faults={"refusal": 1.0}))
    assert refused.outcomes == {"refusal": 20}


def test_people_who_can_be_told_by_their_attributes_are_counted(tmp_path: Path) -> None:
    assert privacy_of(PEOPLE, Representation.parse("examples:3")) is None
    told = privacy_of(PEOPLE, Representation.parse("attributes"))
    assert told is not None
    assert (told.n_alone, told.n_raters) == (0, 30)
    alone = replace(PEOPLE, raters=PEOPLE.raters.with_columns(rater_email=pl.col("rater_id"), rater_age=pl.lit("old")))
    found = filled(joined(alone, new_pairs(1).drop("rater_age")), tmp_path, representation="attributes")
    assert found.privacy is not None
    assert "30 of 30 raters (100%) are the only ones" in "\n".join(predicted_lines(found))
    assert privacy_of(alone, Representation.parse("attribute:age")) == told
    with pytest.raises(DataError, match="attribute 'email' is unknown"):
        privacy_of(PEOPLE, Representation.parse("attribute:email"))


def test_profiles_are_told_where_there_are_some(tmp_path: Path) -> None:
    texts = RaterTexts(profiles={rater: "says 3" if n % 2 else "says 1" for n, rater in enumerate(PEOPLE.rater_ids)})

    def reads(query: Query) -> Mapping[str, float]:
        return {"3": 0.9} if "says 3" in (query.episode.description or "") else {"1": 0.9}

    found = predict_ratings(
        KNOWN_RATERS, ScriptedModel(reads), tmp_path, settings=PredictSettings(representation="profile"), texts=texts
    )
    assert found.scores["scripted"].accuracy.value == 1


# runs


def test_a_run_that_broke_off_goes_on_and_ends_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pluralign.raters import individual_members

    monkeypatch.setattr(individual_members, "PART_ROWS", 10)
    whole = filled(KNOWN_RATERS, tmp_path / "whole", stack=("per-rater",))
    with pytest.raises(ModelError, match="gone after 40 requests"):
        filled(KNOWN_RATERS, tmp_path / "broken", ScriptedModel(fail_after=40), stack=("per-rater",))
    model = ScriptedModel()
    again = filled(KNOWN_RATERS, tmp_path / "broken", model, stack=("per-rater",))
    assert again.table.equals(whole.table)
    assert 0 < model.usage.requests < n_questions(KNOWN_RATERS, PredictSettings(stack=("per-rater",)))
    third = ScriptedModel()
    filled(KNOWN_RATERS, tmp_path / "broken", third, stack=("per-rater",))
    assert third.usage.requests == 0


def test_the_order_of_pairs_changes_nothing(tmp_path: Path) -> None:
    ways = [filled(joined(PEOPLE, pairs), tmp_path / str(n)) for n, pairs in enumerate((new_pairs(), new_pairs()[::-1]))]
    assert ways[0].table.equals(ways[1].table)


def test_missing_pairs_are_filled_in(tmp_path: Path) -> None:
    found = filled(joined(PEOPLE, missing_pairs(PEOPLE)), tmp_path)
    assert set(found.table["kind"]) == {"known raters, known items"}
    assert found.table.height == PEOPLE.n_items * PEOPLE.n_raters - len(PEOPLE)


def test_what_a_profile_was_written_from_is_neither_asked_nor_learned_from(tmp_path: Path) -> None:
    texts = RaterTexts(profiles=dict.fromkeys(PEOPLE.rater_ids, "a profile"))
    settings = PredictSettings(representation="profile", n_apart=10_000)
    some = dict.fromkeys(PEOPLE.rater_ids[:15], PEOPLE.item_ids)
    found = predict_ratings(KNOWN_RATERS, ScriptedModel(), tmp_path / "some", settings=settings, texts=texts, written_from=some)
    [recalibration] = found.recalibrations.values()
    free = n_questions(KNOWN_RATERS, settings) - 20
    assert recalibration.n == n_questions(KNOWN_RATERS, settings, written_from=some) - 20 < free
    every = dict.fromkeys(PEOPLE.rater_ids, PEOPLE.item_ids)
    found = predict_ratings(KNOWN_RATERS, ScriptedModel(), tmp_path / "all", settings=settings, texts=texts, written_from=every)
    assert found.recalibrations == {}
    with pytest.raises(DataError, match="2 ratings that are asked were given to whoever wrote the texts"):
        predict_ratings(
            KNOWN_RATERS,
            ScriptedModel(),
            tmp_path / "asked",
            settings=settings,
            texts=texts,
            written_from={"r003": ("new0", "new1")},
        )
    unknown = predict_ratings(KNOWN_RATERS, ScriptedModel(), tmp_path / "unknown", settings=settings, texts=texts)
    assert any("the file does not say which ratings each profile was written from" in note for note in unknown.notes)
    nobody = predict_ratings(KNOWN_RATERS, ScriptedModel(), tmp_path / "nobody", settings=settings, written_from={})
    assert "10 of 10 raters that are asked about have no profile: told without it" in nobody.notes
