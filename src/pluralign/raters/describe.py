"""From what the folds measured to findings: estimates with intervals, tests, and descriptions of groups, raters and items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pluralign import __version__
from pluralign.estimates import (
    Estimate,
    estimate_from_draws,
    estimate_mean,
    holm,
    joint_intervals,
    undefined,
    unit_sums,
)
from pluralign.metrics import (
    assignment_permutation_test,
    chance_agreement,
    item_entropy_nats,
    item_option_counts,
    krippendorff_alpha_estimate,
    pair_agreement,
)
from pluralign.raters.describe_clusters import clusterings_of
from pluralign.raters.describe_extremes import hardest_raters, polarising_items
from pluralign.raters.evidence import StudyEvidence
from pluralign.raters.findings import (
    Agreement,
    Calibration,
    DataSummary,
    Findings,
    Information,
    InformationRow,
    RowKind,
)
from pluralign.raters.fit_widening import fit_widenings
from pluralign.raters.held_out import HeldOutLosses, labelled
from pluralign.raters.ratios import ratio_estimates, resampled_ratios
from pluralign.raters.reliability import calibration_of
from pluralign.ratings import Ratings

__all__ = ["findings_of_study"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SUSPICIOUS_SHARE = 0.7
"""Of the information of the most past ratings: an attribute that tells more is asked whether it was computed from them."""
MAX_RATER_CELLS = 2e8
"""Ratings times resamples beyond which resampling raters for alpha uses fewer resamples."""
QUANTILE_ERROR = 0.68
"""Standard deviation of an end of a 95 % percentile interval of B normal draws, times sqrt(B), as a share of its width."""


def findings_of_study(
    evidence: StudyEvidence, ratings: Ratings, *, truth_nats: Mapping[str, float], true_groups: IntArray | None
) -> Findings:
    """Everything the page shows. `ratings` are all, also those that were not modelled; `truth_nats` maps representations to
    true information (simulated people only)."""
    losses = HeldOutLosses(evidence.records)
    information = _information(evidence, losses, truth_nats)
    return Findings(
        data=_data(evidence, ratings, losses, information),
        agreement=_agreement(ratings, evidence.settings.seed, evidence.settings.n_resamples),
        information=information,
        clusterings=clusterings_of(evidence, information, true_groups),
        calibrations=_calibrations(evidence, losses),
        hardest_raters=hardest_raters(evidence, losses),
        polarising_items=polarising_items(ratings, evidence.settings.seed, evidence.settings.n_resamples),
        seed=evidence.settings.seed,
        pluralign_version=__version__,
    )


def _data(evidence: StudyEvidence, ratings: Ratings, losses: HeldOutLosses, information: Information) -> DataSummary:
    settings, part = evidence.settings, evidence.ratings
    chosen = item_option_counts(
        ratings.rater_index, ratings.rating_index, n_items=ratings.n_raters, n_options=ratings.n_options
    ).astype(np.float64)
    given = np.repeat(chosen.sum(axis=1, keepdims=True), ratings.n_options, axis=1)
    shares = ratio_estimates(chosen, given, settings.seed, settings.n_resamples)
    n_fewer = int((np.bincount(ratings.rater_index, minlength=ratings.n_raters) < 4).sum())
    notes = [str(note) for note in ratings.notes] + [a.note for a in evidence.attributes if a.note]
    n_modelled = len(np.unique(part.rater_index))
    notes += _of_a_large_table(ratings, part, n_modelled, settings.n_resamples)
    if n_fewer:
        notes.append(f"raters with fewer than 4 ratings help to fit the models but are never scored ({n_fewer:,})")
    asked = [f"clusters:{k}" for k in settings.cluster_counts]
    for name in dict.fromkeys([*losses.incomplete, *(name for name in asked if name not in losses.nats)]):
        notes.append(f"{labelled(name)[0]} could not be formed in every part of the raters (too few of them): not shown")
    notes += [
        f"{labelled(name)[0]}: {n:,} held-out ratings were given probability 0" for name, n in losses.n_impossible.items()
    ]
    notes += _suspects(information)
    return DataSummary(
        name=ratings.name,
        n_ratings=len(ratings),
        n_items=len(np.unique(ratings.item_index)),
        n_raters=len(np.unique(ratings.rater_index)),
        scale_kind=ratings.scale.kind,
        options=list(ratings.scale.options),
        option_shares=shares,
        ratings_per_rater=_spread(ratings.rater_index),
        ratings_per_item=_spread(ratings.item_index),
        n_ratings_modelled=len(part),
        n_raters_modelled=n_modelled,
        attributes=evidence.attribute_summaries,
        notes=notes,
    )


def _of_a_large_table(ratings: Ratings, part: Ratings, n_modelled: int, n_resamples: int) -> list[str]:
    """What was done with some of the raters, or with fewer resamples, because there are so many ratings."""
    said = []
    if len(part) < len(ratings):
        said.append(
            f"what knowing a rater tells, groups, calibration and single raters are learned from, and measured on, "
            f"{n_modelled:,} raters drawn by chance, with {len(part):,} of the {len(ratings):,} ratings (--most-ratings); the "
            "raters of each attribute are counted among them; the rest is of all"
        )
        said.append(
            "the intervals of what was modelled are for other raters drawn in the same way; models that learn from more raters "
            "know the items better, and may make much more of the same knowledge about a rater: half of the items have "
            f"{_spread(part.item_index)[1]:,} or more of the ratings that were modelled, and "
            f"{_spread(ratings.item_index)[1]:,} or more of all"
        )
    if (fewer := _rater_resamples(ratings, n_resamples)) < n_resamples:
        said.append(
            f"alpha's interval for other raters is of {fewer:,} resamples, not {n_resamples:,}, since the ratings are so many: "
            f"each of its ends is good to about {QUANTILE_ERROR / math.sqrt(fewer):.0%} of its width"
        )
    return said


def _suspects(information: Information) -> list[str]:
    """Attributes that tell nearly as much as many past ratings do: people's descriptions hardly ever do, sums of votes do."""
    return [
        f"'{row.label}' tells {row.kept.value:.0%} of what the most past ratings tell: is it computed from the ratings? "
        "If so it is a leak: leave it out by naming the others with --attributes"
        for row in information.rows
        if row.kind == "attribute" and row.kept.is_defined and row.kept.value > SUSPICIOUS_SHARE
    ]


