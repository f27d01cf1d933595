"""The format `chat`: a short system prompt, inputs as user turns, outputs as assistant turns, by the model's chat template.

The template never sees the texts: it is rendered once for each sequence of roles, with a marker in place of every text, and
the texts are put between what it wrote. So a template that trims or rewrites what people said does not, and text that looks
like its code or its control tokens is only text. The wording of the system prompt is unknown in the published work; ours is a
parameter, as is the request that stands where an example has no input, since chat templates want a user before each reply.

Departures: a template's trimming of texts does not happen. With `examples_in_prompt` all but the last example stand in one
user turn, so `Template.encode` scores the last output only; the other formats score every output in one pass.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralign.episodes import Episode
from pluralign.errors import UsageError
from pluralign.models.content import ContentTokenizer
from pluralign.models.layouts import Ids, Piece, bears_loss
from pluralign.models.turns import control_pattern, control_tokens, find_bos, render_chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["ChatLayout", "ChatStyle", "chat_messages"]

_MARK = "pluralignmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatStyle:
    """What the format leaves open."""

    system_prompt: str = "Reply with the next output only, as the process that gave the outputs so far would give it."
    """Comes before the description; empty for none."""
    request: str = "Next output:"
    """The user's turn where an example has no input."""
    examples_in_prompt: bool = False
    """All examples so far in one user turn, in place of a dialogue."""


def chat_messages(episode: Episode, next_input: str | None, style: ChatStyle) -> list[dict[str, str]]:
    """The messages that ask a chat model for the next output, e.g. of a server that applies the template itself.

    >>> style = ChatStyle(system_prompt="Reply briefly.")
    >>> chat_messages(Episode("sum", (), description="Add."), "1 + 1", style)
    [{'role': 'system', 'content': 'Reply briefly.\\n\\nAdd.'}, {'role': 'user', 'content': '1 + 1'}]
    """
    return [{"role": turn.role, "content": turn.text} for turn in _asking_turns(episode, next_input, style)]


def _asking_turns(episode: Episode, next_input: str | None, style: ChatStyle) -> list[_Turn]:
    dialogue = [] if style.examples_in_prompt else _dialogue(episode, style)
    return [*_system(episode, style), *dialogue, _question(episode, next_input, style)]


def _all_turns(episode: Episode, style: ChatStyle) -> list[_Turn]:
    if not episode.examples:
        return _asking_turns(episode, None, style)
    if not style.examples_in_prompt:
        return [*_system(episode, style), *_dialogue(episode, style)]
    n, last = len(episode.examples) - 1, episode.examples[-1]
    asked = _asking_turns(dataclasses.replace(episode, examples=episode.examples[:n]), last.input, style)
    return [*asked, _Turn("assistant", last.output, n, bears_loss(episode, n))]


def _system(episode: Episode, style: ChatStyle) -> list[_Turn]:
    text = "\n\n".join(part for part in (style.system_prompt, episode.description) if part)
    return [_Turn("system", text, -1)] if text else []


def _dialogue(episode: Episode, style: ChatStyle) -> list[_Turn]:
    turns = []
    for n, example in enumerate(episode.examples):
        turns.append(_Turn("user", style.request if example.input is None else example.input, n))
        turns.append(_Turn("assistant", example.output, n, bears_loss(episode, n)))
    return turns


def _question(episode: Episode, next_input: str | None, style: ChatStyle) -> _Turn:
    n = len(episode.examples)
    if not (style.examples_in_prompt and n):
        return _Turn("user", style.request if next_input is None else next_input, n)
    shown = [*((example.input, f"Output: {example.output}") for example in episode.examples), (next_input, "Output:")]
    rounds = [output if asked is None else f"Input: {asked}\n{output}" for asked, output in shown]
    return _Turn("user", "\n\n".join(rounds), n)


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    text: str
    example: int
    is_loss: bool = False


