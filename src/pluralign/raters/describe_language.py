"""What a language model made of the raters: information, what differs between people, and the views by rater and item.

Predictions are recalibrated (`recalibration`) fold by fold: for the raters of a fold on what was asked about all others.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484): usable information and its split, the matching test, simulated
agreement. Departures: matching takes, of the pairs of raters who answered an item differently, the one with the most different
predictions; equal answers say nothing of who is who.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, estimate_from_draws, estimate_mean, undefined, unit_sums
from pluralign.metrics import total_variation_distance
from pluralign.raters.baselines import Marginal
from pluralign.raters.evidence import StudyEvidence
from pluralign.raters.findings import (
    Calibration,
    ItemView,
    LanguageFindings,
    LanguageRow,
    MatchingTest,
    RaterView,
    SimulatedAgreement,
)
from pluralign.raters.held_out import labelled
from pluralign.raters.item_text import item_text
from pluralign.raters.language_study import LanguageAsked, LanguageStudy
from pluralign.raters.ratios import ratio_estimates
from pluralign.raters.recalibration import fit_recalibration
from pluralign.raters.reliability import calibration_of
from pluralign.raters.representations import RaterTexts, Representation
from pluralign.ratings import Ratings
from pluralign.ratings.splits import rater_folds, split_fit_eval

__all__ = ["describe_language_study", "representation_label"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_SHOWN = 5
"""Raters at each end, and items, that are shown."""
FEWEST_ITEMS = 8
"""For a correlation over items; more raters than this no item needs to be shown."""
FEWEST_RATERS = 3
"""Of an item that is shown."""


def representation_label(name: str) -> str:
    """For people.

    >>> representation_label("profile+examples:8"), representation_label("examples:all:nearest")
    ('profile and 8 past ratings', 'as many nearest past ratings as fit')
    """
    one = Representation.parse(name)
    told = ["profile"] if one.profile else []
    told += ["group's profile"] if one.cluster else []
    told += ["all attributes"] if one.attributes == "all" else list(one.attributes)
    if one.n_examples:
        kind = "" if one.order == "random" else f"{one.order} "
        is_all = name.partition("examples:")[2].startswith("all")
        plural = "" if one.n_examples == 1 else "s"
        told.append(f"as many {kind}past ratings as fit" if is_all else f"{one.n_examples} {kind}past rating{plural}")
    return " and ".join(told) or "nothing"


def describe_language_study(
    ratings: Ratings, asked: LanguageAsked, study: LanguageStudy, evidence: StudyEvidence
) -> LanguageFindings:
    """All that the page says of it."""
    seed, n_resamples = evidence.settings.seed, evidence.settings.n_resamples
    answers = _Answers(ratings, asked, evidence)
    names = list(answers.probabilities)
    known = "profile" if "profile" in names else _most_examples(names) or names[-1]
    rows = answers.rows_of(names)
    shares = ratio_estimates(
        _by_rater(answers, answers.losses["nothing"] - answers.losses[known])[:, None],
        _by_rater(answers, answers.losses["nothing"])[:, None],
        seed,
        n_resamples,
    )
    easiest, hardest = _rater_views(answers, known, study.texts)
    return LanguageFindings(
        model=asked.model,
        n_raters=len(np.unique(answers.rater)),
        n_ratings=len(answers.rater),
        n_without_text=asked.plan.n_without_text,
        rows=rows,
        statistical=answers.statistical(),
        known=known,
        known_label=representation_label(known),
        epistemic_share=shares[0],
        matching=_matching(answers, known),
        agreement=_agreement(answers, known),
        calibrations=[_calibration(answers, name) for name in dict.fromkeys(["nothing", known])],
        easiest=easiest,
        hardest=hardest,
        items=_item_views(answers, known),
    )


class _Answers:
    """Recalibrated probabilities and losses of every representation over the same rows [asked]."""

    def __init__(self, ratings: Ratings, asked: LanguageAsked, evidence: StudyEvidence) -> None:
        self.ratings, self.evidence = ratings, evidence
        self.seed, self.n_resamples = evidence.settings.seed, evidence.settings.n_resamples
        parts = {str(p["representation"][0]): p for p in asked.records.partition_by("representation", maintain_order=True)}
        first = next(iter(parts.values()))
        self.rater, self.item, self.rating = (
            first[name].to_numpy().astype(np.int64) for name in ("rater_index", "item_index", "rating_index")
        )
        self.fold = rater_folds(ratings, seed=self.seed, n_folds=evidence.settings.n_folds)[self.rater]
        self.shares = self._shares()
        self.probabilities: dict[str, FloatArray] = {}
        self.n_unanswered: dict[str, int] = {}
        self.n_left_out: dict[str, int] = {}
        for name, part in parts.items():
            raw = np.array(part["probabilities"].to_list(), dtype=np.float64)
            self.n_unanswered[name] = int((part["outcome"] != "ok").sum())
            self.n_left_out[name] = int(part["n_left_out"].sum())
            self.probabilities[name] = self._recalibrated(raw)
        self.losses = {name: self.loss_of(p) for name, p in self.probabilities.items()}

    def loss_of(self, probabilities: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(probabilities[np.arange(len(self.rating)), self.rating]))

    def rows_of(self, names: Sequence[str]) -> list[LanguageRow]:
        most = _most_examples(names)
        return self._rows({name: self.losses[name] for name in names}, most, representation_label)

    def statistical(self) -> list[LanguageRow]:
        """The study's own models on the same ratings, knowing nothing, all attributes, and the most past ratings."""
        records = self.evidence.records.filter(pl.col("seed") == self.seed)
        numbers = {name for name in records["representation"].unique() if name.startswith("examples:")}
        most = _most_examples(sorted(numbers))
        wanted = ["nothing", "attributes", *([most] if most else [])]
        asked = pl.DataFrame({"item_index": self.item, "rater_index": self.rater})
        losses = {}
        for name in wanted:
            part = records.filter(pl.col("representation") == name)
            same = [part.schema["item_index"], part.schema["rater_index"]]
            joined = asked.cast(dict(zip(asked.columns, same, strict=True))).join(
                part, on=["item_index", "rater_index"], how="left", maintain_order="left"
            )
            if joined["probabilities"].null_count() == 0:
                losses[name] = self.loss_of(np.array(joined["probabilities"].to_list(), dtype=np.float64))
        return self._rows(losses, most, lambda name: labelled(name)[0]) if "nothing" in losses else []

    def _rows(self, losses: dict[str, FloatArray], most: str | None, label: Callable[[str], str]) -> list[LanguageRow]:
        names = list(losses)
        sums = np.stack([_by_rater(self, losses[name]) for name in names], axis=1)
        counts = np.repeat(_by_rater(self, np.ones(len(self.rater)))[:, None], len(names), axis=1)
        loss = ratio_estimates(sums, counts, self.seed, self.n_resamples)
        nothing = sums[:, [names.index("nothing")]]
        gain = ratio_estimates(nothing - sums, counts, self.seed, self.n_resamples)
        kept = [undefined("no past ratings were shown", seed=self.seed)] * len(names)
        if most in names:
            whole = gain[names.index(most)]
            if whole.is_defined and whole.low > 0:
                below = np.repeat(nothing - sums[:, [names.index(most)]], len(names), axis=1)
                kept = ratio_estimates(nothing - sums, below, self.seed, self.n_resamples)
            else:
                kept = [undefined(f"what {most} tells is not clearly above 0: {whole}", n=whole.n, seed=self.seed)] * len(names)
        none = undefined("knowing nothing is what the others are compared with", n=loss[0].n, seed=self.seed)
        return [
            LanguageRow(
                representation=name,
                label=label(name),
                loss_nats=loss[j],
                information_nats=none if name == "nothing" else gain[j],
                kept=none if name == "nothing" else kept[j],
                n_unanswered=self.n_unanswered.get(name, 0),
                n_left_out=self.n_left_out.get(name, 0),
            )
            for j, name in enumerate(names)
        ]

    def _shares(self) -> FloatArray:
        """[folds, options] of the given ratings of all raters outside the fold."""
        split = split_fit_eval(self.ratings, seed=self.seed)
        folds = rater_folds(self.ratings, seed=self.seed, n_folds=self.evidence.settings.n_folds)[self.ratings.rater_index]
        n_folds = self.evidence.settings.n_folds
        parts = [self.ratings.take(split.is_fit & (folds != fold)) for fold in range(n_folds)]
        return np.stack([Marginal().fit(part).shares_ for part in parts])

    def _recalibrated(self, raw: FloatArray) -> FloatArray:
        out = np.empty_like(raw)
        for fold in range(len(self.shares)):
            own = self.fold == fold
            out[own] = fit_recalibration(raw[~own], self.rating[~own]).apply(raw[own])
        unanswered = np.isnan(out).any(axis=1)
        out[unanswered] = self.shares[self.fold[unanswered]]
        return out


