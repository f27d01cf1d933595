from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pluralign.episodes import Episode, write_episodes
from pluralign.errors import DataError, UsageError
from pluralign.evals.findings import ITEM_SCHEMA, Finding
from pluralign.evals.judge_models import Judge, Judges
from pluralign.evals.kinds import Setting
from pluralign.evals.tradeoff import RECORD_SCHEMA, TRADEOFF, Objective, Tradeoff, steering_text
from pluralign.evals.tradeoff_scores import simplex_weights
from pluralign.models import LanguageModel, Query, ScriptedModel

SETTING = Setting(seed=0)
BOTH = Tradeoff(
    objectives=(
        Objective("brief", lambda prompt, response: float(response.split()[0])),
        Objective("kind", lambda prompt, response: float(response.split()[1]), about="warm in tone."),
    )
)
PLAIN = (0.5, 0.6)


def point(weights: np.ndarray) -> np.ndarray:
    """The best point of a quarter circle for these weights."""
    return np.asarray(weights / np.linalg.norm(weights))


def told(query: Query) -> np.ndarray | None:
    found = re.findall(r"([\d.]+) %", query.episode.description or "")
    return np.array([float(number) for number in found]) / 100 if found else None


def obedient(query: Query) -> dict[str, float]:
    weights = told(query)
    x, y = PLAIN if weights is None else point(weights)
    return {f"{x:.12f} {y:.12f}": 1.0}


def deaf(query: Query) -> dict[str, float]:
    return {f"{PLAIN[0]} {PLAIN[1]}": 1.0}


def lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def prompts(folder: Path, n: int = 6) -> Path:
    return lines(
        folder / "asked.jsonl", [{"prompt": f"Question {k}?", "id": f"q{k}", "unit": f"topic {k // 2}"} for k in range(n)]
    )


def found_of(task: str, model: LanguageModel, kind: Tradeoff = BOTH) -> tuple[pl.DataFrame, list[Finding]]:
    material = kind.material(task, SETTING)
    records = kind.ask(material.questions, model, SETTING)
    return records, kind.findings(records, seed=0)


def one(found: list[Finding], metric: str, group: str | None = None) -> Finding:
    [finding] = [f for f in found if f.metric == metric and f.group == group]
    return finding


def test_what_a_model_is_told() -> None:
    names = [("brief", None), ("kind", "warm in tone.")]
    assert steering_text(None, names) == "A good response to each request."
    assert steering_text((0.25, 0.75), names).endswith("What counts: brief 25 %; kind (warm in tone) 75 %.")


def test_a_model_that_follows_every_weighting(tmp_path: Path) -> None:
    records, found = found_of(f"tradeoff:{prompts(tmp_path)}", ScriptedModel(obedient))
    assert records.schema == pl.Schema(RECORD_SCHEMA)
    assert len(records) == 6 * 6 * 2
    weights = simplex_weights(2, 4)
    score = one(found, "steered_score")
    assert score.is_headline
    assert score.floor is not None
    assert score.ceiling is not None
    assert score.estimate.value == pytest.approx(np.linalg.norm(weights, axis=1).mean(), abs=1e-9)
    assert score.ceiling.estimate.value == pytest.approx(score.estimate.value, abs=1e-9)
    assert score.floor.estimate.value == pytest.approx((weights @ PLAIN).mean(), abs=1e-9)
    assert score.estimate.unit == "item"
    assert one(found, "steered_gain").estimate.low > 0
    # whatever f is, the middle of the circle is the best fixed point: sqrt(1/2) on average over f
    assert one(found, "steered_over_fixed").estimate.value == pytest.approx(score.estimate.value - 0.5**0.5, abs=1e-9)
    assert "brief 50 %, kind 50 %" in one(found, "steered_over_fixed").label
    # stairs under the circle, by hand from its points
    x, y = np.array([point(w) for w in weights[::-1]]).T
    assert one(found, "hypervolume").estimate.value == pytest.approx(float((np.diff(x, prepend=0.0) * y).sum()), abs=1e-9)
    assert one(found, "objective: brief").estimate.value == pytest.approx(PLAIN[0])
    assert one(found, "objective: kind", "brief 0 %, kind 100 %").estimate.value == pytest.approx(1.0)
    assert one(found, "on_front").estimate.value == 0.0
    assert one(found, "on_front", "brief 50 %, kind 50 %").estimate.value == 1.0


