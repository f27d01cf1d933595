"""Builds that take part of each task: chosen by chance, the same ones however the work is shared, counted in tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models import tiny
from pluralign.episodes import Episode, columns_of, read_episodes
from pluralign.errors import RunError, UsageError
from pluralign.models import open_template
from pluralign.suite import build as build_module
from pluralign.suite import draw
from pluralign.suite.build import build, plan_build
from pluralign.suite.mixture import Mixture
from pluralign.tuning import TokenMeasure, cut_to
from suite.samples import write_sample

TASKS = ["coinflip", "flight"]


def _built(folder: Path, name: str) -> list[Episode]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return [episode for part in manifest["tasks"][name]["parts"] for episode in read_episodes(folder / part["file"])]


def test_the_plan_is_what_is_built_and_it_is_told_before(tmp_path: Path) -> None:
    wanted = Mixture(by="outputs", cap=3000)
    told = []
    manifest = build(TASKS, tmp_path / "s", mixture=wanted, show_plan=told.append)
    plan = plan_build(TASKS, mixture=wanted)
    assert [{name: a.to_dict() for name, a in plan.items()}] == [{n: a.to_dict() for n, a in p.items()} for p in told]
    for name, amount in plan.items():
        entry, built = manifest["tasks"][name], _built(tmp_path / "s", name)
        assert len(built) == entry["episodes"] == amount.sequences
        assert sum(len(episode.examples) for episode in built) == entry["outputs"] == amount.size == entry["size"]
        assert entry["of_size"] == amount.of_size == sum(len(episode.examples) for episode in draw(name))
        assert abs(amount.size - 3000) < 300
    assert manifest["mixture"] == {"by": "outputs", "total": None, "cap": 3000, "caps": {}, "weights": {}}


def test_what_is_taken_is_chosen_by_chance_and_stays_with_more(tmp_path: Path) -> None:
    for cap in (40, 80):
        build(["coinflip"], tmp_path / str(cap), mixture=Mixture(cap=cap))
    few, more = ({e.unit for e in _built(tmp_path / str(cap), "coinflip")} for cap in (40, 80))
    assert len(few) == 40
    assert few < more
    assert sum(int(str(unit)) for unit in few) / 40 > 300, "not the first of a thousand"


def test_processes_and_tasks_beside_it_change_nothing(tmp_path: Path) -> None:
    build(TASKS, tmp_path / "one", mixture=Mixture(cap=50))
    build(TASKS, tmp_path / "two", mixture=Mixture(cap=50), n_processes=2)
    build(["coinflip"], tmp_path / "alone", mixture=Mixture(cap=50))
    assert (
        _built(tmp_path / "one", "coinflip") == _built(tmp_path / "two", "coinflip") == _built(tmp_path / "alone", "coinflip")
    )


def test_a_survey_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(TASKS, tmp_path / "s", mixture=Mixture(cap=50))
    before = (tmp_path / "s" / "manifest.json").read_bytes()
    monkeypatch.setattr(build_module, "SurveyShard", lambda measure: [][0])
    with pytest.raises(IndexError):
        build(TASKS, tmp_path / "other", mixture=Mixture(cap=50))
    (tmp_path / "s" / "coinflip" / "0-000.parquet").unlink()
    monkeypatch.undo()
    surveyed = []
    real = build_module.SurveyShard.__call__
    monkeypatch.setattr(build_module.SurveyShard, "__call__", lambda self, shard: surveyed.append(shard) or real(self, shard))
    build(TASKS, tmp_path / "s", mixture=Mixture(cap=50))
    assert surveyed == []
    assert (tmp_path / "s" / "manifest.json").read_bytes() == before


def test_another_mixture_is_another_build(tmp_path: Path) -> None:
    build(["flight"], tmp_path, mixture=Mixture(cap=50))
    with pytest.raises(RunError, match=r"arguments\.mixture"):
        build(["flight"], tmp_path, mixture=Mixture(cap=60))
    with pytest.raises(RunError, match=r"arguments\.keep_overlap"):
        build(["flight"], tmp_path, mixture=Mixture(cap=50), keep_overlap=True)


# tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.spectrum_checkpoint("chatml").save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("window", [None, 2000])
def test_tokens_are_those_of_the_template(tokenizer: str, window: int | None, tmp_path: Path) -> None:
    measure = TokenMeasure(tokenizer, "spectrum", window)
    manifest = build(["flight"], tmp_path, measure=measure, n_processes=2 if window else 1)
    opened = open_template("spectrum", tiny.spectrum_checkpoint("chatml"))
    cut = cut_to(opened.encode_flat(columns_of(list(draw("flight")))), window).sequences
    entry = manifest["tasks"]["flight"]
    assert (entry["tokens"], entry["loss_tokens"]) == (len(cut.ids), int(cut.is_loss.sum()))
    assert 0 < entry["loss_tokens"] < entry["tokens"]
    assert manifest["measure"] == measure.key()
    assert manifest["measure"]["max_tokens"] == window
    assert tokenizer not in json.dumps(manifest), "where a tokenizer lies is nobody's business"


def test_a_long_text_task_does_not_drown_a_task_of_two_tokens(tokenizer: str, tmp_path: Path) -> None:
    """Of equal sequences the profiles have most of the loss; by tokens that carry loss each task has its half."""
    names, measure = ["cards", "simulated_profile"], TokenMeasure(tokenizer, "spectrum", 2000)
    by_sequences = build(names, tmp_path / "a", measure=measure, mixture=Mixture(cap=40))
    losses = {name: entry["loss_tokens"] for name, entry in by_sequences["tasks"].items()}
    assert losses["simulated_profile"] > 2 * losses["cards"]
    by_tokens = build(names, tmp_path / "b", measure=measure, mixture=Mixture(by="loss_tokens", cap=8_000))
    for entry in by_tokens["tasks"].values():
        assert abs(entry["loss_tokens"] - 8_000) < 1000
        assert entry["size"] == entry["loss_tokens"]


def test_tokens_cannot_be_mixed_by_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="by loss_tokens needs a tokenizer"):
        build(["flight"], tmp_path / "s", mixture=Mixture(by="loss_tokens", cap=5))
    assert not (tmp_path / "s").exists()


# known overlap


def test_known_overlap_is_left_out_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    write_sample("diffuse_distribution", tmp_path)
    assert (
        build(["diffuse_distribution"], tmp_path / "a", data_dir=tmp_path)["tasks"]["diffuse_distribution"]["episodes"] == 210
    )
    kept = build(["diffuse_distribution"], tmp_path / "b", data_dir=tmp_path, keep_overlap=True)
    assert kept["tasks"]["diffuse_distribution"]["episodes"] == 270
    gone = {e.unit for e in draw("diffuse_distribution", data_dir=tmp_path, keep_overlap=True)}
    gone -= {e.unit for e in draw("diffuse_distribution", data_dir=tmp_path)}
    assert gone == {"day-date/day-0", "day-date/day-1", *(f"numbers/{n}-{i}" for n in ("prime", "rng") for i in (0, 1))}
