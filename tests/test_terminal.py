from __future__ import annotations

import pytest

from pluralign.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï ☕ 日本", "plain ünï ☕ 日本"),
        ("\x1b[31m\x07\x00", "\\x1b[31m\\x07\\x00"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u202eabc\u2066\u2028", "\\u202eabc\\u2066\\u2028"),
        ("\ud800\U000e0001", "\\ud800\\U000e0001"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_some_characters_may_stay() -> None:
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"