def test_a_model_that_takes_no_notice(tmp_path: Path) -> None:
    _, found = found_of(f"tradeoff:{prompts(tmp_path)}", ScriptedModel(deaf))
    score = one(found, "steered_score")
    assert score.floor is not None
    assert score.ceiling is not None
    assert score.estimate.value == score.floor.estimate.value == score.ceiling.estimate.value
    assert one(found, "steered_gain").estimate.value == 0.0
    assert one(found, "steered_over_fixed").estimate.value == 0.0
    assert one(found, "hypervolume").estimate.value == pytest.approx(PLAIN[0] * PLAIN[1])


def test_items_are_what_the_score_is_the_mean_of(tmp_path: Path) -> None:
    records, found = found_of(f"tradeoff:{prompts(tmp_path)}?steps=3", ScriptedModel(obedient))
    items = BOTH.items(records)
    assert items.schema == pl.Schema(ITEM_SCHEMA)
    for metric in ("steered_score", "objective: brief", "objective: kind"):
        rows = items.filter(pl.col("metric") == metric)
        assert rows["item"].to_list() == [f"q{k}" for k in range(6)]
        assert rows["unit"].n_unique() == 3
        assert rows["value"].mean() == pytest.approx(one(found, metric).estimate.value, abs=1e-12)


def test_replies_that_are_no_answer_are_counted(tmp_path: Path) -> None:
    model = ScriptedModel(obedient, faults={"refusal": 0.05}, seed=1)
    records, found = found_of(f"tradeoff:{prompts(tmp_path, 40)}", model)
    refused = records.filter(pl.col("outcome") == "refusal")
    assert 0 < len(refused) < len(records)
    assert refused["value"].is_nan().all()
    whole = records.group_by("item").agg((pl.col("outcome") == "ok").all())["outcome"].mean()
    assert one(found, "complete").estimate.value == pytest.approx(whole)
    assert one(found, "steered_score").estimate.is_defined
    records, found = found_of(f"tradeoff:{prompts(tmp_path)}", ScriptedModel(obedient, faults={"refusal": 1.0}))
    assert [f.metric for f in found] == ["complete"]
    assert one(found, "complete").estimate.value == 0.0
    odd = Tradeoff(objectives=(*BOTH.objectives, Objective("odd", lambda prompt, response: float("nan"))))
    records, _ = found_of(f"tradeoff:{prompts(tmp_path)}?steps=1", ScriptedModel(deaf), odd)
    assert set(records["outcome"]) == {"ok", "no score"}


def test_order_and_parts_change_nothing(tmp_path: Path) -> None:
    material = BOTH.material(f"tradeoff:{prompts(tmp_path)}", SETTING)
    model = ScriptedModel(obedient)
    whole = BOTH.ask(material.questions, model, SETTING)
    assert pl.concat([BOTH.ask([q], model, SETTING) for q in material.questions]).equals(whole)
    assert material.task == "tradeoff_asked"
    assert len(BOTH.material(f"tradeoff:{tmp_path / 'asked.jsonl'}", Setting(limit=2)).questions) == 2
    assert TRADEOFF.tasks() == ()


def objectives(folder: Path) -> Path:
    scale = ("1", "2", "3")
    about = {"brief": "How brief a response is, 1 to 3.", "kind": "How kind a response is, 1 to 3."}
    path = folder / "objectives.jsonl"
    write_episodes(path, [Episode("objective", (), text, scale, name) for name, text in about.items()])
    return path


