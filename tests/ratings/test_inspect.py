"""What a file is understood to be, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluralign.errors import UsageError
from pluralign.ratings.inspect import Spread, inspect_ratings
from pluralign.ratings.readers import ReadOptions

SAMPLES = Path(__file__).parent / "samples"


def test_a_readable_file() -> None:
    seen = inspect_ratings(SAMPLES / "popquorn.csv", ReadOptions(rating="offensiveness"))
    assert seen.is_readable
    assert (seen.format, seen.n_ratings, seen.n_items, seen.n_raters) == ("table", 10, 4, 3)
    assert seen.columns["item_id"] == "instance_id"
    assert seen.columns["rater_age"] == "age"
    assert seen.option_counts == {"1": 4, "2": 2, "3": 2, "4": 1, "5": 1}
    assert seen.ratings_per_rater == Spread(minimum=3, median=3.0, maximum=4)
    assert seen.ratings_per_item == Spread(minimum=1, median=3.0, maximum=3)
    gender = next(a for a in seen.attributes if a.name == "rater_gender")
    assert (gender.levels, gender.n_missing) == ({"Woman": 2, "Man": 1}, 0)
    assert seen.text_columns == ["item_text"]


def test_lines_and_json_tell_the_same() -> None:
    seen = inspect_ratings(SAMPLES / "lewidi2025")
    fields = json.loads(json.dumps(seen.to_dict()))
    assert fields["n_ratings"] == 10
    assert fields["ratings_per_item"] == {"minimum": 3, "median": 3.0, "maximum": 4}
    lines = "\n".join(seen.lines())
    assert "format: lewidi2025" in lines
    assert "ratings: 10 of 3 items by 4 raters" in lines
    assert "attribute rater_age: '19' 1, '34.5' 1; unknown 2" in lines
    assert all(f"note: {note}" in lines for note in seen.notes)


def test_leaks_are_not_among_the_columns() -> None:
    seen = inspect_ratings(SAMPLES / "polis_wide")
    assert "rater_group_id" not in seen.columns
    assert any("a leak" in note for note in seen.notes)


@pytest.mark.parametrize(
    ("content", "format_name", "fault"),
    [
        (b"a,b\n1,2\n", "table", "--rating"),
        (b"item,rater,rating\n1,a,1\n1,a,2\n", "table", "--duplicates"),
        (b"\x89PNG", None, "PNG"),
    ],
)
def test_an_unreadable_file_gives_its_faults(tmp_path: Path, content: bytes, format_name: str | None, fault: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    seen = inspect_ratings(path)
    assert not seen.is_readable
    assert seen.format == format_name
    assert any(fault in f for f in seen.faults)
    assert seen.n_ratings is None
    assert "cannot be read" in seen.lines()[0]
    assert json.loads(json.dumps(seen.to_dict()))["faults"] == seen.faults


def test_wrong_usage_is_raised() -> None:
    with pytest.raises(UsageError):
        inspect_ratings(SAMPLES / "polis", ReadOptions(format="nonsense"))
