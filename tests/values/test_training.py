"""From a table of considerations to a tuned encoder-decoder that answers as it was taught."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from transformers import PreTrainedTokenizerFast

import tiny_kaleido
from pluralign.cli import main
from pluralign.errors import DataError
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces
from pluralign.values.considerations import TASKS, Consideration
from pluralign.values.inputs import PUBLISHED, read_templates
from pluralign.values.kaleido import open_values_model
from pluralign.values.prism_data import TaskRow, split_of
from pluralign.values.training import pairs_of, training_rows, tune_values

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = TuneSettings(lr=1e-2, sequences_a_step=32, max_tokens=64, dtype="float32", epochs=15)


def table() -> pl.DataFrame:
    """Of what `tiny_kaleido` holds as relevant, with several wordings of each situation, so that all splits have some."""
    rows = []
    for i, situation in enumerate(tiny_kaleido.SITUATIONS):
        for n in range(10):
            for j, one in enumerate(tiny_kaleido.CONSIDERATIONS):
                if tiny_kaleido.is_relevant(i, j):
                    valence = ("Supports", "Opposes", "Either")[(i + j) % 3]
                    rows.append((f"{situation} {n}", one.vrd, one.text, "because it is so .", valence))
    return pl.DataFrame(rows, schema=["situation", "vrd", "text", "explanation", "valence"], orient="row")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5 whose configuration has no templates, and a table."""
    place = tmp_path_factory.mktemp("training")
    words = tiny_kaleido.tokenizer()
    made = tiny_kaleido.random_model(len(words), num_layers=1)
    made.config.task_specific_params = {"summarization": {"prefix": "summarize: "}}
    tiny_kaleido.write_checkpoint(place / "t5", made, words)
    table().write_parquet(place / "prism.parquet")
    return place


def test_rows_of_all_tasks_are_split_by_situation(folder: Path) -> None:
    rows = training_rows(folder / "prism.parquet", per_task=None, seed=0)
    situations = {split: {row.situation for row in rows[split]} for split in rows}
    assert all(situations.values())
    assert sum(len(one) for one in situations.values()) == len(set().union(*situations.values())) == 40
    for split in rows:
        assert {row.task for row in rows[split]} == set(TASKS)
        assert all((row.consideration is None) == (row.task == "generate") for row in rows[split])
    assert len(training_rows(folder / "prism.parquet", per_task=7, seed=0)["train"]) == 28


def test_pairs_are_inputs_and_answers_with_their_ends(words: PreTrainedTokenizerFast) -> None:
    one = Consideration("Value", "health")
    rows = [
        TaskRow("relevance", tiny_kaleido.SITUATIONS[0], one, "Yes"),
        TaskRow("generate", "Biking " * 200, None, one.written),
        TaskRow("explanation", tiny_kaleido.SITUATIONS[0], one, "so " * 200),
        TaskRow("explanation", tiny_kaleido.SITUATIONS[1], one, "because </s> it is so ."),
    ]
    found = pairs_of(rows, words, PUBLISHED, max_tokens=64)
    assert found.counts["left_out_since_target_is_too_long"] == 1
    assert found.counts["situation_cut"] == 1
    assert words.decode(found.inputs[0]) == f"[Relevance]: Situation: {tiny_kaleido.SITUATIONS[0]} Value: health</s>"
    assert words.decode(found.targets[0]) == "Yes</s>"
    assert [TASKS[n] for n in found.task_of] == ["relevance", "generate", "explanation"]
    assert (found.targets[2] == words.eos_token_id).sum() == 1, "text never becomes a control token"
    assert all(len(ids) <= 64 and ids[-1] == words.eos_token_id for ids in [*found.inputs, *found.targets])


def test_a_checkpoints_own_templates_are_used(words: PreTrainedTokenizerFast) -> None:
    own = {"relevance": {"template": "VALUE VRD ACTION", "args": ["ACTION", "VRD", "VALUE"]}}
    row = TaskRow("relevance", "Biking", Consideration("Value", "health"), "Yes")
    found = pairs_of([row], words, read_templates(own, where="x"), max_tokens=64)
    assert words.decode(found.inputs[0]) == "health Value Biking</s>"


def test_a_tuned_model_answers_as_it_was_taught(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    results = tune_values(str(folder / "t5"), folder / "prism.parquet", out, settings=SETTINGS, places=TunePlaces(device="cpu"))
    assert results["held_out"]["relevance"]["accuracy"]["value"] > 0.9
    assert results["held_out"]["valence"]["accuracy"]["value"] > 0.9
    config = json.loads((out / "model" / "config.json").read_text())
    assert config["task_specific_params"]["summarization"] == {"prefix": "summarize: "}
    assert read_templates(config["task_specific_params"], where="x") == PUBLISHED
    model = open_values_model(f"hf/{out / 'model'}")
    asked = [(f"{situation} 3", one) for situation, one in tiny_kaleido.all_pairs()]
    truth = [tiny_kaleido.is_relevant(i, j) for i in range(4) for j in range(6)]
    assert np.mean((model.relevance(asked).values > 0.5) == truth) > 0.9
    (listed,) = model.generate([f"{tiny_kaleido.SITUATIONS[0]} 3"], n=3, seed=0)
    assert {one.consideration for one in listed} == set(tiny_kaleido.CONSIDERATIONS[::2])


def test_the_command_says_what_it_did_and_goes_on(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    asked = ["values-tune", str(folder / "t5"), "--data", str(folder / "prism.parquet"), "--out", str(out)]
    asked += ["--max-steps", "3", "--per-task", "10", "--device", "cpu", "--dtype", "float32"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "2 steps, 40 pairs" in said
    assert "relevance: " in said
    assert "model/" in said
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2
    assert main([*asked[:-2], "--dtype", "bfloat16"]) == 1
    assert "holds another run" in capsys.readouterr().err


def test_a_table_that_is_not_there(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["values-tune", str(folder / "t5"), "--data", str(folder / "nothing"), "--out", str(tmp_path / "run")]
    assert main(asked) == 1
    assert "no such file or folder; a hub id is OWNER/NAME" in capsys.readouterr().err


def test_a_table_without_a_situation_to_train_on(tmp_path: Path) -> None:
    file = tmp_path / "one.parquet"
    one = table().filter(pl.col("situation") == pl.col("situation").first())
    one.write_parquet(file)
    seed = next(seed for seed in range(100) if split_of(one["situation"][0], seed=seed) != "train")
    with pytest.raises(DataError, match="none of its 1 situations is in the split train"):
        training_rows(file, per_task=None, seed=seed)


def test_a_causal_model_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["values-tune", "embedded", "--data", str(folder / "prism.parquet"), "--out", str(tmp_path / "run")]
    assert main(asked) == 1
    assert "no encoder-decoder model can be loaded" in capsys.readouterr().err
