from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, ModelError, UsageError
from pluralign.models import Query, SamplingSettings, open_model
from pluralign.models.scripted import ScriptedModel, learned_shares, spelled_logprob

COIN = Episode("coin", (Example("heads"), Example("heads"), Example("tails")), options=("heads", "tails"), unit="c")


def _coins(n: int) -> list[Query]:
    return [Query(Episode("coin", (), description=f"Coin {i}.", options=("heads", "tails"))) for i in range(n)]


def test_the_default_by_hand() -> None:
    """2 of 3 heads: 0.9 * (2 + 1) / (3 + 2) = 0.54 and 0.9 * (1 + 1) / 5 = 0.36."""
    [answer] = ScriptedModel().option_logprobs([Query(COIN)])
    np.testing.assert_allclose(np.exp(answer.logprobs), [0.54, 0.36], rtol=0, atol=1e-12)
    assert answer.outside_mass == pytest.approx(0.1, abs=1e-12)
    assert (answer.outcome, answer.elicitation, answer.options) == ("ok", "logprobs", ("heads", "tails"))


def test_outputs_are_scored_by_what_stands_before_them() -> None:
    """After heads: 0.9 * 2/3 = 0.6 for heads; after two heads: 0.9 * 1/4 = 0.225 for tails."""
    [answer] = ScriptedModel().output_logprobs([COIN])
    assert answer.example_index.tolist() == [1, 2]
    np.testing.assert_allclose(np.exp(answer.logprobs), [0.6, 0.225], rtol=0, atol=1e-12)
    assert answer.n_tokens.tolist() == [6, 6]
    assert answer.is_argmax.tolist() == [True, False]


def test_without_options_what_was_seen_counts_and_the_rest_is_spelled() -> None:
    """After "hm": 1/2 for it, 1/2 for all that is spelled. "a" is (7/8)(31/32)/26 and an end of 1/8."""
    letter = 7 / 8 * 31 / 32 / 26
    assert math.exp(spelled_logprob("a")) == pytest.approx(letter / 8, abs=1e-15)
    spelled = letter / 8 / (1 - letter**2 / 8)  # "hm" itself is spelled again
    [answer] = ScriptedModel().output_logprobs([Episode("said", (Example("hm"), Example("a"), Example("hm")))])
    np.testing.assert_allclose(np.exp(answer.logprobs), [spelled / 2, 1 / 3], rtol=1e-12)


def test_all_texts_together_have_probability_1() -> None:
    """By enumeration: the listed ones, and spelled ones of up to two of 27 characters; the rest is longer."""
    model, query = ScriptedModel(lambda _: {"": 0.2, "a": 0.3, "other": 0.1}), Query(COIN)
    letters = [*map(chr, range(97, 123))]
    texts = ["", *letters, *(a + b for a in letters for b in letters)]
    found = sum(math.exp(model.logprob(query, text)) for text in texts) + 0.1
    listed = sum(math.exp(spelled_logprob(text)) for text in ("", "a", "other"))
    of_letters = 7 / 8 * 31 / 32
    short = (1 + of_letters + of_letters**2) / 8 - 1 / 8 - of_letters / 26 / 8  # spelled in up to two letters, not listed
    assert found == pytest.approx(0.6 + 0.4 * short / (1 - listed), abs=1e-12)


def test_samples_follow_the_distribution() -> None:
    """Each share of 4000 draws within four standard errors."""
    model = ScriptedModel(lambda _: {"heads": 0.5, "": 0.2, "ünïcode": 0.1})
    [drawn] = model.sample([Query(COIN)], SamplingSettings(n=4000, max_tokens=200, seed=1))
    counts = Counter(sample.text for sample in drawn)
    for text, p in {"heads": 0.5, "": 0.2, "ünïcode": 0.1, "a": math.exp(model.logprob(Query(COIN), "a"))}.items():
        assert abs(counts[text] / 4000 - p) < 4 * math.sqrt(p * (1 - p) / 4000)
    assert all(sample.finish_reason == "stop" for sample in drawn)
    assert all(sample.n_tokens == len(sample.text) + 1 for sample in drawn)
    assert all(sample.logprob == model.logprob(Query(COIN), sample.text) for sample in drawn[:50])


def test_a_text_of_probability_0_is_never_drawn_though_it_could_be_spelled() -> None:
    model = ScriptedModel(lambda _: {"": 0.0, "heads": 0.5})
    [drawn] = model.sample([Query(COIN)], SamplingSettings(n=1000))
    assert "" not in {sample.text for sample in drawn}


def test_samples_are_keyed_by_seed_query_and_number() -> None:
    first, second = _coins(2)
    settings = SamplingSettings(n=20, seed=5)
    together = ScriptedModel().sample([first, second], settings)
    assert ScriptedModel().sample([second], settings) == together[1:]
    assert ScriptedModel().sample([first], SamplingSettings(n=8, seed=5))[0] == together[0][:8]
    assert ScriptedModel().sample([first], SamplingSettings(n=20, seed=6)) != together[:1]


def test_a_cut_off_text_is_not_one_that_ended() -> None:
    model = ScriptedModel(lambda _: {"heads": 1.0})
    [[cut]] = model.sample([Query(COIN)], SamplingSettings(max_tokens=5))
    assert (cut.text, cut.finish_reason, cut.n_tokens, cut.logprob) == ("heads", "length", 5, None)
    [[whole]] = model.sample([Query(COIN)], SamplingSettings(max_tokens=6))
    assert (whole.text, whole.finish_reason, whole.logprob) == ("heads", "stop", 0.0)


