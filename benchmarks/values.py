"""Claims: candidates are scored and filtered at least 5 times as fast as one by one, with the same results; beams are found
faster than by transformers, and are the same; the embedded model sees what is true in its world in 9 of 10 cases, and shows
the right consideration of a minimal pair in 8 of 10.

    python benchmarks/values.py           small: a tiny T5, under a minute
    python benchmarks/values.py --full    50 situations x 100 candidates with a tiny T5, 10 with a larger one; ten minutes
    python benchmarks/values.py --full --only accuracy,pairs

The slow side is that of the tests (tests/reference/plain_values.py): every option of every candidate is a call of the model,
every pair of candidates is compared. Its time is measured on a few of the situations (`--plain`) and taken per situation. The
weights are random: time does not depend on what they know. Relevance and valence of the embedded model are measured on its
situations with all thirty values, rights and duties, intervals over situations. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralign.estimates import Estimate, estimate_mean
from pluralign.streams import stream
from pluralign.suite.embedded_values import BEARINGS, relevance_probabilities, valence_probabilities
from pluralign.suite.embedded_world import embedded_world, situation_texts
from pluralign.values.considerations import Consideration
from pluralign.values.contrast import contrast
from pluralign.values.contrast_truth import score_contrasts, simulated_considerations, simulated_pairs
from pluralign.values.encoder_decoder import EncoderDecoderKaleido
from pluralign.values.kaleido import Generated, generated, open_values_model
from pluralign.values.setup import SystemSettings
from pluralign.values.system import surface

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import tiny_kaleido
from reference import plain_values

TARGET, ACCURACY_TARGET, PAIRS_TARGET = 5.0, 0.9, 0.8
PARTS = ("scoring", "beams", "accuracy", "pairs")
SHAPES = {"small": {}, "full": {"d_model": 256, "d_kv": 32, "d_ff": 1024, "num_layers": 4, "num_heads": 8}}
"""Of T5: "full" is half as wide as its published small model, with the whole vocabulary."""
FULL_VOCABULARY = 32_128
FEW = 10
"""Situations of the larger T5, which takes two thirds of the whole time as it is, most of it for the slow side."""
NOUNS = (
    *("safety", "health", "honesty", "friendship", "nature", "work", "family", "freedom"),
    *("learning", "travel", "music", "silence", "order", "play", "trust"),
)
VERBS = ("protect", "respect", "enjoy", "share", "remember", "improve", "question")


class Given:
    """The model, with candidates that are given in place of generated ones."""

    def __init__(self, model: EncoderDecoderKaleido, texts: Sequence[str]) -> None:
        self.model, self.texts = model, texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        return [[generated(text, "ok") for text in self.texts[:n]] for _ in situations]


def candidates() -> list[str]:
    texts = [f"Value: {noun}" for noun in NOUNS]
    for verb, noun in itertools.product(VERBS, NOUNS):
        texts += [f"Right: Right to {verb} {noun}", f"Duty: Duty to {verb} {noun}"]
    order = stream(0, "benchmark candidates").permutation(len(texts))
    return [texts[i] for i in order]


def made_model(shape: dict[str, int], *, vocabulary: int | None) -> EncoderDecoderKaleido:
    words = tiny_kaleido.tokenizer()
    model = tiny_kaleido.random_model(vocabulary or len(words), **shape)
    model.config.system_params = {**tiny_kaleido.SYSTEM_PARAMS, "relevance_threshold": 0.5}
    return EncoderDecoderKaleido(model, words, name="hf/random", weights="random")


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall time, processor time of all threads, and what came of it."""
    start, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - start, time.process_time() - processor, found


