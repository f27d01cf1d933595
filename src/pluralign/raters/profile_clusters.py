"""Clusters of raters over value profiles: each cluster is described by the profile of one of the raters.

A candidate is the profile of a training rater. Its loss for a rater is the sum over that rater's given ratings of
-log p(rating | item, candidate's profile); `clusters` chooses K candidates from the table of these losses. p depends on the
item and on the candidate alone, so `CandidateAnswers` asks each (candidate, item) once, whoever needs it, all items of a
candidate together: its profile is the beginning of all of them, which a local model then reads once.

A probability p among O options counts as (1 - O f) p + f with the floor f = `FLOOR`, so one rating costs at most ln(1 / f) and
no rating can rule out a candidate. A question that got no answer (refused, malformed, failed, no option has any probability,
too long) costs what the rating costs without any model, by the options' shares; it is counted.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), Algorithm 2.
Departures: floor and unanswered questions as above; candidates differ in their texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel
from pluralign.raters.language_decoder import DecoderSettings, LanguageModelDecoder
from pluralign.raters.representations import RaterTexts, RaterWords
from pluralign.ratings import Ratings
from pluralign.ratings.keyed import id_codes, keyed_words

__all__ = [
    "FLOOR",
    "Ahead",
    "Answered",
    "Ask",
    "CandidateAnswers",
    "Candidates",
    "Told",
    "asking_model",
    "log_losses",
    "rater_losses",
    "sample_candidates",
]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SingleArray = npt.NDArray[np.float32]
Told = Literal["profile", "cluster", "nothing"]
"""How a candidate's text is told: as the person's own profile, as that of the person's group, or not at all."""

FLOOR = 1e-4
"""The least probability that any rating counts with: a loss of 9.2 nats."""
QUESTIONS_AT_ONCE = 2000
"""Questions about several candidates are put together up to so many; those about one candidate stay together up to the next."""
QUESTIONS_OF_ONE = 20_000
"""More would be lost with a process that dies, and leave others idle at the end; a profile is read once for each so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Profiles that clusters may be described by, in random order: Algorithm 2 starts from the first K."""

    ids: tuple[str, ...]
    """Of the raters whose profiles they are."""
    texts: tuple[str, ...]
    n_without: int = 0
    """Training raters without a profile."""
    n_alike: int = 0
    """Training raters left out because their profile is word for word that of another candidate."""

    def __len__(self) -> int:
        return len(self.ids)


def sample_candidates(profiles: Mapping[str, str], raters: Sequence[str], *, n: int = 100, seed: int) -> Candidates:
    """`n` of these raters with different profiles, by chance keyed by their ids; all of them if there are fewer.

    Raises DataError where none has a profile.

    >>> sample_candidates({"a": "Likes cats.", "b": "Likes cats."}, ["a", "b", "c"], seed=0).n_alike
    1
    """
    if n < 1:
        raise UsageError(f"n is {n}; there must be at least 1 candidate.")
    order = np.argsort(keyed_words(seed, "profile candidates", id_codes(raters)), kind="stable")
    having = [raters[i] for i in order.tolist() if profiles.get(raters[i], "").strip()]
    if not having:
        raise DataError("profiles", f"none of the {len(raters):,} training raters has a profile; write profiles of them first.")
    first: dict[str, str] = {}
    n_alike = 0
    for rater in having:
        if profiles[rater] in first:
            n_alike += 1
        elif len(first) == n:
            break
        else:
            first[profiles[rater]] = rater
    return Candidates(ids=tuple(first.values()), texts=tuple(first), n_without=len(raters) - len(having), n_alike=n_alike)


class Answered(NamedTuple):
    """What came of some questions."""

    probabilities: FloatArray
    """[questions, options]; NaN without an answer."""
    outcomes: Sequence[str]
    """[questions] as in `language_decoder.Decoded`."""


Ask = Callable[[IntArray, IntArray], Answered]
"""Puts questions: positions of candidates, and rows of the item table, two arrays [questions]."""
Ahead = Callable[[Sequence[tuple[IntArray, IntArray]]], None]
"""Hears what `Ask` will be called with next, so that it can be worked on together."""


def asking_model(
    model: LanguageModel,
    ratings: Ratings,
    candidates: Candidates,
    *,
    told: Told = "profile",
    words: RaterWords | None = None,
) -> Ask:
    """Asks the model about the items of `ratings`, by the decoder of this representation; its ratings are not looked at."""
    texts = dict(zip(candidates.ids, candidates.texts, strict=True))
    decoder = LanguageModelDecoder(
        model,
        told,
        words=words,
        texts=RaterTexts(profiles=texts, clusters=texts),
        settings=DecoderSettings(recalibrate=False),
    )
    people = replace(ratings, raters=pl.DataFrame({"rater_id": list(candidates.ids)}))

    def ask(candidate: IntArray, item: IntArray) -> Answered:
        blank = np.zeros(len(item), dtype=np.int64)
        decoded = decoder.decode(replace(people, item_index=item, rater_index=candidate, rating_index=blank))
        return Answered(decoded.probabilities, decoded.outcomes.tolist())

    return ask


