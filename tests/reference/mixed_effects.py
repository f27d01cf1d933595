"""The arithmetic of the mixed-effects model, slow and obvious: one rating, one unit and one grid point at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def design(q: int, n_slopes: int, z: FloatArray) -> FloatArray:
    """X with t = X u, [q, q + n_slopes * features]: an intercept for each contrast, z on those that carry slopes."""
    x = np.zeros((q, q + n_slopes * len(z)))
    for j in range(q):
        x[j, j] = 1.0
        if j < n_slopes:
            for f, value in enumerate(z):
                x[j, q + j * len(z) + f] = value
    return x


def log_likelihood_derivatives(t: FloatArray, y: int, offset: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of log softmax(offset + C t)[y]: gradient C'(onehot - p) and negated Hessian C'(diag(p) - pp')C."""
    p = softmax(offset + basis @ t)
    onehot = np.zeros(len(p))
    onehot[y] = 1.0
    return basis.T @ (onehot - p), basis.T @ (np.diag(p) - np.outer(p, p)) @ basis


def quadrature(mean: FloatArray, cov: FloatArray, n_nodes: int) -> list[tuple[float, FloatArray]]:
    """Weights and points of the product Gauss-Hermite rule for Normal(mean, cov)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    lower = np.linalg.cholesky(cov)
    points = []
    for index in itertools.product(range(n_nodes), repeat=len(mean)):
        weight = math.prod(float(weights[i]) for i in index) / math.sqrt(2 * math.pi) ** len(mean)
        if weight > 1e-14:
            points.append((weight, mean + lower @ nodes[list(index)]))
    return points


def expected_derivatives(
    mean: FloatArray, cov: FloatArray, y: int, offset: FloatArray, basis: FloatArray, n_nodes: int = 40
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """E[gradient], E[negated Hessian] and E[p] for t ~ Normal(mean, cov)."""
    gradient, hessian, p = np.zeros(len(mean)), np.zeros((len(mean), len(mean))), np.zeros(len(offset))
    for weight, t in quadrature(mean, cov, n_nodes):
        g, h = log_likelihood_derivatives(t, y, offset, basis)
        gradient += weight * g
        hessian += weight * h
        p += weight * softmax(offset + basis @ t)
    return gradient, hessian, p


def expected_softmax(mean: FloatArray, cov: FloatArray, offset: FloatArray, basis: FloatArray, n_nodes: int) -> FloatArray:
    p = np.zeros(len(offset))
    for weight, t in quadrature(mean, cov, n_nodes):
        p += weight * softmax(offset + basis @ t)
    return p


def grid_posterior(
    designs: list[FloatArray],
    answers: list[int],
    offset: FloatArray,
    basis: FloatArray,
    prior_mean: FloatArray,
    prior_cov: FloatArray,
    n_points: int = 161,
) -> tuple[FloatArray, FloatArray]:
    """Exact mean and covariance of one unit's effects given its ratings: a grid out to 7 standard deviations of the prior."""
    axes = [m + s * np.linspace(-7, 7, n_points) for m, s in zip(prior_mean, np.sqrt(np.diag(prior_cov)), strict=True)]
    u = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    off = u - prior_mean
    log_density = -0.5 * np.einsum("sd,de,se->s", off, np.linalg.inv(prior_cov), off)
    for x, y in zip(designs, answers, strict=True):
        logits = offset + u @ x.T @ basis.T
        log_density += logits[:, y] - np.log(np.exp(logits).sum(axis=1))
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = density @ u
    return mean, np.einsum("s,sd,se->de", density, u - mean, u - mean)
