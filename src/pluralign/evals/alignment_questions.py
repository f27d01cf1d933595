"""The questions of alignment: from the suite's tasks with known shares, and from any table of ratings.

    suite       every `TargetTask`; a question is a row: description, input, options, the share of each option
    ratings     every item of a table, with the shares of those who rated it; for each level of an attribute if one is given,
                which is then said in the description (`ratings_material`): ratings:FILE?by=gender, where a question needs 5
                ratings by people of its level, or as many as fewest=10 says

Options are ordinal where they are consecutive whole numbers, or a table's scale is in an order. One exception: the 0 of `mpi`
stands for "no answer", so its options are in no order. Letters stand for options of which the suite does not tell an order.

Shares that are a law (an urn, the 50 states) are exact; all others are of people who were asked, n of them where that is known.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Attribute
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.evals.kinds import LeftOut, Material, Setting
from pluralign.ratings import Ratings
from pluralign.streams import stream
from pluralign.suite.card import Simulated
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.ratings_task import item_inputs, rater_attributes
from pluralign.suite.registry import all_evaluations, evaluation, read, source_of
from pluralign.suite.task import json_text

__all__ = ["FEWEST", "LIMIT", "Question", "are_consecutive", "ratings_material", "suite_material", "suite_tasks"]

LIMIT = 1000
"""Questions of a task, unless told otherwise; as in the published suite."""
FEWEST = 5
"""Ratings that an item needs to be a question, unless told otherwise."""
MOST_TOLD = 8
"""Small groups that are named."""
_GROUPS = {"global_oqa": "country", "nytimes": "group", "opinionqa_groups_target": "group", "rotten_tomatoes": "rater"}
"""Task to the attribute of its targets that names whose answers they are, where several groups answer the same question."""
_UNITS = {"habermas": "question", "numbergame": "set of numbers", "opinionqa_groups_target": "question"}
"""Task to what its targets' units are, where that is not what the card says."""
_NOT_ORDINAL = {"mpi"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One distribution that is asked for. It can be asked in another way than the source has it: see `sensitivity`."""

    task: str
    item: str
    """Its name, the same for every model."""
    question: str
    """The name of what is asked, which several groups may have answered."""
    unit: str
    unit_name: str
    """What units are: "country"."""
    group: str | None
    """Whose answers they are; None where there are no groups."""
    target: Target
    is_ordinal: bool
    is_law: bool
    variant: str = ""
    """How it is asked; empty for as the source has it."""
    asked: Target | None = None
    """What is put to the model in place of the target."""
    order: tuple[int, ...] | None = None
    """Which of the target's options each asked option stands for, where that is not the same."""


def suite_tasks() -> list[str]:
    """Names of the suite's tasks with known shares."""
    return [name for name, one in all_evaluations().items() if isinstance(one, TargetTask)]


def suite_material(task: str, setting: Setting) -> Material:
    """The questions of a task of the suite, drawn by the seed; with a lower limit a part of those of a higher one.

    Raises UsageError for an unknown task or one without shares, DataError for data that are not there.
    """
    found = evaluation(task)
    if not isinstance(found, TargetTask):
        raise UsageError(f"task {task} has no shares of options; alignment {nearest_name(task, suite_tasks())}")
    card = source_of(task).card
    targets = list(found.rows(read(task, setting.data_dir), setting.seed))
    unit_name = _UNITS.get(task, card.unit)
    is_law = isinstance(card.access, Simulated)
    questions = list(_suite_questions(task, targets, unit_name=unit_name, is_law=is_law))
    return Material(task=task, questions=_drawn(task, questions, setting), unit=unit_name)


def ratings_material(
    ratings: Ratings,
    setting: Setting,
    *,
    by: str | None = None,
    fewest: int = FEWEST,
    name: str | None = None,
) -> Material:
    """The items of a table as questions, of those with at least `fewest` ratings; drawn by the seed as those of the suite.

    `by`: an attribute of the raters, each of whose levels is then asked for apart, as a group; raters whose level is not known
    are in none. The task is called as the table, or `name`, with " by ATTRIBUTE". Of whom and of what no question is made is
    counted in `left_out`. Raises UsageError for an unknown attribute, DataError where no item has enough ratings.
    """
    attribute = None if by is None else _attribute(ratings, by)
    task = (name or ratings.name) + (f" by {attribute.removeprefix('rater_')}" if attribute else "")
    fewest = max(1, fewest)
    groups, ungrouped = _groups(ratings, attribute)
    questions = list(_ratings_questions(task, ratings, attribute, groups, fewest))
    left_out = list(_left_out(ratings, attribute, groups, ungrouped, fewest))
    if not questions:
        what = "no item" if attribute is None else f"no item of any level of {attribute}"
        why = f"{what} has {fewest} ratings or more; pass a lower `fewest`, at least 1"
        raise DataError(ratings.name, [why, *map(str, left_out)] if attribute else why)
    drawn = _drawn(task, questions, setting)
    if len(drawn) < len(questions):
        left_out.append(
            LeftOut("questions", len(questions) - len(drawn), len(questions), "beyond the limit, by lot of the seed")
        )
    return Material(task=task, questions=drawn, unit="item", left_out=left_out)


def are_consecutive(options: Sequence[str]) -> bool:
    """Whether the options are whole numbers, each one more than that before it.

    >>> are_consecutive(["1", "2", "3"]), are_consecutive(["2", "4"]), are_consecutive(["A", "B"])
    (True, False, False)
    """
    if not all(option.isascii() and option.removeprefix("-").isdecimal() for option in options):
        return False
    numbers = [int(option) for option in options]
    return all(after == before + 1 for before, after in itertools.pairwise(numbers))


def _drawn(task: str, questions: Sequence[Question], setting: Setting) -> list[Question]:
    """Those whose random numbers are lowest, in the order of the source.

    Groups that answered the same question have the same number, so that they stay together: but not where a group is the unit
    that intervals resample, such as a country, since then questions are what should be many.
    """
    limit = LIMIT if setting.limit is None else setting.limit
    if limit < 1:
        raise UsageError(f"the limit must be at least 1, not {limit}.")
    if not questions:
        raise DataError(task, "its source has no question with known shares")
    keys = [one.item if one.group in (None, one.unit) else one.question for one in questions]
    places = [stream(setting.seed, "alignment", task, key).random() for key in keys]
    chosen = sorted(range(len(questions)), key=lambda i: (places[i], i))[:limit]
    return [questions[i] for i in sorted(chosen)]


def _suite_questions(task: str, targets: Iterable[Target], *, unit_name: str, is_law: bool) -> Iterator[Question]:
    """A name is a hash of what is asked, so that it does not depend on the other rows; a repetition gets its number."""
    seen: Counter[str] = Counter()
    for target in targets:
        item = _digest(target.description or "", target.input, *target.options)
        seen[item] += 1
        item = item if seen[item] == 1 else f"{item}-{seen[item]}"
        group = target.attributes.get(_GROUPS[task]) if task in _GROUPS else None
        yield Question(
            task=task,
            item=item,
            question=_digest(target.input, *target.options),
            unit=item if target.unit is None else target.unit,
            unit_name=unit_name,
            group=None if group is None else str(group),
            target=target,
            is_ordinal=are_consecutive(target.options) and task not in _NOT_ORDINAL,
            is_law=is_law and target.n is None,
        )


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def _attribute(ratings: Ratings, by: str) -> str:
    """The column of an attribute that is called by its name or its column's."""
    column = by if by in ratings.attributes else f"rater_{by}"
    if column in ratings.attributes:
        return column
    if not ratings.attributes:
        raise UsageError(
            f"{ratings.name}: attribute {by!r} is unknown: nothing is known of the raters; see ReadOptions.attributes"
        )
    known = [name.removeprefix("rater_") for name in ratings.attributes]
    raise UsageError(f"{ratings.name}: attribute {nearest_name(by, known)}")


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Raters who are asked about together."""

    level: Attribute | None
    """None for everybody."""
    n_raters: int
    counts: npt.NDArray[np.int64]
    """How many of them gave each rating [items, options]."""

    @property
    def n_ratings(self) -> npt.NDArray[np.int64]:
        """[items]"""
        return np.asarray(self.counts.sum(axis=1))


def _groups(ratings: Ratings, attribute: str | None) -> tuple[list[_Group], npt.NDArray[np.bool_]]:
    """Everybody, or the raters of each level in the order in which they first come; and who is in no group [raters]."""
    everybody = np.ones(ratings.n_raters, dtype=np.bool_)
    if attribute is None:
        return [_group(ratings, None, everybody)], ~everybody
    name = attribute.removeprefix("rater_")
    levels = [_level(known.get(name)) for known in rater_attributes(ratings)]
    different = dict.fromkeys(level for level in levels if level is not None)
    groups = [_group(ratings, level, np.array([one == level for one in levels])) for level in different]
    return groups, np.array([level is None for level in levels])


def _level(level: Attribute | None) -> Attribute | None:
    return level if level is None or isinstance(level, int | float) else str(level)


def _group(ratings: Ratings, level: Attribute | None, raters: npt.NDArray[np.bool_]) -> _Group:
    n_options = len(ratings.scale.options)
    own = raters[ratings.rater_index]
    cells = ratings.item_index[own] * n_options + ratings.rating_index[own]
    counts = np.bincount(cells, minlength=ratings.n_items * n_options).reshape(-1, n_options)
    return _Group(level, int(raters.sum()), counts)


def _ratings_questions(
    task: str, ratings: Ratings, attribute: str | None, groups: Sequence[_Group], fewest: int
) -> Iterator[Question]:
    inputs = item_inputs(ratings)
    for group in groups:
        said = {} if attribute is None or group.level is None else {attribute.removeprefix("rater_"): group.level}
        description = _description(ratings, said)
        for item, text, row in zip(ratings.item_ids, inputs, group.counts, strict=True):
            n = int(row.sum())
            if n < fewest:
                continue
            yield Question(
                task=task,
                item=f"{item} | {group.level}" if said else item,
                question=item,
                unit=item,
                unit_name="item",
                group=str(group.level) if said else None,
                target=Target(
                    input=text,
                    options=ratings.scale.options,
                    shares=tuple((row / n).tolist()),
                    n=n,
                    description=description,
                    unit=item,
                    attributes=said,
                ),
                is_ordinal=ratings.scale.is_ordered,
                is_law=False,
            )


def _left_out(
    ratings: Ratings, attribute: str | None, groups: Sequence[_Group], ungrouped: npt.NDArray[np.bool_], fewest: int
) -> Iterator[LeftOut]:
    """Raters whose level is not known, groups and items that are too small; each only where there are any."""
    n_ratings = np.stack([group.n_ratings for group in groups]) if groups else np.zeros((0, ratings.n_items), dtype=np.int64)
    n_lost = int((n_ratings < fewest).all(axis=0).sum())
    if attribute is None:
        found = [LeftOut("items", n_lost, ratings.n_items, f"fewer than {fewest} ratings")]
    else:
        name = attribute.removeprefix("rater_")
        small = [one for one, of in zip(groups, n_ratings, strict=True) if (of < fewest).all()]
        told = ", ".join(f"{one.level} (of {one.n_raters:,})" for one in small[:MOST_TOLD]) + (
            ", ..." * (len(small) > MOST_TOLD)
        )
        n_pairs = int((n_ratings > 0).sum())
        found = [
            LeftOut("raters", int(ungrouped.sum()), ratings.n_raters, f"{name} is not known"),
            LeftOut("ratings", int(ungrouped[ratings.rater_index].sum()), len(ratings), f"their rater's {name} is not known"),
            LeftOut("groups", len(small), len(groups), f"no item has {fewest} of their ratings: {told}"),
            LeftOut("items", n_lost, ratings.n_items, f"no group gave it {fewest} ratings"),
            LeftOut(
                "pairs of item and group", n_pairs - int((n_ratings >= fewest).sum()), n_pairs, f"fewer than {fewest} ratings"
            ),
        ]
    return (one for one in found if one.n)


def _description(ratings: Ratings, said: Mapping[str, Attribute]) -> str:
    scale = ratings.scale
    order = "in this order" if scale.is_ordered else "in no particular order"
    listed = json.dumps(list(scale.options), ensure_ascii=False)
    about = f" What is known of the person: {json_text(**said)}" if said else ""
    return f"One of many people, picked at random, rates what is shown. The possible answers, {order}: {listed}.{about}"
