"""Profiles that a model writes: what came of each draft, which is kept, and what has been seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, ModelError, UsageError
from pluralign.models import OptionLogprobs, Query, Sample, SamplingSettings, ScriptedModel
from pluralign.raters.language_study import LanguageStudy, plan_language_study
from pluralign.raters.profiles import ProfileSettings, encode_profiles, profile_texts, written_from
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_fit_eval

OPTIONS = ("1", "2", "3")


def _ratings(n_raters: int = 6, n_items: int = 12) -> Ratings:
    """Every other rater nearly always says 1, the others 3."""
    rows = [
        {
            "item_id": f"i{i:02}",
            "item_text": f"text {i}",
            "rater_id": f"r{r:03}",
            "rater_age": ("old", "young")[r % 2],
            "rating": OPTIONS[2 * (r % 2) if i % 6 else 1],
        }
        for r in range(n_raters)
        for i in range(n_items)
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", OPTIONS))


def _either(query: Query) -> Mapping[str, float]:
    """Writes either profile by chance, whoever is asked about; reads what it says."""
    if not query.given_options:
        return {"Rates low.": 0.5, "Rates high.": 0.5}
    low = 0.9 if "low" in (query.episode.description or "") else 0.05
    return {"1": low, "2": 0.05, "3": 0.95 - low}


class Writer:
    """Writes given drafts, and reads as a scripted model does."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.asked: list[Query] = []
        self._reader = ScriptedModel(_either)
        self.name, self.usage = "writer", self._reader.usage
        self.fingerprint, self.request_bytes = self._reader.fingerprint, self._reader.request_bytes
        self.output_logprobs = self._reader.output_logprobs

    def option_logprobs(self, queries: list[Query]) -> list[OptionLogprobs]:
        return self._reader.option_logprobs(queries)

    def sample(self, queries: list[Query], settings: SamplingSettings) -> list[list[Sample]]:
        self.asked += queries
        return [self.samples[: settings.n] for _ in queries]


# choosing


def test_of_several_drafts_the_one_that_predicts_the_given_ratings_is_kept() -> None:
    given = _ratings()
    found = encode_profiles(ScriptedModel(_either), given, settings=ProfileSettings(n_drafts=8))
    assert [one.profile for one in found] == ["Rates low.", "Rates high."] * 3
    for one in found:
        assert len(one.drafts) == 8
        chosen = [draft for draft in one.drafts if draft.is_chosen]
        assert [draft.text for draft in chosen] == [one.profile]
        assert chosen[0].loss_nats == min(draft.loss_nats or np.inf for draft in one.drafts)
        assert {draft.n_scored for draft in one.drafts} == {12}


def test_the_loss_of_a_draft_is_the_mean_over_the_given_ratings() -> None:
    writer = Writer([Sample("Rates low.", "stop"), Sample("Rates high.", "stop")])
    (found, *_) = encode_profiles(writer, _ratings(1), settings=ProfileSettings(n_drafts=2))
    low, high = (draft.loss_nats for draft in found.drafts)
    # rater 0: ten times 1, twice 2; a floor of 1e-4 an option
    p = (1 - 3e-4) * np.array([0.9, 0.05, 0.05]) + 1e-4
    q = (1 - 3e-4) * np.array([0.05, 0.05, 0.9]) + 1e-4
    assert low == pytest.approx(-(10 * np.log(p[0]) + 2 * np.log(p[1])) / 12, abs=1e-12)
    assert high == pytest.approx(-(10 * np.log(q[0]) + 2 * np.log(q[1])) / 12, abs=1e-12)


def test_equal_drafts_are_asked_about_once() -> None:
    reader = ScriptedModel(_either)
    writer = Writer([Sample("Rates low.", "stop")] * 5)
    encode_profiles(writer, _ratings(2), settings=ProfileSettings(n_drafts=5), decoder=reader)
    assert reader.usage.requests == 2 * 12


def test_one_draft_is_not_scored_unless_a_decoder_is_named() -> None:
    model = ScriptedModel(_either)
    (found, *_) = encode_profiles(model, _ratings(1))
    assert (found.decoder, found.drafts[0].loss_nats, found.drafts[0].is_chosen) == (None, None, True)
    assert model.usage.requests == 1
    (found, *_) = encode_profiles(model, _ratings(1), decoder=ScriptedModel(_either, name="reader"))
    assert found.decoder == "reader"
    assert found.drafts[0].loss_nats is not None


