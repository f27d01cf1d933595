"""Whatever lies in a file, a reader gives valid Ratings whose counts add up with their Notes, or a stated error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluralign.errors import PluralignError
from pluralign.ratings import Ratings
from pluralign.ratings.inspect import inspect_ratings
from pluralign.ratings.readers import FORMATS, ReadOptions, read_ratings

SAMPLES = Path(__file__).parent / "samples"
FILES = sorted(path.relative_to(SAMPLES) for path in SAMPLES.rglob("*.*") if path.is_file())
fuzzed = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

options = st.builds(
    ReadOptions,
    format=st.one_of(st.none(), st.sampled_from(sorted(FORMATS))),
    rating=st.one_of(st.none(), st.sampled_from(["rating", "label", "sentiment", "mood", "agree", "x"])),
    item=st.one_of(st.none(), st.sampled_from(["item", "id", ("item", "text")])),
    scale=st.one_of(st.none(), st.sampled_from(["nominal", "ordinal", "interval"])),
    duplicates=st.one_of(st.none(), st.sampled_from(["error", "first", "last"])),
    rows=st.sampled_from(["raters", "items"]),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    return lambda name: folder / name


def check(path: Path, chosen: ReadOptions) -> None:
    try:
        ratings = read_ratings(path, chosen)
    except PluralignError:
        return
    check_invariants(ratings)


def check_invariants(ratings: Ratings) -> None:
    for ids in (ratings.item_ids, ratings.rater_ids):
        assert None not in ids
        assert len(set(ids)) == len(ids)
    sizes = (ratings.n_items, ratings.n_raters, ratings.n_options)
    for index, size in zip((ratings.item_index, ratings.rater_index, ratings.rating_index), sizes, strict=True):
        assert len(index) == len(ratings)
        assert index.min() >= 0
        assert index.max() < size
    pairs = set(zip(ratings.item_index.tolist(), ratings.rater_index.tolist(), strict=True))
    assert len(pairs) == len(ratings)
    read = [note.count for note in ratings.notes if note.what == "ratings or cells for them were read"]
    dropped = [note.count for note in ratings.notes if note.what.endswith("dropped")]
    assert len(read) == 1
    assert read[0] - sum(dropped) == len(ratings)


@fuzzed
@given(content=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".json", ".jsonl", ".parquet", ".csv.gz", ""]))
def test_random_bytes(place: Callable[[str], Path], content: bytes, suffix: str) -> None:
    path = place(f"bytes{suffix}")
    path.write_bytes(content)
    check(path, ReadOptions())
    inspect_ratings(path)


cell = st.one_of(
    st.sampled_from(["1", "2", "3", "1.0", "", "NA", "yes", "no", "-1", "inf", '"a', 'b"c', '""', '"x,y"', " 1"]),
    st.text(max_size=6),
)
COLUMNS = (
    "item item_id rater rater_id rating label text age gender participant group-id 0 1 2 comment-id voter-id vote timestamp"
)
name = st.one_of(st.sampled_from(COLUMNS.split()), st.text(max_size=4))


@fuzzed
@given(
    header=st.lists(name, min_size=1, max_size=7),
    rows=st.lists(st.lists(cell, max_size=8), max_size=12),
    separator=st.sampled_from([",", "\t", ";"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    chosen=options,
)
def test_random_csv(
    place: Callable[[str], Path], header: list[str], rows: list[list[str]], separator: str, end: str, chosen: ReadOptions
) -> None:
    path = place("random.csv")
    text = end.join(separator.join(row) for row in [header, *rows])
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    check(path, chosen)


@fuzzed
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from(["1", "2", "3", "", "NA", "1.0"])),
        max_size=30,
    ),
    st.sampled_from(["error", "first", "last"]),
)
def test_nearly_valid_csv(place: Callable[[str], Path], rows: list[tuple[str, str, str]], duplicates: Any) -> None:
    path = place("nearly.csv")
    path.write_text("item,rater,rating\n" + "".join(",".join(row) + "\n" for row in rows))
    check(path, ReadOptions(duplicates=duplicates))


KEYS = (
    "id text data annotations annotators result responses fields label_annotations completed_by value from_name type choices "
    "other_info user_id values item rater rating annotation_id annotator lead_time split"
)
key = st.one_of(st.sampled_from(KEYS.split()), st.text(max_size=3))
scalar = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["1,0", "choices", "u1"])
)
document = st.recursive(
    scalar, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(key, inner, max_size=5)), max_leaves=25
)


@fuzzed
@given(document, st.sampled_from([".json", ".jsonl"]), options)
def test_random_json(place: Callable[[str], Path], data: Any, suffix: str, chosen: ReadOptions) -> None:
    path = place(f"random{suffix}")
    path.write_text(json.dumps(data))
    check(path, chosen)


edits = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "cut", "swap"]),
        st.integers(0, 10_000),
        st.one_of(
            st.binary(min_size=1, max_size=3), st.sampled_from([b"\n", b",", b'"', b"{", b"]", b"null", b"\xff", b"-7", b"[]"])
        ),
    ),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, new in changes:
        at = position % (len(content) + 1)
        if kind == "replace":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + position % 7 :]
        elif kind == "cut":
            content = content[:at]
        else:
            content = content[at:] + content[:at]
    return content


@settings(fuzzed, max_examples=400)
@given(st.sampled_from(FILES), edits, options)
def test_mutated_samples(
    place: Callable[[str], Path], file: Path, changes: list[tuple[str, int, bytes]], chosen: ReadOptions
) -> None:
    root = SAMPLES / file.parts[0]
    if root.is_file():
        path = place(file.name)
        changed = path
    else:
        path = place(root.name)
        shutil.copytree(root, path, dirs_exist_ok=True)
        changed = path.joinpath(*file.parts[1:])
    changed.write_bytes(mutated((SAMPLES / file).read_bytes(), changes))
    check(path, chosen)
    check(path, ReadOptions(rating=chosen.rating))
