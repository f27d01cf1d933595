"""What a simulated rater's past ratings tell of the next: the posterior predictive, by importance sampling.

A rater of archetype z is, after whitening, a standard normal vector w: the values' deviations from mu_z, the shift of the
thresholds, and last their log-spread. Then for an item

    leaning u = a . w + b_z,   a = (signal sigma phi, -shift_sd),   b_z = signal <mu_z, phi>,   spread = e^(spread_sd w_last),

and the log posterior is -|w|^2 / 2 + sum over the ratings of log P(option | u, spread). For each rater and archetype its
mode is found by Newton's method with the Gauss-Newton matrix H; draws come from a Student t around the mode with scale
H^-1; each weighs prior * likelihood / proposal * p(z | attributes), and the weights are normalised over all draws of all
archetypes together, so an archetype counts by its evidence. The draws are a rank-1 lattice, shifted at random for each
rater, and its mirror image, which lowers the error; the archetypes share them, so that their evidences err together.

Source: Geweke 1989 (importance sampling from a Student t at the mode); Cranley & Patterson 1976 (randomly shifted lattices);
Kish 1965 (effective sample size).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammainccinv, gammaln, logsumexp, ndtri

from pluralign.ratings.keyed import keyed_uniforms
from pluralign.ratings.ordered_logit import bounds, curvature, log_probability
from pluralign.ratings.simulate import World

__all__ = ["Evidence", "Queries", "posterior_predictive"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CELLS = 1_000_000
"""How many (draw, rating) pairs are worked on at once."""
_N_NEWTON = 12
_DEGREES = 8.0
"""Of freedom of the proposal: heavier tails than the posterior's, light enough to waste few draws."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Past ratings, three arrays [examples], in a world, with what else tells of the raters' archetypes."""

    world: World
    item: IntArray
    rater: IntArray
    option: IntArray
    archetype_probabilities: FloatArray
    """[raters, archetypes] before the ratings."""
    rater_codes: npt.NDArray[np.uint64]
    """[raters] the keys of their random draws."""


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Two arrays [queries]; each rater must have evidence."""

    item: IntArray
    rater: IntArray


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Some raters' evidence, padded to the longest."""

    design: FloatArray
    """a, [raters, examples, whitened dimensions but the last]."""
    offset: FloatArray
    """b, [raters, archetypes, examples]."""
    below: FloatArray
    """[raters, examples] the cut points around each given option."""
    above: FloatArray
    real: FloatArray
    """[raters, examples] 1, or 0 for padding, which is any rating."""
    spread_sd: float


@dataclass(frozen=True, kw_only=True)
class _Draws:
    points: FloatArray
    """w, [raters, archetypes, draws, dimensions]."""
    weights: FloatArray
    """[raters, archetypes, draws]; a rater's sum to 1."""


def posterior_predictive(given: Evidence, asked: Queries, *, seed: int, n_draws: int) -> tuple[FloatArray, FloatArray]:
    """p(option | item, the rater's examples), [queries, options], and the effective number of draws, [queries]."""
    n_options = given.world.population.n_options
    probabilities = np.empty((len(asked.item), n_options))
    effective = np.empty(len(asked.item))
    query_rows = _rows_by_rater(asked.rater, len(given.rater_codes))
    for raters, rows, real in _chunks(given, np.unique(asked.rater), n_draws):
        chunk = _padded(given, rows, real)
        draws = _weighted_draws(chunk, given, raters, seed=seed, n_draws=n_draws)
        effective_draws = 1 / (draws.weights**2).sum(axis=(1, 2))
        queries = np.concatenate([query_rows[rater] for rater in raters.tolist()])
        place = np.repeat(np.arange(len(raters)), [len(query_rows[rater]) for rater in raters.tolist()])
        probabilities[queries] = _predict(given.world, draws, asked.item[queries], place)
        effective[queries] = effective_draws[place]
    return probabilities, effective


