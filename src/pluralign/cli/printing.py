"""What goes to stdout and what to stderr: with `--json` stdout holds one JSON document and nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["print_json", "say"]


def print_json(value: Any) -> None:
    """One document on stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1))


def say(line: str) -> None:
    """For people, beside the results."""
    print(line, file=sys.stderr, flush=True)
