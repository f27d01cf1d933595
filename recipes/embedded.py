"""Trains the embedded model anew: make embedded, or python recipes/embedded.py WORK [--install]

    episodes of the embedded world (suite.embedded_mixture)  ->  WORK/data/
    a byte-level tokenizer, a Llama with random weights       ->  WORK/start/
    base: plain text of the episodes, loss on every token     ->  WORK/base/      pluralign tune --method pretrain
    tuned: the base, turns, loss on outputs only              ->  WORK/tuned/     pluralign tune

Every step goes on where it was killed. With --install both models are put into the package, as safetensors, with their card;
how good they are is then measured by benchmarks/embedded.py, whose figures the card repeats.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from embedded_tokenizer import PAD, TURN_END, make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from pluralign.models.embedded import embedded_folder
from pluralign.progress import progress_bars
from pluralign.suite.embedded_mixture import write_embedded
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, tune

SEED = 0
WIDTH, INNER, LAYERS, HEADS = 128, 512, 4, 4
INITIAL = 0.08
"""Standard deviation of the first weights: 1 / sqrt(width), since smaller ones learn nothing for long at this width."""
MAX_TOKENS = 512
BASE_TOKENS, TUNED_TOKENS = 4_000_000, 28_000_000
COMMON: dict[str, Any] = {
    "max_tokens": MAX_TOKENS,
    "sequences_a_step": 32,
    "warmup_steps": 200,
    "betas": (0.9, 0.95),
    "weight_decay": 0.1,
    "dtype": "bfloat16",
    "max_held_out": 100,
    "seed": SEED,
}
BASE = TuneSettings(method="pretrain", lr=2e-3, budget_tokens=BASE_TOKENS, **COMMON)
TUNED = TuneSettings(lr=2e-3, budget_tokens=TUNED_TOKENS, **COMMON)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--install", action="store_true", help="put the models into the package")
    asked = parser.parse_args()
    work: Path = asked.work
    data, held_out = written(work / "data"), written(work / "held-out", held_out=True)
    start = started(work / "start")
    places = TunePlaces(cache=work / "encoded", device="cpu")
    with progress_bars() as tell:
        for name, model, settings in (("base", start, BASE), ("tuned", work / "base" / "model", TUNED)):
            tune(
                str(model), data, work / name, settings=settings, held_out=held_out, places=places, on_progress=tell, tell=print
            )
    if asked.install:
        for name in ("base", "tuned"):
            install(work / name / "model", embedded_folder(name))


def written(folder: Path, *, held_out: bool = False) -> list[Path]:
    """The parquet files of the episodes, made if they are not all there."""
    if not (folder / "done").exists():
        write_embedded(folder, held_out=held_out, size=1.0)
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


def install(model: Path, there: Path) -> None:
    """The files of a model, but for its card."""
    there.mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        if file.suffix in (".json", ".safetensors", ".jinja"):
            shutil.copyfile(file, there / file.name)


if __name__ == "__main__":
    main()
