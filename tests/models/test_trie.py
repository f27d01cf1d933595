"""The tree of shared beginnings, by hand and against sets of beginnings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.token_strategies import Sequences, token_sequences
from pluralign.models.trie import Node, PrefixTree, common_length, grow_tree


def _ids(text: str) -> np.ndarray:
    return np.array([ord(letter) for letter in text], dtype=np.int32)


def _text(node: Node) -> str:
    return "".join(map(chr, node.ids))


def _all_but_first(sequences: list[np.ndarray]) -> list[np.ndarray]:
    return [np.arange(len(ids)) > 0 for ids in sequences]


def _paths(tree: PrefixTree) -> dict[int, tuple[int, ...]]:
    """Of every token's number the ids from the beginning up to it."""
    found: dict[int, tuple[int, ...]] = {}
    waiting: list[tuple[Node, tuple[int, ...]]] = [(root, ()) for root in tree.roots]
    while waiting:
        node, before = waiting.pop()
        assert node.depth == len(before)
        for n, token in enumerate(node.ids.tolist()):
            before = (*before, token)
            assert node.first + n not in found
            found[node.first + n] = before
        waiting += [(child, before) for child in node.children]
    return found


# by hand


def test_the_tree_of_the_docstring() -> None:
    """Bodies, without the last token, are abcd, abce and abf: 'ab' once, then 'c' with 'd' and 'e' behind it, and 'f'."""
    sequences = [_ids("abce."), _ids("abf."), _ids("abcd.")]
    tree = grow_tree(sequences, _all_but_first(sequences))
    [root] = tree.roots
    assert [_text(node) for node in root.preorder()] == ["ab", "c", "d", "e", "f"]
    assert [(node.depth, node.first, node.n_below) for node in root.preorder()] == [
        (0, 0, 6),
        (2, 2, 3),
        (3, 3, 1),
        (3, 4, 1),
        (2, 5, 1),
    ]
    assert tree.n_distinct == 6
    # read behind a: b; behind b: c and f; behind c: d and e; behind d, e and f: the point
    assert tree.reads.token.tolist() == [0, 1, 1, 2, 2, 3, 4, 5]
    assert "".join(map(chr, tree.reads.next_id)) == "bcfde..."
    assert [reads.tolist() for reads in tree.reads.of_sequence] == [[0, 1, 4, 6], [0, 2, 7], [0, 1, 3, 5]]


def test_a_sequence_may_end_inside_a_stretch_of_another_and_come_twice() -> None:
    sequences = [_ids("abcd"), _ids("ab"), _ids("abcd"), _ids("a")]
    tree = grow_tree(sequences, [np.arange(len(ids)) == len(ids) - 1 for ids in sequences[:3]] + [np.zeros(1, dtype=bool)])
    assert [_text(node) for root in tree.roots for node in root.preorder()] == ["a", "bc"]
    assert [reads.tolist() for reads in tree.reads.of_sequence] == [[1], [0], [1], []]
    assert tree.n_distinct == 3


def test_a_short_beginning_is_copied_where_fold_says_so() -> None:
    sequences = [_ids("abc."), _ids("abd."), _ids("axy.")]
    counts = {}
    for fold in range(4):
        tree = grow_tree(sequences, _all_but_first(sequences), fold=fold)
        counts[fold] = [sorted(_text(node) for node in root.preorder()) for root in tree.roots]
        assert tree.n_distinct == 6  # a, b, c, d, x, y
    assert counts[0] == [["a", "b", "c", "d", "xy"]]
    assert counts[1] == [["ab", "c", "d"], ["axy"]]
    assert counts[2] == counts[3] == [["abc"], ["abd"], ["axy"]]


def test_nothing_gives_no_trees() -> None:
    tree = grow_tree([], [])
    assert tree.roots == []
    assert tree.reads.of_sequence == []
    assert len(tree.reads.token) == len(tree.reads.next_id) == tree.n_distinct == 0


def test_ids_sort_as_numbers_whatever_their_bytes() -> None:
    """256 is 00 01 in the bytes of this machine, and 1 is 01 00: sorted so, sequences that share a beginning would part."""
    sequences = [np.array(ids, dtype=np.int32) for ids in ([256, 1, 9], [1, 256, 9], [256, 2, 9], [262_143, 7, 9], [256, 1, 8])]
    tree = grow_tree(sequences, _all_but_first(sequences))
    assert [root.ids[0] for root in tree.roots] == [1, 256, 262_143]
    assert tree.n_distinct == 2 + 3 + 2


@pytest.mark.parametrize(
    ("one", "other", "length"), [("", "", 0), ("", "a", 0), ("abc", "abd", 2), ("ab", "abc", 2), ("b", "a", 0), ("ab", "ab", 2)]
)
def test_common_length(one: str, other: str, length: int) -> None:
    assert common_length(_ids(one), _ids(other)) == common_length(_ids(other), _ids(one)) == length


# properties


@settings(max_examples=100, deadline=None)
@given(asked=token_sequences(n_ids=4, longest=8), fold=st.integers(0, 5))
def test_every_read_stands_behind_its_beginning(asked: Sequences, fold: int) -> None:
    sequences, is_read = asked
    tree = grow_tree(sequences, is_read, fold=fold)
    paths = _paths(tree)
    assert sorted(paths) == list(range(len(paths)))
    for ids, read, reads in zip(sequences, is_read, tree.reads.of_sequence, strict=True):
        expected = [(tuple(ids[:n].tolist()), ids[n]) for n in np.flatnonzero(read)]
        assert [(paths[tree.reads.token[r]], tree.reads.next_id[r]) for r in reads] == expected
    pairs = list(zip(tree.reads.token.tolist(), tree.reads.next_id.tolist(), strict=True))
    assert pairs == sorted(set(pairs))


@settings(max_examples=100, deadline=None)
@given(asked=token_sequences(n_ids=4, longest=8), fold=st.integers(0, 5))
def test_every_shared_token_stands_once(asked: Sequences, fold: int) -> None:
    """Beginnings longer than `fold` stand once, and all beginnings together are those of the bodies."""
    tree = grow_tree(*asked, fold=fold)
    beginnings = {tuple(ids[: n + 1].tolist()) for ids in asked[0] for n in range(len(ids) - 1)}
    paths = list(_paths(tree).values())
    assert set(paths) == beginnings
    assert tree.n_distinct == len(beginnings)
    long = [path for path in paths if len(path) > fold]
    assert len(long) == len(set(long))
    if fold == 0:
        assert len(paths) == len(beginnings)


@settings(max_examples=60, deadline=None)
@given(asked=token_sequences(n_ids=4, longest=8))
def test_nodes_know_what_is_below_them(asked: Sequences) -> None:
    for root in grow_tree(*asked).roots:
        for node in root.preorder():
            below = node.preorder()
            assert node.n_below == sum(len(one.ids) for one in below)
            assert node.is_path == all(len(one.children) < 2 for one in below)
            assert node.end == node.depth + len(node.ids)
            assert all(child.parent is node and child.depth == node.end for child in node.children)
            numbers = np.concatenate([np.arange(one.first, one.first + len(one.ids)) for one in below])
            assert (numbers == np.arange(node.first, node.first + node.n_below)).all()  # preorder
            assert len({int(child.ids[0]) for child in node.children}) == len(node.children)
