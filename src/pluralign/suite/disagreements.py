"""Files of Learning with Disagreements 2025: a JSON object of items, each with an object from annotator to label, and a second
file with what is known about the annotators.

    items      {"17": {"text": {...}, "annotators": "Ann1,Ann2,Ann2", "annotations": {"Ann1": "neutral",
               "Ann2": "entailment,neutral"}, "other_info": {"explanations": [three texts], ...}, "lang": "en", ...}, ...}
    metadata   {"Ann1": {"Gender": "Male", "Age": "26"}, ...}

Explanations stand in the order of `annotators`, where a person comes once for each label. Answers without a value are left out;
"DATA_EXPIRED", "CONSENT_REVOKED" and what the ratings' readers take for missing mean that nothing is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Attribute
from pluralign.errors import DataError
from pluralign.suite.card import Card
from pluralign.suite.reading import read_text, require_file, unusable
from pluralign.suite.task import json_text

__all__ = ["Annotated", "Answer", "answers", "properties"]

REVOKED = "CONSENT_REVOKED"
FIELDS: dict[str, type] = {"text": dict, "annotations": dict, "other_info": dict, "annotators": str, "lang": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """What the items of one data set hold."""

    name: str
    """Of its files."""
    texts: tuple[str, ...]
    """Fields of `text`; they are shown in lower case."""
    info: tuple[str, ...] = ()
    """Fields of `other_info` that are shown."""
    labels: tuple[str, ...]
    explained: bool = False
    prefix: str = ""
    """What the metadata leave off the annotators' ids."""

    @property
    def train(self) -> str:
        return f"{self.name}_train.json"

    @property
    def meta(self) -> str:
        return f"{self.name}_annotators_meta.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one annotator said about one item, which is JSON; an explanation for each label, where there are any."""

    item: str
    label: str
    why: tuple[str, ...]


def answers(card: Card, folder: Path | None, of: Annotated, file: str) -> dict[str, list[Answer]]:
    """Annotator to answers, in the order of the file, which may be any split. Raises DataError with all items at fault."""
    items = _objects(card, folder, file)
    faults = [f"item {key}: {fault}" for key, item in items.items() for fault in _faults(of, item)]
    if faults:
        raise unusable(card, folder, file, faults)
    found: dict[str, list[Answer]] = {}
    for item in items.values():
        why: dict[str, list[str]] = {}
        if of.explained:
            for rater, text in zip(item["annotators"].split(","), item["other_info"]["explanations"], strict=True):
                why.setdefault(rater, []).append(text)
        shown = _shown(of, item)
        for rater, label in _labels(item).items():
            found.setdefault(rater, []).append(Answer(shown, label, tuple(why.get(rater, ()))))
    return found


def properties(card: Card, folder: Path | None, of: Annotated) -> dict[str, dict[str, Attribute]]:
    """Annotator to what is known, under the file's names in lower case; ages are numbers."""
    return {f"{of.prefix}{rater}": _known(person) for rater, person in _objects(card, folder, of.meta).items()}


def _objects(card: Card, folder: Path | None, file: str) -> dict[str, dict[str, Any]]:
    """As the ratings' readers take it: a list may end in a comma, no key may come twice."""
    from pluralign.ratings.readers.files import Source as RatingsFile
    from pluralign.ratings.readers.options import ReadOptions

    read_text(card, folder, file)  # refuses another encoding, and what is not the file at all
    try:
        found = RatingsFile(require_file(card, folder, file), ReadOptions()).json[0]
    except DataError as error:
        raise unusable(card, folder, file, error.faults) from error
    if not isinstance(found, dict) or not found or not all(isinstance(one, dict) for one in found.values()):
        raise unusable(card, folder, file, "an object of objects is needed: an id, then what belongs to it")
    return found


def _faults(of: Annotated, item: Mapping[str, Any]) -> Iterator[str]:
    if wrong := [name for name, kind in FIELDS.items() if not isinstance(item.get(name), kind)]:
        yield from (f"a field {name!r} is needed ({FIELDS[name].__name__})" for name in wrong)
        return
    yield from (f"text needs {name!r}" for name in of.texts if not isinstance(item["text"].get(name), str))
    yield from (f"other_info needs {name!r}" for name in of.info if item["other_info"].get(name) is None)
    labels = _labels(item)
    for label in labels.values():
        if label not in of.labels:
            yield f"a label must be one of {' / '.join(of.labels)}, not {label!r}"
    if of.explained:
        given = item["other_info"].get("explanations")
        people = Counter(item["annotators"].split(","))
        if not isinstance(given, list) or not all(map(_is_text, given)) or len(given) != people.total():
            yield "explanations must be texts, as many as the annotators that are named"
        for rater, label in labels.items():
            if people[rater] != label.count(",") + 1:
                yield f"{rater} must be named among the annotators as often as it gave a label"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    """Annotator to label, several ones sorted; without those that have no value."""
    given = {rater: _value(label) for rater, label in item["annotations"].items()}
    return {rater: ",".join(sorted(label.split(","))) for rater, label in given.items() if label is not None}


def _value(value: Any) -> str | None:
    """As text; None for what is missing."""
    from pluralign.ratings.readers.files import as_text
    from pluralign.ratings.readers.options import MISSING

    text = as_text(value)
    return None if text is None or text.strip() in (*MISSING, REVOKED) else text


def _shown(of: Annotated, item: Mapping[str, Any]) -> str:
    """The item as JSON; 1.0 as 1."""
    info = {name: item["other_info"][name] for name in of.info}
    plain = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in info.items()}
    return json_text(**{name.lower(): item["text"][name] for name in of.texts}, **plain, lang=item["lang"])


def _known(person: Mapping[str, Any]) -> dict[str, Attribute]:
    texts = {name.lower(): _value(value) for name, value in person.items()}
    return {name: int(text) if name == "age" and text.isdecimal() else text for name, text in texts.items() if text is not None}
