from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.errors import DataError, UsageError
from pluralign.raters import clusters as module
from pluralign.raters.clusters import cluster_by_swaps, cluster_by_sweeps
from reference.clusters import best_set, plain_python_sweeps, plain_sweeps, set_loss

FloatArray = npt.NDArray[np.float64]


def _losses(seed: int, n_raters: int, n_candidates: int) -> FloatArray:
    return np.random.default_rng(seed).gamma(2.0, 3.0, size=(n_raters, n_candidates))


def _planted(seed: int, *, n_raters: int = 600, k: int = 4, n_candidates: int = 40) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Each rater loses 10 under its own candidate and about 20 under others; the true candidates are the last k."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, size=n_raters)
    losses = rng.normal(20.0, 1.0, size=(n_raters, n_candidates))
    losses[np.arange(n_raters), n_candidates - k + truth] -= 10.0
    return losses, truth


# by hand


def test_the_steps_of_one_small_table() -> None:
    # start {0, 1}: min per rater 4, 1, 6 -> 11.
    # c=1, keep column 1 (5, 1, 9): with 0: 4+1+6 = 11; with 2: 0+1+8 = 9; with 3: 5+1+2 = 8 -> column 3.
    # c=2, keep column 3 (7, 8, 2): with 0: 4+3+2 = 9; with 1: 5+1+2 = 8; with 2: 0+7+2 = 9 -> stays. Loss 8.
    # second sweep: c=1, keep column 1: as before, 3 is best; nothing changes. Two sweeps.
    losses = [[4.0, 5.0, 0.0, 7.0], [3.0, 1.0, 7.0, 8.0], [6.0, 9.0, 8.0, 2.0]]
    found = cluster_by_sweeps(losses, 2)
    assert found.chosen.tolist() == [3, 1]
    assert found.loss == pytest.approx(8.0, abs=1e-12)
    assert found.assignment.tolist() == [1, 1, 0]
    assert (found.n_sweeps, found.k, found.n_candidates) == (2, 2, 4)


def test_one_cluster_is_the_column_with_the_lowest_sum() -> None:
    losses = _losses(0, 50, 9)
    for found in (cluster_by_sweeps(losses, 1), cluster_by_swaps(losses, 1, seed=0)):
        assert found.chosen.tolist() == [losses.sum(axis=0).argmin()]
        assert found.assignment.tolist() == [0] * 50


def test_ties_keep_what_is_there_and_go_to_the_first() -> None:
    same = np.ones((5, 4))
    found = cluster_by_sweeps(same, 2)
    assert found.chosen.tolist() == [0, 1]
    assert found.assignment.tolist() == [0] * 5
    twice = np.array([[9.0, 9.0, 1.0, 1.0], [9.0, 9.0, 1.0, 1.0]])  # columns 2 and 3 are equal: the first is taken
    assert cluster_by_sweeps(twice, 1).chosen.tolist() == [2]


# parity


@pytest.mark.parametrize(("n_raters", "n_candidates", "k"), [(1, 1, 1), (3, 7, 2), (60, 12, 5), (513, 20, 3), (1500, 30, 8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sweeps_equal_the_plain_reading(seed: int, n_raters: int, n_candidates: int, k: int) -> None:
    losses = _losses(seed, n_raters, n_candidates)
    chosen, loss, n_sweeps = plain_sweeps(losses, k)
    found = cluster_by_sweeps(losses, k)
    assert found.chosen.tolist() == chosen
    assert found.loss == loss
    assert found.n_sweeps == n_sweeps
    assert plain_python_sweeps(losses.tolist(), k)[0] == chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 9), st.data())
def test_sweeps_equal_the_plain_reading_where_losses_tie(
    seed: int, n_raters: int, n_candidates: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, n_candidates))
    losses = np.random.default_rng(seed).integers(0, 3, size=(n_raters, n_candidates)).astype(np.float64)
    chosen, loss, n_sweeps = plain_sweeps(losses, k)
    found = cluster_by_sweeps(losses, k)
    assert (found.chosen.tolist(), found.loss, found.n_sweeps) == (chosen, loss, n_sweeps)


@pytest.mark.parametrize(("factor", "shift"), [(1e-30, 0.0), (1e30, 0.0), (1e-7, 1.0), (1.0, 1e6), (1.0, -50.0)])
def test_no_choice_depends_on_float32(factor: float, shift: float) -> None:
    """Differences that float32 would lose, in the scale of the table or beside a large constant."""
    losses = _losses(3, 200, 15) * factor + shift
    chosen, loss, _ = plain_sweeps(losses, 4)
    found = cluster_by_sweeps(losses, 4)
    assert (found.chosen.tolist(), found.loss) == (chosen, loss)
    assert cluster_by_swaps(losses, 4, seed=0).loss <= loss


def test_two_candidates_that_only_float64_tells_apart() -> None:
    losses = np.full((100, 3), 5.0)
    losses[:, 1] = 1.0
    losses[:, 2] = 1.0
    losses[7, 2] -= 1e-12
    assert cluster_by_sweeps(losses, 1).chosen.tolist() == [2]
    assert cluster_by_swaps(losses, 1, seed=0).chosen.tolist() == [2]


def test_bounds_hold_the_true_losses() -> None:
    losses = _losses(5, 1100, 25)
    choice = module._Choice(module._Table(losses), [3, 1, 4])
    swaps = choice.screen_swaps()
    for position in range(3):
        one = choice.screen(position)
        for candidate in range(25):
            trial = [candidate if i == position else c for i, c in enumerate(choice.chosen)]
            true = set_loss(losses, trial)
            assert one.low[candidate] <= true <= one.high[candidate]
            assert swaps.low[position, candidate] <= true <= swaps.high[position, candidate]
    assert float((swaps.high - swaps.low).max()) < 1e-3 * choice.loss


