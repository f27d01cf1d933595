"""A study that asks a language model whose distribution is known: it finds what was planted, once, and of nobody held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.raters.describe_language import representation_label
from pluralign.raters.evidence import StudySettings
from pluralign.raters.findings import Findings, LanguageFindings
from pluralign.raters.language_study import LanguageStudy, plan_language_study
from pluralign.raters.mixed import MixedSettings
from pluralign.raters.representations import RaterTexts
from pluralign.raters.study import run_study
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_fit_eval

SETTINGS = StudySettings(
    cluster_counts=(2,),
    n_candidates=10,
    n_permutations=49,
    n_resamples=200,
    max_examples=4,
    model=MixedSettings(max_iterations=8),
)
SURE = 0.8
"""Probability of the answer that a rater's profile names."""


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """Every rater rates everything; half of them say "yes" with the probability SURE, the others "no"."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": f"i{i:02}",
            "item_text": f"thing {i}",
            "rater_id": f"r{r:02}",
            "rating": "yes" if (rng.random() < SURE) == (r % 2 == 0) else "no",
        }
        for r in range(40)
        for i in range(24)
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("nominal", ("no", "yes")))


@pytest.fixture(scope="module")
def texts(ratings: Ratings) -> RaterTexts:
    return RaterTexts(profiles={rater: ("agrees", "refuses")[n % 2] for n, rater in enumerate(ratings.rater_ids)})


def _law(query: Query) -> Mapping[str, float]:
    description = query.episode.description or ""
    yes = SURE if "agrees" in description else 1 - SURE if "refuses" in description else 0.5
    return {"no": 1 - yes, "yes": yes}


def _study(texts: RaterTexts, **more: object) -> LanguageStudy:
    return LanguageStudy(model=ScriptedModel(_law, revision="law"), texts=texts, n_raters=30, n_ratings_each=6, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(ratings: Ratings, texts: RaterTexts, tmp_path_factory: pytest.TempPathFactory) -> LanguageFindings:
    folder = tmp_path_factory.mktemp("study") / "run"
    language = run_study(ratings, folder, SETTINGS, language=_study(texts)).language
    assert language is not None
    assert pl.read_parquet(folder / "language.parquet").columns[:3] == ["item_id", "rater_id", "rating"]
    return language


def test_finds_the_information_that_was_planted(found: LanguageFindings) -> None:
    rows = {row.representation: row for row in found.rows}
    h = float(-SURE * np.log(SURE) - (1 - SURE) * np.log(1 - SURE))
    truth = np.log(2) - h
    assert not rows["profile"].information_nats.excludes(truth)
    assert rows["profile"].information_nats.low > 0
    assert rows["nothing"].loss_nats.value == pytest.approx(np.log(2), abs=0.1)
    assert not found.epistemic_share.excludes(truth / np.log(2))
    # of two raters who differ, the profiles say who is who with this probability
    right = SURE**2 / (SURE**2 + (1 - SURE) ** 2)
    assert found.matching.accuracy.value == pytest.approx(right, abs=0.15)
    assert found.agreement.simulated.value == pytest.approx(found.agreement.observed.value, abs=0.1)


def test_statistical_models_stand_beside_on_the_same_ratings(found: LanguageFindings) -> None:
    assert [row.representation for row in found.statistical] == ["nothing", "examples:4"]
    assert found.statistical[0].loss_nats.n == found.rows[0].loss_nats.n == found.n_raters == 30


def test_results_come_back_from_json(found: LanguageFindings, ratings: Ratings, texts: RaterTexts, tmp_path: Path) -> None:
    whole = run_study(ratings, tmp_path / "run", SETTINGS, language=_study(texts))
    assert Findings.from_dict(whole.to_dict()) == whole
    assert whole.language == found
    without = {name: value for name, value in whole.to_dict().items() if name != "language"}
    assert Findings.from_dict(without).language is None


def test_nothing_is_asked_twice(ratings: Ratings, texts: RaterTexts, tmp_path: Path) -> None:
    first, again = _study(texts), _study(texts)
    run_study(ratings, tmp_path / "run", SETTINGS, language=first)
    run_study(ratings, tmp_path / "run", SETTINGS, language=again)
    assert first.model.usage.requests == plan_language_study(ratings, first, seed=0).n_questions
    assert again.model.usage.requests == 0


def test_only_held_out_ratings_are_asked_and_items_coincide(ratings: Ratings, texts: RaterTexts) -> None:
    plan = plan_language_study(ratings, _study(texts), seed=0)
    asked = ratings.take(plan.rows)
    assert split_fit_eval(ratings, seed=0).is_eval[plan.rows].all()
    counts = np.bincount(asked.rater_index)
    assert counts.max() == 6
    assert (counts > 0).sum() == 30
    assert len(np.unique(asked.item_index)) < 24


def test_raters_without_a_profile_are_left_out_and_counted(ratings: Ratings, texts: RaterTexts) -> None:
    few = RaterTexts(profiles=dict(list(texts.profiles.items())[:10]))
    plan = plan_language_study(ratings, _study(few), seed=0)
    assert plan.n_without_text == 30
    assert set(ratings.rater_index[plan.rows]) <= set(range(10))
    with pytest.raises(DataError, match="at least 2"):
        plan_language_study(ratings, _study(RaterTexts(profiles={"r00": "agrees"})), seed=0)


def test_a_profile_that_has_seen_what_is_asked_is_refused(ratings: Ratings, texts: RaterTexts) -> None:
    every = {rater: ratings.item_ids for rater in ratings.rater_ids}
    with pytest.raises(DataError, match="shown to whoever wrote"):
        plan_language_study(ratings, _study(texts, written_from=every), seed=0)
    split = split_fit_eval(ratings, seed=0)
    given = {
        rater: [ratings.item_ids[i] for i in ratings.item_index[split.is_fit & (ratings.rater_index == n)]]
        for n, rater in enumerate(ratings.rater_ids)
    }
    assert plan_language_study(ratings, _study(texts, written_from=given), seed=0).n_questions > 0


def test_what_has_no_answer_is_counted(ratings: Ratings, texts: RaterTexts, tmp_path: Path) -> None:
    model = ScriptedModel(_law, revision="law", faults={"refusal": 0.2}, seed=3)
    study = LanguageStudy(model=model, texts=texts, representations=("profile",), n_raters=30, n_ratings_each=6)
    found = run_study(ratings, tmp_path / "run", SETTINGS, language=study).language
    assert found is not None
    assert [row.representation for row in found.rows] == ["nothing", "profile"]
    assert all(0 < row.n_unanswered < 0.5 * found.n_ratings for row in found.rows)
    assert np.isfinite([row.loss_nats.value for row in found.rows]).all()


@pytest.mark.parametrize("wrong", [{"n_raters": 1}, {"n_ratings_each": 0}, {"representations": ("profil",)}])
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        LanguageStudy(model=ScriptedModel(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("nothing", "nothing"),
        ("examples:1", "1 past rating"),
        ("examples:4:nearest", "4 nearest past ratings"),
        ("attribute:age+cluster", "group's profile and age"),
    ],
)
def test_labels(name: str, label: str) -> None:
    assert representation_label(name) == label
