from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.raters import variational
from pluralign.raters.contrasts import Contrasts, contrasts_for
from pluralign.raters.variational import (
    Beliefs,
    blocks_by_unit,
    expected_derivatives,
    expected_softmax,
    project,
    small_cholesky,
    update_units,
)
from pluralign.ratings import Scale, ScaleKind
from reference import mixed_effects as slow

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def contrasts(k: int, kind: ScaleKind = "ordinal") -> Contrasts:
    return contrasts_for(Scale(kind, tuple(str(option) for option in range(k))))


def covariances(rng: np.random.Generator, n: int, q: int, sd: float) -> FloatArray:
    """Correlated, [n, q, q], with standard deviations between half of `sd` and `sd`."""
    roots = rng.normal(size=(n, q, q + 1))
    cov = roots @ roots.transpose(0, 2, 1)
    size = np.sqrt(np.einsum("nii->ni", cov)) / rng.uniform(0.5, 1.0, size=(n, q)) / sd
    return np.asarray(cov / size[:, :, None] / size[:, None, :])


def some_ratings(seed: int, k: int, kind: ScaleKind, n: int, sd: float) -> tuple[Beliefs, IntArray, FloatArray, Contrasts]:
    rng, c = np.random.default_rng(seed), contrasts(k, kind)
    t = Beliefs(rng.normal(size=(n, c.n)), covariances(rng, n, c.n, sd))
    return t, rng.integers(0, k, size=n), 0.5 * rng.normal(size=k), c


# expected derivatives


# The rules have 7 points (q = 1), 4 x 4 (q = 2) and 2q (more); they lose accuracy as the beliefs widen.
@pytest.mark.parametrize(
    ("k", "kind", "sd", "n_nodes", "tolerance"),
    [
        (2, "ordinal", 1.0, 40, 1e-3),
        (3, "ordinal", 0.5, 40, 1e-3),
        (3, "nominal", 0.5, 40, 1e-3),
        (3, "nominal", 1.0, 40, 1.5e-2),
        (5, "ordinal", 0.5, 9, 5e-3),
        (5, "nominal", 0.5, 9, 1e-2),
        (7, "ordinal", 1.0, 11, 2.5e-2),
    ],
)
def test_derivatives_equal_quadrature(k: int, kind: ScaleKind, sd: float, n_nodes: int, tolerance: float) -> None:
    n = 8 if k < 5 else 3
    t, y, offset, c = some_ratings(k, k, kind, n, sd)
    ours = expected_derivatives(t, y, offset, c)
    expected_counts = np.zeros(k)
    for row in range(n):
        gradient, hessian, p = slow.expected_derivatives(t.mean[row], t.cov[row], int(y[row]), offset, c.basis, n_nodes)
        np.testing.assert_allclose(ours.gradient[row], gradient, atol=tolerance)
        np.testing.assert_allclose(ours.hessian[row], hessian, atol=2 * tolerance)
        expected_counts += p
    np.testing.assert_allclose(ours.expected_counts, expected_counts, atol=n * tolerance)


