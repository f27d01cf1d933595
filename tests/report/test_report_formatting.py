"""Numbers and texts as people read them, by hand."""

from __future__ import annotations

import math

import pytest

from pluralign.estimates import Estimate, undefined
from pluralign.report import formatting as fmt


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0, 3, "0.000"),
        (-0.0, 3, "0.000"),
        (0.0005, 3, "0.001"),
        (0.00049, 3, "<0.001"),
        (-0.00049, 3, ">−0.001"),
        (-1.5, 1, "−1.5"),
        (12345.678, 2, "12,345.68"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
        (math.nan, 3, "no value"),
    ],
)
def test_number(value: float, decimals: int, text: str) -> None:
    assert fmt.number(value, decimals) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.0049, "<1%"),
        (0.0051, "1%"),
        (0.994, "99%"),
        (0.996, ">99%"),
        (1.26, "126%"),
        (-0.126, "−13%"),
        (math.nan, "no value"),
        (math.inf, "∞%"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert fmt.percent(share) == text


def test_bits_and_factor_by_hand() -> None:
    assert fmt.bits(2 * math.log(2)) == pytest.approx(2.0, abs=1e-12)
    assert fmt.factor(math.log(3)) == pytest.approx(3.0, abs=1e-12)
    assert fmt.factor(1e6) == math.inf


@pytest.mark.parametrize(("low", "high", "decimals"), [(0.05, 0.15, 2), (0.002, 0.15, 3), (-0.2, 0.004, 3), (0.0, 0.2, 2)])
def test_factor_has_one_precision_for_value_and_interval(low: float, high: float, decimals: int) -> None:
    estimate = Estimate(value=(low + high) / 2, low=low, high=high, n=3, unit="rater", seed=0)
    assert fmt.factor_decimals(estimate) == decimals


def test_an_undefined_estimate_shows_its_reason() -> None:
    assert fmt.estimate_text(undefined("there is only 1 rater")) == "no value: there is only 1 rater"


@pytest.mark.parametrize("length", [5, 12, 40])
def test_shorten_never_exceeds_its_length(length: int) -> None:
    for text in ("a b c d e f g h i j k l m", "x" * 100, "short", "two\nlines of text that go on", ""):
        short = fmt.shorten(text, length)
        assert len(short) <= length
        assert "\n" not in short
        assert short.endswith("…") == (len(text) > length)


def test_clean_replaces_what_no_page_can_show() -> None:
    assert fmt.clean("a\x00b\x1b\ud800c\ufffed\te\nf") == "a\ufffdb\ufffd\ufffdc\ufffdd\te\nf"
    fmt.clean("\udfff").encode()  # a lone surrogate would raise


def test_isolate_fences_right_to_left_text_only() -> None:
    assert fmt.isolate("age") == "age"
    assert fmt.isolate("عمر") == "\u2068عمر\u2069"
    assert fmt.isolate("a\u202eb") == "\u2068a\u202eb\u2069"
