"""Templates: episodes as token ids, with the loss flag and the example of every token.

A format says how an episode is written (`layouts`, `chat`); a template tokenises what is written, many episodes in one call,
and puts it together. What holds for every format:

- content is tokenised apart from control tokens: no text from data becomes one, and every boundary between content and what
  surrounds it is a boundary between tokens, so no option's first token merges with the prompt's last;
- at most one BOS, and exactly one where the tokenizer has one;
- loss on the outputs' texts and their ends, nowhere else; without a description the first output carries none.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084), for the formats and where the loss is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode, EpisodeColumns, Example
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.models.chat import ChatLayout, ChatStyle
from pluralign.models.content import ContentTokenizer, IdArray, TextTable
from pluralign.models.flat import FlatEncoded, encode_columns
from pluralign.models.layouts import Layout, Piece, TurnLayout, colon_layout, spectrum_layout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Encoded", "Template", "open_template"]

_LAYOUTS: dict[str, Callable[[Any, ContentTokenizer, ChatStyle], Layout]] = {
    "spectrum": lambda tokenizer, content, style: spectrum_layout(tokenizer),
    "colon": lambda tokenizer, content, style: colon_layout(tokenizer, content),
    "chat": ChatLayout,
}


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One episode as tokens; all three arrays are [tokens]."""

    ids: IdArray
    is_loss: npt.NDArray[np.bool_]
    """Whether the token is scored: it belongs to an output's text or is its end."""
    example_index: npt.NDArray[np.int32]
    """The example that the token belongs to, with its roles and line breaks; -1 before the first example."""

    def __len__(self) -> int:
        return len(self.ids)


class Template:
    """One format with one tokenizer. Made by `open_template`."""

    def __init__(self, name: str, layout: Layout, content: ContentTokenizer) -> None:
        self.name = name
        self.content = content
        self._layout = layout
        self._texts: TextTable | None = None
        self._end_is_control = content.control_ids.issuperset(layout.end_ids)
        self._end_text = content.decode(layout.end_ids)

    def key(self) -> dict[str, str]:
        """What its tokens depend on, wherever the tokenizer lies: its content, and how an episode is written with it."""
        probe = Episode("", (Example("a", "b"), Example("c"), Example("d", "e")), description="f")
        written = [self._layout.pieces(probe), self._layout.pieces(dataclasses.replace(probe, description=None))]
        parts = {"tokenizer": self.content.backend.to_str(), "written": repr(written)}
        return {"template": self.name} | {f"{k}_sha256": hashlib.sha256(v.encode()).hexdigest() for k, v in parts.items()}

    def twin(self) -> Template:
        """The same template with a memory of its own, for another thread."""
        return Template(self.name, self._layout, self.content)

    @property
    def end_ids(self) -> tuple[int, ...]:
        """What ends an output: scored with it, and where sampling stops."""
        return self._layout.end_ids

    @property
    def least_tokens(self) -> int:
        """Tokens that any example has at least."""
        if not isinstance(self._layout, TurnLayout):
            return len(self.end_ids)
        grammar = self._layout.grammar
        opening = min(len(grammar.openings["output"]), len(grammar.first_openings["output"]))
        return opening + len(grammar.end) + len(grammar.after)

    def encode(self, episodes: Sequence[Episode]) -> list[Encoded]:
        """Every episode as tokens, outputs and all."""
        return self._encode([self._layout.pieces(episode) for episode in episodes])

    def encode_flat(self, columns: EpisodeColumns) -> FlatEncoded:
        """The same of many episodes, one after another in four arrays: many times as quick where outputs are short.

        Texts are remembered from one call to the next, so that what comes again is not tokenised again.
        """
        if isinstance(self._layout, TurnLayout):
            if self._texts is None or self._texts.is_large:
                self._texts = TextTable(self.content, self._layout.grammar.lead)
            return encode_columns(columns, self._layout.grammar, self._texts)
        return _joined(self.encode(_as_episodes(columns)))

    def encode_prompts(self, episodes: Sequence[Episode], next_inputs: Sequence[str | None]) -> list[IdArray]:
        """The ids [tokens] behind which the next output comes, given each episode and the next input (None for none).

        With an option's ids behind them they are how the episode with that example begins in `encode`.
        """
        if len(episodes) != len(next_inputs):
            raise UsageError(f"{len(episodes)} episodes but {len(next_inputs)} next inputs; give None where there is none.")
        written = [self._layout.prompt_pieces(e, asked) for e, asked in zip(episodes, next_inputs, strict=True)]
        return [encoded.ids for encoded in self._encode(written)]

    def encode_options(self, options: Sequence[str]) -> list[IdArray]:
        """The ids [tokens] of each option with its end, to come behind a prompt; none begins with the whole of another.

        Raises UsageError for no options or one listed twice, DataError for an option that the tokenizer makes nothing of or
        cannot tell from another.
        """
        if not options or len(set(options)) < len(options):
            raise UsageError(f"options must be a list of different texts and not empty, not {list(options)[:12]}")
        n = len(options)
        found = self.content.encode([*map(self._layout.output_text, options), *options])
        empty = [option for option, ids in zip(options, found[n:], strict=True) if not len(ids)]
        faults = [f"option {option[:60]!r} has no tokens in this tokenizer; reword it." for option in empty]
        faults += self._layout.option_faults(options)
        first: dict[bytes, str] = {}
        for option, ids in zip(options, found[:n], strict=True):
            other = first.setdefault(ids.tobytes(), option)
            if other != option:
                faults.append(f"options {other[:60]!r} and {option[:60]!r} are the same tokens in this tokenizer; reword one.")
        if faults:
            raise DataError("options", faults)
        end = np.array(self.end_ids, dtype=np.int32)
        return [np.concatenate([ids, end]) for ids in found[:n]]

    def has_ended(self, ids: Sequence[int], stop_ids: Collection[int] = ()) -> bool:
        """Whether the last of these ids, drawn behind a prompt one by one, ends the output.

        An end that is plain text (a blank line) may come in other tokens than it is written in: it counts by its text.
        `stop_ids`, such as the end of a document, end an output too.
        """
        if not ids:
            return False
        if ids[-1] in stop_ids or tuple(ids[-len(self.end_ids) :]) == self.end_ids:
            return True
        return not self._end_is_control and self._end_text in self.content.decode(ids[-len(self._end_text) - 1 :])

    def read_output(self, ids: Sequence[int], stop_ids: Collection[int] = ()) -> str:
        """The output's text in ids that were drawn behind a prompt, without its end and what one token said beyond it."""
        if self.has_ended(ids, stop_ids):
            size = len(self.end_ids) if tuple(ids[-len(self.end_ids) :]) == self.end_ids else int(ids[-1] in stop_ids)
            ids = ids[: len(ids) - size]
        text = self.content.decode(ids).removeprefix(self._layout.output_text(""))
        return text if self._end_is_control else text.partition(self._end_text)[0]

    def _encode(self, written: list[list[Piece]]) -> list[Encoded]:
        texts = [piece.content for pieces in written for piece in pieces if isinstance(piece.content, str)]
        tokenised = iter(self.content.encode(texts))
        return [
            _assembled(pieces, [next(tokenised) if isinstance(p.content, str) else _as_array(p.content) for p in pieces])
            for pieces in written
        ]


