"""What counts as a fault of what is drawn, and what people may write without being one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pluralign.episodes import Episode, Example
from pluralign.suite.check import Checked, check, check_episodes, check_evaluation


def _found(
    output: str, *, description: str | None = None, options: Sequence[str] | None = None, asked: str | None = None
) -> list[str]:
    episode = Episode("t", (Example(output, asked),), description, None if options is None else tuple(options), "u")
    return list(check_episodes("t", [episode]).faults)


FAULTY = {
    "np.int64(3)": "a number or value is printed with its type",
    '{"0": "np.int64(3)"}': "a number or value is printed with its type",
    "array([1, 2])": "a number or value is printed with its type",
    "<NA>": "a missing value is printed",
    "nan": "a missing value is printed",
    "NaN": "a missing value is printed",
    '{"a": NaN}': "a missing value is printed",
    '{"a": null}': "a missing value is printed",
    '{"a": "nan"}': "a missing value is printed",
    '["a", {"b": null}]': "a missing value is printed",
    '{"a": 1,}': "a text looks like JSON and is none",
    '["a" "b"]': "a text looks like JSON and is none",
    "": "an output is blank",
    " \n": "an output is blank",
}


@pytest.mark.parametrize("text", FAULTY)
def test_faults_of_the_published_texts_are_found(text: str) -> None:
    assert FAULTY[text] in _found(text)
    if text.strip():
        assert FAULTY[text] in _found("x", asked=text)


@pytest.mark.parametrize("text", ["Rate {item} now.", "A {}.", "%(name)s", "By %s: ", "", "  "])
def test_a_description_has_no_open_slot_and_is_not_blank(text: str) -> None:
    assert _found("x", description=text)


@pytest.mark.parametrize(
    "text",
    [
        "Nan",
        "banana",
        "None",
        "{x} is a set",
        "100%s",
        "[sic]",
        '{"a": "nan is my gran"}',
        "{'a': None}",
        "numbers",
        "a %d b",
        '{"q"',
        "np",
    ],
)
def test_what_people_write_is_no_fault(text: str) -> None:
    assert _found(text) == []


def test_an_answer_of_a_closed_set_may_be_anything() -> None:
    assert _found("nan", options=("nan", "yes")) == []


def test_episodes_that_come_twice() -> None:
    def episode(unit: str, outputs: Sequence[str], description: str | None = "d") -> Episode:
        return Episode("t", tuple(map(Example, outputs)), description, None, unit)

    many = [str(i % 3) for i in range(8)]
    twice = check_episodes("t", [episode("a", many), episode("b", many)])
    assert twice.faults == {"an episode comes twice": 1}
    assert twice.first == {"an episode comes twice": "in episode 2, unit b"}
    for other in (episode("b", many[::-1]), episode("b", many, None)):
        assert not check_episodes("t", [episode("a", many), other]).faults
    for few in (["1"] * 50, ["1", "2", "1"]):
        assert not check_episodes("t", [episode("a", few), episode("b", few)]).faults, "by chance"
    parts = [check_episodes("t", [episode(unit, many)]) for unit in "ab"]
    whole = Checked("t")
    for part in parts:
        whole.join(part)
    assert whole.faults == {"an episode comes twice": 1}, "in two parts"
    assert (whole.episodes, whole.outputs) == (2, 16)


def test_no_episode_and_no_output_are_faults() -> None:
    assert check_episodes("t", [Episode("t", ())]).faults == {"there is no output": 1}
    [found] = check(["cards"], limit=0)
    assert found.faults == {"there is no episode": 1}


def test_evaluations_are_checked_too() -> None:
    for name in ("urn", "states", "rng_1_100", "basic_emails"):
        found = check_evaluation(name, None)
        assert found.episodes
        assert not found.faults, found.lines()
