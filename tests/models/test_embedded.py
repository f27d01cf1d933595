"""The model in the package: found by name, called by it, and as good as its card says where that is quick to find out."""

from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.models import ModelSettings, open_model
from pluralign.models.queries import queries_of
from pluralign.suite.embedded_truth import coin_truth, excess_nats, ratings_truth


def test_it_is_called_by_its_name_and_answers_near_the_limit() -> None:
    model = open_model("embedded", ModelSettings(dtype="float32"))
    assert model.name == "embedded"
    for truth, most in ((coin_truth(40, k=8), 0.005), (ratings_truth(40, k=0, told="person"), 0.03)):
        asked = [queries_of(episode, at="last")[0].query for episode in truth.episodes]
        logprobs = np.array([answer.logprobs for answer in model.option_logprobs(asked)])
        assert excess_nats(truth.probabilities, logprobs).mean() < most


def test_its_base_is_another_and_an_unknown_one_is_refused() -> None:
    base = open_model("embedded/base", ModelSettings(format="colon", dtype="float32"))
    assert base.name == "embedded/base"
    assert base.fingerprint() != open_model("embedded", ModelSettings(dtype="float32")).fingerprint()
    with pytest.raises(UsageError, match="embedded/bse"):
        open_model("embedded/bse")
    with pytest.raises(UsageError, match="no revisions"):
        open_model("embedded", ModelSettings(revision="main"))
