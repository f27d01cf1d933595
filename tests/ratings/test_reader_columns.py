"""Which column is what, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluralign.errors import DataError
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.readers.columns import find_role, find_roles, is_leak, prefixed


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["item_id", "rater_id", "rating"], ("item_id", "rater_id", "rating")),
        (["task", "worker", "label"], ("task", "worker", "label")),
        (["workerId", "Task ID", "Score"], ("Task ID", "workerId", "Score")),
        (["item_id", "task", "rater_id", "rating", "label"], ("item_id", "rater_id", "rating")),
    ],
)
def test_usual_names_are_recognised(columns: list[str], expected: tuple[str, str, str]) -> None:
    roles, faults = find_roles(columns, ReadOptions())
    assert faults == []
    assert roles is not None
    assert (*roles.item, roles.rater, roles.rating) == expected


def test_several_candidates_are_listed_with_the_flag() -> None:
    column, faults = find_role(["rating", "judge", "user"], "rater", None)
    assert column is None
    assert "'judge', 'user'; name it with --rater" in faults[0]


def test_all_missing_roles_at_once() -> None:
    roles, faults = find_roles(["a", "b"], ReadOptions())
    assert roles is None
    assert [flag for fault in faults for flag in ("--rating", "--rater", "--item") if f"with {flag}." in fault] == [
        "--rating",
        "--rater",
        "--item",
    ]


def test_one_column_cannot_play_two_parts() -> None:
    roles, faults = find_roles(["a", "b", "c"], ReadOptions(item="a", rater="a", rating="c"))
    assert roles is None
    assert "different columns" in faults[0]


def test_a_column_named_by_a_flag_is_no_candidate_for_another_part() -> None:
    roles, _ = find_roles(["user", "annotator", "label", "task"], ReadOptions(item="annotator"))
    assert roles is not None
    assert (roles.item, roles.rater) == (("annotator",), "user")


@pytest.mark.parametrize("name", ["group-id", "group_id", "Cluster", "cluster_id", "kmeans", "rater_cluster", "n-votes"])
def test_leaks_by_name(name: str) -> None:
    assert is_leak(name)


def test_prefixed_names_are_unique_and_never_the_key() -> None:
    assert list(prefixed(["id", "a b", "a_b", "!"], "item_")) == ["item_id_2", "item_a_b", "item_a_b_2", "item_column"]


def test_what_becomes_of_every_column(tmp_path: Path) -> None:
    rows = [
        # item, rater, rating, text, reason, age, step, id, cluster, file
        "i1,r1,1,A,x,30,1,1,0,f",
        "i1,r2,2,A,y,40,1,2,1,f",
        "i2,r1,2,B,z,30,2,3,0,f",
        "i2,r2,2,B,w,40,2,4,1,f",
    ]
    path = written(tmp_path, "item,rater,rating,text,comment,age,step,id,cluster,file\n" + "\n".join(rows) + "\n")
    ratings = read_ratings(path)
    assert ratings.text_columns == ["item_text"]
    assert ratings.attributes == ["rater_age"]
    notes = "\n".join(map(str, ratings.notes))
    assert "differ between ratings of the same item: 'comment' (1)" in notes
    assert "differ between ratings of the same rater (name them with --item-columns): 'step' (1)" in notes
    assert "number rows or people: 'id' (1)" in notes
    assert "one value throughout: 'file' (1)" in notes
    assert "never an attribute: 'cluster' (1)" in notes
    named = read_ratings(path, ReadOptions(item_columns=("step", "text"), attributes=("age",)))
    assert (named.text_columns, named.attributes) == (["item_step", "item_text"], ["rater_age"])


def test_named_columns_must_exist_and_must_not_leak(tmp_path: Path) -> None:
    path = written(tmp_path, "item,rater,rating,cluster\n1,1,1,0\n2,1,2,0\n")
    with pytest.raises(DataError) as caught:
        read_ratings(path, ReadOptions(attributes=("cluster", "age"), item_columns=("words",)))
    assert len(caught.value.faults) == 3
    assert "would leak them" in caught.value.faults[2]


def test_without_a_second_rating_nothing_is_taken_for_an_attribute(tmp_path: Path) -> None:
    path = written(tmp_path, "item,rater,rating,seconds,rater_age\n1,a,1,10,30\n1,b,2,20,40\n2,c,1,30,50\n")
    ratings = read_ratings(path)
    assert ratings.attributes == ["rater_age"]
    assert "no rater has two ratings" in "\n".join(map(str, ratings.notes))


def test_ids_are_text(tmp_path: Path) -> None:
    ratings = read_ratings(written(tmp_path, "item,rater,rating\n007,01,1\n7,1,2\n"))
    assert ratings.item_ids == ["007", "7"]
    assert ratings.rater_ids == ["01", "1"]
