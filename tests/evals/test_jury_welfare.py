from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.evals import jury_welfare
from pluralign.evals.juries import Composition, Seats
from pluralign.evals.jury_welfare import (
    GRID,
    Verdicts,
    candidate_statistics,
    estimated,
    preferred,
    response_preferences,
    welfare_of,
)
from pluralign.metrics import p_mean


def verdicts(
    utilities: np.ndarray, *, is_candidate: np.ndarray | None = None, composition: Composition | None = None
) -> Verdicts:
    n_prompts, n_responses, n_jurors = utilities.shape
    return Verdicts(
        prompts=tuple(f"q{n}" for n in range(n_prompts)),
        responses=tuple("abcdef"[:n_responses]),
        jurors=tuple(f"j{n}" for n in range(n_jurors)),
        utilities=utilities,
        is_candidate=np.ones((n_prompts, n_responses), dtype=bool) if is_candidate is None else is_candidate,
        composition=composition,
    )


TABLE = np.array([[[1.0, 0.5], [0.6, 0.6]], [[0.2, 0.8], [0.4, 0.4]]])  # two prompts, responses a and b, two jurors


def test_welfare_by_hand() -> None:
    one = verdicts(TABLE)
    # mean: 3/4, 3/5; 1/2, 2/5. minimum: 1/2, 3/5; 1/5, 2/5
    np.testing.assert_allclose(welfare_of(one, 1.0), [[3 / 4, 3 / 5], [1 / 2, 2 / 5]], atol=1e-12)
    np.testing.assert_allclose(welfare_of(one, -math.inf), [[1 / 2, 3 / 5], [1 / 5, 2 / 5]], atol=1e-12)
    assert preferred(one, 1.0) == [("a",), ("a",)]
    assert preferred(one, -math.inf) == [("b",), ("b",)]
    # weights 3 : 1 of a jury of three of the first kind and one of the second
    jury = Composition((Seats(3, ()), Seats(1, ())), ((0,), (1,)))
    np.testing.assert_allclose(welfare_of(verdicts(TABLE, composition=jury), 1.0)[0], [7 / 8, 3 / 5], atol=1e-12)


def test_score_floor_and_ceiling_by_hand() -> None:
    one = verdicts(TABLE)
    picks = np.array([[0.25, 0.75], [1.0, 0.0]])
    model, floor, ceiling, a, b = (e.value for e in estimated(one, 1.0, candidate_statistics(one, picks), seed=0))
    # (1/4 x 3/4 + 3/4 x 3/5 + 1/2) / 2 = (51/80 + 40/80) / 2 = 91/160
    assert model == pytest.approx(91 / 160, abs=1e-12)
    assert floor == pytest.approx((27 / 40 + 18 / 40) / 2, abs=1e-12)
    assert ceiling == pytest.approx((3 / 4 + 1 / 2) / 2, abs=1e-12)
    assert (a, b) == (pytest.approx(5 / 8, abs=1e-12), pytest.approx(1 / 2, abs=1e-12))


def test_a_juror_without_all_answers_is_left_out_of_the_prompt() -> None:
    table = TABLE.copy()
    table[0, 1, 0] = math.nan  # the first juror says nothing of b
    one = verdicts(table)
    assert one.present.tolist() == [[False, True], [True, True]]
    np.testing.assert_allclose(welfare_of(one, 1.0)[0], [1 / 2, 3 / 5], atol=1e-12)
    # a response that nobody judged, as what was never written, takes nobody out
    table[0, 1] = math.nan
    one = verdicts(table)
    assert one.present.all()
    assert welfare_of(one, 1.0)[0, 0] == pytest.approx(3 / 4, abs=1e-12)
    assert math.isnan(welfare_of(one, 1.0)[0, 1])
    assert preferred(verdicts(np.full((1, 2, 2), math.nan)), 1.0) == [()]


def test_what_the_model_wrote_is_no_candidate() -> None:
    one = verdicts(TABLE, is_candidate=np.array([[True, False], [True, False]]))
    values = [e.value for e in estimated(one, 1.0, candidate_statistics(one, np.tile([0.0, 1.0], (2, 1))), seed=0)]
    assert values[:3] == [pytest.approx(1 / 2, abs=1e-12), pytest.approx(5 / 8, abs=1e-12), pytest.approx(5 / 8, abs=1e-12)]


def test_no_answer_is_not_0() -> None:
    one = verdicts(TABLE)
    picks = np.array([[np.nan, np.nan], [1.0, 0.0]])
    model = estimated(one, 1.0, candidate_statistics(one, picks), seed=0)[0]
    assert not model.is_defined  # a quarter of the resamples of two prompts hold the one without an answer only
    everything = np.vstack([TABLE, TABLE, TABLE, TABLE])
    picks = np.tile([1.0, 0.0], (8, 1))
    picks[0] = np.nan
    one = verdicts(everything)
    assert estimated(one, 1.0, candidate_statistics(one, picks), seed=0)[0].value == pytest.approx(
        (3 * 3 / 4 + 4 * 1 / 2) / 7, abs=1e-12
    )


def slow_draws(one: Verdicts, p: float) -> np.ndarray:
    """Mean welfare of every response in every resample, one resample, prompt and response after the other."""
    draws = []
    prompts = jury_welfare._counts(len(one.prompts), 3)
    jurors = jury_welfare._counts(len(one.jurors), 3 + 7919)
    for of_prompts, of_jurors in zip(prompts, jurors, strict=True):
        row = []
        for r in range(len(one.responses)):
            values = [float(p_mean(one.utilities[x, r], p, weights=of_jurors)) for x in range(len(one.prompts))]
            row.append(sum(w * v for w, v in zip(of_prompts, values, strict=True)) / of_prompts.sum())
        draws.append(row)
    return np.array(draws)


