"""Hundreds of thousands of turns as tokens at once, in a format that writes every turn in the same way.

Each turn is four segments, opening, text, end, after; each segment is a stretch of one table of ids, in which every different
text stands once:

    table   | opening of each role | the same, first in a sequence | end | after | text 0 | text 1 | ...
    turn    |   2 |  11 |   6 |   7 |          numbers of segments
    tokens  |  <output> ... | Heads | <end> | \\n |

So after each text has been tokenised once, the rest is numbers copied by numpy; nothing is done in Python for each turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.episodes import EpisodeColumns
from pluralign.models.content import IdArray, TextTable
from pluralign.models.layouts import ROLES, Grammar

__all__ = ["FlatEncoded", "encode_columns"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
_DESCRIPTION, _INPUT, _OUTPUT = range(len(ROLES))
_END, _AFTER, _TEXTS = 2 * len(ROLES), 2 * len(ROLES) + 1, 2 * len(ROLES) + 2


@dataclass(frozen=True, slots=True, eq=False)
class FlatEncoded:
    """Many episodes as tokens, one after another; the first three arrays are [tokens], as in `Encoded`."""

    ids: IdArray
    is_loss: BoolArray
    example_index: npt.NDArray[np.int32]
    starts: IntArray
    """Where each episode begins, and behind the last one where it ends [episodes + 1]."""

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Turns:
    """All arrays are [turns], in order."""

    role: IntArray
    text: IntArray
    example: IntArray
    is_loss: BoolArray
    is_first: BoolArray


def encode_columns(columns: EpisodeColumns, grammar: Grammar, texts: TextTable) -> FlatEncoded:
    """Every episode as tokens, equal to `Template.encode` on each; `texts` has the grammar's lead."""
    outputs, inputs, descriptions = (texts.numbers(part) for part in (columns.outputs, columns.inputs, columns.descriptions))
    turns, turns_before = _turns(columns.n_examples, outputs, inputs, descriptions)
    texts.learn()
    fixed = [side[role] for side in (grammar.openings, grammar.first_openings) for role in ROLES]
    fixed += [grammar.end, grammar.after]
    table = np.concatenate([np.array([number for ids in fixed for number in ids], dtype=np.int32), texts.ids])
    lengths = np.concatenate([np.array([len(ids) for ids in fixed], dtype=np.int64), texts.lengths])
    segments = np.empty((len(turns.role), 4), dtype=np.int64)
    segments[:, 0] = turns.role + len(ROLES) * turns.is_first
    segments[:, 1] = _TEXTS + turns.text
    segments[:, 2], segments[:, 3] = _END, _AFTER
    sizes = lengths[segments]
    starts = np.concatenate([[0], sizes.sum(axis=1).cumsum()])[turns_before]
    is_loss = np.zeros_like(segments, dtype=np.bool_)
    is_loss[:, 1:3] = turns.is_loss[:, None]
    body = FlatEncoded(
        ids=table[_gathered(lengths, segments.ravel(), sizes.ravel())],
        is_loss=np.repeat(is_loss.ravel(), sizes.ravel()),
        example_index=np.repeat(turns.example.astype(np.int32), sizes.sum(axis=1)),
        starts=starts,
    )
    return _with_starts(body, grammar)


def _turns(n_examples: IntArray, outputs: IntArray, inputs: IntArray, descriptions: IntArray) -> tuple[_Turns, IntArray]:
    """The turns, and how many come before each episode and in all [episodes + 1]."""
    described, asked = descriptions >= 0, inputs >= 0
    owner = np.repeat(np.arange(len(n_examples)), n_examples)
    first_example = n_examples.cumsum() - n_examples
    number = np.arange(len(outputs)) - first_example[owner]
    before = np.zeros(len(n_examples) + 1, dtype=np.int64)
    before[1:] = (n_examples + described + np.bincount(owner[asked], minlength=len(n_examples))).cumsum()
    # an output stands behind all descriptions of episodes up to its own, all outputs before it and all inputs up to its own
    place = described.cumsum()[owner] + np.arange(len(outputs)) + asked.cumsum()
    n_turns = int(before[-1])
    role = np.full(n_turns, _OUTPUT, dtype=np.int64)
    text, example, is_loss = np.zeros(n_turns, np.int64), np.full(n_turns, -1, np.int64), np.zeros(n_turns, np.bool_)
    text[place], example[place], is_loss[place] = outputs, number, (number > 0) | described[owner]
    at = place[asked] - 1
    role[at], text[at], example[at] = _INPUT, inputs[asked], number[asked]
    at = before[:-1][described]
    role[at], text[at] = _DESCRIPTION, descriptions[described]
    is_first = np.zeros(n_turns, dtype=np.bool_)
    is_first[before[:-1][np.diff(before) > 0]] = True
    return _Turns(role, text, example, is_loss, is_first), before


def _gathered(lengths: IntArray, segments: IntArray, sizes: IntArray) -> IntArray:
    """Places in the table of all tokens of these segments [tokens]."""
    begins, before = lengths.cumsum() - lengths, sizes.cumsum() - sizes
    shifts: IntArray = np.subtract(begins[segments], before)
    return np.repeat(shifts, sizes) + np.arange(int(sizes.sum()))


def _with_starts(body: FlatEncoded, grammar: Grammar) -> FlatEncoded:
    """With what begins each sequence, which belongs to no example."""
    if not grammar.start:
        return body
    n, at = len(grammar.start), np.repeat(body.starts[:-1], len(grammar.start))
    return FlatEncoded(
        ids=np.insert(body.ids, at, np.tile(np.array(grammar.start, dtype=np.int32), len(body))),
        is_loss=np.insert(body.is_loss, at, False),
        example_index=np.insert(body.example_index, at, -1),
        starts=body.starts + n * np.arange(len(body.starts)),
    )
