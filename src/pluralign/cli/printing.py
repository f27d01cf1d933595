"""What goes to stdout and what to stderr: with `--json` stdout holds one JSON document and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["print_found", "print_json", "print_plan", "say"]


def print_json(value: Any) -> None:
    """One document on stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1))


def say(line: str) -> None:
    """For people, beside the results."""
    print(line, file=sys.stderr, flush=True)


def print_plan(document: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """What a dry run found: the document, or the lines for people."""
    if as_json:
        print_json(document)
    else:
        print("\n".join(lines))


def print_found(document: Any, lines: Sequence[str], written: str | None, *, as_json: bool) -> None:
    """What a command found, and what it wrote; with `as_json` the lines go beside the document."""
    if as_json:
        print_json(document)
    tell = say if as_json else print
    tell("\n".join(lines))
    if written is not None:
        tell(f"\nWritten to {written}")