@pytest.mark.parametrize("p", [-1.0, 0.0, 0.5, 1.0])
def test_intervals_equal_those_of_a_slow_bootstrap(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jury_welfare, "N_RESAMPLES", 60)
    monkeypatch.setattr(jury_welfare, "CELLS", 100)  # several blocks
    one = verdicts(np.random.default_rng(0).random((4, 2, 6)) + 0.05)
    found = estimated(one, p, lambda welfare: welfare, seed=3)
    slow = slow_draws(one, p)
    for estimate, column in zip(found, slow.T, strict=True):
        np.testing.assert_allclose([estimate.low, estimate.high], np.percentile(column, [2.5, 97.5]), rtol=1e-10)
    assert (found[0].unit, found[0].n) == ("prompt and juror", 4)


def test_what_is_resampled() -> None:
    table = np.random.default_rng(0).random((5, 2, 9)) + 0.05
    one = verdicts(table)
    units = {p: (e.unit, e.n) for p in GRID for e in [estimated(one, p, lambda welfare: welfare, seed=0)[0]]}
    assert units[-math.inf] == units[-5.0] == units[math.inf] == ("prompt", 5)
    assert units[-1.0] == units[1.0] == ("prompt and juror", 5)
    single = one.take([2])
    assert estimated(single, 1.0, lambda welfare: welfare, seed=0)[0].unit == "juror"
    assert estimated(single, 1.0, lambda welfare: welfare, seed=0)[0].n == 9
    assert "nothing to resample" in str(estimated(single, -math.inf, lambda welfare: welfare, seed=0)[0].why_undefined)


def test_groups_of_a_jury_keep_their_seats_in_every_resample() -> None:
    table = np.zeros((3, 1, 10))
    table[:, 0, :2] = 1.0  # the two of the first group like it, the eight others do not
    jury = Composition((Seats(6, ()), Seats(6, ())), ((0, 1), tuple(range(2, 10))))
    [found] = estimated(verdicts(table, composition=jury), 1.0, lambda welfare: welfare, seed=0)
    assert (found.value, found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))


def world(seed: int, n_prompts: int = 25, n_jurors: int = 40) -> np.ndarray:
    """Utilities of responses a and b; jurors differ, in general and in what they think of each."""
    rng = np.random.default_rng(seed)
    of_prompt, of_juror = rng.normal(0, 0.7, (n_prompts, 2, 1)), rng.normal(0, 0.7, (1, 1, n_jurors))
    rest = rng.normal(0, 0.7, (1, 2, n_jurors)) + rng.normal(0, 0.5, (n_prompts, 2, n_jurors))
    return np.asarray(1 / (1 + np.exp(-(of_prompt + of_juror + rest + np.array([0.5, 0.0])[:, None]))))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_intervals_hold_the_truth(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jury_welfare, "N_RESAMPLES", 300)
    many = world(999, 200, 3000)
    truth = p_mean(many, p).mean(axis=0)
    hits = np.zeros(2)
    for seed in range(100):
        one = verdicts(world(seed))
        a = estimated(one, p, lambda welfare: welfare, seed=seed)[0]
        [difference] = response_preferences(one, [p], seed=seed)
        gap = (truth[0] - truth[1]) * (1 if difference.preferred == "a" else -1)
        hits += [a.low <= truth[0] <= a.high, difference.difference.low <= gap <= difference.difference.high]
    assert (hits >= 90).all()
    assert (hits <= 99).all()


def test_preferences_are_paired_and_corrected() -> None:
    table = np.concatenate([world(0), world(0)[:, :1] - 0.01, world(1)[:, 1:]], axis=1)  # a, b, c just below a, d
    found = response_preferences(verdicts(table), [1.0, -1.0], seed=0, among=["a", "b", "c"])
    assert len(found) == 6
    by_pair = {(one.p, one.preferred, one.other): one for one in found}
    near = by_pair[(1.0, "a", "c")]
    assert near.difference.value == pytest.approx(0.01, abs=1e-12)
    assert near.difference.high - near.difference.low < 1e-9  # what both share cancels
    assert near.p_value == pytest.approx(1 / 2001)
    assert near.p_holm == pytest.approx(6 / 2001)
    assert all(one.difference.value >= 0 for one in found)
    p_values = sorted(one.p_value for one in found if one.p_value is not None)
    # Holm by hand: the k-th smallest of six times 6 - k + 1, never falling
    expected, running = [], 0.0
    for k, p_value in enumerate(p_values):
        running = max(running, min(1.0, (6 - k) * p_value))
        expected.append(running)
    assert sorted(one.p_holm for one in found if one.p_holm is not None) == pytest.approx(expected)


def test_equal_responses_are_not_told_apart() -> None:
    n_clear = 0
    for seed in range(40):
        table = world(seed, 12, 20)
        table[:, 1] = world(seed + 500, 12, 20)[:, 0]  # another response, which is worth as much
        [one] = response_preferences(verdicts(table), [1.0], seed=seed)
        n_clear += one.p_value is not None and one.p_value <= 0.05
    assert n_clear <= 6
    same = world(0)[:, [0, 0]]
    [one] = response_preferences(verdicts(same), [1.0], seed=0)
    assert (one.difference.value, one.p_value) == (0.0, 1.0)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match=r"need \[prompts, responses, jurors\]"):
        Verdicts(
            prompts=("q",), responses=("a",), jurors=("j",), utilities=np.ones((1, 2, 1)), is_candidate=np.ones((1, 1), bool)
        )
