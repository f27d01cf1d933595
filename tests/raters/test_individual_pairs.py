"""Tables of pairs and texts, as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluralign.errors import DataError
from pluralign.raters.individual_pairs import read_pairs, read_told_texts
from pluralign.raters.profile_files import write_profiles
from pluralign.raters.profiles import RaterProfile
from pluralign.ratings.readers import ReadOptions
from raters.made_people import people

PEOPLE = people(4, 4)
CALLED = {"item_id": "comment", "rater_id": "worker", "rating": "label", "item_text": "what", "rater_age": "Age"}


def test_pairs_have_our_names_or_those_of_the_file_of_ratings(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("worker,comment,what,Age,extra\nr1,i9,new,NA,x\n")
    (tmp_path / "ours.jsonl").write_text('{"rater_id": "r1", "item_id": "i9", "item_text": "new"}\n')
    (tmp_path / "usual.csv").write_text("annotator,task\nr1,i9\n")
    read = {
        name: read_pairs(tmp_path / name, PEOPLE, ReadOptions(), CALLED) for name in ("theirs.csv", "ours.jsonl", "usual.csv")
    }
    assert read["theirs.csv"].row(0, named=True) == {"item_id": "i9", "rater_id": "r1", "item_text": "new", "rater_age": None}
    assert read["ours.jsonl"].row(0, named=True) == {"item_id": "i9", "rater_id": "r1", "item_text": "new"}
    assert read["usual.csv"].row(0, named=True) == {"item_id": "i9", "rater_id": "r1"}


def test_items_named_by_several_columns(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("worker,page,line\nr1,3,7\n")
    options = ReadOptions(item=("page", "line"))
    assert read_pairs(tmp_path / "pairs.csv", PEOPLE, options, CALLED)["item_id"].to_list() == ["3/7"]
    with pytest.raises(DataError, match="no column 'row', which is part of an item's name"):
        read_pairs(tmp_path / "pairs.csv", PEOPLE, ReadOptions(item=("page", "row")), CALLED)


def test_a_table_without_raters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("comment,what\ni9,new\n")
    with pytest.raises(DataError, match="no column is recognised as the rater"):
        read_pairs(tmp_path / "pairs.csv", PEOPLE, ReadOptions(), CALLED)


def test_texts_about_raters(tmp_path: Path) -> None:
    assert read_told_texts(None, None).written_from == {}
    (tmp_path / "p.csv").write_text("rater_id,profile\nr1,careful\nr2,\n")
    (tmp_path / "c.csv").write_text("rater_id,cluster\nr1,people who care\n")
    told = read_told_texts(tmp_path / "p.csv", tmp_path / "c.csv")
    assert told.texts.profiles == {"r1": "careful"}
    assert told.texts.clusters == {"r1": "people who care"}
    assert told.written_from is None
    written = [
        RaterProfile(rater_id="r1", profile="careful", given_items=("i1", "i2")),
        RaterProfile(rater_id="r2", profile=None, outcome="refusal"),
    ]
    write_profiles(tmp_path / "profiles.jsonl", written)
    for path in (tmp_path / "profiles.jsonl", tmp_path):
        told = read_told_texts(path, None)
        assert told.texts.profiles == {"r1": "careful"}
        assert told.written_from == {"r1": {"i1", "i2"}}
    write_profiles(tmp_path / "by_hand.jsonl", [RaterProfile(rater_id="r1", profile="careful")])
    assert read_told_texts(tmp_path / "by_hand.jsonl", None).written_from is None


def test_texts_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("rater_id,profile\nr1,a\nr1,b\n")
    with pytest.raises(DataError, match="rater 'r1' has several rows"):
        read_told_texts(tmp_path / "p.csv", None)
    with pytest.raises(DataError, match="no column 'cluster'"):
        read_told_texts(None, tmp_path / "p.csv")
