"""`evaluate`: puts the questions of evaluations to a model, part by part, and says what was found.

A run that is killed goes on behind its last finished part. What is asked is decided before anything is asked, and its hash is
part of what makes two runs the same.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from pluralign.errors import DataError, PluralignError
from pluralign.evals.findings import Finding
from pluralign.evals.judge_models import Judge, Judges, judge_settings
from pluralign.evals.kinds import EvaluationKind, LeftOut, Material, Setting
from pluralign.evals.registry import chosen, kind
from pluralign.evals.results import Evaluated, JudgeUse, NotRun, records_name
from pluralign.models import LanguageModel, ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.progress import Tell
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import held_model, opened_model, settings_of_run
from pluralign.scoring.totals import Prices, Totals, rate
from pluralign.scoring.units import Engine, ModelEngine, Unit, finish_elsewhere, run_unit
from pluralign.suite.listing import Entry, entries

__all__ = ["Planned", "evaluate", "measured", "outcomes_of", "planned"]

PART_REQUESTS = 1000
"""Answers that a part asks for, at most, unless a single question asks for more."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Of functions, in the text of a question: another in each process."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Tasks that will be asked, and those that will not."""

    materials: Sequence[tuple[EvaluationKind, Material]]
    not_run: Sequence[NotRun]

    @property
    def n_requests(self) -> int:
        """Answers that are asked for."""
        return sum(len(one.questions) * one.requests_each for _, one in self.materials)

    @property
    def judges(self) -> list[Judge]:
        """Models that tasks name, each once."""
        return list(dict.fromkeys(judge for _, material in self.materials for judge in material.judges))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "n_requests": self.n_requests,
            "tasks": [
                {
                    "evaluation": evaluation.name,
                    "task": one.task,
                    "n_questions": len(one.questions),
                    "unit": one.unit,
                    "left_out": [asdict(part) for part in one.left_out],
                    "judges": [str(judge) for judge in one.judges],
                }
                for evaluation, one in self.materials
            ],
            "not_run": [{"evaluation": one.evaluation, "task": one.task, "why": one.why} for one in self.not_run],
        }


def planned(tasks: Sequence[str], setting: Setting) -> Planned:
    """The questions of these evaluations and tasks, of all if there are none.

    Of all, those are left out whose data are not there, and nothing is fetched; what a task that is named lacks is fetched
    where the hub has it. Raises DataError where it cannot be had, and UsageError for an unknown name.
    """
    materials: list[tuple[EvaluationKind, Material]] = []
    not_run = []
    absent = {entry.name: entry for entry in entries(setting.data_dir) if not entry.available}
    for name, task in chosen(tuple(tasks)):
        is_named = task in tasks or f"{name}/{task}" in tasks
        if not is_named and task in absent:
            not_run.append(NotRun(name, task, _why_absent(absent[task])))
            continue
        try:
            materials.append((kind(name), kind(name).material(task, setting)))
        except PluralignError as error:
            if is_named:
                raise
            not_run.append(NotRun(name, task, str(error)))
    if not materials:
        raise DataError(
            ", ".join(tasks) or "all tasks", "there is nothing to ask: " + "; ".join(one.why for one in not_run[:3])
        )
    return Planned(materials, not_run)


def evaluate(
    model: str | LanguageModel,
    out: str | os.PathLike[str],
    *,
    tasks: Sequence[str] = (),
    setting: Setting | None = None,
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Evaluated:
    """Evaluates a model into the run folder `out`: results.json and a table of records for each evaluation.

    `tasks` are names of evaluations and of their tasks, all that can be asked here if there are none; `settings` and `cache`
    are for a model that is opened by its name, and as far as they are true of them for the judges that tasks name, unless the
    setting has its own. An `engine` asks the model elsewhere, with the same records; but tasks that name judges
    are asked here. Raises as `planned` does, and what the models raise.
    """
    setting = setting or Setting()
    judges = setting.judges or Judges(judge_settings(settings), cache)
    setting = replace(setting, judges=judges)
    plan = planned(tasks, setting)
    opened = opened_model(model, settings, cache)
    fingerprints = {str(judge): judges.fingerprint(judge) for judge in plan.judges}
    config = _config(plan, opened, settings, setting, judges, fingerprints)
    with Run.open(out, config) as run, held_model(engine, model, opened, settings) as at_work:
        _finish_elsewhere(run, plan, opened, setting, at_work, on_progress)
        records: dict[str, list[pl.DataFrame]] = {}
        totals, of_judges, done = Totals(), dict.fromkeys(fingerprints, Totals()), 0
        for evaluation, material in plan.materials:
            for n_asked, table, took, judged in _parts(run, evaluation, material, opened, setting, judges):
                records.setdefault(evaluation.name, []).append(table)
                totals += took
                of_judges |= {name: of_judges[name] + one for name, one in judged.items()}
                done += n_asked
                if on_progress is not None:
                    on_progress(f"asking {opened.name}", done, plan.n_requests, rate(totals))
        tables = {name: pl.concat(parts, how="vertical_relaxed") for name, parts in records.items()}
        for name, table in tables.items():
            run.write_table(records_name(name), table)
        n_questions: dict[str, dict[str, int]] = {}
        for evaluation, material in plan.materials:
            n_questions.setdefault(evaluation.name, {})[material.task] = len(material.questions)
        found = Evaluated(
            model=opened.name,
            seed=setting.seed,
            limit=setting.limit,
            findings=measured(tables, seed=setting.seed, on_progress=on_progress),
            n_questions=n_questions,
            outcomes={name: outcomes_of(table) for name, table in tables.items()},
            not_run=plan.not_run,
            left_out=_left_out(plan),
            totals=totals,
            judges={name: JudgeUse(fingerprints[name], one) for name, one in of_judges.items()},
            prices=prices,
        )
        run.write_results(found.to_dict())
    return found


def measured(records: Mapping[str, pl.DataFrame], *, seed: int, on_progress: Tell | None = None) -> dict[str, list[Finding]]:
    """What the records of each evaluation say; no model is asked."""
    found: dict[str, list[Finding]] = {}
    for number, (name, table) in enumerate(records.items()):
        if on_progress is not None:
            on_progress("measuring", number, len(records), name)
        found[name] = kind(name).findings(table, seed=seed)
    return found


def outcomes_of(records: pl.DataFrame) -> dict[str, int]:
    """How often each outcome is among the records, most frequent first."""
    return dict(Counter(records["outcome"].to_list()).most_common())


def _finish_elsewhere(
    run: Run, plan: Planned, model: LanguageModel, setting: Setting, engine: Engine | None, tell: Tell | None
) -> None:
    alone = [(evaluation, material) for evaluation, material in plan.materials if not material.judges]
    units = [unit for evaluation, material in alone for unit in _units(evaluation, material, replace(setting, judges=None))]
    finish_elsewhere(run, units, model, engine=engine, tell=tell)


def _units(evaluation: EvaluationKind, material: Material, setting: Setting) -> Iterator[Unit]:
    """A task's questions in their order; all answers that a question asks for are in one unit."""
    size = max(1, PART_REQUESTS // material.requests_each)
    stem = hashlib.sha256(f"{evaluation.name}/{material.task}".encode()).hexdigest()[:12]
    for number, start in enumerate(range(0, len(material.questions), size)):
        questions = material.questions[start : start + size]
        ask = functools.partial(_ask, evaluation, setting, questions)
        yield Unit(f"{evaluation.name}-{stem}-{number:05d}", ask, len(questions) * material.requests_each, stem)


def _ask(evaluation: EvaluationKind, setting: Setting, questions: Sequence[Any], model: LanguageModel) -> pl.DataFrame:
    return evaluation.ask(questions, model, setting)


def _parts(
    run: Run, evaluation: EvaluationKind, material: Material, model: LanguageModel, setting: Setting, judges: Judges
) -> Iterator[tuple[int, pl.DataFrame, Totals, dict[str, Totals]]]:
    """How many answers were asked for and the records, part by part, each computed once however often the run is started.

    Behind them what the model took, and what each judge did.
    """
    for unit in _units(evaluation, material, setting):
        before = {judge: judges.totals(judge) for judge in material.judges}
        table, took, is_new = run_unit(run, unit, model)
        judged = _judged(run, unit.name, before, judges, is_new=is_new) if before else {}
        seconds = max(0.0, took.seconds - sum(one.seconds for one in judged.values()))
        yield unit.n, table, replace(took, seconds=seconds), judged


def _judged(run: Run, part: str, before: Mapping[Judge, Totals], judges: Judges, *, is_new: bool) -> dict[str, Totals]:
    """What each judge took for a part, kept with it; unknown if the run was killed right behind it."""

    def took() -> dict[str, Any] | None:
        if not is_new:
            return None
        after = {judge: judges.totals(judge) for judge in before}
        spent = {j: Totals(after[j].usage - one.usage, after[j].seconds - one.seconds) for j, one in before.items()}
        return {str(judge): one.to_step() for judge, one in spent.items()}

    kept = run.step(f"{part}.judges", took)
    return {str(judge): Totals.from_step(None if kept is None else kept[str(judge)]) for judge in before}


def _left_out(plan: Planned) -> dict[str, dict[str, Sequence[LeftOut]]]:
    found: dict[str, dict[str, Sequence[LeftOut]]] = {}
    for evaluation, material in plan.materials:
        if material.left_out:
            found.setdefault(evaluation.name, {})[material.task] = material.left_out
    return found


def _why_absent(entry: Entry) -> str:
    way = "name the task to have them fetched from the hub" if entry.fetched else "pass --data-dir"
    return f"{len(entry.missing)} files are not here, such as {entry.missing[0]}; {way}"


def _config(
    plan: Planned,
    model: LanguageModel,
    settings: ModelSettings | None,
    setting: Setting,
    judges: Judges,
    fingerprints: Mapping[str, str],
) -> RunConfig:
    """Model, how it is asked, the hash of every task's questions; of judges, where tasks name some, the same."""
    asked = {f"{evaluation.name}/{material.task}": _hash(material) for evaluation, material in plan.materials}
    return RunConfig(
        command="evaluate",
        arguments={
            "model": model.name,
            "model_fingerprint": model.fingerprint(),
            "settings": settings_of_run(settings),
            "limit": setting.limit,
            "most_k": setting.most_k,
            "questions_sha256": asked,
            **({"judges": dict(fingerprints), "judge_settings": settings_of_run(judges.settings)} if fingerprints else {}),
        },
        seed=setting.seed,
    )


def _hash(material: Material) -> str:
    digest = hashlib.sha256()
    for question in material.questions:
        digest.update(_ADDRESS.sub("", repr(question)).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]
