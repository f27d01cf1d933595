"""The evaluation of elicitations: the same questions by log-probabilities, by counted samples and as stated numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evals.alignment_worlds import question, records_of
from pluralign import evaluating
from pluralign.errors import DataError, ModelError
from pluralign.evals.alignment_questions import Question
from pluralign.evals.compare import compared
from pluralign.evals.coverage import VERBALIZED_COVERAGE
from pluralign.evals.elicitation_kind import ELICITATION, N_SAMPLES
from pluralign.evals.export_lm_eval import to_lm_eval
from pluralign.evals.findings import Finding
from pluralign.evals.kinds import Setting
from pluralign.models import OptionLogprobs, Query, Sample, SamplingSettings
from pluralign.models.scripted import ScriptedModel

SETTING = Setting(seed=3)
STATED = {"1": 0.9, "2": 0.1}
QUESTIONS = [question(f"q{i}", (0.5, 0.5), n=None) for i in range(6)]


def _is_request(query: Query) -> bool:
    return "Reply with one JSON object" in (query.input or "")


def answering(says: str = json.dumps(STATED), share: float = 0.6) -> ScriptedModel:
    """Has 0.6, 0.4, and writes down something else when it is asked for numbers."""
    return ScriptedModel(lambda query: {says: 1.0} if _is_request(query) else {"1": share, "2": 1 - share}, revision=says)


def found_in(findings: Sequence[Finding]) -> dict[tuple[str, str | None], Finding]:
    return {(one.metric, one.group): one for one in findings}


def asked(model: ScriptedModel, questions: Sequence[Question] = QUESTIONS) -> pl.DataFrame:
    return ELICITATION.ask(questions, model, SETTING)


def outcomes(records: pl.DataFrame) -> dict[str, set[str]]:
    return {str(way): set(rows["outcome"]) for (way,), rows in records.group_by("elicitation", maintain_order=True)}


def test_one_question_is_asked_in_three_ways() -> None:
    records = asked(answering())
    assert records["elicitation"].to_list() == [way for way in ("logprobs", "sampling", "verbalised") for _ in QUESTIONS]
    shares = np.exp(records["logprobs"].to_list())
    np.testing.assert_allclose(shares[:6], [(0.6, 0.4)] * 6, atol=1e-12)
    np.testing.assert_allclose(shares[12:], [(0.9, 0.1)] * 6, atol=1e-12)
    assert set(records["n_samples"][6:12]) == {N_SAMPLES}
    assert len({tuple(row) for row in shares[6:12].round(9).tolist()}) > 1
    assert asked(answering()).equals(records)


def test_each_way_against_people_and_each_pair() -> None:
    found = found_in(ELICITATION.findings(asked(answering()), seed=0))
    assert found["total_variation", "logprobs"].estimate.value == pytest.approx(0.1, abs=1e-12)
    assert found["total_variation", "verbalised"].estimate.value == pytest.approx(0.4, abs=1e-12)
    assert found["total_variation", "verbalised"].floor is not None
    apart, change = (found[metric, "logprobs, verbalised"] for metric in ("elicitation_sensitivity", "elicitation_change"))
    assert apart.estimate.value == change.estimate.value == pytest.approx(0.3, abs=1e-12)
    assert apart.ceiling is None
    pairs = [one for (metric, group), one in found.items() if metric == "elicitation_sensitivity" and group]
    whole = found["elicitation_sensitivity", None]
    assert len(pairs) == 3
    assert whole.estimate.value == pytest.approx(np.mean([one.estimate.value for one in pairs]), abs=1e-12)
    assert whole.is_headline


def test_samples_of_the_same_law_differ_by_what_the_ceiling_says() -> None:
    rng = np.random.default_rng(0)
    questions = [question(f"q{i}", (0.5, 0.5)) for i in range(300)]
    own = records_of(questions, [(0.6, 0.4)] * 300)
    drawn = records_of(questions, rng.multinomial(30, (0.6, 0.4), size=300) / 30, elicitation="sampling", n_samples=30)
    found = found_in(ELICITATION.findings(pl.concat([own, drawn]), seed=0))["elicitation_sensitivity", None]
    assert found.ceiling is not None
    # E|Binomial(30, 0.6) / 30 - 0.6| = 0.0714
    assert found.ceiling.estimate.value == pytest.approx(0.0714, abs=0.002)
    assert found.estimate.low < found.ceiling.estimate.value < found.estimate.high


# what a model cannot do


@pytest.mark.parametrize("says", ["no idea", '{"1": 0.9}', '{"1": 0.9, "2": 0.9}', "1" * 500])
def test_no_numbers_are_malformed_and_never_zero(says: str) -> None:
    records = asked(answering(says))
    assert outcomes(records) == {"logprobs": {"ok"}, "sampling": {"ok"}, "verbalised": {"malformed"}}
    found = found_in(ELICITATION.findings(records, seed=0))
    assert found["malformed_share", "verbalised"].estimate.value == 1.0
    assert not found["total_variation", "verbalised"].estimate.is_defined
    assert "both of two elicitations" in str(found["elicitation_sensitivity", "sampling, verbalised"].estimate.why_undefined)
    assert found["elicitation_sensitivity", None].estimate.is_defined


class Server(ScriptedModel):
    """Gives log-probabilities of some questions alone, or answers in another way, as it is set; counts its calls."""

    way = "logprobs"
    lacks = ("",)
    is_gone = False

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        if any(text in (query.input or "") for query in queries for text in self.lacks):
            raise ModelError("the options are not among the most probable first tokens")
        return [OptionLogprobs(one.options, one.logprobs, self.way) for one in super().option_logprobs(queries)]  # type: ignore[arg-type]

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        if self.is_gone:
            raise ModelError("no server replies")
        if any("q5" in (query.input or "") for query in queries):
            raise DataError("context too long", "q5")
        return super().sample(queries, settings)


def served(**settings: object) -> Server:
    server = Server(answering().distribution)
    for name, value in settings.items():
        setattr(server, name, value)
    return server


def test_a_server_without_log_probabilities_is_asked_in_the_other_ways() -> None:
    records = asked(served(), QUESTIONS[:4])
    assert outcomes(records) == {"logprobs": {"failed"}, "sampling": {"ok"}, "verbalised": {"ok"}}
    assert "first tokens" in records["detail"][0]
    assert found_in(ELICITATION.findings(records, seed=0))["failed_share", "logprobs"].estimate.value == 1.0


def test_only_the_questions_that_a_server_cannot_answer_are_lost() -> None:
    records = asked(served(lacks=("q2",)))
    failed = records.filter(pl.col("outcome") == "failed").select("elicitation", "item").rows()
    assert failed == [("logprobs", "q2"), ("sampling", "q5"), ("verbalised", "q5")]


def test_a_server_that_is_gone_stops_the_run() -> None:
    with pytest.raises(ModelError, match="no server replies"):
        asked(served(is_gone=True), QUESTIONS[:4])


def test_a_model_that_is_set_to_another_way_is_asked_as_it_is_set() -> None:
    records = asked(served(lacks=(), way="verbalised"), QUESTIONS[:4])
    assert outcomes(records) == {"logprobs": {"failed"}, "sampling": {"ok"}, "verbalised": {"ok"}}
    assert "--elicit" in records["detail"][0]
    np.testing.assert_allclose(np.exp(records["logprobs"].to_list())[8:], [(0.6, 0.4)] * 4, atol=1e-12)


# a run


def test_a_run_of_both_baselines_is_compared_and_exported(tmp_path: Path) -> None:
    def shares(lean: float) -> ScriptedModel:
        def of(query: Query) -> Mapping[str, float]:
            if query.given_options is None:
                return {"7": 1.0}
            first, *rest = query.asked_options
            return {first: lean, **dict.fromkeys(rest, (1 - lean) / len(rest))}

        return ScriptedModel(of, revision=str(lean))

    tasks = ["elicitation/urn", "verbalized-coverage/rng_1_10"]
    for name, lean in (("a", 0.5), ("b", 0.9)):
        found = evaluating.evaluate(shares(lean), tmp_path / name, tasks=tasks, setting=Setting(limit=5))
        assert found.outcomes["verbalized-coverage"] == {"malformed": 15}
        assert found.outcomes["elicitation"] == {"ok": 10, "malformed": 5}
    before = (tmp_path / "a" / "results.json").read_text()
    evaluating.rescore(tmp_path / "a")
    assert (tmp_path / "a" / "results.json").read_text() == before
    differences = [one for one in compared([tmp_path / "a", tmp_path / "b"]).differences if one.evaluation == "elicitation"]
    assert {one.group for one in differences if one.metric == "total_variation"} == {"logprobs", "sampling", "verbalised"}
    [whole] = [one for one in differences if one.group is None]
    assert (whole.metric, whole.n_items, whole.n_undefined) == ("elicitation_sensitivity", 15, 10)
    page = (tmp_path / "a" / "report.html").read_text()
    assert "ways of having a distribution" in page
    assert "logprobs, sampling, verbalised" in page
    assert len(to_lm_eval(tmp_path / "a", tmp_path / "lm")) == 3


def test_a_prompt_that_is_too_long_for_verbalized_coverage_is_counted() -> None:
    class Short(ScriptedModel):
        def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
            raise DataError("context too long", "nothing fits")

    setting = Setting(limit=2)
    material = VERBALIZED_COVERAGE.material("rng_1_10", setting)
    records = VERBALIZED_COVERAGE.ask(material.questions, Short(), setting)
    assert set(records["outcome"]) == {"failed"}
    assert "nothing fits" in records["detail"][0]
    assert not found_in(VERBALIZED_COVERAGE.findings(records, seed=0))["validity", None].estimate.is_defined
