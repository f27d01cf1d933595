"""The sentences, word for word: a change of wording must be seen and meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pluralign.estimates import undefined
from pluralign.raters.findings import Clustering, InformationRow
from pluralign.report import sentences as say
from report.made_up import agreement, bare_findings, clustering, data_summary, est, findings, information


def row(name: str) -> InformationRow:
    return next(r for r in information().rows if r.representation == name)


def test_summary() -> None:
    assert say.summary(findings()) == (
        "12,345 ratings by 210 raters of 150 items were studied; each is one of 5 options. Two raters of the same item give "
        "the same answer about 34% of the time (95% interval 33% to 36%); by coincidence alone it would be about 21%. Knowing "
        "all attributes of a rater together multiplies the probability given to the actual answer by about 1.03 on average "
        "(95% interval 1.01 to 1.04). Of 3 attributes, 1 stands out when known alone (interval above 0, and p at most 0.05 "
        "after correction): age. Knowing 32 past ratings of a rater multiplies the probability given to the actual answer by "
        "about 1.17 on average (95% interval 1.16 to 1.19). By the estimates alone, 2 past ratings tell at least as much as "
        "all attributes together. Sorting the raters by their past ratings into 2 or 4 groups tells something beyond chance; "
        "into 8 groups it does not tell anything that can be told from chance."
    )


def test_summary_of_nearly_nothing() -> None:
    assert say.summary(bare_findings()) == (
        "1 rating by 1 rater of 1 item was studied; each is one of 2 options. "
        "How often two raters agree on an item has no value: no item has two raters."
    )


def test_a_row_whose_interval_includes_0() -> None:
    assert say.about_row(row("attribute:religiosity")) == (
        "What knowing the attribute religiosity tells cannot be told from nothing: "
        "the 95% interval, −0.005 to 0.011 nats, includes 0."
    )


def test_a_row_that_makes_predictions_worse() -> None:
    worse = replace(row("attributes"), information_nats=est(-0.05, 0.01))
    # exp(-0.05) = 0.951, exp(-0.06) = 0.942, exp(-0.04) = 0.961
    assert say.about_row(worse) == (
        "Knowing all attributes of a rater together makes predictions worse: it multiplies the probability given to the "
        "actual answer by about 0.95 on average (95% interval 0.94 to 0.96)."
    )


def test_a_row_without_a_value() -> None:
    lost = replace(row("examples:1"), information_nats=undefined("no rater has 1 past rating"))
    assert say.about_row(lost) == "What knowing 1 past rating of a rater tells has no value: no rater has 1 past rating."


def test_clusters_named_in_a_row() -> None:
    assert say.about_row(row("clusters:2")).startswith("Knowing which of 2 clusters a rater belongs to multiplies")


def test_alpha() -> None:
    assert say.about_alpha(agreement()) == (
        "Krippendorff's alpha is about 0.21. With other items of the same sort it might lie anywhere from 0.18 to 0.24. "
        "With other raters of the same sort it might lie anywhere from 0.20 to 0.23."
    )


def test_alpha_that_cannot_be_told_from_coincidence_and_has_one_interval() -> None:
    weak = replace(agreement(), alpha_other_items=est(0.01, 0.03), alpha_other_raters=undefined("there is only 1 rater"))
    assert say.about_alpha(weak) == (
        "Krippendorff's alpha is about 0.01. With other items of the same sort it might lie anywhere from −0.02 to 0.04. "
        "How far it depends on which raters happened to be in the data is not known: there is only 1 rater. "
        "An interval includes 0: the agreement cannot be told from coincidence."
    )


def test_entropy_names_its_largest_value() -> None:
    # ln 5 = 1.609
    assert say.about_entropy(agreement(), 5).endswith("0 would mean that everybody gives the same answer, and 1.61 that all "
                                                      "5 options are chosen equally often.")  # fmt: skip


@pytest.mark.parametrize(
    ("p_holm", "told", "stands_out"),
    [
        (0.05, est(0.02, 0.01), True),
        (0.051, est(0.02, 0.01), False),
        (None, est(0.02, 0.01), True),
        (0.001, est(0.02, 0.03), False),
        (0.001, est(-0.02, 0.01), False),
        (0.001, undefined("no rows"), False),
    ],
)
def test_what_stands_out(p_holm: float | None, told: object, stands_out: bool) -> None:
    assert say.stands_out(replace(row("attribute:age"), p_holm=p_holm, information_nats=told)) is stands_out  # type: ignore[arg-type]  # an Estimate


def test_many_attributes_are_not_all_named() -> None:
    rows = [replace(row("attribute:age"), label=f"a{i}") for i in range(9)]
    text = say.about_attributes(replace(information(), rows=rows))
    assert text.endswith("Of 9 attributes, 9 stand out when known alone (interval above 0, and p at most 0.05 after "
                         "correction): a0, a1, a2, a3, a4, a5 and 3 more.")  # fmt: skip


@pytest.mark.parametrize(
    ("good", "text"),
    [(True, "The one attribute stands out when it alone is known"), (False, "The one attribute does not stand out")],
)
def test_one_attribute(good: bool, text: str) -> None:
    only = replace(row("attribute:age"), p_holm=0.01 if good else 0.5)
    assert say.about_attributes(replace(information(), rows=[only])).startswith(text)


def test_no_attribute_stands_out() -> None:
    rows = [replace(row("attribute:age"), p_holm=0.9), row("attribute:religiosity")]
    assert say.about_attributes(replace(information(), rows=rows)).startswith("None of the 2 attributes stands out")


def test_attributes_beyond_every_number_of_past_ratings() -> None:
    rows = [row("attributes"), replace(row("examples:1"), information_nats=est(0.01, 0.005))]
    assert say.about_examples(replace(information(), rows=rows)).endswith(
        "None of the numbers of past ratings tried reaches the estimate for all attributes together."
    )


def test_no_comparison_with_attributes_that_tell_nothing() -> None:
    rows = [replace(row("attributes"), information_nats=est(0.01, 0.02)), row("examples:32")]
    assert "attributes" not in say.about_examples(replace(information(), rows=rows))


def test_the_denominator_is_named() -> None:
    assert say.kept_denominator(information()) == (
        "Share kept: the information as a share of what 32 past ratings tell, 0.158 nats. It can exceed 100% or be negative."
    )
    assert say.most_examples(information()).representation == "examples:32"  # type: ignore[union-attr]  # it is there
    assert say.kept_denominator(bare_findings().information).startswith("No past ratings were tried")


CLUSTERING = [
    (
        clustering(4),
        "Knowing the group of a rater tells about 0.083 nats per rating (95% interval 0.068 to 0.098; p\u00a0=\u00a00.005) "
        "about held-out answers, which multiplies the probability given to the actual answer by about 1.09 on average.",
    ),
    (
        clustering(8),
        "Knowing the group of a rater tells about −0.002 nats per rating (95% interval −0.017 to 0.013; p\u00a0=\u00a00.410) "
        "about held-out answers. The interval includes 0: it cannot be told from nothing.",
    ),
    (
        replace(clustering(4), gains_beyond_chance=False, p_value=0.2),
        "Knowing the group of a rater tells about 0.083 nats per rating (95% interval 0.068 to 0.098; p\u00a0=\u00a00.200) "
        "about held-out answers. The interval lies above 0, but groups made by chance do as well too often to count this as a "
        "gain.",
    ),
    (
        replace(clustering(8), information_nats=est(-0.1, 0.01), p_value=0.0001),
        "Knowing the group of a rater makes predictions of held-out answers worse: about −0.100 nats per rating (95% interval "
        "−0.110 to −0.090; p\u00a0<\u00a00.001), which multiplies the probability given to the actual answer by "
        "about 0.90 on average.",
    ),
    (
        replace(clustering(8), information_nats=undefined("no held-out rating")),
        "What the group of a rater tells about the rater's held-out answers has no value: no held-out rating.",
    ),
]


@pytest.mark.parametrize(("grouping", "text"), CLUSTERING)
def test_one_clustering(grouping: Clustering, text: str) -> None:
    assert say.about_clustering(grouping) == text


def test_several_clusterings() -> None:
    four, eight = clustering(4), clustering(8)
    fails = "groups does not tell anything that can be told from chance."
    assert say.about_clusters([]) == ""
    assert say.about_clusters([eight]) == f"Sorting the raters by their past ratings into 8 {fails}"
    assert say.about_clusters([four]) == "Sorting the raters by their past ratings into 4 groups tells something beyond chance."
    unsure = replace(four, information_nats=est(0.01, 0.02))  # the test says yes, the interval does not
    assert say.about_clusters([unsure, eight]) == f"Sorting the raters by their past ratings into 4 or 8 {fails}"


def test_truth() -> None:
    # of the eight rows with a truth, only all attributes (0.012 to 0.038) misses its own, 0.04
    assert say.about_truth(information()) == (
        "These people were simulated, so the true values are known: 7 of 8 intervals hold the true value, "
        "and 8 of the 8 wider ones."
    )
    assert say.about_truth(information(truth=False)) == ""


def test_the_thin_lines_are_explained_where_there_are_some() -> None:
    # thirteen rows, one without a value, one that is nothing
    assert say.about_joint(information()).startswith(
        "Each thick line is a 95% interval for its row alone; among 12 rows it is no surprise if one is off."
    )
    assert say.about_joint(bare_findings().information) == ""


def test_calibration_in_percentage_points() -> None:
    assert say.about_calibration(findings().calibrations[0]) == (
        "Predicted probabilities and observed shares differ by about 0.5 percentage points on average "
        "(95% interval 0.1 to 0.9)."
    )


def test_counts_in_the_right_number() -> None:
    assert say.about_scoring(information()).startswith("15,230 held-out ratings were scored, over 5 random splits. p-values")
    assert say.about_scoring(replace(bare_findings().information, n_evaluated=1)) == (
        "1 held-out rating was scored, over 1 random split. No permutation test was run."
    )
    assert say.about_unused(data_summary().attributes) == "4 attributes of the raters are in the data; 3 were used and 1 not."
    assert say.about_unused(data_summary().attributes[:1]) == "1 attribute of the raters is in the data; it was used."
    assert say.about_data(data_summary()).endswith("were studied; each is one of 5 options.")
    some = replace(data_summary(), n_raters_modelled=40, n_ratings_modelled=2_000)
    assert say.about_data(some).endswith(
        "What knowing a rater tells, and which groups there are, was learned from and measured on 40 raters drawn by chance, "
        "with 2,000 ratings."
    )
    assert say.about_load(bare_findings().data).startswith("Half of the raters gave 1 rating or more")
