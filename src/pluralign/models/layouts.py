"""The formats `spectrum` and `colon`: an episode as pieces, each either control ids or text still to be tokenised.

spectrum: a turn for the description, each input and each output, as the published Spectrum checkpoints take them.
colon: "Description: ...", "Input: ...", "Output: ..." joined by blank lines, for models without turn tokens. Here the blank
after the colon belongs to the content (" yes" is how pretrained models know the word), and the blank line is an output's end.

Source: Sorensen et al. 2025 (arXiv 2510.06084).
Departures: content is tokenised on its own, so ids differ from the published ones where a text's first characters would have
merged with the line break before it. In every format the first output carries loss if and only if there is a description; the
published formats differ in this and so are compared on different events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pluralign.episodes import Episode
from pluralign.models.content import ContentTokenizer
from pluralign.models.turns import find_bos, find_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["ROLES", "Grammar", "Ids", "Layout", "Piece", "TurnLayout", "bears_loss", "colon_layout", "spectrum_layout"]

Ids = tuple[int, ...]
ROLES = ("description", "input", "output")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a sequence: ids as they are, or text from data."""

    content: Ids | str
    example: int = -1
    """Index of the example that it belongs to; -1 for the description and what is before it."""
    is_loss: bool = False


class Layout(Protocol):
    """How a format writes an episode; the rest is the same for all of them and is in `Template`."""

    @property
    def end_ids(self) -> Ids:
        """What ends an output, and is scored with it."""
        ...

    def pieces(self, episode: Episode) -> list[Piece]:
        """All of the episode."""
        ...

    def prompt_pieces(self, episode: Episode, next_input: str | None) -> list[Piece]:
        """The episode, the next input if there is one, and the beginning of the next output."""
        ...

    def output_text(self, output: str) -> str:
        """What is tokenised for this output."""
        ...

    def option_faults(self, options: Sequence[str]) -> list[str]:
        """Why some options cannot be told apart or ended in this format."""
        ...


def bears_loss(episode: Episode, example: int) -> bool:
    """Whether this output is scored: all but the first of an episode that says nothing before it."""
    return example > 0 or episode.description is not None


@dataclass(frozen=True, slots=True)
class Grammar:
    """How every turn is written: an opening, the text, an end, what is after; the sequence begins with `start`."""

    start: Ids
    openings: Mapping[str, Ids]
    """Of each role."""
    first_openings: Mapping[str, Ids]
    """The same where the turn is the first of the sequence."""
    end: Ids
    """Scored with the text where the text is."""
    after: Ids
    lead: str = ""
    """Put in front of every text, and tokenised with it."""
    end_text: str | None = None
    """The end, where it is plain text that an output might hold."""


class TurnLayout:
    """A format in which each description, input and output is a turn of its own, all written in one way."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar

    @property
    def end_ids(self) -> Ids:
        return self.grammar.end

    def pieces(self, episode: Episode) -> list[Piece]:
        pieces = [Piece(self.grammar.start)]
        if episode.description is not None:
            pieces += self._turn(pieces, "description", episode.description, -1)
        for n, example in enumerate(episode.examples):
            if example.input is not None:
                pieces += self._turn(pieces, "input", example.input, n)
            pieces += self._turn(pieces, "output", example.output, n, is_loss=bears_loss(episode, n))
        return pieces

    def prompt_pieces(self, episode: Episode, next_input: str | None) -> list[Piece]:
        n, pieces = len(episode.examples), self.pieces(episode)
        if next_input is not None:
            pieces += self._turn(pieces, "input", next_input, n)
        return [*pieces, Piece(self._opening(pieces, "output"), n)]

    def output_text(self, output: str) -> str:
        return self.grammar.lead + output

    def option_faults(self, options: Sequence[str]) -> list[str]:
        end = self.grammar.end_text
        bad = [] if end is None else [option for option in options if end in option or option.endswith("\n")]
        return [
            f"option {option[:60]!r} holds or ends in a line break that the format 'colon' takes for the end; use 'spectrum'."
            for option in bad
        ]

    def _opening(self, before: Sequence[Piece], role: str) -> Ids:
        return (self.grammar.first_openings if len(before) == 1 else self.grammar.openings)[role]

    def _turn(self, before: Sequence[Piece], role: str, text: str, example: int, *, is_loss: bool = False) -> list[Piece]:
        return [
            Piece(self._opening(before, role), example),
            Piece(self.grammar.lead + text, example, is_loss),
            Piece(self.grammar.end, example, is_loss),
            Piece(self.grammar.after, example),
        ]


def spectrum_layout(tokenizer: PreTrainedTokenizerFast) -> TurnLayout:
    """Turns between the tokenizer's turn tokens; raises UsageError where it has none."""
    turns, bos = find_turns(tokenizer), find_bos(tokenizer)
    openings = {role: tuple(tokenizer.encode(turns.header(role), add_special_tokens=False)) for role in ROLES}
    end, *after = tokenizer.encode(turns.end + turns.after, add_special_tokens=False)
    return TurnLayout(Grammar(() if bos is None else (bos,), openings, openings, (end,), tuple(after)))


def colon_layout(tokenizer: PreTrainedTokenizerFast, content: ContentTokenizer) -> TurnLayout:
    """Labelled paragraphs."""
    bos, blank_line = find_bos(tokenizer), "\n\n"
    labels = [f"{role.capitalize()}:" for role in ROLES]
    # the tokenizer's own way at the beginning of a text, where some put a blank in front
    first = [tuple(tokenizer.encode(label, add_special_tokens=False)) for label in labels]
    *later, end = (tuple(ids.tolist()) for ids in content.encode([*labels, blank_line]))
    return TurnLayout(
        Grammar(
            () if bos is None else (bos,),
            dict(zip(ROLES, later, strict=True)),
            dict(zip(ROLES, first, strict=True)),
            end,
            (),
            lead=" ",
            end_text=blank_line,
        )
    )