class CandidateAnswers:
    """p(rating | item, candidate) as far as it has been asked for; no question is asked twice."""

    def __init__(self, ask: Ask, *, n_candidates: int, n_items: int, n_options: int, ahead: Ahead | None = None) -> None:
        self._ask, self._ahead = ask, ahead
        self.probabilities: SingleArray = np.full((n_candidates, n_items, n_options), np.nan, dtype=np.float32)
        """[candidates, items, options]; NaN where nothing was asked, or nothing answered."""
        self.is_asked: BoolArray = np.zeros((n_candidates, n_items), dtype=np.bool_)
        """[candidates, items]"""
        self.outcomes: Counter[str] = Counter()
        """How often each came, over all questions."""

    @property
    def n_asked(self) -> int:
        """Different questions."""
        return int(self.is_asked.sum())

    @property
    def n_unanswered(self) -> int:
        return self.n_asked - self.outcomes["ok"]

    def ask(self, candidates: IntArray, items: IntArray, *, tell: Callable[[int, int], None] | None = None) -> None:
        """Every one of these items about every one of these candidates, unless it is known. `tell` hears (done, of all)."""
        missing = [(c, items[~self.is_asked[c, items]]) for c in candidates.tolist()]
        n_all, n_done = sum(len(own) for _, own in missing), 0
        asked = [
            (
                np.concatenate([np.full(len(own), c, dtype=np.int64) for c, own in some]),
                np.concatenate([own for _, own in some]),
            )
            for some in _together(missing)
        ]
        if self._ahead is not None:
            self._ahead(asked)
        for candidate, item in asked:
            found = self._ask(candidate, item)
            self.probabilities[candidate, item] = found.probabilities
            self.is_asked[candidate, item] = True
            self.outcomes.update(found.outcomes)
            n_done += len(item)
            if tell is not None:
                tell(n_done, n_all)

    def of(self, candidates: IntArray, items: IntArray, *, unanswered: FloatArray) -> FloatArray:
        """[candidates, items, options] with the shares `unanswered` [options] where no answer came; all must be asked."""
        if not self.is_asked[np.ix_(candidates, items)].all():
            raise UsageError("some of these questions have not been asked; call ask(candidates, items) first.")
        found = self.probabilities[np.ix_(candidates, items)].astype(np.float64)
        found[np.isnan(found).any(axis=2)] = unanswered
        return found


def _together(missing: Sequence[tuple[int, IntArray]]) -> Iterator[list[tuple[int, IntArray]]]:
    """Runs of candidates with `QUESTIONS_AT_ONCE` questions at most, or of one candidate up to `QUESTIONS_OF_ONE`."""
    some: list[tuple[int, IntArray]] = []
    size = 0
    parts = ((c, own[at : at + QUESTIONS_OF_ONE]) for c, own in missing for at in range(0, len(own), QUESTIONS_OF_ONE))
    for candidate, items in parts:
        if some and size + len(items) > QUESTIONS_AT_ONCE:
            yield some
            some, size = [], 0
        some.append((candidate, items))
        size += len(items)
    if some:
        yield some


def log_losses(probabilities: FloatArray, *, floor: float = FLOOR) -> FloatArray:
    """-log p in nats of probabilities [..., options] with the floor; see the module.

    >>> log_losses(np.array([1.0, 0.0])).round(4).tolist()
    [0.0001, 9.2103]
    """
    n_options = probabilities.shape[-1]
    if not 0 < floor * n_options < 1:
        raise UsageError(f"floor is {floor}; with {n_options} options it must lie between 0 and {1 / n_options:.3g}.")
    return np.asarray(-np.log((1 - n_options * floor) * probabilities + floor), dtype=np.float64)


def rater_losses(losses: Sequence[FloatArray] | FloatArray, items: IntArray, given: Ratings) -> FloatArray:
    """The table [raters, candidates]: losses [candidates, items, options] summed over each rater's given ratings.

    `items` are rows of the item table, rising, that `losses` is about; all given ratings must be of them. A rater without
    given ratings has 0 under every candidate.
    """
    place = np.searchsorted(items, given.item_index)
    if len(given) and (len(items) == 0 or (items[np.minimum(place, len(items) - 1)] != given.item_index).any()):
        raise UsageError("some of the given ratings are of items that the losses are not about.")
    columns = [np.bincount(given.rater_index, of[place, given.rating_index], given.n_raters) for of in losses]
    return np.stack(columns, axis=1)
