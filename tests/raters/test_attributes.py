from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.raters.attributes import CodedAttribute, code_attributes, membership_of
from pluralign.raters.findings import AttributeSummary
from pluralign.ratings import Ratings, Scale

OTHER = "(other levels)"


def people(values: list[object], *, silent: int = 0) -> Ratings:
    """One rater a value, in this order; the last `silent` of them have no rating."""
    n = len(values)
    table = pl.DataFrame(
        {"item_id": ["i"] * n, "rater_id": [f"r{k:04}" for k in range(n)], "rating": ["1"] * n, "rater_x": values}, strict=False
    )
    return Ratings.from_long(table, Scale("nominal", ("1", "2"))).take(np.arange(n - silent))


def coded(values: list[object], *, silent: int = 0) -> tuple[CodedAttribute | None, AttributeSummary]:
    attributes, (summary,) = code_attributes(people(values, silent=silent))
    assert summary.name == "x"
    assert summary.used == bool(attributes)
    return (attributes[0] if attributes else None), summary


def test_levels_and_counts_by_hand() -> None:
    attribute, summary = coded(["b"] * 6 + ["a"] * 7 + [None] * 2)
    assert attribute is not None
    assert attribute.levels == ("a", "b")
    assert attribute.level.tolist() == [1] * 6 + [0] * 7 + [-1] * 2
    assert attribute.note is None
    assert (summary.levels, summary.n_raters, summary.n_missing) == (["a", "b"], [7, 6], 2)


def test_raters_without_a_rating_do_not_count() -> None:
    attribute, summary = coded(["a"] * 6 + ["b"] * 6 + [None, "b", "c"], silent=3)
    assert attribute is not None
    assert (summary.levels, summary.n_raters, summary.n_missing) == (["a", "b"], [6, 6], 0)
    assert attribute.level[12:].tolist() == [-1, 1, -1]


@pytest.mark.parametrize(
    ("values", "silent"),
    [
        (["a"] * 6 + ["b"] * 6, "c"),
        (["a"] * 6 + ["b"] * 2 + ["c"] * 2, "d"),  # b and c are pooled, but of d nothing is known
        ([str(k) for k in range(20)], "unknown"),
    ],
)
def test_a_value_that_nobody_with_a_rating_has_is_not_known(values: list[object], silent: str) -> None:
    attribute, summary = coded([*values, silent], silent=1)
    without, same = coded([*values, None], silent=1)
    assert attribute is not None
    assert without is not None
    assert attribute.level.tolist() == without.level.tolist()
    assert attribute.level[-1] == -1
    assert (attribute.levels, summary) == (without.levels, same)


# Readers give attributes as text; ages come as numbers or as text, both have to be cut alike.
@pytest.mark.parametrize("as_text", [False, True])
def test_many_numbers_are_cut_at_their_quantiles(as_text: bool) -> None:
    ages = list(range(21, 41))  # 20 ages; at the quantiles 4, 8, 12 and 16 of them are below or at the cut
    attribute, summary = coded([str(a) if as_text else a for a in ages] + [None])
    assert attribute is not None
    assert attribute.levels == ("21–24", "25–28", "29–32", "33–36", "37–40")
    assert attribute.level.tolist() == [k // 4 for k in range(20)] + [-1]
    assert attribute.note == "'x': numbers cut at their quantiles into 5 groups"
    assert (summary.n_raters, summary.n_missing) == ([4] * 5, 1)


def test_a_number_that_most_share_is_a_group_of_its_own() -> None:
    attribute, summary = coded(["0"] * 80 + [str(k) for k in range(1, 21)])
    assert attribute is not None
    assert (attribute.levels, summary.n_raters) == (("0", "1–20"), [80, 20])


def test_spans_are_written_out() -> None:
    attribute, _ = coded([1_000_000 + 12_345 * k for k in range(20)])
    assert attribute is not None
    assert attribute.levels[0] == "1000000–1037035"


def test_few_numbers_are_levels_in_the_order_of_numbers() -> None:
    attribute, _ = coded([str(k) for k in (10, 2, 1, 3)] * 5)
    assert attribute is not None
    assert attribute.levels == ("1", "2", "3", "10")
    assert attribute.level[:4].tolist() == [3, 1, 0, 2]


def test_numbers_among_words_are_words() -> None:
    attribute, _ = coded(["18-29", "30-44", "60"] * 5)
    assert attribute is not None
    assert attribute.levels == ("18-29", "30-44", "60")


def test_rare_levels_are_pooled() -> None:
    attribute, summary = coded(["a"] * 10 + ["b"] * 5 + ["c"] * 4 + ["d"] * 2)
    assert attribute is not None
    assert (attribute.levels, summary.n_raters) == (("a", "b", OTHER), [10, 5, 6])
    assert attribute.level[15:].tolist() == [2] * 6
    assert attribute.note == f"'x': 2 levels with few raters are pooled as '{OTHER}'"


def test_one_rare_level_alone_keeps_its_name() -> None:
    attribute, _ = coded(["a"] * 10 + ["b"] * 5 + ["c"] * 2)
    assert attribute is not None
    assert (attribute.levels, attribute.note) == (("a", "b", "c"), None)


def test_of_too_many_levels_the_most_frequent_are_kept() -> None:
    # 15 levels: l00 has 6 raters, l01 7, ... l14 20.
    attribute, summary = coded([f"l{k:02}" for k in range(15) for _ in range(6 + k)])
    assert attribute is not None
    assert attribute.levels == (*(f"l{k:02}" for k in range(4, 15)), OTHER)
    assert summary.n_raters == [*range(10, 21), 6 + 7 + 8 + 9]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["a"] * 20, "all raters have the same value"),
        (["a"] * 20 + [None] * 3, "all raters have the same value"),
        ([None] * 20, "no rater has a value"),
        ([f"name {k}" for k in range(40)], "40 different values: it names people, not groups"),
        ([f"name {k % 22}" for k in range(40)], "22 different values: it names people, not groups"),
        ([f"l{k // 3}" for k in range(30)], "no value is shared by 5 raters"),
    ],
)
def test_what_cannot_be_used_says_why(values: list[object], why: str) -> None:
    attribute, summary = coded(values)
    assert attribute is None
    assert (summary.why_not_used, summary.levels, summary.n_raters) == (why, [], [])
    assert summary.n_missing == sum(v is None for v in values)


def test_every_rater_has_one_level_or_none() -> None:
    rng = np.random.default_rng(0)
    for n_levels in (2, 5, 11, 12, 13, 30):
        values = [None if k % 9 == 0 else f"l{int(n_levels * rng.random() ** 2)}" for k in range(300)]
        attribute, summary = coded(values)
        assert attribute is not None
        known = np.array([v is not None for v in values])
        assert ((attribute.level >= 0) == known).all()
        assert attribute.level.max() == len(attribute.levels) - 1
        assert sum(summary.n_raters) + summary.n_missing == 300
        assert all(count > 0 for count in summary.n_raters)
        assert len(attribute.levels) <= 12


def test_attributes_side_by_side() -> None:
    a = CodedAttribute("a", ("x", "y"), np.array([0, 1, -1]), None)
    b = CodedAttribute("b", ("u", "v", "w"), np.array([2, -1, 0]), None)
    membership = membership_of([a, b])
    assert membership.n_levels == (2, 3)
    assert membership.level.tolist() == [[0, 2], [1, -1], [-1, 0]]