# properties


@pytest.mark.parametrize("seed", range(12))
def test_swaps_are_never_worse_and_no_single_swap_helps(seed: int) -> None:
    losses = _losses(seed, 80, 14)
    swept, swapped = cluster_by_sweeps(losses, 4), cluster_by_swaps(losses, 4, seed=seed)
    assert swapped.loss <= swept.loss
    assert swapped.loss == set_loss(losses, swapped.chosen.tolist())
    assert len(set(swapped.chosen.tolist())) == 4
    for found in (swept, swapped):
        for position in range(4):
            for candidate in range(14):
                trial = [candidate if i == position else c for i, c in enumerate(found.chosen.tolist())]
                assert set_loss(losses, trial) >= found.loss


def test_more_starts_are_never_worse_and_reach_the_best_of_all_sets() -> None:
    losses = _losses(21, 40, 12)
    reached = [cluster_by_swaps(losses, 4, seed=0, n_starts=n).loss for n in (1, 2, 8, 30)]
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] == pytest.approx(best_set(losses, 4)[1], rel=1e-12)
    assert cluster_by_sweeps(losses, 4).loss > reached[-1]  # a table where the starts matter


def test_the_order_of_raters_does_not_matter() -> None:
    losses = _losses(8, 300, 20)
    order = np.random.default_rng(1).permutation(300)
    for find in (lambda t: cluster_by_sweeps(t, 5), lambda t: cluster_by_swaps(t, 5, seed=2)):
        here, there = find(losses), find(losses[order])
        assert here.chosen.tolist() == there.chosen.tolist()
        assert here.assignment[order].tolist() == there.assignment.tolist()
        assert here.loss == pytest.approx(there.loss, rel=1e-12)


def test_all_candidates_give_the_sum_of_row_minima() -> None:
    losses = _losses(9, 120, 7)
    for found in (cluster_by_sweeps(losses, 7), cluster_by_swaps(losses, 7, seed=0)):
        assert found.loss == pytest.approx(losses.min(axis=1).sum(), rel=1e-12)
        assert sorted(found.chosen.tolist()) == list(range(7))


def test_the_same_seed_gives_the_same_clusters() -> None:
    losses = _losses(10, 100, 30)
    one, two = (cluster_by_swaps(losses, 6, seed=4) for _ in range(2))
    assert one.chosen.tolist() == two.chosen.tolist()


def test_the_table_is_left_as_it_was() -> None:
    losses = _losses(11, 40, 10)
    copy = losses.copy()
    cluster_by_swaps(losses, 3, seed=0)
    assert (losses == copy).all()
    transposed = np.asfortranarray(losses)
    assert cluster_by_sweeps(transposed, 3).chosen.tolist() == cluster_by_sweeps(losses, 3).chosen.tolist()


# recovery


@pytest.mark.parametrize("seed", range(3))
def test_planted_groups_are_found(seed: int) -> None:
    losses, truth = _planted(seed)
    for found in (cluster_by_sweeps(losses, 4), cluster_by_swaps(losses, 4, seed=seed)):
        assert sorted(found.chosen.tolist()) == [36, 37, 38, 39]
        assert (found.chosen[found.assignment] - 36 == truth).all()


def test_new_raters_go_where_their_loss_is_lowest() -> None:
    losses, _ = _planted(4)
    found = cluster_by_sweeps(losses, 4)
    new, truth = _planted(5, n_raters=50)
    assert (found.chosen[found.assign(new)] - 36 == truth).all()
    assert found.assign(losses).tolist() == found.assignment.tolist()


# limits and errors


def test_max_sweeps_stops_early_with_the_loss_of_what_is_there() -> None:
    losses = _losses(0, 400, 40)  # four sweeps
    early, late = cluster_by_sweeps(losses, 6, max_sweeps=1), cluster_by_sweeps(losses, 6)
    assert early.n_sweeps == 1 < late.n_sweeps
    assert early.loss > late.loss
    assert early.loss == set_loss(losses, early.chosen.tolist())


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_outside_the_candidates_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match=r"must be 1\.\.3"):
        cluster_by_sweeps(np.ones((2, 3)), k)
    with pytest.raises(UsageError, match=r"must be 1\.\.3"):
        cluster_by_swaps(np.ones((2, 3)), k, seed=0)


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="max_sweeps is 0"):
        cluster_by_sweeps(np.ones((2, 3)), 1, max_sweeps=0)
    with pytest.raises(UsageError, match="n_starts is 0"):
        cluster_by_swaps(np.ones((2, 3)), 1, seed=0, n_starts=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_refused(bad: float) -> None:
    losses = np.ones((3, 4))
    losses[2, 1] = bad
    with pytest.raises(DataError, match=r"1 of 12 losses are not finite.*rater 2 under candidate 1.*floor"):
        cluster_by_sweeps(losses, 2)
    with pytest.raises(DataError, match="not finite"):
        cluster_by_sweeps(np.ones((3, 4)), 2).assign(losses)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_an_empty_or_flat_table_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="raters, candidates"):
        cluster_by_sweeps(np.ones(shape), 1)


def test_new_raters_need_the_same_candidates() -> None:
    found = cluster_by_sweeps(np.ones((2, 3)), 1)
    with pytest.raises(DataError, match="2 candidates, but the clusters were found among 3"):
        found.assign(np.ones((2, 2)))
