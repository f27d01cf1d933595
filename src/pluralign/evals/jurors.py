"""Jurors: what a response to a prompt is worth to each of several people, 0 = the worst answer of the scale, 1 = the best.

    LanguageModelJurors    a language model reads the person as an episode and says how probable each rating is
    RatingModelJurors      a fitted rating model of `pluralign.raters` does
    GivenUtilities         they are known already

A person is an episode: attributes, past ratings as examples (input -> rating), a profile as description if there is one, and
the scale as options from the worst to the best. The item that is rated is the prompt and the response together.

Source: Gordon et al. 2022, Jury Learning (arXiv 2202.02950): every annotator is predicted, whoever they are.
Departures: the utility is the expected rating, so that a juror who may go either way is worth something between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import DataError, ModelError
from pluralign.models import LanguageModel, OptionLogprobs, Query
from pluralign.raters.baselines import RatingModel
from pluralign.ratings import Ratings, Scale
from pluralign.suite.ratings_task import default_wordings
from pluralign.suite.task import json_text

__all__ = [
    "GivenUtilities",
    "JurorModel",
    "LanguageModelJurors",
    "RatingModelJurors",
    "Utilities",
    "checked_people",
    "described",
    "item_text",
    "option_utilities",
    "ratings_of",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Utilities:
    """What some people think of some responses."""

    values: FloatArray
    """[jurors, responses] 0..1; NaN unless the outcome is "ok"."""
    outcomes: npt.NDArray[np.str_]
    """[jurors, responses] "ok", or what came of the request: "refusal", "malformed", "failed", "outside" (no rating had any
    probability), "missing" (nobody asked)."""
    covered_mass: FloatArray
    """[jurors, responses] the probability that the answer is a rating at all; NaN where there is no such thing."""


class JurorModel(Protocol):
    """Says what responses are worth to people."""

    def utilities(self, people: Sequence[Episode], prompts: Sequence[str], responses: Sequence[str]) -> Utilities:
        """Of every person, for responses [responses] each to the prompt in the same place."""
        ...


class LanguageModelJurors:
    """P(rating | the person as an episode, item) by a language model; the expected rating is the utility."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def utilities(self, people: Sequence[Episode], prompts: Sequence[str], responses: Sequence[str]) -> Utilities:
        """Raises DataError for people who cannot be asked, or who have rated what is asked already."""
        worth = option_utilities(checked_people(people))
        items = _asked_items(people, prompts, responses)
        answers = self.model.option_logprobs([Query(described(person), item) for person in people for item in items])
        shape = (len(people), len(items))
        found = [_expected(answer, worth) for answer in answers]
        return Utilities(
            np.array([value for value, _ in found], dtype=np.float64).reshape(shape),
            np.array([outcome for _, outcome in found], dtype=np.str_).reshape(shape),
            np.array([answer.covered_mass for answer in answers], dtype=np.float64).reshape(shape),
        )


class RatingModelJurors:
    """P(rating | the person's past ratings, item) by a rating model that has been fitted, such as `MixedModel`.

    Items are known by their text, as in `ratings_of`; people's descriptions are not read.
    """

    def __init__(self, model: RatingModel) -> None:
        self.model = model

    def utilities(self, people: Sequence[Episode], prompts: Sequence[str], responses: Sequence[str]) -> Utilities:
        """Raises DataError for people who cannot be asked, or who have rated what is asked already."""
        worth = option_utilities(checked_people(people))
        items = _asked_items(people, prompts, responses)
        queries, given = _tables(people, items)
        shares = self.model.predict_proba(queries, given=given)
        if not (np.isfinite(shares).all() and shares.shape == (len(queries), len(worth))):
            raise ModelError(f"the rating model gave {shares.shape} probabilities, some of which may be no numbers.")
        values = (shares @ worth).reshape(len(people), len(items))
        return Utilities(values, np.full(values.shape, "ok"), np.full(values.shape, np.nan))


@dataclass(frozen=True)
class GivenUtilities:
    """Utilities that are known: by juror (the episode's unit), prompt and response."""

    table: Mapping[tuple[str, str, str], float]

    def utilities(self, people: Sequence[Episode], prompts: Sequence[str], responses: Sequence[str]) -> Utilities:
        """One that is not in the table is "missing"."""
        asked = list(zip(prompts, responses, strict=True))
        rows = [[self.table.get((str(person.unit), *item), np.nan) for item in asked] for person in people]
        values = np.array(rows, dtype=np.float64).reshape(len(people), len(asked))
        outcomes = np.where(np.isnan(values), "missing", "ok")
        return Utilities(values, outcomes, np.full(values.shape, np.nan))


def option_utilities(options: Sequence[str]) -> FloatArray:
    """The utility of each option [options] of a scale from the worst to the best: numbers keep their distances.

    >>> option_utilities(["1", "2", "5"]).tolist(), option_utilities(["no", "maybe", "yes"]).tolist()
    ([0.0, 0.25, 1.0], [0.0, 0.5, 1.0])
    """
    values = Scale("ordinal", tuple(options)).values
    return np.asarray((values - values[0]) / (values[-1] - values[0]))