def test_objectives_that_are_judged(tmp_path: Path) -> None:
    def rates(query: Query) -> dict[str, float]:
        x, y = map(float, json.loads(query.input or "")["response"].split())
        share = min(1.0, x if "brief" in (query.episode.description or "") else y)
        return {"1": 1 - share, "3": share}  # expected rating 1 + 2 share: utility = share

    opened: list[str] = []

    def open_one(name: str, *_: object, **__: object) -> LanguageModel:
        opened.append(name)
        return ScriptedModel(rates)

    setting = Setting(judges=Judges(open_model=open_one))
    task = f"tradeoff:{prompts(tmp_path)}?objectives={objectives(tmp_path)}&judge=hf/judge"
    seen: list[str] = []

    def listening(query: Query) -> dict[str, float]:
        seen.append(query.episode.description or "")
        return obedient(query)

    material = TRADEOFF.material(task, setting)
    assert list(material.judges) == [Judge("hf/judge")]
    found = TRADEOFF.findings(TRADEOFF.ask(material.questions, ScriptedModel(listening), setting), seed=0)
    _, same = found_of(f"tradeoff:{prompts(tmp_path)}", ScriptedModel(obedient))
    assert one(found, "steered_score").estimate.value == pytest.approx(one(same, "steered_score").estimate.value, abs=1e-9)
    assert one(found, "hypervolume").estimate.value == pytest.approx(one(same, "hypervolume").estimate.value, abs=1e-9)
    assert opened == ["hf/judge"]
    assert any("kind (How kind a response is, 1 to 3) 75 %" in text for text in seen)


TABLE = [
    {"item": f"q{k}", "system": system, "brief": brief + k / 100, "kind": kind + k / 100, "words": 7}
    for k in range(8)
    for system, brief, kind in (("good", 0.7, 0.8), ("poor", 0.4, 0.5), ("curt", 0.9, 0.1))
]


def test_a_table_of_scores(tmp_path: Path) -> None:
    silent = ScriptedModel(fail_after=0)
    for path in (lines(tmp_path / "scores.jsonl", TABLE), tmp_path / "scores.parquet"):
        if path.suffix == ".parquet":
            pl.DataFrame(TABLE).write_parquet(path)
        records, found = found_of(f"tradeoff:{path}?objectives=brief,kind&reference=0,0", silent, TRADEOFF)
        assert len(records) == 8 * 3 * 2
        assert one(found, "objective: kind", "good").estimate.value == pytest.approx(0.8 + 0.035)
        assert [one(found, "on_front", name).estimate.value for name in ("good", "poor", "curt")] == [1.0, 0.0, 1.0]
        better = [f for f in found if f.metric.startswith("pareto")]
        assert [(f.metric, f.group) for f in better] == [
            ("pareto: brief", "good over poor"),
            ("pareto: kind", "good over poor"),
        ]
        assert all("together: improvement" in f.label for f in better)
        assert better[0].estimate.value == pytest.approx(0.3)
        # good reaches 0.735 x 0.835, curt beside it 0.2 x 0.135, poor nothing new
        assert one(found, "hypervolume").estimate.value == pytest.approx(0.735 * 0.835 + 0.2 * 0.135)
        assert one(found, "hypervolume", "poor").estimate.value == pytest.approx(0.435 * 0.535)
    whole = TRADEOFF.material(f"tradeoff:{path}", SETTING)
    assert whole.questions[0].objectives == ("brief", "kind", "words")
    assert whole.requests_each == 1
    _, found = found_of(f"tradeoff:{path}?objectives=brief,kind", silent, TRADEOFF)
    assert not [f for f in found if f.metric == "hypervolume"]  # no reference point was named


def test_a_table_of_steered_systems(tmp_path: Path) -> None:
    rows = []
    for system, follow in (("obedient", True), ("deaf", False)):
        for w in [None, *simplex_weights(2, 2).tolist()]:
            x, y = PLAIN if w is None or not follow else point(np.array(w))
            known = {} if w is None else {"weights": {"brief": w[0], "kind": w[1]}}
            rows += [{"item": f"q{k}", "system": system, "brief": x, "kind": y, **known} for k in range(3)]
    rows[0]["kind"] = None  # of q0, obedient, told nothing
    records, found = found_of(f"tradeoff:{lines(tmp_path / 'steered.jsonl', rows)}", ScriptedModel(fail_after=0), TRADEOFF)
    assert records.filter(pl.col("outcome") == "missing").select("item", "objective").rows() == [("q0", "kind")]
    assert one(found, "complete").estimate.value == pytest.approx(2 / 3)
    # norms of (1, 0), (1/2, 1/2), (0, 1)
    assert one(found, "steered_score", "obedient").estimate.value == pytest.approx((2 + 0.5**0.5) / 3)
    assert one(found, "steered_gain", "deaf").estimate.value == 0.0
    assert TRADEOFF.items(records).is_empty()  # several systems are compared in the findings


