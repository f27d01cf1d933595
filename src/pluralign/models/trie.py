"""Token sequences as a tree of shared beginnings, in which every token that sequences have in common stands once.

    a b c d          a b ──┬── c d
    a b c e    ->          │    └ e        a b c stand once, and so does what a model computes for them
    a b f                  └── f

Of each sequence some tokens are *read*: their probability given all before them is wanted. A token is read where the one
before it is computed, so the last token of a sequence never has to be computed, and the tree holds sequences without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Node", "PrefixTree", "Reads", "common_length", "grow_tree"]

IdArray = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A stretch of tokens that all sequences below it share, and the stretches that may follow."""

    ids: IdArray
    depth: int
    """Tokens before it on the path."""
    parent: Node | None = None
    first: int = 0
    """Number of its first token among the tree's tokens, which are numbered in preorder; the others follow."""
    children: list[Node] = field(default_factory=list)
    n_below: int = 0
    """Tokens of this stretch and of all below it."""

    @property
    def end(self) -> int:
        """Tokens on the path up to its end."""
        return self.depth + len(self.ids)

    @property
    def is_path(self) -> bool:
        """Whether nothing below it branches."""
        node = self
        while len(node.children) == 1:
            [node] = node.children
        return not node.children

    def preorder(self) -> list[Node]:
        """It and all below it; every node before its children."""
        found, waiting = [], [self]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += reversed(node.children)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """What is read where: each pair of a tree's token and the id of what may follow it once, sorted by the token."""

    token: IntArray
    """Number of the tree's token behind which is read [reads]."""
    next_id: IntArray
    """The id whose probability is wanted there [reads]."""
    of_sequence: list[IntArray]
    """For each sequence the reads that are its read tokens, in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTree:
    """Several trees, in fact: sequences that begin differently share nothing."""

    roots: list[Node]
    reads: Reads
    n_distinct: int
    """Different tokens, each counted once also where a beginning was not shared."""


def grow_tree(sequences: Sequence[IdArray], is_read: Sequence[BoolArray], *, fold: int = 0) -> PrefixTree:
    """The tree of these sequences [tokens] and the reads of their tokens where `is_read` [tokens]; not of a first token.

    A beginning of at most `fold` tokens is not shared: what branches off behind it gets its own copy, since to share a lone
    BOS costs more than it saves.
    """
    bodies = [ids[:-1] for ids in sequences]
    keys = [ids.astype(">u4").tobytes() for ids in bodies]  # as bytes they sort like the ids, and quickly
    order = sorted(range(len(bodies)), key=keys.__getitem__)
    roots, tips, n_distinct = _grown([bodies[n] for n in order], fold)
    _number(roots)
    tip_of = dict(zip(order, tips, strict=True))
    before = [np.flatnonzero(read) - 1 for read in is_read]
    tokens = [_tokens_at(tip_of[n], offsets) for n, offsets in enumerate(before)]
    next_ids = [ids[offsets + 1] for ids, offsets in zip(sequences, before, strict=True)]
    return PrefixTree(roots, _deduplicated(tokens, next_ids), n_distinct)


def _grown(bodies: list[IdArray], fold: int) -> tuple[list[Node], list[Node | None], int]:
    """The roots, for each of the sorted sequences the node where it ends (None for an empty one), and the distinct tokens."""
    roots: list[Node] = []
    tips: list[Node | None] = []
    path: list[Node] = []  # of the sequence before
    previous = np.empty(0, dtype=np.int32)
    n_distinct = 0
    for ids in bodies:
        shared = common_length(previous, ids)
        n_distinct += len(ids) - shared
        if shared <= fold and shared < len(ids):
            shared = 0
        while path and path[-1].depth >= shared:
            path.pop()
        if path and path[-1].end > shared:
            path[-1] = _split(path[-1], shared, roots)
        if shared < len(ids):
            node = Node(ids[shared:], shared, parent=path[-1] if path else None)
            (path[-1].children if path else roots).append(node)
            path.append(node)
        tips.append(path[-1] if path else None)
        previous = ids
    return roots, tips, n_distinct


def common_length(one: IdArray, other: IdArray) -> int:
    """Length of the shared beginning."""
    size = min(len(one), len(other))
    differ = one[:size] != other[:size]
    return int(differ.argmax()) if differ.any() else size


def _split(node: Node, at: int, roots: list[Node]) -> Node:
    """A new node for the part up to `at` tokens of the path; the node itself keeps the rest, and whoever ends there."""
    upper = Node(node.ids[: at - node.depth], node.depth, parent=node.parent, children=[node])
    siblings = roots if node.parent is None else node.parent.children
    siblings[-1] = upper  # the path of the last sequence runs along the last children
    node.ids, node.depth, node.parent = node.ids[at - node.depth :], at, upper
    return upper


def _number(roots: list[Node]) -> None:
    """Gives every token its number, and every node the size of what is below it."""
    total = 0
    for root in roots:
        nodes = root.preorder()
        for node in nodes:
            node.first = total
            total += len(node.ids)
        for node in reversed(nodes):
            node.n_below = len(node.ids) + sum(child.n_below for child in node.children)


def _tokens_at(tip: Node | None, offsets: IntArray) -> IntArray:
    """Numbers of the tree's tokens at these places of the path that ends in `tip`; `offsets` ascend."""
    found = np.empty(len(offsets), dtype=np.int64)
    stop, node = len(offsets), tip
    while stop and node is not None:
        start = int(np.searchsorted(offsets, node.depth))
        found[start:stop] = offsets[start:stop] - node.depth + node.first
        stop, node = min(start, stop), node.parent
    return found


def _deduplicated(tokens: list[IntArray], next_ids: list[IdArray]) -> Reads:
    none = np.empty(0, dtype=np.int64)
    pairs = np.concatenate([none, *tokens]) << 32 | np.concatenate([none, *next_ids])
    unique, inverse = np.unique(pairs, return_inverse=True)
    ends = np.cumsum([len(part) for part in tokens])
    of_sequence = [inverse[end - len(part) : end].astype(np.int64) for part, end in zip(tokens, ends, strict=True)]
    return Reads(unique >> 32, unique & 0xFFFFFFFF, of_sequence)
