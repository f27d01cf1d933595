"""The map of the field names what is there: every name in Python exists, every command and task is one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from pluralign.cli import build_app
from pluralign.suite.registry import all_tasks

PAGE = Path(__file__).parents[2] / "docs" / "field.md"
TEXT = PAGE.read_text()
NAMES = sorted(set(re.findall(r"`(pluralign(?:\.\w+)+)`", TEXT)))
COMMANDS = sorted(set(re.findall(r"`pluralign ((?:[a-z]+)(?: (?:list|show|build|check|inspect))?)", TEXT)))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_every_command_is_one() -> None:
    assert {"evaluate", "compare", "study", "suite list", "tune", "demo"} <= set(COMMANDS)
    app = build_app()
    for command in COMMANDS:
        app.parse_args([*command.split(), "--help"], exit_on_error=False, print_error=False)


def test_tasks_that_are_named_exist() -> None:
    named = re.findall(r"`pluralign suite show (\w+)`", TEXT)
    assert named
    assert set(named) <= set(all_tasks())


def test_rows_have_as_many_cells_as_their_table() -> None:
    width = None
    for line in TEXT.splitlines():
        if line.startswith("|"):
            cells = line.count("|")
            assert width in (None, cells), line
            width = cells
        else:
            width = None
    assert len(NAMES) > 40
