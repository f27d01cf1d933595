from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.estimates import estimate_mean
from pluralign.models import OptionLogprobs, OutputLogprobs, Query
from pluralign.models.cache import ResponseCache
from pluralign.models.scripted import ScriptedModel
from pluralign.scoring import Prices, score, scores_lines
from pluralign.scoring.scored import OPTIONS_SCHEMA, OUTPUTS_SCHEMA
from scoring.made_episodes import HOSTILE, coins, written

HEADS = Episode("coin", (Example("heads"), Example("heads"), Example("tails")), options=("heads", "tails"), unit="a")
TAILS = Episode("coin", (Example("tails"), Example("tails")), options=("heads", "tails"), unit="b", description="A coin.")


def _records(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "records.parquet")


# the numbers


def test_outputs_by_hand(tmp_path: Path) -> None:
    """Default of the scripted model: 0.9 (c + 1) / (n + 2). HEADS: 0.9 * 2/3, 0.9 * 1/4; TAILS: 0.9 * 1/2, 0.9 * 2/3."""
    out = tmp_path / "out"
    found = score(written(tmp_path, [HEADS, TAILS]), out, model="scripted")
    records = _records(out)
    assert dict(records.schema) == OUTPUTS_SCHEMA
    assert records["episode"].to_list() == [0, 0, 1, 1]
    assert records["example_index"].to_list() == [1, 2, 0, 1]
    np.testing.assert_allclose(records["logprob"].exp(), [0.6, 0.225, 0.45, 0.6], rtol=0, atol=1e-12)
    assert records["n_tokens"].to_list() == [6] * 4
    assert records["is_argmax"].to_list() == [True, False, False, True]  # of equally probable ones the first is the mode
    assert records["unit"].to_list() == ["a", "a", "b", "b"]
    assert set(records["outcome"]) == {"ok"}
    mean = -(math.log(0.6) * 2 + math.log(0.225) + math.log(0.45)) / 4
    assert found.overall.means["loss_nats"].value == pytest.approx(mean, abs=1e-12)
    assert found.overall.means["accuracy"].value == 0.5
    assert (found.overall.n, found.n_units, found.unit) == (4, 2, "unit")
    assert [(row.group, row.n) for row in found.by_k] == [(0, 1), (1, 2), (2, 1)]
    assert found.by_k[1].means["loss_nats"].value == pytest.approx(-math.log(0.6), abs=1e-12)
    assert "2 units" in str(found.by_k[0].means["loss_nats"].why_undefined)


def test_options_by_hand(tmp_path: Path) -> None:
    """HEADS: 0.9 * (3/4, 1/4), and tails came. TAILS: 0.9 * (1/3, 2/3)."""
    out = tmp_path / "out"
    found = score(written(tmp_path, [HEADS, TAILS]), out, model="scripted", ask="options")
    records = _records(out)
    assert dict(records.schema) == OPTIONS_SCHEMA
    assert records["option"].to_list() == ["heads", "tails"] * 2
    assert records["example_index"].to_list() == [2, 2, 1, 1]
    np.testing.assert_allclose(records["logprob"].exp(), [0.675, 0.225, 0.3, 0.6], rtol=0, atol=1e-12)
    assert records["is_true"].to_list() == [False, True, False, True]
    np.testing.assert_allclose(records["covered_mass"], [0.9] * 4, rtol=0, atol=1e-12)
    assert set(records["elicitation"]) == {"logprobs"}
    assert records["count"].null_count() == 4
    means = found.overall.means
    assert means["loss_nats"].value == pytest.approx(-(math.log(0.225) + math.log(0.6)) / 2, abs=1e-12)
    assert means["closed_loss_nats"].value == pytest.approx(-(math.log(1 / 4) + math.log(2 / 3)) / 2, abs=1e-12)
    assert means["outside_mass"].value == pytest.approx(0.1, abs=1e-12)
    assert means["accuracy"].value == 0.5
    assert found.overall.n == 2


