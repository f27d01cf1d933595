"""The questions of a jury, from files of one's own.

    jury:QUESTIONS.jsonl?people=PEOPLE.jsonl&as=judges|chooses|writes&judge=MODEL&jury=6 women, 6 men&seats=12

    QUESTIONS   {"prompt": "...", "responses": ["...", "..."], "id": "q1", "utilities": {"ann": [0.2, 1.0]}}     a line each
                `responses` may also be an object, name -> text, where names mean the same for every prompt (systems, parties)
                `utilities`: what each juror thinks of each response, 0..1, null where that is not known
    PEOPLE      the jurors as episodes: `unit`, past ratings as examples, attributes, `options` from the worst to the best

    as=judges   the model says what each juror thinks of each response; its answer is the response its jury chooses
    as=chooses  it says which of the responses is best, by letter
    as=writes   it writes a response of its own, which `judge`, a model that is named, judges beside the others

By default a model judges where there are people, and else chooses. Utilities that are given are what its answers are scored by;
where there are none, `judge` gives them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pluralign.episodes import Episode, read_episodes
from pluralign.episodes.checks import capped
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.evals.judge_models import Judge
from pluralign.evals.juries import composed
from pluralign.evals.jurors import checked_people
from pluralign.evals.kinds import Material
from pluralign.evals.named_files import json_lines, named_file, whole_number

__all__ = ["OWN", "JuryQuestion", "Panel", "Role", "jury_material", "read_questions"]

Role = Literal["judges", "chooses", "writes"]

OWN = "model"
"""Name of the response that the model wrote."""
FLAGS = ("as", "judge", "jury", "people", "seats")
FIELDS = ("id", "prompt", "responses", "utilities")
MOST_RESPONSES = 26
"""As many as there are letters."""
_SURROGATE = re.compile("[\ud800-\udfff]")
N_SEATS = 12
"""Of a jury that is drawn."""


@dataclass(frozen=True, eq=False)
class Panel:
    """People who are asked together."""

    people: tuple[Episode, ...]

    @cached_property
    def content_hash(self) -> str:
        return hashlib.sha256("".join(person.content_hash() for person in self.people).encode()).hexdigest()[:24]

    def __repr__(self) -> str:
        return f"Panel({self.content_hash})"


@dataclass(frozen=True, slots=True, kw_only=True)
class JuryQuestion:
    """One prompt with its responses, and whom they are for."""

    task: str
    item: str
    prompt: str
    responses: tuple[tuple[str, str], ...]
    """Name and text."""
    is_named: bool
    """Whether names mean the same for every prompt."""
    utilities: tuple[tuple[str, tuple[float, ...]], ...] | None = None
    """By juror, as `responses`; NaN where one is not known."""
    panel: Panel | None = None
    role: Role = "chooses"
    judge: str | None = None
    """Name of the model that gives the utilities, where they are not given."""
    jury: str | None = None
    """Composition of the jury."""
    seats: int = N_SEATS
    """Of juries that are drawn, where there is no composition."""


def jury_material(name: str, *, limit: int | None = None, has_jurors: bool = False) -> Material:
    """The questions of a task `jury:FILE?...`; the first `limit` of them. `has_jurors`: a judge is there without being named.

    Raises UsageError for a name that does not say what it must, DataError with all that is wrong with the files.
    """
    named = named_file(name, "jury", FLAGS)
    people = named.given.get("people")
    panel = None if people is None else Panel(_read_people(Path(people)))
    questions = read_questions(named.path, panel)
    role = _role(named.name, named.given, panel, questions, has_jurors=has_jurors)
    jury = named.given.get("jury")
    if jury is not None:
        if panel is None:
            raise UsageError(f"{name}: jury={jury} needs people=FILE, which says who is who")
        composed(jury, panel.people)
    asked = [
        JuryQuestion(
            task=named.task,
            item=str(one["id"]),
            prompt=one["prompt"],
            responses=_pairs(one["responses"]),
            is_named=isinstance(one["responses"], Mapping),
            utilities=_utilities(one),
            panel=panel,
            role=role,
            judge=named.given.get("judge"),
            jury=jury,
            seats=whole_number(named, "seats", N_SEATS),
        )
        for one in questions[:limit]
    ]
    n_people = len(panel.people) if panel else 0
    n_judged = (
        n_people * (max(len(one.responses) for one in asked) + 1) if role != "chooses" or asked[0].utilities is None else 0
    )
    judges = [Judge(name) for name in dict.fromkeys(one.judge for one in asked) if name is not None]
    return Material(task=named.task, questions=asked, unit="prompt", requests_each=1 + n_judged, judges=judges)


def read_questions(path: Path, panel: Panel | None = None) -> list[dict[str, Any]]:
    """The lines of a file of questions, each with an id: its own, or the number of its line.

    Raises DataError with all that is wrong, by line.
    """
    known = None if panel is None else {str(person.unit) for person in panel.people}
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    ids: dict[str, int] = {}
    for n, value in json_lines(path):
        here = _faults(value, known)
        if not here:
            record = {"id": f"line {n}", **value}
            if record["id"] in ids:
                here = [f"id {record['id']!r} is also that of line {ids[record['id']]}"]
            ids.setdefault(record["id"], n)
            found.append(record)
        faults += [f"line {n}: {fault}" for fault in here]
    having = sum("utilities" in record for record in found)
    if having not in (0, len(found)):
        faults.append(f"{having} of {len(found)} lines have utilities; either all have, or none")
    if not found and not faults:
        faults.append('there is no question; a line is {"prompt": "...", "responses": ["...", "..."]}')
    if faults:
        raise DataError(str(path), capped(faults, len(faults)))
    return found


def _role(
    name: str, given: Mapping[str, str], panel: Panel | None, questions: Sequence[Mapping[str, Any]], *, has_jurors: bool
) -> Role:
    """As asked for, or by what is there; UsageError where it cannot be done with that."""
    is_given = "utilities" in questions[0]
    asked = given.get("as", "judges" if panel else "chooses")
    if asked not in get_args(Role):
        raise UsageError(f"{name}: as: {nearest_name(asked, get_args(Role))}")
    role: Role = next(one for one in get_args(Role) if one == asked)
    if role == "judges" and panel is None:
        raise UsageError(f"{name}: as=judges needs people=FILE, the jurors as episodes")
    needs_judge = role == "writes" or (role == "chooses" and not is_given)
    if needs_judge and (panel is None or (given.get("judge") is None and not has_jurors)):
        raise UsageError(
            f"{name}: as={role} needs people=FILE and judge=MODEL, since what the response is worth to them is not known"
        )
    if given.get("judge") is not None and not needs_judge:
        raise UsageError(f"{name}: judge={given['judge']} has nothing to judge here; leave it out, or say as=writes")
    return role


def _read_people(path: Path) -> tuple[Episode, ...]:
    people = tuple(read_episodes(path))
    try:
        checked_people(people)
    except DataError as error:
        raise DataError(str(path), error.faults) from error
    return people


def _pairs(responses: Any) -> tuple[tuple[str, str], ...]:
    named = responses.items() if isinstance(responses, Mapping) else ((str(n), text) for n, text in enumerate(responses, 1))
    return tuple(named)


def _utilities(one: Mapping[str, Any]) -> tuple[tuple[str, tuple[float, ...]], ...] | None:
    if "utilities" not in one:
        return None
    rows = one["utilities"].items()
    return tuple((juror, tuple(math.nan if u is None else float(u) for u in values)) for juror, values in rows)


def _faults(value: Any, known: set[str] | None) -> list[str]:
    if isinstance(value, ValueError):
        return [str(value)]
    if not isinstance(value, Mapping):
        return [f"a question is an object with the fields {', '.join(FIELDS)}; this is {value!r:.60}"]
    faults = [f"field {nearest_name(str(name), FIELDS)}" for name in value if name not in FIELDS]
    for field in ("id", "prompt"):
        if (field == "prompt" or field in value) and not _is_text(value.get(field)):
            faults.append(f"{field} must be a text, not {value.get(field)!r:.60}")
    of_responses = _response_faults(value.get("responses"))
    faults += of_responses
    if "utilities" in value and not of_responses:
        faults += _utility_faults(value["utilities"], len(value["responses"]), known)
    return faults


def _response_faults(responses: Any) -> list[str]:
    if not isinstance(responses, list | Mapping):
        return [f"responses must be a list of texts, or an object name -> text, not {responses!r:.60}"]
    texts = list(responses.values()) if isinstance(responses, Mapping) else responses
    if not all(map(_is_text, texts)):
        return [f"a response must be a text with something in it, not {next(t for t in texts if not _is_text(t))!r:.60}"]
    if not 2 <= len(texts) <= MOST_RESPONSES:
        return [f"there must be 2 to {MOST_RESPONSES} responses to choose from, not {len(texts)}"]
    if len(set(texts)) < len(texts):
        return [f"two responses are the same: {max(texts, key=texts.count)!r:.60}; leave one out"]
    if isinstance(responses, Mapping) and OWN in responses:
        return [f"a response cannot be called {OWN!r}, which is the name of what the model writes; rename it"]
    return []


def _utility_faults(utilities: Any, n_responses: int, known: set[str] | None) -> list[str]:
    if not isinstance(utilities, Mapping) or not utilities:
        return ["utilities must be an object, juror -> numbers"]
    faults = []
    for juror, values in utilities.items():
        if known is not None and juror not in known:
            faults.append(f"utilities: {juror!r} is none of the people")
        if not isinstance(values, list) or len(values) != n_responses:
            faults.append(f"utilities of {juror!r}: {n_responses} numbers are needed, one a response, not {values!r:.60}")
        elif wrong := [u for u in values if u is not None and not _is_share(u)]:
            faults.append(f"utilities of {juror!r}: {wrong[0]!r:.60} is not in 0..1; rescale (0 the worst answer, 1 the best)")
    return faults


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value and not _SURROGATE.search(value)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
