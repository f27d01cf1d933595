"""Rater representations: what a language model is told of a person, as the front of an episode.

    nothing                          that it is one person, and the scale
    attributes, attribute:NAME       all that is known of the person, or what is named
    examples:N, examples:all         N past ratings, or as many as the window takes
    examples:N:ORDER                 which ones: random (always the same, the first N of each longer list), first (as the table
                                     has them), nearest (most like the item that is asked, by its text), informative (of items
                                     on which people differ most)
    profile                          a text of the values behind the person's ratings
    cluster                          the profile of the group that the person belongs to

Any of them go together with "+": "profile+attributes+examples:8". The names are those of the study (`fold`).

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), section 3; which past ratings are shown is the project's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Attribute, Episode, Example
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.models import Query
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import random_positions
from pluralign.suite.embedded_episodes import ATTRIBUTES_TOLD, RATING_OPTIONS, RATINGS_TOLD
from pluralign.suite.ratings_task import default_wordings, item_inputs, rater_attributes
from pluralign.suite.task import json_text

__all__ = [
    "ALL_EXAMPLES",
    "ExampleOrder",
    "RaterTexts",
    "RaterWords",
    "Representation",
    "item_disagreement",
    "rater_episodes",
    "rater_queries",
    "told_attributes",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ExampleOrder = Literal["random", "first", "nearest", "informative"]

ALL_EXAMPLES = 1_000_000
"""More past ratings than any window takes."""
_PLAIN = ("attributes", "profile", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What is told; nothing unless it is named.

    >>> Representation.parse("profile+examples:8") == Representation(profile=True, n_examples=8)
    True
    """

    attributes: Literal["all"] | tuple[str, ...] = ()
    """Names without "rater_"."""
    n_examples: int = 0
    order: ExampleOrder = "random"
    profile: bool = False
    cluster: bool = False

    @classmethod
    def parse(cls, name: str) -> Representation:
        """Raises UsageError for a name that is none."""
        fields: dict[str, Any] = {}
        names: list[str] = []
        for part in () if name == "nothing" else name.split("+"):
            kind, _, rest = part.partition(":")
            if kind == "examples" and "n_examples" not in fields:
                fields |= _examples(name, rest)
            elif kind == "attribute" and rest:
                names.append(rest)
            elif part in _PLAIN:
                fields[part] = "all" if part == "attributes" else True
            else:
                known = ("nothing", *_PLAIN, "attribute:NAME", "examples:N")
                raise UsageError(f"representation {name!r}: {nearest_name(part, known)}")
        if names and "attributes" not in fields:
            fields["attributes"] = tuple(dict.fromkeys(names))
        return cls(**fields)

    def __str__(self) -> str:
        """The name, such that `parse` gives the same."""
        named = ["attributes"] if self.attributes == "all" else [f"attribute:{name}" for name in self.attributes]
        parts = [*(["profile"] if self.profile else []), *(["cluster"] if self.cluster else []), *named]
        if self.n_examples:
            n = "all" if self.n_examples >= ALL_EXAMPLES else str(self.n_examples)
            parts.append(f"examples:{n}" + ("" if self.order == "random" else f":{self.order}"))
        return "+".join(parts) or "nothing"

    @property
    def is_per_item(self) -> bool:
        """Whether what is told of a person depends on the item that is asked."""
        return bool(self.n_examples) and self.order == "nearest"


