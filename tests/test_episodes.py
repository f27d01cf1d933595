"""Episodes: checked where they come in; files and messages give back what they were given."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.episodes import Episode, Example, from_messages, iter_episodes, read_episodes, to_messages, write_episodes
from pluralign.episodes.checks import faultless, record_faults
from pluralign.errors import DataError, UsageError

_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_filled = _texts.filter(bool)
_attributes = st.dictionaries(
    _filled, _texts | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=3
)


@st.composite
def _episodes(draw: st.DrawFn) -> Episode:
    options = draw(st.none() | st.lists(_filled, min_size=1, max_size=4, unique=True))
    outputs = _texts if options is None else st.sampled_from(options)
    examples = draw(st.lists(st.builds(Example, outputs, st.none() | _texts), max_size=4))
    return Episode.checked(
        draw(_filled), examples, draw(st.none() | _filled), options, draw(st.none() | _filled), draw(_attributes)
    )


FULL = Episode(
    "warmth",
    (Example("yes", "How warm?"), Example("no")),
    "A rater.",
    ("no", "yes"),
    "r1",
    {"age": 31, "region": "north", "member": True, "income": None, "weight": 0.5},
)


def _write(path: Path, *lines: Any) -> Path:
    texts = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode() for line in lines
    ]
    path.write_bytes(b"\n".join(texts) + b"\n")
    return path


# there and back


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@settings(max_examples=60, deadline=None)
@given(episodes=st.lists(_episodes(), max_size=5))
def test_files_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, ending: str, episodes: list[Episode]
) -> None:
    path = tmp_path_factory.mktemp("files") / f"episodes.{ending}"
    write_episodes(path, episodes)
    back = read_episodes(path)
    assert back == episodes
    assert [list(e.attributes.items()) for e in back] == [list(e.attributes.items()) for e in episodes]
    assert [type(v) for e in back for v in e.attributes.values()] == [type(v) for e in episodes for v in e.attributes.values()]
    assert [e.content_hash() for e in back] == [e.content_hash() for e in episodes]


@settings(deadline=None)
@given(episode=_episodes())
def test_messages_give_back_what_was_said(episode: Episode) -> None:
    messages = to_messages(episode)
    assert {message["role"] for message in messages} <= {"description", "input", "output"}
    beside = {"options": episode.options, "unit": episode.unit, "attributes": episode.attributes}
    assert from_messages(messages, episode.task, **beside) == episode  # type: ignore[arg-type]


def test_fields_that_say_nothing_are_left_out() -> None:
    assert Episode("t", (Example("a"),)).to_dict() == {"task": "t", "examples": [{"output": "a"}]}
    assert FULL.to_dict()["options"] == ["no", "yes"]


def test_lines_by_hand(tmp_path: Path) -> None:
    """A byte-order mark, Windows line ends and blank lines are no faults; U+2028 is no line end."""
    lines = [b'\xef\xbb\xbf{"task": "t", "examples": []}\r', b"", b'{"task": "t", "examples": [{"output": "a\xe2\x80\xa8b"}]}']
    assert read_episodes(_write(tmp_path / "a.jsonl", *lines)) == [Episode("t", ()), Episode("t", (Example("a\u2028b"),))]


def test_parquet_columns_may_be_missing(tmp_path: Path) -> None:
    pl.DataFrame({"task": ["t"], "examples": [[{"output": "a"}]]}).write_parquet(tmp_path / "a.parquet")
    assert read_episodes(tmp_path / "a.parquet") == [Episode("t", (Example("a"),))]


def test_an_episode_of_a_megabyte(tmp_path: Path) -> None:
    episode = Episode.checked("t", [Example("yes", "warm 😀 " * 125_000)])
    for name in ("a.jsonl", "a.parquet"):
        write_episodes(tmp_path / name, [episode])
        assert read_episodes(tmp_path / name) == [episode]


def test_json_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    """The first episode is there before the second line is even looked at; the fault comes at the end."""
    good = {"task": "t", "examples": []}
    came = iter_episodes(_write(tmp_path / "a.jsonl", good, "not JSON", good, {"task": ""}))
    assert next(came) == Episode("t", ())
    with pytest.raises(DataError) as caught:
        next(came)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["line 2", "line 4", "line 4"]


# the hash


def test_the_hash_is_the_same_everywhere() -> None:
    """Worked out once by hand from the canonical text; another session and another hash seed give it too."""
    text = (
        '{"attributes":{"age":31,"income":null,"member":true,"region":"north","weight":0.5},"description":"A rater.",'
        '"examples":[{"input":"How warm?","output":"yes"},{"output":"no"}],"options":["no","yes"],"task":"warmth","unit":"r1"}'
    )
    code = f"import hashlib; print(hashlib.sha256({text!r}.encode()).hexdigest())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert FULL.content_hash() == done.stdout.strip()
    turned = dataclasses.replace(FULL, attributes=dict(reversed(FULL.attributes.items())))
    assert turned.content_hash() == FULL.content_hash()


@pytest.mark.parametrize(
    "change",
    [
        {"task": "other"},
        {"examples": FULL.examples[::-1]},
        {"examples": (Example("yes"), Example("no"))},
        {"description": None},
        {"options": ("yes", "no")},
        {"unit": "r2"},
        {"attributes": {}},
    ],
)
def test_the_hash_tells_episodes_apart(change: dict[str, Any]) -> None:
    assert dataclasses.replace(FULL, **change).content_hash() != FULL.content_hash()


def test_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.task = "other"  # type: ignore[misc]
    assert len({FULL, dataclasses.replace(FULL)}) == 1


# bad input

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"task": None}, "task is missing"),
    ({"task": ""}, "task is empty"),
    ({"task": 3}, "task must be text, not 3"),
    ({"examples": None}, "examples must be a list, not None"),
    ({"examples": "yes"}, "examples must be a list, not 'yes'"),
    ({"examples": ["yes"]}, "example 1 must be an object"),
    ({"examples": [{"input": "a"}]}, "example 1: output is missing"),
    ({"examples": [{"output": 3}]}, "example 1: output must be text, not 3"),
    ({"examples": [{"output": "a", "inputs": "b"}]}, "did you mean 'input'?"),
    ({"examples": [{"output": "a\0"}]}, "example 1: output has a NUL at character 2"),
    (
        {"examples": [{"output": "a", "input": "b\ud800"}]},
        "example 1: input has half of a surrogate pair (U+D800) at character 2",
    ),
    ({"description": ""}, "description is empty; leave it out"),
    ({"description": ["a"]}, "description must be text"),
    ({"unit": 7}, "unit must be text, not 7"),
    ({"options": []}, "options is an empty list"),
    ({"options": "yes"}, "options must be a list of texts"),
    ({"options": ["no", ""]}, "option 2 is empty"),
    ({"options": ["no", 1]}, "option 2 must be text, not 1"),
    ({"options": ["no", "yes", "no"]}, "option 'no' is listed more than once"),
    ({"options": ["no", "\udfff"]}, "option 2 has half of a surrogate pair"),
    ({"options": ["up", "down"], "examples": [{"output": "Up"}]}, "1 outputs are not among the options, e.g. 'Up'"),
    ({"attributes": [1]}, "attributes must be an object"),
    ({"attributes": {"age": [1]}}, "attribute 'age' must be text, a finite number"),
    ({"attributes": {"age": "\0"}}, "attribute 'age' has a NUL"),
    ({"attributes": {"\0": "a"}}, "name of an attribute has a NUL"),
    ({"option": ["a"]}, "did you mean 'options'?"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_every_fault_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"task": "t", "examples": [{"output": "no"}]}
    Episode.from_dict(good)
    with pytest.raises(DataError) as caught:
        Episode.from_dict(good | change)
    assert len(caught.value.faults) == 1
    assert message in caught.value.faults[0]
    with pytest.raises(DataError) as caught:
        read_episodes(_write(tmp_path / "a.jsonl", good, good | change))
    assert message in str(caught.value)
    assert "line 2: " in str(caught.value)


def test_checked_takes_lists_and_finds_all_at_once() -> None:
    assert Episode.checked("t", [Example("a")], options=["a", "b"]) == Episode("t", (Example("a"),), options=("a", "b"))
    with pytest.raises(DataError) as caught:
        Episode.checked("", [Example("a\0")], "", [], attributes={"x": float("nan")})
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "an episode is an object"),
        ("null", "an episode is an object"),
        (b'{"task": "\xff"}', "not JSON in UTF-8"),
        ('{"task": "a", "task": "b", "examples": []}', "'task' stands twice"),
        ('{"task": "a", "examples": [], "attributes": {"x": NaN}}', "NaN is no number"),
        ("[" * 100_000, "not JSON"),
        ('{"task": "\\ud83d", "examples": []}', "half of a surrogate pair (U+D83D)"),
    ],
)
def test_lines_that_are_no_episode(tmp_path: Path, line: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_episodes(_write(tmp_path / "a.jsonl", line))
    assert message in str(caught.value)
    assert "line 1: " in str(caught.value)


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", '{"task": "\\ud83d\\ude00", "examples": []}')
    assert read_episodes(path)[0].task == "😀"


def test_all_faults_of_a_file_but_not_more_than_people_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", *[{"task": "", "examples": 1}] * 50)
    with pytest.raises(DataError) as caught:
        read_episodes(path)
    assert len(caught.value.faults) == 21
    assert caught.value.faults[0] == "line 1: task is empty"
    assert caught.value.faults[-1] == "and 80 more"


def test_parquet_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"task": ["t"], "examples": [[{"output": "a"}]], "rating": [1]}).write_parquet(path)
    with pytest.raises(DataError, match="'rating' is unknown"):
        read_episodes(path)
    rows = {"task": ["t", "t", None], "examples": [[{"output": "a"}]] * 3, "attributes": ["{", "[1]", None]}
    pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(DataError) as caught:
        read_episodes(path)
    assert [fault[:5] for fault in caught.value.faults] == ["row 1", "row 2", "row 3"]
    path.write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="not a parquet file"):
        read_episodes(path)


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_episodes(tmp_path / "none.jsonl")
    for use in (read_episodes, lambda path: write_episodes(path, [])):
        with pytest.raises(UsageError, match=r"\.jsonl or \.parquet"):
            use(tmp_path / "a.csv")


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_nothing_is_written_that_could_not_be_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write_episodes(path, [FULL])
    with pytest.raises(DataError, match="episode 2: task has a NUL"):
        write_episodes(path, [FULL, Episode("\0", ())])
    assert read_episodes(path) == [FULL]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["output", "description"], "message 2: role 'description'"),
        (["input"], "the last message is an input"),
        (["input", "input", "output"], "message 2: after an input comes its output, not 'input'"),
        (["user"], "message 1: role 'user'"),
        ([None], "message 1: role None"),
    ],
)
def test_messages_that_are_no_episode(roles: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_messages([{"role": role, "content": "a"} for role in roles], "t")


@pytest.mark.parametrize("role", ["description", "input", "output"])
def test_messages_with_bad_content(role: str) -> None:
    for message in ({"role": role}, {"role": role, "content": [3]}):
        with pytest.raises(DataError, match="message 1: content must be text"):
            from_messages([message, {"role": "output", "content": "a"}], "t")
    with pytest.raises(DataError, match="NUL"):
        from_messages([{"role": role, "content": "a\0"}, {"role": "output", "content": "a"}], "t")


# the quick look


_anything = st.sampled_from(["a", "b", "é", "", "\0", "\ud800", "\udc00", None, 3])
_any_options = st.none() | st.lists(st.sampled_from(["a", "b", "", "é", "\0", None]), max_size=3)
_any_attributes = st.sampled_from([None, {}, {"x": 1}, {"x": float("nan")}, {"": 1}, {"x": "\0"}, {1: 2}, [], "", 0])


@settings(max_examples=500, deadline=None)
@given(_anything, st.lists(st.tuples(_anything, _anything), max_size=3), _anything, _any_options, _anything, _any_attributes)
def test_the_quick_look_passes_what_the_close_one_passes(
    task: Any, examples: list[tuple[Any, Any]], description: Any, options: Any, unit: Any, attributes: Any
) -> None:
    pairs = [{"output": output} | ({} if text is None else {"input": text}) for output, text in examples]
    record = {"task": task, "examples": pairs, "description": description, "options": options, "unit": unit}
    inputs = [text for _, text in examples if text is not None]
    names = [task, *(text for text in (description, unit) if text is not None)]
    outputs = [output for output, _ in examples]
    quick = faultless(outputs, inputs, names=names, options=options, attributes=attributes)
    assert quick == (not record_faults({**record, "attributes": attributes}))


def test_what_no_quick_look_can_see_is_still_refused() -> None:
    for bad in ([{"output": 3}], ["text"], [Example("a"), {"output": None}]):
        with pytest.raises(DataError, match="example"):
            Episode.checked("t", bad)  # type: ignore[arg-type]
    assert Episode.checked("t", [Example("a"), {"output": "b"}]).examples[1] == Example("b")  # type: ignore[list-item]
    with pytest.raises(DataError, match="options must be a list"):
        Episode.checked("t", [], options="ab")
