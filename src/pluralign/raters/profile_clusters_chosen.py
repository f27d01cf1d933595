"""Choosing K of the candidate profiles: from the whole table of losses, or with a tenth of its questions.

`choose_from_all` asks every candidate about every item that any of the raters has rated, and clusters the table (`clusters`).
`choose_pruned` halves the candidates round by round, while the sample of items doubles that those left are asked about:

    1  what is asked of a candidate so far tells what it would say of the other items: its log-probabilities are a ridge
       regression on what is known of items for nothing, their texts' features and the factors of the given ratings
    2  from the losses estimated so, all ratings counted, the best set of K is found, and every candidate is judged by the
       best set that contains it in place of one of the K
    3  the better half stays, and is asked about as many items more; after the last round the best K are asked about everything

Only then are raters assigned, by their exact losses. All different (candidate, item) questions count, those for assigning
too: K columns of the table are needed however the K were chosen, so with 100 candidates and K = 8 at most 12.5 times fewer.

Dropping items without step 1 fails where a rater has rated few of them: of one rating in fifty nearly nobody keeps two, and
who belongs together cannot be seen. `unexplained` of the last round says how far step 1 can be believed.

Source: Jamieson & Talwalkar 2016 (successive halving); Tiwari et al. 2020, BanditPAM (judging medoids from samples). The
regression is the project's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.models.protocol import renormalised
from pluralign.raters.clusters import cluster_by_swaps, cluster_by_sweeps
from pluralign.raters.factors import RatingFactors
from pluralign.raters.features import TextFeatures
from pluralign.raters.profile_clusters import CandidateAnswers, log_losses, rater_losses
from pluralign.ratings import Ratings
from pluralign.ratings.keyed import id_codes, keyed_words

__all__ = ["Chosen", "ChosenBy", "PruneSettings", "Round", "choose_from_all", "choose_pruned", "features_of_items"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ChosenBy = Literal["swaps", "sweeps"]
"""Which of the two of `clusters`: sweeps is Algorithm 2 as published, swaps is never worse."""
Tell = Callable[[int, int], None]

TEXT_COMPONENTS = 64
RATING_FACTORS = 8
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Of which one is chosen by leaving out each item; an item's features have squared length 1 on average."""
CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    saving: float = 10.0
    """How many times fewer questions than the whole table, those for assigning raters included; where these alone are more,
    an eighth of what this allows goes to the choice."""
    n_rounds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.saving >= 1 or self.n_rounds < 1:
            raise UsageError(f"saving is {self.saving} and n_rounds {self.n_rounds}; both must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of pruning."""

    n_candidates: int
    n_items: int
    """That each of them had been asked about."""
    unexplained: float
    """Share of the log-probabilities' variance over items that is not told by the other items, leaving out each in turn:
    0 = all is told, 1 = as if only their mean were known. NaN with fewer than 3 items."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """K candidates, and which of them each rater belongs to."""

    chosen: IntArray
    """[clusters] positions of candidates."""
    assignment: IntArray
    """[raters] position in `chosen`: least loss over the given ratings, ties to the first; -1 without given ratings."""
    loss: float
    """Nats, summed over the given ratings; exact."""
    n_asked: int
    """Different (candidate, item) questions that this choice and assignment need by themselves."""
    n_full: int
    """The same for the whole table."""
    rounds: tuple[Round, ...] = ()
    estimated_loss: float | None = None
    """Of the chosen, as the last round had it; None where nothing was estimated."""

    @property
    def sizes(self) -> list[int]:
        """Raters in each cluster."""
        return [int((self.assignment == position).sum()) for position in range(len(self.chosen))]

    @property
    def saving(self) -> float:
        """How many times fewer questions than the whole table."""
        return self.n_full / self.n_asked


def choose_from_all(
    answers: CandidateAnswers,
    given: Ratings,
    k: int,
    *,
    unanswered: FloatArray,
    by: ChosenBy = "swaps",
    seed: int = 0,
    tell: Tell | None = None,
) -> Chosen:
    """K clusters of the raters who have given ratings, from the whole table. `unanswered` [options] are the marginal shares.

    Raises UsageError for a K that is not 1..candidates.
    """
    everybody = np.arange(len(answers.is_asked))
    items = np.unique(given.item_index)
    answers.ask(everybody, items, tell=tell)
    raters = np.unique(given.rater_index)
    losses = _exact_losses(answers, everybody, items, given, unanswered)[raters]
    found = cluster_by_swaps(losses, k, seed=seed) if by == "swaps" else cluster_by_sweeps(losses, k)
    n_full = len(everybody) * len(items)
    return Chosen(
        chosen=found.chosen,
        assignment=_spread(found.assignment, raters, given.n_raters),
        loss=found.loss,
        n_asked=n_full,
        n_full=n_full,
    )


def choose_pruned(
    answers: CandidateAnswers,
    given: Ratings,
    k: int,
    *,
    unanswered: FloatArray,
    features: Sequence[FloatArray] | None = None,
    settings: PruneSettings | None = None,
    tell: Tell | None = None,
) -> Chosen:
    """The same with fewer questions; see the module. Deterministic by the seed.

    `features` are `features_of_items(given)`, which do not depend on K and take longest.

    Measured at `saving` 10 against `choose_from_all`, 100 candidates, ten seeds each (benchmarks/profile_clusters.py). Among
    3,744 situations that are alike in text: within 1 % of its loss for K of 2, 4 and 8. Among 1,000 and 400: for K of 2 and 4,
    but for one seed (1.02 %); for K = 8, where assigning alone takes 8 of the 10 columns allowed, up to 2.7 % and 8.7 % more,
    but within 1 % at `saving` 5. Where nothing tells of anything, as in random tables, up to 2.7 % more. `unexplained` of the
    last round was at most 0.16 on average wherever all seeds but one were within 1 %, and 0.2 to 1 elsewhere.
    """
    settings = settings or PruneSettings()
    n_candidates, items = len(answers.is_asked), np.unique(given.item_index)
    n_full = n_candidates * len(items)
    sizes = _sizes(n_candidates, k, settings.n_rounds)
    allowed = n_full / settings.saving
    counts = _item_counts(sizes, k, len(items), max(allowed - k * len(items), allowed / 8))
    order = np.argsort(keyed_words(settings.seed, "pruned items", id_codes([given.item_ids[i] for i in items])), kind="stable")
    known = features_of_items(given, seed=settings.seed) if features is None else features
    estimate = _Estimate(answers, given, items, unanswered, known)
    needed = np.zeros(answers.is_asked.shape, dtype=np.bool_)
    alive, rounds = np.arange(n_candidates), []
    for size, count in zip([*sizes[1:], 0], counts, strict=True):
        seen = np.sort(order[:count])
        needed[np.ix_(alive, items[seen])] = True
        answers.ask(alive, items[seen], tell=tell)
        losses, unexplained = estimate.losses(alive, seen)
        rounds.append(Round(n_candidates=len(alive), n_items=count, unexplained=unexplained))
        found = cluster_by_swaps(losses, k, seed=settings.seed)
        best = alive[found.chosen]
        if size:
            alive = np.sort(alive[np.argsort(_best_with(losses, found.chosen), kind="stable")[:size]])
    answers.ask(best, items, tell=tell)
    needed[np.ix_(best, items)] = True
    exact = _exact_losses(answers, best, items, given, unanswered)
    raters = np.unique(given.rater_index)
    return Chosen(
        chosen=best,
        assignment=_spread(exact[raters].argmin(axis=1), raters, given.n_raters),
        loss=float(exact[raters].min(axis=1).sum()),
        n_asked=int(needed.sum()),
        n_full=n_full,
        rounds=tuple(rounds),
        estimated_loss=found.loss,
    )


def features_of_items(given: Ratings, *, seed: int = 0) -> list[FloatArray]:
    """What is known of the rated items for nothing: of their texts and of their ratings, two arrays [rated items, features].

    Without columns where nothing is known. Rows have mean 0 and squared length 1 on average.
    """
    items = np.unique(given.item_index)
    text = TextFeatures(TEXT_COMPONENTS, seed=seed).fit(given).transform(given.items)
    x = np.concatenate([np.ones((len(text), 1)), text], axis=1)
    factors = RatingFactors(RATING_FACTORS, seed=seed).fit(given, x).transform(given.items, x)
    return [_unit(text[items]), _unit(factors[items])]


def _exact_losses(
    answers: CandidateAnswers, candidates: IntArray, items: IntArray, given: Ratings, unanswered: FloatArray
) -> FloatArray:
    """[raters, candidates]"""
    columns = [
        rater_losses(log_losses(answers.of(some, items, unanswered=unanswered)), items, given)
        for some in _pieces(candidates, len(items) * len(unanswered))
    ]
    return np.concatenate(columns, axis=1)


def _pieces(candidates: IntArray, cells_each: int) -> Iterator[IntArray]:
    step = max(1, CELLS_AT_ONCE // max(1, cells_each))
    for start in range(0, len(candidates), step):
        yield candidates[start : start + step]


def _spread(assignment: npt.NDArray[np.integer], raters: IntArray, n_raters: int) -> IntArray:
    """[raters of the table] from those of `raters`."""
    everybody = np.full(n_raters, -1, dtype=np.int64)
    everybody[raters] = assignment
    return everybody


def _sizes(n_candidates: int, k: int, n_rounds: int) -> list[int]:
    """Candidates in each round; never fewer than twice as many as are chosen, if there are so many."""
    sizes = [n_candidates]
    for _ in range(n_rounds - 1):
        sizes.append(max(min(2 * k, n_candidates), sizes[-1] // 2))
    return sizes


def _item_counts(sizes: Sequence[int], k: int, n_items: int, allowed: float) -> list[int]:
    """Items seen by each round, doubling, as many as `allowed` questions take; the K's own are asked for anyhow."""

    def counts(first: int) -> list[int]:
        return [min(n_items, first * 2**n) for n in range(len(sizes))]

    def cost(first: int) -> int:
        seen = counts(first)
        more = np.diff([0, *seen])
        return int((more * sizes).sum()) - k * seen[-1]

    first = 1
    while first < n_items and cost(first + 1) <= allowed:
        first += 1
    return counts(first)


def _best_with(losses: FloatArray, chosen: IntArray) -> FloatArray:
    """[candidates] the loss of the best set that has the candidate in place of one of the chosen; lowest for the chosen."""
    rows = losses[:, chosen]
    label = rows.argmin(axis=1)
    ordered = np.sort(rows, axis=1)
    second = ordered[:, 1] if len(chosen) > 1 else np.full(len(rows), np.inf)
    best = np.full(losses.shape[1], np.inf)
    for position in range(len(chosen)):
        others = np.where(label == position, second, ordered[:, 0])
        best = np.minimum(best, np.minimum(losses, others[:, None]).sum(axis=0))
    best[chosen] = -np.inf
    return best


class _Estimate:
    """Losses of candidates over all given ratings, from their answers about some of the items."""

    def __init__(
        self,
        answers: CandidateAnswers,
        given: Ratings,
        items: IntArray,
        unanswered: FloatArray,
        features: Sequence[FloatArray],
    ) -> None:
        self.answers, self.given, self.items, self.unanswered = answers, given, items, unanswered
        self.raters = np.unique(given.rater_index)
        self.designs = [_mixed(features, weights) for weights in _WEIGHTS]

    def losses(self, candidates: IntArray, seen: IntArray) -> tuple[FloatArray, float]:
        """[raters with given ratings, candidates], and the share that is unexplained; `seen` are positions in the items."""
        known = self.answers.of(candidates, self.items[seen], unanswered=self.unanswered)
        logs = -log_losses(known)
        logs -= logs.mean(axis=2, keepdims=True)
        y = logs.transpose(1, 0, 2).reshape(len(seen), -1)
        fit = _ridge([design[seen] for design in self.designs], y)
        away = self.designs[fit.design] - fit.centre
        shape = (len(candidates), len(self.unanswered))
        mean, coefficients = fit.mean.reshape(shape), fit.coefficients.reshape(away.shape[1], *shape)
        columns = []
        for some in _pieces(np.arange(len(candidates)), len(self.items) * shape[1]):
            told = mean[some] + np.tensordot(away, coefficients[:, some], axes=1)
            told = renormalised(told).transpose(1, 0, 2)
            told[:, seen] = known[some]
            columns.append(rater_losses(log_losses(told), self.items, self.given)[self.raters])
        return np.concatenate(columns, axis=1), fit.unexplained


_WEIGHTS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 2.0))
"""Of texts and of factors, as lengths."""


