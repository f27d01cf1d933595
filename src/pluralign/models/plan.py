"""How a tree of shared beginnings is computed: what is kept as a prefix, and what goes through the model together.

A *row* is a forest of stretches, laid out in preorder, that branches off from the prefix that is kept. A token at place q of
its row may look at the prefix up to where its stretch branches off, and at place k of its row exactly if k is on its own path,
which in preorder is: k <= q, and q comes before the end of all that is below k's stretch (`stop[k]`). So one vector says the
whole tree-shaped mask:

    tokens   a b ──┬─ c d      laid out  a b c d e        e, at place 4, may look at a, b, e:
                   └─ e        stop      5 5 4 4 5        c and d stop at 4

The cost rule. What is below a node is one row if it has at most `row_tokens` tokens: scores between all pairs of a row are
computed, half of them for nothing, so rows must not be long. Of anything larger the stretches that lead to its largest part
are computed first, causally, and kept as a prefix; all that branches off from them follows. A stretch that nothing branches
off from is a causal row unless it is too long for one call. Only one path is ever kept.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.models.trie import Node

__all__ = ["Extend", "Limits", "Places", "Row", "Rows", "Step", "plan_steps"]

IntArray = npt.NDArray[np.int64]

MAX_PADDING = 1.05
"""A batch's tokens with padding, at most, beside those without, while more than a few rows are left."""
SHORT_ROW = 64
"""Rows up to this length cost no more than shorter ones, and are easier to fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a device has room for, and what is quick on it."""

    row_tokens: int
    """The largest tree that is one row."""
    batch_tokens: int
    """Tokens, with padding, in one call."""
    cache_tokens: int = 4096
    """Tokens of rows that are drawn together, whose keys and values are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the tokens of a row stand; all arrays are [tokens]."""

    ids: npt.NDArray[np.int32]
    number: IntArray
    """In the tree."""
    position: IntArray
    """On the path from the beginning."""
    attach: IntArray
    """How much of the prefix the token may look at."""
    stop: IntArray
    """The place in the row before which what is below the token's stretch ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Trees side by side, none of which sees another."""

    trees: list[Node]
    n_tokens: int

    @property
    def is_causal(self) -> bool:
        """Nothing branches: each token may look at all before it."""
        return len(self.trees) == 1 and self.trees[0].is_path

    def places(self) -> Places:
        """Its tokens in preorder."""
        nodes, attach = [], []
        for tree in self.trees:
            below = tree.preorder()
            nodes += below
            attach += [tree.depth] * len(below)
        lengths = np.array([len(node.ids) for node in nodes])
        starts = np.cumsum(lengths) - lengths
        within = np.arange(self.n_tokens) - np.repeat(starts, lengths)
        return Places(
            ids=np.concatenate([node.ids for node in nodes]),
            number=within + np.repeat([node.first for node in nodes], lengths),
            position=within + np.repeat([node.depth for node in nodes], lengths),
            attach=np.repeat(attach, lengths),
            stop=np.repeat(starts + [node.n_below for node in nodes], lengths),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Extend:
    """Keep the prefix up to where the first of these stretches begins; compute them, one after the other, and keep them too."""

    stretches: list[Node]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Compute these rows behind the prefix, in one call; keep nothing of them."""

    rows: list[Row]


Step = Extend | Rows


def plan_steps(roots: list[Node], limits: Limits, *, keeps_prefix: bool = True) -> Iterator[Step]:
    """The steps that compute every token of the trees once; all roots are rows, however long, where no prefix can be kept."""
    small, large = _by_size(roots, limits) if keeps_prefix else (roots, [])
    yield from _batches(small, limits, is_behind_prefix=False)
    waiting = large[::-1]
    while waiting:
        spine = _spine(waiting.pop(), limits)
        yield Extend(spine)
        branches = [c for node, on in zip(spine, [*spine[1:], None], strict=True) for c in node.children if c is not on]
        small, large = _by_size(branches, limits)
        yield from _batches(small, limits, is_behind_prefix=True)
        waiting += large  # the deepest is on top: what it branches off from is still kept when its turn comes


def _by_size(nodes: list[Node], limits: Limits) -> tuple[list[Node], list[Node]]:
    """Those that are rows, and those that are not."""
    is_row = [n.n_below <= limits.batch_tokens and (n.n_below <= limits.row_tokens or n.is_path) for n in nodes]
    rows = [node for node, small in zip(nodes, is_row, strict=True) if small]
    return rows, [node for node, small in zip(nodes, is_row, strict=True) if not small]


def _spine(node: Node, limits: Limits) -> list[Node]:
    """The stretch and those behind it that lead to its largest part."""
    spine = [node]
    while spine[-1].children:
        heaviest = max(spine[-1].children, key=lambda child: child.n_below)
        if heaviest.n_below <= min(limits.row_tokens, limits.batch_tokens):
            break
        spine.append(heaviest)
    return spine


def _batches(trees: list[Node], limits: Limits, *, is_behind_prefix: bool) -> Iterator[Rows]:
    """Rows of like lengths together: causal ones that nothing stands before by themselves, since they are quicker so."""
    causal = [] if is_behind_prefix else [tree for tree in trees if tree.is_path]
    alone = set(map(id, causal))
    packed = _packed([tree for tree in trees if id(tree) not in alone], min(SHORT_ROW, limits.batch_tokens))
    for rows in ([Row([tree], tree.n_below) for tree in causal], packed):
        yield from _cut(sorted(rows, key=lambda row: -row.n_tokens), limits)


def _packed(trees: list[Node], least: int) -> list[Row]:
    """Trees side by side in rows as long as the longest, each where it leaves the least room (best fit decreasing)."""
    ordered = sorted(trees, key=lambda tree: -tree.n_below)
    size = max(ordered[0].n_below, least) if ordered else 0
    bins: list[list[Node]] = []
    free: list[tuple[int, int]] = []  # room left and the bin's number, sorted
    for tree in ordered:
        at = bisect.bisect_left(free, (tree.n_below, -1))
        if at < len(free):
            room, number = free.pop(at)
            bins[number].append(tree)
        else:
            room, number = size, len(bins)
            bins.append([tree])
        bisect.insort(free, (room - tree.n_below, number))
    return [Row(trees, sum(tree.n_below for tree in trees)) for trees in bins]


def _cut(rows: list[Row], limits: Limits) -> Iterator[Rows]:
    """Batches of rows, the longest first, within the limit of tokens and with little padding."""
    batch: list[Row] = []
    real = 0
    for row in rows:
        if batch:
            padded = batch[0].n_tokens * (len(batch) + 1)
            wasteful = padded > MAX_PADDING * (real + row.n_tokens) and padded - real - row.n_tokens > limits.row_tokens // 4
            if padded > limits.batch_tokens or wasteful:
                yield Rows(batch)
                batch, real = [], 0
        batch.append(row)
        real += row.n_tokens
    if batch:
        yield Rows(batch)