@pytest.mark.parametrize("changes", [{"temperature": 0.5}, {"top_p": 0.9}, {"top_k": 3}])
def test_the_distribution_is_not_bent(changes: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="leave out temperature, top_p and top_k"):
        ScriptedModel().sample([Query(COIN)], SamplingSettings(**changes))  # type: ignore[arg-type]  # one of them is a float


def test_faults_befall_the_same_requests_in_every_run_and_order() -> None:
    asked = _coins(2000)
    faults = {"refusal": 0.1, "malformed": 0.05, "failed": 0.05}
    outcomes = [a.outcome for a in ScriptedModel(faults=faults).option_logprobs(asked)]  # type: ignore[arg-type]  # literals
    again = ScriptedModel(faults=dict(reversed(faults.items()))).option_logprobs(asked[::-1])  # type: ignore[arg-type]  # too
    assert [a.outcome for a in again] == outcomes[::-1]
    counts = Counter(outcomes)
    for fault, p in faults.items():  # within four standard errors
        assert abs(counts[fault] / 2000 - p) < 4 * math.sqrt(p * (1 - p) / 2000)
    other = ScriptedModel(faults={"refusal": 0.1}, seed=1).option_logprobs(asked)
    assert [a.outcome for a in other] != outcomes
    assert all(np.isnan(a.logprobs).all() == (a.outcome != "ok") for a in again)


def test_faults_of_episodes_and_samples() -> None:
    [failed] = ScriptedModel(faults={"malformed": 1.0}).output_logprobs([COIN])
    assert (failed.outcome, len(failed.logprobs)) == ("malformed", 0)
    [drawn] = ScriptedModel(faults={"refusal": 0.3, "failed": 0.3}).sample([Query(COIN)], SamplingSettings(n=200))
    assert {sample.finish_reason for sample in drawn} == {"stop", "refusal", "failed"}
    assert {sample.text for sample in drawn if sample.finish_reason != "stop"} == {""}
    [text] = ScriptedModel(faults={"malformed": 1.0}).sample([Query(COIN)], SamplingSettings())
    assert text[0].finish_reason == "stop"  # no text is malformed


def test_it_goes_away_after_so_many_requests() -> None:
    model = ScriptedModel(fail_after=3)
    model.option_logprobs(_coins(2))
    with pytest.raises(ModelError, match="gone after 3 requests"):
        model.option_logprobs(_coins(2))
    assert model.usage.requests == 3


def test_usage_counts_requests_and_characters() -> None:
    model = ScriptedModel(lambda _: {"heads": 1.0})
    model.sample([Query(COIN, "toss")], SamplingSettings(n=2))
    assert model.usage.requests == 2
    assert model.usage.prompt_tokens == 2 * (5 + 5 + 5 + 4)  # heads, heads, tails, toss
    assert model.usage.output_tokens == 2 * 6


def test_it_is_opened_by_a_name_with_settings() -> None:
    assert open_model("scripted").name == "scripted"
    model = ScriptedModel.open("refusal=0.25,fail_after=7,seed=3,delay_s=0.5")
    assert (model.faults, model.fail_after, model.seed, model.delay_s) == ({"refusal": 0.25}, 7, 3, 0.5)
    assert model.name == "scripted/refusal=0.25,fail_after=7,seed=3,delay_s=0.5"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("refusals=1", "did you mean 'refusal'"),
        ("seed=x", "seed must be a number, not 'x'"),
        ("fail_after=1.5", "must be a number"),
        ("refusal=2", "0..1"),
        ("refusal=0.6,failed=0.6", "together at most 1"),
    ],
)
def test_names_that_cannot_be_are_refused(rest: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ScriptedModel.open(rest)


def test_distributions_and_options_that_cannot_be_are_refused() -> None:
    for shares in ({"a": 0.7, "b": 0.4}, {"a": -0.1}, {"a": math.nan}):
        with pytest.raises(UsageError, match="at least 0, together at most 1"):
            ScriptedModel(lambda _, shares=shares: shares).option_logprobs([Query(COIN)])
    with pytest.raises(UsageError, match="has no options"):
        ScriptedModel().option_logprobs([Query(Episode("t", ()))])
    with pytest.raises(UsageError, match="different texts"):
        ScriptedModel().option_logprobs([Query(COIN, None, ("a", "a"))])
    with pytest.raises(DataError, match="'' has no tokens"):
        ScriptedModel().option_logprobs([Query(COIN, None, ("a", ""))])
    with pytest.raises(UsageError, match="did you mean 'refusal'"):
        ScriptedModel(faults={"refusals": 0.1})  # type: ignore[dict-item]  # that is the test


def test_only_a_named_distribution_is_the_same_in_another_object() -> None:
    assert ScriptedModel().fingerprint() == ScriptedModel(learned_shares, seed=4, faults={"failed": 1.0}).fingerprint()
    assert ScriptedModel(lambda _: {}).fingerprint() != ScriptedModel(lambda _: {}).fingerprint()
    assert ScriptedModel(lambda _: {}, revision="r").fingerprint() == ScriptedModel(lambda _: {}, revision="r").fingerprint()
