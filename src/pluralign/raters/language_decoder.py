"""A language model as a rating model: P(rating | what is known of the rater, item), for any rater representation.

It has the two methods of all rating models, so that studies, clusters and tables compare it with statistical ones:

    decoder = LanguageModelDecoder(open_model("hf/..."), "attributes+examples:16").fit(training_ratings)
    decoder.predict_proba(asked, given=past_ratings)

`fit` recalibrates only (`recalibration`): of each training rater some ratings are shown and others are asked; no weight of the
model changes. To tune the model itself on a representation, see `individual.adapt`.

What came of each question is counted. A question that got no answer (refused, malformed, failed, no probability on any
option, too long for the window) has NaN in `decode`; `predict_proba` gives it the options' shares in the training ratings,
which is what is known without the model.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), section 3 (the decoder), Sorensen & Choi 2025, Opt-ICL (arXiv
2510.07105).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from pluralign.errors import NotFittedError
from pluralign.models import LanguageModel, OptionLogprobs, Query
from pluralign.models.windows import fit_to_context
from pluralign.raters.baselines import Marginal
from pluralign.raters.recalibration import Recalibration, fit_recalibration
from pluralign.raters.representations import (
    RaterTexts,
    RaterWords,
    Representation,
    item_disagreement,
    rater_queries,
)
from pluralign.ratings import Ratings
from pluralign.ratings.splits import some_rows, split_fit_eval

__all__ = ["PART_ROWS", "Decoded", "DecoderSettings", "LanguageModelDecoder", "Told", "disagreement", "rater_parts"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PART_ROWS = 500
"""Ratings that are asked in one step of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSettings:
    recalibrate: bool = True
    n_recalibration: int = 1000
    """Ratings of training raters that are asked for it, at most."""
    most_tokens: int | None = None
    """Of prompt and answer; default: what the model reads."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What the model says, not recalibrated."""

    probabilities: FloatArray
    """[queries, options] renormalised over the options; NaN unless the outcome is "ok"."""
    outcomes: npt.NDArray[np.str_]
    """[queries] "ok", "refusal", "malformed", "failed", "outside" (no option has any probability), "too long"."""
    covered_mass: FloatArray
    """[queries] the probability that the answer is an option at all; NaN unless asked and answered."""
    n_shown: IntArray
    """[queries] past ratings that were shown."""
    n_left_out: IntArray
    """[queries] past ratings that found no room in the window."""

    def counts(self) -> dict[str, int]:
        """How often each outcome is there, most frequent first."""
        return dict(Counter(self.outcomes.tolist()).most_common())


