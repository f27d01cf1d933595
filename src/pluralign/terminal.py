"""Text from data on its way to a terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]


def printable(text: str, *, keep: str = "") -> str:
    """The text with every character that could steer a terminal spelled out; those in `keep` stay.

    Spelled out are control characters, marks of direction, line separators, halves of surrogate pairs.

    >>> print(printable("a\\x1b[31mb"))
    a\\x1b[31mb
    """
    return "".join(c if c in keep or not _steers(c) else ascii(c)[1:-1] for c in text)


def _steers(character: str) -> bool:
    # a zero-width joiner (Cf) makes one emoji of several, and steers nothing
    return character != "\N{ZERO WIDTH JOINER}" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
