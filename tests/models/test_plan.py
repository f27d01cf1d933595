"""How trees are computed: every token once, behind what it needs, within the limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.token_strategies import Sequences, token_sequences
from pluralign.models.plan import Extend, Limits, Row, Rows, Step, plan_steps
from pluralign.models.trie import Node, PrefixTree, grow_tree

LIMITS = st.builds(Limits, row_tokens=st.sampled_from([1, 3, 8, 10**6]), batch_tokens=st.sampled_from([1, 4, 16, 64, 10**6]))


def _tree(*texts: str) -> PrefixTree:
    """Of these bodies; a last token that is only read is put behind each."""
    sequences = [np.array([ord(letter) for letter in text] + [0], dtype=np.int32) for text in texts]
    return grow_tree(sequences, [np.arange(len(ids)) == len(ids) - 1 for ids in sequences])


def _shown(steps: Iterator[Step]) -> list[str]:
    """Extend as "+stretch stretch", Rows as "[row | row]", a row's trees in preorder."""

    def text(nodes: list[Node]) -> str:
        return " ".join("".join(map(chr, node.ids)) for node in nodes)

    return [
        f"+{text(step.stretches)}"
        if isinstance(step, Extend)
        else f"[{' | '.join(', '.join(text(tree.preorder()) for tree in row.trees) for row in step.rows)}]"
        for step in steps
    ]


def _numbers(node: Node) -> list[int]:
    return list(range(node.first, node.first + len(node.ids)))


def _above(node: Node) -> list[int]:
    """Numbers of the tokens on the path before the node."""
    found: list[int] = []
    above = node.parent
    while above is not None:
        found = _numbers(above) + found
        above = above.parent
    return found


# by hand


def test_what_is_small_is_one_row() -> None:
    tree = _tree("abcd", "abce", "abf")
    assert _shown(plan_steps(tree.roots, Limits(row_tokens=6, batch_tokens=64))) == ["[ab c d e f]"]


def test_of_what_is_large_the_heaviest_path_is_kept_and_the_rest_follows() -> None:
    """6 tokens are below 'ab', 3 below 'c': with rows of 3 only 'ab' is kept; with rows of 2 'c' is too."""
    tree = _tree("abcd", "abce", "abf")
    assert _shown(plan_steps(tree.roots, Limits(row_tokens=3, batch_tokens=64))) == ["+ab", "[c d e, f]"]
    assert _shown(plan_steps(tree.roots, Limits(row_tokens=2, batch_tokens=64))) == ["+ab c", "[f, d, e]"]


def test_a_large_branch_is_kept_in_its_turn() -> None:
    tree = _tree("ab1234567", "ab1234589", "axyzuv", "axyzwt")
    steps = _shown(plan_steps(tree.roots, Limits(row_tokens=4, batch_tokens=64)))
    assert steps == ["+a b12345", "[67, 89]", "+xyz", "[uv, wt]"]


def test_sequences_that_share_nothing_are_causal_rows_of_any_length() -> None:
    tree = _tree("abcdef", "ghijkl", "mnop")
    assert _shown(plan_steps(tree.roots, Limits(row_tokens=1, batch_tokens=64))) == ["[abcdef | ghijkl]", "[mnop]"]


def test_the_mask_of_the_docstring() -> None:
    """A row 'ab' with 'cd' and 'e': e, at place 4, may look at a, b and e; c and d stop at 4."""
    [root] = _tree("abcd", "abe").roots
    places = Row([root], 5).places()
    assert "".join(map(chr, places.ids)) == "abcde"
    assert places.stop.tolist() == [5, 5, 4, 4, 5]
    assert places.position.tolist() == [0, 1, 2, 3, 2]
    assert places.number.tolist() == [0, 1, 2, 3, 4]
    assert places.attach.tolist() == [0, 0, 0, 0, 0]


