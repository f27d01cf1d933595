"""Runs as logs of Inspect: what Inspect reads back is what was found, outcomes and texts included."""

from __future__ import annotations

import gc
import importlib
import json
import math
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evals.exported_run import MARKUP, ODD, made_run
from pluralign.errors import DataError, MissingExtraError
from pluralign.evals import export_inspect_file
from pluralign.evals.evaluate import evaluate
from pluralign.evals.export_inspect import ALL, MOST_SHOWN, to_inspect
from pluralign.evals.export_run import plain, safe_name
from pluralign.evals.findings import Finding
from pluralign.evals.registry import kind
from pluralign.evals.results import read_evaluated, read_records
from pluralign.models.scripted import ScriptedModel

inspect_log = pytest.importorskip("inspect_ai.log", reason="needs the extra `inspect`")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # of Inspect

EVALUATIONS = ["alignment", "steerability", "coverage"]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What Inspect leaves open warns here, not in another test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("inspect"))


@pytest.fixture(scope="module")
def written(run: Path) -> list[Path]:
    return to_inspect(run, run.parent / "out")


@pytest.fixture(scope="module")
def logs(written: list[Path]) -> dict[str, Any]:
    return dict(
        zip(EVALUATIONS, (inspect_log.read_eval_log(str(path), resolve_attachments=True) for path in written), strict=True)
    )


def test_inspect_lists_one_log_for_each_evaluation_and_task(run: Path, written: list[Path]) -> None:
    folder = run.parent / "out"
    assert sorted(folder.iterdir()) == sorted(written)
    assert {Path(one.name).name for one in inspect_log.list_eval_logs(str(folder))} == {path.name for path in written}
    assert all(re.fullmatch(r"[0-9T+-]+_[a-z0-9-]+_[0-9a-f]{16}\.eval", path.name) for path in written)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_every_record_is_a_sample_with_its_measures(run: Path, logs: dict[str, Any], evaluation: str) -> None:
    records, log = read_records(run, evaluation), logs[evaluation]
    assert log.status == "success"
    by_item = {sample.metadata["item"]: sample for sample in log.samples}
    assert len(by_item) == len(log.samples)
    assert {item: sample.metadata for item, sample in by_item.items()} == {
        one["item"]: plain(one) for one in records.to_dicts()
    }
    of_task = kind(evaluation).items(records).filter(pl.col("task") == records["task"][0])
    n = 0
    for metric, item, value in of_task.select("metric", "item", "value").iter_rows():
        score = by_item[item].scores[metric]
        assert score.value == value or (math.isnan(score.value) and math.isnan(value) and score.explanation)
        n += 1
    assert n == sum(len(sample.scores) for sample in log.samples) > 0
    assert log.results.metadata["items_without_a_sample"] == {}


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_results_are_the_findings(run: Path, logs: dict[str, Any], evaluation: str) -> None:
    evaluated, log = read_evaluated(run), logs[evaluation]
    task = log.eval.metadata["task"]
    metrics = [(score.name, metric) for score in log.results.scores for metric in score.metrics.values()]
    wanted = [one for one in evaluated.findings[evaluation] if one.task == task]
    found = {(name, metric.name): metric for name, metric in metrics}
    assert len(metrics) == len(found) == len(wanted) > 0
    for one in wanted:
        metric = found[one.metric, one.group or ALL]
        assert Finding.from_dict(metric.metadata) == one
        assert metric.value == one.estimate.value or not one.estimate.is_defined
    headlines = [one.metric for one in wanted if one.is_headline]
    assert [score.name for score in log.results.scores][: len(headlines)] == headlines
    assert log.eval.model == evaluated.model


def test_outcomes_are_visible(run: Path, logs: dict[str, Any]) -> None:
    for evaluation, log in logs.items():
        outcomes = read_evaluated(run).outcomes[evaluation]
        assert log.results.metadata["outcomes"] == outcomes
        assert log.results.total_samples - log.results.completed_samples == outcomes["failed"] > 0
        for sample in log.samples:
            outcome = sample.metadata["outcome"]
            assert (sample.error is not None) == (outcome == "failed")
            assert (sample.output.stop_reason == "content_filter") == (outcome == "refusal")
    lost = [sample for sample in logs["alignment"].samples if sample.metadata["outcome"] != "ok"]
    reasons = {(s.metadata["outcome"], s.scores["total_variation"].reason) for s in lost}
    assert reasons == {("refusal", "refusal"), ("failed", "no_response")}
    assert all(sample.output.completion == "" for sample in lost)


def test_inputs_targets_and_answers(logs: dict[str, Any]) -> None:
    for sample in logs["alignment"].samples:
        record = sample.metadata
        assert [message.role for message in sample.input] == ["system", "user"]
        assert [message.text for message in sample.input] == [record["description"], record["input"]]
        assert sample.choices == record["options"]
        assert json.loads(sample.target) == dict(zip(record["options"], record["shares"], strict=True))
        if record["outcome"] == "ok":  # learned_shares is uniform without examples
            said = json.loads(sample.output.completion)
            assert list(said.values()) == pytest.approx([1 / len(said)] * len(said), abs=1e-12)
    steered = logs["steerability"].samples
    fifth = next(sample for sample in steered if sample.metadata["k"] == 4)
    same = [s for s in steered if s.metadata["sequence"] == fifth.metadata["sequence"]]
    before = [s.target for s in sorted(same, key=lambda s: s.metadata["k"])][:4]
    assert [message.text for message in fifth.input] == before
    for sample in logs["coverage"].samples:
        assert sample.output.completion == (sample.metadata["text"] or "")
        shown = [message.text for message in sample.input]
        assert len(shown) == {"description": 1, "examples": 3, "both": 4}[sample.metadata["prompt"]]


