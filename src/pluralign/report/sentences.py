"""What the numbers say, in words: pure functions from findings to sentences.

Rules of wording: a value is "about" so much and carries its 95 % interval; an interval that includes 0 "cannot be told from
nothing"; a value that is undefined says why; and no sentence compares two values further than their intervals allow without
saying that it speaks of the estimates alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pluralign.estimates import Estimate
from pluralign.raters.findings import (
    Agreement,
    AttributeSummary,
    Calibration,
    Clustering,
    DataSummary,
    Findings,
    Information,
    InformationRow,
)
from pluralign.report.formatting import (
    count,
    factor_decimals,
    interval_text,
    isolate,
    join_words,
    number,
    percent,
    short_factor,
    shorten,
)

__all__ = [
    "about_alpha",
    "about_attributes",
    "about_calibration",
    "about_clustering",
    "about_clusters",
    "about_data",
    "about_entropy",
    "about_examples",
    "about_item",
    "about_joint",
    "about_knowledge",
    "about_load",
    "about_pairs",
    "about_row",
    "about_scale",
    "about_scoring",
    "about_truth",
    "about_unused",
    "kept_denominator",
    "most_examples",
    "n_examples",
    "stands_out",
    "summary",
    "tells_beyond_chance",
]

SIGNIFICANT = 0.05
NAMED = 6
"""How many attributes a sentence names; the table has them all."""


def summary(findings: Findings) -> str:
    """The paragraph at the top of the page."""
    information = findings.information
    parts = [
        about_data(findings.data),
        about_pairs(findings.agreement),
        about_attributes(information),
        about_examples(information),
        about_clusters(findings.clusterings),
    ]
    return " ".join(part for part in parts if part)


def about_data(data: DataSummary) -> str:
    """How much of what."""
    raters, items = count(data.n_raters, "rater"), count(data.n_items, "item")
    said = (
        f"{count(data.n_ratings, 'rating')} by {raters} of {items} "
        f"{'was' if data.n_ratings == 1 else 'were'} studied; each is one of {len(data.options)} options."
    )
    if data.n_ratings_modelled == data.n_ratings:
        return said
    return (
        f"{said} What knowing a rater tells, and which groups there are, was learned from and measured on "
        f"{count(data.n_raters_modelled, 'rater')} drawn by chance, with {count(data.n_ratings_modelled, 'rating')}."
    )


def about_scale(data: DataSummary) -> str:
    """Whether the options have an order."""
    kinds = {
        "nominal": "The options have no order (a nominal scale).",
        "ordinal": "The options are in order (an ordinal scale); nothing is assumed about the distances between them.",
        "interval": "The options are numbers whose differences mean something (an interval scale).",
    }
    return kinds.get(data.scale_kind, f"The scale is of the kind {data.scale_kind}.")


def about_load(data: DataSummary) -> str:
    """How many ratings raters gave and items got."""
    (least, half, most), (fewest, middle, largest) = data.ratings_per_rater, data.ratings_per_item
    return (
        f"Half of the raters gave {count(half, 'rating')} or more (the fewest {least:,}, the most {most:,}); "
        f"half of the items have {count(middle, 'rating')} or more (the fewest {fewest:,}, the most {largest:,})."
    )


def about_pairs(agreement: Agreement) -> str:
    """How often two raters agree, beside coincidence."""
    same, chance = agreement.pair_agreement, agreement.chance_agreement
    if not same.is_defined:
        return f"How often two raters agree on an item has no value: {same.why_undefined}."
    said = (
        f"Two raters of the same item give the same answer about {percent(same.value)} of the time ({_interval(same, percent)})"
    )
    if not chance.is_defined:
        return f"{said}; how often they would by coincidence has no value: {chance.why_undefined}."
    return f"{said}; by coincidence alone it would be about {percent(chance.value)}."


def about_alpha(agreement: Agreement) -> str:
    """Krippendorff's alpha and what its two intervals mean."""
    items, raters = agreement.alpha_other_items, agreement.alpha_other_raters
    known = next((alpha for alpha in (items, raters) if alpha.is_defined), None)
    if known is None:
        return f"Krippendorff's alpha has no value: {items.why_undefined}."
    parts = [f"Krippendorff's alpha is about {number(known.value, 2)}."]
    for alpha, other in ((items, "items"), (raters, "raters")):
        if not alpha.is_defined:
            parts.append(f"How far it depends on which {other} happened to be in the data is not known: {alpha.why_undefined}.")
        else:
            parts.append(f"With other {other} of the same sort it might lie anywhere from {interval_text(alpha, _two)}.")
    if any(alpha.is_defined and not alpha.excludes(0) for alpha in (items, raters)):
        parts.append("An interval includes 0: the agreement cannot be told from coincidence.")
    return " ".join(parts)


