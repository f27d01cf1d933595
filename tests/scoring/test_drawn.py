from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.models import Query, SamplingSettings
from pluralign.models.cache import ResponseCache
from pluralign.models.scripted import ScriptedModel
from pluralign.scoring import sample
from pluralign.scoring.drawn import SAMPLES_SCHEMA
from scoring.made_episodes import coins, written

HEADS = Episode("coin", (Example("heads"), Example("tails", "again")), options=("heads", "tails"), unit="a")


def test_a_row_is_a_sample(tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = ScriptedModel()
    found = sample(written(tmp_path, [HEADS, *coins(3)]), out, model=model, sampling=SamplingSettings(n=4, seed=2))
    records = pl.read_parquet(out / "records.parquet")
    assert dict(records.schema) == SAMPLES_SCHEMA
    assert records["episode"].to_list() == [n for n in range(4) for _ in range(4)]
    assert records["sample"].to_list() == [0, 1, 2, 3] * 4
    assert records["example_index"].to_list() == [2] * 4 + [4] * 12
    assert records["true_output"].null_count() == 16
    direct = ScriptedModel().sample([Query(HEADS)], SamplingSettings(n=4, seed=2))[0]
    assert records.head(4).select("text", "finish_reason", "n_tokens", "logprob").rows() == [
        (one.text, one.finish_reason, one.n_tokens, one.logprob) for one in direct
    ]
    assert (found.n_queries, found.n_samples, found.at) == (4, 16, "next")
    results = json.loads((out / "results.json").read_text())
    assert results == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert sum(results["finish_reasons"].values()) == 16
    assert sum(sum(counts.values()) for counts in results["tasks"].values()) == 16


def test_the_last_output_can_be_drawn_again(tmp_path: Path) -> None:
    """An episode of one example without a description has none that can be held out."""
    found = sample(
        written(tmp_path, [HEADS, Episode("coin", HEADS.examples[:1])]), tmp_path / "out", model="scripted", at="last"
    )
    records = pl.read_parquet(tmp_path / "out" / "records.parquet")
    assert records["true_output"].to_list() == ["tails"]
    assert records["example_index"].to_list() == [1]
    assert (found.n_queries, found.n_nothing_scored) == (1, 1)


def test_how_samples_ended_is_counted(tmp_path: Path) -> None:
    model = ScriptedModel(lambda query: {"heads": 0.5, "a longer text": 0.5}, faults={"refusal": 0.2, "failed": 0.2})
    settings = SamplingSettings(n=50, max_tokens=6)
    found = sample(written(tmp_path, coins(4)), tmp_path / "out", model=model, sampling=settings)
    records = pl.read_parquet(tmp_path / "out" / "records.parquet")
    assert set(found.finish_reasons) == {"stop", "length", "refusal", "failed"}
    for reason, count in found.finish_reasons.items():
        assert count == records.filter(pl.col("finish_reason") == reason).height
    cut = records.filter(pl.col("finish_reason") == "length")
    assert set(cut["text"]) == {"a long"}
    assert cut["logprob"].null_count() == len(cut)
    failed = records.filter(pl.col("finish_reason") == "failed")
    assert (set(failed["text"]), set(failed["detail"])) == ({""}, {"injected"})


def test_a_run_goes_on_and_is_another_with_other_settings(tmp_path: Path) -> None:
    path, out = written(tmp_path, coins(20)), tmp_path / "out"
    settings = SamplingSettings(n=50)  # five queries a part
    with pytest.raises(ModelError, match="gone after 600"):
        sample(path, out, model=ScriptedModel(fail_after=600), sampling=settings)
    assert len(list((out / "steps").glob("*.parquet"))) == 2
    rest = ScriptedModel()
    sample(path, out, model=rest, sampling=settings)
    assert rest.usage.requests == 500
    sample(path, tmp_path / "whole", model=ScriptedModel(), sampling=settings)
    assert pl.read_parquet(out / "records.parquet").equals(pl.read_parquet(tmp_path / "whole" / "records.parquet"))
    for changed in (SamplingSettings(n=49), SamplingSettings(n=50, max_tokens=9), SamplingSettings(n=50, seed=1)):
        with pytest.raises(RunError, match="holds another run"):
            sample(path, out, model=ScriptedModel(), sampling=changed)


def test_remembered_samples_are_not_drawn_again(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADS])
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        sample(path, tmp_path / "a", model="scripted", sampling=SamplingSettings(n=9), cache=cache)
        found = sample(path, tmp_path / "b", model="scripted", sampling=SamplingSettings(n=3), cache=cache)
    assert (found.totals.usage.requests, found.totals.usage.cached) == (0, 1)
    assert found.totals.tokens_per_second is None


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [HEADS])
    with pytest.raises(UsageError, match="Known: last, next"):
        sample(path, tmp_path / "out", model="scripted", at="all")
    lonely = written(tmp_path, [Episode("coin", HEADS.examples[:1])], "lonely.jsonl")
    with pytest.raises(DataError, match="nothing to score"):
        sample(lonely, tmp_path / "out", model="scripted", at="last")
    assert sample(lonely, tmp_path / "out", model="scripted").n_samples == 1
