"""The commands evaluate, compare and rescore, on the embedded model and on a scripted one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluralign import cli, evaluating
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import UsageError
from pluralign.evals.answers import option_answers
from pluralign.evals.evaluate import evaluate as run_evaluations
from pluralign.evals.kinds import Setting
from pluralign.evals.results import read_evaluated, read_records
from pluralign.models import Query, open_model
from pluralign.models.scripted import ScriptedModel
from pluralign.report.card_run import card_of

TASKS = ("urn", "coinflip", "rng_1_10")
FEW = ("--limit", "12", "--most-k", "8", "--no-cache")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert cli.main(["evaluate", "embedded", "--tasks", *TASKS, *FEW, "--out", str(folder / "tuned")]) == 0
    base = ["evaluate", "embedded/base", "--format", "colon", "--tasks", *TASKS, *FEW, "--out", str(folder / "base")]
    assert cli.main(base) == 0
    return folder


def test_a_run_has_a_page_results_and_records(runs: Path) -> None:
    found = read_evaluated(runs / "tuned")
    assert set(found.findings) == {"alignment", "steerability", "coverage"}
    page = (runs / "tuned" / "report.html").read_text()
    for words in ("An urn holds", "coinflip", "different valid outputs"):
        assert words in page or words.capitalize() in page
    assert "<script src" not in page


def test_the_card_has_what_the_records_say(runs: Path) -> None:
    found = read_evaluated(runs / "tuned")
    records = {name: read_records(runs / "tuned", name) for name in found.findings}
    card = card_of(found, records)
    assert len(card.questions) == 12
    assert all(one.is_law and one.model is not None and abs(sum(one.model) - 1) < 1e-9 for one in card.questions)
    [curve] = card.curves
    assert [step.k for step in curve.steps] == [1, 2, 3, 4, 6, 8]
    assert all(step.limit is not None and step.limit.is_defined for step in curve.steps)
    [row] = card.coverage
    assert row.task == "rng_1_10"
    assert card.calibrations[0].label == "coinflip"
    assert {one.task for one in card.worst_items} == {"urn", "coinflip"}
    assert card.n_records == sum(map(len, records.values()))


def test_a_question_without_a_distribution_is_on_the_page(tmp_path: Path) -> None:
    model = ScriptedModel(faults={"refusal": 0.5})
    found = run_evaluations(model, tmp_path / "run", tasks=["urn"], setting=Setting(limit=20))
    card = card_of(found, {"alignment": read_records(tmp_path / "run", "alignment")})
    refused = [one for one in card.questions if one.model is None]
    assert 0 < len(refused) < 20
    assert all(one.why_undefined.startswith("refusal") for one in refused)
    assert len(card.worst_items) == min(15, 20 - len(refused))


def test_a_question_that_is_too_long_failed_and_the_others_are_answered() -> None:
    episodes = [Episode("t", (), "words " * n, ("a", "b")) for n in (3, 5000, 4)]
    answers = option_answers(open_model("embedded"), [Query(episode) for episode in episodes])
    assert [one.outcome for one in answers] == ["ok", "failed", "ok"]
    assert "context too long" in answers[1].detail
    with pytest.raises(UsageError):
        option_answers(open_model("embedded"), [Query(Episode("t", (), "no options"))])


def test_runs_are_compared_on_one_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = runs / "both.html"
    assert cli.main(["compare", str(runs / "base"), str(runs / "tuned"), "--out", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["runs"]) == {"base", "tuned"}
    loss = next(one for one in found["differences"] if (one["task"], one["metric"]) == ("coinflip", "loss_nats"))
    assert loss["run"] == "tuned"
    means = [
        next(one.estimate.value for one in read_evaluated(runs / name).findings["steerability"] if one.metric == "loss_nats")
        for name in ("tuned", "base")
    ]
    assert abs(loss["estimate"]["value"] - (means[0] - means[1])) < 1e-12
    assert loss["n_items"] == 12 * 8
    assert "coinflip" in page.read_text()
    assert cli.main(["compare", str(runs / "base"), str(runs / "tuned"), "--metric", "loss_nats"]) == 0
    assert (runs / "tuned" / "compare.html").is_file()
    assert cli.main(["compare", str(runs / "base")]) == 2


def test_a_run_is_measured_again(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (runs / "tuned" / "results.json").read_text()
    (runs / "tuned" / "report.html").unlink()
    assert cli.main(["rescore", str(runs / "tuned")]) == 0
    assert (runs / "tuned" / "results.json").read_text() == before
    assert (runs / "tuned" / "report.html").is_file()
    capsys.readouterr()
    assert cli.main(["rescore", str(runs / "tuned"), "--metric", "accuracy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["evaluations"]
    assert set(found) == {"steerability"}
    assert (runs / "tuned" / "results.json").read_text() == before
    assert cli.main(["rescore", str(runs)]) == 1
    assert "results.json" in capsys.readouterr().err


def test_a_run_is_written_for_the_harness(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(runs / "tuned"), "--to", "lm-eval", "--out", str(tmp_path), "--json"]) == 0
    files = [Path(name) for name in json.loads(capsys.readouterr().out)["files"]]
    assert all(file.is_file() and file.is_relative_to(tmp_path) for file in files)
    assert len(files) == 1 + len(TASKS)
    assert cli.main(["export", str(tmp_path), "--to", "lm-eval"]) == 1


def test_a_dry_run_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "none"
    assert cli.main(["evaluate", "scripted", "--tasks", "urn", "--limit", "3", "--dry-run", "--out", str(out)]) == 0
    assert "would ask scripted" in capsys.readouterr().out
    assert cli.main(["evaluate", "scripted", "--tasks", "urn", "--limit", "3", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    [task] = plan["tasks"]
    assert (task["evaluation"], task["task"], task["n_questions"]) == ("alignment", "urn", 3)
    assert (task["left_out"], task["judges"]) == ([], [])
    assert not out.exists()


@pytest.mark.parametrize(("task", "code", "said"), [("urns", 2, "urn"), ("mpi", 1, "mpi"), ("episodes:none.jsonl", 1, "none")])
def test_tasks_that_cannot_be_asked_are_errors(
    task: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "scripted", "--tasks", task, "--data-dir", str(tmp_path), "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == code
    assert said in capsys.readouterr().err


def test_ones_own_episodes_and_python(tmp_path: Path) -> None:
    coins = [
        Episode("coin", tuple(Example("ht"[(n * i) % 2]) for i in range(6)), None, ("h", "t"), unit=f"coin {n}")
        for n in range(8)
    ]
    write_episodes(tmp_path / "coins.jsonl", coins)
    found = evaluating.evaluate(ScriptedModel(), tmp_path / "run", tasks=[f"episodes:{tmp_path / 'coins.jsonl'}"])
    assert {one.task for one in found.findings["steerability"]} == {"episodes_coins"}
    assert (tmp_path / "run" / "report.html").is_file()
