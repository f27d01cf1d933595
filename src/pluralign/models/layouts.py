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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pluralign.episodes import Episode
from pluralign.models.content import ContentTokenizer
from pluralign.models.turns import find_bos, find_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["ColonLayout", "Ids", "Layout", "Piece", "SpectrumLayout", "bears_loss"]

Ids = tuple[int, ...]


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


class SpectrumLayout:
    """Turns with the roles description, input and output."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        turns, bos = find_turns(tokenizer), find_bos(tokenizer)
        roles = ("description", "input", "output")
        self._headers = {r: tuple(tokenizer.encode(turns.header(r), add_special_tokens=False)) for r in roles}
        end, *after = tokenizer.encode(turns.end + turns.after, add_special_tokens=False)
        self._start: Ids = () if bos is None else (bos,)
        self._after: Ids = tuple(after)
        self.end_ids: Ids = (end,)

    def pieces(self, episode: Episode) -> list[Piece]:
        pieces = [Piece(self._start)]
        if episode.description is not None:
            pieces += self._turn("description", episode.description, -1)
        for n, example in enumerate(episode.examples):
            if example.input is not None:
                pieces += self._turn("input", example.input, n)
            pieces += self._turn("output", example.output, n, is_loss=bears_loss(episode, n))
        return pieces

    def prompt_pieces(self, episode: Episode, next_input: str | None) -> list[Piece]:
        n = len(episode.examples)
        asked = [] if next_input is None else self._turn("input", next_input, n)
        return [*self.pieces(episode), *asked, Piece(self._headers["output"], n)]

    def output_text(self, output: str) -> str:
        return output

    def option_faults(self, options: Sequence[str]) -> list[str]:
        return []

    def _turn(self, role: str, text: str, example: int, *, is_loss: bool = False) -> list[Piece]:
        return [
            Piece(self._headers[role], example),
            Piece(text, example, is_loss),
            Piece(self.end_ids, example, is_loss),
            Piece(self._after, example),
        ]


class ColonLayout:
    """Labelled paragraphs."""

    _LABELS = ("Description", "Input", "Output")
    _BLANK_LINE = "\n\n"

    def __init__(self, tokenizer: PreTrainedTokenizerFast, content: ContentTokenizer) -> None:
        bos = find_bos(tokenizer)
        self._start: Ids = () if bos is None else (bos,)
        labels = [f"{label}:" for label in self._LABELS]
        # the tokenizer's own way at the beginning of a text, where some put a blank in front
        self._first_labels = {label: tuple(tokenizer.encode(label, add_special_tokens=False)) for label in labels}
        *later, end = content.encode([*labels, self._BLANK_LINE])
        self._labels = {label: tuple(ids.tolist()) for label, ids in zip(labels, later, strict=True)}
        self.end_ids: Ids = tuple(end.tolist())

    def pieces(self, episode: Episode) -> list[Piece]:
        pieces = [Piece(self._start)]
        if episode.description is not None:
            pieces += self._paragraph(pieces, "Description:", episode.description, -1)
        for n, example in enumerate(episode.examples):
            if example.input is not None:
                pieces += self._paragraph(pieces, "Input:", example.input, n)
            pieces += self._paragraph(pieces, "Output:", example.output, n, is_loss=bears_loss(episode, n))
        return pieces

    def prompt_pieces(self, episode: Episode, next_input: str | None) -> list[Piece]:
        n, pieces = len(episode.examples), self.pieces(episode)
        if next_input is not None:
            pieces += self._paragraph(pieces, "Input:", next_input, n)
        return [*pieces, Piece(self._label(pieces, "Output:"), n)]

    def output_text(self, output: str) -> str:
        return f" {output}"

    def option_faults(self, options: Sequence[str]) -> list[str]:
        bad = [option for option in options if self._BLANK_LINE in option or option.endswith("\n")]
        return [
            f"option {option[:60]!r} holds or ends in a line break that the format 'colon' takes for the end; use 'spectrum'."
            for option in bad
        ]

    def _label(self, before: Sequence[Piece], label: str) -> Ids:
        return (self._first_labels if len(before) == 1 else self._labels)[label]

    def _paragraph(self, before: Sequence[Piece], label: str, text: str, example: int, *, is_loss: bool = False) -> list[Piece]:
        return [
            Piece(self._label(before, label), example),
            Piece(self.output_text(text), example, is_loss),
            Piece(self.end_ids, example, is_loss),
        ]
