from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from pluralign.episodes import Episode, Example
from pluralign.models.scripted import ScriptedModel
from pluralign.scoring import sample, samples_lines, score, scores_lines
from scoring.made_episodes import coins, written


def _rows(lines: list[str], title: str) -> list[str]:
    """First cells of the table that begins so."""
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  {title}"))
    stop = next((n for n, line in enumerate(lines[start:], start) if not line.startswith("  ")), len(lines))
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines[start + 1 : stop]]


def test_losses_are_listed_at_doubling_numbers_of_examples(tmp_path: Path) -> None:
    found = score(written(tmp_path, coins(40, n_examples=10)), tmp_path / "out", model="scripted")
    assert [row.group for row in found.by_k] == list(range(10))
    assert _rows(scores_lines(found), "after k examples") == ["0", "1", "2", "4", "8"]


def test_tasks_are_listed_up_to_a_number_and_long_names_cut(tmp_path: Path) -> None:
    episodes = [dataclasses.replace(one, task=f"task {n // 2:02d} {'x' * 40}") for n, one in enumerate(coins(100))]
    lines = scores_lines(score(written(tmp_path, episodes), tmp_path / "out", model="scripted"))
    rows = _rows(lines, "task")
    assert (rows[0], rows[1], len(rows)) == ("all", f"task 00 {'x' * 23}…", 42)
    assert rows[-1] == "and 10 tasks more in results.json"
    assert max(map(len, lines)) <= 110


def test_one_task_and_one_number_of_examples_need_no_table_of_their_own(tmp_path: Path) -> None:
    one = Episode("t", (Example("a"), Example("a")), unit="u")
    lines = scores_lines(score(written(tmp_path, [one] * 3), tmp_path / "out", model="scripted"))
    assert _rows(lines, "task")[0] == "all"
    assert not any(line.startswith("  after k") for line in lines)
    assert "  -: an interval needs at least 2 units, there is 1" in lines


def test_what_was_left_out_and_went_wrong_is_said(tmp_path: Path) -> None:
    one = Episode("t", (Example("a"),))
    path = written(tmp_path, [*coins(30), one, one, dataclasses.replace(coins(1)[0], options=None)])
    found = score(path, tmp_path / "a", model=ScriptedModel(faults={"refusal": 0.5}), ask="options")
    text = "\n".join(scores_lines(found))
    assert "3 episodes have no options and were left out" in text
    assert f"outcomes: {', '.join(f'{name} {n}' for name, n in found.outcomes.items())}" in text
    assert "refusal" in text
    outputs = "\n".join(scores_lines(score(path, tmp_path / "b", model="scripted")))
    assert "2 episodes have nothing to score" in outputs
    drawn = sample(path, tmp_path / "c", model="scripted", at="last")
    assert "2 episodes have no output that can be held out" in "\n".join(samples_lines(drawn))


def test_no_minus_zero(tmp_path: Path) -> None:
    found = score(
        written(tmp_path, coins(6)), tmp_path / "out", model=ScriptedModel(lambda query: {"heads": 0.5, "tails": 0.5})
    )
    sure = ScriptedModel(lambda query: {"a": 1.0})
    certain = score(written(tmp_path, [Episode("t", (Example("a"),) * 2)] * 2, "a.jsonl"), tmp_path / "b", model=sure)
    assert certain.overall.means["loss_nats"].value == 0.0
    text = "\n".join([*scores_lines(found), *scores_lines(certain)])
    assert "0.000 [0.000, 0.000]" in text
    assert not re.search(r"-0(\.0+)?(?![.\d])", text)
