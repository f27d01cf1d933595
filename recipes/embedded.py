"""Trains the embedded model anew: make embedded, or python recipes/embedded.py WORK [--install]

    episodes of the embedded world                            ->  WORK/data/       suite.embedded_mixture
    a byte-level tokenizer, a Llama with random weights       ->  WORK/start/
    base    plain text of the episodes, loss on every token   ->  WORK/base/       pluralign tune --method pretrain
    told    from the base: single ratings, single questions   ->  WORK/told/       pluralign tune
    more    from there: many more single ratings              ->  WORK/more/       pluralign tune
    people  from there: people from their ratings too         ->  WORK/people/     pluralign tune
    tuned   from there: all families                          ->  WORK/tuned/      pluralign tune

The stages are a curriculum. With everything at once from the start hardly anything that depends on a person was learned from
the first ten million tokens; from episodes of a single output, where nothing has to be found out but what the description tells
of the person, it is learned from a few hundred thousand.

Every stage goes on where it was killed. With --install base and tuned are put into the package, as safetensors; how good they
are is then measured by benchmarks/embedded.py, whose figures their card repeats.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from embedded_tokenizer import PAD, TURN_END, make_tokenizer
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from pluralign.models import embedded
from pluralign.progress import progress_bars
from pluralign.suite.embedded_episodes import Told, ratings_episodes
from pluralign.suite.embedded_mixture import write_embedded
from pluralign.suite.embedded_values import ValuesKind, values_episodes
from pluralign.suite.parts import write_parts
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, tune

SEED = 0
WIDTH, INNER, LAYERS, HEADS = 128, 512, 4, 4
INITIAL = 0.08
"""Standard deviation of the first weights: 1 / sqrt(width), since smaller ones learn nothing for long at this width."""
MAX_TOKENS = 512
COMMON: dict[str, Any] = {
    "max_tokens": MAX_TOKENS,
    "betas": (0.9, 0.95),
    "weight_decay": 0.1,
    "dtype": "bfloat16",
    "max_held_out": 100,
    "seed": SEED,
}
BASE = TuneSettings(method="pretrain", lr=2e-3, warmup_steps=200, sequences_a_step=32, budget_tokens=4_000_000, **COMMON)
TOLD = TuneSettings(lr=2e-3, warmup_steps=100, sequences_a_step=192, budget_tokens=3_200_000, **COMMON)
MORE = TuneSettings(lr=2e-3, warmup_steps=100, sequences_a_step=192, budget_tokens=6_000_000, **COMMON)
PEOPLE = TuneSettings(lr=1.5e-3, warmup_steps=100, sequences_a_step=32, budget_tokens=6_000_000, **COMMON)
TUNED = TuneSettings(lr=1.5e-3, warmup_steps=100, sequences_a_step=40, budget_tokens=5_500_000, **COMMON)
KINDS: tuple[Told, ...] = ("profile", "profile", "group", "both", "attributes", "person")
"""What is told of the people of the stage "told", by turns."""
TOLD_PEOPLE, FIRST_TOLD = 12_000, 1_000_000
"""Of each kind; the number of the first of them, who are in no other stage."""
QUESTIONS: tuple[ValuesKind, ...] = ("relevance", "valence", "generate")
TOLD_QUESTIONS = 2000
"""Episodes of each kind of question about values, which are taken apart into single questions."""
MORE_KINDS: tuple[Told, ...] = ("profile", "profile", "profile", "profile", "both", "attributes", "group", "person")
MORE_PEOPLE, FIRST_MORE = 40_000, 2_000_000
"""As of the stage "told"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--install", action="store_true", help="put the models into the package")
    asked = parser.parse_args()
    work: Path = asked.work
    data, held_out = written(work / "data"), written(work / "held-out", held_out=True)
    of_people = [file for file in data if file.name.startswith(("ratings", "profile"))]
    of_all = [file for file in data if not file.name.startswith("ratings")] + of_people[: len(of_people) // 3]
    stages = [
        ("base", BASE, started(work / "start"), data),
        ("told", TOLD, work / "base" / "model", told(work / "told-people")),
        ("more", MORE, work / "told" / "model", more(work / "more-people")),
        ("people", PEOPLE, work / "more" / "model", of_people),
        ("tuned", TUNED, work / "people" / "model", of_all),
    ]
    places = TunePlaces(cache=work / "encoded", device="cpu")
    for name, settings, model, files in stages:
        print(name, flush=True)
        with progress_bars() as tell:
            tune(
                str(model),
                files,
                work / name,
                settings=settings,
                held_out=held_out,
                places=places,
                on_progress=tell,
                tell=print,
            )
    if asked.install:
        for name, dtype in (("base", torch.bfloat16), ("tuned", torch.float32)):  # 10 MB in all are allowed
            install(work / name / "model", Path(embedded.__file__).parent / name, dtype)


def written(folder: Path, *, held_out: bool = False) -> list[Path]:
    """The parquet files of the episodes, made if they are not all there."""
    if not (folder / "done").exists():
        write_embedded(folder, held_out=held_out, size=1.0)
        (folder / "done").touch()
    return sorted(folder.glob("*.parquet"))


def told(folder: Path) -> list[Path]:
    """Files of episodes with one output: a person's rating, the person described; a question about a situation's values."""
    if not (folder / "done").exists():
        write_single_ratings(folder, KINDS, FIRST_TOLD, TOLD_PEOPLE)
        for question in QUESTIONS:
            several = values_episodes(question, range(FIRST_TOLD, FIRST_TOLD + TOLD_QUESTIONS))
            single = (dataclasses.replace(one, examples=(example,)) for one in several for example in one.examples)
            write_parts(folder, f"told-{question}", single)
        (folder / "done").touch()
    return sorted(folder.glob("*.parquet"))


def more(folder: Path) -> list[Path]:
    """Files of single ratings, most of them by people whose profile is told."""
    if not (folder / "done").exists():
        write_single_ratings(folder, MORE_KINDS, FIRST_MORE, MORE_PEOPLE)
        (folder / "done").touch()
    return sorted(folder.glob("*.parquet"))


def write_single_ratings(folder: Path, kinds: Sequence[Told], first: int, n: int) -> None:
    """Of each kind n people, numbered from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(kinds):
        people = range(first + number * n, first + (number + 1) * n)
        write_parts(folder, f"told-{number}", ratings_episodes(people, told=kind, n_ratings=1))


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


def install(model: Path, there: Path, dtype: torch.dtype) -> None:
    """The files of a model, but for its card, with weights in this precision."""
    there.mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        if file.suffix in (".json", ".jinja") and file.name != "export.json":
            shutil.copyfile(file, there / file.name)
    weights = {name: tensor.to(dtype) for name, tensor in load_file(model / "model.safetensors").items()}
    save_file(weights, there / "model.safetensors", metadata={"format": "pt"})
    (there / "model.safetensors").chmod(0o644)
    config = json.loads((model / "config.json").read_text())
    config["dtype"] = str(dtype).removeprefix("torch.")
    (there / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
