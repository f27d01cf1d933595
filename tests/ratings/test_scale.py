from __future__ import annotations

import pytest

from pluralign.errors import DataError
from pluralign.ratings import Scale, ScaleKind


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ordnal", ("1", "2"), "'ordnal' is unknown; did you mean 'ordinal'"),
        ("nominal", (), "at least 2 options"),
        ("ordinal", ("yes",), "name them all with --options"),
        ("nominal", ("yes", "no", "yes"), "options repeat"),
        ("interval", ("low", "high"), "rising numbers"),
        ("interval", ("2", "1"), "rising numbers"),
        ("interval", ("1", "1.0"), "rising numbers"),
        ("interval", ("1", "nan"), "rising numbers"),
        ("interval", ("1", "inf"), "rising numbers"),
    ],
)
def test_scales_that_cannot_be(kind: ScaleKind, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Scale(kind, options)


@pytest.mark.parametrize(
    ("kind", "options", "values"),
    [
        ("interval", ("-1", "0.5", "4"), [-1.0, 0.5, 4.0]),
        ("ordinal", ("1", "2", "10"), [1.0, 2.0, 10.0]),
        ("ordinal", ("3", "2", "1"), [0.0, 1.0, 2.0]),  # numbers that fall are labels in an order of their own
        ("ordinal", ("1", "2", "inf"), [0.0, 1.0, 2.0]),
        ("nominal", ("cat", "dog"), [0.0, 1.0]),
    ],
)
def test_values_are_the_numbers_where_they_rise_else_positions(
    kind: ScaleKind, options: tuple[str, ...], values: list[float]
) -> None:
    scale = Scale(kind, options)
    assert scale.values.tolist() == values
    assert len(scale) == len(options)


def test_only_nominal_scales_have_no_order() -> None:
    assert [Scale(kind, ("1", "2")).is_ordered for kind in ("nominal", "ordinal", "interval")] == [False, True, True]