def scoring(name: str, model: EncoderDecoderKaleido, n_situations: int, n: int, n_plain: int) -> dict[str, Any]:
    """Relevance of all candidates, what is kept of them, and the valence of that."""
    situations = [f"{tiny_kaleido.SITUATIONS[i % 4]} {NOUNS[i % len(NOUNS)]} {i}" for i in range(n_situations)]
    texts = candidates()[:n]
    settings = SystemSettings(n=n, explain=False)
    surface(situations[:1], Given(model, texts), settings)
    ours, ours_cpu, found = timed(lambda: surface(situations, Given(model, texts), settings))
    kept = found.considerations.collect()

    def plainly(situation: str) -> list[dict[str, Any]]:
        rows = plain_values.plain_rows(model.model, model.tokenizer, situation, texts)
        return plain_values.plain_kept(model.model, model.tokenizer, rows)

    plain, plain_cpu, lists = timed(lambda: [plainly(situation) for situation in situations[:n_plain]])
    for number, rows in enumerate(lists):
        mine = kept.filter(kept["situation"] == number)
        assert mine.select("vrd", "text").rows() == [(row["vrd"], row["text"]) for row in rows], situations[number]
        np.testing.assert_allclose(mine["relevant"].to_numpy(), [row["relevant"] for row in rows], atol=1e-5)
        valence = np.array([row["valence"] for row in rows]).reshape(-1, 3)
        np.testing.assert_allclose(mine.select("supports", "opposes", "either").to_numpy(), valence, atol=1e-5)
    ours, plain, ours_cpu, plain_cpu = ours / n_situations, plain / n_plain, ours_cpu / n_situations, plain_cpu / n_plain
    print(
        f"{name} T5, {n_situations} x {n} candidates: {ours:.3f} s a situation, plainly {plain:.3f} s, {plain / ours:.1f} times"
    )
    print(f"  (processor time: {ours_cpu:.3f} s, plainly {plain_cpu:.3f} s, {plain_cpu / ours_cpu:.1f} x)")
    print(f"  ({kept.height:,} are kept; the same, with the same scores, in the situations that were done plainly)")
    case = f"{name} T5: {n} candidates scored and filtered, a situation of {n_situations} (plainly: of {n_plain})"
    return {**row(case, ours, plain, plain / ours, "s", TARGET), "ratio_processor_time": plain_cpu / ours_cpu}


def beams(name: str, model: EncoderDecoderKaleido, n_situations: int, n: int) -> dict[str, Any]:
    """A beam search, ours and that of transformers one situation at a time."""
    situations = [f"{tiny_kaleido.SITUATIONS[i % 4]} {i}" for i in range(n_situations)]
    template = tiny_kaleido.TASK_PARAMS["generate"]
    model.generate(situations[:1], n=n, seed=0)
    ours, _, found = timed(lambda: model.generate(situations, n=n, seed=0))
    peer, _, plain = timed(
        lambda: [
            plain_values.generations(model.model, model.tokenizer, plain_values.filled(template, text), n=n)
            for text in situations
        ]
    )
    same = [[one.text for one in mine if one.outcome != "length"] == theirs for mine, theirs in zip(found, plain, strict=True)]
    ours, peer = ours / n_situations, peer / n_situations
    print(f"{name} T5, {n} beams: {ours:.2f} s a situation, transformers {peer:.2f} s")
    print(f"  (the same texts for {sum(same)} of {len(same)} situations)")
    return row(f"{name} T5: {n} beams of 30 tokens, a situation of {n_situations}", ours, peer, peer / ours, "s", None)


