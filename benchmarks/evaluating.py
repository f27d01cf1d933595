"""Claim: a report card of everything that runs here takes ten minutes at most, and tells a tuned model from its base.

    python benchmarks/evaluating.py                            a few tasks, under a minute
    python benchmarks/evaluating.py --full --data-dir FOLDER   every task whose data are there; some minutes

The embedded model and its base are evaluated, and compared on the same items. Among the tasks are held-out people of the
simulated world that the embedded model was tuned on (`embedded_mixture.write_held_out`): there it has to lose less than its
base, by a paired interval over people. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from pluralign.evals.kinds import Setting
from pluralign.evaluating import PAGE, compare, evaluate
from pluralign.models import ModelSettings
from pluralign.suite.embedded_mixture import write_held_out

QUICK = ("urn", "coinflip", "rng_1_10")
EVALUATIONS = ("steerability", "alignment", "coverage")
SECONDS_TARGET, MEGABYTES_TARGET = 600.0, 5.0
MOST_K = 48
"""The embedded model's window is 1,024 tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--base", default="embedded/base")
    parser.add_argument("--keep", type=Path, help="a folder for the runs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        (part,) = write_held_out(folder / "people", ["ratings"])["ratings"]
        people = f"episodes:{folder / 'people' / Path(part['file']).name}"
        setting = Setting(limit=None if asked.full else 20, most_k=MOST_K, data_dir=asked.data_dir)
        tasks = (*(EVALUATIONS if asked.full else QUICK), people)
        seconds, pages = [], []
        for run, model, settings in (("base", asked.base, ModelSettings(format="colon")), ("tuned", asked.model, None)):
            began = time.perf_counter()
            found = evaluate(model, folder / run, tasks=tasks, setting=setting, settings=settings)
            seconds.append(time.perf_counter() - began)
            pages.append((folder / run / PAGE).stat().st_size / 1e6)
            n = sum(sum(several.values()) for several in found.n_questions.values())
            n_tasks = sum(len(several) for several in found.n_questions.values())
            print(f"{run}: {n:,} questions of {n_tasks} tasks in {seconds[-1]:.0f} s, page {pages[-1]:.2f} MB", flush=True)
        differences = compare([folder / "base", folder / "tuned"], folder / "compared.html").differences
    for one in differences:
        if one.is_headline:
            print(f"  {one.evaluation}/{one.task}: {one.label}: tuned - base {one.estimate}, adjusted p {one.adjusted_p_value}")
    steered = next(one for one in differences if one.task.startswith("episodes_") and one.metric == "loss_nats")
    rows = [
        row(f"seconds of a card of {n_tasks} tasks, {n:,} questions", seconds[1], "s", SECONDS_TARGET if asked.full else None),
        row("its page", pages[1], "MB", MEGABYTES_TARGET),
        row("loss on held-out people, tuned minus base, 1 to k* past ratings", steered.estimate.to_dict(), "nats", "below 0"),
    ]
    print(f"\nheld-out people: {steered.estimate}; {'reached' if steered.estimate.high < 0 else 'missed'}")
    print(json.dumps({"benchmark": "evaluating", "rows": rows}))


def row(case: str, ours: object, unit: str, target: object) -> dict[str, object]:
    return {"case": case, "ours": ours, "peer": None, "ratio": None, "unit": unit, "target": target}


if __name__ == "__main__":
    main()
