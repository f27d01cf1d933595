"""Small runs of `tune`: a model of some thousand weights, files of episodes, and what a run left behind.

`python -m tuning.tune_runs FOLDER` kills runs by -9 at many moments, starts them again, and prints as JSON what there was.
"""

from __future__ import annotations

import functools
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import pluralign
from models import tiny
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.files import write_json_atomic
from pluralign.tuning.run_log import read_log
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, tune
from tuning.kills import child, traced

CONFIG: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
WIDTH = 96
"""Tokens of the longest sequence of these runs."""


def make_model(folder: Path, kind: str = "llama", *, tokenizer: Any = None, seed: int = 3, **config: Any) -> str:
    """A model's folder, with a tokenizer of bytes and a few words; its name."""
    tokenizer = tokenizer or tiny.spectrum_checkpoint("chatml")
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    made = CONFIG_MAPPING[kind](**(CONFIG | ids | {"vocab_size": len(tokenizer)} | config))
    model = AutoModelForCausalLM.from_config(made, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)  # so that attention matters
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def coins(n: int, *, seed: int, task: str = "coin", most: int = 7) -> list[Episode]:
    """Tosses of coins, each with a bias of its own; some episodes have a description, some inputs."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        bias, k = rng.beta(1, 1), int(rng.integers(2, most + 1))
        sides = ["Heads" if toss else "Tails of it" for toss in rng.random(k) < bias]
        examples = tuple(Example(side, f"toss {i}" if number % 3 == 0 else None) for i, side in enumerate(sides))
        made.append(Episode(task, examples, f"Coin {number} of {seed}" if number % 2 else None))
    return made


def make_file(path: Path, n: int = 24, *, seed: int = 0, most: int = 7, task: str | None = None) -> Path:
    """A parquet file, or JSON lines, of so many episodes; the task is called as the file is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_episodes(path, coins(n, seed=seed, most=most, task=task or path.stem))
    return path


def make_suite(folder: Path, splits: dict[str, str], *, n: int = 12) -> Path:
    """A folder as `suite build` leaves it, with tasks of these splits."""
    tasks = {}
    for seed, (task, split) in enumerate(splits.items()):
        make_file(folder / task / "0-000.parquet", n, seed=seed + 100)
        tasks[task] = {"split": split, "parts": [{"file": f"{task}/0-000.parquet", "episodes": n}]}
    write_json_atomic(folder / "manifest.json", {"tasks": tasks})
    return folder


def small(**changes: Any) -> TuneSettings:
    """Settings of a run of a second."""
    usual: dict[str, Any] = {
        "lr": 1e-2,
        "max_tokens": WIDTH,
        "sequences_a_step": 6,
        "dtype": "float32",
        "max_steps": 4,
        "micro_tokens": 256,
        "max_held_out": 20,
    }
    return TuneSettings(**(usual | changes))


def run(
    model: str, data: Sequence[Path], out: Path, *, held_out: Sequence[Path] = (), tell: Any = None, **settings: Any
) -> dict[str, Any]:
    """`tune` on the CPU, its cache beside the run."""
    places = TunePlaces(device="cpu", cache=out.parent / "cache")
    return tune(model, data, out, held_out=held_out, settings=small(**settings), places=places, tell=tell)


def curve(out: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    clock = {"tokens_per_second", "waited_for_data"}
    return [{k: v for k, v in line.items() if k not in clock} for line in read_log(out / "metrics.jsonl")]


def losses(out: Path) -> list[float]:
    """Of each step."""
    return [line["loss"] for line in curve(out) if "loss" in line]


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Of the model that a run ended with."""
    from safetensors.torch import load_file

    return load_file(out / "model" / "model.safetensors")


# kills

PACKAGE = Path(pluralign.__file__).parent
TRACED = tuple(str(PACKAGE / name) for name in ("tuning", "runs.py", "files.py"))
N_KILLS = 4
"""Anywhere in a run; and one in each of these functions."""
PLACES = ("tune", "write", "step", "save_checkpoint", "finish", "prune", "_measured", "write_model", "write_results")
SETTINGS: dict[str, Any] = {"save_every": 2, "measure_every": 3, "max_steps": 7, "epochs": 3.0}


def kills(folder: Path) -> list[dict[str, Any]]:
    """Runs that were killed and started again; folder/expected is one that was not."""
    model, suite = str(folder / "model"), folder / "suite"

    def make() -> None:  # in a child: a process in which polars has threads must not fork
        make_model(Path(model))
        make_suite(suite, {"coin": "train", "unseen": "test"}, n=20)
        once(folder / "first")

    def once(out: Path) -> None:
        run(model, [suite], out, **SETTINGS)

    assert child(make) == 0
    names = traced(functools.partial(once, folder / "expected"), TRACED)
    chosen = set(random.Random(5).sample(range(len(names)), N_KILLS))
    for place in PLACES:
        lines = [n for n, name in enumerate(names) if name == place]
        chosen.add(lines[len(lines) * 2 // 3])
    chosen.add(names.index("save_checkpoint"))  # before there is a checkpoint, behind the first measure
    found = []
    for at in sorted(chosen):
        out = folder / f"killed-{at}"
        end = child(functools.partial(traced, functools.partial(once, out), TRACED, at))
        had = {f"had {name}": (out / name).exists() for name in ("results.json", "model")}
        again = child(functools.partial(once, out))
        found.append({"at": names[at], "end": end, **had, "again": again, "out": out.name})
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(kills(Path(sys.argv[1]))))
