"""The report card of a model, and several cards side by side: each one HTML file that needs nothing else.

Both are pure functions of what was found. Long lists are cut so that a page stays under 5 MB whatever it is given, and each
says how much of it is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pluralign.errors import UsageError
from pluralign.estimates import Estimate
from pluralign.evals.findings import Finding, Reference
from pluralign.report import card_charts, card_flags, card_words
from pluralign.report.card_data import Card, Curve, Question
from pluralign.report.card_groups import group_tables
from pluralign.report.formatting import clean
from pluralign.report.page import page_environment

if TYPE_CHECKING:
    import jinja2

    from pluralign.evals.compare import Difference

__all__ = ["card_html", "compare_html"]

N_WORST, N_BEST = 5, 3
"""Questions shown unfolded: furthest from people, and nearest."""
MAX_QUESTIONS = 300
MAX_COMPARED = 60
"""Questions on which several models are compared."""
MAX_OPTIONS = 12
N_HEADLINES = 16
"""Shown unfolded, of all evaluations together, though at least four of each."""
MAX_HEADLINES = 200
MAX_ROWS = 2000
"""Of the tables of findings together."""
MAX_CURVES = 40
MAX_ITEMS = 50
MAX_TEXT = 1000
"""Characters of one text from data."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """The first of a list, and how many more there are."""

    shown: Sequence[Any]
    n_more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """A question with its bars: options as (text, picture, shares), the largest where there are many."""

    question: Question
    options: list[tuple[str, str, tuple[float | None, ...]]]
    n_more: int
    more: tuple[float | None, ...]
    """What the options that are not shown have together."""
    distances: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Headline:
    """A measure of several runs on one scale. `rows`: name, estimate (None where not measured), picture."""

    evaluation: str
    finding: Finding
    rows: list[tuple[str, Estimate | None, str]]


def card_html(card: Card) -> str:
    """The report card as HTML. Raises UsageError for a card without findings."""
    if not card.findings:
        raise UsageError(f"the card of {card.model} has no findings; there is nothing to show.")
    groups = group_tables(card.groups)
    calibrations = [(one, card_charts.reliability_picture(f"reliability-{i}", one)) for i, one in enumerate(card.calibrations)]
    return _rendered(
        "card.html.j2",
        card=card,
        say=card_words,
        claim=card_flags.claim,
        flags=card_flags.all_flags(card),
        headlines=_headlines(card),
        questions=_questions(card.questions),
        groups=groups,
        n_more_tasks=len({cell.task for cell in card.groups}) - sum(len(table.tasks) for table in groups),
        left_out={task: some for task, some in card.left_out.items() if some},
        curves=_cut(_curves(card.curves), MAX_CURVES, of=len(card.curves)),
        calibrations=calibrations,
        coverage=[(row, _measures(row)) for row in card.coverage],
        worst_items=_cut(list(card.worst_items), MAX_ITEMS),
        tables=_tables(card.findings_by_evaluation),
        outcome_names=_outcome_names([card]),
        max_text=MAX_TEXT,
    )


def compare_html(cards: Mapping[str, Card], differences: Sequence[Difference]) -> str:
    """Two or more cards side by side as HTML: the first is what the others are compared with.

    Keys are the runs' names, as in `differences`: "base", "instruct", "tuned". Raises UsageError for fewer than two cards, and
    for a difference of a run that has none.
    """
    if len(cards) < 2:
        raise UsageError(f"a comparison needs at least two cards, not {len(cards)}.")
    if unknown := sorted({one.run for one in differences} - set(cards)):
        raise UsageError(f"differences of runs without a card: {', '.join(unknown)}; the cards are {', '.join(cards)}.")
    first, *others = cards
    headlines = _side_by_side(cards)
    return _rendered(
        "compare.html.j2",
        cards=cards,
        first=first,
        others=others,
        say=card_words,
        claim=card_flags.claim,
        flags={name: card_flags.all_flags(card) for name, card in cards.items()},
        headlines=_cut(headlines, MAX_HEADLINES),
        n_headlines=N_HEADLINES,
        differences=_difference_tables(differences),
        n_headline=sum(one.is_headline for one in differences),
        headline_differences=[one for one in differences if one.is_headline] or differences,
        questions=_compared_questions(cards),
        curves=_cut(_compared_curves(cards), MAX_CURVES),
        outcome_names=_outcome_names(cards.values()),
        max_text=MAX_TEXT,
    )


def _rendered(template: str, **context: Any) -> str:
    environment: jinja2.Environment = page_environment()
    environment.filters["decimals"] = card_words.decimals
    return clean(environment.get_template(template).render(**context))


def _cut(rows: Sequence[Any], most: int, *, of: int | None = None) -> _Cut:
    total = len(rows) if of is None else of
    return _Cut(rows[:most], max(0, total - most))


def _headlines(card: Card) -> list[tuple[str, _Cut, _Cut]]:
    """(evaluation, headline numbers with their pictures, those that are folded) for each evaluation that has any."""
    by_name = {name: [f for f in several if f.is_headline] for name, several in card.findings_by_evaluation.items()}
    by_name = {name: several for name, several in by_name.items() if several}
    few, most = max(4, N_HEADLINES // max(1, len(by_name))), MAX_HEADLINES // max(1, len(by_name))

    def drawn(several: Sequence[Finding]) -> list[tuple[Finding, str]]:
        return [(one, _range(one)) for one in several]

    return [
        (name, _Cut(drawn(several[:few]), 0), _Cut(drawn(several[few:most]), max(0, len(several) - most)))
        for name, several in by_name.items()
    ]


def _range(finding: Finding) -> str:
    """Nothing where there is no mark to read the number against."""
    marks = [one for one in (finding.floor, finding.ceiling) if one is not None and one.estimate.is_defined]
    if not marks or not finding.estimate.is_defined:
        return ""
    return card_charts.range_picture(
        finding.estimate,
        floor=finding.floor,
        ceiling=finding.ceiling,
        scale=card_charts.scale_of([finding], better=finding.better),
        label=card_words.about_range(finding),
    )


def _answers(question: Question, models: Sequence[Question | None]) -> _Answers:
    """People's bars, then each model's; `models` holds the same question as each was asked it."""
    series = [question.people, *(None if one is None else one.model for one in models)]
    classes = ["people", *(f"run-{i % 4}" for i in range(len(models)))]
    rows = [tuple(None if shares is None else shares[i] for shares in series) for i in range(len(question.options))]
    order = list(range(len(rows)))
    if len(rows) > MAX_OPTIONS:
        order = sorted(sorted(order, key=lambda i: -max(v or 0.0 for v in rows[i]))[:MAX_OPTIONS])
    hidden = [row for i, row in enumerate(rows) if i not in set(order)]
    return _Answers(
        question=question,
        options=[(question.options[i], card_charts.bars_picture(rows[i], classes), rows[i]) for i in order],
        n_more=len(hidden),
        more=tuple(None if shares is None else sum(row[j] or 0.0 for row in hidden) for j, shares in enumerate(series)),
        distances=tuple(float("nan") if one is None else one.distance for one in models),
    )


def _questions(questions: Sequence[Question]) -> dict[str, Any]:
    """The furthest, the nearest, those between, those without a distribution, and how many are left out of the last two."""
    known = sorted((one for one in questions if one.model is not None), key=lambda one: -one.distance)
    without = [one for one in questions if one.model is None]
    few = len(known) <= N_WORST + N_BEST
    worst, best = (known, []) if few else (known[:N_WORST], known[-N_BEST:][::-1])
    between = [] if few else known[N_WORST:-N_BEST]
    room = max(0, MAX_QUESTIONS - len(worst) - len(best))
    folded = _cut(between, room)
    lost = _cut(without, max(0, room - len(folded.shown)))
    parts = {"worst": worst, "best": best, "between": folded.shown, "without": lost.shown}
    return {
        "total": len(questions),
        **{name: [_answers(one, [one]) for one in part] for name, part in parts.items()},
        "n_more_between": folded.n_more,
        "n_more_without": lost.n_more,
    }


def _curves(curves: Sequence[Curve]) -> list[tuple[Curve, str]]:
    return [(one, card_charts.curve_picture(f"curve-{i}", one)) for i, one in enumerate(curves[:MAX_CURVES])]


def _measures(row: Any) -> list[tuple[str, Estimate | None, str, bool]]:
    """(label, estimate, bar, whether it is a share) of each measure of coverage."""
    shares = (("valid", row.validity), ("different among the valid", row.diversity), ("covered of all there are", row.covered))
    several = [(label, e, card_charts.measure_picture(e, 1.0), True) for label, e in shares]
    of_yield = card_charts.measure_picture(row.valid_and_different, float(row.n_outputs))
    several.insert(2, ("valid and different", row.valid_and_different, of_yield, False))
    return several


def _tables(findings: Mapping[str, Sequence[Finding]]) -> list[tuple[str, _Cut]]:
    """Each evaluation's findings: headlines, then whole tasks, then parts of tasks."""
    most = MAX_ROWS // max(1, len(findings))

    def place(finding: Finding) -> tuple[bool, bool]:
        return not finding.is_headline, finding.group is not None

    return [(name, _cut(sorted(several, key=place), most)) for name, several in findings.items()]