def _examples(name: str, rest: str) -> dict[str, Any]:
    number, _, order = rest.partition(":")
    if number != "all" and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UsageError(f"representation {name!r}: write examples:N with N from 1, or examples:all, not {number!r}")
    if order and order not in get_args(ExampleOrder):
        raise UsageError(f"representation {name!r}: order {nearest_name(order, get_args(ExampleOrder))}")
    return {"n_examples": ALL_EXAMPLES if number == "all" else int(number), **({"order": order} if order else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterWords:
    """The words around what is told: about, attributes, cluster, profile; what is not told is left out."""

    task: str
    """Of the episodes, for people: "ratings"."""
    about: str
    attributes: str = "What is known of the person:"
    """The attributes follow, as JSON."""
    profile: str = "What this person values:"
    cluster: str = "The person is like other people who value the following:"

    @classmethod
    def for_scale(cls, scale: Scale, *, task: str = "ratings") -> RaterWords:
        """Words that name the answers and say whether they are ordered; those of `ratings:FILE` tasks."""
        return cls(task=task, about=default_wordings(scale).bare[0])

    @classmethod
    def for_model(cls, model_name: str, scale: Scale) -> RaterWords:
        """Those of the scale; the embedded model is asked about its own scale in the words that it was trained with."""
        if model_name.partition("/")[0] == "embedded" and scale.options == RATING_OPTIONS:
            return cls(task="embedded_ratings", about=RATINGS_TOLD, attributes=ATTRIBUTES_TOLD, profile="", cluster="")
        return cls.for_scale(scale)

    def description(
        self, *, attributes: Mapping[str, Attribute] | None = None, profile: str | None = None, cluster: str | None = None
    ) -> str:
        """One text; what is None or empty is not told."""
        known = [self.about]
        known += [self.attributes, json_text(**attributes)] if attributes else []
        known += [self.cluster, cluster] if cluster else []
        known += [self.profile, profile] if profile else []
        return " ".join(part for part in known if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterTexts:
    """Texts about raters by their ids; whoever has none is told without it."""

    profiles: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)


def rater_queries(
    asked: Ratings,
    given: Ratings | None,
    representation: Representation,
    *,
    words: RaterWords | None = None,
    texts: RaterTexts | None = None,
    disagreement: FloatArray | None = None,
    seed: int = 0,
) -> list[Query]:
    """One query for each row of `asked`, whose own rating is not looked at; `given` are past ratings of the same raters.

    Queries of one rater share an episode, unless examples are the nearest ones. `disagreement` [items] is what "informative"
    goes by (`item_disagreement` of the ratings that may be learned from). Raises DataError for an unknown attribute, and where
    a rating that is asked for is among those that are given.
    """
    front = _Front(asked, given, representation, words, texts or RaterTexts(), disagreement, seed)
    if not representation.is_per_item:
        episodes = {rater: front.episode(rater) for rater in np.unique(asked.rater_index).tolist()}
        pairs = zip(asked.rater_index.tolist(), asked.item_index.tolist(), strict=True)
        return [Query(episodes[rater], front.inputs[item]) for rater, item in pairs]
    found: list[Query | None] = [None] * len(asked)
    for rater, rows in _rows_by_rater(asked):
        items = asked.item_index[rows]
        for row, item, near in zip(rows.tolist(), items.tolist(), front.nearest(rater, items), strict=True):
            found[row] = Query(front.episode(rater, near), front.inputs[item])
    return [query for query in found if query is not None]


def rater_episodes(
    ratings: Ratings,
    representation: Representation,
    *,
    words: RaterWords | None = None,
    texts: RaterTexts | None = None,
    seed: int = 0,
) -> Iterator[Episode]:
    """What a decoder of this representation is tuned on, rater by rater in the order of the table.

    With examples: the rater's ratings in random order, N + 1 of them an episode (all of them with examples:all), so that each
    is learned with up to N before it. Without: an episode for each rating, which has nothing else before it.
    """
    size = representation.n_examples + 1
    front = _Front(ratings, ratings, representation, words, texts or RaterTexts(), None, seed)
    for rater in np.unique(ratings.rater_index).tolist():
        own = front.given_rows[rater]
        for start in range(0, len(own), size):
            yield front.episode(rater, own[start : start + size])


def item_disagreement(ratings: Ratings) -> FloatArray:
    """How much people differ on each item [items]: the entropy of its shares, shrunk to those of all ratings; nats.

    Unrated items have the entropy of all ratings. By it "informative" chooses: what everybody says alike tells nothing of a
    person.
    """
    from pluralign.raters.baselines import PerItem

    table = PerItem().fit(ratings).table_
    shares = np.stack([table[item] for item in ratings.item_ids])
    return np.asarray(-(shares * np.log(shares)).sum(axis=1), dtype=np.float64)


class _Front:
    """What is known of each rater, and how it is said."""

    def __init__(
        self,
        asked: Ratings,
        given: Ratings | None,
        representation: Representation,
        words: RaterWords | None,
        texts: RaterTexts,
        disagreement: FloatArray | None,
        seed: int,
    ) -> None:
        self.given = given if given is not None else asked.take(np.zeros(0, dtype=np.int64))
        self.representation = representation
        self.words = words or RaterWords.for_scale(asked.scale)
        self.texts = texts
        self.inputs = item_inputs(asked)
        self.options = asked.scale.options
        self.rater_ids = asked.rater_ids
        self.known = told_attributes(asked, representation.attributes)
        if given is not None and given is not asked:
            _check_held_out(asked, given)
        self.given_rows = self._ordered(disagreement, seed)

    def _ordered(self, disagreement: FloatArray | None, seed: int) -> dict[int, IntArray]:
        """Rows of `given` of each rater; what is shown of N are the first N."""
        order = self.representation.order
        position = np.arange(len(self.given)) if order == "first" else random_positions(self.given, seed=seed)
        keys: list[IntArray | FloatArray] = [position, self.given.rater_index]
        if order == "informative":
            if disagreement is None:
                raise UsageError("examples:N:informative needs to know on which items people differ; fit the decoder first.")
            keys.insert(1, -disagreement[self.given.item_index])
        rows = np.lexsort(keys)
        raters, starts = np.unique(self.given.rater_index[rows], return_index=True)
        none = np.zeros(0, dtype=np.int64)
        found = {rater: none for rater in range(self.given.n_raters)}
        return found | dict(zip(raters.tolist(), np.split(rows, starts[1:]), strict=True)) if len(rows) else found

    def episode(self, rater: int, rows: IntArray | None = None) -> Episode:
        """The rater, with these rows of `given` as examples."""
        if rows is None:
            rows = self.given_rows[rater][: self.representation.n_examples]
        items, options = self.given.item_index[rows].tolist(), self.given.rating_index[rows].tolist()
        unit = self.rater_ids[rater]
        description = self.words.description(
            attributes=self.known[rater],
            profile=self.texts.profiles.get(unit) if self.representation.profile else None,
            cluster=self.texts.clusters.get(unit) if self.representation.cluster else None,
        )
        examples = tuple(Example(self.options[o], self.inputs[i]) for i, o in zip(items, options, strict=True))
        return Episode(self.words.task, examples, description, self.options, unit, self.known[rater])

    def nearest(self, rater: int, items: IntArray) -> list[IntArray]:
        """For each item the rows of `given` with the most similar texts, the most similar one last."""
        own = self.given_rows[rater]
        n = min(self.representation.n_examples, len(own))
        likeness = self._likeness(items, self.given.item_index[own])
        # a stable sort of what stands in random order: ties, such as no word in common, go by chance
        return [own[np.argsort(-row, kind="stable")[:n][::-1]] for row in likeness]

    def _likeness(self, items: IntArray, others: IntArray) -> FloatArray:
        """[items, others] cosine of the texts' TF-IDF vectors."""
        if not hasattr(self, "_vectors"):
            from sklearn.feature_extraction.text import TfidfVectorizer

            by_word = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4), max_features=50_000)
            self._vectors = by_word.fit_transform(self.inputs)
        return np.asarray((self._vectors[items] @ self._vectors[others].T).todense(), dtype=np.float64)


