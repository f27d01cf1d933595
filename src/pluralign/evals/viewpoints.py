"""Which views there are, found from who agreed with what: clusters of people by their votes, and how surely there are any.

    votes [people, statements]     1 agree, -1 disagree, 0 pass, NaN no vote
         │ each statement about its mean, no vote = 0, each person times sqrt(statements / votes)
    k-means for k = 2..8 ──> the k with the largest mean silhouette ──> clusters, their shares, what they agree with

    votes permuted within each statement, again and again ──> the largest silhouette that chance gives ──> p-value

k-means and the silhouette find clusters in anything, so the p-value asks whether these are more apart than those of people
whose votes on one statement say nothing of those on another; numbers of votes and what is missing stay as they are.

Sources: OvertonBench (arXiv 2512.01351): k-means on votes, k by silhouette. Rousseeuw 1987 (silhouette). Small et al. 2021,
Polis (people who voted on little stand near the middle, so they are scaled up). Phipson & Smyth 2010 (p-value).
Departures: the p-value; people with fewer than seven votes are not placed, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate
from pluralign.evals.coverage_measures import share_estimate
from pluralign.metrics.information import permutation_p_value
from pluralign.streams import stream

__all__ = ["VoteClusters", "cluster_votes", "covered_by_ratings", "representative_statements", "silhouette"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

KS = tuple(range(2, 9))
MIN_VOTES = 7
N_PERMUTATIONS = 99
N_STARTS = 5
COVERED_FROM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class VoteClusters:
    """People grouped by their votes; clusters are numbered from the largest on."""

    labels: IntArray
    """[people] cluster 0..k - 1; -1 for people with too few votes to be placed."""
    silhouettes: Mapping[int, float]
    """By k, -1..1; higher is more apart."""
    prevalence: tuple[Estimate, ...]
    """[clusters] share of the people who were placed."""
    p_value: float | None
    """That votes which say nothing of each other give a silhouette as large; None where no permutation was made."""

    @property
    def k(self) -> int:
        return len(self.prevalence)

    @property
    def n_left_out(self) -> int:
        """People with too few votes."""
        return int((self.labels < 0).sum())


def cluster_votes(
    votes: npt.ArrayLike,
    *,
    ks: Sequence[int] = KS,
    min_votes: int = MIN_VOTES,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> VoteClusters:
    """Clusters of people from votes [people, statements]; `min_votes` is at most the number of statements.

    Time and memory grow with the square of the people. Raises UsageError for votes that are not -1, 0, 1 or NaN, DataError
    where fewer than three people differ.
    """
    table = np.asarray(votes, dtype=np.float64)
    if table.ndim != 2 or not (np.isnan(table) | np.isin(table, (-1.0, 0.0, 1.0))).all():
        raise UsageError(f"votes are [people, statements] of 1, -1, 0, or NaN for none; got shape {table.shape}.")
    if not ks or min(ks) < 2:
        raise UsageError(f"there must be at least 2 clusters; got ks = {list(ks)}.")
    n_votes = (~np.isnan(table)).sum(axis=1)
    placed = np.flatnonzero(n_votes >= max(1, min(min_votes, table.shape[1])))
    used = table[placed]
    silhouettes, found = _best(used, ks, seed)
    if not silhouettes:
        raise DataError(
            "votes", f"{len(used)} people have enough votes, and fewer than 3 of them differ; there is nothing to group."
        )
    order = np.argsort(-np.bincount(found), kind="stable")
    labels = np.full(len(table), -1, dtype=np.int64)
    labels[placed] = np.argsort(order)[found]
    sizes = np.bincount(labels[placed])
    prevalence = tuple(share_estimate(int(n), len(used), unit="person", seed=seed) for n in sizes)
    return VoteClusters(labels, silhouettes, prevalence, _p_value(used, ks, max(silhouettes.values()), n_permutations, seed))


def silhouette(distances: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean over people of (b - a) / max(a, b), -1..1: a is the mean distance to one's own cluster, b to the next one.

    `distances` [people, people], `labels` [people] from 0 on without gaps. Who is alone in a cluster counts 0.
    Source: Rousseeuw 1987.
    """
    table, numbers = np.asarray(distances, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    members = np.eye(int(numbers.max()) + 1)[numbers]
    sizes = members.sum(axis=0)
    sums = table @ members
    own = sizes[numbers]
    a = sums[np.arange(len(numbers)), numbers] / np.maximum(own - 1, 1)
    b = np.where(members > 0, np.inf, sums / sizes).min(axis=1)
    largest = np.maximum(a, b)
    scores = np.divide(b - a, largest, out=np.zeros(len(a)), where=(largest > 0) & (own > 1))
    return float(scores.mean())


def representative_statements(votes: npt.ArrayLike, labels: npt.ArrayLike, *, n: int = 3) -> list[list[int]]:
    """The statements that tell most about each cluster [clusters], at most n of each, best first.

    A statement counts where most of the cluster's votes on it agree; they are ranked by how much larger the share of agreeing
    votes is inside than outside, both as (agree + 1) / (votes + 2). None for a cluster that agrees with nothing.
    """
    table, numbers = np.asarray(votes, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    found = []
    for cluster in range(int(numbers.max(initial=-1)) + 1):
        inside = _agreeing(table[numbers == cluster])
        gap = inside - _agreeing(table[(numbers != cluster) & (numbers >= 0)])
        ranked = np.argsort(-gap, kind="stable").tolist()
        found.append([s for s in ranked if inside[s] > 0.5][:n])
    return found


def covered_by_ratings(
    ratings: npt.ArrayLike, labels: npt.ArrayLike, n_clusters: int, *, covered_from: float = COVERED_FROM
) -> FloatArray:
    """Whether the response represents each cluster [clusters]: 1 where the mean rating of its members is at least 4, else 0.

    `ratings` [people] say how far it "represents my view", 1..5, NaN for none. NaN for a cluster none of whose members rated.
    Raises UsageError for other numbers. Source: OvertonBench (arXiv 2512.01351).

    >>> covered_by_ratings([5, 4, 3, 4, np.nan], [0, 0, 1, 1, 2], 3).tolist()
    [1.0, 0.0, nan]
    """
    values, numbers = np.asarray(ratings, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    known = ~np.isnan(values)
    if values.shape != numbers.shape or (values[known] < 1).any() or (values[known] > 5).any():
        raise UsageError(f"ratings are numbers of 1..5, one for each label; got shapes {values.shape} and {numbers.shape}.")
    used = known & (numbers >= 0)
    counts = np.bincount(numbers[used], minlength=n_clusters)
    sums = np.bincount(numbers[used], weights=values[used], minlength=n_clusters)
    means = np.divide(sums, counts, out=np.full(n_clusters, np.nan), where=counts > 0)
    return np.where(np.isnan(means), np.nan, (means >= covered_from - 1e-12).astype(np.float64))


def _best(votes: FloatArray, ks: Sequence[int], seed: int) -> tuple[dict[int, float], IntArray]:
    """Silhouettes by k, and the labels of the best k, the smallest of equal ones; nothing where too few people differ."""
    from sklearn.cluster import KMeans

    if len(votes) == 0:
        return {}, np.zeros(0, dtype=np.int64)
    points = _points(votes)
    n_different = len(np.unique(points.round(9), axis=0))
    squares = (points**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0))
    np.fill_diagonal(distances, 0)
    found: dict[int, tuple[float, IntArray]] = {}
    for k in sorted(set(ks)):
        if k < n_different:
            state = int(stream(seed, "votes", k).integers(2**31))
            labels = KMeans(k, n_init=N_STARTS, random_state=state).fit_predict(points).astype(np.int64)
            found[k] = (silhouette(distances, labels), labels)
    if not found:
        return {}, np.zeros(0, dtype=np.int64)
    best = max(found, key=lambda k: (round(found[k][0], 12), -k))
    return {k: score for k, (score, _) in found.items()}, found[best][1]


def _p_value(votes: FloatArray, ks: Sequence[int], observed: float, n_permutations: int, seed: int) -> float | None:
    if n_permutations < 1:
        return None
    by_chance = []
    for number in range(n_permutations):
        rng = stream(seed, "permuted votes", number)
        permuted = votes.copy()
        for column in permuted.T:
            known = ~np.isnan(column)
            column[known] = rng.permutation(column[known])
        scores, _ = _best(permuted, ks, seed)
        by_chance.append(max(scores.values(), default=-1.0))
    return permutation_p_value(observed, np.array(by_chance))


def _points(votes: FloatArray) -> FloatArray:
    known = ~np.isnan(votes)
    n = known.sum(axis=0)
    means = np.where(known, votes, 0.0).sum(axis=0) / np.maximum(n, 1)
    away = np.where(known, votes - means, 0.0)
    return np.asarray(away * np.sqrt(votes.shape[1] / known.sum(axis=1))[:, None])


def _agreeing(votes: FloatArray) -> FloatArray:
    return np.asarray(((votes == 1).sum(axis=0) + 1) / ((~np.isnan(votes)).sum(axis=0) + 2))
