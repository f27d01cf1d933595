"""What a model is told of a person: names, words, which past ratings, and nothing that is held out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from pluralign.errors import DataError, UsageError
from pluralign.raters.representations import (
    ALL_EXAMPLES,
    RaterTexts,
    RaterWords,
    Representation,
    item_disagreement,
    rater_episodes,
    rater_queries,
)
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_fit_eval

TEXTS = ("a red apple", "a green apple", "a fast car", "a slow car", "the sea at night", "the sea at noon")


def _ratings(n_raters: int = 4) -> Ratings:
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": f"i{i}",
            "item_text": text,
            "rater_id": f"r{r}",
            "rater_age": str(20 + r),
            "rater_job": None if r == 0 else "baker",
            "rating": "yes" if i == 0 else str(rng.choice(["no", "yes"])),
        }
        for r in range(n_raters)
        for i, text in enumerate(TEXTS)
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", ("no", "yes")))


def _asked_and_given(ratings: Ratings, asked_item: int = 0) -> tuple[Ratings, Ratings]:
    is_asked = ratings.item_index == asked_item
    return ratings.take(is_asked), ratings.take(~is_asked)


# names


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "attributes",
        "attribute:age+attribute:job",
        "examples:8",
        "examples:all",
        "examples:3:nearest",
        "profile+attributes+examples:8:informative",
        "cluster",
    ],
)
def test_a_name_comes_back(name: str) -> None:
    assert str(Representation.parse(name)) == name


@drawn(
    st.builds(
        Representation,
        attributes=st.one_of(st.just("all"), st.lists(st.sampled_from("abc"), unique=True).map(tuple)),
        n_examples=st.one_of(st.just(ALL_EXAMPLES), st.integers(1, 40)),
        order=st.sampled_from(["random", "first", "nearest", "informative"]),
        profile=st.booleans(),
        cluster=st.booleans(),
    )
)
def test_every_representation_has_a_name_of_its_own(one: Representation) -> None:
    assert Representation.parse(str(one)) == one


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("profil", "profile"),
        ("", "nothing"),
        ("examples", "from 1"),
        ("examples:0", "from 1"),
        ("examples:\N{ARABIC-INDIC DIGIT THREE}", "from 1"),
        ("examples:2:closest", "order"),
        ("attribute:", "attribute"),
        ("examples:2+examples:3", "examples"),
    ],
)
def test_a_name_that_is_none(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Representation.parse(name)


# what is told


def test_what_is_told_and_nothing_else() -> None:
    asked, given = _asked_and_given(_ratings())
    texts = RaterTexts(profiles={"r1": "Honesty."}, clusters={"r1": "Calm people."})

    def told(name: str) -> str:
        queries = rater_queries(asked, given, Representation.parse(name), texts=texts)
        return next(q.episode.description or "" for q in queries if q.episode.unit == "r1")

    bare = told("nothing")
    assert "21" not in bare
    assert told("attributes") == bare + ' What is known of the person: {"age": "21", "job": "baker"}'
    assert "baker" not in told("attribute:age")
    assert told("profile") == bare + " What this person values: Honesty."
    assert told("cluster+profile").index("Calm people.") < told("cluster+profile").index("Honesty.")


def test_what_is_not_known_is_not_told() -> None:
    asked, given = _asked_and_given(_ratings())
    first = rater_queries(asked, given, Representation.parse("profile+attributes"))[0]
    assert first.episode.unit == "r0"
    assert (first.episode.description or "").endswith('{"age": "20"}')


def test_an_unknown_attribute_is_named_with_the_nearest() -> None:
    asked, given = _asked_and_given(_ratings())
    with pytest.raises(DataError, match="age"):
        rater_queries(asked, given, Representation.parse("attribute:aeg"))


def test_the_embedded_model_is_asked_in_its_own_words() -> None:
    five = Scale("ordinal", ("1", "2", "3", "4", "5"))
    assert RaterWords.for_model("embedded/base", five).description().startswith("One person's ratings of short situations")
    assert RaterWords.for_model("embedded", Scale("nominal", ("a", "b"))) == RaterWords.for_scale(Scale("nominal", ("a", "b")))


# which past ratings


def test_queries_of_a_rater_share_an_episode_and_longer_lists_begin_with_shorter_ones() -> None:
    ratings = _ratings()
    is_asked = ratings.item_index < 2
    asked, given = ratings.take(is_asked), ratings.take(~is_asked)
    two, three = (rater_queries(asked, given, Representation(n_examples=n)) for n in (2, 3))
    assert len({id(query.episode) for query in two}) == ratings.n_raters
    for shorter, longer in zip(two, three, strict=True):
        assert longer.episode.examples[:2] == shorter.episode.examples
        assert shorter.input in TEXTS[:2]


def test_examples_are_those_of_the_study_at_the_same_seed() -> None:
    ratings = _ratings(8)
    split = split_fit_eval(ratings, seed=3)
    asked, given = ratings.take(split.is_eval), ratings.take(split.is_fit)
    shown = ratings.take(split.examples(2))
    for query in rater_queries(asked, given, Representation(n_examples=2), seed=3):
        own = shown.take(np.array([shown.rater_ids[r] == query.episode.unit for r in shown.rater_index]))
        assert {e.input for e in query.episode.examples} == {TEXTS[i] for i in own.item_index}


def test_the_nearest_are_those_with_a_similar_text_the_nearest_last() -> None:
    asked, given = _asked_and_given(_ratings(), asked_item=2)
    for query in rater_queries(asked, given, Representation(n_examples=2, order="nearest")):
        assert query.episode.examples[-1].input == "a slow car"


def test_informative_ones_are_those_on_which_people_differ() -> None:
    ratings = _ratings()
    asked, given = _asked_and_given(ratings, asked_item=5)
    differ = np.array([0.0, 0.1, 0.9, 0.2, 0.8, 0.3])
    for query in rater_queries(asked, given, Representation(n_examples=2, order="informative"), disagreement=differ):
        assert {e.input for e in query.episode.examples} == {TEXTS[2], TEXTS[4]}
    with pytest.raises(UsageError, match="fit"):
        rater_queries(asked, given, Representation(n_examples=2, order="informative"))


def test_all_say_the_same_of_an_item_then_it_tells_least() -> None:
    assert item_disagreement(_ratings(12)).argmin() == 0


def test_a_rater_without_past_ratings_has_no_examples() -> None:
    asked, given = _asked_and_given(_ratings())
    queries = rater_queries(asked, given.take(given.rater_index != 0), Representation(n_examples=3, order="nearest"))
    assert [len(query.episode.examples) for query in queries] == [0, 3, 3, 3]
    assert all(not query.episode.examples for query in rater_queries(asked, None, Representation(n_examples=3)))


def test_what_is_held_out_is_never_given() -> None:
    ratings = _ratings()
    asked, _ = _asked_and_given(ratings)
    with pytest.raises(DataError, match="held out"):
        rater_queries(asked, ratings.take(ratings.item_index < 3), Representation(n_examples=2))
    with pytest.raises(DataError, match="share"):
        rater_queries(asked, _ratings(3), Representation(n_examples=2))


# to tune on


def test_without_examples_each_rating_is_an_episode_of_its_own() -> None:
    ratings = _ratings()
    episodes = list(rater_episodes(ratings, Representation.parse("attributes")))
    assert len(episodes) == len(ratings)
    assert {len(episode.examples) for episode in episodes} == {1}


def test_with_n_examples_an_episode_has_one_more_and_every_rating_comes_once() -> None:
    ratings = _ratings()
    episodes = list(rater_episodes(ratings, Representation(n_examples=3)))
    assert [len(episode.examples) for episode in episodes[:2]] == [4, 2]
    seen = {(episode.unit, example.input, example.output) for episode in episodes for example in episode.examples}
    assert len(seen) == len(ratings)
    (whole, *_) = rater_episodes(ratings, Representation(n_examples=ALL_EXAMPLES))
    assert len(whole.examples) == len(TEXTS)
