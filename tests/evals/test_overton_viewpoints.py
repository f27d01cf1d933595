from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score

from pluralign.errors import DataError, UsageError
from pluralign.evals.presence import sentences_of
from pluralign.evals.viewpoints import cluster_votes, covered_by_ratings, representative_statements, silhouette

FloatArray = npt.NDArray[np.float64]


def _planted(
    sizes: tuple[int, ...], n_statements: int, *, seed: int, loyal: float = 0.9, missing: float = 0.0
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Votes of groups, each of which agrees with a third of the statements of its own and with no other."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    stands = np.where(np.arange(n_statements)[None, :] % len(sizes) == truth[:, None], 1.0, -1.0)
    votes = np.where(rng.random(stands.shape) < loyal, stands, -stands)
    votes[rng.random(stands.shape) < 0.05] = 0.0
    votes[rng.random(stands.shape) < missing] = np.nan
    return votes, truth


def _noise(n_people: int, n_statements: int, rng: np.random.Generator, missing: float = 0.3) -> FloatArray:
    """Votes on a statement, some more popular than others, that say nothing of those on another."""
    popular = rng.uniform(0.2, 0.8, n_statements)
    votes = np.where(rng.random((n_people, n_statements)) < popular, 1.0, -1.0)
    votes[rng.random(votes.shape) < missing] = np.nan
    return votes


@pytest.mark.parametrize(
    ("sizes", "missing", "rand"), [((40, 20), 0.0, 1.0), ((30, 20, 10), 0.3, 0.95), ((20, 20, 20, 20), 0.5, 0.8)]
)
def test_planted_groups_are_found(sizes: tuple[int, ...], missing: float, rand: float) -> None:
    """All but a few people, who with half of their votes missing look like others."""
    votes, truth = _planted(sizes, 24, seed=1, missing=missing)
    found = cluster_votes(votes, ks=(2, 3, 4, 5), n_permutations=9, seed=3)
    assert found.k == len(sizes)
    assert adjusted_rand_score(truth, found.labels) >= rand
    assert found.p_value == 1 / 10
    assert [one.value for one in found.prevalence] == sorted((one.value for one in found.prevalence), reverse=True)
    assert sum(one.value for one in found.prevalence) == pytest.approx(1, abs=1e-12)
    for one, size in zip(found.prevalence, sorted(sizes, reverse=True), strict=True):
        assert one.low <= size / sum(sizes) <= one.high
        assert one.unit == "person"


def test_noise_is_seldom_taken_for_groups() -> None:
    """P-values of votes without any structure are as often below as above 1/2, and 1 in 10 is 1/10; of 20 at most 5."""
    rng = np.random.default_rng(7)
    p_values = []
    for seed in range(20):
        found = cluster_votes(_noise(30, 8, rng), ks=(2, 3), min_votes=1, n_permutations=9, seed=seed)
        assert found.p_value is not None
        p_values.append(found.p_value)
    assert sum(p < 0.11 for p in p_values) <= 5  # 2 are expected, and more than 5 come once in 90 times
    assert 0.35 < np.mean(p_values) < 0.75
    assert max(p_values) > 0.7


def test_people_with_few_votes_are_counted_and_not_placed() -> None:
    votes, _ = _planted((20, 20), 10, seed=2)
    votes[3, 2:] = np.nan
    votes[30] = np.nan
    found = cluster_votes(votes, n_permutations=0)
    assert found.labels[[3, 30]].tolist() == [-1, -1]
    assert found.n_left_out == 2
    assert found.prevalence[0].n == 38
    assert found.p_value is None
    few_statements = cluster_votes(votes[:, :4], min_votes=7, n_permutations=0)
    assert few_statements.n_left_out == 2  # who has all four votes is placed


def test_the_seed_decides() -> None:
    votes = _noise(40, 12, np.random.default_rng(0))
    first, second = (cluster_votes(votes, ks=(2, 3), n_permutations=5, seed=1) for _ in range(2))
    assert (first.labels == second.labels).all()
    assert first.p_value == second.p_value


def test_silhouette_is_sklearns() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(50, 5))
    distances = pairwise_distances(points)
    for k in (2, 3, 7):
        labels = np.concatenate([np.arange(k), rng.integers(0, k, 50 - k)])
        assert silhouette(distances, labels) == pytest.approx(silhouette_score(points, labels), abs=1e-12)
    alone = np.array([0] * 49 + [1])
    assert silhouette(distances, alone) == pytest.approx(silhouette_score(points, alone), abs=1e-12)