def _spread(index: IntArray) -> list[int]:
    counts = np.bincount(index)
    counts = counts[counts > 0]
    return [int(counts.min()), int(np.median(counts)), int(counts.max())]


def _agreement(ratings: Ratings, seed: int, n_resamples: int) -> Agreement:
    counts = item_option_counts(ratings.item_index, ratings.rating_index, n_items=ratings.n_items, n_options=ratings.n_options)
    values = ratings.scale.values if ratings.scale.kind == "interval" else None

    def alpha(resample: str, n: int) -> Estimate:
        return krippendorff_alpha_estimate(
            ratings.item_index,
            ratings.rater_index,
            ratings.rating_index,
            n_options=ratings.n_options,
            level=ratings.scale.kind,
            values=values,
            resample="item" if resample == "item" else "rater",
            seed=seed,
            n_resamples=n,
        )

    return Agreement(
        alpha_other_items=alpha("item", n_resamples),
        alpha_other_raters=alpha("rater", _rater_resamples(ratings, n_resamples)),
        pair_agreement=_mean_over_items(pair_agreement(counts), seed, n_resamples),
        chance_agreement=_chance(counts, seed, n_resamples),
        item_entropy_nats=_mean_over_items(
            np.where(counts.sum(axis=1) >= 2, item_entropy_nats(counts, bias_correction=True), np.nan), seed, n_resamples
        ),
    )


def _rater_resamples(ratings: Ratings, n_resamples: int) -> int:
    return max(100, min(n_resamples, int(MAX_RATER_CELLS / max(1, len(ratings)))))


def _mean_over_items(values: FloatArray, seed: int, n_resamples: int) -> Estimate:
    known = ~np.isnan(values)
    if not known.any():
        return undefined("no item has two ratings", unit="item", seed=seed)
    return estimate_mean(values[known], np.flatnonzero(known), unit="item", seed=seed, n_resamples=n_resamples)


def _chance(counts: IntArray, seed: int, n_resamples: int) -> Estimate:
    """Two ratings of different items agree: resampled over items, from each resample's option totals."""
    used = counts[counts.sum(axis=1) >= 1].astype(np.float64)
    if len(used) < 2:
        return undefined("fewer than two items", n=len(used), unit="item", seed=seed)
    rng = np.random.default_rng(seed)
    draws = np.array([chance_agreement(used[rng.integers(0, len(used), len(used))].astype(np.int64)) for _ in range(200)])
    return estimate_from_draws(chance_agreement(counts), draws, n=len(used), unit="item", seed=seed)