@pytest.mark.parametrize(("k", "kind"), [(2, "ordinal"), (3, "nominal"), (5, "ordinal"), (6, "nominal")])
def test_without_doubt_they_are_the_derivatives_of_a_softmax(k: int, kind: ScaleKind) -> None:
    t, y, offset, c = some_ratings(1, k, kind, 6, 1.0)
    ours = expected_derivatives(Beliefs(t.mean, np.zeros_like(t.cov)), y, offset, c)

    def log_likelihood(row: int, at: FloatArray) -> float:
        return float(np.log(slow.softmax(offset + c.basis @ at)[y[row]]))

    h = 1e-4
    for row in range(6):
        gradient, hessian = slow.log_likelihood_derivatives(t.mean[row], int(y[row]), offset, c.basis)
        np.testing.assert_allclose(ours.gradient[row], gradient, atol=1e-12)
        np.testing.assert_allclose(ours.hessian[row], hessian, atol=1e-12)
        for a, step in enumerate(h * np.eye(c.n)):
            up, down = log_likelihood(row, t.mean[row] + step), log_likelihood(row, t.mean[row] - step)
            assert ours.gradient[row, a] == pytest.approx((up - down) / (2 * h), abs=1e-7)
            curvature = (up + down - 2 * log_likelihood(row, t.mean[row])) / h**2
            assert ours.hessian[row, a, a] == pytest.approx(-curvature, abs=1e-5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    t, y, offset, c = some_ratings(2, 3, "ordinal", 11, 1.0)
    whole, softmax = expected_derivatives(t, y, offset, c), expected_softmax(t.mean, t.cov, offset, c)
    monkeypatch.setattr(variational, "CHUNK", 4)
    parts = expected_derivatives(t, y, offset, c)
    np.testing.assert_allclose(parts.gradient, whole.gradient, atol=1e-12)
    np.testing.assert_allclose(parts.hessian, whole.hessian, atol=1e-12)
    np.testing.assert_allclose(parts.expected_counts, whole.expected_counts, atol=1e-12)
    np.testing.assert_allclose(expected_softmax(t.mean, t.cov, offset, c), softmax, atol=1e-12)


# expected softmax


# 15 Gauss-Hermite points for one contrast, 128 mirrored Sobol points for more.
@pytest.mark.parametrize(
    ("k", "kind", "sd", "n_nodes", "tolerance"),
    [
        (2, "ordinal", 0.5, 40, 1e-9),
        (2, "ordinal", 2.0, 80, 1e-3),
        (3, "ordinal", 0.5, 40, 1e-3),
        (3, "nominal", 1.0, 40, 2e-3),
        (3, "ordinal", 3.0, 80, 1e-2),
        (4, "nominal", 1.0, 16, 3e-3),
        (5, "ordinal", 1.0, 9, 5e-3),
    ],
)
def test_expected_softmax_equals_quadrature(k: int, kind: ScaleKind, sd: float, n_nodes: int, tolerance: float) -> None:
    t, _, offset, c = some_ratings(3, k, kind, 4, sd)
    ours = expected_softmax(t.mean, t.cov, offset, c)
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-12)
    for row in range(4):
        theirs = slow.expected_softmax(t.mean[row], t.cov[row], offset, c.basis, n_nodes)
        np.testing.assert_allclose(ours[row], theirs, atol=tolerance)


@pytest.mark.parametrize("q", [1, 2, 4, 24])
def test_points_of_the_average_have_the_moments_of_a_normal(q: int) -> None:
    points, weights = variational._normal_points(q)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(weights @ points, 0.0, atol=1e-12)
    np.testing.assert_allclose(weights @ points**2, 1.0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 5])
def test_expected_softmax_of_a_symmetric_belief_is_symmetric(k: int) -> None:
    c = contrasts(k)
    cov = np.diag(np.arange(1.0, c.n + 1))
    p = expected_softmax(np.zeros((1, c.n)), np.zeros((1, c.n, c.n)), np.zeros(k), c)
    np.testing.assert_allclose(p, 1 / k, atol=1e-12)
    lean = np.zeros((2, c.n))
    lean[:, 0] = 1.3, -1.3
    p = expected_softmax(lean, np.broadcast_to(cov, (2, c.n, c.n)), np.zeros(k), c)
    np.testing.assert_allclose(p[0], p[1, ::-1], atol=2e-2)
    assert p[0, -1] > p[0, 0]


# Cholesky factors


@pytest.mark.parametrize("q", [1, 2, 4])
def test_small_cholesky_equals_numpy(q: int) -> None:
    cov = covariances(np.random.default_rng(q), 7, q, 2.0)
    np.testing.assert_allclose(small_cholesky(cov), np.linalg.cholesky(cov), atol=1e-12)


