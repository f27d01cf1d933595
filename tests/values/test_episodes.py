from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.suite.embedded_values import BEARINGS, relevance_probabilities, valence_probabilities
from pluralign.suite.embedded_world import embedded_world, situation_texts
from pluralign.values.considerations import Consideration
from pluralign.values.episodes import EpisodeKaleido, sample_situations
from pluralign.values.kaleido import Decoding, open_values_model

ALL = [Consideration(one.kind, one.text) for one in BEARINGS]


def answers(query: Query) -> Mapping[str, float]:
    text = query.input or ""
    if text.startswith("[Generate]"):
        return {"Value: health": 0.6, "Duty: Duty to help": 0.3, "whatever": 0.1}
    if text.startswith("[Relevance]"):
        return {"Yes": 0.6, "No": 0.2} if "health" in text else {"Yes": 0.1, "No": 0.4}
    return {"Supports": 0.5, "Opposes": 0.3, "Either": 0.1} if "[Valence]" in text else {"Because.": 1.0}


@pytest.fixture(scope="module")
def embedded() -> EpisodeKaleido:
    model = open_values_model("embedded")
    assert isinstance(model, EpisodeKaleido)
    return model


def test_judgements_are_renormalised_over_the_options() -> None:
    model = EpisodeKaleido(ScriptedModel(answers))
    pairs = [("S", Consideration("Value", "health")), ("S", Consideration("Duty", "Duty to help"))]
    assert model.relevance(pairs).values.tolist() == pytest.approx([0.75, 0.2])
    assert model.valence(pairs).values[0].tolist() == pytest.approx([5 / 9, 3 / 9, 1 / 9])
    assert [one.text for one in model.explain(pairs)] == ["Because."] * 2
    drawn = model.generate(["S"], n=60, seed=0)[0]
    assert {one.outcome for one in drawn} == {"ok", "unparsed"}
    assert {one.consideration for one in drawn} == {
        Consideration("Value", "health"),
        Consideration("Duty", "Duty to help"),
        None,
    }


def test_a_request_without_an_answer_is_an_outcome_and_no_number() -> None:
    model = EpisodeKaleido(ScriptedModel(answers, faults={"refusal": 0.5}))
    found = model.relevance([(f"S{n}", Consideration("Value", "health")) for n in range(40)])
    refused = np.array([one == "refusal" for one in found.outcomes])
    assert 0 < refused.sum() < 40
    assert np.isnan(found.values[refused]).all()
    assert not np.isnan(found.values[~refused]).any()


def test_beams_are_refused() -> None:
    with pytest.raises(UsageError, match="has no beams"):
        EpisodeKaleido(ScriptedModel(answers), decoding=Decoding(way="beams"))


def test_the_embedded_model_knows_its_own_world_only(embedded: EpisodeKaleido) -> None:
    near = situation_texts()[5].removesuffix(".")
    with pytest.raises(DataError, match="no other") as error:
        embedded.check([situation_texts()[0], "Biking to work instead of driving", near])
    assert "did you mean" in str(error.value)
    assert len(error.value.faults) == 2
    embedded.check(sample_situations(5, seed=3))
    assert [one.outcome for one in embedded.explain([(situation_texts()[0], ALL[0])])] == ["unsupported"]


def test_the_embedded_model_sees_what_is_true_in_its_world(embedded: EpisodeKaleido) -> None:
    """The most probable answer is the true one's in nine of ten cases or more (`benchmarks/values.py` measures it)."""
    items = np.arange(0, len(situation_texts()), 97)
    features = embedded_world().features[items]
    pairs = [(situation_texts()[item], one) for item in items for one in ALL]
    relevance, valence = embedded.relevance(pairs).values, embedded.valence(pairs).values
    true_yes = relevance_probabilities(features).ravel()
    true_valence = valence_probabilities(features).reshape(-1, 3)
    assert ((relevance > 0.5) == (true_yes > 0.5)).mean() > 0.9
    clear = np.sort(true_valence, axis=1)
    clear = clear[:, -1] - clear[:, -2] > 1e-9  # untouched ones have no most probable answer
    assert (valence.argmax(1) == true_valence.argmax(1))[clear].mean() > 0.9


def test_samples_of_situations_are_by_seed() -> None:
    assert sample_situations(3, seed=0) == sample_situations(3, seed=0)
    assert sample_situations(3, seed=0) != sample_situations(3, seed=1)
    assert len(set(sample_situations(50, seed=0))) == 50
    with pytest.raises(UsageError, match="--sample 0"):
        sample_situations(0, seed=0)
