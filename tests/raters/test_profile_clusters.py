"""Clusters of raters over value profiles: the table of losses, choosing with few questions, the run folder."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.cli.profile_clusters import ClusterFlags, ClusterRunFlags, cluster
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.raters import profile_clusters_chosen as module
from pluralign.raters.clusters import cluster_by_swaps, cluster_by_sweeps
from pluralign.raters.language_decoder import LanguageModelDecoder
from pluralign.raters.profile_clusters import (
    FLOOR,
    Answered,
    CandidateAnswers,
    Candidates,
    asking_model,
    log_losses,
    rater_losses,
    sample_candidates,
)
from pluralign.raters.profile_clusters_chosen import (
    PruneSettings,
    choose_from_all,
    choose_pruned,
    features_of_items,
)
from pluralign.raters.profile_clusters_found import ClusterSettings
from pluralign.raters.profile_clusters_run import cluster_plan, cluster_profiles
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings, Scale
from reference.clusters import set_loss

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
OPTIONS = ("1", "2", "3")
SHARES = np.full(3, 1 / 3)


def _ratings(
    rating: IntArray, texts: list[str], item: IntArray, rater: IntArray, options: tuple[str, ...] = OPTIONS
) -> Ratings:
    rows = {
        "item_id": [f"i{i:05}" for i in item.tolist()],
        "item_text": [texts[i] for i in item.tolist()],
        "rater_id": [f"r{r:05}" for r in rater.tolist()],
        "rating": [options[o] for o in rating.tolist()],
    }
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", options))


def _two_kinds(n_raters: int = 60, n_items: int = 12) -> tuple[Ratings, dict[str, str]]:
    """Every other rater nearly always says 1, the others 3; the profiles say which, each in words of its own."""
    rng = np.random.default_rng(0)
    rater, item = np.repeat(np.arange(n_raters), n_items), np.tile(np.arange(n_items), n_raters)
    rating = np.where(rng.random(len(item)) < 0.85, 2 * (rater % 2), rng.integers(0, 3, len(item)))
    ratings = _ratings(rating, [f"text {i}" for i in range(n_items)], item, rater)
    return ratings, {rater: f"{('mild', 'keen')[n % 2]} person {n}" for n, rater in enumerate(ratings.rater_ids)}


def _by_profile(query: Query) -> Mapping[str, float]:
    told = query.episode.description or ""
    if "person " not in told:
        return dict.fromkeys(OPTIONS, 0.3)
    return {"1": 0.9, "2": 0.05, "3": 0.05} if "mild" in told else {"1": 0.05, "2": 0.05, "3": 0.9}


def _scripted(**faults: float) -> ScriptedModel:
    return ScriptedModel(_by_profile, revision="by profile", faults=faults)  # type: ignore[arg-type]


def _of_array(probabilities: FloatArray) -> CandidateAnswers:
    n, n_items, n_options = probabilities.shape

    def ask(candidate: IntArray, item: IntArray) -> Answered:
        return Answered(probabilities[candidate, item], ["ok"] * len(item))

    return CandidateAnswers(ask, n_candidates=n, n_items=n_items, n_options=n_options)


@functools.cache
def _features(seed: int) -> list[FloatArray]:
    return features_of_items(_world(seed)[0])


@functools.cache
def _world(seed: int) -> tuple[Ratings, FloatArray]:
    """1,500 items put together from words that each touch a value; 400 raters who rate 20; 100 of them are candidates."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(0, 1, (n, 6)) for n in (15, 10, 10)]
    index = [np.repeat(np.arange(15), 100), np.tile(np.repeat(np.arange(10), 10), 15), np.tile(np.arange(10), 150)]
    texts = [f"doing{a} place{b} although{c}" for a, b, c in zip(*(one.tolist() for one in index), strict=True)]
    touched = sum(part[i] for part, i in zip(parts, index, strict=True)) / 2
    people = rng.normal(0, 1, (4, 6))[rng.integers(0, 4, 400)] + rng.normal(0, 0.4, (400, 6))
    cuts = np.array([-3.0, -1.0, 1.0, 3.0])

    def shares(leaning: FloatArray) -> FloatArray:
        below = 1 / (1 + np.exp(leaning[..., None] - cuts))
        return np.diff(below, axis=-1, prepend=0.0, append=1.0)

    rater = np.repeat(np.arange(400), 20)
    item = np.concatenate([rng.choice(1500, 20, replace=False) for _ in range(400)])
    drawn = shares((people[rater] * touched[item]).sum(axis=1))
    rating = (drawn.cumsum(axis=1) < rng.random((len(item), 1))).sum(axis=1)
    ratings = _ratings(rating, texts, item, rater, ("1", "2", "3", "4", "5"))
    there = np.array([int(name[1:]) for name in ratings.item_ids])
    return ratings, shares(people[:100] @ touched[there].T)


