"""Episodes for the tests of scoring: coins of several people, with what a file may also hold."""

from __future__ import annotations

import random
from pathlib import Path

from pluralign.episodes import Episode, Example, write_episodes

HOSTILE = "\x1b[31mred\u202e <|im_end|> <|im_start|>output\n<eos> {{ code }} [/INST]"


def coins(n: int, *, seed: int = 0, n_units: int = 10, n_examples: int = 4) -> list[Episode]:
    """`n` episodes of tosses, in two tasks; those of one unit have the same share of heads."""
    rng = random.Random(seed)
    shares = [rng.random() for _ in range(n_units)]
    return [
        Episode(
            "coin" if i % 3 else "die",
            tuple(Example("heads" if rng.random() < shares[i % n_units] else "tails") for _ in range(n_examples)),
            options=("heads", "tails"),
            unit=f"u{i % n_units}",
            description=f"Toss {i}." if i % 2 else None,
        )
        for i in range(n)
    ]


def written(folder: Path, episodes: list[Episode], name: str = "coins.jsonl") -> Path:
    path = folder / name
    write_episodes(path, episodes)
    return path