def _by_rater(answers: _Answers, values: FloatArray) -> FloatArray:
    """[raters who were asked about] sums."""
    raters, index = np.unique(answers.rater, return_inverse=True)
    return unit_sums(values, index, len(raters))[0]


def _most_examples(names: Sequence[str]) -> str | None:
    """The representation of past ratings alone that shows most of them."""
    numbers = {name: Representation.parse(name).n_examples for name in names if name.startswith("examples:")}
    return max(numbers, key=lambda name: numbers[name], default=None)


# what predictions say of people


def _matching(answers: _Answers, known: str) -> MatchingTest:
    found, items, n_not = [], [], 0
    for item, rows in _rows_by_item(answers):
        p, y = answers.probabilities[known][rows], answers.rating[rows]
        pairs = [(a, b) for a, b in itertools.combinations(range(len(rows)), 2) if y[a] != y[b]]
        if not pairs:
            n_not += 1
            continue
        first, second = (np.array(one) for one in zip(*pairs, strict=True))
        k = int(total_variation_distance(p[first], p[second]).argmax())
        a, b = pairs[k]
        straight, crossed = p[a, y[a]] * p[b, y[b]], p[a, y[b]] * p[b, y[a]]
        found.append(0.5 if straight == crossed else float(straight > crossed))
        items.append(item)
    values = np.array(found, dtype=np.float64)
    accuracy = (
        estimate_mean(values, np.array(items), unit="item", seed=answers.seed, n_resamples=answers.n_resamples)
        if len(values)
        else undefined("no item has two raters who answered differently", unit="item", seed=answers.seed)
    )
    return MatchingTest(accuracy=accuracy, n_items=len(values), n_not_testable=n_not)


