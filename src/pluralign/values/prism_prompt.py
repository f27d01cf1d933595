"""The prompt that asks a language model for the values, rights and duties of a situation, and how its replies are read.

A reply has one consideration on each line: `Value: honesty | Supports | It is the truth that ...`. Reading is strict: a reply
with any other line is of no use as a whole ("unparsed"), and so is one that was cut off, refused, or has no line. What came of
a reply is counted, never repaired.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779) for what is asked; its own prompts are unknown, the wording
is ours. Whoever changes the wording raises `PROMPT_VERSION`, since data of two wordings are not one data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pluralign.episodes import Episode, Example
from pluralign.models.protocol import Query, Sample
from pluralign.values.considerations import VALENCES, Consideration, one_line

__all__ = ["PROMPT_VERSION", "Listed", "Reply", "ReplyOutcome", "prism_query", "read_reply"]

PROMPT_VERSION = "pluralign-prism-1"
ReplyOutcome = Literal["ok", "unparsed", "empty", "length", "refusal", "failed"]
"""A list; another line in it; nothing; cut off; declined; no reply after all attempts."""

_DESCRIPTION = """\
For a situation that somebody may be in, the values, rights and duties that people of different views might weigh when they \
judge it. Name those that speak against each other as well, and do not say which side is right. Each output is a list with one \
of them on each line and nothing else, in this form:
KIND: NAME | VALENCE | EXPLANATION
KIND is Value, Right or Duty. NAME is a few words; the name of a right begins with "Right to", that of a duty with "Duty to". \
VALENCE is Supports if it speaks for what is done, Opposes if it speaks against it, Either if that depends on how one sees it. \
EXPLANATION is one sentence on how it bears on this situation."""
_SHOWN = Example(
    input="Situation: Lending the car to a neighbour for a week",
    output="""\
Value: generosity | Supports | Lending something that one needs oneself is a gift of time and trust.
Value: caution | Opposes | A car can be damaged, and who pays is then unclear.
Right: Right to one's own property | Either | It is the owner's to lend, and the owner's to keep.
Duty: Duty to help those who live near | Supports | Neighbours depend on one another where nobody else is close.""",
)
_REASONS: dict[str, ReplyOutcome] = {"length": "length", "refusal": "refusal", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a reply."""

    consideration: Consideration
    valence: str
    explanation: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    outcome: ReplyOutcome
    listed: tuple[Listed, ...] = ()
    """Empty unless the outcome is "ok"."""
    detail: str = ""
    """Of an unparsed reply: its first line that is none of the form."""


def prism_query(situation: str) -> Query:
    """The question about a situation: description, one example, the situation."""
    return Query(Episode("values_prism", (_SHOWN,), description=_DESCRIPTION), f"Situation: {one_line(situation)}")


def read_reply(sample: Sample) -> Reply:
    """The reply as a list; all of it or nothing.

    >>> read_reply(Sample("Duty: Duty to help | Supports | It helps.", "stop")).listed[0].consideration.written
    'Duty: Duty to help'
    >>> read_reply(Sample("Sure! Here is the list:", "stop")).outcome
    'unparsed'
    """
    if sample.finish_reason != "stop":
        return Reply(_REASONS[sample.finish_reason], detail=sample.detail)
    lines = [(number, line.strip()) for number, line in enumerate(sample.text.splitlines(), 1) if line.strip()]
    if not lines:
        return Reply("empty")
    listed = []
    for number, line in lines:
        read = _read_line(line)
        if read is None:
            return Reply("unparsed", detail=f"line {number}: {line:.120}")
        listed.append(read)
    return Reply("ok", tuple(listed))


def _read_line(line: str) -> Listed | None:
    parts = [part.strip() for part in line.split("|", 2)]
    if len(parts) != 3 or parts[1] not in VALENCES or not parts[2]:
        return None
    consideration = Consideration.parse(parts[0])
    return None if consideration is None else Listed(consideration, parts[1], one_line(parts[2]))
