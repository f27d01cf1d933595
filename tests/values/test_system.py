from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tiny_kaleido
from pluralign.errors import DataError, RunError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.values import system
from pluralign.values.embedding import tfidf_vectors
from pluralign.values.encoder_decoder import EncoderDecoderKaleido
from pluralign.values.episodes import EpisodeKaleido
from pluralign.values.kaleido import Generated, open_values_model
from pluralign.values.setup import SystemSettings, set_up
from pluralign.values.surfacing import surfaced_part
from pluralign.values.system import PUBLISHED_COLUMNS, surface
from reference import plain_values
from tiny_kaleido import SITUATIONS, TASK_PARAMS

MADE = [f"Situation number {n}" for n in range(70)]


def answers(query: Query) -> Mapping[str, float]:
    text = query.input or ""
    if text.startswith("[Generate]"):
        return (
            {"nothing of the kind": 1.0} if "number 3\t" in f"{text}\t" else {"Value: health": 0.5, "Value: good health": 0.5}
        )
    if text.startswith("[Relevance]"):
        return {"Yes": 0.2, "No": 0.8} if "number 5\t" in text else {"Yes": 0.9, "No": 0.1}
    return {"Supports": 0.5, "Opposes": 0.3, "Either": 0.2} if "[Valence]" in text else {"Because.": 1.0}


def scripted(**faults: Any) -> EpisodeKaleido:
    return EpisodeKaleido(ScriptedModel(answers, revision="answers", **faults))


@pytest.mark.parametrize("params", [{}, {"embed_threshold": 0.9}, {"ngram_threshold": 1.0, "relevance_threshold": 0.01}])
def test_results_are_those_of_the_plain_pipeline(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    model = open_values_model(f"hf/{checkpoint}")
    assert isinstance(model, EncoderDecoderKaleido)
    own = {**tiny_kaleido.SYSTEM_PARAMS, **params}
    if not isinstance(own["embed_threshold"], dict):
        own["embed_threshold"] = dict.fromkeys(("Value", "Right", "Duty"), own["embed_threshold"])
    model.system_params = own
    monkeypatch.setattr(model.model.config, "system_params", own)
    found = surface(SITUATIONS[:2], model, SystemSettings(n=16, explain=False))
    n_kept = 0
    for number, situation in enumerate(SITUATIONS[:2]):
        text = plain_values.filled(TASK_PARAMS["generate"], situation)
        texts = plain_values.generations(model.model, model.tokenizer, text, n=16)
        rows = plain_values.plain_rows(model.model, model.tokenizer, situation, texts)
        kept = plain_values.plain_kept(model.model, model.tokenizer, rows)
        ours = found.considerations.filter(pl.col("situation") == number).collect()
        assert ours.select("vrd", "text").rows() == [(row["vrd"], row["text"]) for row in kept]
        assert ours["relevant"].to_list() == pytest.approx([row["relevant"] for row in kept], abs=1e-5)
        assert ours.select("supports", "opposes", "either").to_numpy() == pytest.approx(
            np.array([row["valence"] for row in kept]), abs=1e-5
        )
        decision = found.situations.collect().row(number, named=True)
        assert [decision[name] for name in ("supports", "opposes", "either")] == pytest.approx(
            plain_values.plain_decision(kept), abs=1e-5
        )
        n_kept += len(kept)
    assert n_kept >= 4


def test_the_published_columns_and_a_decision(checkpoint: Path) -> None:
    found = surface(SITUATIONS[:2], f"hf/{checkpoint}", SystemSettings(n=6))
    table = found.table()
    assert table.columns == list(PUBLISHED_COLUMNS)
    assert set(table["explanation"]) == {"because it is so ."}
    first = table.filter(pl.col("action") == SITUATIONS[0])
    assert {"health", "Right to be safe"} <= set(first["text"])
    assert dict(zip(first["text"], first["label"], strict=True))["health"] == "supports"
    assert first["relevant"].is_sorted(descending=True)
    assert found.counts.outcomes == {"ok": 2}
    assert "not a verdict" in found.notice


def test_no_consideration_is_a_stated_outcome_and_no_decision() -> None:
    found = surface(MADE[:8], scripted(), SystemSettings(n=20))
    rows = found.situations.collect()
    assert rows["outcome"].to_list() == ["ok", "ok", "ok", "no consideration", "ok", "nothing relevant", "ok", "ok"]
    empty = rows.filter(pl.col("outcome") != "ok")
    assert empty.select("supports", "opposes", "either", "entropy_nats", "label").null_count().row(0) == (2,) * 5
    assert rows["supports"].drop_nulls().to_list() == pytest.approx([0.5] * 6)
    assert found.counts.n_generated == 8 * 20
    fates = found.counts.fates
    assert (fates["kept"], fates["same words"], fates["irrelevant"], fates["no consideration"]) == (6, 6, 2, 1)


def test_requests_that_fail_are_counted_and_enter_no_decision() -> None:
    found = surface(MADE[:30], scripted(faults={"refusal": 0.4}, seed=1), SystemSettings(n=3, embedding="none"))
    assert found.counts.output_outcomes["refusal"] > 0
    assert found.counts.valence_outcomes["refusal"] > 0
    rows = found.situations.collect()
    assert {"ok", "no valence"} <= set(rows["outcome"])
    assert rows.filter(pl.col("outcome") == "no valence")["supports"].null_count() > 0
    assert rows["supports"].drop_nulls().to_list() == pytest.approx([0.5] * rows["supports"].drop_nulls().len())


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SystemSettings(n=4)
    whole = surface(MADE, scripted(), settings, out=tmp_path / "whole")

    def killed(situations: Sequence[str], first: int, *rest: Any) -> pl.DataFrame:
        if first == 64:
            raise KeyboardInterrupt
        return surfaced_part(situations, first, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(system, "surfaced_part", killed)
        with pytest.raises(KeyboardInterrupt):
            surface(MADE, scripted(), settings, out=tmp_path / "killed")
    steps = sorted((tmp_path / "killed" / "steps").iterdir())
    assert len(steps) == 6  # two parts: records, what they took, situations
    before = {path.name: path.stat().st_mtime_ns for path in steps}
    again = surface(MADE, scripted(), settings, out=tmp_path / "killed")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "steps").iterdir() if p.name in before} == before
    for name in ("values.parquet", "situations.parquet", "records.parquet"):
        assert pl.read_parquet(tmp_path / "killed" / name).equals(pl.read_parquet(tmp_path / "whole" / name))
    assert again.counts == whole.counts
    memory = surface(MADE, scripted(), settings)
    assert memory.table().equals(again.table())
    assert memory.situations.collect().equals(again.situations.collect())
    results = json.loads((tmp_path / "killed" / "results.json").read_text())
    assert results["n_situations"] == 70
    assert "not a verdict" in results["notice"]
    with pytest.raises(RunError, match="holds another run"):
        surface(MADE, scripted(), SystemSettings(n=5), out=tmp_path / "whole")


