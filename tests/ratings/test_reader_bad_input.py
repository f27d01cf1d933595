"""Files that cannot be read: each fault is stated, with its place, and nothing else comes out."""

from __future__ import annotations

import gzip
import json
import pickle
import resource
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError
from pluralign.ratings.readers import ReadOptions, read_ratings

HEADER = "item,rater,rating\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b" \n\n", "it is empty"),
        ("a.csv", HEADER.encode(), "no ratings: there are column names .* but no row"),
        ("a.csv", b"item,rater\n1,2\n", "no column is recognised as the rating"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        ("a.csv", b"PK\x03\x04\x14\x00", "zip archive or an Excel workbook"),
        ("a.csv", pickle.dumps({"a": 1}), "a Python pickle, which is never opened"),
        ("a.csv", b"item,rater\x00,rating\n", "zero byte at offset 10"),
        ("a.csv", "item,rater,rating\n1,é,2\n".encode("utf-16"), "pass --encoding utf-16"),
        ("a.csv", HEADER.encode() + b"1,a,2\n2,caf\xe9,1\n", r"line 3, byte 29: 0xe9 is not utf-8\. .*--encoding latin-1"),
        ("a.csv", b"item,rater,rating\r1,a,2\r", "bare carriage returns"),
        ("a.csv", b"item,rater,item,rating\n", "line 1: column names repeat: 'item'"),
        ("a.csv", HEADER.encode() + b"1,a,1\n1,b,2,9\n2,a,1\n2,b\n", "line 3: 4 fields, the header has 3"),
        ("a.csv", HEADER.encode() + b'1,a,1\n1,b,"2\n', "line 3"),
        ("a.csv", HEADER.encode() + b"1,a,1\n1,a,2\n", "1 ratings repeat .* item '1' by rater 'a'.*--duplicates first"),
        ("a.csv", HEADER.encode() + b"1,a,1\n,b,2\n2,NA,2\n", "1 ratings have no item .the first is number 2"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00broken", "cannot be read"),
        ("a.parquet", b"PAR1 and then nothing", "not a readable parquet file"),
        ("a.json", b'{"a": [1, 2', "line 1, column 12: not valid JSON"),
        ("a.json", b'{"a": {"x": 1}, "a": {"x": 2}}', "the key 'a' occurs twice"),
        ("a.json", b'{"a": 1}', "none of the known formats"),
        ("a.json", b"[1, 2]", "none of the known formats"),
        ("a.json", b"[" * 100_000, "nested too deeply|not valid JSON"),
        ("a.jsonl", b'{"item": 1}\n{"item": \n[1]\n', r"line 2: not valid JSON"),
        ("a.json", b'[{"item": "\\ud800", "rater": "a", "rating": 1}]', r"not valid Unicode: .* \(U\+D800\)"),
    ],
)
def test_stated_faults(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_ratings(path)
    assert name in caught.value.where


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_ratings(tmp_path / "nothing.csv")


def test_folder_without_a_format(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no format of folders fits: Polis has votes"):
        read_ratings(tmp_path)
    with pytest.raises(DataError, match="holds no part of a table: no file that ends in"):
        read_ratings(tmp_path, ReadOptions(format="table"))
    with pytest.raises(DataError, match="no file of votes"):
        read_ratings(tmp_path, ReadOptions(format="polis"))


def test_all_ragged_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + '1,a,"two\nlines"\n1,b\n2,a,1,1\n\n3,a,1\n')
    with pytest.raises(DataError) as caught:
        read_ratings(path)
    # Line 2 spans two lines, so that the short row begins on line 4; the blank line is no fault.
    assert caught.value.faults == ("line 4: 2 fields, the header has 3", "line 5: 4 fields, the header has 3")


def test_many_ragged_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "1,a\n" * 300)
    with pytest.raises(DataError) as caught:
        read_ratings(path)
    assert len(caught.value.faults) == 11
    assert caught.value.faults[-1] == "and 290 more lines with another number of fields"


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "1,a,1\n\n2,a,2\n\n")
    ratings = read_ratings(path)
    assert len(ratings) == 2
    assert any("lines without any value were skipped" in note.what for note in ratings.notes)


