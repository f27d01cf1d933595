"""A language model as a rating model: what it is asked, what came of it, and what is learned from training ratings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from pluralign.errors import NotFittedError
from pluralign.models import Query, ScriptedModel
from pluralign.raters.language_decoder import DecoderSettings, LanguageModelDecoder
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_fit_eval

OPTIONS = ("1", "2", "3")


def _ratings(n_raters: int = 60, n_items: int = 12) -> Ratings:
    """Half of the raters nearly always say 1, the others 3."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": f"i{i:02}",
            "item_text": f"text {i}",
            "rater_id": f"r{r:03}",
            "rating": OPTIONS[2 * (r % 2) if rng.random() < 0.8 else int(rng.integers(3))],
        }
        for r in range(n_raters)
        for i in range(n_items)
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", OPTIONS))


def _by_profile(query: Query) -> Mapping[str, float]:
    low, high = (0.9, 0.05) if "low" in (query.episode.description or "") else (0.05, 0.9)
    return {"1": low, "2": 0.05, "3": high}


def _loss(p: np.ndarray, asked: Ratings) -> float:
    return float(-np.log(p[np.arange(len(asked)), asked.rating_index]).mean())


def _parts(ratings: Ratings) -> tuple[Ratings, Ratings]:
    split = split_fit_eval(ratings, seed=0)
    return ratings.take(split.is_eval), ratings.take(split.is_fit)


def test_past_ratings_tell_and_nothing_tells_nothing() -> None:
    asked, given = _parts(_ratings())
    losses = [
        _loss(LanguageModelDecoder(ScriptedModel(), name).fit(given).predict_proba(asked, given=given), asked)
        for name in ("nothing", "examples:1", "examples:all")
    ]
    assert losses[0] > losses[1] > losses[2]


def test_a_profile_is_read() -> None:
    ratings = _ratings()
    asked, given = _parts(ratings)
    texts = RaterTexts(profiles={rater: ("high", "low")[n % 2 == 0] for n, rater in enumerate(ratings.rater_ids)})
    decoder = LanguageModelDecoder(ScriptedModel(_by_profile), "profile", texts=texts)
    p = decoder.fit(given).predict_proba(asked, given=given)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert p[asked.rater_index % 2 == 0, 0].min() > 0.6
    assert p[asked.rater_index % 2 == 1, 2].min() > 0.6


def test_recalibration_is_learned_from_training_ratings_alone_and_helps() -> None:
    def too_sure(query: Query) -> Mapping[str, float]:
        shares = _by_profile(query)
        return {option: p**3 / sum(q**3 for q in shares.values()) for option, p in shares.items()}

    ratings = _ratings()
    asked, given = _parts(ratings)
    texts = RaterTexts(profiles={rater: ("high", "low")[n % 2 == 0] for n, rater in enumerate(ratings.rater_ids)})
    raw, mended = (
        LanguageModelDecoder(
            ScriptedModel(too_sure), "profile", texts=texts, settings=DecoderSettings(recalibrate=recalibrate)
        ).fit(given)
        for recalibrate in (False, True)
    )
    assert mended.recalibration_.temperature > 2
    assert mended.recalibration_.n == min(1000, int(split_fit_eval(given, seed=0).is_eval.sum()))
    assert _loss(mended.predict_proba(asked), asked) < _loss(raw.predict_proba(asked), asked) - 0.1


def test_recalibration_asks_no_more_than_it_may() -> None:
    _, given = _parts(_ratings())
    model = ScriptedModel()
    decoder = LanguageModelDecoder(model, "nothing", settings=DecoderSettings(n_recalibration=50)).fit(given)
    assert decoder.recalibration_.n == 50
    assert model.usage.requests == 50


def test_the_same_question_is_asked_once() -> None:
    ratings = _ratings(n_raters=1)
    doubled = ratings.take(np.array([0, 0, 1, 0]))
    model = ScriptedModel()
    decoded = LanguageModelDecoder(model, "nothing").decode(doubled)
    assert model.usage.requests == 2
    assert decoded.probabilities[0].tolist() == decoded.probabilities[3].tolist()


@pytest.mark.parametrize("fault", ["refusal", "malformed", "failed"])
def test_what_has_no_answer_is_counted_and_gets_the_training_shares(fault: str) -> None:
    asked, given = _parts(_ratings())
    model = ScriptedModel(faults={fault: 0.3}, seed=1)  # type: ignore[dict-item]
    decoder = LanguageModelDecoder(model, "examples:2", settings=DecoderSettings(recalibrate=False)).fit(given)
    decoded = decoder.decode(asked, given=given)
    bad = decoded.outcomes == fault
    assert 0.1 < bad.mean() < 0.6
    assert decoded.counts()[fault] == bad.sum()
    assert np.isnan(decoded.probabilities[bad]).all()
    assert np.isfinite(decoded.probabilities[~bad]).all()
    p = decoder.predict_proba(asked, given=given)
    np.testing.assert_allclose(p[bad], np.broadcast_to(decoder.marginal_.shares_, p[bad].shape))
    assert decoder.outcomes_[fault] == 2 * bad.sum()


def test_no_mass_on_the_options_is_an_outcome() -> None:
    asked, given = _parts(_ratings())
    decoder = LanguageModelDecoder(ScriptedModel(lambda query: {"none of these": 1.0}), "nothing").fit(given)
    decoded = decoder.decode(asked)
    assert set(decoded.outcomes) == {"outside"}
    assert decoder.recalibration_.n == 0
    np.testing.assert_allclose(decoder.predict_proba(asked)[0], decoder.marginal_.shares_)


def test_past_ratings_that_find_no_room_are_left_out_whole_and_counted() -> None:
    asked, given = _parts(_ratings())
    settings = DecoderSettings(most_tokens=70, recalibrate=False)
    decoded = LanguageModelDecoder(ScriptedModel(), "examples:all", settings=settings).decode(asked, given=given)
    n_given = np.bincount(given.rater_index)[asked.rater_index]
    np.testing.assert_array_equal(decoded.n_shown + decoded.n_left_out, n_given)
    assert decoded.n_left_out.max() > 0
    assert set(decoded.outcomes) == {"ok"}


def test_a_question_that_is_too_long_by_itself_is_not_asked() -> None:
    asked, given = _parts(_ratings())
    texts = RaterTexts(profiles={"r000": "long " * 500})
    settings = DecoderSettings(most_tokens=200, recalibrate=False)
    model = ScriptedModel()
    decoded = LanguageModelDecoder(model, "profile+examples:2", texts=texts, settings=settings).decode(asked, given=given)
    assert set(decoded.outcomes[asked.rater_index == 0]) == {"too long"}
    assert set(decoded.outcomes[asked.rater_index != 0]) == {"ok"}
    assert model.usage.requests == (asked.rater_index != 0).sum()


@pytest.mark.parametrize("kind", ["one rating", "all equal"])
def test_raters_of_whom_little_can_be_learned(kind: str) -> None:
    ratings = _ratings()
    few = ratings.take(ratings.rater_index == 0)
    few = few.take(np.arange(1)) if kind == "one rating" else few.take(few.rating_index == 0)
    decoder = LanguageModelDecoder(ScriptedModel(), "examples:all").fit(few)
    p = decoder.predict_proba(ratings.take(ratings.rater_index == 1), given=few)
    assert np.isfinite(p).all()


def test_must_be_fitted_before_it_predicts() -> None:
    asked, given = _parts(_ratings())
    with pytest.raises(NotFittedError):
        LanguageModelDecoder(ScriptedModel(), "nothing").predict_proba(asked, given=given)