def test_small_cholesky_of_singular_matrices() -> None:
    rng = np.random.default_rng(0)
    thin = rng.normal(size=(20, 4, 2))
    cov = np.concatenate([thin @ thin.transpose(0, 2, 1), np.zeros((1, 4, 4)), np.diag([1.0, 0.0, 4.0, 0.0])[None]])
    lower = small_cholesky(cov)
    np.testing.assert_allclose(lower @ lower.transpose(0, 2, 1), cov, atol=1e-7)
    np.testing.assert_array_equal(lower, np.tril(lower))


# blocks


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=30), max_cells=st.integers(1, 200), seed=st.integers(0, 99))
def test_blocks_hold_every_rating_once(counts: list[int], max_cells: int, seed: int) -> None:
    unit_index = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    blocks = blocks_by_unit(unit_index, max_cells=max_cells)
    rows = np.concatenate([b.rows[b.mask] for b in blocks]) if blocks else np.zeros(0)
    assert sorted(rows) == list(range(len(unit_index)))
    units = [u for b in blocks for u in b.units]
    assert sorted(units) == sorted(set(unit_index.tolist()))
    for block in blocks:
        assert block.rows.shape == block.mask.shape
        assert len(block.units) == 1 or block.mask.size <= max_cells
        assert (~block.mask).sum() <= block.mask.size / 3
        for unit, rows, mask in zip(block.units, block.rows, block.mask, strict=True):
            assert (unit_index[rows[mask]] == unit).all()


# from effects to ratings and back


@pytest.mark.parametrize(
    ("k", "kind", "d"), [(2, "ordinal", 3), (5, "ordinal", 2), (4, "ordinal", 0), (3, "nominal", 2), (4, "nominal", 0)]
)
def test_project_equals_the_loop(k: int, kind: ScaleKind, d: int) -> None:
    rng, c = np.random.default_rng(4), contrasts(k, kind)
    n_effects = c.n + c.n_slopes * d
    beliefs = Beliefs(rng.normal(size=(5, n_effects)), covariances(rng, 5, n_effects, 1.5))
    unit = np.array([3, 0, 0, 4, 0, 3, 1, 4, 4, 4, 4])  # nobody asks unit 2
    z = rng.normal(size=(len(unit), d))
    ours = project(beliefs, blocks_by_unit(unit, max_cells=6), z, c, len(unit))
    for row, u in enumerate(unit):
        x = slow.design(c.n, c.n_slopes, z[row])
        np.testing.assert_allclose(ours.mean[row], x @ beliefs.mean[u], atol=1e-12)
        np.testing.assert_allclose(ours.cov[row], x @ beliefs.cov[u] @ x.T, atol=1e-12)


def one_step(
    unit: IntArray, y: IntArray, z: FloatArray, beliefs: Beliefs, prior: Beliefs, offset: FloatArray, c: Contrasts
) -> Beliefs:
    """Of the fixed point; the prior's covariance is that of its first unit."""
    blocks = blocks_by_unit(unit, max_cells=8)
    d = expected_derivatives(project(beliefs, blocks, z, c, len(y)), y, offset, c)
    return update_units(beliefs, prior.mean, np.linalg.inv(prior.cov[0]), d, blocks, z, c)


