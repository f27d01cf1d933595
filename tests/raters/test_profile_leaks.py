"""What a profile copies from items, and whom attributes give away; by hand and against the obvious reading."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError
from pluralign.raters.profile_leaks import Leak, leak_of, privacy_by_attribute
from pluralign.ratings import Ratings, Scale
from pluralign.suite.shingles import plain_words


def test_a_copied_sentence_by_hand() -> None:
    item = "Telling a friend an unwelcome truth in a small village at night."  # 12 words
    profile = "Is for telling a friend an unwelcome truth in a small village. Kind."  # 13 words, 10 of them copied in a row
    assert leak_of(profile, ["Saving.", item]) == Leak(10, 10 / 13)


def test_runs_do_not_reach_over_items_and_punctuation_does_not_count() -> None:
    assert leak_of("one two three four", ["one two", "three four"]) == Leak(2, 0.0)
    assert leak_of("ONE, two; three!", ["«one two three»"]) == Leak(3, 0.0)


@pytest.mark.parametrize("profile", ["", " \n", "...", "🙂"])
def test_a_profile_without_a_word_has_no_leak(profile: str) -> None:
    assert leak_of(profile, ["a b c"]) is None


def test_nothing_is_shared_with_nothing() -> None:
    assert leak_of("honest", []) == leak_of("honest", ["kind"]) == Leak(0, 0.0)


def test_scripts_without_spaces_are_counted_by_character() -> None:
    found = leak_of("她认为诚实比忠诚更重要", ["他说诚实比忠诚更重要吗"])
    assert found is not None
    assert found.longest_copied == 8
    assert found.copied_share == pytest.approx(8 / 11)


def test_as_the_obvious_reading_finds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        profile, *items = (" ".join(rng.choice(["a", "b"], size=rng.integers(1, 30))) for _ in range(4))
        words = plain_words(profile)
        shared = [
            (start, n)
            for start in range(len(words))
            for n in range(1, len(words) - start + 1)
            if any(f" {' '.join(words[start : start + n])} " in f" {item} " for item in items)
        ]
        copied = {place for start, n in shared if n >= 8 for place in range(start, start + n)}
        expected = Leak(max((n for _, n in shared), default=0), len(copied) / len(words))
        assert leak_of(profile, items) == expected


def test_who_is_alone_with_what_is_told() -> None:
    people = [("old", "north"), ("old", "south"), ("young", "north"), ("young", "north"), (None, None)]
    rows = [
        {"item_id": "i", "rater_id": f"r{n}", "rater_age": age, "rater_region": region, "rating": "1"}
        for n, (age, region) in enumerate(people)
    ]
    ratings = Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", ("1", "2")))
    found = privacy_by_attribute(ratings, ("all",))
    assert {name: (one.n_alone, one.n_raters) for name, one in found.items()} == {"age": (0, 5), "age + region": (2, 5)}
    assert list(privacy_by_attribute(ratings, ("region",))) == ["region"]
    assert privacy_by_attribute(ratings, ()) == {}
    with pytest.raises(DataError, match="did you mean 'age'"):
        privacy_by_attribute(ratings, ("agee",))
