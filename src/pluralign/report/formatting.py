"""Numbers and texts as people read them: one way to write each kind, used by the sentences, the tables and the charts.

A number that rounds to 0 without being 0 is not written as 0, and one that is undefined is never written as digits.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence

from pluralign.estimates import Estimate

__all__ = [
    "NO_VALUE",
    "bits",
    "clean",
    "count",
    "estimate_text",
    "factor",
    "factor_decimals",
    "interval_text",
    "isolate",
    "join_words",
    "number",
    "p_text",
    "percent",
    "short_factor",
    "shorten",
]

NO_VALUE = "no value"
MINUS = "−"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTIONAL = {"R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def number(value: float, decimals: int = 3) -> str:
    """A number with fixed decimals and a true minus sign.

    >>> number(0.1234), number(-0.5, 2), number(0.0004), number(-0.0004), number(0.0)
    ('0.123', '−0.50', '<0.001', '>−0.001', '0.000')
    """
    if math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    smallest = 10.0**-decimals
    if value != 0 and abs(value) < smallest / 2:
        return f"<{smallest:.{decimals}f}" if value > 0 else f">{MINUS}{smallest:.{decimals}f}"
    return f"{value + 0.0:,.{decimals}f}".replace("-", MINUS)  # + 0.0: minus zero is zero


def percent(share: float, decimals: int = 0) -> str:
    """A share in percent; never 0% or 100% unless it is.

    >>> percent(0.456), percent(0.001), percent(0.9999), percent(1.0), percent(-0.12), percent(-0.001)
    ('46%', '<1%', '>99%', '100%', '−12%', '>−1%')
    >>> percent(0.456, 1), percent(0.001, 1), percent(0.9999, 1), percent(0.0, 1)
    ('45.6%', '0.1%', '>99.9%', '0.0%')
    """
    if math.isnan(share):
        return NO_VALUE
    points, step = 100 * share, 10.0**-decimals
    if 100 - step / 2 <= points < 100:
        return f">{100 - step:.{decimals}f}%"
    return f"{number(points, decimals)}%"


def p_text(p: float | None) -> str:
    """A p-value with three decimals; "–" where nothing was tested.

    >>> p_text(0.0421), p_text(0.0002), p_text(None), p_text(1.0)
    ('0.042', '<0.001', '–', '1.000')
    """
    return "–" if p is None else number(p, 3)


def count(n: int, word: str = "") -> str:
    """A count with its noun in the right number.

    >>> count(1, "rater"), count(1234, "rater"), count(0, "item"), count(5000)
    ('1 rater', '1,234 raters', '0 items', '5,000')
    """
    return f"{n:,}" if not word else f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def bits(nats: float) -> float:
    """The same information in bits: 1 nat = 1.443 bits.

    >>> bits(math.log(2))
    1.0
    """
    return nats / math.log(2)


def factor(nats: float) -> float:
    """What `nats` more information does to the probability of the actual answer (geometric mean): it is multiplied by this.

    >>> factor(0.0)
    1.0
    """
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def short_factor(nats: float, decimals: int = 2) -> str:
    """The factor with fixed decimals.

    >>> short_factor(0.121), short_factor(0.004, 3)
    ('1.13', '1.004')
    """
    return number(factor(nats), decimals)


def factor_decimals(estimate: Estimate) -> int:
    """2, or 3 where with two decimals the factor or an end of its interval could hardly be told from 1."""
    sizes = [abs(factor(nats) - 1) for nats in (estimate.value, estimate.low, estimate.high)]
    return 3 if any(0 < size < 0.0095 for size in sizes) else 2


def interval_text(estimate: Estimate, show: Callable[[float], str] = number) -> str:
    """The two ends of the 95 % interval of a defined estimate: "0.098 to 0.144"."""
    return f"{show(estimate.low)} to {show(estimate.high)}"


def estimate_text(estimate: Estimate, show: Callable[[float], str] = number) -> str:
    """Value and interval, or the reason why there is none.

    >>> estimate_text(Estimate(value=0.5, low=0.25, high=0.75, n=9, unit="rater", seed=0), percent)
    '50% (25% to 75%)'
    """
    if not estimate.is_defined:
        return f"{NO_VALUE}: {estimate.why_undefined}"
    return f"{show(estimate.value)} ({interval_text(estimate, show)})"


def join_words(words: Sequence[str]) -> str:
    """
    >>> join_words([]), join_words(["a"]), join_words(["a", "b"]), join_words(["a", "b", "c"])
    ('', 'a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def clean(text: str) -> str:
    """Characters that no page can show (control characters, halves of surrogate pairs) become U+FFFD, which is visible."""
    return _UNPRINTABLE.sub("\ufffd", text)


def shorten(text: str, length: int) -> str:
    """One line of at most `length` characters, cut with an ellipsis, at a word's end where there is one near.

    >>> shorten("a  text that is\\ntoo long", 15), shorten("short", 15), shorten("x" * 20, 5)
    ('a text that is…', 'short', 'xxxx…')
    """
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    cut = line[: length - 1]
    at_word = cut.rsplit(" ", 1)[0] if line[length - 1] != " " else cut
    return (at_word if len(at_word) >= 0.6 * length else cut).rstrip() + "…"


def isolate(text: str) -> str:
    """Text from data inside a sentence: right-to-left writing is fenced off, so that it cannot reorder the words around it."""
    directional = any(unicodedata.bidirectional(letter) in _DIRECTIONAL for letter in text)
    return f"\u2068{text}\u2069" if directional else text
