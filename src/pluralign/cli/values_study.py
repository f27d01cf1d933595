"""Commands for a study with people: values-study export, results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_found

__all__ = ["export", "results"]

_OUTPUT = OutputFlags()
_MANY = Parameter(consume_multiple=True, negative=(), show_default=False)


def export(
    table: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    attributes: Annotated[tuple[str, ...], _MANY] = (),
    per_situation: int | None = None,
    raters_per_item: int = 10,
    items_per_rater: int = 30,
    seed: int = 0,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Export lists of values, rights and duties for people to judge: projects for Potato and for Label Studio.

    Parameters
    ----------
    table
        A run folder of values, or a table with action, vrd and text, most relevant first.
    out
        The new folder of the study.
    model
        Whose lists they are. Default: the run's model.
    attributes
        What will be known of people, as columns of raters.csv: age country. Default: age, gender, country, religion, politics.
    per_situation
        Considerations of a situation, the first of the table. Default: all.
    raters_per_item
        People who answer each item.
    items_per_rater
        Items that a person is given, at most, in each of the two projects.
    seed
        Of the order of the items.
    """
    from dataclasses import asdict

    from pluralign import valuing
    from pluralign.values.study import StudySettings

    given = {"attributes": tuple(attributes)} if attributes else {}
    settings = StudySettings(
        per_situation=per_situation,
        raters_per_item=raters_per_item,
        items_per_rater=items_per_rater,
        seed=seed,
        **given,
    )
    items = valuing.export_people_study(table, out, model=model, settings=settings)
    n = {kind: sum(one.kind == kind for one in items) for kind in ("considerations", "situations")}
    needed = max(-(-count * raters_per_item // min(items_per_rater, count)) for count in n.values())
    document = {"out": str(out), "n_items": n, "settings": asdict(settings), "n_people_at_least": needed}
    lines = [
        f"{n['considerations']:,} considerations and {n['situations']:,} whole lists to be judged, each by {raters_per_item:,} "
        f"people: {needed:,} people or more",
        f"columns of raters.csv, to be filled in: {', '.join(('rater_id', *settings.attributes))}",
        f"to run one of the two: cd {out}/potato/considerations && potato start config.yaml -p 8000 --host 127.0.0.1",
    ]
    print_found(document, lines, f"{out}: potato, labelstudio, raters.csv, study.json", as_json=output.json)


def results(
    study: Path,
    /,
    *,
    considerations: Path | None = None,
    situations: Path | None = None,
    raters: Path | None = None,
    fewest: int = 20,
    out: Path | None = None,
    seed: int = 0,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Read what people answered in an exported study: what is missing, what is relevant, by group, and what that can show.

    Parameters
    ----------
    study
        The folder that the study was exported to.
    considerations
        Answers about considerations: a Potato project or output folder, or an export of Label Studio (JSON). Default: those
        of Potato in the study's folder.
    situations
        The same of whole lists.
    raters
        The filled raters.csv. Default: the study's own, if somebody stands in it.
    fewest
        People of a group that is reported, and of all others beside it.
    out
        Folder for results.json and the page. Default: results in the study's folder.
    seed
        Of intervals and p-values.
    """
    from pluralign import valuing
    from pluralign.values.study_lines import findings_lines

    folder = out or study / "results"
    found = valuing.people_study_results(
        study, folder, considerations=considerations, situations=situations, raters=raters, fewest=fewest, seed=seed
    )
    written = f"{folder}: {', '.join(valuing.STUDY_FILES)}"
    print_found(found.to_dict(), findings_lines(found), written, as_json=output.json)
