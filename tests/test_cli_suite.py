"""The commands over the suite, as they are typed."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pluralign import cli
from pluralign.cli.suite_flags import KindName, MixtureFlags, WorkFlags
from pluralign.errors import UsageError
from pluralign.suite import all_evaluations, all_tasks
from pluralign.suite.listing import EntryKind
from pluralign.suite.mixture import By, Mixture
from suite.samples import write_sample


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _json(capsys: pytest.CaptureFixture[str], *typed: str, code: int = 0) -> object:
    assert cli.main([*typed, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def _leaves(annotation: object) -> set[object]:
    return {leaf for part in get_args(annotation) for leaf in (_leaves(part) or {part})}


# flags


def test_the_words_of_the_flags_are_those_of_the_suite() -> None:
    assert _leaves(KindName) == _leaves(EntryKind)
    assert _leaves(get_type_hints(MixtureFlags)["by"]) == _leaves(By)


def test_flags_become_a_mixture() -> None:
    flags = MixtureFlags(by="outputs", total=10, cap=("500", "flight=20"), weight=("flight=2", "ratings_a=b=0.5"))
    assert flags.to_mixture() == Mixture(
        by="outputs", total=10, cap=500, caps={"flight": 20}, weights={"flight": 2, "ratings_a=b": 0.5}
    )
    assert MixtureFlags().to_mixture().takes_all
    assert MixtureFlags().to_measure() is None


@pytest.mark.parametrize("flags", [{"cap": ("1", "2")}, {"cap": ("x",)}, {"weight": ("flight",)}, {"weight": ("a=1", "a=2")}])
def test_amounts_that_are_none(flags: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UsageError, match=r"--cap|--weight"):
        MixtureFlags(**flags).to_mixture()  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--processes is 0"):
        _ = WorkFlags(processes=0).n_processes


# list


def test_every_task_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "list"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [e["name"] for e in _json(capsys, "suite", "list")]  # type: ignore[attr-defined]
    assert len(lines) - 1 == len(all_tasks()) + len(all_evaluations())
    assert f"{len(all_tasks())} tasks and {len(all_evaluations())} evaluations" in printed.err


def test_filters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_sample("gsm8k", tmp_path)
    found = _json(
        capsys, "suite", "list", "--kind", "knowledge", "--split", "train", "--available", "--data-dir", str(tmp_path)
    )
    assert [entry["name"] for entry in found] == ["gsm8k_answer_from_question"]  # type: ignore[attr-defined]
    found = _json(capsys, "suite", "list", "--kind", "diverse-and-valid")
    assert {entry["split"] for entry in found} == {"test"}  # type: ignore[attr-defined]
    found = {entry["name"]: entry for entry in _json(capsys, "suite", "list")}  # type: ignore[attr-defined]
    assert found["poisson"]["available"]
    assert found["gsm8k_question"]["missing"] == ["gsm8k/main/train-00000-of-00001.parquet"]


# show


def test_a_task_is_shown_with_its_card_and_an_episode(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "show", "flight", "--examples", "2"]) == 0
    out = capsys.readouterr().out
    assert "flight (synthetic, test)" in out
    assert "licence: none needed" in out
    assert "description: " in out
    assert out.count("  output: ") == 2
    assert "and 18 more" in out
    found = _json(capsys, "suite", "show", "flight", "--n", "3")
    assert len(found["episodes"]) == 3  # type: ignore[index]


def test_what_is_not_here_is_shown_with_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "show", "jeopardy_answer_prediction"]) == 0
    out = capsys.readouterr().out
    assert "not here: DATA_DIR/jeopardy/" in out
    assert "get it from:" in out


@pytest.mark.parametrize(("name", "part"), [("urn", "question 1"), ("us_states_full_names", "50 valid outputs in all")])
def test_evaluations_are_shown(name: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "show", name]) == 0
    assert part in capsys.readouterr().out


def test_texts_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "votes.csv").write_text(
        "item_id,rater_id,rating,item_text\n"
        + "".join(f'i{i},r{r},{(i + r) % 2},"red \x1b[31m {i}"\n' for i in range(4) for r in range(3))
    )
    assert cli.main(["suite", "show", "ratings:votes.csv"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "red \\x1b[31m" in out


# build


def test_a_build_says_what_it_wrote_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["suite", "build", "flight", "cards", "--cap", "50", "--processes", "1", "--out", "s"]
    assert cli.main(typed) == 0
    printed = capsys.readouterr()
    assert "Written to s: manifest.json" in printed.out
    assert "50.0 %" in printed.err, "the mixture, before it is built"
    assert printed.err.index("share") < len(printed.err)
    first = (tmp_path / "s" / "manifest.json").read_bytes()
    assert _json(capsys, *typed)["tasks"]["cards"]["episodes"] == 50  # type: ignore[index]
    assert (tmp_path / "s" / "manifest.json").read_bytes() == first


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "suite", "build", "flight", "cards", "--total", "60", "--dry-run", "--processes", "1")
    assert {name: one["sequences"] for name, one in found.items()} == {"flight": 30, "cards": 30}  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_ratings_of_ones_own_are_built_beside_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"i{i},r{r},{(i + r) % 2}" for i in range(6) for r in range(5)]
    (tmp_path / "votes.csv").write_text("\n".join(["item,who,says", *rows]))
    name = "ratings:votes.csv?rating=says&rater=who"
    found = _json(capsys, "suite", "build", name, "cards", "--processes", "2", "--out", "s")
    assert found["tasks"]["ratings_votes"]["episodes"] == 5  # type: ignore[index]
    assert str(tmp_path) not in (tmp_path / "s" / "manifest.json").read_text()


def test_without_names_all_training_tasks_that_are_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pluralign.suite import build as building

    asked = []
    monkeypatch.setattr(building, "plan_build", lambda names, **more: asked.append(list(names)) or {})
    assert cli.main(["suite", "build", "--dry-run"]) == 0
    assert {"coinflip", "poisson", "simulated_ratings"} <= set(asked[0])
    assert not {"flight", "mmlu", "rng_1_10"} & set(asked[0])


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        (["build", "flite"], 2, "did you mean 'flight'"),
        (["build", "rng_1_10"], 2, "rng_1_10 is an evaluation, which has no episodes"),
        (["build", "flight", "--by", "loss_tokens", "--cap", "5"], 2, "needs a tokenizer"),
        (["build", "jeopardy_answer_prediction"], 1, "no data folder was given"),
        (["build", "ratings:none.csv"], 1, "none.csv"),
        (["list", "--kind", "texts"], 2, "Invalid value"),
        (["show", "mmmlu"], 2, "did you mean 'mmlu'"),
    ],
)
def test_what_cannot_be_done_says_why(typed: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", *typed]) == code
    assert message in capsys.readouterr().err


# check


def test_a_check_without_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "check", "cards", "flight", "urn", "rng_1_10", "--processes", "2"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["ok"] * 4
    assert "4 tasks and evaluations checked, 0 faults" in printed.err


def test_a_fault_is_told_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f'i{i},r{r},{(i + r) % 2},"np.float64(0.{i})"' for i in range(6) for r in range(5)]
    (tmp_path / "votes.csv").write_text("\n".join(["item_id,rater_id,rating,item_text", *rows]))
    found = _json(capsys, "suite", "check", "cards", "ratings:votes.csv", "--processes", "1", code=1)
    [cards, votes] = found["tasks"]  # type: ignore[index]
    assert cards["faults"] == []
    assert "a number or value is printed with its type (30 times" in votes["faults"][0]


def test_contamination_is_reported_per_pair(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["suite", "check", "categorical", "rng_1_10", "--contamination", "--processes", "1", "--limit", "40"]
    found = _json(capsys, *typed)
    assert {(o["train"], o["evaluation"], o["kind"]) for o in found["overlaps"]} == {("categorical", "rng_1_10", "numerals")}  # type: ignore[index]


def test_shared_flags_are_the_arguments_of_the_function() -> None:
    from pluralign.suite.build import build

    names = set(inspect.signature(build).parameters)
    assert {f.name for f in dataclasses.fields(WorkFlags)} - {"processes"} <= names
    assert {"mixture", "measure", "keep_overlap", "data_dir", "n_processes"} <= names
