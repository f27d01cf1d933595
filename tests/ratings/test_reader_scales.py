"""Answers to options: numbers, words, bins, and what is inferred."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralign.errors import DataError
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.readers.scales import bin_edges, bin_labels, canonical_number


def rated(tmp_path: Path, answers: Sequence[str], options: ReadOptions | None = None) -> Ratings:
    path = tmp_path / "r.csv"
    path.write_text("item,rater,rating\n" + "".join(f"i{n},a,{answer}\n" for n, answer in enumerate(answers)))
    return read_ratings(path, options)


def notes(ratings: Ratings) -> str:
    return "\n".join(map(str, ratings.notes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "1"), ("1.0", "1"), ("+2", "2"), ("-0.0", "0"), (".5", "0.5"), ("1e2", "100"), ("007", "7")]
    + [(text, None) for text in ("", "1,5", "1_0", "inf", "nan", "1e999", "٣", "0x1", "1 2", "9" * 200)],
)
def test_canonical_number(text: str, expected: str | None) -> None:
    assert canonical_number(text) == expected


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_canonical_number_keeps_its_value_and_its_form(value: float) -> None:
    text = canonical_number(repr(value))
    assert text is not None
    assert float(text) == value
    assert canonical_number(text) == text


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["1", "2", "3"], "ordinal"),
        ([str(n) for n in range(15)], "ordinal"),
        ([str(n) for n in range(16)], "interval"),
        (["0", "1"], "ordinal"),
        (["yes", "no"], "nominal"),
        (["1", "2", "many"], "nominal"),
    ],
)
def test_inferred_kind(tmp_path: Path, answers: list[str], kind: str) -> None:
    ratings = rated(tmp_path, answers)
    assert ratings.scale.kind == kind
    assert f"taken as {kind}" in notes(ratings)


def test_numbers_are_sorted_by_size(tmp_path: Path) -> None:
    assert rated(tmp_path, ["10", "9", "-1", "2.50"]).scale.options == ("-1", "2.5", "9", "10")


def test_stated_options_keep_their_order_and_need_no_answer(tmp_path: Path) -> None:
    options = ReadOptions(options=("never", "at times", "always"), scale="ordinal")
    ratings = rated(tmp_path, ["always", " never", "never"], options)
    assert ratings.scale.options == ("never", "at times", "always")
    assert ratings.values.tolist() == [2.0, 0.0, 0.0]
    numbers = rated(tmp_path, ["1.0", "3"], ReadOptions(options=("1", "2", "3.0")))
    assert numbers.scale.options == ("1", "2", "3")


def test_gaps_between_whole_numbers_are_noted(tmp_path: Path) -> None:
    assert "nobody answered '2', '4'" in notes(rated(tmp_path, ["1", "3", "5"]))
    assert "nobody answered" not in notes(rated(tmp_path, ["1", "2.5", "5"]))


def test_a_few_words_among_numbers_are_noted(tmp_path: Path) -> None:
    ratings = rated(tmp_path, ["1", "2", "1", "refused"])
    assert "most answers are numbers, but not 'refused'" in notes(ratings)
    assert rated(tmp_path, ["1", "2", "1", "refused"], ReadOptions(missing=("refused",))).scale.kind == "ordinal"


def test_bins(tmp_path: Path) -> None:
    answers = [str(n) for n in range(101)]
    ratings = rated(tmp_path, answers, ReadOptions(bins=5))
    assert ratings.scale.options == ("0-20", "20-40", "40-60", "60-80", "80-100")
    assert ratings.scale.kind == "ordinal"
    by_item = {item: ratings.scale.options[a] for item, a in zip(ratings.item_ids, ratings.rating_index, strict=True)}
    assert [by_item[f"i{n}"] for n in (0, 19, 20, 79, 80, 100)] == ["0-20", "0-20", "20-40", "60-80", "80-100", "80-100"]
    assert "grouped into 5 bins of equal width" in notes(ratings)
    assert rated(tmp_path, answers).n_options == 101  # without --bins the values stay


def test_bin_range_fixes_the_ends(tmp_path: Path) -> None:
    ratings = rated(tmp_path, ["0.1", "0.9"], ReadOptions(bins=2, bin_range=(0, 1)))
    assert ratings.scale.options == ("0-0.5", "0.5-1")
    with pytest.raises(DataError, match=r"1 ratings lie outside --bin-range 0 1: '1\.5'"):
        rated(tmp_path, ["0.1", "1.5"], ReadOptions(bins=2, bin_range=(0, 1)))
    with pytest.raises(DataError, match="--bins groups numbers"):
        rated(tmp_path, ["a", "b"], ReadOptions(bins=2))
    with pytest.raises(DataError, match="too narrow"):
        rated(tmp_path, ["1", "1.0000001"], ReadOptions(bins=5))


def test_bin_edges_end_exactly() -> None:
    assert bin_edges(0, 0.3, 3)[-1] == 0.3
    assert bin_labels([-10.0, 0.0, 10.0]) == ["-10 to 0", "0 to 10"]


def test_missing_is_not_data(tmp_path: Path) -> None:
    ratings = rated(tmp_path, ["1", "2", "NA", "", "NaN", " "])
    assert len(ratings) == 2
    assert "dropped (4)" in notes(ratings)
    assert "items without any rating are not in the table (4)" in notes(ratings)


@pytest.mark.parametrize(
    ("answers", "options", "message"),
    [
        (["1", "inf", "-Infinity", "1e999"], None, r"3 ratings are infinite \('-Infinity', '1e999', 'inf'\)"),
        (["1", "9", "9"], ReadOptions(options=("1", "2")), r"2 ratings are outside the scale .*'9' \(2 times\)"),
        (["1", "1"], None, "at least 2 options"),
        (["NA", ""], None, "all 2 are empty"),
        (["a", "b"], ReadOptions(scale="ordinal"), "needs --options in order"),
        (["a", "b"], ReadOptions(scale="interval"), "needs rising numbers"),
        ([f"word {n}" for n in range(51)], None, "51 different texts, .* Name the column of the ratings with --rating"),
    ],
)
def test_answers_that_cannot_be_used(tmp_path: Path, answers: list[str], options: ReadOptions | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rated(tmp_path, answers, options)
