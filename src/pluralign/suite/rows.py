"""What many sources do with their rows: group them by person, letter their options, make one pool of them.

A task whose strands need more than this writes its own `strands`.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pluralign.episodes import Example
from pluralign.suite.task import Around, Kind, Split, Strand, Task

__all__ = ["grouped", "lettered", "letters", "pool_task", "python_literal"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def grouped(rows: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The rows of each key; keys in the order in which they first come.

    >>> grouped(["ab", "c", "ad"], key=lambda row: row[0])
    {'a': ['ab', 'ad'], 'c': ['c']}
    """
    groups: dict[K, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def letters(n: int) -> tuple[str, ...]:
    """The first n capital letters: labels of n options, at most 26."""
    return tuple(string.ascii_uppercase[:n])


def lettered(question: str, options: Sequence[str]) -> str:
    r"""A question with its options below, each behind its letter.

    >>> lettered("Is it?", ["Yes", "No"])
    'Is it?\nA: Yes\nB: No'
    """
    lines = [f"{letter}: {option}" for letter, option in zip(letters(len(options)), options, strict=True)]
    return "\n".join([question, *lines])


def python_literal(text: str | None) -> Any:
    """The list, mapping, text or number that a cell holds as Python prints it; None where it is none of these.

    >>> python_literal("['a', 1.5]"), python_literal("open('file')"), python_literal("{[]: 1}")
    (['a', 1.5], None, None)
    """
    try:
        return ast.literal_eval(text or "")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def pool_task(
    name: str,
    examples: Callable[[Any], Iterable[Example]],
    *,
    kind: Kind,
    split: Split,
    about: str,
    descriptions: Sequence[str],
    options: tuple[str, ...] | None = None,
    n_outputs: int | Around | None = None,
    n_episodes: int | None = 1,
    n_permutations: int = 1,
    max_total: int | None = None,
    files: tuple[str, ...] | None = None,
) -> Task:
    """A task with one strand, named like the task, of all examples that the loaded data give; see `Strand` and `Task`."""

    def strands(data: Any, seed: int) -> Iterator[Strand]:
        yield Strand(
            unit=name,
            examples=list(examples(data)),
            descriptions=descriptions,
            options=options,
            n_outputs=n_outputs,
            n_episodes=n_episodes,
            n_permutations=n_permutations,
            max_total=max_total,
        )

    return Task(name=name, kind=kind, split=split, strands=strands, about=about, files=files)
