"""Trains the embedded model anew: make embedded, or python recipes/embedded.py WORK [--install]

    a byte-level tokenizer, a Llama with random weights       ->  WORK/start/
    base      plain text of episodes, loss on every token     ->  WORK/base/       pluralign tune --method pretrain
    told      from the base: single ratings and questions     ->  WORK/told/       pluralign tune
    people    from there: a few ratings of a person, too      ->  WORK/people/     pluralign tune
    all       from there: all families                        ->  WORK/all/        pluralign tune
    tuned     from there: foremost profiles to be written     ->  WORK/tuned/      pluralign tune

What is put into the package as tuned is the mean of the weights of the last two: writing profiles costs categories a little,
and half the way there keeps both (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, arXiv 2109.01903).

The episodes of each stage are in WORK/data/STAGE/ (`suite.embedded_mixture`). The stages are a curriculum. With everything at
once from the start hardly anything that depends on a person was learned from the first ten million tokens; from episodes of a
single output, where nothing has to be found out but what the description tells of the person, it is learned from one million.
Muon learns it from half the tokens that AdamW takes.

Every stage goes on where it was killed. With --install base and tuned are put into the package, as safetensors; how good they
are is then measured by benchmarks/embedded.py, whose figures their card repeats.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from embedded_tokenizer import PAD, TURN_END, make_tokenizer
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from pluralign.models import embedded
from pluralign.progress import progress_bars
from pluralign.suite.embedded_laws import OTHER_LAWS
from pluralign.suite.embedded_mixture import STAGES, write_held_out, write_stage
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, tune

SEED = 0
WIDTH, INNER, LAYERS, HEADS = 128, 512, 4, 4
INITIAL = 0.08
"""Standard deviation of the first weights: 1 / sqrt(width), since smaller ones learn nothing for long at this width."""
MAX_TOKENS = 512
WEIGHTS = {
    "embedded_coinflip": 0.25,
    "embedded_categorical": 0.5,
    "embedded_population": 0.5,
    "embedded_profile": 0.5,
    "embedded_values_list": 0.2,
    **{f"embedded_{name}": 0.2 for name in OTHER_LAWS},
}
"""What tokens of a task weigh: less where episodes are of outputs and hardly anything else, and would outweigh the others."""
ALL_WEIGHTS = {**WEIGHTS, "embedded_categorical": 1.0}
"""In the stage "all", since categories are what takes longest."""
PROFILE_WEIGHTS = {**ALL_WEIGHTS, "embedded_profile": 1.0}
COMMON: dict[str, Any] = {
    "optimizer": "muon",
    "max_tokens": MAX_TOKENS,
    "betas": (0.9, 0.95),
    "weight_decay": 0.1,
    "warmup_steps": 100,
    "dtype": "bfloat16",
    "max_held_out": 100,
    "seed": SEED,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "base": {"method": "pretrain", "lr": 4e-3, "sequences_a_step": 64, "micro_tokens": 8192},
    "told": {"lr": 3e-3, "sequences_a_step": 128},
    "people": {"lr": 3e-3, "sequences_a_step": 128},
    "all": {"lr": 3e-3, "sequences_a_step": 96},
    "tuned": {"lr": 2e-3, "sequences_a_step": 96},
}
"""Of each stage, beside `COMMON`: one pass through its episodes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--install", action="store_true", help="put the models into the package")
    asked = parser.parse_args()
    work: Path = asked.work
    model = started(work / "start")
    held_out = written(work / "held-out", write_held_out)
    places = TunePlaces(cache=work / "encoded", device="cpu")
    for stage in STAGES:
        print(stage, flush=True)
        files = written(work / "data" / stage, functools.partial(write_stage, stage=stage))
        tasks = {f"embedded_{name}" for name in STAGES[stage]}
        of_tasks = {"base": {}, "all": ALL_WEIGHTS, "tuned": PROFILE_WEIGHTS}.get(stage, WEIGHTS)
        weights = {task: weight for task, weight in of_tasks.items() if task in tasks}
        settings = TuneSettings(task_weights=weights, **COMMON, **SETTINGS[stage])
        with progress_bars() as tell:
            tune(
                str(model),
                files,
                work / stage,
                settings=settings,
                held_out=held_out,
                places=places,
                on_progress=tell,
                tell=print,
            )
        model = work / stage / "model"
    if asked.install:
        base, tuned = (Path(embedded.__file__).parent / name for name in ("base", "tuned"))
        install([work / "base" / "model"], base, torch.bfloat16)  # 10 MB in all are allowed
        install([work / "tuned" / "model", work / "all" / "model"], tuned, torch.float32)


def written(folder: Path, write: Callable[[Path], object]) -> list[Path]:
    """The parquet files of a folder, made if they are not all there."""
    if not (folder / "done").exists():
        write(folder)
        (folder / "done").touch()
    return sorted(folder.glob("*.parquet"))


def started(folder: Path) -> Path:
    """A Llama with random weights, and its tokenizer."""
    tokenizer = make_tokenizer()
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=INITIAL,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    if not (folder / "model.safetensors").exists():
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def install(models: Sequence[Path], there: Path, dtype: torch.dtype) -> None:
    """The files of the first model, but for its card, with the mean of the models' weights in this precision."""
    there.mkdir(parents=True, exist_ok=True)
    for file in models[0].iterdir():
        if file.suffix in (".json", ".jinja") and file.name != "export.json":
            shutil.copyfile(file, there / file.name)
    several = [load_file(model / "model.safetensors") for model in models]
    weights = {name: torch.stack([one[name] for one in several]).mean(0).to(dtype) for name in several[0]}
    save_file(weights, there / "model.safetensors", metadata={"format": "pt"})
    (there / "model.safetensors").chmod(0o644)
    config = json.loads((models[0] / "config.json").read_text())
    config["dtype"] = str(dtype).removeprefix("torch.")
    (there / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
