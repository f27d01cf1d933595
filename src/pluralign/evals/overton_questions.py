"""Questions and the views that people hold on them, from files of one's own.

    overton:QUESTIONS.jsonl?entail=hf/MODEL            a viewpoint is covered where a sentence entails it
    overton:QUESTIONS.jsonl?judges=MODEL;MODEL         where language models say that the response presents it
    overton:POLIS_EXPORT?judges=...                    a folder with votes and comments, or a folder of such folders

    QUESTIONS   {"question": "...", "viewpoints": [{"text": "...", "weight": 0.4}, ...], "id": "q1"}         a line each
                `weight`: how many people hold the view, in any unit; 1 if not given

Of a Polis export the question is the conversation's topic with its description, viewpoints are clusters of voters
(`viewpoints`), each in the words of up to three statements that its members agree with more than others do, and weights are
their shares.
`permutations=99` adds the p-value of the clusters, which takes time; `max_tokens=512` is the length of a response.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pluralign.episodes.checks import capped
from pluralign.errors import DataError, UsageError
from pluralign.evals.judge_models import Judge
from pluralign.evals.kinds import Material
from pluralign.evals.named_files import json_lines, named_file, whole_number
from pluralign.evals.viewpoints import VoteClusters, cluster_votes, representative_statements
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.readers.polis import VOTE_FILES
from pluralign.ratings.table import Ratings

__all__ = [
    "OvertonQuestion",
    "Posed",
    "Viewpoint",
    "overton_material",
    "posed_by_votes",
    "read_polis_questions",
    "read_posed",
    "votes_of",
]

FLAGS = ("entail", "judges", "max_tokens", "permutations")
MAX_TOKENS = 512
N_STATEMENTS = 3
MOST_WEIGHT = 1e12
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """A view on a question."""

    text: str
    weight: float = 1.0
    """How many people hold it, in a unit that is the same for all views of the question; above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """A question with its views."""

    item: str
    question: str
    viewpoints: tuple[Viewpoint, ...]
    clusters_p: float | None = None
    """p-value of the clusters that the views were found from."""
    notes: tuple[str, ...] = ()
    """What was left out, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OvertonQuestion:
    """A question as it is asked, and what its response is scored by."""

    task: str
    posed: Posed
    other: str | None
    """Another question, whose response is the floor; None where there is only one."""
    entail: str | None = None
    """Name of an entailment model."""
    judges: tuple[str, ...] = ()
    """Names of language models."""
    max_tokens: int = MAX_TOKENS


def overton_material(name: str, *, limit: int | None = None, seed: int = 0, has_scorer: bool = False) -> Material:
    """The questions of a task `overton:FILE?...`, the first `limit` of them. `has_scorer`: one is there without being named.

    A question's floor is the response to the one behind it in the file, whatever the limit is. Raises UsageError for a name
    that does not say what it must, DataError with all that is wrong with the file.
    """
    named = named_file(name, "overton", FLAGS)
    entail, judges = named.given.get("entail"), tuple(filter(None, named.given.get("judges", "").split(";")))
    if (entail is not None) + bool(judges) + has_scorer != 1:
        raise UsageError(
            f"{name}: one thing has to tell which views a response presents: entail=hf/MODEL or judges=MODEL;MODEL"
            + (", but a scorer is there already" if has_scorer else "")
        )
    n_permutations = whole_number(named, "permutations", 0, low=0)
    if named.path.is_dir():
        posed = read_polis_questions(named.path, n_permutations=n_permutations, seed=seed)
    else:
        posed = read_posed(named.path)
    others = [*(one.question for one in posed[1:]), posed[0].question]
    questions = [
        OvertonQuestion(
            task=named.task,
            posed=one,
            other=other if len(posed) > 1 else None,
            entail=entail,
            judges=judges,
            max_tokens=whole_number(named, "max_tokens", MAX_TOKENS),
        )
        for one, other in zip(posed, others, strict=True)
    ]
    asked_too = [*map(Judge, judges), *([] if entail is None else [Judge(entail, is_entailment=True)])]
    return Material(task=named.task, questions=questions[:limit], unit="question", judges=asked_too)


def read_posed(path: Path) -> list[Posed]:
    """The questions of a file of JSON lines. Raises DataError with all that is wrong, by line."""
    found: list[Posed] = []
    faults: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    for n, value in json_lines(path):
        here = _faults(value)
        if not here:
            one = _posed(value, n)
            for what, text in (("id", one.item), ("question", one.question)):
                if (what, text) in lines:
                    here.append(f"{what} {text[:60]!r} is also that of line {lines[what, text]}")
                lines.setdefault((what, text), n)
            found.append(one)
        faults += [f"line {n}: {fault}" for fault in here]
    if not found and not faults:
        faults.append('there is no question; a line is {"question": "...", "viewpoints": [{"text": "..."}]}')
    if faults:
        raise DataError(str(path), capped(faults, len(faults)))
    return found


def read_polis_questions(folder: Path, *, n_permutations: int = 0, seed: int = 0) -> list[Posed]:
    """The question of a Polis export, or those of the exports in a folder, in the order of their names.

    Raises DataError for a folder without an export, and for one that cannot be used.
    """
    exports = [folder] if _is_export(folder) else sorted(one for one in folder.iterdir() if one.is_dir() and _is_export(one))
    if not exports:
        raise DataError(str(folder), f"no Polis export: neither here nor in a folder in it is one of {', '.join(VOTE_FILES)}")
    return [_polis_question(export, n_permutations, seed) for export in exports]


def votes_of(ratings: Ratings) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Ratings of -1, 0 and 1 as votes [raters, items], NaN where there is none. Raises DataError for another scale."""
    numbers = {"-1": -1.0, "0": 0.0, "1": 1.0}
    if not set(ratings.scale.options) <= set(numbers):
        raise DataError(ratings.name, f"votes are -1, 0 and 1; the scale is {list(ratings.scale.options)[:12]}")
    values = np.array([numbers[option] for option in ratings.scale.options])
    votes = np.full((ratings.n_raters, ratings.n_items), np.nan)
    votes[ratings.rater_index, ratings.item_index] = values[ratings.rating_index]
    return votes


