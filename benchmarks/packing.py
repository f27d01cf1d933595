"""Claim: on a CPU, packed rows with attention a segment at a time train at least as fast as rows padded by length.

    python benchmarks/packing.py            a model of 1.3M parameters, 12,000 tokens, under a minute
    python benchmarks/packing.py --full     a model of 5.7M parameters, 48,000 tokens, about ten minutes

Forward and backward, autocast to bfloat16, of a Llama of random weights on sequences of geometric lengths (mean 215, at most
1024), a quarter of whose tokens carry loss. Every layout gets the same sequences. The peer is rows padded by length, under a
budget of tokens and within windows of 4096 sequences, with transformers' own attention; rows of sequences in random order are
shown beside it. The sum of the loss in float32 has to be the same for all before anything is reported. Layouts take turns;
figures are medians over the rounds of useful tokens (padding does not count) in a second of one thread's CPU time. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from pluralign.models import FlatEncoded
from pluralign.tuning.attention import How, SegmentAttention, segment_attention
from pluralign.tuning.batches import WINDOW, Batch, lay_out
from pluralign.tuning.loss import SparseLoss, Targets, open_loss
from pluralign.tuning.packing import IntArray, Rows, bucket, pack

CPU = torch.device("cpu")
LONGEST, BUDGET, RANDOM_ROWS = 1024, 4096, 20
SIZES = {
    "1.3M": {"hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 4, "num_attention_heads": 4},
    "5.7M": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8},
}
TARGET_RATIO = 1.0
"""Of packed rows, beside those padded by length."""
MOST_DIFFERENCE = 1e-4
"""Of the loss, in float32."""


def sequences(n_buckets: int, n_ids: int) -> FlatEncoded:
    """Those of a few buckets out of the window that training arranges at once: padding is as little as it is there."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(1 / 215, size=WINDOW), LONGEST)
    groups = bucket(lengths, BUDGET)
    lengths = rng.permutation(lengths[groups.take(rng.choice(len(groups) - 1, size=n_buckets, replace=False)).members])
    n_tokens = int(lengths.sum())
    return FlatEncoded(
        ids=rng.integers(3, n_ids, size=n_tokens).astype(np.int32),
        is_loss=rng.random(n_tokens) < 0.25,
        example_index=np.zeros(n_tokens, dtype=np.int32),
        starts=np.concatenate([[0], lengths.cumsum()]),
    )


def padded(encoded: FlatEncoded, groups: Sequence[IntArray]) -> list[Batch]:
    return [lay_out(encoded, Rows(group, np.arange(len(group) + 1))) for group in groups]


def packed(encoded: FlatEncoded, row_tokens: int, n_rows: int) -> list[Batch]:
    rows = pack(np.diff(encoded.starts), row_tokens)
    return [lay_out(encoded, rows.take(np.arange(len(rows))[i : i + n_rows])) for i in range(0, len(rows), n_rows)]


def layouts(encoded: FlatEncoded, *, full: bool) -> dict[str, tuple[list[Batch], How]]:
    lengths = np.diff(encoded.starts)
    order = np.random.default_rng(1).permutation(len(lengths))
    at_random = [order[i : i + RANDOM_ROWS] for i in range(0, len(order), RANDOM_ROWS)]
    by_length = list(bucket(lengths, BUDGET))
    found: dict[str, tuple[list[Batch], How]] = {
        "padded, random, 20 rows": (padded(encoded, at_random), "padded"),
        "padded by length, budget 4096": (padded(encoded, by_length), "padded"),
        "padded by length, budget 4096, our attention": (padded(encoded, by_length), "loop"),
        "packed 4 x 1024, 4-D mask": (packed(encoded, 1024, 4), "mask"),
        "packed 4 x 1024, segment loop": (packed(encoded, 1024, 4), "loop"),
        "packed 1 x 4096, segment loop": (packed(encoded, 4096, 1), "loop"),
    }
    return found | ({"packed 1 x 4096, 4-D mask": (packed(encoded, 4096, 1), "mask")} if full else {})


def train(loss: SparseLoss, attention: SegmentAttention, batches: list[Batch]) -> float:
    """Forward and backward over all batches; the sum of the loss in nats."""
    total = 0.0
    for batch in batches:
        given: dict[str, Any] = attention.inputs(batch)
        weights = torch.ones(len(batch.before))
        targets = Targets(torch.from_numpy(batch.before), torch.from_numpy(batch.target_ids), weights)
        nats = loss(given.pop("input_ids"), targets, attention=given)
        nats.total.backward()
        total += float(nats.total.detach())
    loss.zero_grad()
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description="Packed and padded rows: useful tokens a second of forward and backward.")
    parser.add_argument("--full", action="store_true", help="a model of 5.7M parameters (about ten minutes)")
    parser.add_argument("--rounds", type=int, default=None)
    args = parser.parse_args()
    size = "5.7M" if args.full else "1.3M"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=4096, max_position_embeddings=4096, tie_word_embeddings=True, **SIZES[size])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    loss = open_loss(model)
    encoded = sequences(12 if args.full else 1, config.vocab_size)
    chosen = layouts(encoded, full=args.full)
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    losses: dict[str, float] = {}
    for round_number in range(1 + (args.rounds or (3 if args.full else 1))):
        for name, (batches, how) in chosen.items():
            attention = segment_attention(model, CPU, longest=LONGEST, ways=[how])
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=round_number > 0):
                total = train(loss, attention, batches)
            if round_number:
                seconds[name].append(time.process_time() - start)
            else:
                losses[name] = total
    first = next(iter(losses.values()))
    if max(abs(total - first) for total in losses.values()) > MOST_DIFFERENCE * abs(first):
        raise SystemExit(f"the loss depends on the layout: {losses}; nothing is reported.")
    n_tokens, medians = len(encoded.ids), {name: statistics.median(took) for name, took in seconds.items()}
    random_s, by_length = (medians[name] for name in list(chosen)[:2])
    rows = []
    for name, (batches, how) in chosen.items():
        share = n_tokens / sum(batch.input_ids.size for batch in batches)
        took = medians[name]
        print(
            f"{name:46} {how:7} {n_tokens / took:8,.0f} tokens/s ({n_tokens / max(seconds[name]):,.0f} to "
            f"{n_tokens / min(seconds[name]):,.0f}), {random_s / took:.2f} x random, {by_length / took:.2f} x by length, "
            f"{share:.0%} of what is computed is no padding"
        )
        is_claim = args.full and "loop" in name and "packed" in name
        case = f"{size}, {n_tokens:,} tokens, {name}; the peer pads by length, budget {BUDGET}"
        target = TARGET_RATIO if is_claim else None
        rows.append({"case": case, "ours": took, "peer": by_length, "ratio": by_length / took, "unit": "s", "target": target})
    print(json.dumps({"benchmark": "packing", "rows": rows}))


if __name__ == "__main__":
    main()
