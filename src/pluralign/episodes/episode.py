"""Episodes: the one currency between data, tuning and evaluation.

An episode is what one generating process shows: an optional description in words, then exchangeable (input ->) output pairs.
The process may be a person (`unit` is the rater's id), a population, a coin, a genre of text. `options` is the closed set of
answers, where there is one. As chat messages its roles are `description`, `input` and `output`, which are those that the
chat templates of the published Spectrum checkpoints take (Sorensen et al. 2025, arXiv 2510.06084).

Episodes are checked once, where they come in (`Episode.checked`, `read_episodes`, `from_messages`); whatever comes later
trusts them. A checked episode has no NUL and no half of a surrogate pair in any text, options that differ, and no output
that is outside its options. Nothing is repaired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluralign.episodes.checks import capped, faultless, record_faults
from pluralign.errors import DataError

__all__ = ["Attribute", "Episode", "Example", "from_messages", "to_messages"]

Attribute = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Example:
    """One output, and what it answers if it answers something."""

    output: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """What one generating process shows; made by `Episode.checked` when its parts come from outside.

    >>> coin = Episode.checked("coin", [Example("heads"), Example("tails")], options=["heads", "tails"])
    >>> coin.examples[0].output, coin.description
    ('heads', None)
    """

    task: str
    examples: tuple[Example, ...]
    description: str | None = None
    options: tuple[str, ...] | None = None
    """The closed set of answers; None where any text may come."""
    unit: str | None = None
    """Id of the process, e.g. of the rater."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict, hash=False)

    @classmethod
    def checked(
        cls,
        task: str,
        examples: Iterable[Example],
        description: str | None = None,
        options: Iterable[str] | None = None,
        unit: str | None = None,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Episode:
        """The episode, or a DataError with all that is wrong with it."""
        given = tuple(examples)
        allowed = options if options is None or isinstance(options, str) else tuple(options)
        if not isinstance(allowed, str) and set(map(type, given)) <= {Example}:
            outputs, inputs = [e.output for e in given], [e.input for e in given if e.input is not None]
            names = [task, *(text for text in (description, unit) if text is not None)]
            if faultless(outputs, inputs, names=names, options=allowed, attributes=attributes):
                return cls(task, given, description, allowed, unit, dict(attributes or {}))
        record = {
            "task": task,
            "examples": [_example_dict(e) if isinstance(e, Example) else e for e in given],
            "description": description,
            "options": allowed,
            "unit": unit,
            "attributes": attributes,
        }
        return cls.from_dict(record)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Episode:
        """The episode of an object as in JSON lines; raises DataError with all that is wrong with it."""
        faults = record_faults(record)
        if faults:
            raise DataError("episode", capped(faults, len(faults)))
        return cls.of_checked(record)

    @classmethod
    def of_checked(cls, record: Mapping[str, Any]) -> Episode:
        """The episode of an object that `checks.record_faults` finds nothing wrong with."""
        options = record.get("options")
        return cls(
            task=record["task"],
            examples=tuple(Example(example["output"], example.get("input")) for example in record["examples"]),
            description=record.get("description"),
            options=None if options is None else tuple(options),
            unit=record.get("unit"),
            attributes=dict(record.get("attributes") or {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; fields that say nothing are left out."""
        record = {
            "task": self.task,
            "examples": [_example_dict(example) for example in self.examples],
            "description": self.description,
            "options": None if self.options is None else list(self.options),
            "unit": self.unit,
            "attributes": dict(self.attributes) or None,
        }
        return {name: value for name, value in record.items() if value is not None}

    def content_hash(self) -> str:
        """SHA-256 of the content as 64 hexadecimal digits, the same in every session and on every machine.

        The order of the attributes does not count, that of the examples and options does.
        """
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


# chat messages


def to_messages(episode: Episode) -> list[dict[str, str]]:
    """The description, then of each example its input and its output, as messages with these roles.

    Task, options, unit and attributes have no place in messages; `from_messages` takes them beside.

    >>> to_messages(Episode("sum", (Example("2", "1 + 1"),)))
    [{'role': 'input', 'content': '1 + 1'}, {'role': 'output', 'content': '2'}]
    """
    turns = [("description", episode.description)]
    for example in episode.examples:
        turns += [("input", example.input), ("output", example.output)]
    return [{"role": role, "content": text} for role, text in turns if text is not None]


def from_messages(
    messages: Sequence[Mapping[str, Any]],
    task: str,
    *,
    options: Iterable[str] | None = None,
    unit: str | None = None,
    attributes: Mapping[str, Attribute] | None = None,
) -> Episode:
    """The episode that `to_messages` gives these messages for. Raises DataError with all that is wrong."""
    examples: list[Example] = []
    description: str | None = None
    waiting: str | None = None
    faults: list[str] = []
    for n, message in enumerate(messages, 1):
        role, text = message.get("role"), message.get("content")
        if not isinstance(text, str):
            faults.append(f"message {n}: content must be text, not {text!r:.60}")
            text = ""
        if waiting is not None and role != "output":
            faults.append(f"message {n}: after an input comes its output, not {role!r}")
        if role == "output":
            examples.append(Example(text, waiting))
            waiting = None
        elif role == "input":
            waiting = text
        elif role == "description" and n == 1:
            description = text
        else:
            faults.append(f"message {n}: role {role!r}; allowed are 'description' (first only), 'input' and 'output'")
    if waiting is not None:
        faults.append("the last message is an input without its output; what is asked next is no part of an episode")
    if faults:
        raise DataError("messages", capped(faults, len(faults)))
    return Episode.checked(task, examples, description, options, unit, attributes)


def _example_dict(example: Example) -> dict[str, str]:
    return {"output": example.output} | ({} if example.input is None else {"input": example.input})
