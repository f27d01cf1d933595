"""What the numbers of a report card say, in words.

Two numbers are compared only where their 95 % intervals do not overlap; where they do, the sentence says that they cannot be
told apart. (Intervals that do not overlap are a stricter test than an interval of the difference, however the two are tied.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pluralign.estimates import Estimate
from pluralign.evals.findings import Finding, Reference
from pluralign.report.card_data import Card, Curve, Question
from pluralign.report.formatting import count, estimate_text, isolate, join_words, number, percent, shorten

if TYPE_CHECKING:
    from pluralign.evals.compare import Difference

__all__ = [
    "about_curve",
    "about_difference",
    "about_finding",
    "about_outcomes",
    "about_pair",
    "about_question",
    "about_range",
    "decimals",
    "how_asked",
    "lead",
    "outcome_label",
    "reference_words",
    "standing",
    "unit_words",
    "units",
    "verdict",
    "written",
]

Standing = Literal["better", "worse", "unclear"]

SHARE = "share"
OUTCOMES = {
    "ok": "answered",
    "refusal": "refused",
    "malformed": "in no form that could be read",
    "failed": "without a reply",
    "unfinished": "cut off by the limit",
    "length": "cut off by the limit",
}
_ELICITATION = {
    "logprobs": "read off the model's own probabilities",
    "sampling": "counted over samples of the model",
    "verbalised": "written down by the model when it was asked for shares",
}
_REFERENCES = {
    "uniform": "guessing",
    "resampled people": "another sample of people",
    "bayes limit": "the best possible prediction",
    "shares of outputs among other units": "the shares of outputs among others",
}
_BETWEEN = {
    "wording_sensitivity": "wordings of a question",
    "order_sensitivity": "orders of a question's options",
    "elicitation_sensitivity": "ways of having a distribution",
}
"""Measures of how far a model's own distributions are apart, and what they are of."""
OF_DISTANCE = ("divergence", "distance", "kl_", "wasserstein", "total_variation")
"""Parts of the names of distances to people or to a law."""
OF_LOSS = ("loss", "nll", "cross_entropy", "perplexity")
"""Parts of the names of losses."""


def decimals(estimate: Estimate) -> int:
    """Three, or fewer for large numbers.

    >>> decimals(Estimate(value=37.5, low=30.0, high=41.0, n=9, unit="output", seed=0))
    1
    """
    sizes = [abs(end) for end in (estimate.value, estimate.low, estimate.high) if math.isfinite(end)]
    return 3 if max(sizes, default=0.0) < 10 else 1


def written(estimate: Estimate, scale: str) -> str:
    """Value and interval on the scale of the finding, or why there is none."""
    show = _percent if scale == SHARE else lambda value: number(value, decimals(estimate))
    return estimate_text(estimate, show)


def unit_words(scale: str) -> str:
    """The unit behind a number: nothing after a percentage, the ends of a scale that has two.

    >>> unit_words("nats"), unit_words("share"), unit_words("0..1")
    ('nats', '', '(0 to 1)')
    """
    if scale == SHARE:
        return ""
    low, dots, high = scale.partition("..")
    return f"({low} to {high})" if dots else isolate(shorten(scale, 40))


def units(n: int, unit: str) -> str:
    """A number of units with the unit's plural.

    >>> units(1, "person"), units(2, "person"), units(3, "country"), units(4, "question"), units(5, "survey")
    ('1 person', '2 people', '3 countries', '4 questions', '5 surveys')
    """
    if n == 1:
        return f"1 {unit}"
    if unit == "person":
        return f"{n:,} people"
    if unit.endswith("y") and unit[-2:-1] not in "aeiou":
        return f"{n:,} {unit[:-1]}ies"
    return count(n, unit)


def reference_words(reference: Reference) -> str:
    """What a floor or ceiling is, inside a sentence."""
    return _REFERENCES.get(reference.name.lower(), isolate(shorten(reference.name, 60)))


