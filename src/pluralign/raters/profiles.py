"""Value profiles: a language model writes, from the ratings that are given of a person, the values that stand behind them.

    given ratings --> prompt (`profile_prompt`) --> drafts --> scored by a decoder --> the best one is the profile

With several drafts a person, a decoder (`language_decoder`, told nothing but the profile) predicts the person's own given
ratings from each, and the draft with the lowest mean loss is kept; all drafts and losses stay on record. The loss of the kept
draft on the ratings that it was written from and chosen by is optimistic, and says nothing of other ratings: a profile is
judged on ratings that neither encoder nor choice has seen (`written_from`).

What came of each draft is an outcome:

    ok          a whole text
    length      a text that the limit cut off; it can be used, and is counted
    empty, malformed (NUL, half of a surrogate pair), refusal, failed       no text that could be used
    no ratings, too long        nothing was asked: nothing is given, or not even one rating finds room

A person for whom no draft can be used has no profile, and is counted.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), section 3 (the encoder).
Departures: several drafts and the choice among them are the project's own; so are prompt and outcomes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel, Sample, SamplingSettings
from pluralign.raters.language_decoder import DecoderSettings, LanguageModelDecoder
from pluralign.raters.profile_clusters import log_losses
from pluralign.raters.profile_leaks import leak_of
from pluralign.raters.profile_prompt import FittedPrompt, Person, ProfilePrompt, fit_people
from pluralign.raters.representations import RaterTexts, told_attributes
from pluralign.ratings import Ratings
from pluralign.ratings.splits import random_positions
from pluralign.suite.ratings_task import item_inputs

__all__ = [
    "UNWRITABLE",
    "USABLE",
    "Draft",
    "ProfileOutcome",
    "ProfileSettings",
    "RaterProfile",
    "chosen_profiles",
    "draft_table",
    "encode_profiles",
    "profile_texts",
    "score_table",
    "written_from",
]

IntArray = npt.NDArray[np.int64]
ProfileOutcome = Literal["ok", "length", "empty", "malformed", "refusal", "failed", "no ratings", "too long"]

USABLE: tuple[ProfileOutcome, ...] = ("ok", "length")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What no profile may hold: no tokenizer and no server takes it."""
TOKENS_A_WORD = 4
"""Room for a reply, unless it is stated: enough for a word of most languages."""
_DRAFTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "rater_id": pl.String,
    "draft": pl.Int64,
    "text": pl.String,
    "outcome": pl.String,
    "detail": pl.String,
    "n_words": pl.Int64,
    "n_tokens": pl.Int64,
    "longest_copied": pl.Int64,
    "copied_share": pl.Float64,
    "n_shown": pl.Int64,
    "given_items": pl.List(pl.String),
}
_SCORES: dict[str, pl.DataType | type[pl.DataType]] = {
    "rater_id": pl.String,
    "draft": pl.Int64,
    "loss_nats": pl.Float64,
    "n_scored": pl.Int64,
    "n_unanswered": pl.Int64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """How profiles are written."""

    n_drafts: int = 1
    words: int = 150
    """That are asked for, at most. A text that has more is kept; records have the number."""
    language: str | None = None
    """Default: that of the items."""
    told: tuple[str, ...] = ()
    """Attributes that the writer is told, by their names without "rater_"; ("all",) for all of them."""
    temperature: float = 1.0
    max_tokens: int | None = None
    """Of a draft. Default: `TOKENS_A_WORD` for each word that is asked for."""
    most_tokens: int | None = None
    """Of a prompt and its reply. Default: what the model reads."""
    most_scored: int = 100
    """Given ratings of a person that drafts are scored on, at most."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_drafts", "words", "most_scored"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        self.sampling()

    def sampling(self) -> SamplingSettings:
        """How drafts are drawn. Raises UsageError for a temperature or a limit that cannot be."""
        most = TOKENS_A_WORD * self.words if self.max_tokens is None else self.max_tokens
        return SamplingSettings(n=self.n_drafts, max_tokens=most, temperature=self.temperature, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One text that came of the prompt."""

    text: str
    outcome: ProfileOutcome
    loss_nats: float | None = None
    """Mean over the given ratings that it was scored on; None if it was not scored."""
    n_scored: int = 0
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProfile:
    """A person's profile, and where it is from."""

    rater_id: str
    profile: str | None
    """None where there is none; the outcome says why."""
    outcome: ProfileOutcome = "ok"
    """Of the chosen draft; where none can be used the most frequent one."""
    drafts: tuple[Draft, ...] = ()
    given_items: tuple[str, ...] = ()
    """Items whose ratings were given: the writer was shown the first `n_shown`, drafts are chosen by all of them."""
    n_shown: int = 0
    model: str | None = None
    """Who wrote it; None for a person."""
    decoder: str | None = None
    """Who scored the drafts."""
    prompt_version: str | None = None
    edited_from: str | None = None
    """The text that a person changed into this one; empty where there was none."""


def encode_profiles(
    model: LanguageModel,
    given: Ratings,
    *,
    raters: Sequence[str] | None = None,
    settings: ProfileSettings | None = None,
    prompt: ProfilePrompt | None = None,
    decoder: LanguageModel | None = None,
) -> list[RaterProfile]:
    """A profile of each of these raters, of all with a given rating if none are named, in their order.

    `decoder` scores the drafts: by default the writer itself where there are several of them. `given` must hold no rating
    that the profiles are to be judged on. Raises DataError for a rater who is not in the table.
    """
    settings = settings or ProfileSettings()
    prompt = prompt or ProfilePrompt.for_model(model.name, given.scale, words=settings.words, language=settings.language)
    present = np.unique(given.rater_index).tolist()
    known = {rater: n for n, rater in enumerate(given.rater_ids)}
    if unknown := [rater for rater in raters or () if rater not in known]:
        raise DataError(given.name, f"{len(unknown):,} raters are not in this table, such as {unknown[0]!r}.")
    chosen = present if raters is None else [known[rater] for rater in raters]
    drafts = draft_table(model, given, np.array(chosen, dtype=np.int64), prompt, settings)
    scoring = decoder or (model if settings.n_drafts > 1 else None)
    scores = None if scoring is None else score_table(scoring, given, drafts, settings)
    return chosen_profiles(
        drafts,
        scores,
        model=model.name,
        decoder=None if scoring is None else scoring.name,
        prompt_version=prompt.version,
    )


def draft_table(
    model: LanguageModel, given: Ratings, raters: IntArray, prompt: ProfilePrompt, settings: ProfileSettings
) -> pl.DataFrame:
    """A row for each draft, or one without a draft for a rater who was not asked about; rater by rater as they are given."""
    rows_of = _rows_of(given, raters, seed=settings.seed)
    inputs, options = item_inputs(given), given.scale.options
    told = told_attributes(given, "all" if "all" in settings.told else settings.told)
    people = []
    for rater in raters.tolist():
        pairs = zip(given.item_index[rows_of[rater]].tolist(), given.rating_index[rows_of[rater]].tolist(), strict=True)
        ratings = [(inputs[item], options[option]) for item, option in pairs]
        people.append(Person(rater_id=given.rater_ids[rater], ratings=ratings, attributes=told[rater]))
    sampling = settings.sampling()
    having = [person for person in people if person.ratings]
    fitted = fit_people(model, prompt, having, max_tokens=sampling.max_tokens, most_tokens=settings.most_tokens)
    queries = [one.query for one in fitted if one.query is not None]
    drawn = iter(model.sample(queries, sampling) if queries else [])
    of_person = iter(fitted)
    rows: list[dict[str, Any]] = []
    for rater, person in zip(raters.tolist(), people, strict=True):
        found = next(of_person) if person.ratings else FittedPrompt(None, 0)
        items = given.item_index[rows_of[rater]].tolist()
        same = {
            "rater_id": person.rater_id,
            "n_shown": found.n_shown,
            "given_items": [given.item_ids[item] for item in items],
        }
        if found.query is None:
            rows.append({**same, "outcome": "too long" if person.ratings else "no ratings"})
            continue
        texts = [inputs[item] for item in items[: found.n_shown]]
        rows += [{**same, "draft": n, **_draft_fields(one, texts)} for n, one in enumerate(next(drawn))]
    return pl.DataFrame(rows, schema=_DRAFTS)


def score_table(decoder: LanguageModel, given: Ratings, drafts: pl.DataFrame, settings: ProfileSettings) -> pl.DataFrame:
    """The mean loss of each usable draft on its rater's given ratings, in nats; drafts of the same text are asked once.

    Of a rater's drafts all are scored on the same ratings: those to which each of them got an answer. Where there is none the
    loss is null.
    """
    places = {rater: n for n, rater in enumerate(given.rater_ids)}
    usable = drafts.filter(pl.col("outcome").is_in(USABLE)).select("rater_id", "draft", "text").rows()
    texts = list(dict.fromkeys((rater, text) for rater, _, text in usable))
    raters = np.array(sorted({places[rater] for rater, _ in texts}), dtype=np.int64)
    rows_of = _rows_of(given, raters, seed=settings.seed)
    rows = [rows_of[places[rater]][: settings.most_scored] for rater, _ in texts]
    losses = dict(zip(texts, _losses(decoder, given, texts, rows, settings), strict=True))
    answered: dict[str, npt.NDArray[np.bool_]] = {}
    for (rater, _), own in losses.items():
        answered[rater] = answered.get(rater, np.ones(len(own), dtype=np.bool_)) & np.isfinite(own)
    found = []
    for rater, draft, text in usable:
        is_scored = answered[rater]
        n_scored = int(is_scored.sum())
        mean = float(losses[rater, text][is_scored].mean()) if n_scored else None
        n_unanswered = int(np.isnan(losses[rater, text]).sum())
        found.append((rater, draft, mean, n_scored, n_unanswered))
    return pl.DataFrame(found, schema=_SCORES, orient="row")


def chosen_profiles(
    drafts: pl.DataFrame,
    scores: pl.DataFrame | None,
    *,
    model: str,
    decoder: str | None,
    prompt_version: str,
) -> list[RaterProfile]:
    """The profile of each rater of `draft_table`, in its order: of the usable drafts the one with the lowest loss.

    Without losses it is the first of them, as it is of equal ones.
    """
    losses: dict[tuple[str, int], tuple[float | None, int]] = {}
    if scores is not None:
        losses = {(rater, draft): (loss, n) for rater, draft, loss, n, _ in scores.rows()}
    found = []
    for own in drafts.partition_by("rater_id", maintain_order=True):
        rater = str(own["rater_id"][0])
        texts = []
        for number, text, outcome in own.filter(pl.col("draft").is_not_null()).select("draft", "text", "outcome").iter_rows():
            loss, n_scored = losses.get((rater, number), (None, 0))
            texts.append(Draft(text=text, outcome=outcome, loss_nats=loss, n_scored=n_scored))
        best = _best(texts)
        found.append(
            RaterProfile(
                rater_id=rater,
                profile=None if best is None else texts[best].text,
                outcome=Counter(own["outcome"].to_list()).most_common(1)[0][0] if best is None else texts[best].outcome,
                drafts=tuple(replace(text, is_chosen=n == best) for n, text in enumerate(texts)),
                given_items=tuple(own["given_items"][0]),
                n_shown=int(own["n_shown"][0]),
                model=model,
                decoder=decoder,
                prompt_version=prompt_version,
            )
        )
    return found


def profile_texts(profiles: Iterable[RaterProfile]) -> dict[str, str]:
    """Rater to profile, of those who have one: what `RaterTexts` takes."""
    return {one.rater_id: one.profile for one in profiles if one.profile is not None}


def written_from(profiles: Iterable[RaterProfile]) -> dict[str, tuple[str, ...]]:
    """Rater to the items whose ratings writing and choosing may have seen: what `LanguageStudy` refuses to ask about."""
    return {one.rater_id: one.given_items for one in profiles}


def _rows_of(given: Ratings, raters: IntArray, *, seed: int) -> dict[int, IntArray]:
    """Rows of each rater in random order, the same however many other raters and ratings there are."""
    rows = np.flatnonzero(np.isin(given.rater_index, raters))
    position = random_positions(given, seed=seed)
    rows = rows[np.lexsort((position[rows], given.rater_index[rows]))]
    of = given.rater_index[rows]
    return {rater: rows[np.searchsorted(of, rater) : np.searchsorted(of, rater, side="right")] for rater in raters.tolist()}


def _draft_fields(sample: Sample, items: Sequence[str]) -> dict[str, Any]:
    text = sample.text.strip()
    outcome: str = "ok" if sample.finish_reason == "stop" else sample.finish_reason
    if outcome in USABLE and UNWRITABLE.search(text):
        outcome, text = "malformed", UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    elif outcome in USABLE and not text:
        outcome = "empty"
    elif outcome not in USABLE:
        text = UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    leak = leak_of(text, items) if outcome in USABLE else None
    return {
        "text": text,
        "outcome": outcome,
        "detail": sample.detail or None,
        "n_words": len(text.split()),
        "n_tokens": sample.n_tokens,
        "longest_copied": None if leak is None else leak.longest_copied,
        "copied_share": None if leak is None else leak.copied_share,
    }


def _losses(
    decoder: LanguageModel,
    given: Ratings,
    texts: Sequence[tuple[str, str]],
    rows: Sequence[IntArray],
    settings: ProfileSettings,
) -> Iterator[npt.NDArray[np.float64]]:
    """For each text of a rater the losses of these rows under it; NaN without an answer. Each text is a rater of its own."""
    if not texts:
        return
    names = [f"{n:09d}" for n in range(len(texts))]
    flat = np.concatenate(rows)
    asked = replace(
        given.take(flat),
        raters=pl.DataFrame({"rater_id": names}),
        rater_index=np.repeat(np.arange(len(texts)), [len(own) for own in rows]),
    )
    reader = LanguageModelDecoder(
        decoder,
        "profile",
        texts=RaterTexts(profiles={name: text for name, (_, text) in zip(names, texts, strict=True)}),
        settings=DecoderSettings(recalibrate=False),
    )
    probabilities = reader.decode(asked).probabilities
    chosen = log_losses(probabilities)[np.arange(len(asked)), asked.rating_index]
    yield from np.split(chosen, np.cumsum([len(own) for own in rows])[:-1])


def _best(drafts: Sequence[Draft]) -> int | None:
    usable = [n for n, one in enumerate(drafts) if one.outcome in USABLE]
    if not usable:
        return None
    return min(usable, key=lambda n: float("inf") if (loss := drafts[n].loss_nats) is None else loss)
