"""Who the groups of raters are: their sizes, the items that tell them apart, and their make-up by attribute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pluralign.estimates import holm, undefined
from pluralign.metrics import js_divergence_nats
from pluralign.raters.attributes import CodedAttribute
from pluralign.raters.evidence import StudyEvidence
from pluralign.raters.findings import Cluster, Clustering, DistinctItem, Information, LevelShare
from pluralign.raters.item_text import item_text

__all__ = ["clusterings_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_DISTINCT = 5
N_LEVELS = 6
ALPHA = 0.05
MIN_RESIDUAL = 2.0


def clusterings_of(evidence: StudyEvidence, information: Information, true_groups: IntArray | None) -> list[Clustering]:
    """One for each number of clusters that could be formed; clusters stand in order of size, the largest is A."""
    by_name = {row.representation: row for row in information.rows}
    out = []
    for k, of_rater in evidence.cluster_of_rater.items():
        row = by_name.get(f"clusters:{k}")
        if row is None or row.p_value is None or row.p_holm is None:
            continue
        members, predictions = _by_size(of_rater, evidence.cluster_predictions[k])
        gain = row.information_nats
        out.append(
            Clustering(
                k=k,
                information_nats=gain if gain.is_defined else undefined(str(gain.why_undefined), n=gain.n, seed=gain.seed),
                p_value=row.p_value,
                gains_beyond_chance=row.p_holm <= ALPHA and gain.is_defined and gain.low > 0,
                clusters=_clusters(evidence, members, predictions),
                truth_adjusted_rand=_adjusted_rand(members, true_groups),
            )
        )
    return out


def _by_size(of_rater: IntArray, predictions: FloatArray) -> tuple[IntArray, FloatArray]:
    sizes = np.bincount(of_rater[of_rater >= 0], minlength=len(predictions))
    order = np.argsort(-sizes, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return np.where(of_rater >= 0, place[of_rater], -1), predictions[order]


def _clusters(evidence: StudyEvidence, members: IntArray, predictions: FloatArray) -> list[Cluster]:
    k = len(predictions)
    sizes = np.bincount(members[members >= 0], minlength=k)
    make_up = _make_up(evidence.attributes, members, k)
    return [
        Cluster(
            label=chr(ord("A") + c) if k <= 26 else str(c + 1),
            n_raters=int(sizes[c]),
            share=float(sizes[c] / sizes.sum()),
            most_distinct=_distinct(evidence, predictions, sizes, c),
            over_represented=make_up[c],
        )
        for c in range(k)
    ]


def _distinct(evidence: StudyEvidence, predictions: FloatArray, sizes: IntArray, c: int) -> list[DistinctItem]:
    """Items on which this cluster's predictions are furthest from those of the others together."""
    ratings = evidence.ratings
    weights = np.where(np.arange(len(predictions)) == c, 0.0, np.maximum(sizes, 1))
    others = np.einsum("c,cio->io", weights / weights.sum(), predictions)
    rated = np.unique(ratings.item_index)
    distance = js_divergence_nats(predictions[c][rated], others[rated])
    order = np.argsort(-distance, kind="stable")[:N_DISTINCT]
    return [
        DistinctItem(
            item_id=ratings.item_ids[rated[j]],
            text=item_text(ratings, int(rated[j])),
            option_shares=predictions[c, rated[j]].tolist(),
            option_shares_others=others[rated[j]].tolist(),
            distance=float(distance[j]),
        )
        for j in order
    ]


def _make_up(attributes: list[CodedAttribute], members: IntArray, k: int) -> list[list[LevelShare]]:
    """Levels that are more frequent in a cluster than among all raters, for attributes that go with the clusters at all."""
    from scipy.stats import chi2_contingency

    tables = []
    for attribute in attributes:
        known = (members >= 0) & (attribute.level >= 0)
        flat = members[known] * len(attribute.levels) + attribute.level[known]
        tables.append(np.bincount(flat, minlength=k * len(attribute.levels)).reshape(k, -1))
    tests = []
    for table in tables:
        full = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        tests.append(float(chi2_contingency(full).pvalue) if min(full.shape, default=0) > 1 else 1.0)
    out: list[list[LevelShare]] = [[] for _ in range(k)]
    for attribute, table, p in zip(attributes, tables, holm(tests), strict=True):
        if p > ALPHA:
            continue
        overall = table.sum(axis=0) / table.sum()
        surplus = _adjusted_residuals(table)
        for c in np.flatnonzero(table.sum(axis=1) > 0):
            shares = table[c] / table[c].sum()
            out[c] += [
                LevelShare(attribute=attribute.name, level=level, share=float(s), share_all=float(overall[j]), p_holm=float(p))
                for j, (level, s) in enumerate(zip(attribute.levels, shares, strict=True))
                if surplus[c, j] > MIN_RESIDUAL
            ]
    return [sorted(levels, key=lambda s: s.share_all - s.share)[:N_LEVELS] for levels in out]


def _adjusted_residuals(table: IntArray) -> FloatArray:
    """How far each count lies above what independence expects, in standard errors; where that has no spread, 0.

    Source: Haberman 1973, The analysis of residuals in cross-classified tables.
    """
    n = table.sum()
    rows, columns = table.sum(axis=1, keepdims=True) / n, table.sum(axis=0, keepdims=True) / n
    expected = n * rows * columns
    spread = np.sqrt(expected * (1 - rows) * (1 - columns))
    return np.asarray(np.divide(table - expected, spread, out=np.zeros(table.shape), where=spread > 0), dtype=np.float64)


def _adjusted_rand(members: IntArray, true_groups: IntArray | None) -> float | None:
    if true_groups is None:
        return None
    from sklearn.metrics import adjusted_rand_score

    known = members >= 0
    return float(adjusted_rand_score(true_groups[known], members[known]))