def standing(estimate: Estimate, other: Estimate, better: str) -> Standing | None:
    """How an estimate stands to another; None where either has no value, or neither direction is better."""
    if not (estimate.is_defined and other.is_defined) or better == "neither":
        return None
    if estimate.low > other.high:
        return "better" if better == "higher" else "worse"
    if estimate.high < other.low:
        return "better" if better == "lower" else "worse"
    return "unclear"


def about_finding(finding: Finding) -> str:
    """How a finding stands between its floor and its ceiling: the sentence under a headline number."""
    if not finding.estimate.is_defined:
        return f"There is no value: {finding.estimate.why_undefined}."
    if finding.better == "neither":
        return "Higher is not better here, and neither is lower."
    if finding.metric in _BETWEEN:
        return _about_change(finding)
    above_floor = _clause(finding, finding.floor, is_floor=True)
    below_ceiling = _clause(finding, finding.ceiling, is_floor=False)
    if finding.floor is not None and standing(finding.estimate, finding.floor.estimate, finding.better) == "worse":
        below_ceiling = ""
    said = ", ".join(part for part in (above_floor, below_ceiling) if part)
    if not said:
        better = "Lower" if finding.better == "lower" else "Higher"
        return f"{better} is better; there is nothing here to read it against."
    return f"{said[0].upper()}{said[1:]}."


def _about_change(finding: Finding) -> str:
    """How much of a model's answers changes, and how much of that chance alone would change."""
    said = f"Between two {_BETWEEN[finding.metric]} {percent(finding.estimate.value)} of its answers change, in the mean"
    chance = None if finding.ceiling is None else finding.ceiling.estimate
    if chance is None or not chance.is_defined:
        return f"{said}."
    if standing(finding.estimate, chance, finding.better) == "worse":
        return f"{said}; drawing anew alone changes {percent(chance.value)}."
    return f"{said}: not more than drawing anew alone, as far as can be told."


def _clause(finding: Finding, reference: Reference | None, *, is_floor: bool) -> str:
    if reference is None:
        return ""
    name, stands = reference_words(reference), standing(finding.estimate, reference.estimate, finding.better)
    if stands is None:
        return f"{name} has no value: {reference.estimate.why_undefined}"
    if stands == "unclear":
        return f"cannot be told apart from {name}"
    if any(part in finding.metric for part in OF_DISTANCE):
        if is_floor:
            return (
                f"nearer to {_whom(finding)} than {name}"
                if stands == "better"
                else f"further from {_whom(finding)} than {name}"
            )
        return f"{'nearer' if stands == 'better' else 'further'} than {name} would be"
    if any(part in finding.metric for part in OF_LOSS):
        if stands == "better":
            return f"predicts better than {name}"
        return f"predicts worse than {name}" if is_floor else f"not as well as {name}"
    if is_floor:
        return f"{stands} than {name}"
    return f"beyond {name}" if stands == "better" else f"short of {name}"


def _whom(finding: Finding) -> str:
    names = [one.name.lower() for one in (finding.floor, finding.ceiling) if one is not None]
    return "people" if any("people" in name for name in names) else "the true shares"


def about_range(finding: Finding) -> str:
    """The picture of a headline number, for those who cannot see it."""
    marks = [
        f"{which}, {one.name}: {written(one.estimate, finding.scale)}"
        for which, one in (("floor", finding.floor), ("ceiling", finding.ceiling))
        if one is not None
    ]
    return "; ".join([f"{finding.label}, {finding.task}: {written(finding.estimate, finding.scale)}", *marks])


def lead(card: Card) -> str:
    """What was done, in two sentences."""
    asked = sum(sum(tasks.values()) for tasks in card.n_questions.values())
    of = f"{count(asked, 'question')} of {count(card.n_tasks, 'task')}" if asked else count(card.n_tasks, "task")
    evaluations = count(len(card.findings_by_evaluation), "evaluation")
    were = "was" if (asked or card.n_tasks) == 1 else "were"
    return f"{of} in {evaluations} {were} put to this model. {about_outcomes(_pooled(card.outcomes))}"


def how_asked(card: Card) -> str:
    """Where the model's distributions came from."""
    said = _ELICITATION.get(card.elicitation)
    return f"{card.elicitation}: {said}" if said else card.elicitation