def test_options_and_outputs_agree_where_they_ask_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, coins(30))
    for at in ("last", "all"):
        outputs = score(path, tmp_path / f"outputs-{at}", model="scripted", ask="outputs", at=at)
        options = score(path, tmp_path / f"options-{at}", model="scripted", ask="options", at=at)
        ours = _records(tmp_path / f"options-{at}").filter("is_true")
        theirs = _records(tmp_path / f"outputs-{at}")
        assert ours["example_index"].to_list() == theirs["example_index"].to_list()
        np.testing.assert_allclose(ours["logprob"], theirs["logprob"], rtol=0, atol=1e-12)
        assert outputs.overall.means["loss_nats"].value == pytest.approx(options.overall.means["loss_nats"].value, abs=1e-12)
    assert outputs.overall.n == 30 * 3 + 15  # half of them have a description
    assert len(_records(tmp_path / "outputs-last")) == 30


def test_intervals_are_clustered_by_unit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = score(written(tmp_path, coins(60)), out, model="scripted", seed=3)
    records = _records(out)
    losses = -records["logprob"].to_numpy()
    expected = estimate_mean(losses, np.unique(records["unit"].to_numpy(), return_inverse=True)[1], unit="unit", seed=3)
    ours = found.overall.means["loss_nats"]
    assert (ours.n, ours.unit, ours.seed) == (10, "unit", 3)
    assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-12)
    by_episode = estimate_mean(losses, records["episode"].to_numpy().astype(np.int64), seed=3)
    assert by_episode.n == 60
    assert expected.high - expected.low > by_episode.high - by_episode.low
    assert [row.group for row in found.tasks] == ["coin", "die"]
    die = records.filter(pl.col("task") == "die")
    assert found.tasks[1].means["loss_nats"].value == pytest.approx(-die["logprob"].mean(), abs=1e-12)


def test_an_episode_without_unit_is_one_of_its_own(tmp_path: Path) -> None:
    episodes = [Episode("coin", HEADS.examples, unit=unit) for unit in (None, "a", "a", None)]
    found = score(written(tmp_path, episodes), tmp_path / "out", model="scripted")
    assert (found.n_units, found.unit, found.overall.means["loss_nats"].n) == (3, "unit", 3)
    alone = score(written(tmp_path, [Episode("coin", HEADS.examples)] * 2, "b.jsonl"), tmp_path / "b", model="scripted")
    assert (alone.n_units, alone.unit, alone.overall.means["loss_nats"].unit) == (2, "episode", "episode")


def test_results_are_json_without_holes(tmp_path: Path) -> None:
    found = score(written(tmp_path, coins(20)), tmp_path / "out", model="scripted", prices=Prices(1.0, 2.0))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert results["outcomes"] == {"ok": 20}
    assert results["overall"]["loss_nats"]["n"] == 10
    assert [row["k"] for row in results["by_k"]] == [0, 1, 2, 3]
    usage = results["usage"]
    assert usage["requests"] == 20
    assert usage["cost"] == pytest.approx(usage["prompt_tokens"] / 1e6)
    assert usage["tokens_per_second"] > 0


# what is left out, and what went wrong


def test_what_cannot_be_scored_is_counted(tmp_path: Path) -> None:
    episodes = [HEADS, Episode("coin", HEADS.examples[:1]), Episode("coin", (), options=("heads",)), TAILS]
    found = score(written(tmp_path, episodes), tmp_path / "out", model="scripted")
    assert (found.n_episodes, found.n_nothing_scored, found.n_without_options) == (4, 2, 0)
    assert _records(tmp_path / "out")["episode"].to_list() == [0, 0, 3, 3]
    options = score(tmp_path / "coins.jsonl", tmp_path / "options", model="scripted", ask="options")
    assert (options.n_nothing_scored, options.n_without_options) == (1, 1)