def test_faults_come_by_line_and_all_at_once(tmp_path: Path) -> None:
    good = TABLE[0]
    path = lines(
        tmp_path / "scores.jsonl",
        [
            good,
            "{",
            [1],
            {**good, "item": None},
            {**good, "item": "x", "brief": "much"},
            good,
            {**good, "item": "y", "weights": {"brief": 0.7, "kind": 0.7}},
            {**good, "item": "z", "weights": {"kindness": 1}},
            {**good, "system": "other", "unit": "elsewhere"},
        ],
    )
    with pytest.raises(DataError) as caught:
        TRADEOFF.material(f"tradeoff:{path}?objectives=brief,kind", SETTING)
    text = str(caught.value)
    for line, fault in (
        (2, "not JSON"),
        (3, "a row is an object"),
        (4, "no item"),
        (5, "brief must be a finite number"),
        (6, "has another row with item 'q0'"),
        (7, "sum to 1"),
        (8, "weights must be numbers"),
        (9, "unit 'elsewhere', but 'q0' in another row"),
    ):
        assert f"line {line}: " in text
        assert fault in text, fault
    asked = lines(
        tmp_path / "asked.jsonl", [{"prompt": "Hm?", "id": "a"}, {"prompt": "Hm?", "id": "a"}, {"promt": "x"}, {"prompt": ""}]
    )
    with pytest.raises(DataError) as caught:
        BOTH.material(f"tradeoff:{asked}", SETTING)
    for fault in ("line 2: id 'a' came before", "line 3: field 'promt' is unknown", "line 4: prompt must be a text"):
        assert fault in str(caught.value)
    with pytest.raises(DataError, match="is empty"):
        TRADEOFF.material(f"tradeoff:{lines(tmp_path / 'empty.jsonl', [])}", SETTING)
    (tmp_path / "broken.parquet").write_bytes(b"PAR?")
    with pytest.raises(DataError, match="not a parquet file"):
        TRADEOFF.material(f"tradeoff:{tmp_path / 'broken.parquet'}", SETTING)
    with pytest.raises(DataError, match="a trade-off needs two different objectives"):
        TRADEOFF.material(f"tradeoff:{lines(tmp_path / 'one.jsonl', [{'item': 'q', 'system': 'a', 'brief': 1}])}", SETTING)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("objective=a", "did you mean 'objectives'"),
        ("judge=scripted", "scores are there already"),
        ("objectives=brief,kid", "did you mean 'kind'"),
        ("objectives=brief,kind&reference=0", "reference must be 2 numbers, for brief, kind"),
        ("objectives=brief,kind&reference=0,x", "reference must be 2 numbers"),
    ],
)
def test_names_that_do_not_say_what_they_must(tmp_path: Path, flags: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TRADEOFF.material(f"tradeoff:{lines(tmp_path / 'scores.jsonl', TABLE)}?{flags}", SETTING)


def test_prompts_need_objectives(tmp_path: Path) -> None:
    asked = prompts(tmp_path)
    with pytest.raises(UsageError, match="need objectives=FILE of episodes and judge=MODEL"):
        TRADEOFF.material(f"tradeoff:{asked}", SETTING)
    with pytest.raises(UsageError, match="are there already; leave out"):
        BOTH.material(f"tradeoff:{asked}?judge=scripted", SETTING)
    with pytest.raises(UsageError, match="too many; lower steps"):
        BOTH.material(f"tradeoff:{asked}?steps=300", SETTING)
    with pytest.raises(UsageError, match="two different objectives"):
        Tradeoff(objectives=BOTH.objectives[:1])
    alone = tmp_path / "alone.jsonl"
    write_episodes(alone, [Episode("objective", (), "Brief?", ("no", "yes"), "brief")])
    with pytest.raises(DataError, match="a trade-off needs two"):
        TRADEOFF.material(f"tradeoff:{asked}?objectives={alone}&judge=scripted", SETTING)
    questions = BOTH.material(f"tradeoff:{asked}", SETTING).questions
    with pytest.raises(UsageError, match="nothing scores the responses"):
        TRADEOFF.ask(questions, ScriptedModel(obedient), SETTING)
