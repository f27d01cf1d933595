r"""Values, rights and duties as texts, and what a model is asked of them: four tasks over a situation.

    generate      [Generate]:\tSituation: S                     a consideration
    relevance     [Relevance]:\tSituation: S\tValue: power      Yes, No
    valence       [Valence]:\tSituation: S\tValue: power        Supports, Opposes, Either
    explanation   [Explanation]:\tSituation: S\tValue: power    free text

Tabs separate the parts of an input, so no part may hold one: in a situation and in a consideration's text every run of white
space (blanks, tabs, line breaks) becomes one blank, and none is left at the ends (`one_line`).

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "KINDS",
    "RELEVANCE",
    "TASKS",
    "VALENCES",
    "Consideration",
    "Kind",
    "ValuesTask",
    "explanation_input",
    "generate_input",
    "one_line",
    "relevance_input",
    "valence_input",
]

Kind = Literal["Value", "Right", "Duty"]
ValuesTask = Literal["generate", "relevance", "valence", "explanation"]

KINDS: tuple[Kind, ...] = get_args(Kind)
TASKS: tuple[ValuesTask, ...] = get_args(ValuesTask)
RELEVANCE = ("Yes", "No")
VALENCES = ("Supports", "Opposes", "Either")
_WRITTEN = re.compile(r"(Value|Right|Duty): (\S|\S[^\t\r\n]*\S)")


@dataclass(frozen=True, slots=True)
class Consideration:
    """A value, right or duty; equal ones have the same kind and the same text, letter by letter.

    >>> Consideration("Value", "power").written
    'Value: power'
    """

    vrd: Kind
    text: str

    @property
    def written(self) -> str:
        """As inputs and outputs have it: "Value: power"."""
        return f"{self.vrd}: {one_line(self.text)}"

    @classmethod
    def parse(cls, text: str) -> Consideration | None:
        """What `written` wrote; None for anything else. White space at the ends does not count, all else does.

        >>> Consideration.parse(" Duty: Duty to help ")
        Consideration(vrd='Duty', text='Duty to help')
        >>> [Consideration.parse(text) for text in ("duty: to help", "Value:power", "Value: ", "Norm: order")]
        [None, None, None, None]
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            return None
        vrd: Kind = next(kind for kind in KINDS if kind == found[1])
        return cls(vrd, one_line(found[2]))


def one_line(text: str) -> str:
    r"""The text with every run of white space as one blank, and none at its ends.

    >>> one_line(" to be\tfree\n")
    'to be free'
    """
    return " ".join(text.split())


def generate_input(situation: str) -> str:
    r"""Asks for a consideration.

    >>> generate_input("Biking to work\ninstead of driving")
    '[Generate]:\tSituation: Biking to work instead of driving'
    """
    return f"[Generate]:\tSituation: {one_line(situation)}"


def relevance_input(situation: str, consideration: Consideration) -> str:
    r"""Asks whether the consideration bears on the situation: one of `RELEVANCE`.

    >>> relevance_input("Biking to work", Consideration("Value", "health"))
    '[Relevance]:\tSituation: Biking to work\tValue: health'
    """
    return _about("Relevance", situation, consideration)


def valence_input(situation: str, consideration: Consideration) -> str:
    """Asks which way the consideration points: one of `VALENCES`."""
    return _about("Valence", situation, consideration)


def explanation_input(situation: str, consideration: Consideration) -> str:
    """Asks how the consideration bears on the situation."""
    return _about("Explanation", situation, consideration)


def _about(task: str, situation: str, consideration: Consideration) -> str:
    return f"[{task}]:\tSituation: {one_line(situation)}\t{consideration.written}"