def about_entropy(agreement: Agreement, n_options: int) -> str:
    """How spread out the answers to one item are."""
    entropy, most = agreement.item_entropy_nats, math.log(n_options)
    if not entropy.is_defined:
        return f"How spread out the answers to an item are has no value: {entropy.why_undefined}."
    return (
        f"The answers to an item are spread out by about {number(entropy.value, 2)} nats of entropy on average "
        f"({_interval(entropy, _two)}); 0 would mean that everybody gives the same answer, and {number(most, 2)} that "
        f"all {n_options} options are chosen equally often."
    )


def about_item(information: Information) -> str:
    """What the item itself tells, before anything is known about the rater."""
    whole = information.entropy_nats
    nothing = next((row.loss_nats for row in information.rows if row.kind == "nothing"), None)
    if nothing is None or not (whole.is_defined and nothing.is_defined):
        return ""
    return (
        f"Without knowing item or rater, a held-out answer costs about {number(whole.value)} nats to predict; "
        f"knowing the item, but nothing about the rater, about {number(nothing.value)} nats."
    )


def about_row(row: InformationRow) -> str:
    """What one representation tells about a rater's held-out answers."""
    told, known = row.information_nats, _known(row)
    if not told.is_defined:
        return f"What knowing {known} tells has no value: {told.why_undefined}."
    if not told.excludes(0):
        return (
            f"What knowing {known} tells cannot be told from nothing: the 95% interval, {interval_text(told)} nats, includes 0."
        )
    effect = (
        f"multiplies the probability given to the actual answer by about {_factor(told)(told.value)} on average "
        f"({_interval(told, _factor(told))})"
    )
    return f"Knowing {known} {effect}." if told.value > 0 else f"Knowing {known} makes predictions worse: it {effect}."


def about_attributes(information: Information) -> str:
    """All attributes together, then how many stand out alone."""
    single = [row for row in information.rows if row.kind == "attribute"]
    together = [row for row in information.rows if row.kind == "attributes"]
    parts = [about_row(row) for row in together]
    if single:
        names = [isolate(shorten(row.label, 40)) for row in single if stands_out(row)]
        tested = any(row.p_holm is not None for row in single)
        bar = " (interval above 0, and p at most 0.05 after correction)" if tested else " (interval above 0)"
        parts.append(_how_many(names, len(single), bar))
    return " ".join(parts)


def about_unused(attributes: Sequence[AttributeSummary]) -> str:
    """How many attributes were used, and how many not."""
    used = sum(attribute.used for attribute in attributes)
    if not attributes:
        return "The data say nothing about the raters beyond their ratings: there are no attributes."
    left = len(attributes) - used
    said = f"{count(len(attributes), 'attribute')} of the raters {'is' if len(attributes) == 1 else 'are'} in the data"
    if not left:
        return f"{said}; {'it was' if used == 1 else 'all were'} used."
    return f"{said}; {used:,} {'was' if used == 1 else 'were'} used and {left:,} not."