def test_stated_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + "1,café,1\n2,café,2\n").encode("latin-1"))
    assert read_ratings(path, ReadOptions(encoding="latin-1")).rater_ids == ["café"]
    with pytest.raises(DataError, match="--encoding latin-99"):
        read_ratings(path, ReadOptions(encoding="latin-99"))
    path.write_bytes((HEADER + "1,a,1\n2,a,2\n").encode("utf-16"))
    assert len(read_ratings(path, ReadOptions(encoding="utf-16"))) == 2


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + "1,a,1\n2,a,2\n").encode())
    assert len(read_ratings(path)) == 2
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"1,\xff,1\n")
    with pytest.raises(DataError, match="line 2, byte 23: 0xff"):
        read_ratings(path)


def test_text_that_begins_like_a_compressed_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x^2,item,rater,rating\n9,1,a,1\n8,2,a,2\n")  # 0x78 0x5e also opens a zlib stream
    assert len(read_ratings(path)) == 2


def test_one_rater_can_be_read_but_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "1,a,1\n2,a,2\n")
    assert any("one rater only" in note.what for note in read_ratings(path).notes)


def test_an_explicit_attribute_that_varies(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item,rater,rating,mood\n1,a,1,good\n2,a,2,bad\n")
    with pytest.raises(DataError, match="'rater_mood' differs between rows of the same rater_id"):
        read_ratings(path, ReadOptions(attributes=("mood",)))


def test_infinite_and_nan_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"item": [1, 2, 3], "rater": ["a", "a", "a"], "rating": [1.0, 2.0, float("nan")]}).write_parquet(path)
    assert len(read_ratings(path)) == 2
    pl.DataFrame({"item": [1, 2], "rater": ["a", "a"], "rating": [1.0, float("inf")]}).write_parquet(path)
    with pytest.raises(DataError, match="1 ratings are infinite"):
        read_ratings(path)


def test_nested_parquet_columns_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pl.DataFrame({"item": [1, 2], "rater": ["a", "a"], "rating": [1, 2], "span": [[1], [2]], "raw": [b"\xff", b"x"]})
    table.write_parquet(path)
    ratings = read_ratings(path)
    assert any("'span', 'raw'" in note.what and note.count == 2 for note in ratings.notes)


def test_ids_from_data_are_never_paths(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps({"Ann0": {"age": 1}}))
    entry = {"text": "t", "annotations": {"../secret.json": "1", "/etc/passwd": "0"}}
    path = tmp_path / "Set_dev.json"
    path.write_text(json.dumps({"../../x": entry}))
    ratings = read_ratings(path)
    assert ratings.rater_ids == ["../secret.json", "/etc/passwd"]
    assert ratings.attributes == []


def test_a_compressed_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "1,a,1\n2,a,2\n").encode()))
    assert len(read_ratings(path)) == 2


@pytest.mark.slow
def test_ten_million_rows(tmp_path: Path) -> None:
    n = 10_000_000
    row = np.arange(n)
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "item_id": (row % 100_000).astype(np.int32),
            "rater_id": (row // 100_000 * 1000 + rng.integers(0, 1000, n)).astype(np.int32),  # a block of raters a round
            "rating": rng.integers(1, 6, n).astype(np.int8),
        }
    )
    path = tmp_path / "big.parquet"
    table.write_parquet(path)
    del table, row
    start = time.perf_counter()
    ratings = read_ratings(path)
    seconds = time.perf_counter() - start
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{seconds:.1f} s, peak {peak_gib:.2f} GiB")
    assert (len(ratings), ratings.n_items, ratings.n_raters) == (n, 100_000, 100_000)
    assert seconds < 120
    assert peak_gib < 6