def _unit(features: FloatArray) -> FloatArray:
    """Scaled so that rows have squared length 1 on average, and mean 0."""
    features = features - features.mean(axis=0)
    size = np.sqrt((features**2).sum() / len(features))
    return features / size if size > 0 else features[:, :0]


def _mixed(blocks: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    return np.concatenate([weight * block for weight, block in zip(weights, blocks, strict=True) if weight], axis=1)


class _Fit(NamedTuple):
    design: int
    centre: FloatArray
    mean: FloatArray
    coefficients: FloatArray
    unexplained: float


def _ridge(designs: Sequence[FloatArray], y: FloatArray) -> _Fit:
    """Of y [rows, outputs] on each design [rows, features]: design and penalty with the least error, leaving out each row.

    The intercept is not penalised. The error of leaving a row out is its residual / (1 - leverage).
    """
    n = len(y)
    mean = y.mean(axis=0)
    away = y - mean
    nothing = np.zeros((designs[0].shape[1], y.shape[1]))
    best = _Fit(0, designs[0].mean(axis=0), mean, nothing, float("nan") if n < 3 else 1.0)
    least = alone = float(((away * n / max(1, n - 1)) ** 2).sum())
    if n < 3 or alone == 0:
        return best
    for number, design in enumerate(designs):
        centre = design.mean(axis=0)
        u, s, vt = np.linalg.svd(design - centre, full_matrices=False)
        turned = u.T @ away
        for ridge in RIDGES:
            shrunk = s**2 / (s**2 + ridge)
            leverage = 1 / n + (u**2) @ shrunk
            error = float((((away - u @ (shrunk[:, None] * turned)) / (1 - leverage)[:, None]) ** 2).sum())
            if error < least:
                least = error
                coefficients = vt.T @ ((s / (s**2 + ridge))[:, None] * turned)
                best = _Fit(number, centre, mean, coefficients, error / alone)
    return best
