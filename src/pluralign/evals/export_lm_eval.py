"""A run of `evaluate` as the files that lm-evaluation-harness leaves with `--output_path` and `--log_samples`.

    FOLDER/MODEL/results_DATE.json                        findings: "metric,none", or "metric,GROUP" for one of a group
    FOLDER/MODEL/samples_EVALUATION_TASK_DATE.jsonl       a line for each record

    evaluation     output_type       arguments                       resps
    steerability   loglikelihood     what stands before, the output  log p and whether it is the most probable output
    alignment      multiple_choice   the question, each option       log p of each option; whether it is greedy is not known
    sensitivity, elicitation         as alignment; which way of asking it was is in `doc`: variant, elicitation
    coverage       generate_until    the prompt                      the text
    others         generate_until    the item's name                 the text

Keys and their order are those of `lm_eval` 0.4: doc_id, doc, target, arguments, resps, filtered_resps, filter, metrics, three
hashes, then a number for each measure. `doc` is the whole record. A number that is undefined or infinite is null, since columns
of text and numbers cannot be loaded; of measures "no_number" says which of the two, of options `resps`. Nothing is left out of
the lines, and what was refused or failed has its outcome in `doc`.

Departures: a target of alignment is a distribution, as JSON, and no gold option; there is no standard error ("N/A") but an
interval, floor and ceiling, in "findings" of the results; arguments are texts from the records, not the prompt with its
template; of prompts that are in no record there is only the name.

Source: https://github.com/EleutherAI/lm-evaluation-harness, `loggers/evaluation_tracker.py` and `evaluator.py` of 0.4.13.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluralign.evals.export_run import OF_OPTIONS, ReadRun, RunTask, coverage_requests, plain, read_run, safe_name, shares_text
from pluralign.evals.findings import Finding
from pluralign.files import write_json_atomic, write_text_atomic

__all__ = ["to_lm_eval"]

_OUTPUT_TYPES = {"steerability": "loglikelihood", **dict.fromkeys(OF_OPTIONS, "multiple_choice")}
_NO_FILTER = "none"
MOST_SHOWN = 8
"""Earlier outputs of a sequence in the arguments."""

Line = dict[str, Any]


def to_lm_eval(run: Path, folder: Path) -> list[Path]:
    """Writes the files of the run in folder `run` into a folder of its model in `folder`: the results first, then the samples.

    Exporting again gives the same names, and replaces the files whole. Raises DataError for a folder that is not of `evaluate`.
    """
    found = read_run(run)
    place = folder / safe_name(found.evaluated.model)
    place.mkdir(parents=True, exist_ok=True)
    date = re.sub(r"[^0-9T.-]", "-", str(found.config["started"]).split("+")[0])
    samples = {safe_name(task.name): _lines(found, task) for task in found.tasks}
    paths = [place / f"results_{date}.json"]
    write_json_atomic(paths[0], _results(found, samples))
    for name, lines in samples.items():
        paths.append(place / f"samples_{name}_{date}.jsonl")
        write_text_atomic(paths[-1], "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines))
    return paths


# samples


def _lines(run: ReadRun, task: RunTask) -> list[Line]:
    asked = _requests(run, task)
    return [_line(task, n, record, *one) for n, (record, one) in enumerate(zip(task.records, asked, strict=True))]


def _line(task: RunTask, doc_id: int, record: Mapping[str, Any], context: str, resps: list[list[str]]) -> Line:
    """One record. `resps` has what was answered to each of its requests; a request is the context and what comes after it."""
    doc, target = plain(record, infinite_as_text=False), _target(task.evaluation, record)
    values = task.values.get(str(record["item"]), {})
    after = _continuations(task.evaluation, record)
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": target,
        "arguments": {f"gen_args_{n}": {"arg_0": context, "arg_1": one} for n, one in enumerate(after)},
        "resps": [[one] for one in resps],
        "filtered_resps": resps,
        "filter": _NO_FILTER,
        "metrics": list(values),
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(context),
        "target_hash": _hash(target),
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "no_number": {name: _why(value) for name, value in values.items() if not math.isfinite(value)},
    }


def _requests(run: ReadRun, task: RunTask) -> Iterator[tuple[str, list[Any]]]:
    """Context and answers of each record."""
    prompts = coverage_requests(task.task, run.config) if task.evaluation == "coverage" else {}
    so_far: dict[str, list[str]] = {}
    for record in task.records:
        if task.evaluation == "steerability":
            earlier = so_far.setdefault(record["sequence"], [])
            yield _joined([*earlier[-MOST_SHOWN:], record["input"]]), [[str(record["logprob"]), str(record["is_argmax"])]]
            earlier.append(_joined([record["input"], record["output"]]))
        elif task.evaluation in OF_OPTIONS:
            yield _joined([record["description"], record["input"]]), [[str(one), "None"] for one in record["logprobs"]]
        else:
            description, examples = prompts.get(str(record.get("prompt")), (f"[{record['item']}]", ()))
            yield _joined([description, *examples]), [str(record.get("text") or "")]


def _continuations(evaluation: str, record: Mapping[str, Any]) -> Sequence[Any]:
    if evaluation == "steerability":
        return [record["output"]]
    return record["options"] if evaluation in OF_OPTIONS else [{}]


def _target(evaluation: str, record: Mapping[str, Any]) -> str:
    if evaluation in OF_OPTIONS:
        return shares_text(record["options"], record["shares"])
    return str(record["output"]) if evaluation == "steerability" else ""


def _joined(texts: Sequence[str | None]) -> str:
    return "\n".join(text for text in texts if text is not None)


def _why(value: float) -> str:
    return "undefined" if math.isnan(value) else str(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# results


def _results(run: ReadRun, samples: Mapping[str, Sequence[Line]]) -> dict[str, Any]:
    names = [safe_name(task.name) for task in run.tasks]
    each = dict(zip(names, run.tasks, strict=True))
    by_task = {name: _findings(task.findings) for name, task in each.items()}
    of_several = {
        safe_name(f"{name}_{finding.task}"): [one for one in found if one.task == finding.task]
        for name, found in run.evaluated.findings.items()
        for finding in found
        if (name, finding.task) not in {(task.evaluation, task.task) for task in run.tasks}
    }
    hashes = {
        name: _hash("".join(one["doc_hash"] + one["prompt_hash"] + one["target_hash"] for one in lines))
        for name, lines in samples.items()
    }
    return {
        "results": {
            **{name: {"alias": each[name].name, **found} for name, found in by_task.items()},
            **{name: {"alias": found[0].task, **_findings(found)} for name, found in of_several.items()},
        },
        "group_subtasks": {name: [] for name in by_task},
        "configs": {name: _config(task) for name, task in each.items()},
        "versions": dict.fromkeys([*names, *of_several], run.config["pluralign_version"]),
        "n-shot": {},
        "higher_is_better": {
            **{name: _better(task.findings) for name, task in each.items()},
            **{name: _better(found) for name, found in of_several.items()},
        },
        "n-samples": {name: {"original": len(lines), "effective": len(lines)} for name, lines in samples.items()},
        "config": {"model": run.evaluated.model, "model_args": "", "limit": run.evaluated.limit, **_seeds(run.evaluated.seed)},
        "git_hash": run.config.get("git_commit"),
        "task_hashes": hashes,
        "model_source": "pluralign",
        "model_name": run.evaluated.model,
        "model_name_sanitized": safe_name(run.evaluated.model),
        "total_evaluation_time_seconds": str(run.evaluated.totals.seconds),
        "pluralign": run.about,
        "findings": {name: [plain(one.to_dict()) for one in found] for name, found in run.evaluated.findings.items()},
    }


def _findings(findings: Sequence[Finding]) -> dict[str, Any]:
    """A group stands where lm_eval has the filter."""
    found: dict[str, Any] = {}
    for one in findings:
        filtered = _NO_FILTER if one.group is None else one.group
        found[f"{one.metric},{filtered}"] = one.estimate.value if math.isfinite(one.estimate.value) else None
        found[f"{one.metric}_stderr,{filtered}"] = "N/A"
    return found


def _better(findings: Sequence[Finding]) -> dict[str, bool | None]:
    return {one.metric: {"higher": True, "lower": False, "neither": None}[one.better] for one in findings}


def _config(task: RunTask) -> dict[str, Any]:
    metadata = {"evaluation": task.evaluation, "task": task.task}
    return {"task": task.name, "output_type": _OUTPUT_TYPES.get(task.evaluation, "generate_until"), "metadata": metadata}


def _seeds(seed: int) -> dict[str, int]:
    return dict.fromkeys(("random_seed", "numpy_seed", "torch_seed", "fewshot_seed"), seed)