def test_silhouette_by_hand() -> None:
    """Two at 0 and 1, one alone at 3: (3 - 1)/3, (2 - 1)/2, 0; their mean is 7/18."""
    places = np.array([0.0, 1.0, 3.0])
    assert silhouette(np.abs(places[:, None] - places[None, :]), [0, 0, 1]) == pytest.approx(7 / 18, abs=1e-12)


def test_statements_that_tell_of_a_cluster() -> None:
    """Inside 0 all three agree with the first, (3+1)/(3+2), outside none of two; with the second all agree everywhere."""
    nan = np.nan
    votes = [[1, 1, -1], [1, 1, -1], [1, 1, nan], [-1, 1, 1], [-1, 1, 1], [0, -1, -1]]
    labels = [0, 0, 0, 1, 1, -1]
    assert representative_statements(votes, labels) == [[0, 1], [2, 1]]
    assert representative_statements(votes, labels, n=1) == [[0], [2]]
    assert representative_statements([[-1, 0], [-1, nan]], [0, 0]) == [[]]


def test_coverage_by_ratings_by_hand() -> None:
    """Means 9/2, 7/2, exactly 4; none in the last."""
    ratings = [5, 4, 3, 4, 4, 4, np.nan, 5]
    assert covered_by_ratings(ratings, [0, 0, 1, 1, 2, 2, 3, -1], 4).tolist()[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(covered_by_ratings(ratings, [0, 0, 1, 1, 2, 2, 3, -1], 4)[3])
    assert covered_by_ratings([4.2, 3.9, 3.9], [0, 0, 0], 1).tolist() == [1.0]  # 12 / 3, which rounding must not lower


@pytest.mark.parametrize(
    ("votes", "options", "said"),
    [
        ([[1, 2], [0, 1]], {}, "1, -1, 0, or NaN"),
        ([1, 0], {}, "people, statements"),
        ([[1, 0]], {"ks": (1, 2)}, "at least 2 clusters"),
    ],
)
def test_votes_that_cannot_be_are_refused(votes: list[object], options: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cluster_votes(votes, **options)  # type: ignore[arg-type]  # that is the test


def test_nothing_to_group_is_an_error() -> None:
    for votes in (np.ones((9, 5)), np.full((9, 5), np.nan), np.repeat([[1.0, -1.0], [-1.0, 1.0]], 5, axis=0)):
        with pytest.raises(DataError, match="nothing to group"):
            cluster_votes(votes, n_permutations=0)
    with pytest.raises(UsageError, match=r"1\.\.5"):
        covered_by_ratings([6.0], [0], 1)
    with pytest.raises(UsageError, match="one for each label"):
        covered_by_ratings([5.0], [0, 1], 2)


def test_sentences_by_hand() -> None:
    text = "Some agree. Others do not! Why?\n\n- First: yes…  Then no\n2. A list\n***\n\n这是第一。这是第二！"
    expected = ["Some agree.", "Others do not!", "Why?", "First: yes…", "Then no", "A list", "这是第一。", "这是第二！"]
    assert sentences_of(text) == expected
    assert sentences_of(" \n---\n") == []
    assert sentences_of("At 3.5 % it is v1.2 of x.y") == ["At 3.5 % it is v1.2 of x.y"]
    assert sentences_of('She said "No." And left.') == ['She said "No.', "And left."]


def test_sentences_take_time_in_proportion_to_the_text() -> None:
    """Long runs of what the patterns look for; in proportion to the square they would take hours."""
    pieces = {"a. ": 100_000, '."': 0, ". ) ": 0, "- ": 0, "\n": 0, "。": 0, "a": 1, ")": 0, " ": 0}
    assert {piece: len(sentences_of(piece * 100_000)) for piece in pieces} == pieces
