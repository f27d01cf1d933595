"""What the commands over the suite print for people. Texts from data cannot steer the terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pluralign.terminal import printable

if TYPE_CHECKING:
    from pluralign.suite.build import Plan
    from pluralign.suite.check import Checked
    from pluralign.suite.listing import Entry

__all__ = ["checked_lines", "entry_lines", "manifest_lines", "plan_lines", "shown_lines"]

_WIDTH = 100


def entry_lines(found: Sequence[Entry]) -> list[str]:
    """A line each: name, kind, split, source, and whether it is here."""
    rows = [(e.name, e.kind, e.split, e.source, _where(e)) for e in found]
    return _table(("task", "kind", "split", "source", "files"), rows)


def _where(entry: Entry) -> str:
    if entry.available:
        return f"here, without {len(entry.missing)} of its files" if entry.missing else "here"
    if entry.fetched:
        return "fetched from the hub when asked for"
    more = f" and {len(entry.missing) - 1} more" if len(entry.missing) > 1 else ""
    return f"missing: {entry.missing[0]}{more}"


def plan_lines(plan: Plan, by: str) -> list[str]:
    """What is taken of each task, and its share of the whole."""
    total = sum(amount.size for amount in plan.values()) or 1
    rows = [
        (name, f"{a.sequences:,}", f"{a.of_sequences:,}", f"{a.size:,}", f"{a.of_size:,}", f"{100 * a.size / total:.1f} %")
        for name, a in plan.items()
    ]
    return _table(("task", "sequences", "of", by.replace("_", " "), "of", "share"), rows, right=range(1, 6))


def manifest_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What was built of each task."""
    columns = ("episodes", "outputs", "characters", "tokens", "loss_tokens")
    entries = manifest["tasks"]
    shown = [column for column in columns if all(column in entry for entry in entries.values())]
    rows = [(name, *(f"{entry[column]:,}" for column in shown), *_loss_share(entry)) for name, entry in entries.items()]
    whole = {column: sum(entry[column] for entry in entries.values()) for column in shown}
    rows.append(("together", *(f"{whole[column]:,}" for column in shown), *_loss_share(whole)))
    heads = ("task", *(column.replace("_", " ") for column in shown), *(("share",) if "loss_tokens" in shown else ()))
    lines = _table(heads, rows, right=range(1, len(heads)))
    for name, entry in entries.items():
        if missing := entry.get("missing_files"):
            lines.append(f"{name}: drawn without {len(missing)} files that are not here, such as {missing[0]}")
    return lines


def _loss_share(entry: Mapping[str, Any]) -> tuple[str, ...]:
    if "loss_tokens" not in entry:
        return ()
    return (f"{100 * entry['loss_tokens'] / entry['tokens']:.1f} %" if entry["tokens"] else "-",)


def checked_lines(found: Iterable[Checked]) -> list[str]:
    """A line each, and one for each kind of fault."""
    lines = []
    for one in found:
        what = f"{one.episodes:,} episodes, {one.outputs:,} outputs" if one.outputs else f"{one.episodes:,} questions"
        lines.append(f"{'FAULT' if one.faults else 'ok':5}  {one.task}: {what}")
        lines += [f"         {printable(line)}" for line in one.lines()]
    return lines


def shown_lines(found: Mapping[str, Any], *, most_examples: int) -> list[str]:
    """The card, then episodes, questions or the request."""
    task, card = found["task"], found["card"]
    lines = [f"{task['name']} ({task['kind']}, {task['split']}): {task['about']}"]
    lines += _wrapped("chance", task["chance"])
    lines += _wrapped("source", f"{card['name']}: {card['what']}")
    for name in ("citation", "licence", "rows", "units", "unit"):
        lines += _wrapped(name, card[name])
    lines += _wrapped("from", card["access"].get("from", card["access"]["kind"].lower()))
    lines += _wrapped("standing", card["standing"])
    lines += [line for problem in card["problems"] for line in _wrapped("note", problem)]
    for file, how in found.get("missing", {}).items():
        lines += ["", f"not here: DATA_DIR/{file}", *_wrapped("get it from", how)]
    for number, episode in enumerate(found.get("episodes", ()), 1):
        lines += ["", *_episode_lines(number, episode, most_examples)]
    for number, question in enumerate(found.get("questions", ()), 1):
        lines += ["", *_question_lines(number, question)]
    if "request" in found:
        lines += ["", *_request_lines(found["request"])]
    return lines


def _episode_lines(number: int, episode: Mapping[str, Any], most: int) -> list[str]:
    examples = episode["examples"]
    lines = [f"episode {number}, unit {printable(str(episode.get('unit')))}: {len(examples):,} outputs"]
    if "description" in episode:
        lines += _text("description", episode["description"])
    for example in examples[:most]:
        if "input" in example:
            lines += _text("input", example["input"])
        lines += _text("output", example["output"])
    if len(examples) > most:
        lines.append(f"  ... and {len(examples) - most:,} more")
    for name in ("options", "attributes"):
        if name in episode:
            lines += _text(f"({name}, not shown to a model)", json.dumps(episode[name], ensure_ascii=False))
    return lines


def _question_lines(number: int, question: Mapping[str, Any]) -> list[str]:
    lines = [f"question {number}" + (f", {question['n']:,} people" if question["n"] is not None else "")]
    if question["description"] is not None:
        lines += _text("description", question["description"])
    lines += _text("input", question["input"])
    for option, share in zip(question["options"], question["shares"], strict=True):
        lines.append(f"  {100 * share:5.1f} %  {printable(option)}")
    return lines


def _request_lines(request: Mapping[str, Any]) -> list[str]:
    lines = _text("description", request["description"])
    lines += [line for example in request["examples"] for line in _text("output", example)]
    if request["closed"] is not None:
        lines.append(f"  {len(request['closed']):,} valid outputs in all")
    return lines


def _wrapped(name: str, value: object) -> list[str]:
    if value is None:
        return []
    return textwrap.wrap(
        printable(str(value)), _WIDTH, initial_indent=f"  {name}: ", subsequent_indent="    ", break_long_words=False
    )


def _text(role: str, text: str) -> list[str]:
    """A role and what it says; further lines of a text are indented."""
    first, *more = printable(text, keep="\n").split("\n")
    return [f"  {role}: {first}", *(f"      {line}" for line in more)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    to_the_right = set(right)
    return [
        "  ".join(
            cell.rjust(w) if k in to_the_right else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]