def open_template(name: str, tokenizer: PreTrainedTokenizerFast, *, chat: ChatStyle | None = None) -> Template:
    """The format of this name for this tokenizer; `chat` is the style of the format 'chat' and ignored by the others.

    Raises UsageError for an unknown name and for a tokenizer that the format cannot be written with.
    """
    if name not in _LAYOUTS:
        raise UsageError(f"format {nearest_name(name, _LAYOUTS)}")
    content = ContentTokenizer(tokenizer)
    return Template(name, _LAYOUTS[name](tokenizer, content, chat or ChatStyle()), content)


def _as_array(ids: tuple[int, ...]) -> IdArray:
    return np.array(ids, dtype=np.int32)


def _assembled(pieces: Sequence[Piece], ids: Sequence[IdArray]) -> Encoded:
    lengths = [len(part) for part in ids]
    return Encoded(
        ids=np.concatenate(ids),
        is_loss=np.repeat(np.array([piece.is_loss for piece in pieces], dtype=np.bool_), lengths),
        example_index=np.repeat(np.array([piece.example for piece in pieces], dtype=np.int32), lengths),
    )


def _as_episodes(columns: EpisodeColumns) -> list[Episode]:
    examples = iter(map(Example, columns.outputs, columns.inputs))
    return [
        Episode("", tuple(itertools.islice(examples, n)), description)
        for n, description in zip(columns.n_examples.tolist(), columns.descriptions, strict=True)
    ]


def _joined(several: Sequence[Encoded]) -> FlatEncoded:
    none = Encoded(np.zeros(0, np.int32), np.zeros(0, np.bool_), np.zeros(0, np.int32))
    return FlatEncoded(
        ids=np.concatenate([none.ids, *(one.ids for one in several)]),
        is_loss=np.concatenate([none.is_loss, *(one.is_loss for one in several)]),
        example_index=np.concatenate([none.example_index, *(one.example_index for one in several)]),
        starts=np.cumsum([0, *map(len, several)]),
    )
