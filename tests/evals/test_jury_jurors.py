from __future__ import annotations

import json
import math

import numpy as np
import pytest

from evals.jury_people import RESPONSES, SCALE, certain, judge, people, utility
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError
from pluralign.evals.jurors import (
    GivenUtilities,
    JurorModel,
    LanguageModelJurors,
    RatingModelJurors,
    described,
    item_text,
    option_utilities,
    ratings_of,
)
from pluralign.models import Query, ScriptedModel
from pluralign.raters.baselines import Marginal, PerRater
from pluralign.raters.features import NoFeatures
from pluralign.raters.mixed import MixedModel, MixedSettings
from pluralign.ratings.splits import split_items

TEXTS = list(RESPONSES.values())
PROMPTS = ["Shall we?"] * len(TEXTS)


def rated(n_people: int = 12, n_items: int = 12) -> list[Episode]:
    """People with past ratings that go with the length of the response, each with a habit."""
    rng = np.random.default_rng(0)
    found = []
    for k in range(n_people):
        examples = []
        for i in range(n_items):
            place = int(np.clip(i % 5 + k % 3 - 1 + rng.integers(-1, 2), 0, 4))
            examples.append(Example(SCALE[place], item_text(f"Question {i}?", "so " * (i % 5 + 1))))
        found.append(Episode("panel", tuple(examples), options=SCALE, unit=f"p{k:02}", attributes={"age": k}))
    return found


def test_expected_rating_by_hand() -> None:
    person = Episode("panel", (), options=("bad", "fair", "good"), unit="ann")
    model = ScriptedModel(lambda query: {"bad": 0.1, "fair": 0.2, "good": 0.5})
    found = LanguageModelJurors(model).utilities([person], ["Hi?"], ["Ho!"])
    # within the options 1/8, 2/8, 5/8: utility 2/8 x 1/2 + 5/8 = 3/4; 0.8 of the mass is on ratings
    assert found.values[0, 0] == pytest.approx(3 / 4, abs=1e-12)
    assert found.covered_mass[0, 0] == pytest.approx(0.8, abs=1e-12)
    assert found.outcomes.tolist() == [["ok"]]


def test_a_model_that_knows_the_people_gives_their_utilities() -> None:
    some = people()
    found = LanguageModelJurors(judge()).utilities(some, PROMPTS, TEXTS)
    expected = [[utility(person, text) for text in TEXTS] for person in some]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    # one that knows the most probable rating only is wrong
    collapsed = LanguageModelJurors(judge(certain)).utilities(some, PROMPTS, TEXTS)
    assert np.abs(collapsed.values - expected).mean() > 0.03


def test_what_the_model_reads_of_a_person() -> None:
    seen: list[Query] = []

    def distribution(query: Query) -> dict[str, float]:
        seen.append(query)
        return {"1": 1.0}

    LanguageModelJurors(ScriptedModel(distribution)).utilities(people(1), ["Shall we?"], ["No."])
    [query] = seen
    assert query.episode.examples == people(1)[0].examples
    assert query.input is not None
    assert json.loads(query.input) == {"prompt": "Shall we?", "response": "No."}
    assert '"gender": "man"' in (query.episode.description or "")
    assert '["1", "2", "3", "4", "5"]' in (query.episode.description or "")
    told = Episode("panel", (), description="Ann is 31.", options=SCALE, unit="ann", attributes={"age": 31})
    assert described(told).description == "Ann is 31."


def test_what_came_of_a_request_is_kept() -> None:
    found = LanguageModelJurors(judge(faults={"refusal": 0.5}, seed=1)).utilities(people(), PROMPTS, TEXTS)
    refused = found.outcomes == "refusal"
    assert 0 < refused.sum() < refused.size
    assert np.isnan(found.values).tolist() == refused.tolist()
    silent = LanguageModelJurors(ScriptedModel(lambda query: {"something else": 1.0})).utilities(people(2), PROMPTS, TEXTS)
    assert set(silent.outcomes.ravel()) == {"outside"}
    assert np.isnan(silent.values).all()


def test_a_rating_model_is_asked_for_the_same_rows() -> None:
    some = rated()
    ratings = ratings_of(some)
    train, test = (ratings.take(rows) for rows in split_items(ratings, test_share=0.25, seed=0))
    settings = MixedSettings(n_factors=0, max_iterations=4)
    for model in (Marginal(), PerRater(), MixedModel(settings, features=NoFeatures())):
        model.fit(train)
        # the same items by hand: predictions for every person, given what is known of them
        kept = {text for text, row in zip(ratings.item_ids, range(ratings.n_items), strict=True) if row in set(test.item_index)}
        known = [
            Episode(
                "panel",
                tuple(e for e in p.examples if e.input not in kept),
                options=SCALE,
                unit=p.unit,
                attributes=p.attributes,
            )
            for p in some
        ]
        pairs = [json.loads(text) for text in sorted(kept)]
        found = RatingModelJurors(model).utilities(known, [o["prompt"] for o in pairs], [o["response"] for o in pairs])
        expected = (model.predict_proba(test, given=train) @ option_utilities(SCALE)).tolist()
        place = {text: n for n, text in enumerate(sorted(kept))}
        rows = zip(test.rater_index, test.item_index, expected, strict=True)
        for rater, item, value in rows:
            assert found.values[rater, place[ratings.item_ids[item]]] == pytest.approx(value, abs=1e-9)
    assert found.values.std(axis=0).min() > 0.02  # the people differ


def test_the_table_of_past_ratings() -> None:
    ratings = ratings_of(rated(3, 5))
    assert (len(ratings), ratings.n_items, ratings.n_raters) == (15, 5, 3)
    assert ratings.attributes == ["rater_age"]
    assert ratings.scale.options == SCALE


def test_given_utilities() -> None:
    known: JurorModel = GivenUtilities({("p00", "Shall we?", "No."): 0.3})
    found = known.utilities(people(2), ["Shall we?", "Shall we?"], ["No.", "Yes."])
    assert found.values[0, 0] == 0.3
    assert found.outcomes.tolist() == [["ok", "missing"], ["missing", "missing"]]
    assert math.isnan(found.values[1, 1])


def test_what_is_held_out_stays_so() -> None:
    some = people(2)
    leaky = Episode("panel", (Example("5", item_text("Shall we?", "No.")),), options=SCALE, unit="leaky")
    with pytest.raises(DataError, match="1 of 3 have rated a response that they are asked about"):
        LanguageModelJurors(judge()).utilities([*some, leaky], ["Shall we?"], ["No."])


def test_people_who_cannot_be_asked() -> None:
    wrong = [
        Episode("panel", (), options=SCALE),
        Episode("panel", (), options=SCALE, unit="a"),
        Episode("panel", (), options=SCALE, unit="a"),
        Episode("panel", (), options=("no", "yes"), unit="b"),
        Episode("panel", (Example("1"),), options=SCALE, unit="c", attributes={"id": 3}),
    ]
    with pytest.raises(DataError) as caught:
        LanguageModelJurors(judge()).utilities(wrong, ["Hi?"], ["Ho!"])
    faults = "\n".join(caught.value.faults)
    for text in (
        "person 1: no unit",
        "person 3: unit 'a' again",
        "person 4: options",
        "past rating has no input",
        "called 'id'",
    ):
        assert text in faults
    with pytest.raises(DataError, match="there is nobody"):
        LanguageModelJurors(judge()).utilities([], ["Hi?"], ["Ho!"])
