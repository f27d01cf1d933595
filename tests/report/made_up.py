"""A study that never happened: every kind of finding that the page has to show, and text that tries to break out of it."""

from __future__ import annotations

import math

from pluralign.estimates import Estimate, undefined
from pluralign.raters.findings import (
    Agreement,
    AttributeSummary,
    Calibration,
    CalibrationBin,
    Cluster,
    Clustering,
    DataSummary,
    DistinctItem,
    Findings,
    HardRater,
    Information,
    InformationRow,
    ItemView,
    LanguageFindings,
    LanguageRow,
    LevelShare,
    MatchingTest,
    PolarisingItem,
    RaterView,
    SimulatedAgreement,
)

SCRIPT = "<script>alert(1)</script>"
END_OF_SVG = "</svg><img src=x onerror=alert(2)>"
ARABIC = "هل يجب أن تكون المواصلات العامة مجانية للجميع في المدن الكبرى؟"
LONG = "The city should close the old bridge to cars, " * 30 + "and that is all."
CONTROL = "bell \x07 and half a pair \ud800"
OPTIONS = ["strongly disagree", "disagree", "neither", "agree", "strongly agree"]


def est(value: float, width: float = 0.02, *, n: int = 104, unit: str = "rater") -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(value=value, low=value - width, high=value + width, n=n, unit=unit, seed=7)


def shares(tilt: float, n: int = 5) -> list[float]:
    """Shares over the options that lean to one end."""
    weights = [math.exp(tilt * (i - (n - 1) / 2)) for i in range(n)]
    return [w / sum(weights) for w in weights]


def data_summary() -> DataSummary:
    attributes = [
        AttributeSummary(
            name="age", levels=["18-29", "30-49", "50-64", "65+"], n_raters=[60, 71, 49, 28], n_missing=2, used=True
        ),
        AttributeSummary(name="religiosity", levels=["low", "middle", "high"], n_raters=[90, 70, 50], n_missing=0, used=True),
        AttributeSummary(name=f"region {SCRIPT}", levels=[END_OF_SVG, "south"], n_raters=[110, 100], n_missing=0, used=True),
        AttributeSummary(
            name="postcode",
            levels=[f"{n:05d}" for n in range(210)],
            n_raters=[1] * 210,
            n_missing=0,
            used=False,
            why_not_used="every rater has another value",
        ),
    ]
    return DataSummary(
        name="Neighbourhood questions (made up)",
        n_ratings=12_345,
        n_items=150,
        n_raters=210,
        scale_kind="ordinal",
        options=OPTIONS,
        option_shares=[est(s, 0.012, n=210) for s in (0.18, 0.22, 0.14, 0.27, 0.19)],
        ratings_per_rater=[4, 58, 150],
        ratings_per_item=[31, 82, 120],
        n_ratings_modelled=12_345,
        n_raters_modelled=210,
        attributes=attributes,
        notes=[
            "votes.csv: rows with an empty rating were left out (17)",
            f"votes.csv: the text {SCRIPT} was kept as it is (1)",
            f"items.csv: a character that cannot be shown was seen in an item: {CONTROL}",
        ],
    )


def agreement() -> Agreement:
    return Agreement(
        alpha_other_items=est(0.214, 0.031, n=150, unit="item"),
        alpha_other_raters=est(0.214, 0.018, n=210),
        pair_agreement=est(0.342, 0.015, n=150, unit="item"),
        chance_agreement=est(0.213, 0.006, n=150, unit="item"),
        item_entropy_nats=est(1.32, 0.04, n=150, unit="item"),
    )


def _row(
    name: str,
    label: str,
    kind: str,
    information: Estimate,
    *,
    p: tuple[float, float] | None = None,
    truth: float | None = None,
) -> InformationRow:
    loss = est(1.36 - information.value, 0.03) if information.is_defined else undefined("no held-out rating", unit="rater")
    kept = est(information.value / 0.158, 0.15) if information.is_defined else undefined("its information has no value")
    wide = 1.4 * (information.high - information.value)
    return InformationRow(
        representation=name,
        label=label,
        kind=kind,  # type: ignore[arg-type]  # a literal, which a helper cannot narrow
        loss_nats=loss,
        information_nats=information,
        joint_low=information.value - wide if information.is_defined else None,
        joint_high=information.value + wide if information.is_defined else None,
        kept=kept,
        p_value=p[0] if p else None,
        p_holm=p[1] if p else None,
        truth_nats=truth,
    )


