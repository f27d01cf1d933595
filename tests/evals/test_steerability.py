"""What steerability asks with, what it keeps, and its numbers, by hand and against a slow version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evals.steerability_made import NAME, PEOPLE, made_records
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import DataError, ModelError, UsageError
from pluralign.estimates import estimate_mean
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding, mean_of
from pluralign.evals.kinds import EvaluationKind, Setting
from pluralign.evals.steerability import RECORD_SCHEMA, STEERABILITY, Steerability, held_out_tasks
from pluralign.evals.steerability_findings import curve_points
from pluralign.evals.steerability_limits import WITH_LIMIT
from pluralign.models import OptionLogprobs, OutputLogprobs, Query, ScriptedModel
from pluralign.suite.registry import SOURCES, all_tasks, draw
from reference import plain_steerability as slow


@pytest.fixture(autouse=True)
def made_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, NAME, "evals.steerability_made")


def asked(
    task: str, model: Any = None, setting: Setting | None = None, kind: Steerability = STEERABILITY
) -> tuple[list[Any], pl.DataFrame]:
    """The task's questions and what was said to them."""
    chosen = setting or Setting()
    questions = list(kind.material(task, chosen).questions)
    return questions, kind.ask(questions, model or ScriptedModel(), chosen)


def found(records: pl.DataFrame, metric: str, group: str | None = None) -> Finding:
    [one] = [f for f in STEERABILITY.findings(records, seed=0) if (f.metric, f.group) == (metric, group)]
    return one


# which sequences


def test_it_is_an_evaluation_of_every_task_of_the_suite() -> None:
    kind: EvaluationKind = STEERABILITY
    assert list(kind.tasks()) == list(all_tasks())
    assert {"wvs_individual", "flight"} <= set(held_out_tasks())
    assert {name for name in held_out_tasks() if all_tasks()[name].split != "test"} == set(WITH_LIMIT)
    assert "poisson" in set(kind.tasks()) - set(held_out_tasks())


def test_training_tasks_are_drawn_as_no_suite_draws_them() -> None:
    assert all(all_tasks()[name].split == "train" for name in WITH_LIMIT)
    built = {episode.examples[:40] for episode in draw("coinflip", seed=0)}
    asked_for = [q.episode.examples[:40] for q in STEERABILITY.material("coinflip", Setting(limit=50)).questions]
    assert sum(examples in built for examples in asked_for) < 10  # coins that hardly ever land on one side