def _agreement(answers: _Answers, known: str) -> SimulatedAgreement:
    simulated, observed = [], []
    for _, rows in _rows_by_item(answers):
        p, y = answers.probabilities[known][rows], answers.rating[rows]
        first, second = np.triu_indices(len(rows), k=1)
        simulated.append(float((p[first] * p[second]).sum(axis=1).mean()))
        observed.append(float((y[first] == y[second]).mean()))
    both = np.array([simulated, observed])
    n, seed, n_resamples = both.shape[1], answers.seed, answers.n_resamples
    if n < 2:
        none = undefined("fewer than two items have two raters who were asked about", n=n, unit="item", seed=seed)
        return SimulatedAgreement(simulated=none, observed=none, correlation=none)
    means = [estimate_mean(row, np.arange(n), unit="item", seed=seed, n_resamples=n_resamples) for row in both]
    return SimulatedAgreement(simulated=means[0], observed=means[1], correlation=_correlation(both, seed, n_resamples))


def _correlation(both: FloatArray, seed: int, n_resamples: int) -> Estimate:
    n = both.shape[1]
    if n < FEWEST_ITEMS:
        return undefined(
            f"{n} items have two raters who were asked about; {FEWEST_ITEMS} are needed", n=n, unit="item", seed=seed
        )
    drawn = np.random.default_rng(seed).integers(0, n, size=(n_resamples, n))
    draws = _pearson(both[0][drawn], both[1][drawn])
    return estimate_from_draws(float(_pearson(both[:1], both[1:])[0]), draws, n=n, unit="item", seed=seed)