def information(*, truth: bool = True) -> Information:
    nothing = InformationRow(
        representation="nothing",
        label="nothing",
        kind="nothing",
        loss_nats=est(1.36, 0.03),
        information_nats=undefined("the others are compared with it"),
        kept=undefined("the others are compared with it"),
    )
    rows = [
        nothing,
        _row("attribute:age", "age", "attribute", est(0.021, 0.011), p=(0.002, 0.006), truth=0.019 if truth else None),
        _row("attribute:religiosity", "religiosity", "attribute", est(0.003, 0.008), p=(0.24, 0.48)),
        _row(
            f"attribute:region {SCRIPT}", f"region {SCRIPT}", "attribute", undefined("only one level among the tested raters")
        ),
        _row("attributes", "all attributes", "attributes", est(0.025, 0.013), truth=0.04 if truth else None),
    ]
    curve = {1: (0.019, 0.022), 2: (0.044, 0.049), 4: (0.079, 0.08), 8: (0.113, 0.119), 16: (0.141, 0.145), 32: (0.158, 0.163)}
    for n, (value, true_value) in curve.items():
        label = f"{n} past rating{'s' if n > 1 else ''}"
        rows.append(_row(f"examples:{n}", label, "examples", est(value, 0.012), truth=true_value if truth else None))
    for k, value, p in ((2, 0.061, 0.005), (4, 0.083, 0.005), (8, -0.002, 0.41)):
        rows.append(_row(f"clusters:{k}", f"{k} clusters", "clusters", est(value, 0.015), p=(p, min(1.0, 2 * p))))
    return Information(entropy_nats=est(1.58, 0.02), rows=rows, n_seeds=5, n_evaluated=15_230, permutations=199)


def _distinct(tilt: float, index: int) -> DistinctItem:
    texts = [
        "Dogs should be allowed on trams.",
        LONG,
        ARABIC,
        f"What about {SCRIPT} {END_OF_SVG}?",
        "Shops may open on Sundays.",
    ]
    text = texts[index % len(texts)]
    return DistinctItem(
        item_id=f"item-{index:03d}",
        text=text,
        option_shares=shares(tilt),
        option_shares_others=shares(-0.4 * tilt),
        distance=0.09,
    )


def clustering(k: int) -> Clustering:
    levels = [
        LevelShare(attribute="age", level="65+", share=0.31, share_all=0.13, p_holm=0.012),
        LevelShare(attribute=f"region {SCRIPT}", level=END_OF_SVG, share=0.7, share_all=0.52, p_holm=0.04),
    ]
    clusters = [
        Cluster(
            label=f"{k}{chr(65 + c)}",
            n_raters=210 // k,
            share=1 / k,
            most_distinct=[_distinct(0.9 - 1.8 * c / (k - 1), c + i) for i in range(3)],
            over_represented=levels if c == 0 else [],
        )
        for c in range(k)
    ]
    gain, beyond = {2: (0.061, True), 4: (0.083, True), 8: (-0.002, False)}[k]
    return Clustering(
        k=k,
        information_nats=est(gain, 0.015),
        p_value=0.005 if beyond else 0.41,
        gains_beyond_chance=beyond,
        clusters=clusters,
        truth_adjusted_rand=0.72 if k == 4 else None,
    )


def calibration(name: str, label: str, shift: float) -> Calibration:
    bins = [
        CalibrationBin(predicted=0.03 + 0.09 * i, observed=est(0.03 + 0.09 * i + shift * math.sin(i), 0.025), n_ratings=7_600)
        for i in range(9)
    ]
    bins.append(
        CalibrationBin(predicted=0.93, observed=undefined("an interval needs at least 2 raters, there is 1", n=1), n_ratings=3)
    )
    return Calibration(representation=name, label=label, ece=est(abs(shift) / 2, 0.004), bins=bins)