def about_truth(information: Information) -> str:
    """Simulated people only: how many intervals hold the true value."""
    known = [row for row in information.rows if row.truth_nats is not None and row.information_nats.is_defined]
    if not known:
        return ""
    held = sum(bool(row.holds_truth) for row in known)
    values = "the true value is" if len(known) == 1 else "the true values are"
    hold = "holds" if held == 1 else "hold"
    said = f"These people were simulated, so {values} known: {held} of {count(len(known), 'interval')} {hold} the true value"
    jointly = [row.holds_truth_jointly for row in known if row.holds_truth_jointly is not None]
    return f"{said}, and {sum(jointly):,} of the {len(jointly):,} wider ones." if jointly else f"{said}."


def about_joint(information: Information) -> str:
    """What the thin lines are for; nothing where there are none."""
    n = sum(row.joint_low is not None for row in information.rows)
    if n < 2:
        return ""
    return (
        f"Each thick line is a 95% interval for its row alone; among {n} rows it is no surprise if one is off. "
        f"The thin lines are longer: in 95 of 100 studies none of the {n} is off. "
        "They are the ones to go by when picking rows out of the list."
    )


def about_scoring(information: Information) -> str:
    """How much was held out and scored."""
    ratings = count(information.n_evaluated, "held-out rating")
    were = "was" if information.n_evaluated == 1 else "were"
    said = f"{ratings} {were} scored, over {count(information.n_seeds, 'random split')}."
    if not information.permutations:
        return f"{said} No permutation test was run."
    return f"{said} p-values come from {count(information.permutations, 'permutation')} of the raters."


def most_examples(information: Information) -> InformationRow | None:
    """The row with the largest number of past ratings: the denominator of `kept`."""
    rows = [row for row in information.rows if row.kind == "examples"]
    return max(rows, key=n_examples, default=None)


def n_examples(row: InformationRow) -> int:
    """The n of "examples:n"."""
    return int(row.representation.rpartition(":")[2])


def kept_denominator(information: Information) -> str:
    """What `kept` is a share of."""
    most = most_examples(information)
    if most is None:
        return "No past ratings were tried, so there is nothing to express the information as a share of."
    if not most.information_nats.is_defined:
        return f"There is no share kept, because what {most.label} tell has no value: {most.information_nats.why_undefined}."
    told = number(most.information_nats.value)
    return (
        f"Share kept: the information as a share of what {most.label} {_tell(most)}, {told} nats. "
        "It can exceed 100% or be negative."
    )


def about_examples(information: Information) -> str:
    """The learning curve in words, and how many past ratings the attributes are worth."""
    rows = sorted((row for row in information.rows if row.kind == "examples"), key=n_examples)
    if not rows:
        return ""
    said = about_row(rows[-1])
    together = next((row.information_nats for row in information.rows if row.kind == "attributes"), None)
    if together is None or not together.is_defined or together.low <= 0:
        return said
    enough = [row for row in rows if row.information_nats.is_defined and row.information_nats.value >= together.value]
    if not enough:
        return f"{said} None of the numbers of past ratings tried reaches the estimate for all attributes together."
    return f"{said} By the estimates alone, {enough[0].label} {_tell(enough[0])} at least as much as all attributes together."


def about_clusters(clusterings: Sequence[Clustering]) -> str:
    """Which numbers of groups tell something beyond chance."""
    beyond = [f"{c.k}" for c in clusterings if tells_beyond_chance(c)]
    not_beyond = [f"{c.k}" for c in clusterings if not tells_beyond_chance(c)]
    if not clusterings:
        return ""
    sorting = "Sorting the raters by their past ratings into"
    fails = "does not tell anything that can be told from chance"
    if not beyond:
        return f"{sorting} {_or(not_beyond)} groups {fails}."
    said = f"{sorting} {_or(beyond)} groups tells something beyond chance"
    return f"{said}; into {_or(not_beyond)} groups it {fails}." if not_beyond else f"{said}."