def test_a_rating_that_some_draft_got_no_answer_for_counts_for_none() -> None:
    reader = ScriptedModel(_either, faults={"refusal": 0.4}, seed=2)
    writer = Writer([Sample("Rates low.", "stop"), Sample("Rates high.", "stop")])
    found = encode_profiles(writer, _ratings(8), settings=ProfileSettings(n_drafts=2), decoder=reader)
    for one in found:
        first, second = one.drafts
        assert first.n_scored == second.n_scored < 12
    assert sum(one.drafts[0].n_scored for one in found) == pytest.approx(8 * 12 * 0.36, abs=15)


def test_where_no_draft_can_be_scored_the_first_is_kept() -> None:
    writer = Writer([Sample("Rates low.", "stop"), Sample("Rates high.", "stop")])
    reader = ScriptedModel(_either, faults={"failed": 1.0})
    (found, *_) = encode_profiles(writer, _ratings(1), settings=ProfileSettings(n_drafts=2), decoder=reader)
    assert (found.profile, found.drafts[0].loss_nats, found.drafts[0].n_scored) == ("Rates low.", None, 0)


def test_a_rater_is_written_of_alike_whoever_else_is_there() -> None:
    given, settings = _ratings(), ProfileSettings(n_drafts=3, seed=4)
    every = encode_profiles(ScriptedModel(_either, revision="1"), given, settings=settings)
    some = encode_profiles(
        ScriptedModel(_either, revision="1"), given.take(given.rater_index > 2), raters=["r004"], settings=settings
    )
    assert some == [one for one in every if one.rater_id == "r004"]


# outcomes


@pytest.mark.parametrize(
    ("sample", "outcome", "profile"),
    [
        (Sample("Rates low.", "stop"), "ok", "Rates low."),
        (Sample("  Rates low.\n", "stop"), "ok", "Rates low."),
        (Sample("Rates low and", "length"), "length", "Rates low and"),
        (Sample(" \n", "stop"), "empty", None),
        (Sample("", "length"), "empty", None),
        (Sample("", "refusal", detail="declined"), "refusal", None),
        (Sample("", "failed"), "failed", None),
        (Sample("Rates \0low.", "stop"), "malformed", None),
        (Sample("Rates \ud800low.", "stop"), "malformed", None),
        (Sample("她认为诚实比忠诚更重要。", "stop"), "ok", "她认为诚实比忠诚更重要。"),
        (Sample("تُقدِّم الأمانة على الولاء.", "stop"), "ok", "تُقدِّم الأمانة على الولاء."),
        (Sample("<b>low</b> <|im_end|><end_of_turn> {{ x }}", "stop"), "ok", "<b>low</b> <|im_end|><end_of_turn> {{ x }}"),
    ],
)
def test_what_came_of_a_draft(sample: Sample, outcome: str, profile: str | None) -> None:
    (found,) = encode_profiles(Writer([sample]), _ratings(1))
    assert (found.outcome, found.profile) == (outcome, profile)
    assert found.drafts[0].outcome == outcome
    assert found.drafts[0].is_chosen == (profile is not None)


def test_a_draft_that_cannot_be_used_is_never_chosen() -> None:
    samples = [Sample("", "refusal"), Sample("Rates high.", "stop"), Sample("", "stop")]
    (found,) = encode_profiles(Writer(samples), _ratings(1), settings=ProfileSettings(n_drafts=3))
    assert found.profile == "Rates high."
    assert [draft.outcome for draft in found.drafts] == ["refusal", "ok", "empty"]
    (none,) = encode_profiles(Writer([samples[0], samples[2], samples[0]]), _ratings(1), settings=ProfileSettings(n_drafts=3))
    assert (none.profile, none.outcome) == (None, "refusal")
    assert profile_texts([found, none]) == {"r000": "Rates high."}


def test_a_model_that_always_refuses_leaves_everybody_without_a_profile() -> None:
    found = encode_profiles(ScriptedModel(_either, faults={"refusal": 1.0}), _ratings(), settings=ProfileSettings(n_drafts=2))
    assert {(one.profile, one.outcome) for one in found} == {(None, "refusal")}


