from __future__ import annotations

import pytest

from pluralign import errors
from pluralign.errors import DataError, MissingExtraError, PluralignError, nearest_name


def test_one_fault_stands_in_the_line_and_more_are_listed() -> None:
    one = DataError("a.csv", "no rows")
    assert (one.where, one.faults, str(one)) == ("a.csv", ("no rows",), "a.csv: no rows")
    assert str(DataError("a.csv", ["no rows"])) == str(one)
    three = DataError("a.csv", ["x", "y", "z"])
    assert three.faults == ("x", "y", "z")
    assert str(three).splitlines() == ["a.csv: 3 faults", "  - x", "  - y", "  - z"]


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error") and n != "PluralignError"])
def test_all_stated_errors_are_caught_by_their_base(name: str) -> None:
    assert issubclass(getattr(errors, name), PluralignError)


def test_a_missing_extra_prints_the_line_that_installs_it() -> None:
    assert str(MissingExtraError("openai", extra="api")).endswith("run: pip install 'pluralign[api]'")


def test_the_nearest_name_is_guessed_only_when_it_is_near() -> None:
    assert (
        nearest_name("ordnal", ["nominal", "ordinal"]) == "'ordnal' is unknown; did you mean 'ordinal'? Known: nominal, ordinal"
    )
    assert nearest_name("zzz", {"b", "a"}) == "'zzz' is unknown. Known: a, b"
