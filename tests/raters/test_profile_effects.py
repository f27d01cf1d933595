"""What a change of a profile does to predictions."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pytest

from pluralign.errors import DataError
from pluralign.models import Query, ScriptedModel
from pluralign.raters.profile_effects import profile_shifts
from pluralign.ratings import Ratings, Scale

RATINGS = Ratings.from_long(
    pl.DataFrame([{"item_id": f"i{n}", "item_text": f"text {n}", "rater_id": "r", "rating": "no"} for n in range(8)]),
    Scale("nominal", ("no", "yes")),
)


def _reads(query: Query) -> Mapping[str, float]:
    """Item n moves by n tenths if the profile says "kind"."""
    n = int((query.input or "").removeprefix("text "))
    yes = 0.1 + (n / 10 if "kind" in (query.episode.description or "") else 0)
    return {"no": 1 - yes, "yes": yes}


def test_the_items_that_move_most_come_first() -> None:
    found = profile_shifts(ScriptedModel(_reads), RATINGS, before="strict", after="kind", n=3)
    assert [one.item_id for one in found] == ["i7", "i6", "i5"]
    assert found[0].before == pytest.approx((0.9, 0.1))
    assert found[0].after == pytest.approx((0.2, 0.8))
    assert found[0].total_variation == pytest.approx(0.7)


def test_named_items_come_as_they_are_named_and_without_a_profile_nothing_was_told() -> None:
    model = ScriptedModel(_reads)
    found = profile_shifts(model, RATINGS, before=None, after="kind", items=["i2", "i0", "i2"])
    assert [one.item_id for one in found] == ["i2", "i0"]
    assert found[1].total_variation == pytest.approx(0)
    assert model.usage.requests == 4
    with pytest.raises(DataError, match="i9"):
        profile_shifts(model, RATINGS, before=None, after="kind", items=["i9"])


def test_only_so_many_items_are_looked_through() -> None:
    model = ScriptedModel(_reads)
    assert len(profile_shifts(model, RATINGS, before="strict", after="kind", most_compared=4)) == 4
    assert model.usage.requests == 8


def test_an_item_without_an_answer_says_so_and_comes_last() -> None:
    model = ScriptedModel(_reads, faults={"refusal": 0.3}, seed=3)
    found = profile_shifts(model, RATINGS, before="strict", after="kind", n=8)
    bad = [one for one in found if one.total_variation is None]
    assert 0 < len(bad) < 8
    assert found[-len(bad) :] == bad
    for one in bad:
        assert "refusal" in (one.outcome_before, one.outcome_after)
        assert (one.before is None) == (one.outcome_before == "refusal")