def test_a_row_is_causal_only_where_nothing_branches() -> None:
    assert Row(_tree("abc").roots, 3).is_causal
    assert Row(_tree("abc", "ab").roots, 3).is_causal  # one ends inside the other
    assert not Row(_tree("abc", "abd").roots, 4).is_causal
    assert not Row(_tree("abc", "xyz").roots, 6).is_causal


# properties


@settings(max_examples=120, deadline=None)
@given(asked=token_sequences(n_ids=3, longest=10, most=14), limits=LIMITS, fold=st.integers(0, 2))
def test_every_token_is_computed_once_behind_its_own_path(asked: Sequences, limits: Limits, fold: int) -> None:
    tree = grow_tree(*asked, fold=fold)
    kept: list[int] = []
    computed: list[int] = []
    for step in plan_steps(tree.roots, limits):
        if isinstance(step, Extend):
            assert _above(step.stretches[0]) == kept[: step.stretches[0].depth]
            kept = kept[: step.stretches[0].depth]
            for node in step.stretches:
                assert _above(node) == kept
                kept = kept + _numbers(node)
                computed += _numbers(node)
            continue
        for row in step.rows:
            for root in row.trees:
                assert _above(root) == kept[: root.depth]
            computed += row.places().number.tolist()
    assert sorted(computed) == list(range(sum(root.n_below for root in tree.roots)))


@settings(max_examples=120, deadline=None)
@given(asked=token_sequences(n_ids=3, longest=10, most=14), limits=LIMITS)
def test_limits_hold(asked: Sequences, limits: Limits) -> None:
    """A batch has room for its padding, unless it is one row; a row is within its limit, unless it is causal or a lone tree."""
    for step in plan_steps(grow_tree(*asked).roots, limits):
        if isinstance(step, Rows):
            longest = max(row.n_tokens for row in step.rows)
            assert len(step.rows) == 1 or longest * len(step.rows) <= limits.batch_tokens
            assert all(tree.n_below <= limits.row_tokens or tree.is_path for row in step.rows for tree in row.trees)


@settings(max_examples=100, deadline=None)
@given(asked=token_sequences(n_ids=3, longest=6, most=10))
def test_the_mask_is_that_of_paths(asked: Sequences) -> None:
    """Of all places of a row: k <= q < stop[k] exactly if k is on q's path."""
    roots = grow_tree(*asked).roots
    row = Row(roots, sum(root.n_below for root in roots))
    places = row.places()
    path: dict[int, set[int]] = {}
    ids: dict[int, int] = {}
    for root in roots:
        for node in root.preorder():
            before = set(_above(node))
            for number, token in zip(_numbers(node), node.ids.tolist(), strict=True):
                before = before | {number}
                path[number], ids[number] = before, token
    assert [ids[n] for n in places.number.tolist()] == places.ids.tolist()
    for q, number in enumerate(places.number.tolist()):
        seen = {int(places.number[k]) for k in range(q + 1) if q < places.stop[k]}
        assert seen == path[number]
        assert places.position[q] == len(path[number]) - 1


@pytest.mark.parametrize("lengths", [[1000] * 5, [3] * 200, list(range(1, 400)), [2000, 10, 9, 8, 7, 6, 5, 4], [100, 99] * 30])
def test_little_padding(lengths: list[int]) -> None:
    """Sequences with nothing in common."""
    generator = np.random.default_rng(0)
    sequences = [generator.integers(0, 2**30, length + 1).astype(np.int32) for length in lengths]
    tree = grow_tree(sequences, [np.arange(len(ids)) == len(ids) - 1 for ids in sequences])
    limits = Limits(row_tokens=256, batch_tokens=2048)
    padded = sum(
        max(row.n_tokens for row in step.rows) * len(step.rows)
        for step in plan_steps(tree.roots, limits)
        if isinstance(step, Rows)
    )
    assert sum(lengths) <= padded <= 1.1 * sum(lengths)
