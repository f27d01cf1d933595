"""A study with people, ready to run: do they find a model's values, rights and duties relevant, and is something missing?

Two kinds of questions, each a project of its own in both tools:

    considerations    one consideration of one situation: would you weigh it (no, somewhat, yes), and which way does it point
    situations        a situation with all that the model lists for it: is something missing that you would weigh; what

What people are shown holds no score of the model. `study.json` says what each item is, so that results can be read back;
`raters.csv` is a form for what is known of the people (age, ...), one row each, joined by the name they log in with.

    potato/considerations/config.yaml    potato start config.yaml -p 8000
    labelstudio/considerations.xml       the labelling interface; considerations.json are the tasks to import

Potato is started as a program of its own (GPL; no part of this package). Its pages show an item's text as HTML, so texts are
escaped here. Orders are shuffled by the seed, and Potato gives each person items by chance.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779): 613 annotators, of whom about 30 % said that some
perspective was missing. Departures: the wording of the questions is ours.
"""

from __future__ import annotations

import html
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pluralign.errors import DataError, RunError, UsageError
from pluralign.files import write_json_atomic, write_text_atomic
from pluralign.streams import stream
from pluralign.values.considerations import KINDS, VALENCES, Consideration, one_line
from pluralign.values.notice import notice

__all__ = ["QUESTIONS", "STUDY_FILE", "Question", "StudyItem", "StudyKind", "StudySettings", "export_study"]

StudyKind = Literal["considerations", "situations"]
STUDY_FILE = "study.json"
STUDY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Question:
    """One question about an item, with its closed answers; none are for free text."""

    name: str
    text: str
    answers: tuple[str, ...] = ()