@pytest.mark.parametrize(
    ("episodes", "ask", "said"),
    [
        ([], "outputs", "there are no episodes"),
        ([Episode("coin", (Example("heads"),))], "outputs", "1 of 1 episodes have nothing to score: they need a second"),
        ([Episode("coin", HEADS.examples)], "options", "1 of 1 episodes have no options; give them a closed set"),
    ],
)
def test_a_file_with_nothing_to_ask_is_an_error(tmp_path: Path, episodes: list[Episode], ask: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        score(written(tmp_path, episodes), tmp_path / "out", model="scripted", ask=ask)  # type: ignore[arg-type]  # literals
    assert not (tmp_path / "out").exists()


def test_arguments_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADS])
    for arguments, said in (
        ({"ask": "option"}, "did you mean 'options'"),
        ({"at": "next"}, "Known: all, last"),
        ({"limit": 0}, "--limit 0: it is a number of episodes"),
    ):
        with pytest.raises(UsageError, match=said):
            score(path, tmp_path / "out", model="scripted", **arguments)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(UsageError, match="0 or more"):
        Prices(-1.0, 0.0)
    with ResponseCache(tmp_path / "c.sqlite") as cache, pytest.raises(UsageError, match="this one is open already"):
        score(path, tmp_path / "out", model=ScriptedModel(), cache=cache)


@pytest.mark.parametrize("ask", ["outputs", "options"])
def test_failures_are_outcomes_and_never_numbers(tmp_path: Path, ask: str) -> None:
    model = ScriptedModel(faults={"refusal": 0.2, "malformed": 0.1, "failed": 0.2})
    found = score(written(tmp_path, coins(200)), tmp_path / "out", model=model, ask=ask)  # type: ignore[arg-type]  # literals
    assert set(found.outcomes) == {"ok", "refusal", "malformed", "failed"}
    assert sum(found.outcomes.values()) == 200
    assert next(iter(found.outcomes)) == "ok"  # the most frequent first
    records = _records(tmp_path / "out")
    broken = records.filter(pl.col("outcome") != "ok")
    assert broken["logprob"].null_count() == len(broken) > 0
    assert set(broken["detail"]) == {"injected"}
    assert records.filter(pl.col("outcome") == "ok")["logprob"].null_count() == 0
    good = records.filter(pl.col("outcome") == "ok")
    scored = good if ask == "outputs" else good.filter("is_true")
    assert found.overall.n == len(scored)
    assert found.overall.means["loss_nats"].value == pytest.approx(-scored["logprob"].mean(), abs=1e-12)


@pytest.mark.parametrize("ask", ["outputs", "options"])
def test_a_number_that_is_none_is_a_failure(tmp_path: Path, ask: str) -> None:
    class Broken(ScriptedModel):
        def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
            one = OutputLogprobs(np.array([1, 2]), np.array([-1.0, np.nan]), np.array([2, 2]), np.array([True, True]))
            return [one] * len(episodes)

        def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
            return [OptionLogprobs(query.asked_options, np.array([-1.0, np.nan])) for query in queries]

    found = score(written(tmp_path, [HEADS, TAILS]), tmp_path / "out", model=Broken(), ask=ask)  # type: ignore[arg-type]  # literals
    assert found.outcomes == {"failed": 2}
    assert found.overall.n == 0
    assert _records(tmp_path / "out")["logprob"].null_count() == len(_records(tmp_path / "out"))


def test_when_everything_fails_nothing_is_a_number(tmp_path: Path) -> None:
    found = score(written(tmp_path, coins(5)), tmp_path / "out", model=ScriptedModel(faults={"failed": 1.0}))
    assert found.outcomes == {"failed": 5}
    assert found.overall.n == 0
    assert found.overall.means["loss_nats"].why_undefined == "no rows"
    assert found.tasks == found.by_k == []


