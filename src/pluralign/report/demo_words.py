"""What the numbers of a demo say, in words. No sentence compares two numbers further than their intervals allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pluralign.demo.findings import DemoFindings, LossesRow, ModelCheck, PairFindings, WrittenProfiles
from pluralign.estimates import Estimate
from pluralign.report.formatting import count, interval_text, number, percent

__all__ = [
    "KNOWN_LABELS",
    "PART_LABELS",
    "about_calibration",
    "about_coin",
    "about_comparison",
    "about_covered",
    "about_draws",
    "about_excess",
    "about_profiles",
    "about_shares",
    "bearing_label",
    "is_embedded",
    "known_label",
    "lead",
]

KNOWN_LABELS = {
    "examples:0": "nothing",
    "attributes": "attributes",
    "profile": "true written profile",
    "both": "attributes and true profile",
    "written": "profile that the model wrote",
    "everything": "everything (values, use of the scale)",
}
PART_LABELS = {
    "coinflip": "tosses of coins",
    "categorical": "draws of categorical laws",
    "ratings": "people's ratings",
    "relevance": "relevance of values, rights and duties",
    "valence": "valence of values, rights and duties",
    "generate": "naming values, rights and duties",
}


def bearing_label(written: str) -> str:
    """A value, right or duty as a reader wants it.

    >>> bearing_label("Value: power"), bearing_label("Duty: Duty to avoid danger")
    ('power (value)', 'Duty to avoid danger')
    """
    kind, _, text = written.partition(": ")
    return f"{text} (value)" if kind == "Value" else text


def known_label(known: str) -> str:
    """
    >>> known_label("examples:0"), known_label("examples:1"), known_label("examples:16")
    ('nothing', '1 past rating', '16 past ratings')
    """
    kind, _, k = known.partition(":")
    return KNOWN_LABELS.get(known) or (count(int(k), "past rating") if kind == "examples" else known)


def is_embedded(findings: DemoFindings) -> bool:
    """Whether the two models are those of the package, of which it is known how they were trained."""
    return (findings.model, findings.base_model) == ("embedded", "embedded/base")


def lead(findings: DemoFindings) -> str:
    """The whole in three sentences."""
    coin = findings.laws[0].rows[-1]
    known = findings.row("examples:16")
    error = findings.checks["tuned"].calibration.ece
    said = [
        f"After {coin.k} tosses of a coin the tuned model loses {_of(coin.tuned_excess)} nats a toss beyond the best possible "
        f"prediction, the base model {_of(coin.base_excess)}.",
        f"Of what 16 past ratings could tell about a person, the tuned model gains {_of(known.tuned_share, percent)}, the base "
        f"model {_of(known.base_share, percent)}{_below_nothing(known)}.",
        f"The tuned model's probabilities of ratings are off by {_of(error, _points)} percentage points on average.",
    ]
    return " ".join(said)


def about_excess(row: LossesRow, after: str, per: str) -> str:
    """How far both models are from the limit."""
    return (
        f"{after} the tuned model loses {_of(row.tuned_excess)} nats a {per} beyond the best possible prediction, "
        f"the base model {_of(row.base_excess)}."
    )


def about_comparison(row: LossesRow, after: str, per: str) -> str:
    """Which of the two lost less on the same outputs, if the interval says so."""
    gap = row.base_minus_tuned
    if gap is None or not gap.is_defined:
        return f"{after} the two models cannot be compared" + (f": {gap.why_undefined}." if gap is not None else ".")
    if not gap.excludes(0):
        return (
            f"{after} the two models cannot be told apart: the difference of their losses, {_of(gap)} nats a {per}, may be 0."
        )
    better, worse = ("tuned", "base") if gap.value > 0 else ("base", "tuned")
    ends = sorted((abs(gap.low), abs(gap.high)))
    size = dataclasses.replace(gap, value=abs(gap.value), low=ends[0], high=ends[1])
    return f"{after} the {better} model loses less than the {worse} model: by {_of(size)} nats a {per}."


def about_coin(findings: DemoFindings) -> str:
    """What is shown of the one coin."""
    n = len(findings.coin_tosses)
    heads = findings.coin_tosses.count("Heads")
    return (
        f"This coin, the first of those drawn, falls on heads with a probability of {percent(findings.coin_p_heads, 1)}, which "
        f"nobody is told. Its first {n} tosses had {count(heads, 'head')}."
    )


def about_shares(row: LossesRow, known: str) -> str:
    """What part of the possible gain each model reaches."""
    return (
        f"Knowing {known}, the tuned model gains {_of(row.tuned_share, percent)} of what could be gained over the best "
        f"prediction that knows nothing, the base model {_of(row.base_share, percent)}{_below_nothing(row)}."
    )


def about_profiles(name: str, written: WrittenProfiles) -> str:
    """How true the profiles are that a model wrote."""
    return (
        f"Of the {name} model's profiles, {_of(written.readable, percent)} are written as profiles are. Of the values that "
        f"they name, {_of(written.named_true, percent)} are named by the true profile, too, on the same side; of those that "
        f"the true profiles name, {_of(written.true_named, percent)} are found."
    )


def about_draws(pair: PairFindings) -> str:
    """What came of letting both models name values, rights and duties freely."""

    def said(valid: list[int], distinct: list[int]) -> str:
        return " and ".join(f"{v} ({count(d, 'different one')})" for v, d in zip(valid, distinct, strict=True))

    return (
        f"Asked to write freely, {pair.n_draws} times for each sentence and first for the plain one, the tuned model wrote a "
        f"value, right or duty of this world {said(pair.tuned_valid, pair.tuned_distinct)} times, the base model "
        f"{said(pair.base_valid, pair.base_distinct)} times."
    )


def about_calibration(name: str, check: ModelCheck) -> str:
    """How far probabilities and what happened are apart."""
    error = check.calibration.ece
    return f"The {name} model's probabilities and what happened differ by {_of(error, _points)} percentage points on average."


def about_covered(findings: DemoFindings) -> str:
    """Where the models answer with something that is no option."""
    both = [findings.checks[which].covered["ratings"] for which in ("tuned", "base")]
    return (
        f"Asked for a rating, the tuned model gives {_of(both[0], _mass)} of its probability to the five ratings, the base "
        f"model {_of(both[1], _mass)}; the rest lies on other texts."
    )


def _below_nothing(row: LossesRow) -> str:
    """What a share below 0 means, where there is one."""
    shares = (row.tuned_share, row.base_share)
    is_below = any(share is not None and share.is_defined and share.value < 0 for share in shares)
    return " (below 0 is worse than the best prediction that knows nothing)" if is_below else ""


def _of(estimate: Estimate | None, show: Callable[[float], str] = number) -> str:
    """Value and interval inside a sentence."""
    if estimate is None:
        return "an unknown amount"
    if not estimate.is_defined:
        return f"(no value: {estimate.why_undefined})"
    return f"{show(estimate.value)} ({interval_text(estimate, show)})"


def _points(share: float) -> str:
    return number(100 * share, 1)


def _mass(share: float) -> str:
    return percent(share, 1)
