"""Limits of sequences whose law is known: by hand, against slow versions, and reached by the model that knows the law."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad

from pluralign.episodes import Episode, Example
from pluralign.evals.findings import Finding
from pluralign.evals.kinds import Setting
from pluralign.evals.steerability import Steerability
from pluralign.evals.steerability_limits import OutputLimits, steering_limits
from pluralign.evals.steerability_questions import SteeringQuestion
from pluralign.models import Query, ScriptedModel
from pluralign.ratings.simulate import ATTRIBUTES
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from pluralign.suite.embedded_truth import N_LABELS, categorical_predictive
from pluralign.suite.registry import draw
from pluralign.suite.simulated_worlds import worlds
from reference import plain_steerability as slow

COINS = Steerability(most_k=16)
SIDES = ("Heads", "Tails")


def question(episode: Episode) -> SteeringQuestion:
    n = len(episode.examples)
    return SteeringQuestion(
        task=episode.task,
        sequence=f"{episode.unit}/0",
        unit=str(episode.unit),
        unit_name="unit",
        episode=episode,
        k_star=n - 1,
        options_at=None,
        floor_logprobs=(math.nan,) * n,
        floor_is_mode=(False,) * n,
    )


def limits_of(episode: Episode) -> OutputLimits:
    [found] = steering_limits([question(episode)], seed=0)
    assert found is not None
    return found


def coin(tosses: str, description: str | None, *, heads: float = 0.7) -> Episode:
    examples = tuple(Example("Heads" if toss == "H" else "Tails") for toss in tosses)
    return Episode("coinflip", examples, description, SIDES, unit="0", attributes={"p_heads": heads})


# coins


def test_a_coin_of_which_nothing_is_told_by_hand() -> None:
    """Beta(1, 1): 1/2, then (n_H + 1) / (k + 2): H H T H -> 1/2, 2/3, 1/4, 3/5."""
    for description in (None, "Every output is one of two: Heads or Tails."):
        found = limits_of(coin("HHTH", description))
        np.testing.assert_allclose(np.exp(found.logprobs), [1 / 2, 2 / 3, 1 / 4, 3 / 5], rtol=0, atol=1e-12)
        assert found.is_argmax.tolist() == [True, True, False, True]  # of equally probable ones Heads
        assert found.told == "nothing"


@pytest.mark.parametrize("side", SIDES)
def test_where_the_likelier_side_is_told_its_chances_are_above_one_half(side: str) -> None:
    tosses = "HTTHHHTTTTH"
    heads = 0.7 if side == "Heads" else 0.3
    found = limits_of(coin(tosses, f"Heads or Tails: {side} is the likelier of the two.", heads=heads))
    low, high = (0.5, 1.0) if side == "Heads" else (0.0, 0.5)
    for k, toss in enumerate(tosses):
        n = tosses[:k].count("H")

        def density(p: float, n: int = n, k: int = k) -> float:
            return p**n * (1 - p) ** (k - n)

        p_heads = quad(lambda p, f=density: p * f(p), low, high)[0] / quad(density, low, high)[0]
        expected = p_heads if toss == "H" else 1 - p_heads
        assert math.exp(found.logprobs[k]) == pytest.approx(expected, abs=1e-9)
    assert found.told == "the likelier side"


def test_every_description_of_the_suites_coins_is_understood() -> None:
    told: dict[str, set[str]] = {}
    for number, episode in enumerate(draw("coinflip", description_share=1.0)):
        if number < 200:
            short = dataclasses.replace(episode, examples=episode.examples[:3])
            found = limits_of(short)
            told.setdefault(found.told, set()).add((episode.description or "").partition("{")[0])
            if found.told == "the chances":
                heads = float(str(episode.attributes["p_heads"]))
                chances = [heads if example.output == "Heads" else 1 - heads for example in short.examples]
                np.testing.assert_allclose(np.exp(found.logprobs), chances, rtol=0, atol=1e-12)
    assert {name: len(texts) for name, texts in told.items()} == {"the chances": 4, "nothing": 2, "the likelier side": 2}
    fair = limits_of(coin("HT", "Heads or Tails: both are equally likely.", heads=0.5))
    np.testing.assert_allclose(np.exp(fair.logprobs), [0.5, 0.5], atol=1e-12)


def test_of_what_else_may_be_told_the_limit_is_unknown() -> None:
    found = limits_of(coin("HTH", "It came up Heads 12 times of 20."))
    assert np.isnan(found.logprobs).all()
    assert steering_limits([question(dataclasses.replace(coin("HT", None), task="flight"))], seed=0) == [None]


# categories


def test_categories_are_those_of_the_predictive() -> None:
    written = json.dumps({"0": 0.25, "1": 0.5, "2": 0.25})
    outputs = ["2", "1", "1", "0", "2"]
    episode = Episode(
        "categorical",
        tuple(map(Example, outputs)),
        "Categories from a categorical distribution.",
        ("0", "1", "2"),
        unit="0",
        attributes={"probabilities": written},
    )
    found = limits_of(episode)
    for k, output in enumerate(outputs):
        counts = np.zeros((1, N_LABELS))
        for label in outputs[:k]:
            counts[0, int(label)] += 1
        assert math.exp(found.logprobs[k]) == pytest.approx(categorical_predictive(counts)[0, int(output)], abs=1e-12)
    told = limits_of(dataclasses.replace(episode, description=f"Categorical({written})"))
    np.testing.assert_allclose(np.exp(told.logprobs), [0.25, 0.5, 0.5, 0.25, 0.25], atol=1e-12)
    assert (found.told, told.told) == ("nothing", "the chances")
    rare = limits_of(dataclasses.replace(episode, examples=(Example("1"), Example(str(N_LABELS)))))
    assert np.isnan(rare.logprobs).all()


# people


def test_people_are_those_of_the_bayes_predictive() -> None:
    """Two of one world, of one the attributes are told, by `bayes_predict` at each k; of a third the profile."""
    of_worlds: dict[str, dict[str, Episode]] = {}
    for episode in draw("simulated_ratings", description_share=1.0):
        described = episode.description or ""
        told = "the profile" if "atter" in described else "attributes" if "The person:" in described else "nothing"
        short = dataclasses.replace(episode, examples=episode.examples[:6])
        of_worlds.setdefault(str(episode.unit).partition("/")[0], {}).setdefault(told, short)
    simulation, episodes = next((one, of_worlds[name]) for name, one in worlds(0) if len(of_worlds[name]) == 3)
    assert set(episodes) == {"nothing", "attributes", "the profile"}
    names = list(episodes)
    together = steering_limits([question(episodes[name]) for name in names], seed=0)
    for name, found in zip(names, together, strict=True):
        assert found is not None
        assert found.told == name
        alone = limits_of(episodes[name])
        np.testing.assert_array_equal(found.logprobs, alone.logprobs)
        if name == "the profile":
            assert np.isnan(found.logprobs).all()
            continue
        person = int(str(episodes[name].unit).partition("/")[2])
        texts = simulation.ratings.items["item_text"].to_list()
        items = [texts.index(example.input) for example in episodes[name].examples]
        rows = {item: n for n, item in enumerate(simulation.ratings.item_index) if simulation.ratings.rater_index[n] == person}
        attributes = tuple(ATTRIBUTES) if name == "attributes" else ()
        for k, example in enumerate(episodes[name].examples):
            examples = simulation.ratings.take(np.array(sorted(rows[item] for item in items[:k]))) if k else None
            known = Known(attributes=attributes, examples=examples)
            shares = bayes_predict(simulation, np.array([items[k]]), np.array([person]), known=known).probabilities[0]
            expected = shares[simulation.ratings.scale.options.index(example.output)]
            assert math.exp(found.logprobs[k]) == pytest.approx(expected, abs=1e-9)


# models against the limit


def beta_shares(query: Query) -> dict[str, float]:
    seen = [example.output for example in query.episode.examples]
    heads = (seen.count("Heads") + 1) / (len(seen) + 2)
    return {"Heads": heads, "Tails": 1 - heads}


def coin_findings(
    shares: object, *, kind: Steerability, limit: int = 200
) -> tuple[dict[tuple[str, str | None], Finding], pl.DataFrame]:
    setting = Setting(limit=limit)
    records = kind.ask(kind.material("coinflip", setting).questions, ScriptedModel(shares), setting)  # type: ignore[arg-type]
    return {(one.metric, one.group): one for one in kind.findings(records, seed=0)}, records


QUIET = Steerability(most_k=16, description_share=0.0)


def test_the_bayesian_is_at_the_limit_and_the_collapsed_is_not() -> None:
    found, records = coin_findings(beta_shares, kind=QUIET)
    excess, loss = found["excess_nats", None].estimate, found["loss_nats", None]
    assert loss.ceiling is not None
    assert loss.floor is not None
    assert abs(excess.value) < 1e-12
    assert max(abs(excess.low), abs(excess.high)) < 1e-12
    assert loss.ceiling.estimate.value == pytest.approx(loss.estimate.value, abs=1e-12)
    assert excess.value == pytest.approx(slow.excess(records.to_dicts()), abs=1e-12)
    assert loss.floor.estimate.low > loss.estimate.high
    gain = found["gain_nats", None]
    assert gain.ceiling is not None
    assert gain.ceiling.estimate.value == pytest.approx(gain.estimate.value, abs=1e-12)
    assert gain.estimate.value > 0.05
    error = found["calibration_error", None]
    assert error.ceiling is not None
    assert error.estimate.value < error.ceiling.estimate.high

    def collapsed(query: Query) -> dict[str, float]:
        shares = beta_shares(query)
        likely = max(shares, key=lambda side: shares[side])
        return {side: 0.98 if side == likely else 0.02 for side in SIDES}

    worse, _ = coin_findings(collapsed, kind=QUIET)
    assert worse["excess_nats", None].estimate.low > 0.2
    assert worse["accuracy", None].estimate.value == pytest.approx(found["accuracy", None].estimate.value, abs=1e-12)
    assert worse["calibration_error", None].estimate.low > error.ceiling.estimate.high

    flat, _ = coin_findings(lambda query: dict.fromkeys(SIDES, 0.5), kind=QUIET)
    assert flat["loss_nats", None].estimate.value == pytest.approx(math.log(2), abs=1e-12)
    assert flat["gain_nats", None].estimate.value == 0
    assert flat["excess_nats", None].estimate.low > 0.05


def test_the_gain_and_its_limit_are_of_the_same_sequences() -> None:
    _, records = coin_findings(beta_shares, kind=QUIET, limit=40)
    is_lost = (pl.col("k") == 16) & pl.col("sequence").is_in(records["sequence"].unique(maintain_order=True)[:15].to_list())
    lost = records.with_columns(
        outcome=pl.when(is_lost).then(pl.lit("failed")).otherwise("outcome"),
        logprob=pl.when(is_lost).then(pl.lit(np.nan)).otherwise("logprob"),
    )
    [gain] = [one for one in QUIET.findings(lost, seed=0) if one.metric == "gain_nats"]
    assert gain.ceiling is not None
    for name in ("value", "low", "high", "n"):
        assert getattr(gain.ceiling.estimate, name) == pytest.approx(getattr(gain.estimate, name), abs=1e-12)
    assert gain.estimate.n == 25
    assert gain.estimate.value == pytest.approx(slow.gain(lost.to_dicts()), abs=1e-12)


def test_excess_is_told_by_what_the_description_tells() -> None:
    found, records = coin_findings(beta_shares, kind=COINS)
    groups = {group for metric, group in found if metric == "excess_nats"}
    assert groups == {None, "told: nothing", "told: the chances", "told: the likelier side"}
    assert abs(found["excess_nats", "told: nothing"].estimate.value) < 1e-12
    assert found["excess_nats", "told: the chances"].estimate.low > 0.02  # examples alone do not tell the chances
    items = COINS.items(records)
    assert items.filter(pl.col("metric") == "excess_nats").height == records.filter(pl.col("k") >= 1).height


def test_outputs_without_a_limit_leave_no_ceiling() -> None:
    """Of some simulated people the profile is told; the excess is over the others."""
    kind, setting = Steerability(most_k=3), Setting(limit=24)
    questions = kind.material("simulated_ratings", setting).questions
    records = kind.ask(questions, ScriptedModel(), setting)
    by_name = {(one.metric, one.group): one for one in kind.findings(records, seed=0)}
    n = int((records["limit_logprob"].is_nan() & (records["k"] >= 1)).sum())
    assert 0 < n < 72
    for metric in ("loss_nats", "accuracy"):
        ceiling = by_name[metric, None].ceiling
        assert ceiling is not None
        assert ceiling.estimate.why_undefined == f"{n} of 72 outputs have no known limit"
    gain = by_name["gain_nats", None].ceiling
    assert gain is not None
    assert gain.estimate.why_undefined == f"{n // 3} of 24 sequences have no known limit"
    assert by_name["excess_nats", None].estimate.value == pytest.approx(slow.excess(records.to_dicts()), abs=1e-12)
    assert ("excess_nats", "told: the profile") not in by_name
    items = kind.items(records).filter(pl.col("metric") == "excess_nats")
    assert items.height == 72 - n