def _information(evidence: StudyEvidence, losses: HeldOutLosses, truth: Mapping[str, float]) -> Information:
    settings = evidence.settings
    names = list(losses.nats)
    table = np.stack([losses.nats[name] for name in names], axis=1)
    raters, units = np.unique(losses.rater, return_inverse=True)
    sums, counts = unit_sums(table, units, len(raters))
    nothing = sums[:, [names.index("nothing")]]
    whole = max((n for n in names if n.startswith("examples:")), key=lambda n: int(n.split(":")[1]), default=None)
    per_rating = np.repeat(counts[:, None], len(names), axis=1)
    loss = ratio_estimates(sums, per_rating, settings.seed, settings.n_resamples)
    wider = fit_widenings(names, nothing - sums, counts, raters, evidence)
    gain, draws = resampled_ratios(nothing - sums, per_rating, settings.seed, settings.n_resamples, widening=wider)
    shown = [i for i, name in enumerate(names) if name not in ("marginal", "nothing")]
    joint = dict(zip(shown, joint_intervals([gain[i] for i in shown], draws[:, shown]), strict=True))
    kept = [undefined("no past ratings were given", seed=settings.seed)] * len(names)
    if whole is not None:
        base = gain[names.index(whole)]
        why = f"the information of {labelled(whole)[0]} is not clearly above 0: {base} nats"
        below = np.repeat(nothing - sums[:, [names.index(whole)]], len(names), axis=1)
        kept = (
            ratio_estimates(nothing - sums, below, settings.seed, settings.n_resamples)
            if base.is_defined and base.low > 0
            else [undefined(why, n=base.n, seed=settings.seed)] * len(names)
        )
    p_values = _p_values(evidence, names)
    rows = [
        _row(name, loss[i], gain[i], joint.get(i), kept[i], p_values, truth)
        for i, name in enumerate(names)
        if name != "marginal"
    ]
    return Information(
        entropy_nats=loss[names.index("marginal")],
        rows=sorted(rows, key=lambda r: _ORDER.index(r.kind)),
        n_seeds=settings.n_seeds,
        n_evaluated=len(losses.rating),
        permutations=settings.n_permutations,
    )


_ORDER: Sequence[RowKind] = ("nothing", "attribute", "attributes", "examples", "clusters")


def _row(
    name: str,
    loss: Estimate,
    gain: Estimate,
    joint: tuple[float, float] | None,
    kept: Estimate,
    p_values: Mapping[str, tuple[float, float]],
    truth: Mapping[str, float],
) -> InformationRow:
    label, kind = labelled(name)
    if kind == "nothing":
        gain = undefined("knowing nothing is what the others are compared with", n=loss.n, seed=loss.seed)
        kept = undefined("knowing nothing is what the others are compared with", n=loss.n, seed=loss.seed)
    joint_low, joint_high = joint or (None, None)
    p, adjusted = p_values.get(name, (None, None))
    return InformationRow(
        representation=name,
        label=label,
        kind=kind,
        loss_nats=loss,
        information_nats=gain,
        joint_low=joint_low,
        joint_high=joint_high,
        kept=kept,
        p_value=p,
        p_holm=adjusted,
        truth_nats=truth.get(name),
    )


def _p_values(evidence: StudyEvidence, scored: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Permutation p and Holm's p within the attributes and within the cluster counts; of the first seed's folds."""
    settings = evidence.settings
    tables = [t for t in evidence.tables if t.seed == settings.seed and t.representation in scored]
    out: dict[str, tuple[float, float]] = {}
    for kind in ("attribute:", "clusters:"):
        names = list(dict.fromkeys(t.representation for t in tables if t.representation.startswith(kind)))
        found = []
        for name in names:
            parts = [t for t in tables if t.representation == name]
            found.append(
                assignment_permutation_test(
                    np.concatenate([t.losses for t in parts]),
                    np.concatenate([t.group for t in parts]),
                    strata=np.concatenate([np.full(len(t.rater), t.fold) for t in parts]),
                    seed=settings.seed,
                    n_permutations=settings.n_permutations,
                )
            )
        out |= {name: (p, q) for name, p, q in zip(names, found, holm(found), strict=True)}
    return out


def _calibrations(evidence: StudyEvidence, losses: HeldOutLosses) -> list[Calibration]:
    examples = [n for n in losses.nats if n.startswith("examples:")]
    shown = ["nothing", *(["attributes"] if "attributes" in losses.nats else []), *examples[-1:]]
    return [_calibration(evidence, losses, name) for name in shown]


def _calibration(evidence: StudyEvidence, losses: HeldOutLosses, name: str) -> Calibration:
    seed, n_resamples = evidence.settings.seed, evidence.settings.n_resamples
    probabilities = losses.probabilities(name)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 on disk
    return calibration_of(
        probabilities,
        losses.rating,
        losses.rater,
        representation=name,
        label=labelled(name)[0],
        seed=seed,
        n_resamples=n_resamples,
    )
