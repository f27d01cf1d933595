"""Pages: every link leads somewhere, every command is one, and README and CHANGELOG are in step with the package."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pluralign import __version__
from pluralign.cli import build_app
from pluralign.ratings.readers import FORMATS, ReadOptions

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("dev/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def _shell_lines(page: Path) -> list[list[str]]:
    lines = [line for block in _blocks(page, "bash") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "study.md", "data.md", "papers.md"} <= {p.name for p in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if not re.match(r"[a-z]+:", link)]
    broken = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert not broken
    assert not [link for link in links if link.startswith("/")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_on_pages_are_commands(page: Path) -> None:
    app = build_app()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in _shell_lines(page):
        if words[0] == "pluralign":
            app.parse_args(words[1:], exit_on_error=False, print_error=False)  # raises for what is no verb or flag
        elif words[0] == "make":
            assert words[1] in targets, words


def test_the_readme_shows_the_two_commands_a_study_and_lines_that_run() -> None:
    page = ROOT / "README.md"
    commands = [words[:2] for words in _shell_lines(page)]
    assert ["make", "demo"] in commands
    assert ["make", "test"] in commands
    assert ["pluralign", "study"] in commands
    first = BLOCK.search(page.read_text())
    assert first is not None
    assert first[1] == "python"
    assert ">>>" in first[2]


def test_every_format_and_flag_of_reading_is_on_the_page_about_data() -> None:
    text = (ROOT / "docs/data.md").read_text()
    missing = [name for name in FORMATS if f"`{name}`" not in text]
    flags = [f"--{name.replace('_', '-')}" for name in ReadOptions.__dataclass_fields__]
    missing += [flag for flag in flags if f"`{flag}`" not in text and f"`{flag} " not in text]
    assert not missing


def test_the_changelog_has_this_version_or_an_unreleased_part() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{__version__}]" in text
