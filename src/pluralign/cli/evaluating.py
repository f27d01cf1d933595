"""Commands that evaluate models: evaluate, compare, rescore, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import folder_word, opened_cache
from pluralign.cli.flags import A_PLACE, OutputFlags
from pluralign.cli.model_flags import AskingFlags, EngineFlags, ModelFlags
from pluralign.cli.printing import print_found, print_plan
from pluralign.stores import Place, place

__all__ = ["compare", "evaluate", "export", "rescore"]

_MODEL, _WHERE, _RUN, _OUTPUT = ModelFlags(), EngineFlags(), AskingFlags(), OutputFlags()
_THE_QUESTIONS = Group("The questions", sort_key=0)
_MANY = Parameter(consume_multiple=True, negative=())


def evaluate(
    model: str,
    /,
    *,
    tasks: Annotated[tuple[str, ...], _MANY, Parameter(group=_THE_QUESTIONS, show_default=False)] = (),
    data_dir: Annotated[Path | None, Parameter(group=_THE_QUESTIONS)] = None,
    most_k: Annotated[int | None, Parameter(group=_THE_QUESTIONS)] = None,
    opened: ModelFlags = _MODEL,
    where: EngineFlags = _WHERE,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Evaluate a model: how pluralistic is it? Steering by examples, nearness to populations, coverage of what is valid.

    Tasks that name judges are asked by this process, whatever --engine is.

    Parameters
    ----------
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted.
    tasks
        Names of evaluations (steerability, alignment, coverage, sensitivity, elicitation, verbalized-coverage) or of tasks;
        EVALUATION/TASK for the last three, which ask others' tasks again; or files: episodes:FILE, ratings:FILE,
        sensitivity/ratings:FILE, overton:FILE, jury:FILE, tradeoff:FILE. Default: all tasks whose data are here, without
        elicitation and verbalized-coverage.
    data_dir
        Folder with one folder for each source that has files; what the hub has is fetched without it.
    most_k
        Steering: examples before an output, at most, for models with a small window.
    """
    from pluralign import evaluating
    from pluralign.evals.evaluate import planned
    from pluralign.evals.kinds import Setting
    from pluralign.evals.lines import evaluated_lines, plan_lines
    from pluralign.progress import progress_bars

    out = run.out or Path("runs") / f"evaluate-{folder_word(model)}"
    setting = Setting(seed=run.seed, limit=run.limit, data_dir=data_dir, most_k=most_k)
    settings, prices = opened.to_settings(), run.prices()
    if run.dry_run:
        plan = planned(tasks, setting)
        print_plan(plan.to_dict(), plan_lines(plan, model, str(out)), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = evaluating.evaluate(
            model,
            out,
            tasks=tasks,
            setting=setting,
            settings=settings,
            cache=cache,
            prices=prices,
            engine=where.opened(),
            on_progress=tell,
        )
    print_found(found.to_dict(), evaluated_lines(found), f"{out}: report.html, results.json, records", as_json=output.json)


def compare(
    runs: Annotated[tuple[str, ...], _MANY],
    /,
    *,
    metric: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = (),
    out: Annotated[Place | None, A_PLACE] = None,
    seed: int = 0,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Compare runs of evaluate with the first of them: paired differences on the same items, with intervals.

    Parameters
    ----------
    runs
        Run folders, two or more, such as those of a base model, its instruct sibling and a tuned one.
    metric
        Only these measures.
    out
        The page. Default: compare.html in the last run's folder.
    seed
        Of intervals and p-values.
    """
    from pluralign import evaluating
    from pluralign.evals.lines import comparison_lines

    page = out or place(runs[-1]) / "compare.html"
    found = evaluating.compare(runs, page, metrics=metric, seed=seed)
    print_found(found.to_dict(), comparison_lines(found), str(page), as_json=output.json)


def rescore(
    run: Annotated[Place, A_PLACE],
    /,
    *,
    metric: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = (),
    seed: int | None = None,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Measure the records of a run of evaluate anew, without the model, and write its report again.

    Parameters
    ----------
    run
        A run folder.
    metric
        Only these measures; then nothing is written.
    seed
        Of intervals. Default: the run's own.
    """
    from pluralign import evaluating
    from pluralign.evals.lines import evaluated_lines

    found = evaluating.rescore(run, metrics=metric, seed=seed)
    lines = evaluated_lines(found, is_whole=bool(metric))
    if metric:
        print_found(found.to_dict(), lines, None, as_json=output.json)
    else:
        print_found(found.to_dict(), lines, f"{run}: report.html, results.json", as_json=output.json)


def export(
    run: Path,
    /,
    *,
    to: Literal["inspect", "lm-eval"],
    out: Path | None = None,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Write a run of evaluate for other tools: logs that Inspect opens, or samples as lm-evaluation-harness keeps them.

    Parameters
    ----------
    run
        A run folder.
    to
        inspect: a .eval log for each task (`inspect view --log-dir FOLDER`; slow above some thousand records). lm-eval: a
        table of results and samples of each task.
    out
        The folder. Default: inspect or lm-eval in the run's folder.
    """
    from pluralign.evals.export_inspect import to_inspect
    from pluralign.evals.export_lm_eval import to_lm_eval

    folder = out or run / to
    files = {"inspect": to_inspect, "lm-eval": to_lm_eval}[to](run, folder)
    names = [str(file) for file in files]
    print_found({"files": names}, names, str(folder), as_json=output.json)
