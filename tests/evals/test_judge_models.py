"""Models that tasks name: how they are opened, what they take, and that they are part of what makes two runs the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pluralign import cli, evaluating
from pluralign.errors import RunError
from pluralign.evals.evaluate import evaluate, planned
from pluralign.evals.judge_models import Judge, Judges, judge_settings
from pluralign.evals.kinds import Setting
from pluralign.evals.lines import evaluated_lines, plan_lines
from pluralign.evals.results import Evaluated, read_evaluated
from pluralign.models import ChatStyle, LanguageModel, ModelSettings, Query
from pluralign.models.cache import CachedModel, ResponseCache
from pluralign.models.protocol import Usage
from pluralign.models.scripted import ScriptedModel


def _writer(**more: int) -> ScriptedModel:
    return ScriptedModel(lambda query: {"Some say yes.": 1.0}, revision="writer", **more)  # type: ignore[arg-type]


def _yes(query: Query) -> dict[str, float]:
    return {"Yes": 0.8, "No": 0.2}


class _Opened:
    """Opens scripted judges, and keeps what it was asked for."""

    def __init__(self, revision: str = "judge") -> None:
        self.revision = revision
        self.asked: list[tuple[str, ModelSettings, ResponseCache | None]] = []
        self.models: list[ScriptedModel] = []

    def __call__(self, name: str, settings: ModelSettings, *, cache: ResponseCache | None) -> LanguageModel:
        self.asked.append((name, settings, cache))
        self.models.append(ScriptedModel(_yes, revision=f"{name} {self.revision}", name=name))
        return self.models[-1] if cache is None else CachedModel(self.models[-1], cache)


@pytest.fixture
def task(tmp_path: Path) -> str:
    path = tmp_path / "town.jsonl"
    lines = [{"question": f"Shall we {n}?", "viewpoints": [{"text": "yes"}, {"text": "no"}]} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return f"overton:{path}"


def _run(task: str, out: Path, opened: _Opened, *, cache: ResponseCache | None = None) -> Evaluated:
    setting = Setting(judges=Judges(cache=cache, open_model=opened))
    return evaluate(_writer(), out, tasks=[f"{task}?judges=hf/a;hf/b"], setting=setting)


def test_judges_are_opened_once_and_counted_apart(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each of 6 questions a judge is asked for 2 views and 1 sentence; floors are the same text of another question."""
    monkeypatch.setattr("pluralign.evals.evaluate.PART_REQUESTS", 2)
    opened = _Opened()
    found = _run(task, tmp_path / "run", opened)
    assert [name for name, *_ in opened.asked] == ["hf/a", "hf/b"]
    assert list(found.judges) == ["hf/a", "hf/b"]
    for judge, model in zip(found.judges.values(), opened.models, strict=True):
        assert judge.totals.usage == model.usage
        assert judge.totals.usage.requests == 18
        assert judge.totals.seconds > 0
        assert judge.fingerprint == model.fingerprint()
    assert found.totals.usage.requests == 9  # each part's two questions, and the third for the floor
    assert read_evaluated(tmp_path / "run").to_dict() == found.to_dict()
    text = "\n".join(evaluated_lines(found))
    assert "hf/a, as a judge:" in text
    assert "18 requests" in text
    evaluating.rescore(tmp_path / "run")
    assert "Judge hf/a" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_that_goes_on_keeps_what_judges_took(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.evals.evaluate.PART_REQUESTS", 2)
    setting = Setting(judges=Judges(open_model=_Opened()))
    with pytest.raises(Exception, match="fail_after"):
        evaluate(_writer(fail_after=4), tmp_path / "run", tasks=[f"{task}?judges=hf/a;hf/b"], setting=setting)
    opened = _Opened()
    found = _run(task, tmp_path / "run", opened)
    assert [one.totals.usage.requests for one in found.judges.values()] == [18, 18]
    assert [one.usage.requests for one in opened.models] == [12, 12]
    assert _run(task, tmp_path / "run", _Opened()).judges == found.judges


def test_another_judge_is_another_run(task: str, tmp_path: Path) -> None:
    _run(task, tmp_path / "run", _Opened())
    with pytest.raises(RunError, match="another"):
        _run(task, tmp_path / "run", _Opened("of another kind"))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["arguments"]["judges"] == {"hf/a": "scripted hf/a judge", "hf/b": "scripted hf/b judge"}
    evaluate(_writer(), tmp_path / "none", tasks=["urn"], setting=Setting(limit=2))
    assert "judges" not in json.loads((tmp_path / "none" / "config.json").read_text())["arguments"]


def test_what_judges_said_is_remembered(task: str, tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        _run(task, tmp_path / "first", _Opened(), cache=cache)
        opened = _Opened()
        found = _run(task, tmp_path / "again", opened, cache=cache)
    assert [one.usage.requests for one in opened.models] == [0, 0]
    assert [one.totals.usage.cached for one in found.judges.values()] == [18, 18]


def test_a_run_s_settings_and_cache_reach_its_judges(task: str, tmp_path: Path) -> None:
    settings = ModelSettings(format="chat", chat=ChatStyle(system_prompt="Be kind."), device="cpu", concurrency=3, timeout_s=9)
    name = f"{task}?judges=scripted"
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        for run in ("first", "again"):
            found = evaluate("scripted/seed=1", tmp_path / run, tasks=[name], settings=settings, cache=cache)
    assert found.judges["scripted"].totals.usage.cached > 0
    assert found.judges["scripted"].totals.usage.requests == 0
    assert judge_settings(settings) == ModelSettings(device="cpu", concurrency=3, timeout_s=9)
    config = json.loads((tmp_path / "again" / "config.json").read_text())["arguments"]
    assert config["settings"]["format"] == "chat"
    assert config["judge_settings"]["format"] is None


def test_a_plan_names_the_judges_and_opens_none(
    task: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _Opened()
    plan = planned([f"{task}?judges=hf/a;hf/b"], Setting(judges=Judges(open_model=opened)))
    assert plan.judges == [Judge("hf/a"), Judge("hf/b")]
    assert "asked too, as judges: hf/a, hf/b" in plan_lines(plan, "scripted", "out")
    assert plan.to_dict()["tasks"][0]["judges"] == ["hf/a", "hf/b"]
    assert not opened.asked
    assert cli.main(["evaluate", "scripted", "--tasks", f"{task}?entail=hf/nli", "--dry-run"]) == 0
    assert "as judges: hf/nli (entailment)" in capsys.readouterr().out


class _Entails:
    name = "hf/nli"

    def __init__(self, fingerprint: str = "nli 1") -> None:
        self._fingerprint = fingerprint
        self.usage = Usage()

    def fingerprint(self) -> str:
        return self._fingerprint

    def p_entail(self, premises: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.float64]:
        self.usage.tokens_needed += 10 * len(premises)
        return np.array([0.9 if hypothesis == "yes" else 0.1 for hypothesis in hypotheses])


def test_entailment_models_are_counted_too(task: str, tmp_path: Path) -> None:
    devices: list[str] = []

    def opened(name: str, *, device: str) -> _Entails:
        devices.append(device)
        return _Entails()

    judges = Judges(ModelSettings(device="cpu"), open_entailment=opened)
    name = f"{task}?entail=hf/nli"
    found = evaluate(_writer(), tmp_path / "run", tasks=[name], setting=Setting(judges=judges))
    [score] = [one for one in found.findings["overton"] if one.metric == "overton_score"]
    assert score.estimate.value == 0.5
    assert found.judges["hf/nli (entailment)"].fingerprint == "nli 1"
    assert found.judges["hf/nli (entailment)"].totals.usage.tokens_needed == 20  # equal pairs once: one sentence, two views
    assert devices == ["cpu"]
    other = Judges(open_entailment=lambda name, *, device: _Entails("nli 2"))
    with pytest.raises(RunError, match="another"):
        evaluate(_writer(), tmp_path / "run", tasks=[name], setting=Setting(judges=other))
