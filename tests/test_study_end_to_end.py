"""The command line as users meet it, in its own process where that matters: a study, an interrupt, bad input, hostile text."""

from __future__ import annotations

import html.parser
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from pluralign import cli
from tables import small_table

QUICK = ["--clusters", "2", "--max-examples", "4", "--permutations", "50", "--resamples", "200"]
START = [sys.executable, "-c", "import sys; from pluralign.cli import main; sys.exit(main())"]
HEARS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""Where tests run in the background of a shell, SIGINT is ignored from the start."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_table(tmp_path_factory.mktemp("table") / "people.csv")


def _run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*START, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False, env=_environment()
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _finished(out: Path) -> dict[str, int]:
    """Each finished step, and when it was written."""
    return {f.name: f.stat().st_mtime_ns for f in (out / "steps").glob("*.parquet")} if (out / "steps").is_dir() else {}


# one command


def test_one_command_studies_a_file_and_says_where_it_wrote(table: Path, tmp_path: Path) -> None:
    done = _run("study", table, *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        *(f"fold {fold} of 2: {stage}" for fold in (1, 2) for stage in ("fitting", "predicting", "fitting on halves")),
        "describing",
    ]
    page = Path("runs/people/report.html")
    assert done.stdout.splitlines()[-1].endswith(f"the page: {page}")
    assert (tmp_path / page).is_file()
    assert "Krippendorff's alpha" in done.stdout

    started = time.perf_counter()
    again = _run("study", table, *QUICK, cwd=tmp_path)
    assert time.perf_counter() - started < 15  # nothing but reading, and drawing the page
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