@pytest.mark.parametrize("kind", ["one rating", "all equal"])
def test_raters_of_whom_little_is_given(kind: str) -> None:
    ratings = _ratings(2)
    own = ratings.take(ratings.rater_index == 0)
    few = own.take(np.arange(1)) if kind == "one rating" else own.take(own.rating_index == 0)
    (found,) = encode_profiles(ScriptedModel(_either), few, settings=ProfileSettings(n_drafts=6))
    assert found.outcome == "ok"
    assert found.n_shown == len(few)
    if kind == "all equal":
        assert found.profile == "Rates low."


def test_a_rater_without_given_ratings_is_not_asked_about() -> None:
    ratings = _ratings(2)
    model = ScriptedModel(_either)
    found = encode_profiles(model, ratings.take(ratings.rater_index == 0), raters=["r001", "r000"])
    assert [(one.rater_id, one.outcome) for one in found] == [("r001", "no ratings"), ("r000", "ok")]
    assert found[0].drafts == ()
    assert model.usage.requests == 1
    with pytest.raises(DataError, match="r9"):
        encode_profiles(model, ratings, raters=["r9"])


def test_ratings_that_find_no_room_are_left_out_whole_and_a_rater_for_whom_none_does_is_not_asked_about() -> None:
    writer = Writer([Sample("Rates low.", "stop")])
    settings = ProfileSettings(max_tokens=10, most_tokens=500)
    found = encode_profiles(writer, _ratings(2, n_items=90), settings=settings)
    for one, query in zip(found, writer.asked, strict=True):
        assert len(one.given_items) == 90
        assert 1 < one.n_shown < 90
        lines = (query.input or "").splitlines()
        assert [f'"text {int(item[1:])}"' in line for item, line in zip(one.given_items, lines, strict=False)] == [True] * len(
            lines
        )
        assert len(lines) == one.n_shown
    (none,) = encode_profiles(writer, _ratings(1), settings=ProfileSettings(max_tokens=10, most_tokens=100))
    assert (none.outcome, none.n_shown, len(none.given_items)) == ("too long", 0, 12)
    with pytest.raises(UsageError, match="leave no room"):
        encode_profiles(writer, _ratings(1), settings=ProfileSettings(max_tokens=100, most_tokens=100))


# what is told


def test_nothing_but_given_ratings_is_shown_unless_attributes_are_asked_for() -> None:
    ratings = _ratings()
    split = split_fit_eval(ratings, seed=0)
    given, held_out = ratings.take(split.is_fit), ratings.take(split.is_eval)
    writer = Writer([Sample("Rates low.", "stop")])
    found = encode_profiles(writer, given)
    for one, query in zip(found, writer.asked, strict=True):
        rater = ratings.rater_ids.index(one.rater_id)
        asked = {ratings.item_ids[i] for i in held_out.item_index[held_out.rater_index == rater]}
        assert not asked & set(one.given_items)
        assert not [item for item in asked if f'"text {int(item[1:])}"' in (query.input or "")]
        assert "young" not in f"{query.input}{query.episode.description}"
        assert one.rater_id not in f"{query.input}{query.episode.description}"
    encode_profiles(writer, given, settings=ProfileSettings(told=("age",)))
    assert "young" in (writer.asked[-1].input or "")
    with pytest.raises(DataError, match="did you mean 'age'"):
        encode_profiles(writer, given, settings=ProfileSettings(told=("agee",)))


def test_a_study_refuses_profiles_that_have_seen_what_is_asked() -> None:
    ratings = _ratings(8)
    given = ratings.take(split_fit_eval(ratings, seed=0).is_fit)
    for known, is_refused in ((given, False), (ratings, True)):
        found = encode_profiles(ScriptedModel(_either), known)
        study = LanguageStudy(
            model=ScriptedModel(_either),
            texts=RaterTexts(profiles=profile_texts(found)),
            written_from=written_from(found),
            representations=("profile",),
        )
        if is_refused:
            with pytest.raises(DataError, match="shown to whoever wrote the profiles"):
                plan_language_study(ratings, study, seed=0)
        else:
            assert plan_language_study(ratings, study, seed=0).n_questions > 0


@pytest.mark.parametrize("wrong", [{"n_drafts": 0}, {"words": 0}, {"temperature": 0.0}, {"max_tokens": 0}, {"most_scored": 0}])
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        ProfileSettings(**wrong)  # type: ignore[arg-type]


def test_what_a_model_cannot_do_is_its_own_error() -> None:
    with pytest.raises(ModelError, match="temperature"):
        encode_profiles(ScriptedModel(_either), _ratings(1), settings=ProfileSettings(temperature=0.5))