def told_attributes(ratings: Ratings, told: Literal["all"] | tuple[str, ...]) -> Sequence[Mapping[str, Attribute]]:
    """[raters] what is known of each, of these attributes, named without "rater_". Raises DataError for an unknown one."""
    names = [column.removeprefix("rater_") for column in ratings.attributes]
    for name in told if told != "all" else ():
        if name not in names:
            raise DataError(ratings.name, f"attribute {nearest_name(name, names)}")
    if not told:
        return [{}] * ratings.n_raters
    every = rater_attributes(ratings)
    return every if told == "all" else [{name: one[name] for name in told if name in one} for one in every]


def _check_held_out(asked: Ratings, given: Ratings) -> None:
    if asked.rater_ids != given.rater_ids or asked.item_ids != given.item_ids:
        raise DataError(asked.name, "what is asked and what is known must share raters and items (take both from one Ratings).")
    n_items = max(1, asked.n_items)
    both = np.intersect1d(asked.rater_index * n_items + asked.item_index, given.rater_index * n_items + given.item_index)
    if len(both):
        rater, item = divmod(int(both[0]), n_items)
        raise DataError(
            asked.name,
            f"{len(both):,} ratings that are asked for are among those that are given, e.g. item {asked.item_ids[item]!r} by "
            f"rater {asked.rater_ids[rater]!r}; what is held out has to stay so.",
        )


def _rows_by_rater(ratings: Ratings) -> Iterator[tuple[int, IntArray]]:
    rows = np.argsort(ratings.rater_index, kind="stable")
    raters, starts = np.unique(ratings.rater_index[rows], return_index=True)
    yield from zip(raters.tolist(), np.split(rows, starts[1:]), strict=True)
