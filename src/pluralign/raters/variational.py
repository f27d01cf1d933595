"""The arithmetic of the mixed-effects model: expected gradients of a softmax, and Gaussian posteriors of many units at once.

A rating of item i by rater r has the distribution softmax(offset + C t), t = b_i + a_r + W_r z_i (see `contrasts` and `mixed`).
Given Gaussian beliefs about b_i and u_r = (a_r, W_r), t is Gaussian too, and the belief about one unit that is closest to the
exact posterior (in the Kullback-Leibler sense of variational inference) obeys two equations, iterated here:

    precision = prior precision + sum_ratings X' E[H] X         (Price's theorem)
    mean     += precision^-1 (sum_ratings X' E[g] - prior precision (mean - prior mean))      (Bonnet's theorem)

with g = C'(onehot(y) - p) and H = C'(diag(p) - pp')C the derivatives of the log-likelihood in t. The expectations over the
Gaussian t are taken by Gauss-Hermite quadrature for one or two contrasts and, for more, by the third-degree spherical
cubature rule: 2q equally weighted points at distance sqrt(q).
Averaging over t, instead of taking its mode, is what keeps learned variances right when ratings are few and binary.

Sources: Opper & Archambeau 2009 (fixed point); Khan & Rue 2023, section 3 (natural-gradient form); Arasaratnam & Haykin 2009
(cubature).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from pluralign.raters.contrasts import Contrasts

__all__ = [
    "Beliefs",
    "Block",
    "Derivatives",
    "blocks_by_unit",
    "expected_derivatives",
    "expected_softmax",
    "project",
    "small_cholesky",
    "update_units",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CHUNK = 8_192
"""Ratings worked on at a time: keeps the intermediate arrays in cache and the peak memory flat."""


BLOCK_CELLS = 32_768
"""Cells of a padded block of units."""
MAX_STEP = 2.0
"""Longest step of a unit's mean, in standard deviations of the prior: where a softmax is flat, Newton's step overshoots."""


@dataclass(frozen=True, slots=True)
class Beliefs:
    """Gaussian beliefs about the effects of many units (raters or items)."""

    mean: FloatArray
    """[units, effects]"""
    cov: FloatArray
    """[units, effects, effects]"""

    def take(self, units: IntArray) -> Beliefs:
        """About these units only, in this order."""
        return Beliefs(self.mean[units], self.cov[units])


@dataclass(frozen=True, slots=True)
class Block:
    """Units with similar numbers of ratings, padded to one width so that their small matrices are made in one product.

    units     rows              mask
    r3        [ 12, 40, 41 ]    [ 1 1 1 ]
    r7        [  5, 77,  0 ]    [ 1 1 0 ]     row 0 stands in the padding and is masked
    """

    units: IntArray
    rows: IntArray
    mask: BoolArray


def blocks_by_unit(unit_index: IntArray, *, max_cells: int = BLOCK_CELLS) -> list[Block]:
    """Group units by their number of ratings; each block has at most `max_cells` cells (or is one unit)."""
    order = np.argsort(unit_index, kind="stable")
    units, starts, counts = np.unique(unit_index[order], return_index=True, return_counts=True)
    by_count = np.argsort(counts, kind="stable")
    return [_block(order, units[g], starts[g], counts[g]) for g in _similar(counts, by_count, max_cells)]


def _similar(counts: IntArray, by_count: IntArray, max_cells: int) -> Iterator[IntArray]:
    """Runs of units, smallest counts first, that waste at most a third of a block's cells."""
    start = 0
    while start < len(by_count):
        low = int(counts[by_count[start]])
        end = start + int(np.searchsorted(counts[by_count[start:]], max(low + 1, int(low * 1.5)), side="right"))
        width = int(counts[by_count[end - 1]])
        end = min(end, start + max(1, max_cells // width))
        yield by_count[start:end]
        start = end


def _block(order: IntArray, units: IntArray, starts: IntArray, counts: IntArray) -> Block:
    steps = np.arange(int(counts.max()))
    mask = steps[None, :] < counts[:, None]
    return Block(units, np.where(mask, order[np.where(mask, starts[:, None] + steps, 0)], 0), mask)


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Of each rating's expected log-likelihood, in t."""

    gradient: FloatArray
    """[ratings, q]"""
    hessian: FloatArray
    """[ratings, q, q], negated: positive semi-definite."""
    expected_counts: FloatArray
    """[options] how many ratings of each option the beliefs expect in all."""


def expected_derivatives(t: Beliefs, rating_index: IntArray, offset: FloatArray, contrasts: Contrasts) -> Derivatives:
    """Derivatives for t ~ Normal(mean, cov); `t` has one entry a rating, `offset` one an option."""
    n, q = t.mean.shape
    counts = np.zeros(len(offset))
    gradient, hessian = np.empty((n, q)), np.empty((n, q, q))
    basis = contrasts.basis
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        p_mean = np.zeros((len(offset), len(t.mean[part])))
        outer = np.zeros((q, q, p_mean.shape[1]))
        for weight, p in _softmax_at_points(t.mean[part], t.cov[part], offset, basis, _rule(q)):
            p_mean += weight * p
            moved = basis.T @ p
            for a in range(q):
                for b in range(a + 1):
                    outer[a, b] += weight * (moved[a] * moved[b])
        counts += p_mean.sum(axis=1)
        gradient[part] = basis[rating_index[part]] - (basis.T @ p_mean).T
        for a in range(q):
            for b in range(a + 1):
                hessian[part, a, b] = hessian[part, b, a] = (basis[:, a] * basis[:, b]) @ p_mean - outer[a, b]
    return Derivatives(gradient, hessian, counts)


def _softmax_at_points(
    mean: FloatArray, cov: FloatArray, offset: FloatArray, basis: FloatArray, rule: tuple[FloatArray, FloatArray]
) -> Iterator[tuple[float, FloatArray]]:
    """Weights and softmax(offset + C t) at the points of a rule for Normal(mean, cov): arrays [options, ratings].

    Options stand first here: sums over a handful of options are many times faster down columns than along rows.
    """
    centre = offset[:, None] + basis @ mean.T
    lower = np.ascontiguousarray(small_cholesky(cov).transpose(1, 2, 0))
    for point, weight in zip(*rule, strict=True):
        yield float(weight), _softmax(centre + basis @ np.matmul(point, lower))


@cache
def _rule(q: int) -> tuple[FloatArray, FloatArray]:
    """Points [n, q] and weights [n] for averaging over a standard normal while fitting."""
    if q > 2:
        return np.concatenate([np.eye(q), -np.eye(q)]) * np.sqrt(q), np.full(2 * q, 1 / (2 * q))
    nodes, weights = np.polynomial.hermite_e.hermegauss(7 if q == 1 else 4)
    grid = np.stack(np.meshgrid(*[nodes] * q, indexing="ij"), axis=-1).reshape(-1, q)
    products = np.prod(np.stack(np.meshgrid(*[weights] * q, indexing="ij"), axis=-1).reshape(-1, q), axis=1)
    return grid, products / products.sum()


def _softmax(logits: FloatArray) -> FloatArray:
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def small_cholesky(cov: FloatArray) -> FloatArray:
    """Lower Cholesky factors of many small matrices [n, q, q]: the loops run over q, the arithmetic over n.

    A pivot that rounding left below zero counts as zero, since a covariance may be singular (a unit known exactly).
    """
    n, q, _ = cov.shape
    lower = np.zeros((n, q, q))
    for j in range(q):
        pivot = cov[:, j, j] - (lower[:, j, :j] ** 2).sum(axis=1)
        root = np.sqrt(np.maximum(pivot, 0.0))
        lower[:, j, j] = root
        safe = np.where(root > 0, root, 1.0)
        for i in range(j + 1, q):
            rest = cov[:, i, j] - (lower[:, i, :j] * lower[:, j, :j]).sum(axis=1)
            lower[:, i, j] = np.where(root > 0, rest / safe, 0.0)
    return lower


def project(beliefs: Beliefs, blocks: list[Block], z: FloatArray, contrasts: Contrasts, n_rows: int) -> Beliefs:
    """What beliefs about raters' effects say about t in each rating: mean [ratings, q], cov [ratings, q, q].

    `z` [ratings, features] are the features of each rating's item; a rater's effects are (a [q], W [slopes x features]).
    """
    q, slopes, d = contrasts.n, contrasts.n_slopes, z.shape[1]
    mean, cov = np.zeros((n_rows, q)), np.zeros((n_rows, q, q))
    for block in blocks:
        rows, mask = block.rows[block.mask], block.mask
        m, v = beliefs.mean[block.units], beliefs.cov[block.units]
        t = np.repeat(m[:, None, :q], mask.shape[1], axis=1)
        s = np.repeat(v[:, None, :q, :q], mask.shape[1], axis=1)
        zb = z[block.rows]
        for j in range(slopes if d else 0):
            w = slice(q + j * d, q + (j + 1) * d)
            t[:, :, j] += np.matmul(zb, m[:, w, None])[:, :, 0]
            cross = np.matmul(zb, v[:, w, :q])
            s[:, :, j, :] += cross
            s[:, :, :, j] += cross
            for k in range(slopes):
                other = slice(q + k * d, q + (k + 1) * d)
                s[:, :, j, k] += (np.matmul(zb, v[:, w, other]) * zb).sum(axis=2)
        mean[rows], cov[rows] = t[mask], s[mask]
    return Beliefs(mean, cov)


def update_units(
    beliefs: Beliefs,
    prior_mean: FloatArray,
    prior_precision: FloatArray,
    derivatives: Derivatives,
    blocks: list[Block],
    z: FloatArray,
    contrasts: Contrasts,
) -> Beliefs:
    """One step of the fixed point for all units at once; units without ratings return to their prior.

    Axes: prior_mean [units, effects], prior_precision [effects, effects], z [ratings, features].
    """
    gradient, hessian = derivatives.gradient, derivatives.hessian
    mean = prior_mean.copy()
    cov = np.broadcast_to(np.linalg.inv(prior_precision), beliefs.cov.shape).copy()
    for block in blocks:
        keep = block.mask[:, :, None]
        g = np.where(keep, gradient[block.rows], 0.0)
        h = np.where(keep[:, :, :, None], hessian[block.rows], 0.0)
        pull, precision = _gathered(g, h, z[block.rows], contrasts)
        precision += prior_precision
        pull -= (beliefs.mean[block.units] - prior_mean[block.units]) @ prior_precision
        inverse = np.linalg.inv(precision)
        cov[block.units] = (inverse + inverse.transpose(0, 2, 1)) / 2
        step = np.matmul(inverse, pull[:, :, None])[:, :, 0]
        size = np.sqrt(np.einsum("ud,de,ue->u", step, prior_precision, step))
        mean[block.units] = beliefs.mean[block.units] + step * np.minimum(1.0, MAX_STEP / np.maximum(size, MAX_STEP))[:, None]
    return Beliefs(mean, cov)


def _gathered(g: FloatArray, h: FloatArray, z: FloatArray, contrasts: Contrasts) -> tuple[FloatArray, FloatArray]:
    """sum X'g [units, effects] and sum X'HX [units, effects, effects] over each unit's ratings (X = [I, I_slopes kron z'])."""
    q, slopes, d = contrasts.n, contrasts.n_slopes, z.shape[2]
    n_effects = q + slopes * d
    pull = np.empty((len(g), n_effects))
    precision = np.empty((len(g), n_effects, n_effects))
    pull[:, :q] = g.sum(axis=1)
    precision[:, :q, :q] = h.sum(axis=1)
    z_t = z.transpose(0, 2, 1)
    for j in range(slopes if d else 0):
        w = slice(q + j * d, q + (j + 1) * d)
        pull[:, w] = np.matmul(z_t, g[:, :, j, None])[:, :, 0]
        precision[:, w, :q] = np.matmul(z_t, h[:, :, j, :])
        precision[:, :q, w] = precision[:, w, :q].transpose(0, 2, 1)
        for k in range(slopes):
            other = slice(q + k * d, q + (k + 1) * d)
            precision[:, w, other] = np.matmul(z_t, h[:, :, j, k, None] * z)
    return pull, precision


def expected_softmax(mean: FloatArray, cov: FloatArray, offset: FloatArray, contrasts: Contrasts) -> FloatArray:
    """E[softmax(offset + C t)] for t ~ Normal(mean, cov): probabilities [queries, options].

    One contrast: 15-point Gauss-Hermite. More: 64 scrambled Sobol points with their mirror images, the same for every query,
    so predictions are smooth in their inputs. Largest errors of a probability, for standard deviations of 1/2, 1, 2 and 3:
    1e-11, 1e-6, 5e-4 and 5e-3 with one contrast; 4e-4, 2e-3, 4e-3 and 8e-3 with two, which more contrasts hardly exceed.
    """
    rule = _normal_points(mean.shape[1])
    out = np.empty((len(mean), len(offset)))
    for start in range(0, len(mean), CHUNK):
        part = slice(start, start + CHUNK)
        total = np.zeros((len(offset), len(mean[part])))
        for weight, p in _softmax_at_points(mean[part], cov[part], offset, contrasts.basis, rule):
            total += weight * p
        out[part] = total.T
    return out


@cache
def _normal_points(q: int) -> tuple[FloatArray, FloatArray]:
    """Points [n, q] and weights [n] that integrate against a standard normal."""
    if q == 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        return nodes[:, None], weights / weights.sum()
    from scipy.special import ndtri
    from scipy.stats import qmc

    half = ndtri(qmc.Sobol(q, scramble=True, rng=np.random.default_rng(0)).random(64))
    points = np.concatenate([half, -half])
    points /= np.sqrt((points**2).mean(axis=0))
    return points, np.full(len(points), 1 / len(points))