@dataclass(eq=False)
class LanguageModelDecoder:
    """See the module. `representation` is a name or what `Representation.parse` makes of one.

    After `fit`: `recalibration_`, `marginal_`. After a prediction: `outcomes_`, all outcomes so far.
    """

    model: LanguageModel
    representation: Representation | str = "examples:all"
    words: RaterWords | None = None
    texts: RaterTexts = field(default_factory=RaterTexts)
    settings: DecoderSettings = field(default_factory=DecoderSettings)

    def __post_init__(self) -> None:
        if isinstance(self.representation, str):
            self.representation = Representation.parse(self.representation)
        self.outcomes_: Counter[str] = Counter()
        self.disagreement_: Mapping[str, float] | None = None

    def fit(self, ratings: Ratings) -> Self:
        """Learns the options' shares, on which items people differ and, if asked to, the recalibration.

        Of the raters with 4 ratings or more; with none of them nothing is recalibrated.
        """
        self.marginal_ = Marginal().fit(ratings)
        self.disagreement_ = disagreement(ratings)
        self.recalibration_ = Recalibration.none(ratings.n_options)
        if self.settings.recalibrate:
            split = split_fit_eval(ratings, seed=self.settings.seed)
            rows, most, seed = np.flatnonzero(split.is_eval), self.settings.n_recalibration, self.settings.seed
            asked = ratings.take(some_rows(ratings, rows, most, seed=seed, purpose="recalibration"))
            if len(asked):
                decoded = self.decode(asked, given=ratings.take(split.is_fit))
                self.recalibration_ = fit_recalibration(decoded.probabilities, asked.rating_index)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        """[queries, options], rows sum to 1; recalibrated, and the marginal where the model gave no answer."""
        if not hasattr(self, "marginal_"):
            raise NotFittedError("LanguageModelDecoder: call fit(ratings) first.")
        probabilities = self.recalibration_.apply(self.decode(queries, given=given).probabilities)
        unanswered = np.isnan(probabilities).any(axis=1)
        probabilities[unanswered] = self.marginal_.shares_
        return probabilities

    def decode(self, queries: Ratings, *, given: Ratings | None = None) -> Decoded:
        """What the model itself says of each row's item by its rater; needs no `fit`, but for "informative" examples."""
        asked = rater_queries(
            queries,
            given,
            self._representation,
            words=self.words or RaterWords.for_model(self.model.name, queries.scale),
            texts=self.texts,
            disagreement=self._disagreement(queries),
            seed=self.settings.seed,
        )
        fitted = fit_to_context(self.model, asked, most_tokens=self.settings.most_tokens)
        answers = self._answers(fitted.queries, fitted.fits)
        decoded = _decoded(answers, fitted.queries, fitted.n_left_out, queries.n_options)
        self.outcomes_.update(decoded.counts())
        return decoded

    @property
    def _representation(self) -> Representation:
        assert isinstance(self.representation, Representation)
        return self.representation

    def _disagreement(self, queries: Ratings) -> FloatArray | None:
        """By the items' ids; an item that was not rated in training counts as the mean of those that were."""
        if self.disagreement_ is None:
            return None
        mean = float(np.mean(list(self.disagreement_.values())))
        return np.array([self.disagreement_.get(item, mean) for item in queries.item_ids])

    def _answers(self, queries: Sequence[Query], fits: Sequence[bool]) -> list[OptionLogprobs | None]:
        """None for what is too long; the same question of several rows is asked once."""
        places: dict[tuple[int, str | None], int] = {}
        different: list[Query] = []
        of_query: list[int] = []
        for query, fit in zip(queries, fits, strict=True):
            key = (id(query.episode), query.input)
            if fit and key not in places:
                places[key] = len(different)
                different.append(query)
            of_query.append(places[key] if fit else -1)
        found = self.model.option_logprobs(different) if different else []
        return [None if n < 0 else found[n] for n in of_query]


@dataclass(frozen=True, slots=True)
class Told:
    """A decoder but for its model and what it learns from ratings, so that it can be made wherever a model is."""

    representation: str
    words: RaterWords
    texts: RaterTexts
    settings: DecoderSettings
    disagreement: Mapping[str, float] | None = None
    """On which items people differ; for "informative" examples."""

    def decoder(self, model: LanguageModel) -> LanguageModelDecoder:
        """With this model; not fitted."""
        decoder = LanguageModelDecoder(model, self.representation, self.words, self.texts, self.settings)
        decoder.disagreement_ = self.disagreement
        return decoder


def disagreement(ratings: Ratings) -> dict[str, float]:
    """How much people differ on each item, by its id (`representations.item_disagreement`)."""
    return dict(zip(ratings.item_ids, item_disagreement(ratings).tolist(), strict=True))


def _decoded(
    answers: Sequence[OptionLogprobs | None], queries: Sequence[Query], n_left_out: Sequence[int], n_options: int
) -> Decoded:
    probabilities = np.full((len(answers), n_options), np.nan)
    covered = np.full(len(answers), np.nan)
    outcomes: list[str] = []
    for n, answer in enumerate(answers):
        outcome: str = "too long" if answer is None else answer.outcome
        if answer is not None and outcome == "ok":
            covered[n] = answer.covered_mass
            if covered[n] > 0:
                probabilities[n] = answer.probabilities
            else:
                outcome = "outside"
        outcomes.append(outcome)
    n_shown = np.array([len(query.episode.examples) for query in queries], dtype=np.int64)
    return Decoded(probabilities, np.array(outcomes, dtype=np.str_), covered, n_shown, np.array(n_left_out, dtype=np.int64))


def rater_parts(ratings: Ratings, rows: IntArray, *, most: int = PART_ROWS) -> Iterator[IntArray]:
    """These rows by rater, about so many at a time; whole raters, since what is known of them is the front of all questions."""
    rows = rows[np.argsort(ratings.rater_index[rows], kind="stable")]
    edges = np.flatnonzero(np.diff(ratings.rater_index[rows])) + 1
    start = 0
    for edge in [*edges.tolist(), len(rows)]:
        if edge > start and (edge - start >= most or edge == len(rows)):
            yield rows[start:edge]
            start = edge
