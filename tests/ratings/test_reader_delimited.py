"""Parity of the quick CSV reader with the standard library's, on tables that the library wrote."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.errors import DataError
from pluralign.ratings.readers import delimited
from pluralign.ratings.readers.delimited import read_delimited

value = st.text(
    st.one_of(st.sampled_from(list("a1 \",;\t|\n'#\\")), st.characters(exclude_categories=["Cs", "Cc"])), max_size=6
)


@given(st.text(st.sampled_from("ab \r\n"), max_size=12))
def test_lines_are_those_of_the_standard_library(text: str) -> None:
    assert list(delimited._lines(text)) == list(io.StringIO(text, newline=""))


def test_a_text_is_encoded_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'a,b\r\n"\N{LATIN SMALL LETTER A WITH DIAERESIS}\r\nb",\N{GRINNING FACE}\r\n1,"2\n3"\r\n'
    whole = read_delimited(text, "t.csv")[0]
    assert whole.rows()[1] == ("1", "2\n3")
    for piece in (1, 2, 5):
        monkeypatch.setattr(delimited, "_PIECE", piece)
        assert read_delimited(text, "t.csv")[0].equals(whole)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(value.filter(lambda t: t.strip() != ""), min_size=2, max_size=4, unique=True),
    st.lists(st.lists(value, min_size=4, max_size=4), min_size=1, max_size=8),
)
def test_commas_quotes_and_lines_survive(header: list[str], rows: list[list[str]]) -> None:
    rows = [row[: len(header)] for row in rows]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    table, _ = read_delimited(written.getvalue(), "t.csv")
    assert table.columns == header
    kept = [row for row in rows if any(row)]  # a row without any value may be taken for a blank line
    assert [["" if v is None else v for v in row] for row in table.iter_rows() if any(row)] == kept


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separators(separator: str) -> None:
    text = "\n".join(separator.join(row) for row in (["a", "b,c" if separator != "," else "b", "d"], ["1", "2", "3"])) + "\n"
    table, notes = read_delimited(text, "t.csv")
    assert table.width == 3
    assert bool(notes) == (separator != ",")


def test_a_header_over_two_lines() -> None:
    table, _ = read_delimited('"a\nb",c\n1,2\n', "t.csv")
    assert table.to_dict(as_series=False) == {"a\nb": ["1"], "c": ["2"]}


def test_quotes_that_do_not_close() -> None:
    with pytest.raises(DataError, match="line 2"):
        read_delimited('a,b\n1,"2\n3,4\n', "t.csv")
