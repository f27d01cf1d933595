"""The sentences of the report card, and its flags: a change of wording must be seen and meant."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.estimates import undefined
from pluralign.evals.findings import Finding, Reference
from pluralign.report import card_words as say
from pluralign.report.card_data import Question, cells_of, coverage_of, curves_of, narrowness_of
from pluralign.report.card_flags import all_flags, claim, flags, went_wrong
from report.made_up import est
from report.made_up_card import (
    alignment,
    bare_card,
    card,
    coverage,
    curves,
    difference,
    differences,
    floor,
    js,
    question,
    steerability,
)

PEOPLE = floor(0.1, "resampled people")
GAP = Reference("uniform", undefined("nobody knows"))

SENTENCES = [
    # 0.12 +- 0.02 between guessing at 0.25 +- 0.01 and another sample at 0.01 +- 0.01
    (js(), "Nearer to people than guessing, further than another sample of people would be."),
    (js(value=0.02), "Nearer to people than guessing, cannot be told apart from another sample of people."),
    (js(value=0.05, ceiling=PEOPLE), "Nearer to people than guessing, nearer than another sample of people would be."),
    (js(value=0.24), "Cannot be told apart from guessing, further than another sample of people would be."),
    (js(value=0.4), "Further from people than guessing."),
    (
        js(ceiling=floor(0.0, "the law itself")),
        "Nearer to the true shares than guessing, further than the law itself would be.",
    ),
    (js(floor=None), "Further than another sample of people would be."),
    (js(floor=None, ceiling=None), "Lower is better; there is nothing here to read it against."),
    (js(floor=GAP, ceiling=None), "Guessing has no value: nobody knows."),
    (js(estimate=undefined("refused")), "There is no value: refused."),
    (js(better="neither"), "Higher is not better here, and neither is lower."),
    (
        js(metric="loss_nats", ceiling=floor(0.01, "Bayes limit")),
        "Predicts better than guessing, not as well as the best possible prediction.",
    ),
    (js(metric="loss_nats", value=0.4), "Predicts worse than guessing."),
    (
        js(metric="wording_sensitivity", floor=None, ceiling=None),
        "Between two wordings of a question 12% of its answers change, in the mean.",
    ),
    (
        js(metric="order_sensitivity", floor=None, ceiling=floor(0.05, "drawing anew")),
        "Between two orders of a question's options 12% of its answers change, in the mean; drawing anew alone changes 5%.",
    ),
    (
        js(metric="elicitation_sensitivity", floor=None, ceiling=floor(0.11, "drawing anew")),
        "Between two ways of having a distribution 12% of its answers change, in the mean: not more than drawing anew alone, "
        "as far as can be told.",
    ),
    (
        js(metric="accuracy", better="higher", value=0.6, floor=floor(0.3), ceiling=floor(0.9)),
        "Better than guessing, short of guessing.",
    ),
    (js(metric="accuracy", better="higher", value=0.95, floor=None, ceiling=floor(0.5, "a <judge>")), "Beyond a <judge>."),
]


@pytest.mark.parametrize(("finding", "sentence"), SENTENCES)
def test_where_a_finding_stands(finding: Finding, sentence: str) -> None:
    assert say.about_finding(finding) == sentence


def test_standing_needs_intervals_that_do_not_overlap() -> None:
    # 0.12 +- 0.02 ends where 0.15 +- 0.01 begins: 0.14
    assert say.standing(est(0.12, 0.02), est(0.151, 0.01), "lower") == "better"
    assert say.standing(est(0.12, 0.02), est(0.149, 0.01), "lower") == "unclear"
    assert say.standing(est(0.2, 0.02), est(0.149, 0.01), "lower") == "worse"
    assert say.standing(est(0.2, 0.02), est(0.149, 0.01), "higher") == "better"
    assert say.standing(est(0.2), est(0.1), "neither") is None
    assert say.standing(undefined("no"), est(0.1), "lower") is None
    infinite = replace(est(1.0), value=math.inf, low=math.inf, high=math.inf)
    assert say.standing(infinite, est(0.1), "lower") == "worse"


def test_numbers_on_their_scale() -> None:
    assert say.written(est(0.12), "nats") == "0.120 (0.100 to 0.140)"
    assert say.written(est(0.55), "share") == "55.0% (53.0% to 57.0%)"
    assert say.written(est(69.3, 6.9), "outputs") == "69.3 (62.4 to 76.2)"
    assert say.written(undefined("too few"), "share") == "no value: too few"


def test_what_came_of_the_requests() -> None:
    assert say.about_outcomes({}) == "What came of the requests was not counted."
    assert say.about_outcomes({"ok": 0}) == "What came of the requests was not counted."
    assert say.about_outcomes({"ok": 7}) == "All 7 requests were answered."
    assert say.about_outcomes({"refusal": 3}) == "Of 3 requests 0 (0%) were answered and 3 (100%) refused."
    assert say.about_outcomes({"odd": 1, "ok": 999}) == "Of 1,000 requests 999 (>99%) were answered and 1 (<1%) odd."
    assert say.lead(card()) == (
        "1,501 questions of 5 tasks in 3 evaluations were put to this model. Of 1,700 requests 1,580 (93%) were answered, "
        "60 (4%) refused, 40 (2%) in no form that could be read, 15 (1%) cut off by the limit and 5 (<1%) without a reply."
    )
    assert say.lead(bare_card()).startswith("1 task in 2 evaluations was put to this model.")


def test_many_lost_requests_are_warned_of() -> None:
    assert went_wrong({"alignment": {"ok": 95, "refusal": 5}}) == ""
    # 5 of 99 is more than 5 %
    assert went_wrong({"alignment": {"ok": 94, "refusal": 5}, "jury": {"ok": 9}}) == (
        "No usable answer came of 5% of the requests in alignment: its numbers rest on the others."
    )


def test_a_plain_model_has_no_flag() -> None:
    assert flags([js(), *coverage()]) == []


def test_what_is_flagged() -> None:
    found = [
        js(metric="entropy_ratio", label="Entropy", scale="ratio", better="neither", estimate=est(0.3, 0.1), floor=None),
        js(value=0.4),
        js("urn", value=0.5),
        js(metric="covered_mass", better="higher", scale="0..1", estimate=est(0.5, 0.1), floor=None, ceiling=None),
        js("habermas", estimate=undefined("all refused")),
        *coverage(diversity=0.012),
    ]
    assert flags(found) == [
        "Its distributions are narrower than people's: Entropy, globaloqa, 0.300 (0.200 to 0.400).",
        "Its outputs repeat themselves: Diversity, rng_1_10, 1.2% (1.1% to 1.3%); Diversity, basic_emails, "
        "1.2% (1.1% to 1.3%).",
        "It is worse than knowing nothing: Jensen-Shannon divergence, globaloqa, 0.400 (0.380 to 0.420); "
        "Jensen-Shannon divergence, urn, 0.500 (0.480 to 0.520).",
        "Much of its probability lies outside the options: Jensen-Shannon divergence, globaloqa, 0.500 (0.400 to 0.600).",
        "A headline number has no value: Jensen-Shannon divergence, habermas, no value: all refused.",
    ]


@pytest.mark.parametrize(
    ("finding", "flag"),
    [
        (js(metric="entropy_ratio", better="neither", estimate=est(0.9, 0.1)), None),  # its interval reaches 1
        (js(metric="entropy_ratio", better="neither", estimate=est(1.3, 0.1)), "Its distributions are wider than people's."),
        (
            js(metric="law_entropy_ratio", better="neither", estimate=est(0.3)),
            "Its distributions are narrower than the true law.",
        ),
        (
            js(metric="entropy_difference_nats", better="neither", estimate=est(-0.3)),
            "Its distributions are narrower than people's.",
        ),
        (js(metric="cross_entropy_nats", estimate=est(0.2)), None),
        (js(metric="covered_mass", better="higher", estimate=est(0.88, 0.05), floor=None, ceiling=None), None),
        (
            js(metric="validity", better="higher", estimate=est(0.4, 0.05), floor=None, ceiling=None),
            "Most of its outputs are not valid.",
        ),
        (
            js(metric="diversity", better="higher", estimate=est(0.05), floor=None, ceiling=None),
            "Its outputs repeat themselves.",
        ),
        (js(value=0.05, ceiling=PEOPLE), "It passes its ceiling and may have seen these answers."),
        (js(value=0.05, ceiling=floor(0.1, "drawing anew")), None),
        (js(metric="gain_nats", better="higher", value=0.9, floor=None, ceiling=floor(0.1, "Bayes limit")), None),
        (js(value=0.4, group="Kenya"), None),
    ],
)
def test_one_flag(finding: Finding, flag: str | None) -> None:
    assert [claim(one) for one in flags([finding])] == ([flag] if flag else [])


def test_a_flag_names_three_tasks_and_counts_the_rest() -> None:
    (flag,) = flags([*(js(f"t{i}", value=0.4, is_headline=i == 4) for i in range(5)), js("t4", 0.4, metric="js_distance")])
    assert flag.startswith("It is worse than knowing nothing: Jensen-Shannon divergence, t4, 0.400")
    assert flag.endswith("; 3 more findings.")
    assert flag.count("; ") == 3


# from questions


def test_distance_of_a_question() -> None:
    # (|0.5 - 0.2| + |0.25 - 0.5| + |0.25 - 0.3|) / 2 = 0.3
    fields = {"options": ("a", "b", "c"), "people": (0.5, 0.25, 0.25)}
    assert question(0, **fields, model=(0.2, 0.5, 0.3)).distance == pytest.approx(0.3, abs=1e-12)
    lost = question(0, **fields, model=None, why_undefined="refusal")
    assert math.isnan(lost.distance)
    assert say.about_question(lost) == "The model gave no distribution: refusal. Shares of 812 people."


@pytest.mark.parametrize(
    ("shares", "why"), [((0.5, 0.5, 0.0), "2 options, 2 and 3 shares"), ((0.5, 0.4), "sum"), ((float("nan"), 1.0), "row 0")]
)
def test_a_question_needs_distributions(shares: tuple[float, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        question(0, options=("a", "b"), people=(0.5, 0.5), model=shares)


def asked(n: int, model: tuple[float, ...] | None, people: tuple[float, ...] = (0.5, 0.5), **other: object) -> list[Question]:
    return [question(i, options=("a", "b"), people=people, model=model, **other) for i in range(n)]


def test_narrowness_by_hand() -> None:
    # entropies ln 2 and -(0.9 ln 0.9 + 0.1 ln 0.1)
    narrow = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    (found,) = narrowness_of(asked(9, (0.9, 0.1)), seed=3)
    assert found.estimate.value == pytest.approx(narrow / math.log(2), abs=1e-12)
    assert (found.metric, found.estimate.n, found.estimate.unit) == ("entropy_ratio", 9, "question")
    (copy,) = narrowness_of(asked(9, (0.5, 0.5)), seed=3)
    assert copy.estimate.value == pytest.approx(1.0, abs=1e-12)
    (collapsed,) = narrowness_of(asked(9, (1.0, 0.0), is_law=True), seed=3)
    assert (collapsed.metric, collapsed.estimate.value) == ("law_entropy_ratio", pytest.approx(0.0, abs=1e-12))


@pytest.mark.parametrize(
    ("questions", "why"),
    [
        (asked(3, None), "no question has a distribution"),
        (asked(3, (0.5, 0.5), (1.0, 0.0)), "people are of one mind on every question"),
        (asked(1, (0.5, 0.5)), "an interval needs at least 2 questions, there is 1"),
    ],
)
def test_narrowness_that_is_undefined(questions: list[Question], why: str) -> None:
    (found,) = narrowness_of(questions, seed=0)
    assert found.estimate.why_undefined == why


def test_groups_of_one_question_are_one_unit() -> None:
    several = [question(0, text="the same", group=group) for group in ("a", "b", "c")]
    (found,) = narrowness_of([*several, question(1)], seed=0)
    assert found.estimate.n == 2


def test_a_model_that_collapsed_is_flagged_from_its_questions_alone() -> None:
    rng = np.random.default_rng(5)
    people = [tuple(rng.dirichlet(np.ones(4))) for _ in range(40)]
    options = ("a", "b", "c", "d")
    argmax = [tuple(1.0 if i == int(np.argmax(p)) else 0.0 for i in range(4)) for p in people]
    for models, flagged in ((argmax, True), (people, False)):
        given = [question(i, options=options, people=p, model=m) for i, (p, m) in enumerate(zip(people, models, strict=True))]
        found = all_flags(replace(card(), findings_by_evaluation={"alignment": [js()]}, questions=given, outcomes={}))
        assert [claim(one) for one in found] == (["Its distributions are narrower than people's."] if flagged else [])


# from findings


def test_curves_from_groups() -> None:
    wvs, coin = curves_of(steerability(), "loss_nats")
    assert (wvs.task, coin.task) == ("wvs_individual", "coinflip")
    assert [step.k for step in wvs.steps] == [0, 1, 2, 4, 8, 16, 32]
    assert wvs.steps[0].limit is None
    assert coin.steps[0].limit is not None
    assert coin.steps[0].marginal is not None
    assert curves_of(steerability()[:1], "loss_nats") == []  # one point is no curve
    assert curves_of(steerability(), "accuracy") == []


def test_cells_from_groups() -> None:
    cells = cells_of([*alignment(), *steerability()], "js_divergence_nats")
    assert len(cells) == 12
    assert (cells[0].group, cells[0].task) == ("Kenya", "globaloqa")
    assert cells_of(steerability(), "loss_nats") == []


def test_coverage_from_findings() -> None:
    first, second = coverage_of(coverage(), n_outputs={"rng_1_10": 100, "basic_emails": 50})
    assert first.validity is not None
    assert first.validity.value == 0.99
    assert (second.n_outputs, second.covered) == (50, None)
    said = [replace(f, scale="of 80") if f.metric == "yield" else f for f in coverage()]
    assert [row.n_outputs for row in coverage_of(said)] == [80, 80]
    with pytest.raises(UsageError, match="outputs were asked for of rng_1_10, basic_emails is not known"):
        coverage_of(coverage())


def test_curves_in_words() -> None:
    first, _, lost = curves()
    # 1.36 + 0.5, and 1.36 + 0.5 * 0.7^6 = 1.4188
    assert say.about_curve(first) == (
        "Loss 1.860 (1.810 to 1.910) after 0 examples, 1.419 (1.369 to 1.469) after 32. The examples help."
    )
    assert say.about_curve(lost) == "The loss has a value at fewer than two numbers of examples."
    flat = replace(first, steps=[replace(first.steps[0], k=k) for k in (0, 1)])
    assert say.about_curve(flat).endswith("whether the examples help cannot be told from these two.")


# differences


def test_verdicts() -> None:
    assert [say.verdict(one) for one in differences()] == [
        "worse",
        "not told apart",
        "no value",
        "better",
        "different",
        "better",
        "better",
    ]
    assert say.verdict(difference("tuned", -0.1, 0.02, 0.06)) == "not told apart"  # after correction it may be chance
    assert say.verdict(difference("tuned", -0.01, 0.02, 0.001)) == "not told apart"  # the interval includes 0
    assert say.verdict(difference("tuned", 0.1, 0.02, 0.001, better="higher")) == "better"


def test_pairs_are_counted() -> None:
    assert say.about_pair("instruct", "base", differences()) == (
        "Against base, over 3 measures, instruct is worse on 1, not told apart on 1 and without a value on 1."
    )
    assert say.about_pair("other", "base", differences()) == "other has no task in common with base."