def _chunks(given: Evidence, asked: IntArray, n_draws: int) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Raters of similar numbers of examples; with each block the rows of `given`, padded, and which are real."""
    rows_of = _rows_by_rater(given.rater, len(given.rater_codes))
    counts = np.array([len(rows_of[rater]) for rater in asked.tolist()])
    order = np.argsort(counts, kind="stable")
    per_example = len(given.world.shares) * n_draws
    start = 0
    while start < len(order):
        longest = int(counts[order[start]])
        size = max(1, _CELLS // (per_example * max(longest, 8)))
        block = order[start : start + size]
        longest = int(counts[block[-1]])
        rows = np.zeros((len(block), longest), dtype=np.int64)
        for line, rater in zip(rows, asked[block].tolist(), strict=True):
            line[: len(rows_of[rater])] = rows_of[rater]
        yield asked[block], rows, (np.arange(longest) < counts[block, None]).astype(np.float64)
        start += size


def _rows_by_rater(rater: IntArray, n_raters: int) -> list[IntArray]:
    counts = np.bincount(rater, minlength=n_raters)
    return np.split(np.argsort(rater, kind="stable"), np.cumsum(counts)[:-1])


def _padded(given: Evidence, rows: IntArray, real: FloatArray) -> _Chunk:
    design, offset = _design(given.world, given.item[rows])
    below, above = bounds(given.option[rows], given.world.cut_points)
    return _Chunk(
        design=design,
        offset=np.moveaxis(offset, -1, 1),
        below=below,
        above=above,
        real=real,
        spread_sd=given.world.population.spread_sd,
    )


def _design(world: World, items: IntArray) -> tuple[FloatArray, FloatArray]:
    """a, [..., values + 1], and b, [..., archetypes], of these items [...]."""
    population, features = world.population, world.features[items]
    shift = np.full((*items.shape, 1), -population.shift_sd)
    design = np.concatenate([population.signal * population.sigma * features, shift], axis=-1)
    return design, population.signal * features @ world.means.T


def _leaning_and_spread(chunk: _Chunk, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """u, [raters, archetypes, draws, examples], and the spread, [raters, archetypes, draws, 1]."""
    leaning = points[..., :-1] @ np.swapaxes(chunk.design, 1, 2)[:, None]
    leaning += chunk.offset[:, :, None]
    return leaning, np.exp(chunk.spread_sd * points[..., -1:])


def _log_joint(chunk: _Chunk, points: FloatArray) -> FloatArray:
    """log prior density (without its constant) + log likelihood, [raters, archetypes, draws]."""
    leaning, spread = _leaning_and_spread(chunk, points)
    terms = log_probability(leaning, spread, chunk.below[:, None, None], chunk.above[:, None, None])
    return np.asarray((terms @ chunk.real[:, None, :, None])[..., 0] - (points**2).sum(axis=-1) / 2)


def _slope_and_curvature(chunk: _Chunk, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradient and Gauss-Newton matrix of `_log_joint` at [raters, archetypes, dimensions]; the matrix is at least I."""
    leaning, spread = _leaning_and_spread(chunk, points[:, :, None])
    around = curvature(leaning[:, :, 0], spread[:, :, 0], chunk.below[:, None], chunk.above[:, None])
    by_leaning, by_spread, twice, mixed, spread_twice = (part * chunk.real[:, None] for part in around)
    design, sd = chunk.design[:, None], chunk.spread_sd
    slope = -points
    slope[..., :-1] += (by_leaning[:, :, None] @ design)[:, :, 0]
    slope[..., -1] += sd * by_spread.sum(axis=-1)
    matrix = np.broadcast_to(np.eye(points.shape[-1]), (*points.shape, points.shape[-1])).copy()
    matrix[..., :-1, :-1] += np.swapaxes(design * twice[..., None], 2, 3) @ design
    border = sd * (mixed[:, :, None] @ design)[:, :, 0]
    matrix[..., :-1, -1] += border
    matrix[..., -1, :-1] += border
    matrix[..., -1, -1] += sd**2 * spread_twice.sum(axis=-1)
    return slope, matrix


def _modes(chunk: _Chunk) -> tuple[FloatArray, FloatArray]:
    """The posterior's modes [raters, archetypes, dimensions] and the matrices there; a step that loses is halved."""
    n_raters, n_archetypes = chunk.offset.shape[:2]
    points = np.zeros((n_raters, n_archetypes, chunk.design.shape[-1] + 1))
    height = _log_joint(chunk, points[:, :, None])
    stride = np.ones((n_raters, n_archetypes, 1))
    for _ in range(_N_NEWTON):
        slope, matrix = _slope_and_curvature(chunk, points)
        trial = points + stride * np.linalg.solve(matrix, slope[..., None])[..., 0]
        trial_height = _log_joint(chunk, trial[:, :, None])
        better = trial_height >= height
        points = np.where(better, trial, points)
        height = np.where(better, trial_height, height)
        stride = np.where(better, np.minimum(1.0, 2 * stride), stride / 2)
    return points, _slope_and_curvature(chunk, points)[1]


