"""Runs as files of lm-evaluation-harness: the same numbers, in its layout, under names that are no paths."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evals.exported_run import MARKUP, ODD, made_run
from pluralign.errors import DataError
from pluralign.evals.export_lm_eval import to_lm_eval
from pluralign.evals.export_run import plain, probabilities, read_run, safe_name
from pluralign.evals.findings import Finding
from pluralign.evals.registry import kind
from pluralign.evals.results import read_evaluated, read_records

KEYS = ["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"]
HASHES = ["doc_hash", "prompt_hash", "target_hash"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("lm_eval"))


@pytest.fixture(scope="module")
def written(run: Path) -> list[Path]:
    return to_lm_eval(run, run.parent / "out")


def lines(written: list[Path], evaluation: str) -> list[dict[str, Any]]:
    [path] = [path for path in written if path.name.startswith(f"samples_{evaluation}")]
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().split("\n")[:-1]]


def test_files_are_where_lm_eval_leaves_them(run: Path, written: list[Path]) -> None:
    [folder] = (run.parent / "out").iterdir()
    assert sorted(folder.iterdir()) == sorted(written)
    assert all(re.fullmatch(r"[a-z0-9_-]+", path.parent.name) for path in written)
    date = read_run(run).config["started"][:19].replace(":", "-")
    assert [path.name for path in written] == [
        f"results_{date}.json",
        f"samples_{safe_name(f'alignment_{ODD}')}_{date}.jsonl",
        f"samples_steerability_coinflip_{date}.jsonl",
        f"samples_coverage_rng_1_10_{date}.jsonl",
    ]
    # as lm_eval takes names apart: between the first and the last _
    assert [p.name[p.name.find("_") + 1 : p.name.rfind("_")] for p in written[2:]] == [
        "steerability_coinflip",
        "coverage_rng_1_10",
    ]


@pytest.mark.parametrize("evaluation", ["alignment", "steerability", "coverage"])
def test_every_record_is_a_line_with_its_measures(run: Path, written: list[Path], evaluation: str) -> None:
    records, found = read_records(run, evaluation), lines(written, evaluation)
    assert [line["doc"] for line in found] == [plain(one, infinite_as_text=False) for one in records.to_dicts()]
    assert [line["doc_id"] for line in found] == list(range(records.height))
    for line in found:
        assert list(line) == [*KEYS, *HASHES, *line["metrics"], "no_number"]
        assert all(re.fullmatch("[0-9a-f]{64}", line[name]) for name in HASHES)
    of_task = kind(evaluation).items(records).filter(pl.col("task") == records["task"][0])
    by_item = {line["doc"]["item"]: line for line in found}
    assert of_task.height > 0
    for metric, item, value in of_task.select("metric", "item", "value").iter_rows():
        line = by_item[item]
        if math.isfinite(value):
            assert line[metric] == value
        else:
            assert line[metric] is None
            assert line["no_number"][metric] == ("undefined" if math.isnan(value) else "inf")


def test_requests_and_answers_of_each_kind(written: list[Path]) -> None:
    for line in lines(written, "alignment"):
        doc = line["doc"]
        assert [one["arg_1"] for one in line["arguments"].values()] == doc["options"]
        assert json.loads(line["target"]) == dict(zip(doc["options"], doc["shares"], strict=True))
        given = [float(one) for ((one, _),) in line["resps"]]
        assert [plain(one, infinite_as_text=False) for one in given] == doc["logprobs"]
    steered = lines(written, "steerability")
    for line in steered:
        assert line["arguments"]["gen_args_0"]["arg_1"] == line["target"] == line["doc"]["output"]
        assert line["filtered_resps"] == [[str(line["doc"]["logprob"] or math.nan), str(line["doc"]["is_argmax"])]]
    third = next(line for line in steered if line["doc"]["k"] == 2)
    before = [one["doc"]["output"] for one in steered if one["doc"]["sequence"] == third["doc"]["sequence"]][:2]
    assert third["arguments"]["gen_args_0"]["arg_0"] == "\n".join(before)
    texts = lines(written, "coverage")
    assert [line["resps"] for line in texts] == [[[line["doc"]["text"] or ""]] for line in texts]
    assert "number from 1 to 10" in texts[0]["arguments"]["gen_args_0"]["arg_0"]


def test_refused_and_failed_records_are_there_without_a_number(written: list[Path]) -> None:
    lost = [line for line in lines(written, "alignment") if line["doc"]["outcome"] != "ok"]
    assert {line["doc"]["outcome"] for line in lost} == {"refusal", "failed"}
    assert all(line["total_variation"] is None and line["no_number"]["total_variation"] == "undefined" for line in lost)


def test_results_are_the_findings(run: Path, written: list[Path]) -> None:
    results, evaluated = json.loads(written[0].read_text()), read_evaluated(run)
    for evaluation, findings in evaluated.findings.items():
        assert [Finding.from_dict(one) for one in results["findings"][evaluation]] == findings
        for one in findings:
            numbers = results["results"][safe_name(f"{evaluation}_{one.task}")]
            value = numbers[f"{one.metric},{one.group or 'none'}"]
            assert value == (one.estimate.value if one.estimate.is_defined else None)
            assert numbers[f"{one.metric}_stderr,{one.group or 'none'}"] == "N/A"
    assert results["higher_is_better"]["steerability_coinflip"]["loss_nats"] is False
    assert results["config"]["model"] == evaluated.model
    assert set(results["configs"]) == set(results["n-samples"]) == set(results["task_hashes"])


def test_texts_stay_what_they_were(written: list[Path]) -> None:
    first = lines(written, "alignment")[0]
    assert first["doc"]["item"] == MARKUP
    assert first["arguments"]["gen_args_0"]["arg_0"].endswith("\n" + MARKUP)


def test_exporting_again_gives_the_same_files(run: Path, written: list[Path]) -> None:
    before = [path.read_bytes() for path in written]
    assert to_lm_eval(run, run.parent / "out") == written
    assert [path.read_bytes() for path in written] == before


def test_folders_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no results\.json"):
        to_lm_eval(tmp_path, tmp_path / "out")
    (tmp_path / "results.json").write_text('{"study": 1}')
    with pytest.raises(DataError, match="is not of `pluralign evaluate`"):
        to_lm_eval(tmp_path, tmp_path / "out")
    unknown = {"n_questions": {}, "outcomes": {}, "findings": []}
    totals = {"usage": {}, "seconds": 0.0, "n_unmeasured": 0}
    plain_run = {"format": 1, "model": "m", "seed": 0, "limit": None, "not_run": [], "totals": totals}
    (tmp_path / "results.json").write_text(json.dumps({**plain_run, "evaluations": {"../../x": unknown}}))
    with pytest.raises(DataError, match=r"does not know: '\.\./\.\./x'"):
        to_lm_eval(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["episodes_my coins", "ratings_../x", "..", "", "/etc/passwd", "CON", "a" * 300, "é\n\0"])
def test_names_of_files_are_plain_and_tell_texts_apart(name: str) -> None:
    safe = safe_name(name)
    assert re.fullmatch(r"[a-z0-9_-]{1,89}", safe)
    assert safe not in (safe_name(name + " "), safe_name(name.swapcase() + "x"), safe_name(safe))


def test_probabilities_of_options() -> None:
    # e^-1 and e^-2, of their sum: 1 / (1 + 1/e)
    assert probabilities([-1.0, -2.0]) == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)], abs=1e-12)
    assert probabilities([-math.inf, -900.0]) == [0, 1]
    assert all(map(math.isnan, probabilities([-math.inf, -math.inf])))
    assert all(map(math.isnan, probabilities([math.nan, -1.0])))