def _outcome_names(cards: Any) -> list[str]:
    names = [outcome for card in cards for counts in card.outcomes.values() for outcome in counts]
    return sorted(dict.fromkeys(names), key=lambda name: name != "ok")


def _side_by_side(cards: Mapping[str, Card]) -> list[_Headline]:
    """Headline measures of any run, each with the estimates of all runs on one scale."""
    found: dict[tuple[str, str, str, str | None], dict[str, Finding]] = {}
    for name, card in cards.items():
        for evaluation, several in card.findings_by_evaluation.items():
            for one in several:
                found.setdefault((evaluation, one.task, one.metric, one.group), {})[name] = one
    kept = [(key, of_runs) for key, of_runs in found.items() if any(one.is_headline for one in of_runs.values())]
    return [_headline(key[0], of_runs, list(cards)) for key, of_runs in kept]


def _headline(evaluation: str, of_runs: Mapping[str, Finding], names: Sequence[str]) -> _Headline:
    one = next(iter(of_runs.values()))
    scale = card_charts.scale_of(of_runs.values(), better=one.better)
    rows = []
    for i, name in enumerate(names):
        finding = of_runs.get(name)
        picture = ""
        if finding is not None:
            picture = card_charts.range_picture(
                finding.estimate,
                floor=finding.floor,
                ceiling=finding.ceiling,
                scale=scale,
                label=f"{name}: {card_words.about_range(finding)}",
                run=i,
            )
        rows.append((name, None if finding is None else finding.estimate, picture))
    return _Headline(evaluation=evaluation, finding=one, rows=rows)