# the table


def test_candidates_are_different_profiles_by_chance_and_the_rest_is_counted() -> None:
    profiles = {f"r{n}": f"text {n % 40}" for n in range(50)} | {"r50": "  "}
    raters = [f"r{n}" for n in range(60)]
    found = sample_candidates(profiles, raters, n=100, seed=0)
    assert (len(found), found.n_without, found.n_alike) == (40, 10, 10)
    assert all(profiles[rater] == text for rater, text in zip(found.ids, found.texts, strict=True))
    few = sample_candidates(profiles, raters[::-1], n=7, seed=0)
    assert few.ids == found.ids[:7]  # neither their number nor the raters' order moves them
    assert sample_candidates(profiles, raters, n=7, seed=1).ids != few.ids
    with pytest.raises(DataError, match="none of the 1 training raters"):
        sample_candidates({}, ["a"], seed=0)


def test_the_table_by_hand() -> None:
    # candidate 0 gives item 0 the shares (.7, .2, .1); what candidate 1 says of it never came and counts as a third
    p = np.array([[[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], [[np.nan] * 3, [1.0, 0.0, 0.0]]])
    ratings = _ratings(np.array([1, 0, 2]), ["a", "b"], np.array([0, 1, 0]), np.array([0, 0, 1]))
    answers = _of_array(p)
    both = np.arange(2)
    answers.ask(both, both)
    table = rater_losses(log_losses(answers.of(both, both, unanswered=SHARES)), both, ratings)

    def cost(p: float) -> float:
        return -float(np.log((1 - 3 * FLOOR) * p + FLOOR))

    expected = [[cost(0.2) + cost(0.0), cost(1 / 3) + cost(1.0)], [cost(0.1), cost(1 / 3)]]
    np.testing.assert_allclose(table, expected, rtol=1e-6)  # probabilities are kept in float32
    assert cost(0.0) == pytest.approx(-np.log(FLOOR))
    with pytest.raises(UsageError, match="floor is 0"):
        log_losses(p[0], floor=0.0)


def test_no_question_is_asked_twice_and_those_about_one_candidate_stay_together() -> None:
    calls: list[tuple[list[int], list[int]]] = []

    def ask(candidate: IntArray, item: IntArray) -> Answered:
        calls.append((candidate.tolist(), item.tolist()))
        return Answered(np.tile(SHARES, (len(item), 1)), ["ok"] * len(item))

    answers = CandidateAnswers(ask, n_candidates=3, n_items=1500, n_options=3)
    answers.ask(np.array([0, 2]), np.arange(1200))
    assert [set(candidates) for candidates, _ in calls] == [{0}, {2}]  # two would be too many at once
    answers.ask(np.arange(3), np.arange(1199, 1205))
    assert calls[2:] == [([0] * 5 + [1] * 6 + [2] * 5, [*range(1200, 1205), *range(1199, 1205), *range(1200, 1205)])]
    assert (answers.n_asked, answers.n_unanswered) == (2416, 0)
    with pytest.raises(UsageError, match="have not been asked"):
        answers.of(np.array([1]), np.array([0]), unanswered=SHARES)


def test_very_many_questions_about_one_candidate_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.raters.profile_clusters.QUESTIONS_OF_ONE", 400)
    sizes: list[int] = []

    def ask(candidate: IntArray, item: IntArray) -> Answered:
        sizes.append(len(item))
        assert len(set(candidate.tolist())) == 1
        return Answered(np.tile(SHARES, (len(item), 1)), ["ok"] * len(item))

    monkeypatch.setattr("pluralign.raters.profile_clusters.QUESTIONS_AT_ONCE", 400)
    answers = CandidateAnswers(ask, n_candidates=2, n_items=1000, n_options=3)
    answers.ask(np.arange(2), np.arange(1000))
    assert sizes == [400, 400, 200] * 2
    assert answers.is_asked.all()


@pytest.mark.parametrize("told", ["profile", "cluster"])
def test_the_answers_are_those_of_the_decoder(told: str) -> None:
    ratings, texts = _two_kinds(6, 4)
    candidates = Candidates(ids=("r00000", "r00003"), texts=(texts["r00000"], texts["r00003"]))
    n = np.arange(4)
    ask = asking_model(_scripted(), ratings, candidates, told=told)  # type: ignore[arg-type]
    mine = ask(np.repeat([0, 1], 4), np.tile(n, 2))
    given = RaterTexts(profiles=texts, clusters=texts)
    rows = ratings.take(np.isin(ratings.rater_index, [0, 3]))
    theirs = LanguageModelDecoder(_scripted(), told, texts=given).decode(rows).probabilities
    order = np.lexsort([rows.item_index, rows.rater_index])
    np.testing.assert_allclose(mine.probabilities, theirs[order], rtol=1e-12)


def test_questions_without_an_answer_cost_what_is_known_without_the_model_and_are_counted() -> None:
    ratings, texts = _two_kinds()
    candidates = Candidates(ids=tuple(texts), texts=tuple(texts.values()))
    answers = CandidateAnswers(
        asking_model(_scripted(refusal=0.2, malformed=0.1), ratings, candidates), n_candidates=60, n_items=12, n_options=3
    )
    found = choose_from_all(answers, ratings, 2, unanswered=SHARES)
    assert 0.2 < answers.n_unanswered / answers.n_asked < 0.4
    assert answers.outcomes["refusal"] > answers.outcomes["malformed"] > 0
    assert np.isfinite(found.loss)
    assert abs(np.corrcoef(found.assignment, np.arange(60) % 2)[0, 1]) > 0.95


def test_all_raters_are_clustered_by_the_whole_table() -> None:
    ratings, p = _world(0)
    answers = _of_array(p)
    found = choose_from_all(answers, ratings, 4, unanswered=np.full(5, 0.2))
    items = np.arange(ratings.n_items)
    table = rater_losses(log_losses(p.astype(np.float32).astype(np.float64)), items, ratings)
    assert found.loss == pytest.approx(cluster_by_swaps(table, 4, seed=0).loss, rel=1e-9)
    published = choose_from_all(_of_array(p), ratings, 4, unanswered=np.full(5, 0.2), by="sweeps")
    assert published.chosen.tolist() == cluster_by_sweeps(table, 4).chosen.tolist()
    assert (found.n_asked, found.saving, sum(found.sizes)) == (100 * ratings.n_items, 1.0, 400)


def test_a_rater_without_given_ratings_is_in_no_cluster() -> None:
    ratings, p = _world(0)
    given = ratings.take(ratings.rater_index != 7)
    assert len(np.unique(given.item_index)) == ratings.n_items
    shares = np.full(5, 0.2)
    for found in (
        choose_from_all(_of_array(p), given, 2, unanswered=shares),
        choose_pruned(_of_array(p), given, 2, unanswered=shares, features=_features(0)),
    ):
        assert np.flatnonzero(found.assignment < 0).tolist() == [7]
        assert sum(found.sizes) == 399


# choosing with few questions


def test_a_tenth_of_the_questions_choose_within_one_per_cent() -> None:
    world = 0
    ratings, p = _world(world)
    shares, features = np.full(5, 0.2), _features(world)
    for k in (2, 4, 8):
        whole = choose_from_all(_of_array(p), ratings, k, unanswered=shares)
        for seed in range(2):
            answers = _of_array(p)
            settings = PruneSettings(saving=10.0 if k < 8 else 8.0, seed=seed)  # K = 8 leaves little to choose by: see below
            found = choose_pruned(answers, ratings, k, unanswered=shares, features=features, settings=settings)
            assert found.n_asked == answers.n_asked <= found.n_full / settings.saving
            assert found.rounds[-1].unexplained < 0.15
            assert whole.loss <= found.loss <= 1.01 * whole.loss
            table = rater_losses(log_losses(p.astype(np.float32).astype(np.float64)), np.arange(ratings.n_items), ratings)
            assert found.loss == pytest.approx(set_loss(table, found.chosen.tolist()), rel=1e-9)
            assert found.assignment.tolist() == table[:, found.chosen].argmin(axis=1).tolist()


def test_tables_without_any_order_lose_little_and_say_that_nothing_is_explained() -> None:
    rng = np.random.default_rng(5)
    item = np.concatenate([rng.choice(300, 20, replace=False) for _ in range(300)])
    ratings = _ratings(rng.integers(0, 3, 6000), [""] * 300, item, np.repeat(np.arange(300), 20))
    p = rng.dirichlet(np.ones(3), (100, ratings.n_items))
    features = features_of_items(ratings)
    for k in (2, 4, 8):
        whole = choose_from_all(_of_array(p), ratings, k, unanswered=SHARES)
        for seed in range(3):
            settings = PruneSettings(seed=seed)
            found = choose_pruned(_of_array(p), ratings, k, unanswered=SHARES, features=features, settings=settings)
            assert found.rounds[-1].unexplained > 0.9
            assert found.loss <= 1.05 * whole.loss


def test_pruning_is_deterministic_and_its_seed_matters() -> None:
    ratings, p = _world(0)
    features = _features(0)

    def asked(seed: int) -> tuple[list[int], npt.NDArray[np.bool_]]:
        answers = _of_array(p)
        settings = PruneSettings(seed=seed)
        found = choose_pruned(answers, ratings, 4, unanswered=SHARES[:1].repeat(5), features=features, settings=settings)
        return found.chosen.tolist(), answers.is_asked

    assert asked(0)[0] == asked(0)[0]
    assert (asked(0)[1] == asked(0)[1]).all()
    assert (asked(0)[1] != asked(1)[1]).any()


def test_what_is_allowed_and_where_the_chosen_alone_cost_more() -> None:
    # 100 candidates, 1,000 items, K = 8: 10,000 questions allowed, 8,000 of them for the chosen.
    # first = 11: 100 x 11 + 50 x 11 + 25 x 22 = 2,200, of which 8 x 44 are the chosen's own: 1,848 of 2,000; 12 would be 2,016
    assert module._item_counts([100, 50, 25], 8, 1000, 2000) == [11, 22, 44]
    assert module._item_counts([10], 2, 5, 1e9) == [5]
    assert module._sizes(100, 16, 4) == [100, 50, 32, 32]
    assert module._sizes(5, 4, 3) == [5, 5, 5]
    ratings, p = _world(0)
    found = choose_pruned(_of_array(p[:20]), ratings, 8, unanswered=np.full(5, 0.2), features=_features(0))
    assert 2.0 < found.saving < 2.5
    with pytest.raises(UsageError, match=r"k is 21"):
        choose_pruned(_of_array(p[:20]), ratings, 21, unanswered=np.full(5, 0.2), features=_features(0))
    with pytest.raises(UsageError, match=r"saving is 0\.5"):
        PruneSettings(saving=0.5)


def test_candidates_are_judged_by_the_best_set_that_contains_them() -> None:
    losses = np.random.default_rng(0).gamma(2.0, 3.0, (40, 9))
    chosen = np.array([4, 0, 7])
    judged = module._best_with(losses, chosen)
    for candidate in range(9):
        if candidate in chosen:
            assert judged[candidate] == -np.inf
        else:
            sets = [[candidate if i == place else c for i, c in enumerate(chosen.tolist())] for place in range(3)]
            assert judged[candidate] == pytest.approx(min(set_loss(losses, one) for one in sets))


def test_the_error_of_leaving_an_item_out_is_that_of_fitting_without_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (12, 3)), rng.normal(0, 1, (12, 4))
    y += x @ rng.normal(0, 3, (3, 4))
    errors = {ridge: 0.0 for ridge in module.RIDGES}
    alone = 0.0
    for out in range(12):
        kept = np.arange(12) != out
        centre, mean = x[kept].mean(axis=0), y[kept].mean(axis=0)
        alone += ((y[out] - mean) ** 2).sum()
        for ridge in errors:
            a, b = x[kept] - centre, y[kept] - mean
            told = mean + (x[out] - centre) @ np.linalg.solve(a.T @ a + ridge * np.eye(3), a.T @ b)
            errors[ridge] += ((y[out] - told) ** 2).sum()
    assert module._ridge([x], y).unexplained == pytest.approx(min(errors.values()) / alone, rel=1e-9)
    assert module._ridge([x], np.ones((12, 4))).unexplained == 1.0
    assert np.isnan(module._ridge([x[:2]], y[:2]).unexplained)