def accuracy(n_situations: int) -> list[dict[str, Any]]:
    """The embedded model against the truth of its world: the most probable answer, labels drawn by the law, excess loss."""
    model = open_values_model("embedded")
    rng = stream(0, "benchmark situations")
    items = rng.permutation(len(situation_texts()))[:n_situations]
    features = embedded_world().features[items]
    pairs = [(situation_texts()[i], Consideration(one.kind, one.text)) for i in items.tolist() for one in BEARINGS]
    units = np.repeat(np.arange(n_situations), len(BEARINGS))
    yes = relevance_probabilities(features).reshape(-1)
    truths = {"relevance": np.stack([yes, 1 - yes], 1), "valence": valence_probabilities(features).reshape(-1, 3)}
    said = model.relevance(pairs).values
    answers = {"relevance": np.stack([said, 1 - said], 1), "valence": model.valence(pairs).values}
    rows = []
    for task, truth in truths.items():
        answer = answers[task]
        ordered = np.sort(truth, axis=1)
        has_best = ordered[:, -1] - ordered[:, -2] > 1e-9
        is_best = (answer.argmax(1) == truth.argmax(1))[has_best].astype(float)
        labels = (rng.random(len(truth))[:, None] > truth.cumsum(1)[:, :-1]).sum(1)
        excess = (truth * (np.log(truth) - np.log(answer))).sum(1)
        rows += [
            measured(
                f"{task}: the truth's most probable answer is the model's",
                is_best,
                units[has_best],
                1.0,
                "share",
                ACCURACY_TARGET,
            ),
            measured(
                f"{task}: labels drawn by the truth are the model's answer",
                (answer.argmax(1) == labels).astype(float),
                units,
                float(ordered[:, -1].mean()),
                "share",
                None,
            ),
            measured(f"{task}: loss above the truth's own", excess, units, 0.0, "nats", None),
        ]
        print(f"  ({task}: {len(truth):,} pairs, {int(has_best.sum()):,} of them with one most probable answer)")
    return rows


def pairs(n: int) -> list[dict[str, Any]]:
    """Scenes of the embedded model's world, bare and with one modifier, all thirty considerations judged in both."""
    found = contrast(open_values_model("embedded"), simulated_pairs(n, seed=0), considerations=simulated_considerations())
    scores = score_contrasts(found)
    named = (
        ("the right consideration enters, leaves or flips", scores.right_is_flagged, PAIRS_TARGET),
        ("the largest change is of the right basic value", scores.right_is_largest, PAIRS_TARGET),
        ("considerations that are flagged at all", scores.flagged_share, None),
        ("sizes beside the true ones, rank correlation within a pair", scores.change_correlation, None),
    )
    for case, one, _ in named:
        print(f"minimal pairs: {case}: {one} over {one.n} pairs")
    print(f"  (of {n} pairs; in {scores.n_unchanged} truly nothing enters, leaves or flips)")
    return [row(f"minimal pairs, {n}: {case}", one.to_dict(), None, None, "share", target) for case, one, target in named]


def measured(
    case: str, values: np.ndarray, units: np.ndarray, ceiling: float, unit: str, target: float | None
) -> dict[str, Any]:
    found: Estimate = estimate_mean(values, units, unit="situation")
    print(f"{case}: {found} over {found.n} situations; the best possible {ceiling:.3f}")
    return {**row(case, found.to_dict(), None, None, unit, target), "ceiling": ceiling}


def row(case: str, ours: object, peer: object, ratio: float | None, unit: str, target: object) -> dict[str, Any]:
    return {"case": case, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit, "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--plain", type=int, default=2, help="situations that are done plainly")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}, with commas between")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    full, only = asked.full, asked.only.split(",")
    rows: list[dict[str, Any]] = []
    for name in SHAPES if full else ("small",):
        model = made_model(SHAPES[name], vocabulary=FULL_VOCABULARY if name == "full" else None)
        if "scoring" in only:
            n_situations = (FEW if name == "full" else 50) if full else 4
            rows.append(scoring(name, model, n_situations, 100 if full else 30, asked.plain))
        if "beams" in only:
            rows.append(beams(name, model, 2, 100 if full else 20))
    rows += accuracy(500 if full else 40) if "accuracy" in only else []
    rows += pairs(200 if full else 24) if "pairs" in only else []
    for one in rows:
        if one["target"] is not None:
            value = one["ratio"] if one["ratio"] is not None else one["ours"]["value"]
            print(f"{'reached' if value >= one['target'] else 'missed'}: {one['case']}: {value:.3f}, target {one['target']}")
    print(json.dumps({"benchmark": "values", "threads": asked.threads, "rows": rows}))


if __name__ == "__main__":
    main()
