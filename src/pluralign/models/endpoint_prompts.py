"""How episodes are put to a server: as token ids, as text, or as chat messages.

tokens    the ids of a template (`open_template`); exact: no server can split or merge anything, and no text is a control token
text      the format `colon` as plain text; the server tokenises it, so borders are looked for in what it echoes
messages  `chat_messages`; the server applies its model's chat template, and content is sent as content only

Limits. A server that tokenises may read a control token's name in a text as that token. In the way `text` the names of the
turn tokens of all known families are refused; in `messages` nothing is, since what happens to content is the server's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from pluralign.episodes import Episode
from pluralign.errors import DataError, ModelError, UsageError
from pluralign.models.chat import ChatStyle, chat_messages
from pluralign.models.layouts import bears_loss
from pluralign.models.protocol import FinishReason, Query
from pluralign.models.templates import Template
from pluralign.models.turns import FAMILIES, control_pattern

__all__ = ["Echo", "MessageWriter", "Path", "Prompt", "TextWriter", "TokenWriter", "Writer", "check_options", "check_texts"]

Path = Literal["completions", "chat"]
Prompt = str | list[int] | list[dict[str, str]]
_END_TEXT = "\n\n"
_CONTROL_NAMES = control_pattern(
    {token for turns in FAMILIES.values() for token in turns.tokens} | {"<|endoftext|>", "<|begin_of_text|>", "<bos>", "<eos>"}
)
_TOKENS_AROUND = 64
"""Allowance for what a server's chat template writes by itself."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A text that the server is to give back with the log-probability of every token."""

    prompt: str | list[int]
    spans: tuple[tuple[int, int], ...]
    """What is scored: start and stop, in characters of a text or in tokens."""
    examples: tuple[int, ...] = ()
    """The example that each span is the output of."""


class Writer(Protocol):
    """One of the three ways."""

    path: Path
    way: str

    def prompts(self, queries: Sequence[Query]) -> list[Prompt]:
        """What stands before the next output of each query."""
        ...

    def option_echoes(self, queries: Sequence[Query]) -> list[list[Echo]]:
        """For each query one echo an option, whose one span is the option and its end."""
        ...

    def episode_echoes(self, episodes: Sequence[Episode]) -> list[Echo]:
        """Each episode with its scored outputs, ends included."""
        ...

    def stop_fields(self) -> dict[str, Any]:
        """The fields of a request that make the server stop at an output's end."""
        ...

    def read_output(self, text: str, finish_reason: FinishReason) -> tuple[str, FinishReason]:
        """The output in what the server wrote, and why it ended."""
        ...

    def most_tokens(self, prompt: Prompt) -> int:
        """The tokens of a prompt, counted or bounded from above."""
        ...


class TokenWriter:
    """Token ids of a template."""

    path: Path = "completions"
    way = "tokens"

    def __init__(self, template: Template) -> None:
        self.template = template
        ends = template.end_ids
        self._end_is_control = len(ends) == 1 and ends[0] in template.content.control_ids
        self._end_text = template.content.decode(ends)

    def prompts(self, queries: Sequence[Query]) -> list[Prompt]:
        ids = self.template.encode_prompts([query.episode for query in queries], [query.input for query in queries])
        return [one.tolist() for one in ids]

    def option_echoes(self, queries: Sequence[Query]) -> list[list[Echo]]:
        found = []
        for query, prompt in zip(queries, self.prompts(queries), strict=True):
            assert isinstance(prompt, list)
            options = [ids.tolist() for ids in self.template.encode_options(query.asked_options)]
            found.append([Echo([*prompt, *ids], ((len(prompt), len(prompt) + len(ids)),)) for ids in options])
        return found

    def episode_echoes(self, episodes: Sequence[Episode]) -> list[Echo]:
        found = []
        for encoded in self.template.encode(episodes):
            places = np.flatnonzero(encoded.is_loss)
            examples = encoded.example_index[places]
            scored = tuple(int(number) for number in np.unique(examples))
            spans = tuple((int(places[examples == n][0]), int(places[examples == n][-1]) + 1) for n in scored)
            found.append(Echo(encoded.ids.tolist(), spans, scored))
        return found

    def stop_fields(self) -> dict[str, Any]:
        return {"stop_token_ids": list(self.template.end_ids)} if self._end_is_control else {"stop": [self._end_text]}

    def read_output(self, text: str, finish_reason: FinishReason) -> tuple[str, FinishReason]:
        lead = " " if self.template.name == "colon" else ""
        return _cut(text, self._end_text, lead, finish_reason)

    def most_tokens(self, prompt: Prompt) -> int:
        return len(prompt)


class TextWriter:
    """The format `colon` as text."""

    path: Path = "completions"
    way = "text"

    def prompts(self, queries: Sequence[Query]) -> list[Prompt]:
        return [self._before(query) for query in queries]

    def option_echoes(self, queries: Sequence[Query]) -> list[list[Echo]]:
        found = []
        for query in queries:
            before = self._before(query)
            texts = [before + _ended(option) for option in query.asked_options]
            found.append([Echo(text, ((len(before), len(text)),)) for text in texts])
        return found

    def episode_echoes(self, episodes: Sequence[Episode]) -> list[Echo]:
        found = []
        for episode in episodes:
            text, spans = _colon(episode)
            scored = tuple(n for n in range(len(episode.examples)) if bears_loss(episode, n))
            found.append(Echo(text, tuple(spans[n] for n in scored), scored))
        return found

    def stop_fields(self) -> dict[str, Any]:
        return {"stop": [_END_TEXT]}

    def read_output(self, text: str, finish_reason: FinishReason) -> tuple[str, FinishReason]:
        return _cut(text, _END_TEXT, " ", finish_reason)

    def most_tokens(self, prompt: Prompt) -> int:
        assert isinstance(prompt, str)
        return len(prompt.encode()) + 1

    def _before(self, query: Query) -> str:
        asked = "" if query.input is None else f"Input:{_ended(query.input)}"
        return f"{_colon(query.episode)[0]}{asked}Output:"