def tells_beyond_chance(clustering: Clustering) -> bool:
    """The permutation test speaks against chance, and the interval of the gain lies above 0."""
    return clustering.gains_beyond_chance and clustering.information_nats.is_defined and clustering.information_nats.low > 0


def about_clustering(clustering: Clustering) -> str:
    """The held-out gain of one number of clusters."""
    told = clustering.information_nats
    if not told.is_defined:
        return f"What the group of a rater tells about the rater's held-out answers has no value: {told.why_undefined}."
    size = f"about {number(told.value)} nats per rating ({_interval(told, number)}; p\u00a0{_p(clustering.p_value)})"
    if not told.excludes(0):
        unclear = "The interval includes 0: it cannot be told from nothing."
        return f"Knowing the group of a rater tells {size} about held-out answers. {unclear}"
    effect = f"multiplies the probability given to the actual answer by about {_factor(told)(told.value)} on average"
    if told.value < 0:
        return f"Knowing the group of a rater makes predictions of held-out answers worse: {size}, which {effect}."
    if not clustering.gains_beyond_chance:
        chance = "The interval lies above 0, but groups made by chance do as well too often to count this as a gain."
        return f"Knowing the group of a rater tells {size} about held-out answers. {chance}"
    return f"Knowing the group of a rater tells {size} about held-out answers, which {effect}."


def about_knowledge(label: str) -> str:
    """What was known when a rater's loss was measured.

    >>> about_knowledge("32 past ratings"), about_knowledge("nothing")
    ('with 32 past ratings known', 'with nothing known about the rater')
    """
    return "with nothing known about the rater" if label == "nothing" else f"with {label} known"


def about_calibration(calibration: Calibration) -> str:
    """How far predicted probabilities are from observed shares."""
    if not calibration.ece.is_defined:
        return f"The calibration error has no value: {calibration.ece.why_undefined}."
    points = number(100 * calibration.ece.value, 1)
    ends = interval_text(calibration.ece, lambda share: number(100 * share, 1))
    differ = f"differ by about {points} percentage points on average (95% interval {ends})"
    return f"Predicted probabilities and observed shares {differ}."


def stands_out(row: InformationRow) -> bool:
    """The interval lies above 0 and, where the row was tested, the corrected p-value is at most 0.05."""
    return (
        row.information_nats.is_defined and row.information_nats.low > 0 and (row.p_holm is None or row.p_holm <= SIGNIFICANT)
    )


def _how_many(names: list[str], total: int, bar: str) -> str:
    if total == 1:
        return f"The one attribute {'stands' if names else 'does not stand'} out when it alone is known{bar}."
    if not names:
        return f"None of the {total} attributes stands out when it alone is known{bar}."
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    stand = "stands" if len(names) == 1 else "stand"
    return f"Of {total} attributes, {len(names)} {stand} out when known alone{bar}: {join_words([*names[:NAMED], *more])}."


def _known(row: InformationRow) -> str:
    label = isolate(shorten(row.label, 60))
    return {
        "attribute": f"the attribute {label}",
        "attributes": f"{label} of a rater together",
        "examples": f"{label} of a rater",
        "clusters": f"which of {label} a rater belongs to",
    }.get(row.kind, label)


def _tell(row: InformationRow) -> str:
    return "tells" if n_examples(row) == 1 else "tell"


def _interval(estimate: Estimate, show: Callable[[float], str]) -> str:
    return f"95% interval {interval_text(estimate, show)}"


def _factor(estimate: Estimate) -> Callable[[float], str]:
    decimals = factor_decimals(estimate)
    return lambda nats: short_factor(nats, decimals)


def _two(value: float) -> str:
    return number(value, 2)


def _p(p_value: float) -> str:
    text = number(p_value)
    return f"{text[0]}\u00a0{text[1:]}" if text.startswith("<") else f"=\u00a0{text}"


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
