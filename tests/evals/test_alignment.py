"""The evaluation `alignment`: what is asked, what is recorded, what is found and what is left out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evals.alignment_worlds import answering, by_metric, drawn_questions, question, records_of
from pluralign.errors import DataError, ModelError, UsageError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import are_consecutive
from pluralign.evals.alignment_records import RECORD_SCHEMA
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, mean_of
from pluralign.evals.kinds import Setting
from pluralign.evals.registry import kind
from pluralign.models import OptionLogprobs, Query, ScriptedModel

SETTING = Setting()


def _shares(query: Query) -> Mapping[str, float]:
    """Of an urn, from what is said of it: "An urn holds 3 red balls and 1 blue ball."."""
    words = (query.episode.description or "").replace(",", "").removesuffix(".").split()
    counts = {colour: int(n) for n, colour in itertools.pairwise(words) if n.isdecimal()}
    return {colour: n / sum(counts.values()) for colour, n in counts.items()}


# what is asked


def test_tasks_are_those_of_the_suite_with_known_shares() -> None:
    assert set(ALIGNMENT.tasks()) == {
        *("global_oqa", "nytimes", "mpi", "rotten_tomatoes", "urn", "habermas", "numbergame", "states"),
        "opinionqa_groups_target",
    }
    assert kind("alignment") is ALIGNMENT


def test_a_lower_limit_gives_a_part_and_the_seed_decides_which() -> None:
    few, more = (ALIGNMENT.material("urn", Setting(seed=3, limit=limit)).questions for limit in (20, 50))
    assert len(few) == 20
    assert [one for one in more if one in few] == list(few)
    assert len(ALIGNMENT.material("urn", Setting(seed=3)).questions) == 1000
    assert [one.item for one in few] != [one.item for one in ALIGNMENT.material("urn", Setting(seed=4, limit=20)).questions]


def test_names_are_of_what_is_asked_and_differ() -> None:
    questions = ALIGNMENT.material("urn", Setting(seed=0, limit=200)).questions
    assert len({one.item for one in questions}) == 200
    again = {one.item: one.target for one in ALIGNMENT.material("urn", Setting(seed=0, limit=1000)).questions}
    assert all(again[one.item] == one.target for one in questions)


def test_what_cannot_be_asked_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'urn'"):
        ALIGNMENT.material("urm", SETTING)
    with pytest.raises(UsageError, match="weekdays_full has no shares of options"):
        ALIGNMENT.material("weekdays_full", SETTING)
    with pytest.raises(UsageError, match="limit must be at least 1"):
        ALIGNMENT.material("urn", Setting(limit=0))
    with pytest.raises(DataError, match=r"data\.json"):
        ALIGNMENT.material("nytimes", Setting(data_dir=tmp_path))
    with pytest.raises(DataError):
        ALIGNMENT.material("global_oqa", SETTING)


def test_countries_are_drawn_apart_and_have_no_noise_floor(tmp_path: Path) -> None:
    (tmp_path / "globaloqa" / "data").mkdir(parents=True)
    countries = [f"Country {i}" for i in range(6)]
    rows = []
    for i in range(40):
        shares = {country: [0.1 + 0.02 * i % 0.8, 0.9 - 0.02 * i % 0.8] for country in countries}
        rows.append({"question": f"Is it {i}?", "selections": str(shares), "options": "['Yes', 'No']"})
    pl.DataFrame(rows).write_csv(tmp_path / "globaloqa" / "data" / "global_opinions.csv")
    material = ALIGNMENT.material("global_oqa", Setting(limit=60, data_dir=tmp_path))
    assert material.unit == "country"
    assert len({one.question for one in material.questions}) > 25  # 10 if the countries of a question stayed together
    findings = ALIGNMENT.findings(records_of(material.questions, [(0.5, 0.5)] * 60), seed=0)
    whole = by_metric(findings)
    assert (whole["total_variation"].estimate.n, whole["total_variation"].estimate.unit) == (6, "country")
    ceiling = whole["steering_gain"].ceiling
    assert ceiling is not None
    assert not ceiling.estimate.is_defined
    country = by_metric(findings, group="Country 1")["total_variation"].estimate
    assert country.unit == "question"


def test_ordinal_are_consecutive_whole_numbers() -> None:
    assert are_consecutive([str(k) for k in range(-5, 6)])
    assert not any(map(are_consecutive, (["1", "3"], ["2", "1"], ["A", "B"], ["1", "2.0"], ["1", "²"], ["", "1"])))


@pytest.mark.data
def test_groups_and_order_of_the_real_tasks(data_dir: Path) -> None:
    setting = Setting(data_dir=data_dir, limit=200)
    books = ALIGNMENT.material("nytimes", setting)
    assert len({one.question for one in books.questions}) == 50  # all four groups of each book
    assert books.unit == "book"
    assert {one.group for one in books.questions} == {"Democrat", "Republican", "Male", "Female"}
    assert all(one.is_ordinal and not one.is_law for one in books.questions)
    survey = ALIGNMENT.material("opinionqa_groups_target", setting)
    assert survey.unit == "question"
    assert not any(one.is_ordinal for one in survey.questions)


# what a known model gets


def test_exact_metrics_of_a_known_model() -> None:
    questions = ALIGNMENT.material("urn", Setting(seed=1, limit=40)).questions
    people = [np.array(one.target.shares) for one in questions]
    entropies = [-(p * np.log(p)).sum() for p in people]
    records = ALIGNMENT.ask(questions, ScriptedModel(lambda q: {k: 0.8 * p for k, p in _shares(q).items()}), SETTING)
    found = by_metric(ALIGNMENT.findings(records, seed=0))
    for metric in ("total_variation", "js_divergence_nats", "js_divergence_corrected_nats", "kl_people_to_model_nats"):
        assert found[metric].estimate.value == pytest.approx(0.0, abs=1e-12)
    assert found["cross_entropy_nats"].estimate.value == pytest.approx(np.mean(entropies), abs=1e-12)
    assert found["covered_mass"].estimate.value == pytest.approx(0.8, abs=1e-12)
    assert found["simbench_score"].estimate.value == pytest.approx(100.0, abs=1e-9)
    assert found["total_variation"].ceiling is not None
    assert found["total_variation"].ceiling.name == "the law itself"
    uniform = [np.full(len(p), 1 / len(p)) for p in people]
    expected = np.mean([np.abs(p - q).sum() / 2 for p, q in zip(people, uniform, strict=True)])
    floor = found["total_variation"].floor
    assert floor is not None
    assert floor.estimate.value == pytest.approx(expected, abs=1e-12)


def test_copy_uniform_and_collapse_are_told_apart_by_every_measure() -> None:
    rng = np.random.default_rng(0)
    questions = [question(f"q{i}", rng.multinomial(40, rng.dirichlet(np.full(4, 8.0))) / 40, n=40) for i in range(40)]
    shares = np.array([one.target.shares for one in questions])
    collapse = np.eye(4)[shares.argmax(axis=1)]
    models = {"copy": shares, "uniform": np.full((40, 4), 0.25), "collapse": collapse}
    found = {name: by_metric(ALIGNMENT.findings(records_of(questions, model), seed=0)) for name, model in models.items()}
    for metric in ("total_variation", "js_divergence_nats", "js_divergence_corrected_nats", "js_distance", "wasserstein1"):
        copy, uniform, collapsed = (found[name][metric].estimate for name in models)
        assert copy.value < uniform.low < uniform.high < collapsed.low, metric
        floor = found["uniform"][metric].floor
        assert floor is not None
        assert floor.estimate == uniform
    for metric in ("simbench_score", "representativeness"):
        copy, uniform, collapsed = (found[name][metric].estimate for name in models)
        assert copy.value > uniform.high >= uniform.low > collapsed.high, metric
    for metric in ("kl_people_to_model_nats", "cross_entropy_nats"):
        assert found["copy"][metric].estimate.value < found["uniform"][metric].estimate.low
        assert found["collapse"][metric].estimate.why_undefined == "infinite for 40 of 40 items"
    matches = {name: found[name]["mode_match"].estimate.value for name in models}
    assert matches["copy"] == matches["collapse"] == 1 > matches["uniform"]  # the mode is all that a collapsed model has


def test_simbench_is_a_ratio_of_means() -> None:
    questions = [question("a", (0.75, 0.25)), question("b", (1.0, 0.0)), question("c", (0.5, 0.5))]
    records = records_of(questions, [(0.5, 0.5), (0.75, 0.25), (0.5, 0.5)])
    # total variation 1/4, 1/4, 0 to the model and 1/4, 1/2, 0 to uniform: 1 - (2/4)/(3/4) = 1/3
    found = by_metric(ALIGNMENT.findings(records, seed=0))["simbench_score"]
    assert found.estimate.value == pytest.approx(100 / 3, abs=1e-10)
    assert found.floor is not None
    assert found.floor.estimate.value == pytest.approx(0.0, abs=1e-10)
    items = ALIGNMENT.items(records).filter(pl.col("metric") == "simbench_score")
    assert items["value"].mean() == pytest.approx(100 / 3, abs=1e-10)
    flat = records_of([question(name, (0.5, 0.5)) for name in "ab"], [(0.9, 0.1)] * 2)
    undefined = by_metric(ALIGNMENT.findings(flat, seed=0))["simbench_score"].estimate
    assert undefined.why_undefined == "people are uniform on every question"


def test_intervals_hold_the_truth_in_95_of_100_samples() -> None:
    """Questions are drawn from a population of 20,000 with known people and a known model."""
    rng = np.random.default_rng(0)
    people = rng.dirichlet(np.full(3, 2.0), size=20_000)
    model = (people + rng.dirichlet(np.full(3, 2.0), size=20_000)) / 2
    distance, baseline = np.abs(people - model).sum(axis=1) / 2, np.abs(people - 1 / 3).sum(axis=1) / 2
    truth = {"total_variation": distance.mean(), "simbench_score": 100 * (1 - distance.mean() / baseline.mean())}
    held = dict.fromkeys([*truth, "floor"], 0)
    for seed in range(100):
        drawn = np.random.default_rng(seed).choice(20_000, size=50, replace=False)
        questions = [question(f"q{i}", people[i], n=None, options=("red", "green", "blue")) for i in drawn]
        found = by_metric(ALIGNMENT.findings(records_of(questions, model[drawn]), seed=seed))
        for metric, value in truth.items():
            held[metric] += not found[metric].estimate.excludes(value)
        floor = found["total_variation"].floor
        assert floor is not None
        held["floor"] += not floor.estimate.excludes(baseline.mean())
    assert all(88 <= n <= 99 for n in held.values()), held


def test_rows_of_one_unit_are_resampled_together() -> None:
    questions = [question(f"q{i}", (0.5, 0.5), unit=f"u{i % 3}") for i in range(12)]
    estimate = by_metric(ALIGNMENT.findings(records_of(questions, [(0.6, 0.4)] * 12), seed=0))["total_variation"].estimate
    assert (estimate.n, estimate.unit) == (3, "question")


# what came of requests


def test_records_have_the_same_columns_whatever_came_and_survive_a_file(tmp_path: Path) -> None:
    questions = drawn_questions(40, seed=1)
    models = [one.target.shares for one in questions]
    faults = {"refusal": 0.3, "malformed": 0.2, "failed": 0.2}
    mixed = ALIGNMENT.ask(questions, answering(questions, models, faults=faults), SETTING)
    nothing = ALIGNMENT.ask(questions, answering(questions, models, faults={"refusal": 1.0}), SETTING)
    assert dict(mixed.schema) == dict(nothing.schema) == RECORD_SCHEMA
    assert set(mixed["outcome"]) == {"ok", "refusal", "malformed", "failed"}
    assert mixed["item"].to_list() == [one.item for one in questions]
    pl.concat([mixed, nothing], how="vertical_relaxed").write_parquet(tmp_path / "records.parquet")
    both = pl.read_parquet(tmp_path / "records.parquet")
    items = ALIGNMENT.items(both.head(40))
    assert items.schema == pl.Schema(GROUPED_ITEM_SCHEMA)
    assert items.equals(ALIGNMENT.items(mixed), null_equal=True)
    assert ALIGNMENT.findings(both.tail(40), seed=0)[0].estimate.why_undefined == "no question has a distribution"


def test_what_was_not_answered_is_counted_and_left_out() -> None:
    questions = drawn_questions(40, seed=2)
    models = np.full((40, 4), 0.25)
    model = answering(questions, models.tolist(), faults={"refusal": 0.3, "malformed": 0.1, "failed": 0.1}, seed=5)
    records = ALIGNMENT.ask(questions, model, SETTING)
    found = by_metric(ALIGNMENT.findings(records, seed=0))
    outcomes = records["outcome"].to_list()
    for outcome in ("refusal", "malformed", "failed"):
        assert found[f"{outcome}_share"].estimate.value == pytest.approx(outcomes.count(outcome) / 40, abs=1e-12)
    assert found["answered_share"].estimate.value == pytest.approx(outcomes.count("ok") / 40, abs=1e-12)
    kept = [one for one, outcome in zip(questions, outcomes, strict=True) if outcome == "ok"]
    alone = by_metric(ALIGNMENT.findings(records_of(kept, models[: len(kept)]), seed=0))
    for metric in ("total_variation", "kl_people_to_model_nats", "simbench_score", "representativeness"):
        assert found[metric].estimate.value == pytest.approx(alone[metric].estimate.value, abs=1e-12)
        assert found[metric].floor == alone[metric].floor  # on the same questions
        assert found[metric].ceiling == alone[metric].ceiling
    values = ALIGNMENT.items(records).filter(pl.col("metric") == "total_variation")["value"].to_list()
    assert [math.isnan(value) for value in values] == [outcome != "ok" for outcome in outcomes]


def test_no_mass_on_any_option_is_no_distribution() -> None:
    questions = [question(f"q{i}", (0.5, 0.5)) for i in range(4)]
    records = ALIGNMENT.ask(questions, ScriptedModel(lambda query: {"something else": 1.0}), SETTING)
    assert records["covered_mass"].to_list() == [0.0] * 4
    found = by_metric(ALIGNMENT.findings(records, seed=0))
    assert found["no_mass_share"].estimate.value == 1.0
    assert found["covered_mass"].estimate.value == 0.0
    assert found["total_variation"].estimate.why_undefined == "no question has a distribution"
    values = ALIGNMENT.items(records).filter(~pl.col("metric").is_in(["covered_mass"]))["value"]
    assert values.is_nan().all()


class _WithoutLogprobs(ScriptedModel):
    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        raise ModelError("this server gives no log-probabilities; --elicit sampling asks for samples.")


class _NotANumber(ScriptedModel):
    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        return [OptionLogprobs(query.asked_options, np.array([-1.0, math.nan])) for query in queries]


def test_what_a_model_cannot_do_passes_through() -> None:
    questions = [question("a", (0.5, 0.5))]
    with pytest.raises(ModelError, match="--elicit sampling"):
        ALIGNMENT.ask(questions, _WithoutLogprobs(), SETTING)
    with pytest.raises(ModelError, match="gone after 0 requests"):
        ALIGNMENT.ask(questions, ScriptedModel(fail_after=0), SETTING)
    with pytest.raises(ModelError, match="says ok, but not how probable"):
        ALIGNMENT.ask(questions, _NotANumber(), SETTING)


# what cannot be said


def test_without_the_number_of_people_there_is_no_ceiling() -> None:
    questions = [question(f"q{i}", (0.25, 0.75), n=None if i else 20) for i in range(4)]
    found = by_metric(ALIGNMENT.findings(records_of(questions, [(0.5, 0.5)] * 4), seed=0))
    for metric in ("total_variation", "simbench_score", "wasserstein1"):
        ceiling = found[metric].ceiling
        assert ceiling is not None
        assert ceiling.estimate.why_undefined == "how many people stand behind the shares is not known for 3 of 4 questions"
    halves = found["split_half_total_variation"].estimate
    assert halves.why_undefined == "an interval needs at least 2 questions, there is 1"


def test_nominal_options_have_no_wasserstein_distance() -> None:
    questions = [question(f"q{i}", (0.25, 0.75), options=("no", "yes")) for i in range(3)]
    found = by_metric(ALIGNMENT.findings(records_of(questions, [(0.5, 0.5)] * 3), seed=0))
    assert found["wasserstein1"].estimate.why_undefined == "no question has options in an order"
    assert found["representativeness"].estimate.why_undefined == "no question has options in an order"
    mixed = [*questions, question("q3", (0.25, 0.75)), question("q4", (0.25, 0.75))]
    found = by_metric(ALIGNMENT.findings(records_of(mixed, [(0.5, 0.5)] * 5), seed=0))
    assert (found["wasserstein1"].estimate.value, found["wasserstein1"].estimate.n) == (pytest.approx(0.25), 2)


def test_one_question_has_no_interval() -> None:
    states = ALIGNMENT.material("states", SETTING).questions
    records = ALIGNMENT.ask(states, ScriptedModel(), SETTING)
    found = by_metric(ALIGNMENT.findings(records, seed=0))
    assert found["total_variation"].estimate.why_undefined == "an interval needs at least 2 questions, there is 1"
    values = ALIGNMENT.items(records).filter(pl.col("metric") == "total_variation")["value"]
    assert values.to_list() == [pytest.approx(0.0, abs=1e-12)]


# elicitations and variants


def test_elicitations_are_measured_apart() -> None:
    questions = drawn_questions(12, seed=4)
    shares = np.array([one.target.shares for one in questions])
    records = records_of(questions, shares)
    sampled = records_of(questions, np.full((12, 4), 0.25), elicitation="sampling", n_samples=30)
    findings = ALIGNMENT.findings(pl.concat([records, sampled]), seed=0)
    assert {finding.group for finding in findings} == {"logprobs", "sampling"}
    alone = by_metric(ALIGNMENT.findings(sampled, seed=0))
    for metric, finding in by_metric(findings, group="sampling").items():
        assert finding == dataclasses.replace(alone[metric], group="sampling", is_headline=False)
    items = ALIGNMENT.items(pl.concat([records, sampled]))
    names = set(items["item"])
    assert names == {f"q{i} ({way})" for i, way in itertools.product(range(12), ("logprobs", "sampling"))}


class _Sampled(ScriptedModel):
    """Fails as a server may, without saying how it was asked."""

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        nothing = OptionLogprobs(queries[0].asked_options, np.full(2, np.nan), outcome="failed", detail="status 500")
        return [nothing] + [OptionLogprobs(q.asked_options, np.log([0.4, 0.6]), elicitation="sampling") for q in queries[1:]]


def test_a_failure_is_of_the_elicitation_that_was_asked_for() -> None:
    questions = [question(f"q{i}", (0.5, 0.5)) for i in range(3)]
    records = ALIGNMENT.ask(questions, _Sampled(), SETTING)
    assert records["elicitation"].to_list() == ["sampling"] * 3
    assert {finding.group for finding in ALIGNMENT.findings(records, seed=0)} == {None}


def test_records_of_something_else_are_refused() -> None:
    with pytest.raises(DataError, match="columns are missing: task, item"):
        ALIGNMENT.findings(pl.DataFrame({"a": [1]}), seed=0)
    records = records_of([question("a", (0.5, 0.5))], [(0.5, 0.5)])
    several = pl.concat([records, records.with_columns(variant=pl.lit("with cue"))])
    with pytest.raises(UsageError, match=r"asked in 2 ways .*sensitivity\.averaged"):
        ALIGNMENT.findings(several, seed=0)
    empty = records.clear()
    assert ALIGNMENT.findings(empty, seed=0) == []
    assert len(ALIGNMENT.items(empty)) == 0


def test_the_seed_decides_intervals_and_the_order_of_records_does_not() -> None:
    questions = drawn_questions(20, seed=6)
    records = records_of(questions, np.full((20, 4), 0.25))
    first, again, other = (ALIGNMENT.findings(records, seed=seed)[0] for seed in (0, 0, 1))
    assert first == again != other
    assert first.ceiling is not None
    turned = ALIGNMENT.findings(records.reverse(), seed=0)[0].ceiling
    assert turned is not None
    assert turned.estimate.value == pytest.approx(first.ceiling.estimate.value, abs=1e-12)


def test_means_are_those_that_are_computed_one_by_one() -> None:
    questions = drawn_questions(30, seed=7)
    records = records_of(questions, np.full((30, 4), 0.25))
    lost = records_of(questions[:4], np.full((4, 4), 0.25), outcome="refusal")
    records = pl.concat([lost, records.tail(26)])
    items = ALIGNMENT.items(records)
    found = by_metric(ALIGNMENT.findings(records, seed=3))
    for metric in ("total_variation", "js_distance", "kl_people_to_model_nats", "covered_mass", "mode_match"):
        alone = mean_of(items, "made", metric, unit="question", seed=3)
        ours = found[metric].estimate
        assert (ours.n, ours.unit, ours.seed) == (alone.n, alone.unit, alone.seed)
        np.testing.assert_allclose((ours.value, ours.low, ours.high), (alone.value, alone.low, alone.high), atol=1e-12)