def _difference_tables(differences: Sequence[Difference]) -> list[tuple[str, _Cut]]:
    """By evaluation, each difference with its picture, headlines first and groups last; one measure has one scale."""
    grouped: dict[str, list[Difference]] = {}
    for one in differences:
        grouped.setdefault(one.evaluation, []).append(one)
    most = MAX_ROWS // max(1, len(grouped))
    return [(name, _cut(_drawn(sorted(several, key=_place)), most)) for name, several in grouped.items()]


def _place(difference: Difference) -> tuple[bool, bool]:
    return difference.group is not None, not difference.is_headline


def _drawn(several: Sequence[Difference]) -> list[tuple[Difference, str]]:
    scales = {}
    for metric in {one.metric for one in several}:
        same = [_as_finding(one) for one in several if one.metric == metric]
        scales[metric] = card_charts.scale_of(same, better=same[0].better)
    return [
        (
            one,
            card_charts.difference_picture(
                one.estimate,
                scale=scales[one.metric],
                label=card_words.about_difference(one),
                clear=card_words.verdict(one) in ("better", "worse", "different"),
            )
            if one.estimate.is_defined
            else "",
        )
        for one in several
    ]


def _as_finding(difference: Difference) -> Finding:
    """With no difference as its floor, so that a scale has a place for it."""
    nothing = replace(difference.estimate, value=0.0, low=0.0, high=0.0, why_undefined=None)
    return Finding(
        task=difference.task,
        metric=difference.metric,
        label=difference.label,
        scale=difference.scale,
        better=difference.better,
        group=difference.group,
        estimate=difference.estimate,
        floor=Reference("no difference", nothing),
    )


def _compared_questions(cards: Mapping[str, Card]) -> _Cut:
    """Questions that every run was asked, those first on which their distances from people differ most."""
    tables = [{_key(one): one for one in card.questions} for card in cards.values()]
    common = [key for key in tables[0] if all(key in table for table in tables[1:])]
    answered = [[table[key] for table in tables] for key in common]

    def apart(several: list[Question]) -> float:
        known = [one.distance for one in several if one.model is not None]
        return max(known) - min(known) if len(known) > 1 else -1.0

    answered.sort(key=apart, reverse=True)
    shown = [_answers(several[0], several) for several in answered[:MAX_COMPARED]]
    return _cut(shown, MAX_COMPARED, of=len(answered))


def _key(question: Question) -> tuple[Any, ...]:
    return question.task, question.group, question.text, question.options


def _compared_curves(cards: Mapping[str, Card]) -> list[tuple[str, Curve, str]]:
    """Each other run's curves beside the first run's: (run, curve, picture)."""
    (_, first), *others = cards.items()
    by_task = {curve.task: curve for curve in first.curves}
    pairs = [(name, curve) for name, card in others for curve in card.curves if curve.task in by_task]
    return [
        (name, curve, card_charts.curve_picture(f"curve-{i}", curve, by_task[curve.task]) if i < MAX_CURVES else "")
        for i, (name, curve) in enumerate(pairs)
    ]