def posed_by_votes(item: str, question: str, statements: Sequence[str | None], votes: Any, clusters: VoteClusters) -> Posed:
    """The question with a view for each cluster that agrees with some statement; None stands for one without text.

    Raises DataError where no cluster does.
    """
    known = [n for n, text in enumerate(statements) if text]
    chosen = representative_statements(np.asarray(votes)[:, known], clusters.labels, n=N_STATEMENTS)
    views, notes = [], []
    for number, (some, share) in enumerate(zip(chosen, clusters.prevalence, strict=True), 1):
        if some:
            views.append(Viewpoint(" ".join(_sentence(str(statements[known[s]])) for s in some), share.value))
        else:
            notes.append(f"cluster {number} ({share.value:.0%} of the people) agrees with no statement and is left out")
    if not views:
        raise DataError(item, "no cluster of voters agrees with any statement, so no view can be put in words")
    if clusters.n_left_out:
        notes.append(f"{clusters.n_left_out} people have too few votes to be placed")
    return Posed(item=item, question=question, viewpoints=tuple(views), clusters_p=clusters.p_value, notes=tuple(notes))


def _polis_question(folder: Path, n_permutations: int, seed: int) -> Posed:
    ratings = read_ratings(folder, ReadOptions(format="polis"))
    votes = votes_of(ratings)
    if "item_text" not in ratings.items.columns:
        raise DataError(str(folder), "there is no comments.csv, so views cannot be put in words")
    try:
        clusters = cluster_votes(votes, n_permutations=n_permutations, seed=seed)
        return posed_by_votes(
            folder.name, _topic(folder / "summary.csv"), ratings.items["item_text"].to_list(), votes, clusters
        )
    except DataError as error:
        raise error if error.where.startswith(str(folder)) else DataError(str(folder), error.faults) from error


def _is_export(folder: Path) -> bool:
    return any((folder / name).is_file() for name in VOTE_FILES)


def _topic(path: Path) -> str:
    """Topic and description of the conversation."""
    try:
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(str(path), f"cannot be read: {error}") from error
    said = {row[0]: row[1].strip() for row in rows if len(row) == 2}
    parts = [said[key] for key in ("topic", "conversation-description") if said.get(key)]
    if not parts:
        raise DataError(str(path), "there is neither a topic nor a conversation-description, so there is no question")
    return "\n".join(parts)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _posed(value: Mapping[str, Any], n: int) -> Posed:
    views = tuple(Viewpoint(one["text"], float(one.get("weight", 1.0))) for one in value["viewpoints"])
    return Posed(item=str(value.get("id", f"line {n}")), question=value["question"], viewpoints=views)


def _faults(value: Any) -> list[str]:
    if isinstance(value, ValueError):
        return [str(value)]
    if not isinstance(value, Mapping):
        return [f"a question is an object with the fields question, viewpoints and id; this is {value!r:.60}"]
    faults = [f"field {name!r} is unknown; known are question, viewpoints, id" for name in value if name not in _FIELDS]
    for field in ("question", "id"):
        if (field == "question" or field in value) and not _is_text(value.get(field)):
            faults.append(f"{field} must be a text with something in it, not {value.get(field)!r:.60}")
    views = value.get("viewpoints")
    if not isinstance(views, list) or not views:
        return [*faults, f"viewpoints must be a list of at least one, not {views!r:.60}"]
    for number, view in enumerate(views, 1):
        faults += [f"viewpoint {number}: {fault}" for fault in _view_faults(view)]
    texts = [view["text"] for view in views if isinstance(view, Mapping) and _is_text(view.get("text"))]
    if len(set(texts)) < len(texts):
        faults.append(f"two viewpoints are the same: {max(texts, key=texts.count)!r:.60}; leave one out, and add its weight")
    return faults


_FIELDS = ("question", "viewpoints", "id")


def _view_faults(view: Any) -> list[str]:
    if not isinstance(view, Mapping):
        return [f'it must be an object such as {{"text": "...", "weight": 0.5}}, not {view!r:.60}']
    faults = [f"field {name!r} is unknown; known are text and weight" for name in view if name not in ("text", "weight")]
    if not _is_text(view.get("text")):
        faults.append(f"text must be a text with something in it, not {view.get('text')!r:.60}")
    weight = view.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= MOST_WEIGHT:
        faults.append(f"weight must be a number above 0 and at most 1e12, not {weight!r:.60}")
    return faults


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value and not _SURROGATE.search(value)
