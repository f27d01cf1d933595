"""The section on a language model in words; wording as in `sentences`."""

from __future__ import annotations

from pluralign.estimates import Estimate
from pluralign.raters.findings import LanguageFindings
from pluralign.report.formatting import count, interval_text, isolate, number, percent

__all__ = ["about_agreement", "about_matching", "about_share", "about_study"]


def about_study(found: LanguageFindings) -> str:
    """Who was asked about whom."""
    left_out = (
        f" {count(found.n_without_text, 'rater')} without a profile {'was' if found.n_without_text == 1 else 'were'} left out."
        if found.n_without_text
        else ""
    )
    return (
        f"The model {isolate(found.model)} was asked about {count(found.n_ratings, 'held-out rating')} by "
        f"{count(found.n_raters, 'rater')}.{left_out}"
    )


def about_share(found: LanguageFindings) -> str:
    """The split of what is uncertain."""
    share = found.epistemic_share
    if not share.is_defined:
        return f"What knowing the rater takes away of the uncertainty has no value: {share.why_undefined}."
    return (
        f"Of the uncertainty that is left when nothing is known of a rater, {percent(share.value)} "
        f"({_interval(share)}) goes away when the model knows of the rater: {isolate(found.known_label)}. "
        "That part lies between people. "
        "The rest lies within them, or is not in what the model was told, or the model cannot use it."
    )


def about_matching(found: LanguageFindings) -> str:
    """The matching test."""
    test = found.matching
    if not test.accuracy.is_defined:
        return f"Whether predictions can be told apart has no value: {test.accuracy.why_undefined}."
    left = f" {count(test.n_not_testable, 'item')} had no two raters who differ." if test.n_not_testable else ""
    return (
        f"On {count(test.n_items, 'item')}, take the two raters who answered differently and whose predictions differ most. "
        f"Which prediction belongs to whom is told right {percent(test.accuracy.value)} of the time "
        f"({_interval(test.accuracy)}); by chance it would be 50%.{left}"
    )


def about_agreement(found: LanguageFindings) -> str:
    """Simulated beside observed agreement."""
    one = found.agreement
    if not (one.simulated.is_defined and one.observed.is_defined):
        return f"How often simulated people agree has no value: {one.simulated.why_undefined}."
    said = (
        f"Two raters of the same item answered alike {percent(one.observed.value)} of the time ({_interval(one.observed)}); "
        f"two draws from what the model predicts for them are alike {percent(one.simulated.value)} of the time "
        f"({_interval(one.simulated)})."
    )
    if not one.correlation.is_defined:
        return f"{said} Whether the two rise together over items has no value: {one.correlation.why_undefined}."
    return (
        f"{said} Over items the two correlate with {number(one.correlation.value, 2)} "
        f"(95% interval {interval_text(one.correlation, lambda value: number(value, 2))})."
    )


def _interval(estimate: Estimate) -> str:
    return f"95% interval {interval_text(estimate, percent)}"
