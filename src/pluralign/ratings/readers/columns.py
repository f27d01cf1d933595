"""Which column holds the item, the rater and the rating, judged by name alone.

In order: the column that was named; else `item_id` or `item`, `rater_id` or `rater`, `rating`; else the only column whose name
is one of the usual ones. None or several is an error that lists them: a wrong guess here would go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pluralign.ratings.readers.options import ReadOptions

__all__ = [
    "Role",
    "Roles",
    "candidates",
    "column_list",
    "find_role",
    "find_roles",
    "is_attribute_name",
    "is_identifier",
    "is_leak",
    "is_text_name",
    "normal",
    "prefixed",
]

Role = Literal["item", "rater", "rating"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ITEM_NAMES = _names(
    "item itemid task taskid instance instanceid example exampleid question questionid comment commentid statement statementid "
    "textid doc docid document documentid unit unitid post postid tweet tweetid scenario scenarioid prompt promptid stimulus "
    "stimulusid sample sampleid recordid"
)
_RATER_NAMES = _names(
    "rater raterid worker workerid annotator annotatorid user userid participant participantid voter voterid judge judgeid "
    "respondent respondentid coder coderid subject subjectid"
)
_RATING_NAMES = _names("rating label score answer response vote annotation judgment judgement")
_TEXT_NAMES = _names(
    "text comment sentence sentence1 sentence2 post reply tweet prompt statement question question1 question2 premise "
    "hypothesis context document title body content commentbody dialogue conversation passage headline utterance displayedtext"
)
_ATTRIBUTE_NAMES = _names(
    "age agegroup gender sex race ethnicity hispanic education educ degree income region country nationality party pid partyid "
    "politics political politic religion relig occupation employment marital class year language"
)
_LEAKS = _names(
    "groupid cluster clusterid clusterlabel kmeans kmeanscluster opiniongroup ncomments nvotes nagree ndisagree npass"
)
_IDENTIFIERS = frozenset(["", "id", "rownames", "rowid", "index", "unnamed0", "xid", "ipaddress", "email"])
_SHOWN = 20

_ROLES: dict[Role, tuple[tuple[str, ...], frozenset[str]]] = {
    "item": (("item_id", "item"), _ITEM_NAMES),
    "rater": (("rater_id", "rater"), _RATER_NAMES),
    "rating": (("rating",), _RATING_NAMES),
}


@dataclass(frozen=True)
class Roles:
    item: tuple[str, ...]
    rater: str
    rating: str


def normal(name: str) -> str:
    """A column's name without case and punctuation, for comparing.

    >>> normal("Worker ID"), normal("comment-id")
    ('workerid', 'commentid')
    """
    return re.sub(r"[\W_]+", "", name.lower())


def is_leak(name: str) -> bool:
    """Whether the name is that of something computed from the ratings themselves, such as an opinion group.

    >>> is_leak("group-id"), is_leak("rater_cluster"), is_leak("group")
    (True, True, False)
    """
    return normal(name.removeprefix("rater_")) in _LEAKS


def find_role(columns: Sequence[str], role: Role, chosen: str | None) -> tuple[str | None, list[str]]:
    """The column that plays this role, or a fault that lists the candidates and names the flag.

    >>> find_role(["task", "worker", "label"], "rater", None)
    ('worker', [])
    """
    if chosen is not None:
        return (
            (chosen, [])
            if chosen in columns
            else (None, [f"--{role} {chosen}: no such column; columns are {column_list(columns)}"])
        )
    for own in _ROLES[role][0]:
        if own in columns:
            return own, []
    found = candidates(columns, role)
    if len(found) == 1:
        return found[0], []
    seen = f"several columns may be the {role}: {column_list(found)}" if found else f"no column is recognised as the {role}"
    return None, [f"{seen}; name it with --{role}. Columns are {column_list(columns)}"]


def candidates(columns: Sequence[str], role: Role) -> list[str]:
    """The columns with a name that is usual for this role."""
    return [c for c in columns if normal(c) in _ROLES[role][1]]


def find_roles(columns: Sequence[str], options: ReadOptions) -> tuple[Roles | None, list[str]]:
    """The columns of item, rater and rating, or every fault. A column that plays one part is no candidate for another."""
    taken = {c for c in (*options.item_parts, options.rater, options.rating) if c is not None}
    rating, faults = find_role([c for c in columns if c not in taken or c == options.rating], "rating", options.rating)
    taken |= {rating or ""}
    rater, more = find_role([c for c in columns if c not in taken or c == options.rater], "rater", options.rater)
    faults += more
    taken |= {rater or ""}
    if options.item_parts:
        faults += [f for c in options.item_parts for f in find_role(columns, "item", c)[1]]
        item: tuple[str, ...] = options.item_parts
    else:
        found, more = find_role([c for c in columns if c not in taken], "item", None)
        faults += more
        item = (found or "",)
    parts = [*item, rater, rating]
    if not faults and len(set(parts)) < len(parts):
        faults.append(f"--item {' '.join(item)} --rater {rater} --rating {rating}: the three have to be different columns")
    return (None, faults) if faults else (Roles(item, str(rater), str(rating)), [])


def is_text_name(name: str) -> bool:
    """Whether a column of this name holds what was rated, unless its values say otherwise."""
    return name.startswith("item_") or normal(name) in _TEXT_NAMES


def is_attribute_name(name: str) -> bool:
    """Whether a column of this name describes the rater even where its answers look like those of the questions."""
    return name.startswith("rater_") or normal(name) in _ATTRIBUTE_NAMES


def is_identifier(name: str) -> bool:
    """Whether a column of this name numbers rows or people: it tells nothing about them."""
    return normal(name) in _IDENTIFIERS


def column_list(columns: Sequence[str]) -> str:
    shown = ", ".join(map(repr, columns[:_SHOWN]))
    return shown if len(columns) <= _SHOWN else f"{shown} and {len(columns) - _SHOWN:,} more"


def prefixed(sources: Iterable[str], prefix: str) -> dict[str, str]:
    """Our names for these columns, in lower case with underscores; clashes are numbered.

    >>> prefixed(["Student status", "rater_age", "id"], "rater_")
    {'rater_student_status': 'Student status', 'rater_age': 'rater_age', 'rater_id_2': 'id'}
    """
    made: dict[str, str] = {}
    for source in sources:
        base = prefix + (re.sub(r"\W+", "_", source.removeprefix(prefix).lower()).strip("_") or "column")
        name, n = base, 2
        while name in made or name == prefix + "id":
            name, n = f"{base}_{n}", n + 1
        made[name] = source
    return made
