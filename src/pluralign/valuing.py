"""Commands around a model of values, rights and duties that end in a page: minimal pairs, and a study with people read back.

>>> from pluralign.valuing import contrast_situations
>>> contrast_situations([("Resting", "Resting on a busy day")], "hf/FOLDER", out="runs/pair")  # doctest: +SKIP
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from pluralign.errors import UsageError
from pluralign.files import write_json_atomic, write_text_atomic
from pluralign.models import ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.progress import Tell
from pluralign.report.values_pages import contrasts_html, study_html
from pluralign.scoring.totals import Prices
from pluralign.values.contrast import contrast_svg
from pluralign.values.contrast_run import CONTRASTS, ContrastRun, ContrastSettings, TextPair, contrast_run
from pluralign.values.kaleido import Decoding
from pluralign.values.study import StudyItem, StudySettings, export_study
from pluralign.values.study_results import FEWEST, StudyFindings, read_study, study_findings
from pluralign.values.threshold_files import run_table

__all__ = ["CONTRAST_FILES", "PAGE", "STUDY_FILES", "contrast_situations", "export_people_study", "people_study_results"]

PAGE = "report.html"
"""Name of the page in a folder."""
PICTURE = "contrast.svg"
CONTRAST_FILES = (PAGE, CONTRASTS, "results.json")
STUDY_FILES = (PAGE, "results.json")
RATERS = "raters.csv"


def contrast_situations(
    pairs: Sequence[TextPair],
    model: str = "embedded",
    settings: ContrastSettings | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    decoding: Decoding | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    on_progress: Tell | None = None,
) -> ContrastRun:
    """`values.contrast_run.contrast_run`, with the page in the run folder, and of a single pair a picture."""
    run = contrast_run(
        pairs,
        model,
        settings,
        out=out,
        decoding=decoding,
        model_settings=model_settings,
        cache=cache,
        prices=prices,
        on_progress=on_progress,
    )
    if out is not None:
        write_text_atomic(Path(out) / PAGE, contrasts_html(run))
        if run.found.n_pairs == 1 and (run.found.table["change"] != "unknown").any():
            write_text_atomic(Path(out) / PICTURE, contrast_svg(run.found, 0) + "\n")
    return run


def export_people_study(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | None = None,
    settings: StudySettings | None = None,
) -> list[StudyItem]:
    """A study of what a run of `values` kept, or of a table (action, vrd, text; most relevant first), in the new folder `out`.

    `model` is whose lists they are, the run's own unless named. Raises UsageError where it is not known, DataError for a table
    without rows or columns, RunError where the folder holds something already.
    """
    listed, about = run_table(table, "values.parquet")
    name = model or about.get("model")
    if name is None:
        raise UsageError("whose lists are these? Name the model with --model, so that the study can say it.")
    return export_study(listed, out, model=name, settings=settings)


def people_study_results(
    study: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    considerations: str | os.PathLike[str] | None = None,
    situations: str | os.PathLike[str] | None = None,
    raters: str | os.PathLike[str] | None = None,
    fewest: int = FEWEST,
    seed: int = 0,
) -> StudyFindings:
    """What people answered, into the folder `out`: results.json and a page.

    `raters` is the filled raters.csv, the study's own unless named (if somebody stands in it). Raises what `read_study` and
    `study_findings` raise.
    """
    own = Path(study) / RATERS
    known = raters if raters is not None else own if _has_rows(own) else None
    results = read_study(study, considerations=considerations, situations=situations, raters=known)
    found = study_findings(results, fewest=fewest, seed=seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomic(folder / "results.json", {"command": "values-study results", "seed": seed, **found.to_dict()})
    write_text_atomic(folder / PAGE, study_html(found, seed=seed))
    return found


def _has_rows(path: Path) -> bool:
    """More than the line of names."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return sum(any(cell.strip() for cell in row) for row in csv.reader(file)) > 1
    except (OSError, ValueError):
        return False