def item_text(prompt: str, response: str) -> str:
    """What a juror is shown: one JSON object, as items of several texts are everywhere.

    >>> item_text("Hi?", "Ho!")
    '{"prompt": "Hi?", "response": "Ho!"}'
    """
    return json_text(prompt=prompt, response=response)


def described(person: Episode) -> Episode:
    """The person with a description: their own, or else one that names the scale and what is known of them."""
    if person.description is not None:
        return person
    words = default_wordings(Scale("ordinal", person.options or ()))
    return replace(person, description=words.of(person.attributes)[len(words.bare) if person.attributes else 0])


def checked_people(people: Sequence[Episode]) -> tuple[str, ...]:
    """The scale that all share. Raises DataError with all that is wrong: no id or one that repeats, no scale or another."""
    faults = [] if people else ["there is nobody"]
    seen: set[str] = set()
    scale = people[0].options if people else None
    for n, person in enumerate(people, 1):
        if person.unit is None or person.unit in seen:
            faults.append(
                f"person {n}: {'no unit, which names a person' if person.unit is None else f'unit {person.unit!r} again'}"
            )
        if person.options is None or person.options != scale or len(person.options) < 2:
            faults.append(f"person {n}: options {person.options}; all need the same scale, from the worst to the best: {scale}")
        faults += [f"person {n}: an attribute cannot be called 'id'; rename it" for name in person.attributes if name == "id"]
        faults += [f"person {n}: a past rating has no input" for e in person.examples if e.input is None][:1]
        seen.add(person.unit or "")
    if faults:
        raise DataError("people", faults[:20])
    return scale or ()


def ratings_of(people: Sequence[Episode]) -> Ratings:
    """Their past ratings as a table, to fit rating models on: an item's id is its text, attributes are texts.

    Raises DataError for people who cannot be used, without any rating, and for an item that one rated twice.
    """
    scale = Scale("ordinal", checked_people(people))
    names = _attribute_names(people)
    rows = [
        {"item_id": e.input, "item_text": e.input, "rater_id": p.unit, "rating": e.output, **_attributes(p, names)}
        for p in people
        for e in p.examples
    ]
    columns = ["item_id", "item_text", "rater_id", "rating", *(f"rater_{name}" for name in names)]
    return Ratings.from_long(pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String)), scale, name="people")


def _expected(answer: OptionLogprobs, worth: FloatArray) -> tuple[float, str]:
    if answer.outcome != "ok":
        return float("nan"), answer.outcome
    if not answer.covered_mass > 0:
        return float("nan"), "outside"
    return float(answer.probabilities @ worth), "ok"


def _asked_items(people: Sequence[Episode], prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
    """Raises DataError where a person's past ratings have the answer."""
    items = [item_text(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
    asked = set(items)
    known = [str(person.unit) for person in people if any(example.input in asked for example in person.examples)]
    if known:
        raise DataError(
            "people",
            f"{len(known)} of {len(people)} have rated a response that they are asked about, e.g. {known[0]!r}; leave it "
            "out of their past ratings: what is held out has to stay so.",
        )
    return items


def _tables(people: Sequence[Episode], items: Sequence[str]) -> tuple[Ratings, Ratings]:
    """Every person with every item [people x items], and their past ratings; both share the tables of items and raters."""
    scale = Scale("ordinal", people[0].options or ())
    texts = sorted({*items, *(e.input or "" for person in people for e in person.examples)})
    ids = sorted(str(person.unit) for person in people)
    item_at, rater_at = {text: n for n, text in enumerate(texts)}, {name: n for n, name in enumerate(ids)}
    option_at = {option: n for n, option in enumerate(scale.options)}
    by_id = {str(person.unit): person for person in people}
    names = _attribute_names(people)
    raters = [{"rater_id": name, **_attributes(by_id[name], names)} for name in ids]
    columns = ["rater_id", *(f"rater_{name}" for name in names)]
    rated = [(item_at[e.input or ""], rater_at[str(p.unit)], option_at[e.output]) for p in people for e in p.examples]
    asked = [(item_at[item], rater_at[str(p.unit)], 0) for p in people for item in items]

    def table(rows: list[tuple[int, int, int]]) -> Ratings:
        indices = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return Ratings(item_table, rater_table, indices[0], indices[1], indices[2], scale, "people")

    item_table = pl.DataFrame({"item_id": texts, "item_text": texts}, schema={"item_id": pl.String, "item_text": pl.String})
    rater_table = pl.DataFrame(raters, schema=dict.fromkeys(columns, pl.String))
    return table(asked), table(rated)


def _attribute_names(people: Sequence[Episode]) -> list[str]:
    return sorted({name for person in people for name in person.attributes})


def _attributes(person: Episode, names: Sequence[str]) -> dict[str, str | None]:
    known = {name: person.attributes.get(name) for name in names}
    return {f"rater_{name}": None if value is None else str(value) for name, value in known.items()}
