"""A run of `evaluate` as logs of Inspect: one `.eval` file for each evaluation and task, which `inspect view` opens.

    record       -> sample      its item is the id; an item with several records has them as epochs
    question     -> input       description: system message; earlier outputs of a sequence: assistant; input: user
    people, law  -> target      alignment: the shares, as JSON by option; steerability: the output that was scored
    answer       -> output      alignment: probabilities by option, as JSON; steerability: log-probability; coverage: the text
    outcome      -> stop reason refusal: content_filter, unfinished: max_tokens; failed: the sample has an error
    variant      -> metadata    sensitivity: a sample shows the question as it is, its variant says how it was asked; so epochs
    measures     -> scores      one a measure; a value that is undefined is an unscored one, and says why
    findings     -> results     a score for each measure, with a metric for all of it and one for each group
    the rest     -> metadata    of the sample, the metric, the log

A metric's metadata is the finding itself, with interval, floor and ceiling: `Finding.from_dict(metric.metadata)`. An estimate
that is undefined is NaN, as Inspect has it. What is not in the records is not made up: where a prompt's text is missing, the
sample says so. Of a long sequence the last outputs are shown, and how many stand before them. Inspect gives samples back in
the order of their ids.

Written with Inspect itself (extra `inspect`). Source: https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralign.errors import MissingExtraError
from pluralign.evals.export_inspect_file import write_log
from pluralign.evals.export_run import (
    OF_OPTIONS,
    ReadRun,
    RunTask,
    coverage_requests,
    plain,
    probabilities,
    read_run,
    safe_name,
    shares_text,
)
from pluralign.evals.findings import Finding

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.model import ChatMessage, ModelOutput
    from inspect_ai.scorer import Score

__all__ = ["ALL", "MOST_SHOWN", "to_inspect"]

ALL = "all"
"""The metric of a finding that is of no group."""
MOST_SHOWN = 8
"""Earlier outputs of a sequence that a sample shows."""
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+){0,3}")
_STOP = {"ok": "stop", "refusal": "content_filter", "unfinished": "max_tokens", "malformed": "stop"}
_REASON = {"refusal": "refusal", "malformed": "invalid_response_format", "failed": "no_response"}
"""Inspect's names for why there is no score; other outcomes keep their own."""

Requests = Mapping[str, tuple[str | None, tuple[str, ...]]]


def to_inspect(run: Path, folder: Path) -> list[Path]:
    """Writes the logs of the run in folder `run` into `folder`, and returns their paths in the order of the run.

    Exporting again gives the same names, and replaces the files whole. Raises DataError for a folder that is not of
    `evaluate`, MissingExtraError without Inspect.
    """
    try:
        import inspect_ai.log  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("inspect-ai", extra="inspect") from error
    found = read_run(run)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with tempfile.TemporaryDirectory(prefix=".pluralign-", dir=folder) as unfinished:
        for number, task in enumerate(found.tasks):
            header = _header(found, task)
            path = folder / _file_name(header)
            write_log(header, _samples(found, task), written := Path(unfinished) / f"{number}.eval")
            os.replace(written, path)
            paths.append(path)
    return paths


def _file_name(log: EvalLog) -> str:
    """As Inspect names logs: when, which task, an id; it takes _ for what stands between them."""
    when = re.sub(r"[^0-9A-Za-z+]", "-", log.eval.created)
    return f"{when}_{safe_name(log.eval.task).replace('_', '-')}_{log.eval.task_id}.eval"


