"""Evaluations that end in a page: evaluate a model, measure a run anew, compare runs.

>>> from pluralign.evaluating import evaluate
>>> evaluate("embedded", "runs/card", tasks=["urn"]).findings["alignment"]  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import polars as pl

from pluralign.evals.compare import Comparison, compared
from pluralign.evals.evaluate import evaluate as run_evaluations
from pluralign.evals.kinds import Setting
from pluralign.evals.rescore import rescored
from pluralign.evals.results import Evaluated, read_records
from pluralign.files import write_json_atomic, write_text_atomic
from pluralign.models import LanguageModel, ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.progress import Tell
from pluralign.report.card_page import card_html, compare_html
from pluralign.report.card_run import card_of
from pluralign.scoring.totals import Prices
from pluralign.scoring.units import ModelEngine
from pluralign.stores import Place, place

__all__ = ["PAGE", "compare", "evaluate", "rescore"]

PAGE = "report.html"
"""Name of the page in a run folder."""


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
    """Evaluate a model into the run folder `out`: a table of records for each evaluation, results.json, report.html.

    Arguments and errors are those of `evals.evaluate.evaluate`. Started again with the same ones it goes on where it stopped.
    """
    found = run_evaluations(
        model,
        out,
        tasks=tasks,
        setting=setting,
        settings=settings,
        cache=cache,
        prices=prices,
        engine=engine,
        on_progress=on_progress,
    )
    _write_page(place(out), found)
    return found


def rescore(run: str | os.PathLike[str], *, metrics: Sequence[str] = (), seed: int | None = None) -> Evaluated:
    """What the records of a run say now; results.json and report.html are written anew, unless only some measures are named."""
    found = rescored(run, metrics=metrics, seed=seed)
    if not metrics:
        write_json_atomic(place(run) / "results.json", found.to_dict())
        _write_page(place(run), found)
    return found


def compare(
    runs: Sequence[str | os.PathLike[str]],
    page: str | os.PathLike[str],
    *,
    metrics: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Paired differences of runs from the first of them, with all runs side by side on one page."""
    found = compared(runs, metrics=metrics, seed=seed)
    folders = dict(zip(found.runs, map(place, runs), strict=True))
    cards = {name: card_of(run, _records(folders[name], run)) for name, run in found.runs.items()}
    write_text_atomic(page, compare_html(cards, found.differences))
    return found


def _write_page(folder: Place, found: Evaluated) -> None:
    write_text_atomic(folder / PAGE, card_html(card_of(found, _records(folder, found))))


def _records(folder: Place, found: Evaluated) -> dict[str, pl.DataFrame]:
    return {name: read_records(folder, name) for name in found.findings}
