from __future__ import annotations

import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.models.queries import queries_of, scored_examples

EPISODE = Episode(
    "warmth",
    (Example("yes", "tea?"), Example("no", "ice?"), Example("yes", "sun?")),
    options=("no", "yes"),
    unit="r1",
    attributes={"age": 31},
)
DESCRIBED = Episode("warmth", (Example("yes"),), description="How warm?")


def test_the_last_output_is_held_out_and_its_input_asked() -> None:
    [asked] = queries_of(EPISODE, at="last")
    assert (asked.example_index, asked.true_output, asked.query.input) == (2, "yes", "sun?")
    known = asked.query.episode
    assert known.examples == EPISODE.examples[:2]
    assert (known.options, known.unit, known.attributes) == (EPISODE.options, "r1", {"age": 31})


def test_every_scored_output_is_asked_in_turn() -> None:
    asked = queries_of(EPISODE, at="all")
    assert [(one.example_index, one.true_output, one.query.input) for one in asked] == [(1, "no", "ice?"), (2, "yes", "sun?")]
    assert [len(one.query.episode.examples) for one in asked] == [1, 2]


def test_what_comes_next_has_no_truth_and_everything_is_known() -> None:
    [asked] = queries_of(EPISODE, at="next")
    assert (asked.example_index, asked.true_output, asked.query.input) == (3, None, None)
    assert asked.query.episode == EPISODE


def test_the_first_output_is_asked_only_behind_a_description() -> None:
    assert [one.example_index for one in queries_of(DESCRIBED, at="all")] == [0]
    assert [one.example_index for one in queries_of(DESCRIBED, at="last")] == [0]
    lonely = Episode("warmth", (Example("yes", "tea?"),))
    assert queries_of(lonely, at="all") == queries_of(lonely, at="last") == []
    assert queries_of(Episode("warmth", (), description="How warm?"), at="last") == []
    assert scored_examples(EPISODE) == [1, 2]


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'last'"):
        queries_of(EPISODE, at="lst")  # type: ignore[arg-type]  # that is the test
