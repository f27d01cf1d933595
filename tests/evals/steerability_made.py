"""Tasks made up for tests of steerability, as a source of the suite, and records that no model was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.episodes import Example
from pluralign.evals.steerability import RECORD_SCHEMA
from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.task import Strand, Task

NAME = "made"
PEOPLE = {"dan": "aba", "ann": "abbabbab", "eve": "bab", "bob": "aabccaaa", "fay": "abb", "cyd": "bbabbabba", "gus": "aaa"}
"""Person to all that the person says, a letter each: k x sequences is 2 x 7 at k = 2, 7 x 3 at k = 7, 8 x 1 at k = 8."""
OPTIONS = ("a", "b", "c")


def _people(people: Mapping[str, str], options: tuple[str, ...] | None = OPTIONS) -> Any:
    def strands(data: Any, seed: int) -> Iterator[Strand]:
        for name, said in people.items():
            examples = [Example(letter, f"{name} {n}") for n, letter in enumerate(said)]
            yield Strand(unit=name, examples=examples, descriptions=("One person.",), options=options)

    return strands


def _twice(data: Any, seed: int) -> Iterator[Strand]:
    for name, said in PEOPLE.items():
        yield Strand(unit=name, examples=[Example(letter) for letter in said], n_episodes=2, options=OPTIONS)


def _pool(data: Any, seed: int) -> Iterator[Strand]:
    examples = [Example("ab"[n % 2], str(n)) for n in range(24)]
    yield Strand(unit="pool", examples=examples, descriptions=("A pool.",), n_outputs=4, n_episodes=None)


def _none(data: Any, seed: int) -> Iterator[Strand]:
    yield from ()


TASKS: dict[str, Any] = {
    "made_people": _people(PEOPLE),
    "made_open": _people(PEOPLE, None),
    "made_twice": _twice,
    "made_pool": _pool,
    "made_many": _people({f"p{n}": "ab" for n in range(1100)}),
    "made_pair": _people({"ann": "ab", "bob": "ba", "cyd": "bb"}),
    "made_single": _people({"ann": "a", "bob": "b"}),
    "made_none": _none,
}
SOURCE = Source(
    Card(
        name=NAME,
        what="Made up.",
        citation="none",
        licence="none needed",
        access=Simulated(),
        ran_on_real_file=True,
        unit="speaker",
    ),
    lambda folder: None,
    tuple(Task(name=name, kind="individual", split="test", strands=strands) for name, strands in TASKS.items()),
)


def made_records(
    logprobs: npt.NDArray[np.float64], *, units: Sequence[str] | None = None, options: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """Records of one answered task from log-probabilities [sequences, k*], of outputs after 1..k* examples."""
    n, k_star = logprobs.shape
    whose = units or [f"u{i}" for i in range(n)]
    rows = [
        {
            "task": "t",
            "item": f"{whose[i]}/{i}/{k}",
            "unit": whose[i],
            "unit_name": "person",
            "sequence": f"{whose[i]}/{i}",
            "k": k,
            "k_star": k_star,
            "logprob": float(logprobs[i, k - 1]),
            "is_argmax": bool(logprobs[i, k - 1] > -0.5),
            "floor_logprob": -1.0,
            "floor_is_argmax": k % 2 == 0,
            "outcome": "ok",
            "output": "a",
        }
        for i in range(n)
        for k in range(1, k_star + 1)
    ]
    return pl.DataFrame(rows, schema=RECORD_SCHEMA)
