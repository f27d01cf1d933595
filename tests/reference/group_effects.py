"""Group effects as one big Gaussian system: every level's effects and every rater's, stacked into one vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def solve(
    precision: FloatArray,
    pull: FloatArray,
    levels_of_rater: list[list[int]],
    tau2: FloatArray,
    spread: FloatArray,
    within: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean [levels, effects] and covariance [levels x effects, same] of g, with

    g_level ~ Normal(0, tau2[level] spread),  u_r ~ Normal(sum of g of its levels, within),  message_r = precision u_r - pull.
    """
    n_levels, n_raters, d = len(tau2), len(pull), len(spread)
    size = (n_levels + n_raters) * d
    system, right = np.zeros((size, size)), np.zeros(size)

    def at(block: int) -> slice:
        return slice(block * d, (block + 1) * d)

    for level in range(n_levels):
        system[at(level), at(level)] += np.linalg.inv(tau2[level] * spread)
    w = np.linalg.inv(within)
    for r in range(n_raters):
        u = n_levels + r
        # -(u - sum g)' W (u - sum g) / 2 and the message
        signed = [(u, 1.0), *((level, -1.0) for level in levels_of_rater[r])]
        for i, a in signed:
            for j, b in signed:
                system[at(i), at(j)] += a * b * w
        system[at(u), at(u)] += precision[r]
        right[at(u)] += pull[r]
    covariance = np.linalg.inv(system)
    n = n_levels * d
    return (covariance @ right)[:n].reshape(n_levels, d), covariance[:n, :n]