def test_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = surface(MADE[:9], scripted(), SystemSettings(n=10))
    monkeypatch.setattr(system, "PART_SITUATIONS", 2)
    parts = surface(MADE[:9], scripted(), SystemSettings(n=10))
    assert whole.records.collect().equals(parts.records.collect())
    assert whole.counts == parts.counts


def test_thresholds_are_given_or_the_checkpoints_or_defaults(checkpoint: Path) -> None:
    model = open_values_model(f"hf/{checkpoint}")
    own = set_up(SystemSettings(), model)
    assert own.relevance == {"Value": 0.3, "Right": 0.3, "Duty": 0.3}
    assert own.embed == tiny_kaleido.SYSTEM_PARAMS["embed_threshold"]
    assert own.ngram == {"recall": 0.5, "precision": 0.5, "f": 0.5}
    assert (own.embedding, own.sources["ngram_threshold"]) == ("encoder", "checkpoint")
    assert any("all-mpnet" in note for note in own.notes)
    given = set_up(SystemSettings(ngram_threshold={"precision": 0.2, "f1": 0.4}, relevance_threshold=0.0), model)
    assert given.ngram == {"recall": 0.2, "f": 0.4}
    assert given.relevance["Value"] == 0.0
    default = set_up(SystemSettings(), scripted())
    assert (default.embedding, default.sources["embed_threshold"]) == ("tfidf", "default")
    for wrong in ({"relevance_threshold": 1.5}, {"embed_threshold": {"Value": 0.5}}, {"ngram_threshold": {"rouge": 0.1}}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            set_up(SystemSettings(**wrong), model)


class Twice:
    """A model that says two kinds of the same thing, to see the walks at work."""

    def __init__(self, model: EpisodeKaleido, texts: Sequence[str]) -> None:
        self.model, self.texts = model, texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        from pluralign.values.kaleido import generated

        return [[generated(text, "ok") for text in self.texts] for _ in situations]


@pytest.mark.parametrize(("across", "n_kept"), [(False, 2), (True, 1)])
def test_kinds_are_compared_with_one_another_only_when_asked(across: bool, n_kept: int) -> None:
    twice = Twice(scripted(), ["Right: Right to good health", "Duty: Duty to good health", "Duty: Duty to good health"])
    found = surface(["S"], twice, SystemSettings(dedup_across_vrd=across, explain=False))
    assert found.considerations.collect().height == n_kept
    assert found.records.collect()["n_generated"].sum() == 3


def test_vectors_drop_other_spellings_of_one_thing() -> None:
    twice = Twice(scripted(), ["Value: neighbourliness", "Value: neighborliness", "Value: thrift"])
    settings = SystemSettings(embed_threshold=0.5, explain=False)
    assert surface(["S"], twice, settings).table()["text"].to_list() == ["neighbourliness", "thrift"]
    assert surface(["S"], twice, SystemSettings(embedding="none", explain=False)).table().height == 3
    vectors = tfidf_vectors(["power", "powers", "x"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)


def test_situations_that_cannot_be_known_stop_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no other"):
        surface(["Biking to work"], "embedded", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="open already"):
        surface(["S"], scripted(), model_settings=None, cache=None, decoding=system.Decoding())