@pytest.mark.parametrize(("k", "kind", "d"), [(3, "ordinal", 2), (3, "nominal", 2), (4, "ordinal", 0)])
def test_one_step_equals_the_two_equations(k: int, kind: ScaleKind, d: int) -> None:
    rng, c = np.random.default_rng(5), contrasts(k, kind)
    n_effects = c.n + c.n_slopes * d
    unit, y = np.array([0, 2, 2, 0, 2]), rng.integers(0, k, size=5)
    z, offset = rng.normal(size=(5, d)), rng.normal(size=k)
    cov = covariances(rng, 1, n_effects, 0.3) + 0.05 * np.eye(n_effects)
    prior = Beliefs(0.1 * rng.normal(size=(3, n_effects)), np.repeat(cov, 3, axis=0))
    before = Beliefs(prior.mean + 0.03, 0.5 * prior.cov)
    t = project(before, blocks_by_unit(unit), z, c, 5)
    d_ = expected_derivatives(t, y, offset, c)
    after = one_step(unit, y, z, before, prior, offset, c)
    precision_before = np.linalg.inv(prior.cov[0])
    for u in (0, 2):
        precision = precision_before.copy()
        pull = -precision_before @ (before.mean[u] - prior.mean[u])
        for row in np.flatnonzero(unit == u):
            x = slow.design(c.n, c.n_slopes, z[row])
            precision += x.T @ d_.hessian[row] @ x
            pull += x.T @ d_.gradient[row]
        np.testing.assert_allclose(after.cov[u], np.linalg.inv(precision), atol=1e-12)
        np.testing.assert_allclose(after.mean[u], before.mean[u] + np.linalg.solve(precision, pull), atol=1e-12)
    np.testing.assert_array_equal(after.mean[1], prior.mean[1])  # no rating: back to the prior
    np.testing.assert_allclose(after.cov[1], prior.cov[1], atol=1e-12)


def test_a_step_is_at_most_two_standard_deviations_of_the_prior() -> None:
    c = contrasts(2)
    prior = Beliefs(np.zeros((1, 1)), np.full((1, 1, 1), 0.04))
    far = Beliefs(np.full((1, 1), 5.0), prior.cov)  # Newton would go back from 5 to nearly 0 at once
    after = one_step(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 0)), far, prior, np.zeros(2), c)
    assert after.mean[0, 0] == pytest.approx(5.0 - 2 * 0.2, abs=1e-12)


# Converged beliefs are the nearest Gaussian, not the exact posterior: over ten random cases each, their means were at most
# 0.014 and their standard deviations 5 % off (in units of the exact standard deviation).
@pytest.mark.parametrize(("k", "d", "n"), [(2, 0, 1), (2, 0, 12), (2, 1, 5), (2, 1, 20), (3, 0, 6)])
def test_a_converged_unit_is_close_to_the_exact_posterior(k: int, d: int, n: int) -> None:
    rng, c = np.random.default_rng(10 * n + k), contrasts(k)
    n_effects = c.n + c.n_slopes * d
    y, z, offset = rng.integers(0, k, size=n), rng.normal(size=(n, d)), 0.5 * rng.normal(size=k)
    prior = Beliefs(0.3 * rng.normal(size=(1, n_effects)), covariances(rng, 1, n_effects, 1.2))
    beliefs = prior
    for _ in range(40):
        beliefs = one_step(np.zeros(n, np.int64), y, z, beliefs, prior, offset, c)
    designs = [slow.design(c.n, c.n_slopes, row) for row in z]
    mean, cov = slow.grid_posterior(designs, y.tolist(), offset, c.basis, prior.mean[0], prior.cov[0])
    sd = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(beliefs.mean[0] / sd, mean / sd, atol=0.03)
    np.testing.assert_allclose(np.sqrt(np.diag(beliefs.cov[0])) / sd, 1.0, atol=0.06)


def test_neither_the_order_of_rows_nor_of_units_matters() -> None:
    rng, c = np.random.default_rng(6), contrasts(4)
    n_units, n, d = 9, 60, 2
    n_effects = c.n + d
    unit, y = rng.integers(0, n_units, size=n), rng.integers(0, 4, size=n)
    z, offset = rng.normal(size=(n, d)), rng.normal(size=4)
    prior = Beliefs(np.zeros((n_units, n_effects)), np.broadcast_to(np.eye(n_effects), (n_units, n_effects, n_effects)))
    after = one_step(unit, y, z, prior, prior, offset, c)
    rows, renamed = rng.permutation(n), rng.permutation(n_units)
    again = one_step(renamed[unit[rows]], y[rows], z[rows], prior, prior, offset, c)
    np.testing.assert_allclose(again.mean[renamed], after.mean, atol=1e-12)
    np.testing.assert_allclose(again.cov[renamed], after.cov, atol=1e-12)
