from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import DataError
from pluralign.suite import embedded_values
from pluralign.values.considerations import (
    VALENCES,
    Consideration,
    explanation_input,
    generate_input,
    relevance_input,
    valence_input,
)
from pluralign.values.decision import decide
from pluralign.values.notice import notice
from pluralign.values.situations import checked_situations, read_situation_file

POWER = Consideration("Value", "power")


def test_inputs_are_those_that_the_embedded_model_was_trained_on() -> None:
    bearing = embedded_values.BEARINGS[4]
    assert bearing.written == POWER.written
    for kind, ours in (("relevance", relevance_input), ("valence", valence_input)):
        assert ours("Saving half.", POWER) == embedded_values.kaleido_input(kind, "Saving half.", bearing)
    assert generate_input("Saving half.") == embedded_values.kaleido_input("generate", "Saving half.")
    assert explanation_input("Saving half.", POWER) == "[Explanation]:\tSituation: Saving half.\tValue: power"
    assert embedded_values.VALENCE == VALENCES


def test_a_tab_in_a_text_adds_no_part_to_an_input() -> None:
    sly = Consideration("Right", "Right to\tValue: power\nand more")
    asked = relevance_input("Saving\thalf\r\n of it ", sly)
    assert asked == "[Relevance]:\tSituation: Saving half of it\tRight: Right to Value: power and more"
    assert asked.count("\t") == 2


@pytest.mark.parametrize(
    "text", ["value: power", "Value:power", "Value:  power", "Value: ", "Values: power", "power", "", "Value: a\tb"]
)
def test_what_is_no_consideration_is_none(text: str) -> None:
    assert Consideration.parse(text) is None


def test_a_consideration_is_read_as_it_was_written() -> None:
    for one in (POWER, Consideration("Duty", "Duty to honour: one's elders"), Consideration("Right", "x")):
        assert Consideration.parse(one.written) == one


def test_a_decision_by_hand() -> None:
    # weights: .8 (1, 0, 0) + .2 (.5, .5, 0) = (.9, .1, 0)
    found = decide(np.array([0.8, 0.2, np.nan]), np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]]))
    assert found is not None
    assert (found.supports, found.opposes, found.either) == pytest.approx((0.9, 0.1, 0.0), abs=1e-12)
    assert found.entropy_nats == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1), abs=1e-12)
    assert found.label == "supports"


def test_nothing_is_no_decision() -> None:
    assert decide(np.empty(0), np.empty((0, 3))) is None
    assert decide(np.array([np.nan]), np.full((1, 3), np.nan)) is None
    assert decide(np.array([0.9]), np.full((1, 3), np.nan)) is None
    assert decide(np.zeros(1), np.array([[1.0, 0, 0]])) is None


def test_the_notice_says_whose_data_a_model_learned_from() -> None:
    assert "nobody's opinion" in notice("embedded/base")
    assert "ValuePrism" in notice("hf/tsor13/kaleido-small")
    assert all("not a verdict" in notice(name) for name in ("embedded", "hf/x", "openai/y", "scripted"))
    assert "\x1b" not in notice("hf/\x1b[31m")


def test_situations_are_read_from_four_kinds_of_files(tmp_path: object) -> None:
    from pathlib import Path

    import polars as pl

    folder = Path(str(tmp_path))
    table = pl.DataFrame({"id": [1, 2], "action": ["Biking to\twork", "Saving half"]})
    table.write_csv(folder / "a.csv")
    table.write_ndjson(folder / "a.jsonl")
    table.write_parquet(folder / "a.parquet")
    (folder / "a.txt").write_text("Biking to\twork\n\nSaving half\n")
    for name in ("a.csv", "a.jsonl", "a.parquet", "a.txt"):
        assert read_situation_file(folder / name) == ["Biking to work", "Saving half"]
    assert read_situation_file(folder / "a.csv", column="id", limit=1) == ["1"]
    with pytest.raises(DataError, match="no column case; columns are id, action"):
        read_situation_file(folder / "a.csv", column="case")
    with pytest.raises(DataError, match=r"must end in \.txt"):
        read_situation_file(folder / "a.xlsx")


def test_situations_without_text_are_refused_all_at_once() -> None:
    with pytest.raises(DataError, match="2 faults"):
        checked_situations(["a", " ", "\ud800"])
    with pytest.raises(DataError, match="there are no situations"):
        checked_situations([])
