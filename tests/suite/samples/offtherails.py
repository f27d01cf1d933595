"""Two scenarios; two people in the first experiment, two in the second, whose codes say which text was rated."""

from __future__ import annotations

import itertools
from pathlib import Path

from suite.samples import write_csv, write_json

KINDS = [("cc", "harm", "mild"), ("coc", "harm", "mild"), ("cc", "good", "severe"), ("coc", "good", "severe")]
CONDITIONS = ["cc_evitable_action_yes", "coc_inevitable_prevention_no"]
FIRST = {
    ("11", "0"): {("1", "harm", "mild"): 2, ("0", "harm", "mild"): 3, ("1", "good", "severe"): 6, ("0", "good", "severe"): 7},
    ("12", "1"): {("1", "harm", "mild"): 1, ("0", "harm", "mild"): 4, ("1", "good", "severe"): 5, ("0", "good", "severe"): 5},
}
"""(Person, scenario) to codes to rating."""
SECOND = {("21", "0"): [(5, 2), (3, 1)], ("22", "1"): [(4, 4), (2, 3)]}
"""(Person, scenario) to the ratings of both statements about each of `CONDITIONS`."""


def write(folder: Path) -> None:
    for scenario in range(2):
        first = [
            {
                "background": f"Zoë has a plan, number {scenario}.",
                "target": f"Scenario {scenario}: a {strength} {kind} ({structure}).",
                "scenario_id": scenario,
                "structure": structure,
                "type": kind,
                "strength": strength,
            }
            for structure, kind, strength in KINDS
        ]
        write_json(folder / f"exp1_batch_{scenario}.json", first)
    for batch in range(5):
        write_json(folder / f"exp2_batch_{batch}.json", [_story(batch, condition) for condition in CONDITIONS])
    rows = [
        {"worker_id": who, "scenario_id": scenario, "rating": rating, "structure": code, "type": kind, "strength": strength}
        for (who, scenario), ratings in FIRST.items()
        for (code, kind, strength), rating in ratings.items()
    ]
    write_csv(folder / "data_combined_long_format.csv", rows)
    pairs = itertools.chain.from_iterable(
        [(who, scenario, condition, both) for condition, both in zip(CONDITIONS, given, strict=True)]
        for (who, scenario), given in SECOND.items()
    )
    write_csv(folder / "data_long_format.csv", [_row(*pair) for pair in pairs])


def _story(scenario: int, condition: str) -> dict[str, object]:
    return {
        "permissibility_question": "What Zoë did is permissible.",
        "intention_question": "Zoë meant the bad outcome.",
        "context": f"Context {scenario}.",
        "opportunity": "A chance.",
        "structure_sentence": f"Structure of {condition}.",
        "evitability_sentence": "Evitable, or not.",
        "action_sentence": "Zoë acts.",
        "scenario_id": scenario,
        "condition": condition,
    }


def _row(who: str, scenario: str, condition: str, both: tuple[int, int]) -> dict[str, object]:
    is_first = condition == CONDITIONS[0]
    return {
        "split": 0,
        "worker_id": who,
        "scenario_id": scenario,
        "permissibility_rating": both[0],
        "intention_rating": both[1],
        "causal_structure": int(is_first),
        "evitability": int(is_first),
        "action": int(is_first),
    }
