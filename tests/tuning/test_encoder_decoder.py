"""Training of encoder-decoders on pairs: the loss of the library, exact resumption, processes, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny_kaleido
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.models import open_tokenizer
from pluralign.tuning import encoder_decoder
from pluralign.tuning.encoder_decoder import tune_pairs
from pluralign.tuning.pairs import PairLoss, Pairs
from pluralign.tuning.run_log import read_log
from pluralign.tuning.settings import LoraSettings, TuneSettings
from pluralign.tuning.spectrum import TunePlaces

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = TuneSettings(lr=3e-3, sequences_a_step=16, max_tokens=64, dtype="float32", epochs=3, save_every=2, measure_every=4)
PLACES = TunePlaces(device="cpu")


def pairs(tokenizer: Any, _: Any = None) -> Pairs:
    """What `tiny_kaleido` lists, each a few times."""
    texts = tiny_kaleido.examples()
    inputs, targets = ([np.array(tokenizer(text).input_ids) for text in some] for some in zip(*texts, strict=True))
    task = ["[Gen", "[Rel", "[Val", "[Exp"]
    return Pairs(
        inputs=inputs,
        targets=targets,
        task_of=np.array([task.index(text[:4]) for text, _ in texts]),
        unit_of=np.array([n // 20 for n in range(len(texts))]),
        tasks=("generate", "relevance", "valence", "explanation"),
        counts={"pairs": len(texts)},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = tiny_kaleido.tokenizer()
    made = tiny_kaleido.random_model(len(words), num_layers=1)
    return tiny_kaleido.write_checkpoint(tmp_path_factory.mktemp("t5"), made, words)


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    tune_pairs(str(folder), pairs, out, held_out=pairs, settings=SETTINGS, places=PLACES, config=lambda _: {"mark": 3})
    return out


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out / "metrics.jsonl") if "loss" in line]


def test_the_first_steps_are_those_of_the_librarys_loss(folder: Path, whole: Path) -> None:
    """Plain torch: one padded batch, the library's own loss and shift of labels, AdamW, a clipped gradient."""
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).train()
    tokenizer = open_tokenizer(str(folder), None)
    data, optimizer = pairs(tokenizer), torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    n_steps = len(losses(whole))
    schedule = encoder_decoder._schedule(len(data), SETTINGS)
    found = []
    for step in range(3):
        chosen = schedule.numbers(step).tolist()
        longest = [max(len(some[n]) for n in chosen) for some in (data.inputs, data.targets)]
        ids, labels = torch.zeros(len(chosen), longest[0], dtype=torch.long), torch.full((len(chosen), longest[1]), -100)
        for row, n in enumerate(chosen):
            ids[row, : len(data.inputs[n])] = torch.from_numpy(data.inputs[n])
            labels[row, : len(data.targets[n])] = torch.from_numpy(data.targets[n])
        optimizer.param_groups[0]["lr"] = SETTINGS.lr * (n_steps - step) / n_steps
        loss = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    assert losses(whole)[:3] == pytest.approx(found, abs=1e-5)


def test_how_a_step_is_dealt_out_does_not_matter(folder: Path, whole: Path, tmp_path: Path) -> None:
    small = TuneSettings(**{**_fields(SETTINGS), "micro_tokens": 60})
    tune_pairs(str(folder), pairs, tmp_path / "run", settings=small, places=PLACES)
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), abs=1e-4)


def _fields(settings: TuneSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_it_learns_and_the_folder_says_what_it_was_told(whole: Path) -> None:
    measures = [line["held_out"] for line in read_log(whole / "metrics.jsonl") if "held_out" in line]
    assert set(measures[0]) == {"generate", "relevance", "valence", "explanation"}
    for task in measures[0]:
        assert measures[-1][task]["nats"]["value"] < measures[0][task]["nats"]["value"]
    config = json.loads((whole / "model" / "config.json").read_text())
    assert config["mark"] == 3
    assert config["task_specific_params"] == tiny_kaleido.TASK_PARAMS
    results = json.loads((whole / "results.json").read_text())
    assert results["held_out"] == measures[-1]
    assert results["counts"] == {"pairs": len(tiny_kaleido.examples())}
    assert results["held_out"]["relevance"]["nats"]["low"] is not None


def test_a_run_that_was_killed_goes_on_exactly(folder: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    steps = sorted((out / "checkpoints").iterdir())
    shutil.rmtree(steps[-1])
    (out / "results.json").unlink()
    told: list[str] = []
    again = {"held_out": pairs, "settings": SETTINGS, "places": PLACES, "config": lambda _: {"mark": 3}}
    tune_pairs(str(folder), pairs, out, tell=told.append, **again)
    assert any("going on behind step" in line for line in told)
    assert losses(out) == losses(whole)
    first, second = ((run / "model" / "model.safetensors").read_bytes() for run in (whole, out))
    assert first == second
    tune_pairs(str(folder), pairs, out, tell=told.append, **again)
    assert told[-1].startswith("this run has ended")


def test_other_pairs_are_another_run(folder: Path, whole: Path) -> None:
    def fewer(tokenizer: Any, config: Any) -> Pairs:
        found = pairs(tokenizer)
        return Pairs(
            inputs=found.inputs[:20],
            targets=found.targets[:20],
            task_of=found.task_of[:20],
            unit_of=found.unit_of[:20],
            tasks=found.tasks,
        )

    with pytest.raises(RunError, match="holds another run"):
        tune_pairs(str(folder), fewer, whole, held_out=pairs, settings=SETTINGS, places=PLACES)


def test_no_pair_is_refused(folder: Path, tmp_path: Path) -> None:
    nothing = Pairs(inputs=[], targets=[], task_of=np.zeros(0, int), unit_of=np.zeros(0, int), tasks=("generate",))
    with pytest.raises(DataError, match="no pair is left to train on"):
        tune_pairs(str(folder), lambda *_: nothing, tmp_path / "run", settings=SETTINGS, places=PLACES)


@pytest.mark.parametrize(
    ("settings", "places", "said"),
    [
        (TuneSettings(lora=LoraSettings()), PLACES, "all its weights"),
        (TuneSettings(method="sft"), PLACES, "on its targets"),
        (SETTINGS, TunePlaces(spread="shards"), "leave shards out"),
        (SETTINGS, TunePlaces(tracker="wandb"), "knows no tracker"),
    ],
)
def test_what_it_does_not_do_is_said(
    folder: Path, tmp_path: Path, settings: TuneSettings, places: TunePlaces, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        tune_pairs(str(folder), pairs, tmp_path / "run", settings=settings, places=places)


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    one = np.zeros(1, dtype=np.int64)
    strange = Pairs(inputs=[np.array([5000])], targets=[np.array([1])], task_of=one, unit_of=one, tasks=("a",))
    with pytest.raises(ModelError, match=r"ids up to 5,000, the embeddings \d+ rows"):
        tune_pairs(str(folder), lambda *_: strange, tmp_path / "run", settings=SETTINGS, places=PLACES)


def test_a_loss_that_is_no_number_ends_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = PairLoss.forward

    def broken(self: Any, *given: Any) -> Any:
        total, nats, is_top = forward(self, *given)
        return total * float("nan"), nats, is_top

    monkeypatch.setattr(PairLoss, "forward", broken)
    with pytest.raises(RunError, match=r"step 1: the loss of its pairs, or its gradient, is no number, e\.g\. of pair \d+"):
        tune_pairs(str(folder), pairs, tmp_path / "run", settings=SETTINGS, places=PLACES)
