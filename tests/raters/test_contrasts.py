from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import DataError
from pluralign.raters.contrasts import contrasts_for
from pluralign.ratings import Scale, ScaleKind


def scale(k: int, kind: ScaleKind = "ordinal") -> Scale:
    return Scale(kind, tuple(str(option) for option in range(k)))


@pytest.mark.parametrize("kind", ["ordinal", "interval", "nominal"])
@pytest.mark.parametrize("k", [2, 3, 4, 5, 7, 11, 25])
def test_columns_are_orthonormal_and_sum_to_zero(k: int, kind: ScaleKind) -> None:
    contrasts = contrasts_for(scale(k, kind))
    basis = contrasts.basis
    assert basis.shape == (k, contrasts.n)
    np.testing.assert_allclose(basis.T @ basis, np.eye(contrasts.n), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=0), 0.0, atol=1e-12)
    assert contrasts.n == (k - 1 if kind == "nominal" else min(k - 1, 4))
    assert contrasts.n_slopes == (k - 1 if kind == "nominal" else 1)


def test_five_options_by_hand() -> None:
    # Orthogonal polynomials on -2..2: t; t^2 - 2; t^3 - 17/5 t; t^4 - 31/7 t^2 + 72/35 (norms 10, 14, 72/5, 288/35).
    t = np.arange(-2.0, 3.0)
    columns = [t, t**2 - 2, t**3 - 17 / 5 * t, t**4 - 31 / 7 * t**2 + 72 / 35]
    by_hand = np.stack([c / np.linalg.norm(c) for c in columns], axis=1)
    np.testing.assert_allclose(contrasts_for(scale(5)).basis, by_hand, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 6, 25])
def test_on_an_ordered_scale_the_first_rises_by_even_steps(k: int) -> None:
    steps = np.diff(contrasts_for(scale(k)).basis[:, 0])
    assert steps[0] > 0
    np.testing.assert_allclose(steps, steps[0], atol=1e-12)


def test_labels_numbers_do_not_matter_to_the_steps() -> None:
    even, uneven = Scale("interval", ("1", "2", "3", "4")), Scale("interval", ("1", "2", "3", "10"))
    np.testing.assert_array_equal(contrasts_for(uneven).basis, contrasts_for(even).basis)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_on_a_nominal_scale_every_distribution_can_be_reached(k: int) -> None:
    contrasts = contrasts_for(scale(k, "nominal"))
    p = np.random.default_rng(k).dirichlet(np.ones(k))
    logits = contrasts.basis @ (contrasts.basis.T @ np.log(p))
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), p, atol=1e-12)


@pytest.mark.parametrize("kind", ["ordinal", "nominal"])
def test_too_many_options_are_refused_with_the_way_out(kind: ScaleKind) -> None:
    with pytest.raises(DataError, match=r"26 options are too many .*at most 25.*--bins"):
        contrasts_for(scale(26, kind))
