"""Names to sources; nothing is imported or read before it is asked for; a source is added in one file and one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pluralign.errors import DataError, UsageError
from pluralign.suite import all_tasks, draw, registry, source, source_of, task
from pluralign.suite.card import Simulated
from pluralign.suite.sampler import draw_episodes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
HELD_OUT = (
    "wvs",
    "globaloqa",
    "habermas",
    "numbergame",
    "flight",
    "chatbotarena",
    "novacomet",
    "mmlu",
    "hellaswag",
    "winogrande",
)
HELD_OUT += ("arc", "drop", "truthful_qa", "gpqa", "chemistry_")
SAMPLE = "line,poet\nold pond,Basho\na frog leaps in,Basho\nmorning dew,Issa\n,Issa\n"


def test_every_source_is_filed_under_its_name_and_every_task_once() -> None:
    names = [one.name for name in registry.SOURCES for one in source(name).tasks]
    assert list(all_tasks()) == names
    assert len(set(names)) == len(names)
    for name in registry.SOURCES:
        found = source(name)
        assert found.card.name == name
        assert set(found.card.chance) <= {one.name for one in found.tasks}
        assert all(0 < chance < 1 for chance in found.card.chance.values())
        assert found.card.what.endswith(".")
        assert found.card.citation
        assert found.card.licence
        assert bool(found.card.access.files) != isinstance(found.card.access, Simulated)


def test_held_out_tasks_are_held_out() -> None:
    for name, found in all_tasks().items():
        assert (found.split == "test") == name.startswith(HELD_OUT), name
        assert re.fullmatch("[a-z0-9_]+", name)
        assert found.about


def test_tasks_and_their_sources_are_found_by_name() -> None:
    assert task("geometric_beta") is source("geometric_beta").tasks[0]
    assert source_of("normal").card.name == "normal"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="source 'coinflips' is unknown; did you mean 'coinflip'"):
        source("coinflips")
    with pytest.raises(UsageError, match="task 'poison' is unknown; did you mean 'poisson'"):
        task("poison")


def test_episodes_of_files_need_files(tmp_path: Path) -> None:
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=r"helpsteer: train\.jsonl\.gz: .*resolve/cece6ca"):
            draw("helpsteer", data_dir=data_dir)


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_source_is_imported_when_it_is_asked_for() -> None:
    printed = _python(
        "import sys, pluralign.suite as suite\n"
        "here = 'pluralign.suite.sources.'\n"
        "print([m for m in sys.modules if m.startswith(here)])\n"
        "suite.task('poisson'); next(suite.draw('poisson'))\n"
        "print([m for m in sys.modules if m.startswith(here)])\n"
        "suite.all_tasks()\n"
        "print([m for m in ('polars', 'scipy', 'torch', 'huggingface_hub', 'datasets') if m in sys.modules])\n"
    )
    assert printed.splitlines() == ["[]", "['pluralign.suite.sources.poisson']", "[]"]


def test_no_source_is_read_when_tasks_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*anything: object, **more: object) -> None:
        raise AssertionError("a file was opened")

    for name in registry.SOURCES:
        source(name)  # imports it
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert len(all_tasks()) >= 16


def test_drawing_is_lazy() -> None:
    """Of 500 strands one is made: those after it are never asked for."""
    made = []

    def strands(data: object, seed: int) -> object:
        for strand in registry.task("poisson").strands(data, seed):
            made.append(strand.unit)
            yield strand

    next(draw_episodes(task("poisson"), strands(None, 0), seed=0))  # type: ignore[arg-type]
    assert made == ["0"]


def test_a_source_is_added_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that CONTRIBUTING shows, and the line in the dict."""
    part = PAGE.read_text().split("## Add a source")[1].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", part, re.DOTALL)[0]
    assert len(code.splitlines()) <= 80
    (tmp_path / "poems_for_a_test.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(registry.SOURCES, "poems", "poems_for_a_test")
    assert source_of("poems_line").card.name == "poems"
    with pytest.raises(DataError, match=r"poems: lines\.csv: no such file; get it from .*; put it at"):
        draw("poems_line", data_dir=tmp_path)
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "lines.csv").write_text(SAMPLE)
    drawn = list(draw("poems_line", data_dir=tmp_path, description_share=1.0))
    assert {episode.unit for episode in drawn} == {"Basho", "Issa"}
    outputs = [example.output for episode in drawn if episode.unit == "Basho" for example in episode.examples]
    assert sorted(outputs) == ["a frog leaps in", "old pond"]
