"""Cards of models that never were: every part that the page has, and text that tries to break out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pluralign.estimates import Estimate, undefined
from pluralign.evals.compare import Difference
from pluralign.evals.findings import Finding, Reference
from pluralign.evals.results import NotRun
from pluralign.raters.findings import Calibration, CalibrationBin
from pluralign.report.card_data import Card, CoverageRow, Curve, CurveStep, GroupCell, Question, WorstItem
from report.made_up import ARABIC, END_OF_SVG, LONG, SCRIPT, est, shares

END_OF_STYLE = "</style><script>alert(3)</script>"
AGREE = ("strongly disagree", "disagree", "neither", "agree", "strongly agree")
TASKS = ("globaloqa", "opinionqa_groups", "urn")
GROUPS = ("Kenya", "Japan", "Brazil", SCRIPT)
KS = (0, 1, 2, 4, 8, 16, 32)


def floor(value: float, name: str = "uniform") -> Reference:
    """A reference that nobody had to sample much for."""
    return Reference(name, est(value, 0.01, n=120, unit="question"))


def js(task: str = "globaloqa", value: float = 0.12, width: float = 0.02, **other: object) -> Finding:
    """A Jensen-Shannon divergence between guessing at 0.25 and another sample of people at 0.01."""
    fields = {
        "task": task,
        "metric": "js_divergence_nats",
        "label": "Jensen-Shannon divergence",
        "scale": "nats",
        "better": "lower",
        "estimate": est(value, width, n=120, unit="country"),
        "floor": floor(0.25),
        "ceiling": floor(0.01, "resampled people"),
        "is_headline": True,
    }
    return Finding(**{**fields, **other})  # type: ignore[arg-type]  # a dict of many kinds


def alignment(value: float = 0.12, entropy: float = 0.62) -> list[Finding]:
    """Distances of whole tasks, of groups, and what else a distribution shows."""
    plain = {"floor": None, "ceiling": None}
    return [
        *(js(task, value + 0.03 * i) for i, task in enumerate(TASKS)),
        js(
            metric="entropy_ratio",
            label="Entropy, model to people",
            scale="ratio",
            better="neither",
            estimate=est(entropy, 0.05),
            is_headline=False,
            **plain,
        ),
        js(
            metric="covered_mass",
            label="Probability on the options",
            scale="share",
            better="higher",
            estimate=est(0.97, 0.01),
            is_headline=False,
            **plain,
        ),
        js(
            metric="mode_match",
            label="Same most frequent answer",
            scale="share",
            better="higher",
            estimate=est(0.55, 0.04),
            floor=floor(0.31),
            ceiling=floor(0.94, "resampled people"),
        ),
        js("habermas", estimate=undefined("all 200 requests were refused", unit="person")),
        *(js(task, value + 0.02 * g, group=group, is_headline=False) for g, group in enumerate(GROUPS) for task in TASKS),
    ]


def steerability(loss: float = 1.36) -> list[Finding]:
    """Loss by examples seen, with what learns nothing and, on one task, the limit."""
    found = [
        Finding(
            task=task,
            metric="loss_nats",
            label="Loss per output",
            scale="nats",
            better="lower",
            estimate=est(loss + 0.5 * 0.7**i, 0.05, n=80, unit="person"),
            floor=floor(loss + 0.55, "marginal"),
            ceiling=floor(loss + 0.4 * 0.6**i - 0.05, "Bayes limit") if task == "coinflip" else None,
            group=f"k = {k}",
        )
        for task in ("wvs_individual", "coinflip")
        for i, k in enumerate(KS)
    ]
    return [*found, replace(found[6], group=None, is_headline=True)]


def coverage(diversity: float = 0.7) -> list[Finding]:
    """What 100 generations of two tasks gave."""
    found = []
    for task, valid in (("rng_1_10", 0.99), ("basic_emails", 0.8)):
        measures = (("validity", valid), ("diversity", diversity), ("yield", 100 * valid * diversity))
        for metric, value in measures:
            found.append(
                Finding(
                    task=task,
                    metric=metric,
                    label=metric.capitalize(),
                    scale="outputs" if metric == "yield" else "share",
                    better="higher",
                    estimate=Estimate(value=value, low=0.9 * value, high=min(1.1 * value, 100.0), n=100, unit="output", seed=7),
                    floor=floor(0.012, "one output over and over") if metric == "diversity" else None,
                    is_headline=metric == "yield",
                )
            )
    return found


def question(i: int, sharp: float = 1.0, **other: object) -> Question:
    """A question on which the model leans `sharp` times as far as the people."""
    fields = {
        "task": "globaloqa",
        "text": f"Question {i}: should public transport be free of charge?",
        "options": AGREE,
        "people": tuple(shares(0.1 * (i % 9) - 0.3)),
        "model": tuple(shares(sharp * (0.1 * (i % 9) - 0.3) + 0.02 * (i % 40))),
        "n": 812,
        "group": GROUPS[i % 3],
    }
    return Question(**{**fields, **other})  # type: ignore[arg-type]  # a dict of many kinds


def questions(n: int = 14, sharp: float = 1.0) -> list[Question]:
    """Some plain ones, and those that try what a page can stand."""
    hostile = [
        question(101, sharp, text=f"{SCRIPT} {END_OF_STYLE} {END_OF_SVG}", options=(SCRIPT, END_OF_STYLE, "a & b", '"', "'")),
        question(102, sharp, text=LONG),
        question(103, sharp, text=ARABIC, group=None, n=None),
        question(
            104,
            sharp,
            text="Name a state.",
            options=tuple(f"state {i}" for i in range(50)),
            people=(0.02,) * 50,
            model=tuple(shares(0.2 * sharp, 50)),
        ),
        question(105, sharp, model=None, why_undefined="refusal: I cannot answer that"),
    ]
    return [*(question(i, sharp) for i in range(n)), *hostile]


def curves(loss: float = 1.36) -> list[Curve]:
    """One with a limit, one without, one with hardly a value."""

    def steps(limit: bool) -> Sequence[CurveStep]:
        return [
            CurveStep(
                k=k,
                loss=est(loss + 0.5 * 0.7**i, 0.05, unit="person"),
                limit=est(loss + 0.4 * 0.6**i - 0.05, 0.01) if limit else None,
                marginal=est(loss + 0.55, 0.03),
            )
            for i, k in enumerate(KS)
        ]

    lost = [CurveStep(k=k, loss=undefined("no sequence has so many outputs")) for k in (0, 1)]
    return [
        Curve(task="wvs_individual", steps=steps(False)),
        Curve(task="coinflip", steps=steps(True)),
        Curve(task="flight", steps=lost),
    ]


def calibration(label: str) -> Calibration:
    """Ten bins, one without a value."""
    bins = [
        CalibrationBin(predicted=0.1 * b + 0.05, observed=est(0.09 * b + 0.07, 0.03, unit="person"), n_ratings=90)
        for b in range(9)
    ]
    lost = CalibrationBin(predicted=0.97, observed=undefined("only one person"), n_ratings=2)
    return Calibration(representation="examples", label=label, ece=est(0.031, 0.008, unit="person"), bins=[*bins, lost])


def group_cells() -> list[GroupCell]:
    """Four groups by three tasks but for the last cell, and one group without a value."""
    cells = [
        GroupCell(group=group, task=task, distance=est(0.04 + 0.05 * g + 0.01 * t, 0.02, unit="question"))
        for g, group in enumerate(GROUPS)
        for t, task in enumerate(TASKS)
    ]
    return [*cells[:-1], GroupCell(group="Peru", task="urn", distance=undefined("no question was asked there"))]


def card(model: str = "hf/made-up-9b-instruct", *, sharp: float = 1.0, value: float = 0.12, n_questions: int = 14) -> Card:
    """A card with everything."""
    return Card(
        model=model,
        date="2026-03-14",
        version="0.1.0",
        seed=7,
        elicitation="logprobs",
        findings_by_evaluation={
            "alignment": alignment(value, entropy=0.62 / sharp),
            "steerability": steerability(1.2 + value),
            "coverage": coverage(0.7 / sharp),
        },
        n_questions={
            "alignment": dict.fromkeys(TASKS, 400),
            "steerability": {"wvs_individual": 300},
            "coverage": {"rng_1_10": 1},
        },
        n_records=1701,
        seconds=532.25,
        outcomes={
            "alignment": {"ok": 1100, "refusal": 60, "malformed": 40},
            "steerability": {"ok": 300},
            "coverage": {"ok": 180, "unfinished": 15, "failed": 5},
        },
        about={"alignment": "how near the model's distribution is to people's"},
        facts={"format": "chat", "precision": "bfloat16", f"note {SCRIPT}": END_OF_STYLE},
        not_run=[NotRun("alignment", "mpi", "there are no files of the source mpi")],
        questions=questions(n_questions, sharp),
        groups=group_cells(),
        curves=curves(1.2 + value),
        calibrations=[calibration("wvs_individual"), calibration("coinflip")],
        coverage=[
            CoverageRow(
                task="rng_1_10",
                n_outputs=100,
                validity=est(0.99, 0.01),
                diversity=est(0.1, 0.02),
                valid_and_different=est(9.0, 1.0),
                covered=est(0.9, 0.1),
            ),
            CoverageRow(task="basic_emails", n_outputs=100, validity=undefined("no output ended"), diversity=est(0.7, 0.05)),
        ],
        worst_items=[
            WorstItem(
                task="globaloqa",
                text=f"Item {i}: {SCRIPT if i == 1 else 'should the old bridge be closed?'}",
                measure="Jensen-Shannon divergence, nats",
                value=0.6 - 0.02 * i,
                said="agree 97%",
                wanted="agree 20%",
                group="Japan",
            )
            for i in range(5)
        ],
    )


def bare_card() -> Card:
    """One finding, which has no value."""
    return Card(
        model="m",
        date="2026-03-14",
        version="0.1.0",
        seed=0,
        elicitation="sampling",
        findings_by_evaluation={
            "alignment": [js(estimate=undefined("there is only 1 country"), floor=None, ceiling=None)],
            "jury": [],
        },
    )


def difference(run: str, value: float, width: float, p: float | None, **other: object) -> Difference:
    """A paired difference from the first run."""
    lost = math.isnan(value)
    fields = {
        "run": run,
        "evaluation": "alignment",
        "task": "globaloqa",
        "metric": "js_divergence_nats",
        "label": "Jensen-Shannon divergence",
        "scale": "nats",
        "better": "lower",
        "estimate": undefined("infinite for some items") if lost else est(value, width, n=120, unit="country"),
        "p_value": p,
        "adjusted_p_value": p,
        "n_items": 400,
        "is_headline": True,
    }
    return Difference(**{**fields, **other})  # type: ignore[arg-type]  # a dict of many kinds


def three_cards() -> dict[str, Card]:
    """A base model, its instruct sibling, and one that was tuned."""
    return {
        "base": card("hf/made-up-9b", sharp=1.2, value=0.15),
        "instruct": card("hf/made-up-9b-instruct", sharp=9.0, value=0.3),
        "tuned": card("runs/tuned", sharp=1.0, value=0.05),
    }


def differences() -> list[Difference]:
    """Better, worse, not told apart, without a value, and where neither direction is better."""
    return [
        difference("instruct", 0.15, 0.02, 0.001),
        difference("instruct", 0.01, 0.02, 0.4, task="urn"),
        difference("instruct", math.nan, 0.0, None, task="opinionqa_groups", n_undefined=3),
        difference("tuned", -0.1, 0.02, 0.001),
        difference(
            "tuned",
            0.2,
            0.05,
            0.002,
            metric="entropy_ratio",
            label="Entropy, model to people",
            scale="ratio",
            better="neither",
            is_headline=False,
        ),
        difference(
            "tuned",
            -0.12,
            0.03,
            0.001,
            evaluation="steerability",
            task="wvs_individual",
            metric="loss_nats",
            label="Loss per output",
        ),
        difference(
            "tuned",
            -0.2,
            0.03,
            0.001,
            evaluation="steerability",
            task="wvs_individual",
            metric="loss_nats",
            label="Loss per output",
            group="k = 8",
            is_headline=False,
        ),
    ]
