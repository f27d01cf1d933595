"""Housekeeping: what holds for every file, whoever wrote it.

The golden help pages (tests/golden/help) are made again with

    PLURALIGN_WRITE_GOLDEN=1 pytest tests/test_house.py -k help

and the difference is read before it is committed.
"""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pluralign.cli import build_app

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pluralign"
GOLDEN = Path(__file__).parent / "golden" / "help"

FLOORS = {
    **dict.fromkeys(
        (
            "__init__",
            "errors",
            "files",
            "estimates",
            "locks",
            "metrics",
            "partitions",
            "progress",
            "runs",
            "stored_files",
            "stores",
            "streams",
            "terminal",
        ),
        0,
    ),
    **dict.fromkeys(("episodes", "ratings", "suite"), 1),
    "models": 2,
    **dict.fromkeys(("raters", "scoring", "tuning", "values", "evals"), 3),
    **dict.fromkeys(
        (
            "cli",
            "commands",
            "demo",
            "evaluating",
            "predicting",
            "profiling",
            "report",
            "serving",
            "summaries",
            "valuing",
            "web",
            "__main__",
        ),
        4,
    ),
}
"""First name under the package -> floor. A module imports from its own floor and from lower ones."""
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
LONG_FUNCTIONS = {"pluralign.tuning.spectrum:tune": "a training script may be long, as long as it is flat"}
"""module:function -> why it is longer than a function may be."""
VERBS = [
    (),
    *(("study",), ("demo",), ("ratings",), ("ratings", "inspect")),
    *(("score",), ("sample",), ("show",), ("cache",), ("cache", "stats"), ("cache", "clear")),
    *(("suite",), ("suite", "list"), ("suite", "show"), ("suite", "build"), ("suite", "check")),
    ("tune",),
    ("serve",),
    ("transplant",),
    *(("adapt",), ("predict",)),
    *(("profile",), ("profile", "write"), ("profile", "show"), ("profile", "edit"), ("profile", "cluster")),
    *(("evaluate",), ("compare",), ("rescore",), ("export",)),
    *(("values",), ("values-data",), ("values-contrast",), ("values-quality",), ("values-thresholds",), ("values-tune",)),
    *(("values-study",), ("values-study", "export"), ("values-study", "results")),
]

FILES = sorted(SOURCE.rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in FILES}


def _floor(module: str) -> int:
    return FLOORS[([*module.split("."), "__init__"])[1]]


def _imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in the file, except for types alone."""
    tree = ast.parse(path.read_text())
    skipped = {id(n) for node in ast.walk(tree) if _is_type_checking(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] == "pluralign")


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# modules


def test_there_is_something_to_keep() -> None:
    assert len(MODULES) > 10
    assert {"pluralign", "pluralign.cli", "pluralign.raters.clusters"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_exact(name: str) -> None:
    """Every module imports; `__all__` names what exists, in order, and all that is defined there without an underscore."""
    module = importlib.import_module(name)
    tree = ast.parse(MODULES[name].read_text())
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    listed = getattr(module, "__all__", None)
    if listed is None:
        assert not defined, f"{name} defines {sorted(defined)} but has no __all__"
        return
    assert len(set(listed)) == len(listed)
    missing = [entry for entry in listed if not hasattr(module, entry)]
    assert not missing, f"{name}.__all__ names what does not exist: {missing}"
    assert defined <= set(listed), f"{name}.__all__ leaves out {sorted(defined - set(listed))}"


@pytest.mark.parametrize("name", MODULES)
def test_floors_hold(name: str) -> None:
    upward = [other for other in _imported(MODULES[name]) if other in MODULES or other.rpartition(".")[0] in MODULES]
    upward = [other for other in upward if _floor(other if other in MODULES else other.rpartition(".")[0]) > _floor(name)]
    assert not upward, f"{name} (floor {_floor(name)}) imports from above: {upward}"


def test_every_name_under_the_package_has_a_floor() -> None:
    assert {([*name.split("."), "__init__"])[1] for name in MODULES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{_module(path)}:{node.name}"
            assert length <= MAX_FUNCTION_LINES or name in LONG_FUNCTIONS, f"{name} has {length} lines"


# what is loaded, and how long it takes


def test_importing_the_package_loads_nothing_slow_and_torch_nowhere() -> None:
    names = [name for name in MODULES if not name.endswith("__main__")]
    loaded = _python(
        "import sys, importlib, pluralign\n"
        "print([m for m in ('torch', 'polars', 'scipy', 'sklearn', 'altair', 'numpy') if m in sys.modules])\n"
        f"for name in {[n for n in names if _floor(n) < 2 or n.split('.')[1:2] == ['report']]}: importlib.import_module(name)\n"
        "print('torch' in sys.modules)"
    )
    assert loaded.splitlines() == ["[]", "False"]


def test_no_help_page_loads_torch_and_the_first_nothing_slow() -> None:
    loaded = _python(
        "import sys, io, contextlib\n"
        "from pluralign.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "    slow = [m for m in ('polars', 'scipy', 'sklearn', 'altair', 'numpy') if m in sys.modules]\n"
        f"    codes = [main([*verb, '--help']) for verb in {VERBS}]\n"
        "print(slow, set(codes), 'torch' in sys.modules)"
    )
    assert loaded.strip() == "[] {0} False"


def test_importing_the_package_is_quick() -> None:
    """Under 0.3 s beyond the interpreter's own start, best of three."""

    def best(code: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            _python(code)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best("import pluralign") - best("pass") < 0.3


# what is written


def _tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_path_of_some_machine() -> None:
    """Home folders, this checkout's place and the folder that holds it (unless that is for temporary files)."""
    holders = {ROOT, ROOT.parent} - {Path(tempfile.gettempdir()), Path(ROOT.anchor)}
    places = [re.escape(str(place)) + r"\b/" for place in holders]
    machine = re.compile("|".join([*places, r"/" + r"home/\w", r"/" + r"Users/\w", r"/" + r"root/\w", r"[A-Z]:\\Users\\"]))
    found = []
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", "ignore")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in machine.finditer(text)]
    assert not found


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: "-".join(verb) or "pluralign")
def test_help_pages_are_as_agreed(verb: tuple[str, ...]) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, color_system=None, force_terminal=False, legacy_windows=False)
    build_app().help_print(list(verb), console=console)
    page = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    golden = GOLDEN / f"{'-'.join(('pluralign', *verb))}.txt"
    if os.environ.get("PLURALIGN_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(page)
    assert page == golden.read_text(), "the help page changed; see the top of this file for how to make it again"