def test_json_is_one_document_and_a_dry_run_writes_nothing(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["study", str(table), "--out", str(out), "--json", *QUICK]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((out / "results.json").read_text())
    assert str(out / "report.html") in printed.err

    for verb in (["study", str(table)], ["study", "simulated", "--limit", "20"]):
        assert cli.main([*verb, "--dry-run", "--out", str(tmp_path / "none"), *QUICK]) == 0
        assert "Nothing was fitted" in capsys.readouterr().out
        assert cli.main([*verb, "--dry-run", "--json", "--out", str(tmp_path / "none"), *QUICK]) == 0
        assert json.loads(capsys.readouterr().out)["n_fits"] == 2
    assert not (tmp_path / "none").exists()


def test_simulated_is_a_word_and_a_file_of_that_name_is_reached_by_its_path(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "simulated").write_bytes(table.read_bytes())
    monkeypatch.chdir(tmp_path)
    names = {}
    for word in ("simulated", "./simulated"):
        assert cli.main(["study", word, "--limit", "20", "--dry-run", *QUICK]) == 0
        names[word] = capsys.readouterr().out.partition(":")[0]
    assert names == {"simulated": "simulated, seed 0", "./simulated": "simulated"}
    for flags in (["--item", "a"], ["--features", "x.csv"]):
        assert cli.main(["study", "simulated", "--dry-run", *flags]) == 2
        assert "./simulated" in capsys.readouterr().err


# an interrupt


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupted_study_goes_on_where_it_stopped(table: Path, tmp_path: Path) -> None:
    arguments = ["study", str(table), "--out", "out", "--n-seeds", "2", *QUICK]
    process = subprocess.Popen(
        [*START[:2], HEARS + START[2], *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    out, deadline = tmp_path / "out", time.monotonic() + 60
    while len(_finished(out)) < 8 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)  # the first fold leaves seven steps
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert printed == ""
    assert "goes on from there" in said
    assert "Traceback" not in said
    kept = _finished(out)
    assert len(kept) >= 8
    assert "seed1-fold1-records.parquet" not in kept  # it was stopped in the middle
    assert not (out / "results.json").exists()

    resumed = _run(*arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    after = _finished(out)
    assert {name: after[name] for name in kept} == kept  # nothing that was finished was written again
    assert "fold 1 of 4: fitting" not in resumed.stderr
    assert "fold 4 of 4: fitting" in resumed.stderr
    whole = _run(*arguments[:2], "--out", "whole", *arguments[4:], cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert (out / "results.json").read_bytes() == (tmp_path / "whole/results.json").read_bytes()
    assert (out / "report.html").read_bytes() == (tmp_path / "whole/report.html").read_bytes()


# bad input: says where, what came, what is allowed, what to do; never a trace

HEAD = "item_id,rater_id,rating\n"


def _rows(n_raters: int = 10, n_items: int = 6, options: str = "12345") -> str:
    draw = random.Random(0)
    return "".join(f"i{i},r{r},{draw.choice(options)}\n" for r in range(n_raters) for i in range(n_items))


BAD: dict[str, tuple[bytes, list[str], list[str]]] = {
    "missing columns": (b"a,b,rating\n1,2,3\n", [], ["no column is recognised as the item", "--item", "--rater", "'a', 'b'"]),
    "outside the scale": (
        (HEAD + _rows() + "i0,x,9\n").encode(),
        ["--options", "1", "2", "3", "4", "5"],
        ["'9'", "1", "5"],
    ),
    "duplicates": ((HEAD + _rows() + "i0,r0,1\n").encode(), [], ["i0", "r0", "--duplicates"]),
    "one rater": ((HEAD + _rows(n_raters=1)).encode(), [], ["1 of 1 raters have 4 or more ratings", "at least 8", "--rater"]),
    "few raters": ((HEAD + _rows(n_raters=7)).encode(), [], ["7 of 7 raters have 4 or more ratings"]),
    "few ratings each": ((HEAD + _rows(n_items=3)).encode(), [], ["0 of 10 raters have 4 or more ratings"]),
    "one option": ((HEAD + _rows(options="3")).encode(), [], ["'3'"]),
    "empty": (b"", [], ["empty"]),
    "header only": (HEAD.encode(), [], ["no r"]),
    "binary": (bytes(range(256)) * 50, [], ["binary", "CSV, JSON or parquet is needed"]),
    "mixed encodings": ((HEAD + "é,r1,1\n").encode() + "é,r2,1\n".encode("latin-1"), [], ["line 3", "--encoding"]),
    "free text": (
        (HEAD + "".join(f"i{i},r{r},I think {i} and {r}\n" for i in range(6) for r in range(10))).encode(),
        [],
        ["different", "--rating"],
    ),
    "slider": (
        (HEAD + "".join(f"i{i},r{r},{(7 * i + 13 * r) % 101}\n" for i in range(20) for r in range(20))).encode(),
        [],
        ["--bins"],
    ),
    "leak": (
        ("item_id,rater_id,rating,group-id\n" + _rows().replace("\n", ",1\n")).encode(),
        ["--attributes", "group-id"],
        ["group-id", "leak", "rename"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_stated_error(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, flags, said = BAD[name]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    for dry in ([], ["--dry-run"]):
        assert cli.main(["study", str(path), "--out", str(tmp_path / "out"), *dry, *flags]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert "Traceback" not in printed.err
        for part in said:
            assert part in printed.err, printed.err
    assert not (tmp_path / "out/results.json").exists()


def test_what_is_left_out_is_counted_and_shown_on_the_page(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NaN and empty ratings, a leak column, an attribute that names people: each has its note and count."""
    rows = pl.read_csv(table, infer_schema=False).with_row_index()
    rows = rows.with_columns(
        rating=pl.when(pl.col("index") == 5)
        .then(pl.lit("NaN"))
        .when(pl.col("index").is_in([7, 8]))
        .then(pl.lit(""))
        .otherwise(pl.col("rating")),
        cluster_id=pl.col("rater_id").str.slice(-1),
        rater_email=pl.col("rater_id") + "@example.org",
    ).drop("index")
    path = tmp_path / "holes.csv"
    rows.write_csv(path)
    assert cli.main(["study", str(path), "--out", str(tmp_path / "out"), *QUICK]) == 0
    notes = json.loads((tmp_path / "out/results.json").read_text())["data"]["notes"]
    assert any("(3)" in note and "rating" in note for note in notes), notes
    assert any("cluster_id" in note and "leak" in note for note in notes), notes
    page = (tmp_path / "out/report.html").read_text()
    assert "cluster_id" in page
    known = {a["name"]: a for a in json.loads((tmp_path / "out/results.json").read_text())["data"]["attributes"]}
    assert "cluster_id" not in known
    assert "email" not in known or not known["email"]["used"]


def test_more_clusters_than_raters_is_noted(table: Path, tmp_path: Path) -> None:
    assert cli.main(["study", str(table), "--out", str(tmp_path / "out"), *QUICK, "--clusters", "2", "90"]) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert any(note.startswith("90 clusters could not be formed") for note in results["data"]["notes"])
    assert [c["k"] for c in results["clusterings"]] == [2]


def test_a_slider_works_in_bins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    lean = {r: draw.gauss(0, 15) for r in range(30)}
    path = tmp_path / "slider.csv"
    path.write_text(
        HEAD
        + "".join(
            f"i{i},r{r},{min(100, max(0, round(5 * i + lean[r] + draw.gauss(0, 15))))}\n" for i in range(20) for r in range(30)
        )
    )
    out = tmp_path / "out"
    flags = ["--bins", "5", "--bin-range", "0", "100"]
    assert cli.main(["study", str(path), "--out", str(out), *QUICK, *flags]) == 0
    assert json.loads((out / "results.json").read_text())["data"]["options"] == ["0-20", "20-40", "40-60", "60-80", "80-100"]


# hostile text

SCRIPT = "<script>alert(1)</script>"


class _Page(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.text = ""
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_from_data_shows_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts in item ids, texts, rater ids, options, attribute names and levels, and in the file's name."""
    draw = random.Random(2)
    rows = [
        {
            "item_id": f"{SCRIPT}i{i}",
            "rater_id": f"{SCRIPT}r{r}",
            "rating": f"{SCRIPT}{'yes' if draw.random() < (0.2 + 0.6 * ((i + r) % 2)) else 'no'}",
            "item_text": f'text {i} "{SCRIPT}" \' onerror=alert(1) ]]> -->',
            f"rater_{SCRIPT}": f"{SCRIPT}{r % 2}",
        }
        for i in range(20)
        for r in range(24)
    ]
    path = tmp_path / "a<b>&c.csv"
    pl.DataFrame(rows).write_csv(path)
    out = tmp_path / "out"
    assert cli.main(["study", str(path), "--out", str(out), *QUICK]) == 0
    page = _Page((out / "report.html").read_text())
    assert "script" not in page.tags
    assert page.handlers == []
    for shown in (f"{SCRIPT}i", f"{SCRIPT}r", f"{SCRIPT}yes", f"{SCRIPT}1", f'"{SCRIPT}" \' onerror=', "a<b>&c"):
        assert shown in page.text, shown