def _weighted_draws(chunk: _Chunk, given: Evidence, raters: IntArray, *, seed: int, n_draws: int) -> _Draws:
    modes, matrix = _modes(chunk)
    root = np.linalg.cholesky(matrix)
    steps = _student_draws(given.rater_codes[raters], modes.shape[-1], seed=seed, n_draws=n_draws)
    # H = root root', so root'^-1 t has the covariance H^-1 of the proposal
    points = modes[:, :, None] + np.swapaxes(np.linalg.solve(np.swapaxes(root, 2, 3), np.swapaxes(steps, 2, 3)), 2, 3)
    log_root_det = np.log(np.diagonal(root, axis1=2, axis2=3)).sum(axis=-1)[..., None]
    log_weights = _log_joint(chunk, points) - log_root_det - _log_student(steps)
    with np.errstate(divide="ignore"):  # an archetype that is ruled out has log 0
        log_weights += np.log(given.archetype_probabilities[raters])[..., None]
    return _Draws(points=points, weights=np.exp(log_weights - logsumexp(log_weights, axis=(1, 2), keepdims=True)))


def _student_draws(codes: npt.NDArray[np.uint64], n_dimensions: int, *, seed: int, n_draws: int) -> FloatArray:
    """Standard multivariate Student t, [raters, 1, draws, dimensions]: a shifted lattice and its mirror image."""
    shift = keyed_uniforms(seed, "posterior", codes[:, None, None, None], np.arange(n_dimensions + 1))
    # A lattice point can fall on 0 itself, which has no quantile.
    uniforms = np.maximum((shift + _lattice((n_draws + 1) // 2, n_dimensions + 1)) % 1.0, 2.0**-53)
    chi_square = 2 * gammainccinv(_DEGREES / 2, uniforms[..., -1:])
    half = ndtri(uniforms[..., :-1]) * np.sqrt(_DEGREES / chi_square)
    return np.concatenate([half, -half], axis=2)[:, :, :n_draws]


def _lattice(n_points: int, n_dimensions: int) -> FloatArray:
    """Multiples of the powers of 1/g, g^(d+1) = g + 1, modulo 1, [points, dimensions]: the golden section in d dimensions."""
    golden = 2.0
    for _ in range(64):
        golden = (1 + golden) ** (1 / (n_dimensions + 1))
    return np.asarray(np.arange(n_points)[:, None] * golden ** -np.arange(1.0, n_dimensions + 1) % 1.0)


def _log_student(steps: FloatArray) -> FloatArray:
    """Log density of the standard t, relative to the constant of the standard normal: [...] from [..., dimensions]."""
    n = steps.shape[-1]
    constant = gammaln((_DEGREES + n) / 2) - gammaln(_DEGREES / 2) - n / 2 * np.log(_DEGREES / 2)
    return np.asarray(constant - (_DEGREES + n) / 2 * np.log1p((steps**2).sum(axis=-1) / _DEGREES))


def _predict(world: World, draws: _Draws, items: IntArray, place: IntArray) -> FloatArray:
    """[queries, options] for queries about the raters at `place` in the draws."""
    n_draws = draws.weights[0].size
    block = max(1, 4 * _CELLS // (n_draws * draws.points.shape[-1]))
    spread = np.exp(world.population.spread_sd * draws.points[..., -1])
    cumulative = np.empty((len(items), len(world.cut_points)))
    for start in range(0, len(items), block):
        part = slice(start, start + block)
        design, offset = _design(world, items[part])
        leaning = (draws.points[place[part], ..., :-1] @ design[:, None, :, None])[..., 0] + offset[..., None]
        for k, cut_point in enumerate(world.cut_points):
            below = expit(spread[place[part]] * cut_point - leaning)
            cumulative[part, k] = np.einsum("qzs,qzs->q", draws.weights[place[part]], below)
    return np.asarray(np.diff(cumulative, axis=-1, prepend=0.0, append=1.0))