def findings(*, truth: bool = True) -> Findings:
    """Everything at once."""
    return Findings(
        data=data_summary(),
        agreement=agreement(),
        information=information(truth=truth),
        clusterings=[clustering(2), clustering(4), clustering(8)],
        calibrations=[
            calibration("nothing", "nothing", 0.01),
            calibration("attributes", "all attributes", -0.02),
            calibration("examples:32", "32 past ratings", 0.03),
            Calibration(representation="clusters:4", label="4 clusters", ece=undefined("no held-out rating"), bins=[]),
        ],
        hardest_raters=[
            HardRater(
                rater_id="r-0042",
                n_ratings=61,
                loss_nats=est(2.31, 0.22, n=61, unit="rating"),
                loss_nothing_nats=1.9,
                representation_label="32 past ratings",
            ),
            HardRater(
                rater_id=SCRIPT,
                n_ratings=40,
                loss_nats=est(2.05, 0.25, n=40, unit="rating"),
                loss_nothing_nats=2.1,
                representation_label="32 past ratings",
            ),
            HardRater(
                rater_id="a-rater-with-an-identifier-that-is-much-longer-than-any-chart-has-room-for-00000001",
                n_ratings=1,
                loss_nats=undefined("an interval needs at least 2 ratings, there is 1", n=1, unit="rating"),
                loss_nothing_nats=1.7,
                representation_label="32 past ratings",
            ),
        ],
        polarising_items=[
            PolarisingItem(
                item_id=f"item-{i:03d}",
                text=text,
                n_ratings=80 + i,
                polarisation=est(0.71 - 0.05 * i, 0.06, n=80 + i),
                option_shares=[0.42, 0.08, 0.03, 0.07, 0.40],
            )
            for i, text in enumerate(["Cars should be banned from the centre.", ARABIC, LONG, END_OF_SVG])
        ],
        seed=7,
        pluralign_version="0.1.0",
        language=language(),
    )


def language() -> LanguageFindings:
    """What a language model made of them; with texts of every kind, and values that are missing."""

    def row(name: str, label: str, gain: float | None) -> LanguageRow:
        why = "knowing nothing is what the others are compared with"
        return LanguageRow(
            representation=name,
            label=label,
            loss_nats=est(1.4 - (gain or 0.0), 0.04),
            information_nats=undefined(why) if gain is None else est(gain, 0.02),
            kept=undefined(why) if gain is None else est(5 * gain, 0.2),
            n_unanswered=3,
            n_left_out=1_200,
        )

    def view(unit: str, text: str) -> RaterView:
        loss = est(0.9, 0.3, n=12, unit="rating")
        return RaterView(rater_id=unit, text=text, n_ratings=12, loss_nats=loss, loss_nothing_nats=1.3)

    return LanguageFindings(
        model=f"hf/{END_OF_SVG}",
        n_raters=100,
        n_ratings=1_203,
        n_without_text=1,
        rows=[row("nothing", "nothing", None), row("examples:16", "16 past ratings", 0.2), row("profile", "profile", 0.31)],
        statistical=[row("nothing", "nothing", None), row("examples:32", "32 past ratings", 0.01)],
        known="profile",
        known_label="profile",
        epistemic_share=est(0.22, 0.03),
        matching=MatchingTest(accuracy=est(0.8, 0.06, n=136, unit="item"), n_items=136, n_not_testable=35),
        agreement=SimulatedAgreement(
            simulated=est(0.25, 0.02, n=171, unit="item"),
            observed=est(0.23, 0.06, n=171, unit="item"),
            correlation=undefined("4 items have two raters who were asked about; 8 are needed", n=4, unit="item"),
        ),
        calibrations=[calibration("nothing", "nothing", 0.01), calibration("profile", "profile", 0.03)],
        easiest=[view("r-0007", f"{SCRIPT} {ARABIC}"), view(SCRIPT, LONG)],
        hardest=[view("r-0042", "")],
        items=[ItemView(item_id="item-000", text=LONG, n_ratings=9, gain_nats=est(1.1, 0.4, n=9))],
    )


def bare_findings() -> Findings:
    """The least that a study can find: no attributes, no examples, no clusters, and nothing that has a value."""
    why = "there is only 1 rater"
    nothing = InformationRow(
        representation="nothing",
        label="nothing",
        kind="nothing",
        loss_nats=undefined(why),
        information_nats=undefined("the others are compared with it"),
        kept=undefined("no past ratings were tried"),
    )
    return Findings(
        data=DataSummary(
            name="One rater",
            n_ratings=1,
            n_items=1,
            n_raters=1,
            scale_kind="nominal",
            options=["yes", "no"],
            option_shares=[undefined(why), undefined(why)],
            ratings_per_rater=[1, 1, 1],
            ratings_per_item=[1, 1, 1],
            n_ratings_modelled=1,
            n_raters_modelled=1,
            attributes=[],
            notes=[],
        ),
        agreement=Agreement(
            alpha_other_items=undefined("no item has two raters"),
            alpha_other_raters=undefined("no item has two raters"),
            pair_agreement=undefined("no item has two raters"),
            chance_agreement=undefined("no item has two raters"),
            item_entropy_nats=undefined("no item has two raters"),
        ),
        information=Information(entropy_nats=undefined(why), rows=[nothing], n_seeds=1, n_evaluated=0, permutations=0),
        clusterings=[],
        calibrations=[],
        hardest_raters=[],
        polarising_items=[],
        seed=0,
        pluralign_version="0.1.0",
    )