def _header(run: ReadRun, task: RunTask) -> EvalLog:
    """The log without its samples."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats

    items, outcomes = Counter(task.rows["item"]), Counter(task.rows["outcome"])
    started = str(run.config["started"])
    this_run = f"{run.evaluated.model} {started}"
    digest = _digest(f"{this_run} {task.name}")
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=started,
            task=task.name,
            task_id=digest,
            eval_id=digest,
            run_id=_digest(this_run),
            dataset=EvalDataset(name=task.task, samples=task.rows.height, sample_ids=[_sample_id(item) for item in items]),
            model=run.evaluated.model,
            config=EvalConfig(epochs=max(items.values(), default=1)),
            packages={"pluralign": str(run.config["pluralign_version"])},
            metadata={"evaluation": task.evaluation, "task": task.task, **run.about},
        ),
        results=EvalResults(
            total_samples=task.rows.height,
            completed_samples=task.rows.height - outcomes["failed"],
            scores=list(_results(task.findings)),
            metadata={
                "outcomes": {name: n for name, n in outcomes.items() if n},
                "of_several_tasks": [plain(one.to_dict()) for one in task.of_several],
                "items_without_a_sample": plain(task.unmatched),
            },
        ),
        stats=EvalStats(started_at=started, completed_at=started),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# what was found


def _results(findings: Sequence[Finding]) -> Iterator[EvalScore]:
    """Those for the first screen first, which Inspect takes for the headline."""
    from inspect_ai.log import EvalMetric, EvalScore

    by_metric: dict[str, dict[str, Finding]] = {}
    for finding in sorted(findings, key=lambda one: not one.is_headline):
        groups = by_metric.setdefault(finding.metric, {})
        groups[ALL if finding.group is None else finding.group] = finding
    for metric, groups in by_metric.items():
        metrics = {
            name: EvalMetric(name=name, value=one.estimate.value, metadata=plain(one.to_dict())) for name, one in groups.items()
        }
        first = next(iter(groups.values()))
        about = {"label": first.label, "scale": first.scale, "better": first.better}
        yield EvalScore(name=metric, scorer=metric, metrics=metrics, metadata=about)


# samples


def _samples(run: ReadRun, task: RunTask) -> Iterator[EvalSample]:
    from inspect_ai.log import EvalError, EvalSample

    requests = coverage_requests(task.task, run.config) if task.evaluation == "coverage" else {}
    so_far: dict[str, _Earlier] = {}
    times: Counter[str] = Counter()
    for record in task.records:
        item = str(record["item"])
        times[item] += 1
        earlier = so_far.setdefault(record["sequence"], _Earlier()) if "sequence" in record else _Earlier()
        asked = _messages(task, record, earlier, requests)
        earlier.add(record)
        output = _output(run.evaluated.model, task.evaluation, record)
        detail = str(record["detail"] or "no reply")
        yield EvalSample(
            id=_sample_id(item),
            epoch=times[item],
            input=asked,
            choices=record.get("options"),
            target=_target(task.evaluation, record),
            messages=[*asked, *(choice.message for choice in output.choices)],
            output=output,
            scores={name: _score(value, record) for name, value in task.values.get(item, {}).items()},
            metadata=plain(record),
            error=EvalError(message=detail, traceback="", traceback_ansi="") if record["outcome"] == "failed" else None,
        )


def _sample_id(item: str) -> str:
    return item if _PLAIN_ID.fullmatch(item) and len(item) <= 120 else safe_name(item)


@dataclass(slots=True)
class _Earlier:
    """Records of one sequence so far: how many, and the last of them."""

    n: int = 0
    last: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_SHOWN))

    def add(self, record: Mapping[str, Any]) -> None:
        self.n += 1
        self.last.append(record)


def _messages(task: RunTask, record: Mapping[str, Any], earlier: _Earlier, requests: Requests) -> list[ChatMessage]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    description, examples = requests.get(str(record.get("prompt")), (record.get("description"), ()))
    found: list[ChatMessage] = [] if description is None else [ChatMessageSystem(content=description)]
    found += [ChatMessageAssistant(content=text) for text in examples]
    if earlier.n > len(earlier.last):
        found.append(ChatMessageSystem(content=f"[earlier outputs, not shown here: {earlier.n - len(earlier.last)}]"))
    for one in earlier.last:
        found += [] if one.get("input") is None else [ChatMessageUser(content=one["input"])]
        found.append(ChatMessageAssistant(content=one["output"]))
    if record.get("input") is not None:
        found.append(ChatMessageUser(content=record["input"]))
    return found or [ChatMessageSystem(content=f"[{task.name}, {record['item']}: what was asked is not in the records]")]


def _target(evaluation: str, record: Mapping[str, Any]) -> str:
    if evaluation in OF_OPTIONS:
        return shares_text(record["options"], record["shares"])
    return str(record["output"]) if evaluation == "steerability" else ""


def _said(evaluation: str, record: Mapping[str, Any]) -> str:
    """The model's answer as text: "" where it gave none."""
    if evaluation in OF_OPTIONS:
        return shares_text(record["options"], probabilities(record["logprobs"])) if record["outcome"] == "ok" else ""
    if evaluation == "steerability":
        return shares_text(["logprob_nats"], [record["logprob"]]) if record["outcome"] == "ok" else ""
    return str(record.get("text") or "")


def _output(model: str, evaluation: str, record: Mapping[str, Any]) -> ModelOutput:
    from inspect_ai.model import ModelOutput

    outcome = str(record["outcome"])
    stop_reason: Any = _STOP.get(outcome, "unknown")
    return ModelOutput.from_content(
        model=model,
        content=_said(evaluation, record),
        stop_reason=stop_reason,
        error=None if outcome in _STOP else str(record["detail"] or outcome),
    )


def _score(value: float, record: Mapping[str, Any]) -> Score:
    """Of one measure; why it has no value stands beside it."""
    from inspect_ai.scorer import Score

    if not math.isnan(value):
        return Score(value=value)
    outcome = str(record["outcome"])
    if outcome == "ok":
        return Score.unscored(reason="undefined", explanation="the measure is undefined for this item")
    why = f"{outcome}: {record['detail'] or 'no answer'}"
    return Score.unscored(reason=_REASON.get(outcome, outcome), explanation=why)
