"""Every format on a made-up sample in the source's shape: what was read, to the row, and what was said about the rest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.ratings import Ratings
from pluralign.ratings.readers import FORMATS, ReadOptions, detect_format, read_ratings

SAMPLES = Path(__file__).parent / "samples"


def cells(ratings: Ratings) -> dict[tuple[str, str], str]:
    """(item, rater) -> rating."""
    return {(i, r): a for i, r, a in ratings.to_long().select("item_id", "rater_id", "rating").iter_rows()}


def said(ratings: Ratings) -> str:
    return "\n".join(map(str, ratings.notes))


@pytest.mark.parametrize(
    ("sample", "options", "format_name", "counts"),
    [
        ("popquorn.csv", {"rating": "offensiveness"}, "table", (3, 4, 10)),
        ("crowdkit.tsv", {}, "table", (3, 4, 10)),
        ("table.jsonl", {}, "table", (3, 4, 9)),
        ("polis", {}, "polis", (3, 4, 9)),
        ("polis/votes.csv", {}, "polis", (3, 4, 9)),
        ("polis_wide", {}, "polis", (4, 3, 10)),
        ("ccai", {}, "polis", (4, 3, 10)),
        ("lewidi2023", {}, "lewidi2023", (3, 3, 8)),
        ("lewidi2023/Toy_dev.json", {}, "lewidi2023", (3, 1, 3)),
        ("lewidi2025", {}, "lewidi2025", (4, 3, 10)),
        ("lewidi2025/Toy_dev.json", {}, "lewidi2025", (4, 3, 10)),
        ("potato", {"rating": "intensity"}, "potato", (2, 3, 6)),
        ("potato/annotation_output", {"rating": "sentiment"}, "potato", (2, 3, 5)),
        ("labelstudio.json", {"rating": "stars"}, "labelstudio", (2, 2, 4)),
        ("labelstudio_min.json", {"rating": "mood"}, "labelstudio", (2, 2, 4)),
        ("argilla2.json", {"rating": "agree"}, "argilla", (3, 2, 4)),
        ("argilla1.json", {}, "argilla", (2, 2, 3)),
        ("wide.csv", {"attributes": ("gender",)}, "wide", (5, 3, 14)),
        ("wide_items.csv", {"rows": "items", "item": "id", "rating_columns": ("label_*",)}, "wide", (3, 4, 11)),
    ],
)
def test_sample(sample: str, options: dict[str, object], format_name: str, counts: tuple[int, int, int]) -> None:
    chosen = ReadOptions(**options)  # type: ignore[arg-type]  # the table mixes fields
    name, note = detect_format(SAMPLES / sample, chosen)
    assert name == format_name
    assert f"'{format_name}'" in note.what
    ratings = read_ratings(SAMPLES / sample, chosen)
    assert (ratings.n_raters, ratings.n_items, len(ratings)) == counts
    stated = read_ratings(SAMPLES / sample, ReadOptions(format=format_name, **options))  # type: ignore[arg-type]
    assert cells(stated) == cells(ratings)


def test_every_format_has_a_sample() -> None:
    listed = {mark.args[1][i][2] for mark in test_sample.pytestmark for i in range(len(mark.args[1]))}  # type: ignore[attr-defined]
    assert listed == set(FORMATS)


def test_popquorn_shape() -> None:
    ratings = read_ratings(SAMPLES / "popquorn.csv", ReadOptions(rating="offensiveness"))
    assert ratings.scale.options == ("1", "2", "3", "4", "5")
    assert ratings.scale.kind == "ordinal"
    assert ratings.attributes == ["rater_gender", "rater_race", "rater_age", "rater_occupation", "rater_education"]
    assert ratings.items["item_text"].to_list() == ["Nice, thanks", "You clown", 'He said "go"', "Line one\nline two"]
    assert cells(ratings)[("2", "1")] == "5"
    assert "'1.0' as '1' (10)" in said(ratings)


def test_tab_separated_words_are_nominal() -> None:
    ratings = read_ratings(SAMPLES / "crowdkit.tsv")
    assert (ratings.scale.kind, ratings.scale.options) == ("nominal", ("cat", "dog"))
    assert "separated by '\\t'" in said(ratings)


def test_json_lines() -> None:
    ratings = read_ratings(SAMPLES / "table.jsonl")
    assert ratings.raters["rater_age"].to_list() == ["31", "58", None]
    assert cells(ratings)[("i1", "r3")] == "2"
    assert "without a rating: missing, not data; dropped (1)" in said(ratings)


def test_table_in_other_containers(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (SAMPLES / "table.jsonl").read_text().splitlines()]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress((SAMPLES / "table.jsonl").read_bytes()))
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / "table.parquet")
    expected = cells(read_ratings(SAMPLES / "table.jsonl"))
    for path in sorted(tmp_path.iterdir()):
        assert cells(read_ratings(path)) == expected, path.name


def test_polis_keeps_the_last_vote_by_time() -> None:
    ratings = read_ratings(SAMPLES / "polis")
    # Voter 2 voted -1 on comment 1 later (…009) than 1 (…007), though the file has them the other way round.
    assert cells(ratings)[("1", "2")] == "-1"
    assert ratings.scale.options == ("-1", "0", "1")
    assert ratings.items["item_text"].to_list() == ["More trees", "More benches", "Ban cars, all of them", None]
    notes = said(ratings)
    assert "the last one counts, the others were dropped (1)" in notes
    assert "moderators took out have votes, which are kept (1)" in notes
    assert "comments with votes whose text is not in this file (1)" in notes
    first = read_ratings(SAMPLES / "polis", ReadOptions(duplicates="first"))
    assert cells(first)[("1", "2")] == "1"
    with pytest.raises(DataError, match=r"1 ratings repeat .* item '1' by rater '2'"):
        read_ratings(SAMPLES / "polis", ReadOptions(duplicates="error"))


@pytest.mark.parametrize("sample", ["polis_wide", "ccai"])
def test_polis_matrix_has_no_leak(sample: str) -> None:
    ratings = read_ratings(SAMPLES / sample)
    assert ratings.attributes == []
    assert "a leak: computed from the ratings, never an attribute: 'group-id', 'n-comments', 'n-votes'" in said(ratings)
    assert cells(ratings)[("1" if sample == "polis_wide" else "5", "2")] == "-1"


def test_lewidi2023_folder() -> None:
    ratings = read_ratings(SAMPLES / "lewidi2023")
    assert ratings.item_ids == ["dev-1", "train-1", "train-2"]
    assert ratings.text_columns == ["item_agent", "item_user"]
    assert ratings.raters["rater_group"].to_list() == ["target group", "control group", "control group"]
    assert cells(ratings)[("train-1", "Ann3")] == "-1"
    assert read_ratings(SAMPLES / "lewidi2023" / "Toy_dev.json").item_ids == ["1"]


def test_lewidi2025_with_its_meta_file() -> None:
    ratings = read_ratings(SAMPLES / "lewidi2025" / "Toy_dev.json")
    assert ratings.raters.to_dict(as_series=False) == {
        "rater_id": ["Ann0", "Ann1", "Ann2", "Ann3"],
        "rater_age": ["19", "34.5", None, None],
        "rater_student_status": ["Yes", None, "No", None],
    }
    assert ratings.scale.kind == "nominal"
    assert cells(ratings)[("10", "Ann1")] == cells(ratings)[("11", "Ann1")] == "entailment,neutral"
    notes = said(ratings)
    assert "trailing commas were ignored (3)" in notes
    assert "'0' was taken for 'Ann0' (4)" in notes
    assert "that this file does not know: their columns stay empty (1)" in notes
    assert "raters without a rating: not used (1)" in notes
    assert "several labels are one nominal value, the labels sorted (2)" in notes


def test_lewidi_folder_of_two_data_sets(tmp_path: Path) -> None:
    for name in ("A_train.json", "B_train.json"):
        (tmp_path / name).write_text((SAMPLES / "lewidi2023" / "Toy_train.json").read_text())
    with pytest.raises(DataError, match="2 data sets: A, B; choose one with --dataset"):
        read_ratings(tmp_path)
    assert read_ratings(tmp_path, ReadOptions(dataset="B")).name == "B"
    with pytest.raises(DataError, match="'C' is unknown"):
        read_ratings(tmp_path, ReadOptions(dataset="C"))


def test_lewidi2023_parallel_strings_of_different_length(tmp_path: Path) -> None:
    entry = {"text": "t", "annotations": "1,0", "annotators": "A,B,C"}
    (tmp_path / "x.json").write_text(json.dumps({"7": entry, "8": {**entry, "annotations": "1"}}))
    with pytest.raises(DataError) as caught:
        read_ratings(tmp_path / "x.json")
    assert caught.value.faults == ("item '7': 2 annotations, but 3 annotators", "item '8': 1 annotations, but 3 annotators")


def test_potato() -> None:
    ratings = read_ratings(SAMPLES / "potato", ReadOptions(rating="sentiment"))
    assert cells(ratings) == {
        ("1", "alice"): "positive",
        ("2", "alice"): "negative,neutral",
        ("3", "alice"): "neutral",
        ("1", "bob"): "neutral",
        ("2", "bob"): "negative,neutral",
    }
    assert "instances without scheme 'sentiment' hold no rating (1)" in said(ratings)
    assert "dropped (1)" in said(ratings)
    likert = read_ratings(SAMPLES / "potato", ReadOptions(rating="intensity"))
    assert cells(likert)[("3", "bob")] == "5"
    assert likert.scale.options == ("1", "2", "3", "4", "5")
    with pytest.raises(
        DataError, match=r"several questions were answered: 'consent' \(1\), 'intensity' \(6\), 'sentiment' \(6\)"
    ):
        read_ratings(SAMPLES / "potato")


def test_labelstudio() -> None:
    ratings = read_ratings(SAMPLES / "labelstudio.json", ReadOptions(rating="mood"))
    assert cells(ratings) == {("1", "5"): "angry", ("1", "6"): "angry,sad", ("2", "5"): "calm"}
    assert "example.org" not in said(ratings) + str(ratings.raters)
    assert "skipped annotations (was_cancelled) are no ratings (1)" in said(ratings)
    assert ratings.items["item_text"].to_list() == ["I waited an hour", "Quick and kind"]
    with pytest.raises(DataError, match=r"'mood' \(3\), 'stars' \(4\); name one with --rating"):
        read_ratings(SAMPLES / "labelstudio.json")


def test_argilla() -> None:
    ratings = read_ratings(SAMPLES / "argilla2.json", ReadOptions(rating="agree"))
    assert cells(ratings) == {("q1", "u1"): "yes", ("q1", "u2"): "no", ("q2", "u1"): "no", ("q2", "u3"): "yes"}
    assert "'draft': no ratings (1)" in said(ratings)
    assert "'discarded': no ratings (1)" in said(ratings)
    old = read_ratings(SAMPLES / "argilla1.json")
    assert cells(old) == {("r1", "u1"): "4", ("r1", "u2"): "1", ("r2", "u2"): "2"}


def test_tool_exports_list_all_faults(tmp_path: Path) -> None:
    path = tmp_path / "ls.json"
    path.write_text(
        json.dumps([{"id": 1, "data": 3, "annotations": []}, {"id": 2, "data": {}, "annotations": [{"result": 5}]}])
    )
    with pytest.raises(DataError) as caught:
        read_ratings(path)
    assert len(caught.value.faults) == 2
    assert "number 1 > 'data'" in caught.value.faults[0]
    assert "number 2 > 'annotations' > number 1 > 'result'" in caught.value.faults[1]


def test_wide_recognises_questions_and_attributes() -> None:
    ratings = read_ratings(SAMPLES / "wide.csv")
    assert ratings.item_ids == ["q1", "q2", "q3"]
    assert ratings.attributes == ["rater_year", "rater_gender"]
    notes = said(ratings)
    assert "columns recognised as holding ratings: 'q1', 'q2', 'q3' (3)" in notes
    assert "rows are numbered (6)" in notes
    assert "a leak: computed from the ratings, never an attribute: 'cluster' (1)" in notes
    assert "raters without any rating are not in the table (1)" in notes
    # 6 rows x 3 questions = 18 cells, of which NA and 3 empty ones are missing: 14.
    assert "ratings or cells for them were read (18)" in notes
    assert "dropped (4)" in notes
    assert cells(ratings)[("q3", "3")] == "no"


def test_wide_refuses_a_doubtful_column(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("q1,q2,q3,mood\n1,2,3,1\n2,3,1,2\n3,1,2,1\n")
    with pytest.raises(DataError, match="3 columns look like questions, but 'mood' may be questions too"):
        read_ratings(path)
    assert read_ratings(path, ReadOptions(rating_columns=("q*",))).attributes == ["rater_mood"]
    with pytest.raises(DataError, match=r"--rating-columns z\* z: no such column"):
        read_ratings(path, ReadOptions(rating_columns=("q1", "z*", "z")))


def test_wide_turned_round() -> None:
    options = ReadOptions(rows="items", item="id", rating_columns=("label_*",))
    ratings = read_ratings(SAMPLES / "wide_items.csv", options)
    assert ratings.rater_ids == ["label_1_M", "label_2_F", "label_3_F"]
    assert ratings.text_columns == ["item_text"]
    assert cells(ratings)[("18", "label_3_F")] == "Hateful"


def test_second_files(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("who,city\nw1,Bonn\nw2,NA\nw9,Rome\n")
    (tmp_path / "things.json").write_text(json.dumps({"t1": {"text": "a cat", "n": 3}, "t2": {"text": "a dog", "n": 4}}))
    options = ReadOptions(rater_meta=tmp_path / "people.csv", item_meta=tmp_path / "things.json")
    ratings = read_ratings(SAMPLES / "crowdkit.tsv", options)
    assert ratings.raters["rater_city"].to_list() == ["Bonn", None, None]
    assert ratings.items["item_text"].to_list() == ["a cat", "a dog", None, None]
    assert ratings.text_columns == ["item_text"]
    (tmp_path / "people.csv").write_text("who,city\nw1,Bonn\nw1,Rome\n")
    with pytest.raises(DataError, match="'w1' occurs more than once"):
        read_ratings(SAMPLES / "crowdkit.tsv", options)
    (tmp_path / "people.csv").write_text("who,city\nx,Bonn\n")
    with pytest.raises(DataError, match="no column contains the rater ids"):
        read_ratings(SAMPLES / "crowdkit.tsv", options)


def test_where_and_composite_items(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "worker,scene,kind,rating,step\n" + "".join(f"{w},{s},{k},{s},x\n" for w in "ab" for s in "12" for k in "mn")
    )
    ratings = read_ratings(path, ReadOptions(item=("scene", "kind"), where=("kind=m",)))
    assert ratings.item_ids == ["1/m", "2/m"]
    assert "rows outside --where kind=m were not read (4)" in said(ratings)
    with pytest.raises(DataError, match="no column 'colour'"):
        read_ratings(path, ReadOptions(where=("colour=red",)))


def test_unknown_format_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'polis'"):
        read_ratings(SAMPLES / "polis", ReadOptions(format="pollis"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": "ratio"}, "'ratio' is unknown"),
        ({"duplicates": "middle"}, "'middle' is unknown"),
        ({"attributes": "age"}, "a sequence of texts is needed"),
        ({"bins": 1}, "at least 2 bins"),
        ({"bins": 3, "scale": "interval"}, "ordinal scale of ranges"),
        ({"bins": 3, "options": ("1", "2")}, "exclude each other"),
        ({"bin_range": (1.0, float("inf"))}, "two finite numbers"),
        ({"where": ("age",)}, "COLUMN=VALUE"),
    ],
)
def test_options_that_cannot_be_right(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ReadOptions(**fields)  # type: ignore[arg-type]  # wrong on purpose