def test_long_sequences_show_their_end_and_say_so(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("config.json", "results.json", "records-alignment.parquet", "records-coverage.parquet"):
        (copy / name).write_bytes((run / name).read_bytes())
    rows = read_records(run, "steerability")
    one = rows.filter(pl.col("sequence") == rows["sequence"][0]).head(1)
    many = pl.concat([one.with_columns(k=pl.lit(k, pl.Int64), item=pl.lit(f"s/{k}")) for k in range(MOST_SHOWN + 3)])
    many.write_parquet(copy / "records-steerability.parquet")
    samples = inspect_log.read_eval_log(str(to_inspect(copy, tmp_path / "out")[1])).samples or []
    [last] = [sample for sample in samples if sample.id == f"s/{MOST_SHOWN + 2}"]
    assert len(last.input) == MOST_SHOWN + 1
    assert "not shown here: 2]" in str(last.input[0])


def test_records_of_one_item_are_its_epochs(tmp_path: Path) -> None:
    scores = [{"item": f"q{i}", "system": "a", "brief": i / 4, "kind": 1 - i / 4} for i in range(4)]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(one) + "\n" for one in scores))
    evaluate(ScriptedModel(), tmp_path / "run", tasks=(f"tradeoff:{tmp_path / 'scores.jsonl'}?objectives=brief,kind",))
    [path] = to_inspect(tmp_path / "run", tmp_path / "out")
    log = inspect_log.read_eval_log(str(path))
    assert sorted((sample.id, sample.epoch) for sample in log.samples) == [(f"q{i}", n) for i in range(4) for n in (1, 2)]
    assert log.eval.config.epochs == 2
    assert {s.id: s.scores["objective: kind"].value for s in log.samples} == {f"q{i}": 1 - i / 4 for i in range(4)}


def test_a_prompt_of_another_version_is_not_made_up(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in [*run.glob("*.json"), *run.glob("*.parquet")]:
        (copy / path.name).write_bytes(path.read_bytes())
    config = json.loads((run / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "pluralign_version": "0.0.1"}))
    samples = inspect_log.read_eval_log(str(to_inspect(copy, tmp_path / "out")[2])).samples
    assert samples
    assert all("is not in the records" in str(sample.input) for sample in samples)


def test_texts_stay_what_they_were_and_names_are_plain(logs: dict[str, Any]) -> None:
    log = logs["alignment"]
    [first] = [sample for sample in log.samples if sample.metadata["item"] == MARKUP]
    assert first.input[-1].text == MARKUP
    assert first.id == safe_name(MARKUP)
    assert log.eval.task == f"alignment_{ODD}"
    assert log.eval.dataset.name == ODD
    assert all(re.fullmatch(r"[A-Za-z0-9_/-]+", str(s.id)) for log in logs.values() for s in log.samples)


def test_exporting_again_replaces_the_files(run: Path, written: list[Path]) -> None:
    assert to_inspect(run, run.parent / "out") == written
    assert sorted((run.parent / "out").iterdir()) == sorted(written)


def content(path: Path) -> dict[str, Any]:
    """What Inspect reads back, but for where it lies and the ids of messages, which are random."""
    log = inspect_log.read_eval_log(str(path), resolve_attachments=True)
    found: dict[str, Any] = log.model_dump(mode="json", exclude={"location", "etag"})
    for sample in found["samples"]:
        for message in [*sample["input"], *sample["messages"], *(choice["message"] for choice in sample["output"]["choices"])]:
            assert message.pop("id")
    return found


def test_a_log_written_in_parts_is_that_which_inspect_writes_whole(
    run: Path, written: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = importlib.import_module("inspect_ai._util.zipfile")
    threads = zipped._ZSTD_THREADS
    monkeypatch.setattr(export_inspect_file, "MOST_HELD", 5)
    parts = to_inspect(run, tmp_path / "parts")
    with zipfile.ZipFile(parts[0]) as opened:
        n_parts = sum(name.startswith("_journal/summaries/") for name in opened.namelist())
    assert n_parts == 3  # 12 samples
    assert zipped._ZSTD_THREADS == threads > 0
    monkeypatch.delattr("inspect_ai.log._recorders.create_recorder_for_location")
    whole = to_inspect(run, tmp_path / "whole")
    assert [path.name for path in parts] == [path.name for path in whole] == [path.name for path in written]
    for part, one in zip(parts, whole, strict=True):
        assert content(part) == content(one)


def test_folders_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no results\.json"):
        to_inspect(tmp_path, tmp_path / "out")
    (tmp_path / "results.json").write_text('{"study": 1}')
    with pytest.raises(DataError, match="is not of `pluralign evaluate`"):
        to_inspect(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_inspect_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[inspect\]'"):
        to_inspect(tmp_path, tmp_path / "out")
