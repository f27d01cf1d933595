"""What `pluralign show` will print."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from models import tiny
from models.strategies import MAKERS, episodes, template
from pluralign.episodes import Episode, Example
from pluralign.models import render_tokens


def test_by_hand() -> None:
    opened = template("spectrum-chatml")
    [encoded] = opened.encode([Episode("t", (Example("no"),), "yes")])
    shown = render_tokens(encoded, tiny.spectrum_checkpoint("chatml"))
    assert shown[:2] == [("<|im_start|>", "control"), ("description", "text")]
    assert shown[-3:] == [("no", "loss"), ("<|im_end|>", "loss"), ("\n", "text")]
    assert [text for text, kind in shown if kind == "loss"] == ["no", "<|im_end|>"]


def test_parts_of_a_character_come_together() -> None:
    opened = template("spectrum-llama")
    [encoded] = opened.encode([Episode("t", (Example("😀é"),), "yes")])
    shown = [text for text, kind in render_tokens(encoded, opened.content) if kind == "loss"]
    assert shown == ["😀", "é", "<|eot_id|>"]


@pytest.mark.parametrize("case", ["spectrum-gemma", "spectrum-llama"])
def test_a_replacement_character_in_the_text_is_one(case: str) -> None:
    """It is also how part of a character is decoded."""
    opened = template(case)
    [encoded] = opened.encode([Episode("t", (Example("a\ufffdb\ufffd😀yes"),), "yes")])
    shown = [text for text, kind in render_tokens(encoded, opened.content) if kind == "loss"]
    assert shown[:-1] == ["a", "\ufffd", "b", "\ufffd😀", "yes"]


@pytest.mark.parametrize("case", MAKERS)
@settings(max_examples=30, deadline=None)
@given(episode=episodes())
def test_the_texts_are_the_whole_sequence(case: str, episode: Episode) -> None:
    opened = template(case)
    [encoded] = opened.encode([episode])
    shown = render_tokens(encoded, opened.content)
    assert "".join(text for text, _ in shown) == opened.content.decode(encoded.ids)
    scored = "".join(text for text, kind in shown if kind == "loss")
    assert scored == opened.content.decode(encoded.ids[encoded.is_loss])
