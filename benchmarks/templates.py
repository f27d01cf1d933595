"""Claim: episodes become token ids in one call of the fast tokenizer, not one call per segment.

    python benchmarks/templates.py            a small vocabulary and 400 episodes, a few seconds
    python benchmarks/templates.py --full     a vocabulary of 32,000 pieces and 1,500 episodes of 40 examples

The peer tokenises every segment (role, text, end of turn) by a call of its own, as the published implementation does: first
through `transformers`, then straight through the `tokenizers` library, which spares it that layer's overhead. Ids are compared
before anything is timed. The tokenizer is trained here on made-up words. "Shared items" are rated by many raters each; with
"distinct items" none comes twice, so that nothing is gained by tokenising equal texts once. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from pluralign.episodes import Episode, Example
from pluralign.models import Template, open_template

logging.getLogger("transformers").setLevel(logging.ERROR)  # it warns on import that torch is missing, which is not needed
from transformers import PreTrainedTokenizerFast  # noqa: E402

TARGET_RATIO = 3.0
"""Against one call of `transformers` per segment where items are shared; nothing is claimed of the other cases."""
OPTIONS = ("not at all", "a little", "somewhat", "very much")
Ids = list[list[int]]


@dataclass(frozen=True)
class Row:
    case: str
    ours: float
    peer: float
    target: float | None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def words(n_words: int, *, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    return ["".join(rng.choice(letters, size=size)) for size in rng.integers(2, 10, size=n_words)]


def sentences(n_sentences: int, vocabulary: list[str], *, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    ranks = 1.0 / np.arange(1, len(vocabulary) + 1)
    lengths = rng.integers(8, 30, size=n_sentences)
    drawn = iter(rng.choice(vocabulary, size=int(lengths.sum()), p=ranks / ranks.sum()).tolist())
    return [" ".join(next(drawn) for _ in range(length)).capitalize() + "." for length in lengths]


def train(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    marks = [AddedToken(text, special=True, normalized=False) for text in ("<|im_start|>", "<|im_end|>")]
    tokenizer.add_special_tokens(marks)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def episodes(n_episodes: int, n_examples: int, items: list[str], *, shared: bool, seed: int) -> list[Episode]:
    """Raters with a description, each with ratings of items; `shared` items are rated by many."""
    rng = np.random.default_rng(seed)
    made = []
    for rater in range(n_episodes):
        own = range(rater * n_examples, (rater + 1) * n_examples)
        chosen = rng.integers(0, max(len(items) // 20, 1), size=n_examples) if shared else own
        rated = [Example(OPTIONS[rng.integers(len(OPTIONS))], items[item]) for item in chosen]
        made.append(Episode("rating", tuple(rated), f"A rater, {rater % 60 + 18} years old: {items[rater]}", OPTIONS))
    return made


def call_per_segment(several: list[Episode], tokenise: Callable[[str], list[int]]) -> Ids:
    """The spectrum format in ChatML, segment by segment."""
    found = []
    for episode in several:
        turns = [("description", episode.description)]
        turns += [turn for e in episode.examples for turn in (("input", e.input), ("output", e.output))]
        ids: list[int] = []
        for role, text in turns:
            if text is None:
                continue
            for segment in (f"<|im_start|>{role}\n", text, "<|im_end|>\n"):
                ids += tokenise(segment)
        found.append(ids)
    return found


def ours(opened: Template, several: list[Episode]) -> Ids:
    return [encoded.ids.tolist() for encoded in opened.encode(several)]


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def compare(case: str, tokenizer: PreTrainedTokenizerFast, several: list[Episode], target: float | None) -> list[Row]:
    opened = open_template("spectrum", tokenizer)
    backend = tokenizer.backend_tokenizer
    peers: dict[str, Callable[[str], list[int]]] = {
        "transformers": lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        "tokenizers": lambda text: backend.encode(text, add_special_tokens=False).ids,
    }
    made = ours(opened, several)
    n_tokens = sum(map(len, made))
    rate = n_tokens / median_seconds(lambda: opened.encode(several), 3) / 1e6
    rows = []
    for name, tokenise in peers.items():
        if call_per_segment(several, tokenise) != made:
            raise SystemExit(f"{case}: ids differ from those of one call per segment through {name}; nothing is timed.")
        peer = n_tokens / median_seconds(lambda use=tokenise: call_per_segment(several, use), 3) / 1e6
        rows.append(
            Row(f"{case}, {n_tokens:,} tokens, calls of {name}", rate, peer, target if name == "transformers" else None)
        )
    return rows


def report(rows: list[Row]) -> None:
    width = max(len(row.case) for row in rows)
    print(f"{'case, million tokens/s':<{width}} {'ours':>8} {'peer':>8} {'ratio':>7}")
    for row in rows:
        print(f"{row.case:<{width}} {row.ours:>8.2f} {row.peer:>8.2f} {row.ratio:>7.1f}")
    fields = [
        {"case": r.case, "ours": r.ours, "peer": r.peer, "ratio": r.ratio, "unit": "million tokens/s", "target": r.target}
        for r in rows
    ]
    print(json.dumps({"benchmark": "templates", "rows": fields}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Episodes to token ids, beside one tokenizer call per segment.")
    parser.add_argument("--full", action="store_true", help="the sizes of the claim (about two minutes)")
    full = parser.parse_args().full
    n_episodes, n_examples, n_pieces = (1_500, 40, 32_000) if full else (100, 20, 2_000)
    items = sentences(n_episodes * n_examples, words(20_000 if full else 2_000, seed=1), seed=2)
    tokenizer = train(items[:20_000], n_pieces)
    rows = []
    for name, shared in (("shared items", True), ("distinct items", False)):
        several = episodes(n_episodes, n_examples, items, shared=shared, seed=3)
        rows += compare(
            f"{n_episodes:,} episodes of {n_examples}, {name}", tokenizer, several, TARGET_RATIO if shared else None
        )
    report(rows)


if __name__ == "__main__":
    main()
