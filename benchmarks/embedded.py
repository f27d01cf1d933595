"""Claim: the embedded model answers nearly as well as anybody could who knows its simulated world.

    python benchmarks/embedded.py            some questions of each kind, a minute
    python benchmarks/embedded.py --full     1,000 of each; some minutes
    python benchmarks/embedded.py --model hf/FOLDER      another model with the same tokenizer

Held-out people, coins and situations are asked about; the truth is Bayes' rule with the world's own parameters, or the formulas
that the answers were drawn from (`pluralign.suite.embedded_truth`). Excess is KL(truth || model) in nats an output, where what
the model gives to anything but the options counts as lost. The peer is the base model, the same architecture trained on the
plain text of the same sources, in its own format; beside them is what nobody can do without, the truth's own entropy. Intervals
resample people (coins, situations). The calibration error is over all options of all ratings, 10 bins. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from pluralign.estimates import Estimate, estimate_mean
from pluralign.metrics.calibration import expected_calibration_error, one_vs_rest
from pluralign.models import LanguageModel, ModelSettings, open_model
from pluralign.models.protocol import renormalised
from pluralign.models.queries import queries_of
from pluralign.suite.embedded_truth import CASES, KnownTruth, excess_nats

TARGETS = {
    "coin, k = 8": 0.005,
    "coin, k = 32": 0.005,
    "categorical, k = 32": 0.02,
    "ratings, written profile": 0.08,
    "ratings, 16 examples": 0.12,
}
ECE_TARGET = 0.02
FEW, FULL = 60, 1000


def logprobs_of(model: LanguageModel, truth: KnownTruth) -> np.ndarray:
    """log p(option and its end), [questions, options]."""
    queries = [queries_of(episode, at="last")[0].query for episode in truth.episodes]
    return np.array([answer.logprobs for answer in model.option_logprobs(queries)], dtype=np.float64)


def excess(truth: KnownTruth, logprobs: np.ndarray) -> Estimate:
    _, units = np.unique(truth.units, return_inverse=True)
    return estimate_mean(excess_nats(truth.probabilities, logprobs), units, unit="process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--base", default="embedded/base", help="'none' for no comparison")
    asked = parser.parse_args()
    n = FULL if asked.full else FEW
    tuned = open_model(asked.model)
    base = None if asked.base == "none" else open_model(asked.base, ModelSettings(format="colon"))
    rows = []
    predicted: list[np.ndarray] = []
    observed: list[np.ndarray] = []
    print(f"{n} questions of each kind; excess over the best possible, nats an output\n")
    print(f"{'case':<38}{'limit itself':>13}   {'tuned':<22}{'base':<24}{'covered':>8}  target")
    for name, make in CASES.items():
        start = time.perf_counter()
        truth = make(n)
        p = truth.probabilities
        entropy = float(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean())
        logprobs = logprobs_of(tuned, truth)
        ours = excess(truth, logprobs)
        theirs = None if base is None else excess(truth, logprobs_of(base, truth))
        covered = float(np.exp(logprobs).sum(axis=1).mean())
        if name.startswith("ratings"):
            several, happened = one_vs_rest(renormalised(logprobs), truth.outcomes)
            predicted.append(several)
            observed.append(happened)
        target = TARGETS.get(name)
        aim = "-" if target is None else f"<= {target} {'reached' if ours.value <= target else 'missed'}"
        seconds = time.perf_counter() - start
        print(f"{name:<38}{entropy:>13.4f}   {ours!s:<22}{theirs!s:<24}{covered:>8.4f}  {aim}  ({seconds:.0f} s)")
        rows.append(
            {
                "case": name,
                "ours": ours.to_dict(),
                "peer": None if theirs is None else theirs.to_dict(),
                "limit": entropy,
                "covered": covered,
                "ratio": None,
                "unit": "nats above the limit",
                "target": target,
            }
        )
    ece = expected_calibration_error(np.concatenate(predicted), np.concatenate(observed))
    print(f"\ncalibration error of all ratings: {ece:.4f}, target {ECE_TARGET}: {'reached' if ece <= ECE_TARGET else 'missed'}")
    rows.append({"case": "calibration error", "ours": ece, "peer": None, "ratio": None, "unit": "share", "target": ECE_TARGET})
    print(json.dumps({"benchmark": "embedded", "rows": rows}))


if __name__ == "__main__":
    main()
