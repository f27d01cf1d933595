"""Profiles in files: what is written is read again, and what is wrong is said with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluralign.errors import DataError, UsageError
from pluralign.raters.profile_files import edited_path, read_profiles, read_rater_texts, write_profiles
from pluralign.raters.profiles import Draft, RaterProfile

PROFILES = [
    RaterProfile(
        rater_id="r1",
        profile="Honesty first.\n«Loyalty» second.",
        outcome="length",
        drafts=(
            Draft(text="Honesty first.\n«Loyalty» second.", outcome="length", loss_nats=0.5, n_scored=3, is_chosen=True),
            Draft(text="", outcome="refusal"),
        ),
        given_items=("i2", "i1", "i3"),
        n_shown=2,
        model="openai/some",
        decoder="hf/other",
        prompt_version="profile-1",
    ),
    RaterProfile(rater_id="r2", profile=None, outcome="no ratings"),
    RaterProfile(rater_id="נ", profile="她认为诚实更重要。<|im_end|>", edited_from="她"),
]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    write_profiles(path, PROFILES)
    assert read_profiles(path) == PROFILES
    write_profiles(path, [])
    assert read_profiles(path) == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_other_commands_read_the_file_as_a_table_of_texts(tmp_path: Path, ending: str) -> None:
    write_profiles(tmp_path / f"p.{ending}", PROFILES)
    texts = read_rater_texts(tmp_path / f"p.{ending}", "profile")
    assert texts == {one.rater_id: one.profile for one in PROFILES if one.profile is not None}


def test_what_people_wrote_needs_two_fields(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"rater_id": "a", "profile": "Kind."}\n\n{"rater_id": "b", "profile": "Strict."}')
    assert read_profiles(path) == [RaterProfile(rater_id="a", profile="Kind."), RaterProfile(rater_id="b", profile="Strict.")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 2: not JSON in UTF-8"),
        ("[1]", "line 2: a profile is an object"),
        ({"rater_id": "b"}, "line 2: profile is missing"),
        ({"profile": "x"}, "line 2: rater_id must be text, not None"),
        ({"rater_id": "b", "profile": None}, "line 2: profile is null, so an outcome has to say why"),
        ({"rater_id": "b", "profile": " "}, "line 2: profile is empty"),
        ({"rater_id": "b", "profile": 3}, "line 2: profile must be text, not 3"),
        ({"rater_id": "b", "profile": "x\0"}, r"line 2: profile has a NUL at character 2"),
        ({"rater_id": "b", "profile": "x\ud800"}, r"line 2: profile has half of a surrogate pair \(U\+D800\) at character 2"),
        ({"rater_id": "a", "profile": "x"}, "line 2: rater 'a' has a profile in line 1 already"),
        ({"rater_id": "b", "profil": "x", "profile": "x"}, "line 2: field 'profil' is unknown; did you mean 'profile'"),
        ({"rater_id": "b", "profile": "x", "outcome": "fine"}, "line 2: outcome: 'fine' is unknown"),
        ({"rater_id": "b", "profile": "x", "outcome": "refusal"}, "line 2: there is a profile, so its outcome"),
        ({"rater_id": "b", "profile": "x", "given_items": [1]}, "line 2: given_items must be a list"),
        ({"rater_id": "b", "profile": "x", "n_shown": -1}, "line 2: n_shown must be a whole number"),
        ({"rater_id": "b", "profile": "x", "drafts": "x"}, "line 2: drafts must be a list"),
        ({"rater_id": "b", "profile": "x", "drafts": [{"text": "x", "outcome": "k"}]}, "line 2: draft 1: outcome: 'k'"),
        (
            '{"rater_id": "b", "profile": "x", "drafts": [{"text": "", "outcome": "ok", "loss_nats": NaN}]}',
            "draft 1: loss_nats",
        ),
    ],
)
def test_faults_say_the_line(tmp_path: Path, line: object, fault: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"rater_id": "a", "profile": "Kind."}\n' + (line if isinstance(line, str) else json.dumps(line)) + "\n")
    with pytest.raises(DataError, match=fault):
        read_profiles(path)


def test_all_faults_come_at_once_and_nothing_bad_is_written(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("{\n" * 30)
    with pytest.raises(DataError) as error:
        read_profiles(path)
    assert len(error.value.faults) == 21
    assert error.value.faults[-1] == "and 10 more"
    with pytest.raises(DataError, match="profile 2: rater 'a'"):
        write_profiles(tmp_path / "new.jsonl", [RaterProfile(rater_id="a", profile="x")] * 2)
    with pytest.raises(DataError, match="NUL"):
        write_profiles(tmp_path / "new.parquet", [RaterProfile(rater_id="a", profile="\0")])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.jsonl"]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end in \.jsonl or \.parquet"):
        read_profiles(tmp_path / "p.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_profiles(tmp_path / "absent.jsonl")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(DataError, match="not a parquet file"):
        read_profiles(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"no profiles\.jsonl in this folder"):
        read_profiles(tmp_path)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_edited_profiles_stand_in_for_those_that_they_were_made_from(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    write_profiles(path, PROFILES[:2])
    edited = [RaterProfile(rater_id="r2", profile="Kind.", edited_from=""), RaterProfile(rater_id="r9", profile="New.")]
    write_profiles(edited_path(path), edited)
    assert read_profiles(path) == PROFILES[:2]
    assert read_profiles(path, edited=True) == [PROFILES[0], *edited]