class MessageWriter:
    """Chat messages with the roles system, user and assistant."""

    path: Path = "chat"
    way = "messages"

    def __init__(self, style: ChatStyle) -> None:
        self.style = style

    def prompts(self, queries: Sequence[Query]) -> list[Prompt]:
        return [chat_messages(query.episode, query.input, self.style) for query in queries]

    def option_echoes(self, queries: Sequence[Query]) -> list[list[Echo]]:
        raise self._no_echo()

    def episode_echoes(self, episodes: Sequence[Episode]) -> list[Echo]:
        raise self._no_echo()

    def stop_fields(self) -> dict[str, Any]:
        return {}

    def read_output(self, text: str, finish_reason: FinishReason) -> tuple[str, FinishReason]:
        return text, finish_reason

    def most_tokens(self, prompt: Prompt) -> int:
        messages: Any = prompt
        return _TOKENS_AROUND + sum(len(message["content"].encode()) + 16 for message in messages)

    def _no_echo(self) -> ModelError:
        return ModelError(
            "a chat server gives no log-probabilities of text that it did not write, so outputs cannot be scored there; "
            "use --api completions where the server has it, or the model itself (hf/..., vllm/...)."
        )


def check_texts(asked: Iterable[Query | Episode], writer: Writer) -> None:
    """Raises DataError for half a surrogate pair, and, where the server tokenises text, for names of control tokens."""
    faults = []
    seen: set[int] = set()
    for number, one in enumerate(asked, 1):
        episode = one.episode if isinstance(one, Query) else one
        own = (one.input, *(one.options or ())) if isinstance(one, Query) else ()
        if id(episode) not in seen:
            seen.add(id(episode))
            own = (*own, *_texts(episode))
        for text in own:
            if text is not None and (fault := _text_fault(text, writer)):
                faults.append(f"{number} ({episode.task}): {fault}")
    if faults:
        raise DataError("texts for the server", [*faults[:20], *([f"and {len(faults) - 20} more"] if len(faults) > 20 else [])])


def check_options(queries: Iterable[Query], writer: Writer, *, read_from_text: bool) -> None:
    """Raises UsageError for no options or one twice, DataError for options that cannot be told apart.

    `read_from_text`: they are compared with what the model wrote, without the blanks around it.
    """
    faults: list[str] = []
    for options in {query.asked_options: None for query in queries}:
        if len(set(options)) < len(options):
            raise UsageError(f"options must be a list of different texts and not empty, not {list(options)[:12]}")
        if read_from_text and len({option.strip() for option in options}) < len(options):
            faults.append(f"options {list(options)[:12]} differ in blanks around them only; reword one.")
        faults += [f"option {option[:60]!r} is only blank; reword it." for option in options if not option.strip()]
        if isinstance(writer, TokenWriter):
            writer.template.encode_options(options)  # raises for those that are the same tokens, or none
        if writer.way == "text":
            bad = [option for option in options if _END_TEXT in option or option.endswith("\n")]
            faults += [
                f"option {option[:60]!r} holds or ends in the line break that ends an output; reword it." for option in bad
            ]
    if faults:
        raise DataError("options", faults[:20])


def _texts(episode: Episode) -> Iterable[str | None]:
    yield episode.description
    yield from episode.options or ()
    for example in episode.examples:
        yield example.input
        yield example.output


def _text_fault(text: str, writer: Writer) -> str | None:
    if text.isascii():
        encoded = True
    else:
        try:
            encoded = bool(text.encode()) or True
        except UnicodeEncodeError as error:
            half = ord(text[error.start])
            return f"half of a surrogate pair (U+{half:04X}) at character {error.start + 1:,}; no server takes one"
    if encoded and writer.way == "text" and (found := _CONTROL_NAMES.search(text)):
        return (
            f"{found.group()!r} at character {found.start() + 1:,} is the name of a control token, which a server may take it "
            "for; give the model's --tokenizer, so that token ids are sent, or change the text"
        )
    return None


def _ended(text: str) -> str:
    return f" {text}{_END_TEXT}"


def _colon(episode: Episode) -> tuple[str, list[tuple[int, int]]]:
    """The episode as `colon_layout` writes it, and where each output with its end stands."""
    parts = [] if episode.description is None else [f"Description:{_ended(episode.description)}"]
    spans, size = [], sum(map(len, parts))
    for example in episode.examples:
        before = "Output:" if example.input is None else f"Input:{_ended(example.input)}Output:"
        output = _ended(example.output)
        spans.append((size + len(before), size + len(before) + len(output)))
        parts += [before, output]
        size = spans[-1][1]
    return "".join(parts), spans


def _cut(text: str, end: str, lead: str, finish_reason: FinishReason) -> tuple[str, FinishReason]:
    """Without what a server that does not stop at the end wrote behind it."""
    output, found, _ = text.partition(end)
    return output.removeprefix(lead), "stop" if found and finish_reason == "length" else finish_reason