def test_a_file_of_episodes_is_a_task(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    episodes = [Episode("t", tuple(Example("ab"[(n + i) % 2]) for i in range(5)), unit=f"u{n}") for n in range(4)]
    write_episodes(path, episodes)
    questions, records = asked(f"episodes:{path}")
    assert [question.k_star for question in questions] == [4] * 4
    assert set(records["task"]) == {"episodes_votes"}
    assert set(records["unit"]) == {"u0", "u1", "u2", "u3"}
    with pytest.raises(DataError):
        STEERABILITY.material(f"episodes:{tmp_path / 'none.jsonl'}", Setting())


def test_k_star_has_the_most_outputs_at_stake() -> None:
    lengths = [len(said) for said in PEOPLE.values()]  # 2 x 7 = 14 at k = 2, 7 x 3 = 21 at k = 7, 8 at k = 8
    assert slow.k_star(lengths) == 7
    questions, records = asked("made_people")
    assert {question.k_star for question in questions} == set(records["k_star"]) == {7}
    assert [question.unit for question in questions] == ["ann", "bob", "cyd"]
    assert {len(question.episode.examples) for question in questions} == {8}


def test_k_star_is_chosen_before_any_row_is() -> None:
    """A limit changes neither k* nor which sequences may be asked. Rows first, or k* raised for the rows there are, would."""
    whole, _ = asked("made_people")
    for seed in range(5):
        for limit in (1, 2):
            some, _ = asked("made_people", setting=Setting(seed=seed, limit=limit))
            assert {question.k_star for question in some} == {7}
            assert len(some) == limit
            assert {question.sequence for question in some} <= {question.sequence for question in whole}
    assert {slow.k_star([len(said)]) for said in PEOPLE.values()} == {2, 7, 8}


def test_a_lower_limit_is_a_subset_and_another_seed_another_one() -> None:
    kept = {
        (seed, limit): [
            question.sequence for question in STEERABILITY.material("made_many", Setting(seed=seed, limit=limit)).questions
        ]
        for seed in (0, 1)
        for limit in ((2000, 100, 10) if seed == 0 else (10,))
    }
    assert [len(kept[0, limit]) for limit in (2000, 100, 10)] == [1000, 100, 10]
    for large, small in pairwise((2000, 100, 10)):
        assert set(kept[0, small]) < set(kept[0, large])
    assert set(kept[0, 10]) != set(kept[1, 10])
    order = [f"p{n}/0" for n in range(1100)]
    assert kept[0, 100] == sorted(kept[0, 100], key=order.index)


def test_only_outputs_that_every_format_scores_count() -> None:
    """With a description the first output is scored, too; it has seen no example and is in no number."""
    told, quiet = Steerability(description_share=1.0), Steerability(description_share=0.0)
    with_it, without = asked("made_people", kind=told)[1], asked("made_people", kind=quiet)[1]
    assert with_it["k"].to_list() == [*range(8)] * 3
    assert without["k"].to_list() == [*range(1, 8)] * 3
    assert told.items(with_it)["item"].to_list() == quiet.items(without)["item"].to_list()
    assert told.items(with_it).filter(pl.col("item").str.ends_with("/0")).is_empty()
    spoilt = with_it.with_columns(logprob=pl.when(pl.col("k") == 0).then(-1e6).otherwise("logprob"))
    for ours, theirs in zip(told.findings(with_it, seed=0), told.findings(spoilt, seed=0), strict=True):
        assert ours == theirs or math.isnan(ours.estimate.value)


def test_the_first_sequences_of_people_who_have_several() -> None:
    questions, records = asked("made_twice")
    assert [question.sequence for question in questions] == ["ann/0", "ann/1", "bob/0", "bob/1", "cyd/0", "cyd/1"]
    assert records["item"].to_list()[:2] == ["ann/0/1", "ann/0/2"]
    assert records["item"].is_unique().all()
    assert found(records, "loss_nats").estimate.n == 3  # people, not their sequences


def test_of_a_single_pool_the_sequences_are_what_was_sampled() -> None:
    questions, records = asked("made_pool")
    assert STEERABILITY.material("made_pool", Setting()).unit == "sequence"
    assert [question.unit for question in questions] == [question.sequence for question in questions]
    loss = found(records, "loss_nats").estimate
    assert (loss.n, loss.unit) == (6, "sequence")
    assert found(asked("made_people")[1], "loss_nats").estimate.unit == "speaker"


def test_people_of_one_simulated_world_are_one_unit() -> None:
    material = STEERABILITY.material("simulated_ratings", Setting(limit=200))
    assert material.unit == "world"
    assert all(question.sequence.startswith(f"{question.unit}/") for question in material.questions)
    assert len({question.unit for question in material.questions}) <= 50
    assert {question.options_at for question in material.questions} == set(range(1, 40))


def test_a_bound_on_k_star_is_in_examples() -> None:
    questions, records = asked("made_people", kind=Steerability(most_k=4))
    assert {question.k_star for question in questions} == {2}  # 2 x 7 = 14, 3 x 3 = 9, 4 x 3 = 12
    assert len(questions) == 7
    assert set(records["k"]) == {0, 1, 2}
    with pytest.raises(UsageError, match="most_k is 0"):
        Steerability(most_k=0)
    with pytest.raises(UsageError, match=r"description_share is 1\.5"):
        Steerability(description_share=1.5)


# what cannot be asked


def test_a_task_without_data_says_which(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match="task wvs_individual"):
            STEERABILITY.material("wvs_individual", Setting(data_dir=folder))
    with pytest.raises(DataError, match="task made_none: not one episode"):
        STEERABILITY.material("made_none", Setting())


def test_episodes_of_one_output_are_refused() -> None:
    with pytest.raises(DataError, match="task made_single: none of its 2 episodes has two outputs"):
        STEERABILITY.material("made_single", Setting())


def test_unknown_names_and_limits() -> None:
    with pytest.raises(UsageError, match="did you mean 'coinflip'"):
        STEERABILITY.material("coinflop", Setting())
    with pytest.raises(UsageError, match="evaluation"):
        STEERABILITY.material("states", Setting())
    with pytest.raises(UsageError, match="limit is 0"):
        STEERABILITY.material("made_people", Setting(limit=0))


def test_a_table_of_ones_own_is_a_task(tmp_path: Path) -> None:
    lines = [f"{rater},{item},{(item + rater) % 2}" for rater in range(4) for item in range(5)]
    (tmp_path / "votes.csv").write_text("\n".join(["rater,item,rating", *lines]) + "\n")
    questions, records = asked(f"ratings:{tmp_path / 'votes.csv'}")
    assert [question.k_star for question in questions] == [4] * 4
    assert set(records["task"]) == {"ratings_votes"}  # no path


# records


def test_records_keep_texts_and_have_one_shape() -> None:
    questions, records = asked("made_people")
    assert dict(records.schema) == RECORD_SCHEMA
    assert dict(STEERABILITY.ask([], ScriptedModel(), Setting()).schema) == RECORD_SCHEMA
    shown = [example for question in questions for example in question.episode.examples]
    assert records["input"].to_list() == [example.input for example in shown]
    assert records["output"].to_list() == [example.output for example in shown]
    assert set(records["n_tokens"]) == {2}  # a letter and its end
    faulty = asked("made_people", ScriptedModel(faults={"refusal": 0.5}))[1]
    assert faulty.schema == records.schema
    assert faulty["item"].to_list() == records["item"].to_list()


def test_parts_and_files_change_nothing(tmp_path: Path) -> None:
    questions, records = asked("made_people")
    parts = pl.concat([STEERABILITY.ask([question], ScriptedModel(), Setting()) for question in questions])
    assert parts.equals(records)
    records.write_parquet(tmp_path / "records.parquet")
    again = pl.read_parquet(tmp_path / "records.parquet")
    ours, theirs = ([finding.to_dict() for finding in STEERABILITY.findings(table, seed=3)] for table in (records, again))
    assert ours == theirs
    assert STEERABILITY.items(again).equals(STEERABILITY.items(records))


def test_one_pass_gives_every_k() -> None:
    model = ScriptedModel()
    questions, records = asked("made_people", model)
    assert records.height == 8 * len(questions)
    assert model.usage.requests == 2 * len(questions)  # a sequence each, and the options at one output of each
    asked("made_open", one_pass := ScriptedModel())
    assert one_pass.usage.requests == 3


def test_requests_are_counted_with_the_options() -> None:
    assert STEERABILITY.material("made_people", Setting()).requests_each == 4  # a sequence, and three options
    assert STEERABILITY.material("made_open", Setting()).requests_each == 1


# numbers


def test_loss_and_accuracy_by_hand() -> None:
    """p(a) = 1/2, p(b) = 1/4, p(c) = 1/8, whatever came before: of 21 outputs after 1..7 examples."""
    shares = {"a": 0.5, "b": 0.25, "c": 0.125}
    questions, records = asked("made_people", ScriptedModel(lambda query: shares))
    outputs = [example.output for question in questions for example in question.episode.examples[1:]]
    n = [outputs.count(letter) for letter in "abc"]
    assert sum(n) == 21
    expected = (n[0] * math.log(2) + n[1] * math.log(4) + n[2] * math.log(8)) / 21
    loss, accuracy = found(records, "loss_nats"), found(records, "accuracy")
    assert loss.estimate.value == pytest.approx(expected, abs=1e-12)
    assert accuracy.estimate.value == pytest.approx(n[0] / 21, abs=1e-12)
    assert [f.metric for f in STEERABILITY.findings(records, seed=0) if f.is_headline] == ["loss_nats"]
    assert (loss.better, accuracy.better, loss.scale) == ("lower", "higher", "nats")
    assert loss.label == "loss of an output, after 1 to 7 examples"


def test_at_k_that_many_examples_stand_before_the_output() -> None:
    """A model that is the surer the more it sees: p = k/10 for what comes after k examples."""

    def surer(query: Query) -> dict[str, float]:
        return dict.fromkeys("abc", len(query.episode.examples) / 30)

    findings = STEERABILITY.findings(asked("made_people", ScriptedModel(surer))[1], seed=0)
    by_group = {f.group: f.estimate.value for f in findings if f.metric == "loss_nats"}
    assert list(by_group) == [None, *(f"k = {k}" for k in (1, 2, 3, 4, 6, 7))]
    for k in (1, 2, 3, 4, 6, 7):
        assert by_group[f"k = {k}"] == pytest.approx(-math.log(k / 30), abs=1e-12)
    [gain] = [f for f in findings if f.metric == "gain_nats"]
    assert gain.estimate.value == pytest.approx(math.log(7 / 1), abs=1e-12)


def test_points_of_the_curve() -> None:
    assert curve_points(1) == [1]
    assert curve_points(48) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert curve_points(613)[-2:] == [48, 613]


def test_all_numbers_are_those_of_the_slow_version() -> None:
    records = asked("made_twice", ScriptedModel(faults={"refusal": 0.2, "failed": 0.1}, seed=4))[1]
    assert set(records["outcome"]) > {"ok"}
    rows = records.to_dicts()
    ours = {(f.metric, f.group): f.estimate.value for f in STEERABILITY.findings(records, seed=0)}
    for group in (None, "k = 1", "k = 3", "k = 7"):
        at = None if group is None else int(group.removeprefix("k = "))
        assert ours["loss_nats", group] == pytest.approx(slow.mean_loss(rows, at=at), abs=1e-12)
        assert ours["accuracy", group] == pytest.approx(slow.accuracy(rows, at=at), abs=1e-12)
    assert ours["gain_nats", None] == pytest.approx(slow.gain(rows), abs=1e-12)
    assert ours["answered", None] == pytest.approx(slow.answered(rows), abs=1e-12)


def test_headline_is_the_mean_of_the_items() -> None:
    records = asked("made_twice")[1]
    items = STEERABILITY.items(records)
    assert dict(items.schema) == GROUPED_ITEM_SCHEMA
    assert set(items["metric"]) == {"loss_nats", "accuracy"}
    for metric in ("loss_nats", "accuracy"):
        assert found(records, metric).estimate == mean_of(items, "made_twice", metric, unit="speaker", seed=0)


def test_the_items_are_the_same_for_every_model() -> None:
    one, other = (asked("made_people", model)[1] for model in (ScriptedModel(), ScriptedModel(lambda query: {"a": 0.9})))
    assert STEERABILITY.items(one)["item"].to_list() == STEERABILITY.items(other)["item"].to_list()


def test_no_gain_where_k_star_is_one() -> None:
    gain = found(asked("made_pair")[1], "gain_nats").estimate
    assert gain.why_undefined == "k* is 1: no output has more than one example before it"


def test_an_output_without_probability_leaves_no_mean() -> None:
    records = asked("made_people", ScriptedModel(lambda query: {"a": 0.5, "b": 0.5, "c": 0.0}))[1]
    n = int(((records["output"] == "c") & (records["k"] >= 1)).sum())
    assert f"infinite for {n} of 21 items" in str(found(records, "loss_nats").estimate.why_undefined)
    assert found(records, "accuracy").estimate.is_defined


def test_several_tasks_are_told_apart() -> None:
    both = pl.concat([asked("made_people")[1], asked("made_open")[1]])
    alone = {task: STEERABILITY.findings(asked(task)[1], seed=0) for task in ("made_people", "made_open")}
    together = [repr(finding) for finding in STEERABILITY.findings(both, seed=0)]
    assert together == [repr(finding) for finding in (*alone["made_people"], *alone["made_open"])]


# the floor


def test_floor_leaves_the_unit_out() -> None:
    for task in ("made_people", "made_twice"):
        questions, records = asked(task)
        n = 2 if task == "made_twice" else 1
        outputs = {name: list(said * n) for name, said in PEOPLE.items()}
        for row in records.iter_rows(named=True):
            expected = slow.floor_logprob(outputs, row["unit"], row["output"])
            assert row["floor_logprob"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
            assert row["floor_is_argmax"] == (row["output"] == slow.floor_mode(outputs, row["unit"]))
        assert questions[0].floor_is_mode != questions[1].floor_is_mode


def test_an_output_that_no_other_unit_has_leaves_no_floor() -> None:
    """Only bob says c, twice, so at least once after an example."""
    records = asked("made_people")[1]
    is_c = records["output"] == "c"
    assert records.filter(is_c)["floor_logprob"].is_nan().all()
    counted = int((is_c & (records["k"] >= 1)).sum())
    assert counted >= 1
    floor = found(records, "loss_nats").floor
    assert floor is not None
    assert floor.estimate.why_undefined == f"{counted} of 21 outputs came from no other speaker"
    without = records.filter(pl.col("sequence") != "bob/0")
    floor = found(without, "loss_nats").floor
    assert floor is not None
    rows = without.filter(pl.col("k") >= 1)
    assert floor.estimate.value == pytest.approx(-float(rows["floor_logprob"].to_numpy().mean()), abs=1e-12)


def test_a_model_that_says_the_shares_of_all_is_at_the_floor() -> None:
    setting = Setting(limit=200)
    records = asked("made_many", ScriptedModel(lambda query: {"a": 0.5, "b": 0.5}), setting)[1]
    loss = found(records, "loss_nats")
    assert loss.floor is not None
    assert loss.ceiling is None
    assert loss.floor.estimate.value == pytest.approx(loss.estimate.value, abs=1e-3)  # 1,100 a and as many b, less one each
    learned = found(asked("made_people", ScriptedModel())[1], "loss_nats")
    collapsed = found(asked("made_people", ScriptedModel(lambda query: {"a": 0.98, "b": 0.01, "c": 0.01}))[1], "loss_nats")
    assert collapsed.estimate.value > learned.estimate.value + 0.5


def test_floor_is_of_the_outputs_that_were_answered() -> None:
    records = asked("made_twice", ScriptedModel(faults={"refusal": 0.4}, seed=1))[1]
    answered = records.filter((pl.col("outcome") == "ok") & (pl.col("output") != "c"))
    assert 0 < answered.height < records.height
    kept = pl.concat([answered, records.filter(pl.col("outcome") != "ok")])
    floor = found(kept, "accuracy").floor
    assert floor is not None
    counted = answered.filter(pl.col("k") >= 1)
    assert floor.estimate.value == pytest.approx(
        float(counted["floor_is_argmax"].cast(pl.Float64).to_numpy().mean()), abs=1e-12
    )


# intervals


def _people_and_slips(rng: np.random.Generator) -> pl.DataFrame:
    """60 people, two sequences of four outputs each; what a person is like counts more than the single output. Mean loss 2."""
    of_person = 2 + rng.normal(0, 0.5, size=60)
    losses = np.repeat(of_person, 2)[:, None] + rng.normal(0, 0.2, size=(120, 4))
    return made_records(-losses, units=[f"u{i // 2}" for i in range(120)])


def test_intervals_hold_the_truth_and_those_over_single_outputs_do_not() -> None:
    covered = wrong = 0
    for seed in range(100):
        records = _people_and_slips(np.random.default_rng(seed))
        items = STEERABILITY.items(records)
        ours = mean_of(items, "t", "loss_nats", unit="person", seed=seed)
        covered += not ours.excludes(2.0)
        values = items.filter(pl.col("metric") == "loss_nats")["value"].to_numpy()
        wrong += not estimate_mean(values, np.arange(len(values)), seed=seed, n_resamples=200).excludes(2.0)
    assert 90 <= covered <= 99
    assert wrong < 70  # positions of one sequence are not independent


def test_the_findings_resample_units() -> None:
    records = _people_and_slips(np.random.default_rng(0))
    for finding in STEERABILITY.findings(records, seed=0):
        if finding.metric != "calibration_error":
            assert (finding.estimate.n, finding.estimate.unit) == (60, "person")
    loss = found(records, "loss_nats").estimate
    alone = made_records(records["logprob"].to_numpy().reshape(-1, 1))  # every output a person of its own
    assert loss.high - loss.low > 2 * (found(alone, "loss_nats").estimate.high - found(alone, "loss_nats").estimate.low)


# what goes wrong


@pytest.mark.parametrize("fault", ["refusal", "malformed", "failed"])
def test_faults_are_counted_and_have_no_value(fault: Any) -> None:
    records = asked("made_twice", ScriptedModel(faults={fault: 0.5}, seed=2))[1]
    bad = records.filter(pl.col("outcome") == fault)
    assert 0 < bad.height < records.height
    assert set(records["outcome"]) == {"ok", fault}
    assert bad["logprob"].is_nan().all()
    assert bad["is_argmax"].is_null().all()
    assert set(bad["detail"]) == {"injected"}
    items = STEERABILITY.items(records)
    assert items.filter(pl.col("value").is_nan()).height == 2 * bad.height
    share = found(records, "answered")
    assert share.estimate.value == pytest.approx(1 - bad.height / records.height, abs=1e-12)
    nothing = asked("made_twice", ScriptedModel(faults={fault: 1.0}))[1]
    assert "no value for any of 42 items" in str(found(nothing, "loss_nats").estimate.why_undefined)
    assert found(nothing, "answered").estimate.value == 0


class Short(ScriptedModel):
    """Takes only so many examples."""

    def __init__(self, most: int, where: str = "context too long") -> None:
        super().__init__()
        self.most = most
        self.where = where

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        if any(len(episode.examples) > self.most for episode in episodes):
            raise DataError(self.where, f"the model takes {self.most}; leave out examples")
        return super().output_logprobs(episodes)

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        if any(len(query.episode.examples) > self.most for query in queries):
            raise DataError(self.where, f"the model takes {self.most}; leave out examples")
        return super().option_logprobs(queries)


def test_of_what_is_too_long_the_beginning_counts() -> None:
    """8 examples are tried, then 7, then 6: so outputs up to k = 5 are known, as if nothing else had been asked."""
    questions, whole = asked("made_people")
    records = asked("made_people", Short(6))[1]
    assert records["item"].to_list() == whole["item"].to_list()
    ok = records["outcome"] == "ok"
    assert ok.to_list() == (records["k"] <= 5).to_list()
    np.testing.assert_array_equal(records.filter(ok)["logprob"], whole.filter(ok)["logprob"])
    late = records.filter(~ok)
    assert set(late["outcome"]) == {"failed"}
    assert set(late["detail"]) == {"context too long: the model takes 6; leave out examples"}
    assert found(records, "answered").estimate.value == pytest.approx(5 / 7, abs=1e-12)
    assert "no value" in str(found(records, "loss_nats", "k = 7").estimate.why_undefined)
    nothing = asked("made_people", Short(1))[1]
    assert set(nothing["outcome"]) == {"failed"}
    n_fit = sum((question.options_at or 0) <= 1 for question in questions)
    assert found(nothing, "options_answered").estimate.value == pytest.approx(n_fit / 3, abs=1e-12)


def test_other_faults_of_data_and_models_are_errors() -> None:
    with pytest.raises(DataError, match="options: the model takes 6"):
        asked("made_people", Short(6, where="options"))
    with pytest.raises(ModelError, match="gone after 0 requests"):
        asked("made_people", ScriptedModel(fail_after=0))


def test_an_output_that_the_model_leaves_out_is_no_answer() -> None:
    class Forgetful(ScriptedModel):
        def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
            return [
                OutputLogprobs(one.example_index[:-1], one.logprobs[:-1], one.n_tokens[:-1], one.is_argmax[:-1])
                for one in super().output_logprobs(episodes)
            ]

    records = asked("made_people", Forgetful())[1]
    last = records.filter(pl.col("k") == 7)
    assert set(last["outcome"]) == {"failed"}
    assert set(last["detail"]) == {"the model said nothing of this output"}


# calibration


def test_of_each_sequence_the_options_are_asked_at_one_output() -> None:
    questions, records = asked("made_twice")
    rows = records.filter(pl.col("options").is_not_null())
    assert rows["k"].to_list() == [question.options_at for question in questions]
    assert (rows["k"] >= 1).all()
    assert rows["options"].to_list() == [["a", "b", "c"]] * 6
    for question, row in zip(questions, rows.iter_rows(named=True), strict=True):
        seen = [example.output for example in question.episode.examples[: row["k"]]]
        expected = [0.9 * (seen.count(letter) + 1) / (len(seen) + 3) for letter in "abc"]
        np.testing.assert_allclose(np.exp(row["option_logprobs"]), expected, atol=1e-12)


def test_of_open_outputs_calibration_is_undefined() -> None:
    """p(output) against whether it was the likeliest is no calibration: of a coin of .7 that is known exactly it is .3."""
    records = asked("made_open")[1]
    assert "the model does not say" in str(found(records, "calibration_error").estimate.why_undefined)
    assert records["options"].is_null().all()


def test_options_without_an_answer_are_counted() -> None:
    records = asked("made_twice", ScriptedModel(faults={"refusal": 0.5}, seed=3))[1]
    rows = records.filter(pl.col("options").is_not_null())
    n_ok = int((rows["options_outcome"] == "ok").sum())
    assert 0 < n_ok < 6
    assert found(records, "options_answered").estimate.value == pytest.approx(n_ok / 6, abs=1e-12)
    nowhere = asked("made_twice", ScriptedModel(lambda query: dict.fromkeys("abc", 0.0)))[1]
    assert found(nowhere, "options_answered").estimate.value == 0
    assert "no question" in str(found(nowhere, "calibration_error").estimate.why_undefined)