def test_an_answer_without_probability_makes_the_mean_undefined_and_says_so(tmp_path: Path) -> None:
    model = ScriptedModel(lambda query: {"heads": 1.0})
    found = score(written(tmp_path, [HEADS, TAILS]), tmp_path / "out", model=model, ask="options")
    assert found.overall.means["loss_nats"].why_undefined == "infinite: 2 of 2 outputs had no probability at all"
    assert found.overall.means["accuracy"].value == 0.0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["overall"]["loss_nats"]["value"] is None
    nothing = score(tmp_path / "coins.jsonl", tmp_path / "none", model=ScriptedModel(lambda query: {"x": 1.0}), ask="options")
    for name in ("closed_loss_nats", "accuracy"):
        assert nothing.overall.means[name].why_undefined == "no option of any of the 2 questions had any probability"
    assert (found.n_all_outside, nothing.n_all_outside) == (0, 2)
    assert "2 questions: no option had any probability" in "\n".join(scores_lines(nothing))
    assert nothing.overall.means["outside_mass"].value == 1.0


def test_counted_samples_are_in_the_records(tmp_path: Path) -> None:
    class Counted(ScriptedModel):
        def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
            with np.errstate(divide="ignore"):
                logprobs = np.log(np.array([0.75, 0.0]))
            counts = np.array([3, 0])
            return [OptionLogprobs(q.asked_options, logprobs, "sampling", counts=counts, n_samples=4) for q in queries]

    found = score(written(tmp_path, [HEADS, TAILS]), tmp_path / "out", model=Counted(), ask="options")
    records = _records(tmp_path / "out")
    assert records["count"].to_list() == [3, 0, 3, 0]
    assert records["logprob"].to_list()[1] == -math.inf
    assert found.elicitations == {"sampling": 2}
    assert "infinite" in str(found.overall.means["loss_nats"].why_undefined)


# bad input


def test_what_the_model_says_of_its_input_names_the_file(tmp_path: Path) -> None:
    class Short(ScriptedModel):
        def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
            raise DataError("context too long", "episode 2 of 2 (coin): 9,000 tokens, the model takes 512; leave out examples.")

    with pytest.raises(DataError, match=r"jsonl, episodes 1\.\.2: context too long: episode 2 of 2 .* takes 512"):
        score(written(tmp_path, [HEADS, TAILS]), tmp_path / "out", model=Short())


def test_an_option_that_has_no_tokens_names_the_file(tmp_path: Path) -> None:
    class Deaf(ScriptedModel):
        def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
            raise DataError("options", "option '  ' has no tokens in this tokenizer; reword it.")

    with pytest.raises(DataError, match=r"coins\.jsonl, episode 1: options: option '  ' has no tokens"):
        score(written(tmp_path, [HEADS]), tmp_path / "out", model=Deaf(), ask="options")
    assert not (tmp_path / "out").exists()


def test_hostile_text_in_every_field_is_only_text(tmp_path: Path) -> None:
    options = (f"yes {HOSTILE}", f"no {HOSTILE}")
    examples = tuple(Example(options[i % 2], HOSTILE) for i in range(3))
    hostile = Episode(HOSTILE, examples, HOSTILE, options, HOSTILE, {HOSTILE: HOSTILE})
    path = written(tmp_path, [hostile, HEADS])
    for ask in ("outputs", "options"):
        found = score(path, tmp_path / ask, model="scripted", ask=ask)  # type: ignore[arg-type]  # literals
        assert found.outcomes == {"ok": 2}
    assert set(_records(tmp_path / "options").filter(pl.col("episode") == 0)["option"]) == set(options)


def test_an_item_of_a_megabyte(tmp_path: Path) -> None:
    big = Episode("big", (Example("yes", "x" * 1_000_000), Example("no", "y" * 1_000_000)), options=("yes", "no"))
    found = score(written(tmp_path, [HEADS, big, TAILS]), tmp_path / "out", model="scripted", ask="options")
    assert found.overall.n == 3


