"""What may be wrong with an episode as it comes from outside: an object of JSON, a row of a table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pluralign.errors import nearest_name

__all__ = ["FIELDS", "MOST_LISTED", "capped", "faultless", "record_faults"]

FIELDS = ("task", "examples", "description", "options", "unit", "attributes")
MOST_LISTED = 20
"""Faults that an error spells out; the rest are counted."""
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def record_faults(record: Any) -> list[str]:
    """All that is wrong with an object that should be an episode, a sentence each; empty when it is one."""
    if not isinstance(record, Mapping):
        return [f"an episode is an object with the fields {', '.join(FIELDS)}; this is {_shown(record)}"]
    faults = [f"field {nearest_name(str(name), FIELDS)}" for name in record if name not in FIELDS]
    faults += _text_faults("task", record.get("task"), empty=False)
    examples = record.get("examples")
    if isinstance(examples, list | tuple):
        for n, example in enumerate(examples, 1):
            faults += _example_faults(f"example {n}", example)
    else:
        faults.append(f"examples must be a list, not {_shown(examples)}; it may be empty")
    faults += _text_faults("description", record.get("description"), missing=True, empty=False)
    faults += _text_faults("unit", record.get("unit"), missing=True, empty=False)
    faults += _option_faults(record.get("options"), examples)
    return faults + _attribute_faults(record.get("attributes"))


def faultless(
    outputs: Sequence[Any], inputs: Sequence[Any], *, names: Sequence[Any], options: Sequence[Any] | None, attributes: Any
) -> bool:
    """True only where `record_faults` finds nothing, in a fraction of its time: the texts are looked at all at once.

    `inputs` and `names` (task, description, unit) are those that are there. False means only that a closer look is needed.
    """
    try:
        text = "".join([*outputs, *inputs, *names, *(options or ())])
    except TypeError:
        return False
    if "\0" in text if text.isascii() else _UNWRITABLE.search(text):
        return False
    if not all(names) or (options is not None and not _are_options(options, outputs)):
        return False
    return not _attribute_faults(attributes)


def _are_options(options: Sequence[str], outputs: Sequence[str]) -> bool:
    known = set(options)
    return bool(options) and all(options) and len(known) == len(options) and known.issuperset(outputs)


def capped(faults: Sequence[str], total: int) -> list[str]:
    """The first faults, and how many more there are; `total` counts those that were not even kept."""
    more = total - len(faults[:MOST_LISTED])
    return [*faults[:MOST_LISTED], *([f"and {more:,} more"] if more else [])]


def _text_faults(name: str, value: Any, *, missing: bool = False, empty: bool = True) -> list[str]:
    """`missing`, `empty`: whether the text may be that."""
    if value is None:
        return [] if missing else [f"{name} is missing"]
    if not isinstance(value, str):
        return [f"{name} must be text, not {_shown(value)}"]
    if not value and not empty:
        return [f"{name} is empty" + ("; leave it out where there is none" if missing else "")]
    if found := _UNWRITABLE.search(value):
        what = "a NUL" if found.group() == "\0" else f"half of a surrogate pair (U+{ord(found.group()):04X})"
        return [f"{name} has {what} at character {found.start() + 1:,}; no text may hold one"]
    return []


def _example_faults(where: str, example: Any) -> list[str]:
    if not isinstance(example, Mapping):
        return [f"{where} must be an object with 'output' and, if it answers something, 'input', not {_shown(example)}"]
    faults = [f"{where}: field {nearest_name(str(k), ('input', 'output'))}" for k in example if k not in ("input", "output")]
    faults += _text_faults(f"{where}: output", example.get("output"))
    return faults + _text_faults(f"{where}: input", example.get("input"), missing=True)


def _option_faults(options: Any, examples: Any) -> list[str]:
    if options is None:
        return []
    if not isinstance(options, list | tuple):
        return [f"options must be a list of texts, not {_shown(options)}"]
    if not options:
        return ["options is an empty list; leave it out where any text may come"]
    faults = [fault for n, option in enumerate(options, 1) for fault in _text_faults(f"option {n}", option, empty=False)]
    if faults:
        return faults
    if len(set(options)) < len(options):
        faults.append(f"option {_shown(Counter(options).most_common(1)[0][0])} is listed more than once")
    outputs = [e.get("output") for e in examples if isinstance(e, Mapping)] if isinstance(examples, list | tuple) else []
    outside = {output for output in outputs if isinstance(output, str)} - set(options)
    if outside:
        shown = ", ".join(_shown(option) for option in options[:8]) + (", ..." if len(options) > 8 else "")
        faults.append(f"{len(outside)} outputs are not among the options, e.g. {_shown(min(outside))}; the options are {shown}")
    return faults


def _attribute_faults(attributes: Any) -> list[str]:
    if attributes is None:
        return []
    if not isinstance(attributes, Mapping):
        return [f"attributes must be an object, not {_shown(attributes)}"]
    faults = []
    for name, value in attributes.items():
        faults += _text_faults("name of an attribute", name, empty=False)
        if isinstance(value, str):
            faults += _text_faults(f"attribute {_shown(name)}", value)
        elif not isinstance(value, int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            faults.append(f"attribute {_shown(name)} must be text, a finite number, true, false or null, not {_shown(value)}")
    return faults


def _shown(value: Any) -> str:
    text = repr(value[:60] if isinstance(value, str) else value)  # which spells out half a surrogate pair
    return text if len(text) <= 60 else text[:57] + "..."