QUESTIONS: dict[StudyKind, tuple[Question, ...]] = {
    "considerations": (
        Question("relevance", "Would you weigh this when you judge the situation?", ("no", "somewhat", "yes")),
        Question(
            "valence",
            "Does it speak for what is done in the situation (Supports), against it (Opposes), or does that depend (Either)?",
            VALENCES,
        ),
    ),
    "situations": (
        Question("missing", "Is a value, right or duty missing here that you would weigh?", ("no", "yes")),
        Question("missing_text", "If so: which one?"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """What is shown to how many."""

    per_situation: int | None = None
    """Considerations of a situation, the first of the table; default: all."""
    raters_per_item: int = 10
    items_per_rater: int = 30
    """At most, in each of the two projects."""
    attributes: tuple[str, ...] = ("age", "gender", "country", "religion", "politics")
    """Columns of raters.csv. Ask what you will compare, and nothing else."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.raters_per_item, self.items_per_rater) < 1 or (self.per_situation is not None and self.per_situation < 1):
            raise UsageError("per_situation, raters_per_item and items_per_rater must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyItem:
    """What one item is."""

    id: str
    kind: StudyKind
    situation: str
    considerations: tuple[Consideration, ...]
    """One for an item about a consideration, all that are listed for one about a situation."""

    @property
    def lines(self) -> list[str]:
        """What people are shown."""
        return [f"Situation: {self.situation}", *(one.written for one in self.considerations)]


def export_study(
    table: pl.DataFrame, out: str | os.PathLike[str], *, model: str, settings: StudySettings | None = None
) -> list[StudyItem]:
    """Writes a study of a system's table (columns action, vrd, text; most relevant first) into the new folder `out`.

    Raises DataError for a table without rows or columns, RunError where the folder holds something already.
    """
    settings = settings or StudySettings()
    items = _items(table, settings)
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder}: there is something in it already; pass another folder, since answers may be there.")
    for kind in QUESTIONS:
        own = [item for item in items if item.kind == kind]
        project = folder / "potato" / kind
        project.mkdir(parents=True, exist_ok=True)
        write_json_atomic(project / "config.yaml", _potato_config(kind, settings, len(own)))  # JSON is YAML, too
        lines = [json.dumps({"id": one.id, "text": "<br>".join(map(html.escape, one.lines))}) for one in own]
        write_text_atomic(project / "items.jsonl", "\n".join(lines) + "\n")
        (folder / "labelstudio").mkdir(exist_ok=True)
        tasks = [{"data": {"study_item": one.id, "text": "\n".join(one.lines)}} for one in own]
        write_json_atomic(folder / "labelstudio" / f"{kind}.json", tasks)
        write_text_atomic(folder / "labelstudio" / f"{kind}.xml", _labelstudio_config(kind) + "\n")
    write_text_atomic(folder / "raters.csv", ",".join(["rater_id", *settings.attributes]) + "\n")
    write_json_atomic(folder / STUDY_FILE, _manifest(items, model, settings))
    return items


def _items(table: pl.DataFrame, settings: StudySettings) -> list[StudyItem]:
    if missing := [name for name in ("action", "vrd", "text") if name not in table.columns]:
        raise DataError("study", f"no column {', '.join(missing)}; columns are {table.columns}")
    if table.height == 0 or not set(table["vrd"].to_list()) <= set(KINDS):
        raise DataError("study", f"the table must have rows, each a {', '.join(KINDS)}; it has {table.height:,} rows.")
    listed: dict[str, list[Consideration]] = {}
    for action, vrd, text in table.select("action", "vrd", "text").iter_rows():
        listed.setdefault(one_line(action), []).append(Consideration(vrd, one_line(text)))
    items = []
    for number, (situation, some) in enumerate(listed.items()):
        shown = tuple(dict.fromkeys(some))[: settings.per_situation]
        items.append(StudyItem(id=f"s{number:05d}", kind="situations", situation=situation, considerations=shown))
        for place, one in enumerate(shown):
            name = f"s{number:05d}c{place:03d}"
            items.append(StudyItem(id=name, kind="considerations", situation=situation, considerations=(one,)))
    order = stream(settings.seed, "values study").permutation(len(items))
    return [items[i] for i in order.tolist()]


def _potato_config(kind: StudyKind, settings: StudySettings, n_items: int) -> dict[str, Any]:
    schemes = []
    for question in QUESTIONS[kind]:
        scheme: dict[str, Any] = {"name": question.name, "description": question.text}
        if question.answers:
            scheme |= {"annotation_type": "radio", "labels": list(question.answers)}
            scheme["label_requirement"] = {"required": True}
        else:
            scheme["annotation_type"] = "text"
        schemes.append(scheme)
    return {
        "annotation_task_name": "Values, rights and duties",
        "task_dir": ".",
        "output_annotation_dir": "annotation_output",
        "data_files": ["items.jsonl"],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "user_config": {"allow_all_users": True, "users": []},
        "require_password": False,
        "assignment_strategy": "random",
        "max_annotations_per_user": min(settings.items_per_rater, n_items),
        "max_annotations_per_item": settings.raters_per_item,
        "random_seed": settings.seed,
        "alert_time_each_instance": 10_000_000,
        "site_dir": "default",
        "annotation_schemes": schemes,
    }


def _labelstudio_config(kind: StudyKind) -> str:
    root = ET.Element("View")
    ET.SubElement(root, "Text", {"name": "text", "value": "$text"})
    for question in QUESTIONS[kind]:
        ET.SubElement(root, "Header", {"value": question.text})
        if not question.answers:
            ET.SubElement(root, "TextArea", {"name": question.name, "toName": "text"})
            continue
        choices = ET.SubElement(
            root, "Choices", {"name": question.name, "toName": "text", "choice": "single", "required": "true"}
        )
        for answer in question.answers:
            ET.SubElement(choices, "Choice", {"value": answer})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def _manifest(items: Sequence[StudyItem], model: str, settings: StudySettings) -> dict[str, Any]:
    return {
        "study_version": STUDY_VERSION,
        "model": model,
        "notice": notice(model),
        "seed": settings.seed,
        "attributes": list(settings.attributes),
        "items": [
            {
                "id": one.id,
                "kind": one.kind,
                "situation": one.situation,
                "considerations": [{"vrd": each.vrd, "text": each.text} for each in one.considerations],
            }
            for one in items
        ],
    }