# resuming


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """700 requests are three parts of at most 256: the server goes away after 600, in the third."""
    path, out = written(tmp_path, coins(700)), tmp_path / "out"
    with pytest.raises(ModelError, match="gone after 600"):
        score(path, out, model=ScriptedModel(fail_after=600))
    assert sorted(f.name for f in (out / "steps").glob("*.parquet")) == ["part-00000.parquet", "part-00001.parquet"]
    before = {f.name: f.stat().st_mtime_ns for f in (out / "steps").iterdir()}
    rest = ScriptedModel()
    found = score(path, out, model=rest)
    assert rest.usage.requests == 700 - 512
    assert before.items() <= {f.name: f.stat().st_mtime_ns for f in (out / "steps").iterdir()}.items()
    whole = score(path, tmp_path / "whole", model=ScriptedModel())
    assert _records(out).equals(_records(tmp_path / "whole"))
    assert found.totals.usage == whole.totals.usage
    assert (found.totals.usage.requests, found.totals.n_unmeasured) == (700, 0)
    again = ScriptedModel()
    score(path, out, model=again)
    assert again.usage.requests == 0


def test_what_a_part_took_may_be_unknown_and_is_then_said(tmp_path: Path) -> None:
    path, out = written(tmp_path, coins(300)), tmp_path / "out"
    score(path, out, model="scripted")
    (out / "steps" / "part-00000.usage.json").unlink()  # killed between the two
    found = score(path, out, model="scripted")
    assert (found.totals.n_unmeasured, found.totals.usage.requests) == (1, 300 - 256)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ask": "options"}, 'arguments.ask: there "outputs", asked "options"'),
        ({"at": "last"}, "arguments.at"),
        ({"limit": 5}, "arguments.limit"),
        ({"seed": 1}, "seed: there 0, asked 1"),
        ({"model": ScriptedModel(lambda query: {}, revision="other")}, "arguments.model_fingerprint"),
    ],
)
def test_another_run_does_not_go_into_the_folder(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path, out = written(tmp_path, coins(10)), tmp_path / "out"
    score(path, out, model=ScriptedModel())
    with pytest.raises(RunError, match=said):
        score(path, out, **{"model": ScriptedModel(), **changes})  # type: ignore[arg-type]  # one of them is changed


def test_a_model_that_reads_the_same_file_otherwise_is_another_run(tmp_path: Path) -> None:
    class Rewritten(ScriptedModel):
        def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
            return [b"other template " + one for one in super().request_bytes(asked)]

    path, out = written(tmp_path, coins(10)), tmp_path / "out"
    score(path, out, model=ScriptedModel())
    with pytest.raises(RunError, match="first_requests_sha256"):
        score(path, out, model=Rewritten())


def test_with_a_cache_only_failures_are_asked_again_in_another_folder(tmp_path: Path) -> None:
    path = written(tmp_path, coins(100))
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        first = score(path, tmp_path / "a", model="scripted/failed=0.3", cache=cache)
        second = score(path, tmp_path / "b", model="scripted", cache=cache)
    assert 10 < first.outcomes["failed"] < 50
    assert second.outcomes == {"ok": 100}
    n_different = len({episode.content_hash() for episode in coins(100)})
    assert second.totals.usage.requests <= first.outcomes["failed"]
    assert second.totals.usage.cached == first.outcomes["ok"]
    assert n_different >= first.totals.usage.requests


def test_progress_says_how_far_and_how_fast(tmp_path: Path) -> None:
    told: list[tuple[str, int, int, str]] = []
    score(
        written(tmp_path, coins(600)),
        tmp_path / "out",
        model="scripted",
        on_progress=lambda what, done, total, note="": told.append((what, done, total, note)),
    )
    assert [(what, done, total) for what, done, total, _ in told] == [("asking scripted", n, 600) for n in (0, 256, 512, 600)]
    assert told[0][3] == ""
    assert all(note.endswith("tokens/s") for *_, note in told[1:])