def _pearson(x: FloatArray, y: FloatArray) -> FloatArray:
    """Of each row of two arrays; NaN where one does not vary."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    below = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.asarray(np.divide((x * y).sum(axis=1), below, out=np.full(len(x), np.nan), where=below > 0))


def _calibration(answers: _Answers, name: str) -> Calibration:
    return calibration_of(
        answers.probabilities[name],
        answers.rating,
        answers.rater,
        representation=name,
        label=representation_label(name),
        seed=answers.seed,
        n_resamples=answers.n_resamples,
    )


def _rater_views(answers: _Answers, known: str, texts: RaterTexts) -> tuple[list[RaterView], list[RaterView]]:
    """Most gained first, then least gained first; nobody is in both."""
    raters, index = np.unique(answers.rater, return_inverse=True)
    gain = _by_rater(answers, answers.losses["nothing"] - answers.losses[known]) / np.bincount(index)
    order = np.argsort(-gain, kind="stable")
    n = min(N_SHOWN, len(order) // 2)
    views = [
        _rater_view(answers, known, int(raters[k]), np.flatnonzero(index == k), texts) for k in [*order[:n], *order[::-1][:n]]
    ]
    return views[:n], views[n:]


def _rater_view(answers: _Answers, known: str, rater: int, rows: IntArray, texts: RaterTexts) -> RaterView:
    unit = answers.ratings.rater_ids[rater]
    one = Representation.parse(known)
    told = [texts.profiles.get(unit, "") if one.profile else "", texts.clusters.get(unit, "") if one.cluster else ""]
    loss = estimate_mean(
        answers.losses[known][rows], np.arange(len(rows)), unit="rating", seed=answers.seed, n_resamples=answers.n_resamples
    )
    return RaterView(
        rater_id=unit,
        text=" ".join(text for text in told if text),
        n_ratings=len(rows),
        loss_nats=loss,
        loss_nothing_nats=float(answers.losses["nothing"][rows].mean()),
    )


def _item_views(answers: _Answers, known: str) -> list[ItemView]:
    """Of items with enough raters, those with the largest gain."""
    gain = answers.losses["nothing"] - answers.losses[known]
    by_item = _rows_by_item(answers)
    sizes = [len(rows) for _, rows in by_item]
    enough = min(FEWEST_ITEMS, max(FEWEST_RATERS, int(np.median(sizes)))) if sizes else 0
    kept = sorted((pair for pair in by_item if len(pair[1]) >= enough), key=lambda pair: -float(gain[pair[1]].mean()))
    return [
        ItemView(
            item_id=answers.ratings.item_ids[item],
            text=item_text(answers.ratings, item),
            n_ratings=len(rows),
            gain_nats=estimate_mean(gain[rows], answers.rater[rows], seed=answers.seed, n_resamples=answers.n_resamples),
        )
        for item, rows in kept[:N_SHOWN]
    ]


def _rows_by_item(answers: _Answers) -> list[tuple[int, IntArray]]:
    """Rows of every item that two raters or more were asked about."""
    order = np.argsort(answers.item, kind="stable")
    items, starts = np.unique(answers.item[order], return_index=True)
    return [(item, rows) for item, rows in zip(items.tolist(), np.split(order, starts[1:]), strict=True) if len(rows) > 1]