class ChatLayout:
    """The turns of the tokenizer's chat template.

    Raises UsageError for a tokenizer without one, and for a template that cannot be used: it refuses a dialogue of user and
    assistant, leaves texts out, or writes no control token behind a reply.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, content: ContentTokenizer, style: ChatStyle) -> None:
        if not tokenizer.chat_template:
            raise UsageError("this tokenizer has no chat template; use the format 'colon' or 'spectrum'.")
        self._tokenizer, self._content, self._style = tokenizer, content, style
        self._bos = find_bos(tokenizer)
        self._control = control_pattern(control_tokens(tokenizer))
        self._written: dict[tuple[bool, tuple[str, ...]], list[Ids]] = {}
        self._takes_system = self._strings(("system", "user", "assistant"), ask=False) is not None
        strings = self._strings(("user", "assistant", "user", "assistant"), ask=False)
        if strings is None:
            raise UsageError(
                "this tokenizer's chat template takes no dialogue of user and assistant; use 'spectrum' or 'colon'."
            )
        self.end_ids = self._end(strings[2])
        if self._end(strings[4]) != self.end_ids:
            raise UsageError("this tokenizer's chat template ends its last reply in another way than the first; use 'colon'.")

    def pieces(self, episode: Episode) -> list[Piece]:
        return self._filled(_all_turns(episode, self._style), ask=False)

    def prompt_pieces(self, episode: Episode, next_input: str | None) -> list[Piece]:
        return self._filled(_asking_turns(episode, next_input, self._style), ask=True)

    def output_text(self, output: str) -> str:
        return output

    def option_faults(self, options: Sequence[str]) -> list[str]:
        return []

    def _filled(self, turns: list[_Turn], *, ask: bool) -> list[Piece]:
        if turns[0].role == "system" and not self._takes_system:
            system, first, *others = turns
            turns = [dataclasses.replace(first, text=f"{system.text}\n\n{first.text}"), *others]
        before, *behind = self._written_ids(tuple(turn.role for turn in turns), ask=ask)
        pieces = [Piece(before, -1 if turns[0].role == "system" else 0)]
        for n, (turn, ids) in enumerate(zip(turns, behind, strict=True)):
            pieces.append(Piece(turn.text, turn.example, turn.is_loss))
            if turn.role == "assistant":
                pieces.append(Piece(self.end_ids, turn.example, turn.is_loss))
                ids = ids[len(self.end_ids) :]
            pieces.append(Piece(ids, turns[min(n + 1, len(turns) - 1)].example))
        return pieces

    def _written_ids(self, roles: tuple[str, ...], *, ask: bool) -> list[Ids]:
        """What the template writes before, between and behind the texts [roles + 1]; rendered once for these roles."""
        if (ask, roles) not in self._written:
            strings = self._strings(roles, ask=ask)
            if strings is None:
                raise UsageError(
                    f"this tokenizer's chat template refuses turns of {', '.join(roles[:3])}...; use another format."
                )
            first = tuple(self._tokenizer.encode(strings[0], add_special_tokens=False))
            if self._bos is not None and first[:1] != (self._bos,):
                first = (self._bos, *first)
            self._written[ask, roles] = [first, *map(self._ids_behind_text, strings[1:])]
        return self._written[ask, roles]

    def _strings(self, roles: tuple[str, ...], *, ask: bool) -> list[str] | None:
        """The same as text; None where the template refuses the roles or does not write every text once and in order."""
        marks = [f"{_MARK}{n}{_MARK}" for n in range(len(roles))]
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        rendered = render_chat(self._tokenizer, messages, ask=ask)
        if rendered is None:
            return None
        strings = re.split(f"{_MARK}([0-9]+){_MARK}", rendered)
        in_order = strings[1::2] == [str(n) for n in range(len(roles))]
        return strings[::2] if in_order else None

    def _ids_behind_text(self, string: str) -> Ids:
        """Plain text at the beginning continues the text before it; from the first control token on it is the tokenizer's."""
        found = self._control.search(string)
        start = found.start() if found else len(string)
        lead = self._content.encode([string[:start]])[0].tolist() if start else []
        return (*lead, *self._tokenizer.encode(string[start:], add_special_tokens=False))

    def _end(self, string: str) -> Ids:
        """The ids behind a reply up to its first control token."""
        found = self._control.search(string)
        if found is None:
            raise UsageError("this tokenizer's chat template writes no control token behind a reply; use the format 'colon'.")
        return self._ids_behind_text(string[: found.end()])