def outcome_label(outcome: str) -> str:
    """What came of a request, in words."""
    return OUTCOMES.get(outcome, outcome)


def about_outcomes(outcomes: Mapping[str, int]) -> str:
    """How many requests came to what.

    >>> about_outcomes({"ok": 90, "refusal": 8, "malformed": 2})
    'Of 100 requests 90 (90%) were answered, 8 (8%) refused and 2 (2%) in no form that could be read.'
    """
    total = sum(outcomes.values())
    if not total:
        return "What came of the requests was not counted."
    if outcomes.get("ok", 0) == total:
        return f"All {total:,} requests were answered." if total > 1 else "The one request was answered."
    answered, *others = [(k, n) for k, n in sorted(outcomes.items(), key=lambda pair: pair[0] != "ok") if n or k == "ok"]
    if answered[0] != "ok":
        answered, others = ("ok", 0), [answered, *others]
    parts = [f"{n:,} ({percent(n / total)}) {'were ' if k == 'ok' else ''}{outcome_label(k)}" for k, n in (answered, *others)]
    return f"Of {total:,} requests {join_words(parts)}."


def _pooled(outcomes: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    pooled: dict[str, int] = {}
    for counts in outcomes.values():
        for outcome, n in counts.items():
            pooled[outcome] = pooled.get(outcome, 0) + n
    return pooled


def about_question(question: Question) -> str:
    """How far the model is from the people on one question."""
    behind = "" if question.n is None else f" Shares of {units(question.n, 'person')}."
    if question.model is None:
        return f"The model gave no distribution: {question.why_undefined or 'no reason is recorded'}.{behind}"
    return f"{percent(question.distance)} of the answers would have to change.{behind}"


def about_curve(curve: Curve) -> str:
    """The two ends of a curve, and whether the examples helped."""
    known = [step for step in curve.steps if step.loss.is_defined]
    if len(known) < 2:
        return "The loss has a value at fewer than two numbers of examples."
    first, last = known[0], known[-1]
    ends = (
        f"Loss {written(first.loss, curve.scale)} after {count(first.k, 'example')}, "
        f"{written(last.loss, curve.scale)} after {last.k:,}."
    )
    stands = standing(last.loss, first.loss, "lower")
    said = {"better": "The examples help.", "worse": "The examples do harm."}.get(stands or "")
    return f"{ends} {said or 'The intervals overlap: whether the examples help cannot be told from these two.'}"


def verdict(difference: Difference) -> Literal["better", "worse", "different", "not told apart", "no value"]:
    """What a paired difference comes to, at 5 % over all differences; "different" where neither direction is better."""
    estimate = difference.estimate
    if not estimate.is_defined:
        return "no value"
    if not (difference.is_clear and estimate.excludes(0)):
        return "not told apart"
    if difference.better == "neither":
        return "different"
    return "better" if (estimate.value > 0) == (difference.better == "higher") else "worse"


def about_difference(difference: Difference) -> str:
    """The picture of a difference, for those who cannot see it."""
    said = verdict(difference)
    part = difference.task if difference.group is None else f"{difference.task}, {difference.group}"
    return f"{difference.label}, {part}: {written(difference.estimate, difference.scale)}, {said}"


def about_pair(run: str, first: str, differences: Sequence[Difference]) -> str:
    """On how many measures a run is better than the first, worse, and neither."""
    of_run = [one for one in differences if one.run == run]
    tally: dict[str, int] = {}
    for one in of_run:
        tally[verdict(one)] = tally.get(verdict(one), 0) + 1
    words = {
        "better": "better on {}",
        "worse": "worse on {}",
        "different": "different on {} where neither direction is better",
        "not told apart": "not told apart on {}",
        "no value": "without a value on {}",
    }
    parts = [text.format(tally[name]) for name, text in words.items() if name in tally]
    ours, theirs = isolate(shorten(run, 60)), isolate(shorten(first, 60))
    if not parts:
        return f"{ours} has no task in common with {theirs}."
    return f"Against {theirs}, over {count(len(of_run), 'measure')}, {ours} is {join_words(parts)}."


def _percent(share: float) -> str:
    return percent(share, 1)