# the run folder


def _settings(**changes: object) -> ClusterSettings:
    return ClusterSettings(**{"k": (1, 2), "n_candidates": 12, **changes})  # type: ignore[arg-type]


def test_groups_are_found_named_and_tell_of_new_raters(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    found = cluster_profiles(ratings, profiles, tmp_path / "run", model=_scripted(), settings=_settings())
    one, two = found.clusterings
    assert {c.profile.split()[0] for c in two.clusters} == {"mild", "keen"}
    assert all(profiles[c.rater] == c.profile for c in two.clusters)
    assert sum(c.n_training for c in two.clusters) == found.n_training
    assert sum(c.n_new for c in two.clusters) == found.n_new
    assert two.gain_nats.low > 0.1
    assert two.more_nats is not None and two.more_nats.low > 0.1  # noqa: PT018
    assert abs(one.gain_nats.value) < 0.1  # one group is everybody
    assert one.more_nats is None
    assert found.nothing_nats.value == pytest.approx(two.gain_nats.value + two.loss_nats.value)
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    people = pl.read_parquet(tmp_path / "run" / "clusters.parquet")
    kind = people["rater_id"].str.slice(1).cast(pl.Int64).to_numpy() % 2
    agreeing = (people["cluster_2"].to_numpy() == kind).mean()
    assert max(agreeing, 1 - agreeing) > 0.95  # some are known by two ratings only
    records = pl.read_parquet(tmp_path / "run" / "records.parquet")
    assert records["nats_cluster_2"].mean() == pytest.approx(two.loss_nats.value)
    assert set(records["rater_id"]) == set(people.filter(part="new")["rater_id"])


def test_what_is_held_out_of_new_raters_changes_no_cluster_and_no_question(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    model = _scripted()
    cluster_profiles(ratings, profiles, tmp_path / "a", model=model, settings=_settings())
    records = pl.read_parquet(tmp_path / "a" / "records.parquet")
    turned = records.select("item_id", "rater_id", pl.lit("2").alias("rating"))
    other = Ratings.from_long(
        ratings.to_long().update(turned, on=["item_id", "rater_id"]).drop("item_id_right", strict=False), ratings.scale
    )
    assert (other.rating_index != ratings.rating_index).any()
    again = cluster_profiles(other, profiles, tmp_path / "b", model=_scripted(), settings=_settings())
    a, b = (pl.read_parquet(tmp_path / name / "clusters.parquet") for name in "ab")
    assert a.equals(b)
    assert again.n_questions == json.loads((tmp_path / "a" / "results.json").read_text())["n_questions"]


def test_profiles_of_new_raters_are_not_looked_at(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    cluster_profiles(ratings, profiles, tmp_path / "a", model=_scripted(), settings=_settings())
    a = pl.read_parquet(tmp_path / "a" / "clusters.parquet")
    new = set(a.filter(part="new")["rater_id"])
    fewer = {rater: text for rater, text in profiles.items() if rater not in new}
    cluster_profiles(ratings, fewer, tmp_path / "b", model=_scripted(), settings=_settings())
    assert a.equals(pl.read_parquet(tmp_path / "b" / "clusters.parquet"))


@pytest.mark.parametrize("saving", [None, 2.0])
def test_a_run_that_was_stopped_goes_on_and_asks_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saving: float | None
) -> None:
    monkeypatch.setattr("pluralign.raters.profile_clusters.QUESTIONS_AT_ONCE", 30)
    ratings, profiles = _two_kinds()
    settings = _settings(saving=saving)
    whole = _scripted()
    found = cluster_profiles(ratings, profiles, tmp_path / "whole", model=whole, settings=settings)
    stopped = ScriptedModel(_by_profile, revision="by profile", fail_after=100)
    with pytest.raises(ModelError):
        cluster_profiles(ratings, profiles, tmp_path / "run", model=stopped, settings=settings)
    steps = len(list((tmp_path / "run" / "steps").glob("*.parquet")))
    assert steps > 3
    rest = _scripted()
    again = cluster_profiles(ratings, profiles, tmp_path / "run", model=rest, settings=settings)
    assert again.clusterings == found.clusterings
    assert whole.usage.requests - 100 <= rest.usage.requests < whole.usage.requests - 60
    assert again.totals.usage.requests == whole.usage.requests == found.n_questions
    assert found.n_questions == sum(found.outcomes.values())
    if saving is not None:
        assert found.clusterings[0].n_asked < found.clusterings[0].n_full
    with pytest.raises(RunError, match="another run"):
        cluster_profiles(ratings, profiles | {"r00000": "x"}, tmp_path / "run", model=rest, settings=settings)


def test_refusals_are_counted_and_harm_no_run(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    found = cluster_profiles(ratings, profiles, tmp_path, model=_scripted(refusal=0.3), settings=_settings())
    assert found.outcomes["refusal"] > 0.2 * found.n_questions
    assert found.clusterings[1].gain_nats.low > 0.1
    assert found.clusterings[1].gain_nats.is_defined


def test_what_a_profile_was_written_from_calibrates_nothing(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    everything = dict.fromkeys(profiles, frozenset(ratings.item_ids))
    seen: list[int] = []
    for n, written_from in enumerate((None, everything)):
        model = _scripted()
        found = cluster_profiles(
            ratings, profiles, tmp_path / str(n), model=model, settings=_settings(), written_from=written_from
        )
        seen.append(found.n_calibrating)
    assert seen[0] > 0 == seen[1]


def test_faults_are_named(tmp_path: Path) -> None:
    ratings, profiles = _two_kinds()
    with pytest.raises(DataError, match="too few for 2 clusters"):
        cluster_profiles(ratings, dict.fromkeys(profiles, "alike"), tmp_path / "a", model=_scripted(), settings=_settings())
    with pytest.raises(DataError, match="too few for 2 clusters"):
        cluster_plan(ratings, dict.fromkeys(profiles, "alike"), _settings())
    with pytest.raises(UsageError, match="at least 1, rising"):
        ClusterSettings(k=(4, 2))
    with pytest.raises(UsageError, match="8 clusters need as many"):
        ClusterSettings(n_candidates=5)
    with pytest.raises(UsageError, match="pruning chooses by swaps"):
        ClusterSettings(by="sweeps", saving=10.0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings, profiles = _two_kinds()
    ratings.to_long().write_csv(tmp_path / "ratings.csv")
    pl.DataFrame({"rater_id": list(profiles), "profile": list(profiles.values())}).write_csv(tmp_path / "profiles.csv")
    flags = ClusterFlags(k=(2, 1), candidates=12)

    def run(*, dry_run: bool = False) -> str:
        cluster(
            tmp_path / "profiles.csv",
            ratings=tmp_path / "ratings.csv",
            model="scripted",
            asked=flags,
            run=ClusterRunFlags(out=tmp_path / "run", cache=False, dry_run=dry_run),
        )
        return capsys.readouterr().out

    assert "would ask 144 questions to choose clusters" in run(dry_run=True)
    assert not (tmp_path / "run").exists()
    said = run()
    assert "2 clusters tell" in said
    assert "without an answer" in said
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [one["k"] for one in results["clusterings"]] == [1, 2]
