"""What should catch the eye on a report card: a model that has collapsed, misses the options, or repeats itself.

A flag is raised only where a whole 95 % interval speaks for it. It is a claim, a colon, and the numbers behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pluralign.estimates import Estimate
from pluralign.evals.findings import Finding
from pluralign.report.card_data import Card, narrowness_of
from pluralign.report.card_words import OF_DISTANCE, OF_LOSS, standing, written
from pluralign.report.formatting import count, isolate, join_words, percent, shorten

__all__ = ["all_flags", "claim", "flags", "went_wrong"]

MANY_LOST = 0.05
"""Beyond this share of requests without a usable answer the page warns."""
NAMED = 3
"""Tasks that a flag names; the tables have them all."""
_SEEN = ("resampled people", "bayes limit")
"""Ceilings that only a model which has seen the answers should pass."""


def flags(findings: Iterable[Finding]) -> list[str]:
    """What should catch the eye: sentences about findings of whole tasks, most telling first; none where nothing stands out.

        narrower, wider   `entropy_ratio` (model to people) wholly below or above 1, `entropy_difference...` below or above 0;
                          `law_entropy_ratio` where the true shares are known
        outside           `covered_mass` wholly below 0.9
        repeats           a `diversity` or `distinct` not above its floor, or wholly below 0.1
        not valid         `validity` or `valid_share` wholly below one half
        worse             worse than the floor, where that can be told
        seen              a distance or loss below that of resampled people or the Bayes limit, where that can be told
        no value          a headline number without one

    A flag is raised where the whole interval speaks for it, and names one finding of each of up to three tasks.
    """
    whole = [finding for finding in findings if finding.group is None]
    said = []
    for claim, holds in _FLAGS:
        held = sorted((finding for finding in whole if holds(finding)), key=lambda finding: not finding.is_headline)
        if held:
            first: dict[str, Finding] = {}
            for finding in held:
                first.setdefault(finding.task, finding)
            named = list(first.values())[:NAMED]
            more = [count(len(held) - len(named), "more finding")] if len(held) > len(named) else []
            said.append(f"{claim}: {'; '.join([*map(_evidence, named), *more])}.")
    return said


def all_flags(card: Card) -> list[str]:
    """The flags of the findings, whether many requests came to nothing, and, from the questions, how wide distributions are."""
    lost, findings = went_wrong(card.outcomes), card.findings
    if not any("entropy" in finding.metric and "cross" not in finding.metric for finding in findings):
        findings += narrowness_of(card.questions, seed=card.seed)
    return [*flags(findings), *([lost] if lost else [])]


def claim(flag: str) -> str:
    """A flag without its numbers.

    >>> claim("Its outputs repeat themselves: Diversity, urn, 0.1 (0.0 to 0.2).")
    'Its outputs repeat themselves.'
    """
    return f"{flag.partition(': ')[0].rstrip('.')}."


def _evidence(finding: Finding) -> str:
    label = finding.label[:1].upper() + finding.label[1:]
    return f"{label}, {isolate(shorten(finding.task, 60))}, {written(finding.estimate, finding.scale)}"


def _lies(parts: Sequence[str], where: Callable[[Estimate], bool]) -> Callable[[Finding], bool]:
    return lambda f: any(f.metric.startswith(part) for part in parts) and f.estimate.is_defined and where(f.estimate)


def _repeats(finding: Finding) -> bool:
    if finding.better != "higher" or not any(part in finding.metric for part in ("diversity", "distinct")):
        return False
    if finding.floor is None:
        return finding.estimate.is_defined and finding.estimate.high < 0.1
    return standing(finding.estimate, finding.floor.estimate, "higher") in ("unclear", "worse")


def _worse_than_floor(finding: Finding) -> bool:
    return finding.floor is not None and standing(finding.estimate, finding.floor.estimate, finding.better) == "worse"


def _may_have_seen(finding: Finding) -> bool:
    return (
        finding.ceiling is not None
        and any(part in finding.metric for part in (*OF_DISTANCE, *OF_LOSS))
        and finding.ceiling.name.lower() in _SEEN
        and standing(finding.estimate, finding.ceiling.estimate, finding.better) == "better"
    )


_FLAGS: tuple[tuple[str, Callable[[Finding], bool]], ...] = (
    ("Its distributions are narrower than people's", _lies(("entropy_ratio",), lambda e: e.high < 1)),
    ("Its distributions are narrower than the true law", _lies(("law_entropy_ratio",), lambda e: e.high < 1)),
    ("Its distributions are narrower than people's", _lies(("entropy_diff", "entropy_gap"), lambda e: e.high < 0)),
    ("Its outputs repeat themselves", _repeats),
    ("It is worse than knowing nothing", _worse_than_floor),
    ("Much of its probability lies outside the options", _lies(("covered_mass",), lambda e: e.high < 0.9)),
    ("Most of its outputs are not valid", _lies(("validity", "valid_share"), lambda e: e.high < 0.5)),
    ("Its distributions are wider than people's", _lies(("entropy_ratio",), lambda e: e.low > 1)),
    ("Its distributions are wider than the true law", _lies(("law_entropy_ratio",), lambda e: e.low > 1)),
    ("Its distributions are wider than people's", _lies(("entropy_diff", "entropy_gap"), lambda e: e.low > 0)),
    ("It passes its ceiling and may have seen these answers", _may_have_seen),
    ("A headline number has no value", lambda f: f.is_headline and not f.estimate.is_defined),
)


def went_wrong(outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """A warning where so many requests came to nothing that the findings stand on what is left; else nothing."""
    lost = {}
    for evaluation, counts in outcomes.items():
        total = sum(counts.values())
        n_lost = total - counts.get("ok", 0)
        if total and n_lost / total > MANY_LOST:
            lost[evaluation] = n_lost / total
    if not lost:
        return ""
    said = join_words([f"{percent(share)} of the requests in {isolate(shorten(name, 40))}" for name, share in lost.items()])
    return f"No usable answer came of {said}: its numbers rest on the others."
