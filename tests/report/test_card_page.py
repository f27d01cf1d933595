"""The report card and the comparison: complete, self-contained, safe against their data, small, and fit to be read aloud."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pluralign.errors import UsageError
from pluralign.estimates import undefined
from pluralign.evals.kinds import LeftOut
from pluralign.report import card_charts, card_page, palette
from pluralign.report.card_data import Card, GroupCell
from pluralign.report.card_page import card_html, compare_html
from report.made_up import ARABIC, CONTROL, END_OF_SVG, SCRIPT, est
from report.made_up_card import (
    END_OF_STYLE,
    alignment,
    bare_card,
    card,
    curves,
    difference,
    differences,
    floor,
    js,
    question,
    steerability,
    three_cards,
)
from report.test_report_page import HTML_TAGS, VOID, Reader

SECTIONS = ["headlines", "questions", "groups", "examples", "calibration", "coverage", "worst"]
TABLES = ["evaluation-1", "evaluation-2", "evaluation-3", "method", "glossary"]
COMPARED = ["headlines", "differences", "examples", "questions", "method", "glossary"]
TAGS = HTML_TAGS | {"circle"}
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def full() -> str:
    return card_html(card())


@pytest.fixture(scope="module")
def bare() -> str:
    return card_html(bare_card())


@pytest.fixture(scope="module")
def compared() -> str:
    return compare_html(three_cards(), differences())


@pytest.fixture(scope="module", params=["full", "bare", "compared"])
def page(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def section(html: str, name: str) -> str:
    """The markup of one section."""
    return html[html.index(f'<section id="{name}"') :].partition("</section>")[0]


def articles(html: str, css_class: str) -> list[str]:
    """The markup inside each article of one class."""
    return [part.partition("</article>")[0] for part in html.split(f'<article class="{css_class}">')[1:]]


def words(html: str) -> str:
    return Reader(html).words


def light(**changes: Any) -> Card:
    """A card whose page has no charts, which take most of the time."""
    return replace(card(), **{"curves": [], "calibrations": [], **changes})


# whole pages


def test_elements_nest_and_none_but_expected_ones_occur(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    reader = Reader(page)
    assert reader.open == []
    assert {tag for tag, _ in reader.elements} <= TAGS
    assert {"meta"} == VOID


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    assert not re.search(r"https?:|(?<!:)//\w", page)
    assert "<script" not in page.lower()
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert page.count("</style>") == 1
    for tag, attributes in Reader(page).elements:
        assert not {"src", "srcset", "xlink:href", "data", "action"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert attributes.get("href", "#").startswith("#")


def test_it_can_be_read_aloud(page: str) -> None:
    reader = Reader(page)
    assert reader.all("html")[0]["lang"] == "en"
    for svg in reader.all("svg"):  # bars whose numbers stand beside them are not read twice
        assert svg.get("aria-hidden") == "true" or (svg.get("role") == "img" and len(svg.get("aria-label", "")) > 10)
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(th.get("scope") in ("col", "row") for th in reader.all("th"))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_no_number_stands_where_there_is_none(page: str) -> None:
    assert not re.search(r"\b(nan|NaN|None|inf|null)\b", words(page))


@pytest.mark.parametrize(("name", "sections"), [("full", SECTIONS + TABLES), ("compared", COMPARED)])
def test_every_section_is_there_in_order_and_in_the_contents(
    name: str, sections: list[str], request: pytest.FixtureRequest
) -> None:
    reader = Reader(request.getfixturevalue(name))
    assert [attributes["id"] for attributes in reader.all("section")] == sections
    assert [attributes["href"].removeprefix("#") for attributes in reader.all("a")][1:] == sections


def test_what_a_run_does_not_have_is_named_and_has_no_section(bare: str) -> None:
    reader = Reader(bare)
    sections = ["headlines", "evaluation-1", "evaluation-2", "method", "glossary"]
    assert [attributes["id"] for attributes in reader.all("section")] == sections
    assert [attributes["href"].removeprefix("#") for attributes in reader.all("a")][1:] == sections
    assert "questions with people's shares, groups, learning from examples, calibration, coverage, worst items." in reader.words
    assert "This evaluation found nothing." in reader.words
    assert "What came of the requests was not counted." in reader.words
    assert "<svg" not in bare


def test_a_card_without_findings_is_refused() -> None:
    with pytest.raises(UsageError, match="has no findings"):
        card_html(replace(bare_card(), findings_by_evaluation={"jury": []}))


def test_two_renderings_are_equal() -> None:
    assert card_html(light()) == card_html(light())


# what data can do to a page


def test_hostile_text_stays_text(full: str, compared: str) -> None:
    for html in (full, compared):
        shown = words(html)
        assert SCRIPT in shown
        assert END_OF_STYLE in shown
        assert END_OF_SVG in shown
        assert ARABIC in shown


def hostile_cards() -> tuple[Card, dict[str, Card]]:
    """Every text that a card can hold tries to end what it stands in."""
    bad = f'"{SCRIPT}{END_OF_STYLE}'
    worst = replace(card().worst_items[0], task=bad, text=bad, measure=bad, said=bad, wanted=bad, group=bad)
    finding = js(bad, label=bad, group=bad, scale=bad, floor=floor(0.3, bad), ceiling=None, estimate=est(0.1, unit=bad))
    other = replace(
        card(bad),
        date=bad,
        version=bad,
        elicitation=bad,
        findings_by_evaluation={bad: [finding, replace(finding, group=None), js(bad, estimate=undefined(bad))]},
        n_questions={bad: {bad: 3}},
        outcomes={bad: {bad: 3}},
        about={bad: bad},
        facts={bad: bad},
        questions=[question(1, task=bad, text=bad, group=bad), question(2, model=None, why_undefined=bad)],
        groups=[GroupCell(group=bad, task=bad, distance=est(0.1)), GroupCell(group=bad, task="x", distance=undefined(bad))],
        curves=[replace(curves()[0], task=bad, scale=bad)],
        calibrations=[replace(card().calibrations[0], label=bad)],
        coverage=[replace(card().coverage[0], task=bad)],
        worst_items=[worst],
    )
    return other, {bad: other, f"{bad}2": other}


def test_no_field_of_a_card_becomes_markup() -> None:
    one, two = hostile_cards()
    second = list(two)[1]
    same = [difference(second, 0.1, 0.02, 0.01, task=second, label=second, scale=second, evaluation=second)]
    for html in (card_html(one), compare_html(two, same)):
        reader = Reader(html)
        assert "<script" not in html.lower()
        assert html.count("</style>") == 1
        assert {tag for tag, _ in reader.elements} <= TAGS
        assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]


def test_characters_that_no_page_can_show_become_visible() -> None:
    html = card_html(light(model=CONTROL, questions=[question(1, text=CONTROL)]))
    assert "bell \ufffd and half a pair \ufffd" in html.encode().decode()


def test_a_very_long_name_is_cut_and_has_smaller_letters(full: str) -> None:
    html = card_html(light(model="very-long/" * 300))
    reader = Reader(html)
    assert reader.all("h1")[0]["class"] == "long-name"
    assert "class" not in Reader(full).all("h1")[0]
    assert "very-long/" * 90 in reader.words
    assert "very-long/" * 101 not in reader.words


# headlines


def places(svg: str, element: str, css_class: str) -> list[float]:
    """Places in percent of the elements of one class."""
    found = re.findall(rf'<{element} class="{css_class}" (?:cx|x1)="([\d.]+)%"', svg)
    return [float(place) for place in found]


def test_floor_lies_left_and_ceiling_right_whichever_way_is_better() -> None:
    for finding in (js(), js(better="higher", floor=floor(0.01), ceiling=floor(0.25))):
        svg = card_page._range(finding)
        (left,), (at,), (right,) = (
            places(svg, "line", "floor"),
            places(svg, "circle", "mark run-0"),
            places(svg, "line", "ceiling"),
        )
        assert 0 <= left < at < right <= 100
        low, high = (0.0, 0.26)  # of the floor's and the ceiling's intervals, with 4 % of air
        air = 0.04 * (high - low)
        share = (0.12 - (low - air)) / (high - low + 2 * air)
        expected = 100 * (1 - share if finding.better == "lower" else share)
        assert at == pytest.approx(expected, abs=0.01)


def test_a_headline_has_its_number_its_marks_and_a_sentence(full: str) -> None:
    shown = words(section(full, "headlines"))
    assert "Jensen-Shannon divergence globaloqa 0.120 0.100 to 0.140 nats uniform 0.250 resampled people 0.010" in shown
    assert "Nearer to people than guessing, further than another sample of people would be." in shown
    assert "Same most frequent answer globaloqa 55.0% 51.0% to 59.0%" in shown
    spoken = [svg["aria-label"] for svg in Reader(section(full, "headlines")).all("svg")]
    assert spoken[0] == (
        "Jensen-Shannon divergence, globaloqa: 0.120 (0.100 to 0.140); floor, uniform: 0.250 (0.240 to 0.260); "
        "ceiling, resampled people: 0.010 (0.000 to 0.020)"
    )


def test_an_undefined_headline_says_why_and_has_no_picture(full: str) -> None:
    html = section(full, "headlines")
    undefined_one = next(one for one in html.split("<article>") if "habermas" in one).partition("</article>")[0]
    assert "no value: all 200 requests were refused" in words(undefined_one)
    assert "<svg" not in undefined_one
    assert "no value: all 200 requests were refused" in words(section(full, "evaluation-1"))


def test_an_infinite_estimate_is_written_and_not_drawn() -> None:
    infinite = js(estimate=replace(est(1.0), value=math.inf, low=math.inf, high=math.inf))
    html = card_html(replace(bare_card(), findings_by_evaluation={"alignment": [infinite]}))
    assert "∞ to ∞" in words(html)
    assert "<circle" not in html


def test_without_marks_there_is_no_line() -> None:
    alone = js(floor=None, ceiling=floor(0.1))
    assert card_page._range(alone).count("<line") == 3  # track, ceiling, interval
    assert card_page._range(replace(alone, ceiling=None)) == ""


def test_many_headlines_are_folded_and_then_counted() -> None:
    many = [js(f"task {i}") for i in range(card_page.MAX_HEADLINES + 3)]
    html = section(card_html(replace(bare_card(), findings_by_evaluation={"alignment": many})), "headlines")
    shown, _, folded = html.partition("<details>")
    assert shown.count("<article>") == card_page.N_HEADLINES
    assert folded.count("<article>") == card_page.MAX_HEADLINES - card_page.N_HEADLINES
    assert "3 more headline numbers stand in the table of the evaluation." in words(html)
    assert "No finding is marked as a headline" in words(
        card_html(replace(bare_card(), findings_by_evaluation={"alignment": [js(is_headline=False)]}))
    )


def test_flags_stand_at_the_top(full: str) -> None:
    top = words(full.partition('<section id="headlines"')[0])
    assert "Its distributions are narrower than people's: Entropy, model to people, globaloqa, 0.620 (0.570 to 0.670)." in top
    assert "No usable answer came of 8% of the requests in alignment and 10% of the requests in coverage" in top
    plain = card_html(light(findings_by_evaluation={"alignment": [js()]}, outcomes={}, questions=[]))
    assert "What catches the eye" not in plain


# questions


def questions_of(html: str) -> list[str]:
    return articles(section(html, "questions"), "question")


def test_worst_and_best_stand_open_the_rest_is_folded(full: str) -> None:
    html = section(full, "questions")
    open_ones, _, folded = html.partition('<details class="unprinted">')
    assert open_ones.count('class="question"') == card_page.N_WORST + card_page.N_BEST
    assert "10 more questions, the furthest first" in words(html)  # 19 asked, 8 open, 1 without a distribution
    assert "1 question to which the model gave no distribution." in words(html)
    assert "The model gave no distribution: refusal: I cannot answer that." in words(articles(folded, "question")[-1])
    shares = [int(n) for n in re.findall(r">(\d+)% of the answers would have to change", open_ones)]
    assert shares[:5] == sorted(shares[:5], reverse=True)
    assert max(shares[5:]) <= min(shares[:5])


def test_bars_are_as_long_as_their_shares() -> None:
    asked = question(1, options=("yes", "no"), people=(0.25, 0.75), model=(1.0, 0.0))
    (shown,) = questions_of(card_html(light(questions=[asked])))
    assert re.findall(r'class="(people|run-0)" x="0" y="\d+" width="([\d.]+%)"', shown) == [
        ("people", "25%"),
        ("run-0", "100%"),
        ("people", "75%"),
    ]
    assert "yes 25% 100% no 75% 0%" in words(shown)


def test_of_many_options_the_largest_are_shown_in_their_order(full: str) -> None:
    shown = words(next(one for one in questions_of(full) if "Name a state." in one))
    assert re.findall(r"state (\d+)", shown) == [str(i) for i in range(38, 50)]
    assert "38 more options together 76%" in shown  # 38 * 2 %


def test_a_law_is_not_called_people() -> None:
    html = section(card_html(light(questions=[question(1, is_law=True, group=None, n=None)])), "questions")
    assert "People Model" not in words(html)
    assert "Law Model" in words(html)


def test_five_hundred_questions_are_cut_with_a_count() -> None:
    html = card_html(light(questions=card(n_questions=500).questions))
    assert len(html.encode()) < 5 * MEGABYTE
    assert html.count('class="question"') == card_page.MAX_QUESTIONS
    # 505 asked, 1 without a distribution: 504 - 300
    assert "204 questions are not shown, nearer to people than those that are folded." in words(html)
    assert "1 of them is not shown." in words(html)


def test_the_largest_card_stays_below_five_megabytes() -> None:
    text, name = "long words " * 1000, "n" * 400
    findings = [js(f"{name}{i}", label=name, group=None if i % 2 else name, is_headline=i < 400) for i in range(2500)]
    asked = [question(i, text=text, options=tuple(f"{name}{j}" for j in range(40)), people=(0.025,) * 40,
                      model=(0.025,) * 40, group=name) for i in range(600)]  # fmt: skip
    big = light(
        findings_by_evaluation={"alignment": findings, "steerability": findings},
        questions=asked,
        groups=[GroupCell(group=f"{name}{g}", task=f"{name}{t}", distance=est(0.1)) for g in range(90) for t in range(50)],
        worst_items=[replace(card().worst_items[0], text=text, said=text, wanted=text)] * 200,
    )
    html = card_html(big)
    assert len(html.encode()) < 5 * MEGABYTE
    for sentence in ("300 questions are not shown", "150 more items are not shown", "70 more groups", "10 more tasks"):
        assert sentence in html


# other sections


def test_the_heat_map_is_darker_where_the_model_is_further(full: str) -> None:
    html = section(full, "groups")
    cells = re.findall(r'<td style="background:(#\w+);color:(#\w+)"><span class="value">([\d.]+)', html)
    assert len(cells) == 11
    assert [value for _, _, value in cells[:2]] == ["0.19", "0.20"]  # the furthest group first
    order = palette.option_colours(41, ordered=True)[20:]
    ranks = [order.index(colour) for colour, _, _ in cells]
    values = [float(value) for _, _, value in cells]
    assert max(ranks) == 20
    assert all(ranks[i] <= ranks[j] for i, j in itertools.permutations(range(11), 2) if values[i] < values[j])
    assert all(ink == palette.ink_on(colour) for colour, ink, _ in cells)
    assert "no value: no question was asked there" in words(html)


def test_heat_by_hand() -> None:
    (zero, _), none, (top, _) = card_charts.heat_colours([0.0, math.nan, 2.0])
    assert (zero, none, top) == ("#e6e6e6", ("", ""), "#a84300")
    assert card_charts.heat_colours([0.0])[0][0] == "#e6e6e6"


def test_curves_have_the_model_the_marginal_and_the_limit() -> None:
    plain, limited, lost = (card_charts.curve_picture(f"c{i}", one) for i, one in enumerate(curves()))
    assert palette.ACCENT not in plain
    assert palette.ACCENT in limited
    assert lost == ""
    assert "0: 1.86 / 1.91 / 1.71" in limited  # 1.36 + 0.5, 1.36 + 0.55, 1.36 + 0.4 - 0.05


def test_a_long_curve_is_thinned_out_in_the_chart_only() -> None:
    step = curves()[0].steps[0]
    long = replace(curves()[0], steps=[replace(step, k=k) for k in range(101)])
    label = Reader(card_charts.curve_picture("c", long)).all("svg")[0]["aria-label"]
    ks = [int(k) for k in re.findall(r"(\d+): 1\.86", label)]
    assert ks == [0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 100]
    assert section(card_html(light(curves=[long])), "examples").count("<tr>") == 102


def test_coverage_bars(full: str) -> None:
    html = section(full, "coverage")
    assert re.findall(r'class="run-0" x="0" y="2" width="([\d.]+)%"', html) == ["99", "10", "9", "90", "70"]  # 9 of 100
    assert "no value: no output ended" in words(html)


def test_worst_items_and_how_it_was_asked(full: str) -> None:
    assert f"Item 1: {SCRIPT} globaloqa, Japan agree 97% agree 20% 0.58" in words(section(full, "worst"))
    method = words(section(full, "method"))
    assert "Distributions logprobs: read off the model's own probabilities" in method
    assert "alignment, mpi: there are no files of the source mpi" in method
    assert "Evaluation answered refused in no form that could be read cut off by the limit without a reply" in method
    assert "alignment 1,100 60 40 0 0" in method
    assert "coverage 180 0 0 15 5" in method


def test_tables_have_every_finding(full: str) -> None:
    html = section(full, "evaluation-1")
    assert html.count('<th scope="row">') == len(alignment())
    assert section(full, "evaluation-2").count('<th scope="row">') == len(steerability())
    assert "neither is better" in words(html)
    assert "120 countries" in words(html)


# comparison


def rows_of(html: str) -> list[str]:
    return [words(f"<table>{row}</table>") for row in re.findall(r"<tr>.*?</tr>", html, flags=re.DOTALL)]


def test_differences_have_interval_p_and_verdict(compared: str) -> None:
    rows = rows_of(section(compared, "differences"))
    assert "Jensen-Shannon divergence globaloqa instruct 0.150 0.130 to 0.170 nats ; 400 items 0.001 worse" in rows
    assert "Jensen-Shannon divergence urn instruct 0.010 −0.010 to 0.030 nats ; 400 items 0.400 not told apart" in rows
    lost = "no value: infinite for some items nats ; 400 items, 3 without a value – no value"
    assert f"Jensen-Shannon divergence opinionqa_groups instruct {lost}" in rows
    assert "Entropy, model to people globaloqa tuned 0.200 0.150 to 0.250 ratio ; 400 items 0.002 different" in rows


def test_a_difference_of_a_group_names_it_and_stands_behind_whole_tasks(compared: str) -> None:
    rows = rows_of(section(compared, "differences"))
    whole, group = (next(n for n, row in enumerate(rows) if part in row) for part in ("wvs_individual tuned", "k = 8 tuned"))
    assert "wvs_individual , k = 8 tuned" in rows[group]
    assert group > whole


def test_what_was_left_out_stands_under_the_groups_and_in_the_method() -> None:
    few = LeftOut("items", 1, 2, "too few")
    left_out = {"globaloqa": [LeftOut("raters", 3, 1200, f"gender {SCRIPT} is not known")], "other": [], "alone": [few]}
    page = card_html(light(left_out=left_out))
    assert "3 of 1,200 raters: gender" in words(section(page, "groups"))
    assert "1 of 2 items: too few" not in words(section(page, "groups"))
    assert "alone: 1 of 2 items: too few" in words(section(page, "method"))
    assert SCRIPT not in page
    assert "What was left out" not in card_html(light())


def test_a_difference_lies_right_of_the_line_where_the_model_is_better(compared: str) -> None:
    for row in re.findall(r"<tr>.*?</tr>", section(compared, "differences"), flags=re.DOTALL):
        marks = places(row, "circle", "mark (?:run-0|hollow)")
        if 'class="verdict-better"' in row:
            assert marks[0] > places(row, "line", "zero")[0]
        if 'class="verdict-worse"' in row:
            assert marks[0] < places(row, "line", "zero")[0]
        if 'class="verdict-not-told-apart"' in row:
            assert "hollow" in row
        if 'class="verdict-no-value"' in row:
            assert marks == []


def test_three_models_stand_on_one_scale(compared: str) -> None:
    first = articles(section(compared, "headlines"), "headline-wide")[0]
    assert words(first).startswith("Jensen-Shannon divergence globaloqa ; nats , lower is better")
    (base,), (instruct,), (tuned,) = (places(first, "circle", f"mark run-{i}") for i in range(3))
    assert instruct < base < tuned  # 0.3, 0.15 and 0.05
    assert len(set(places(first, "line", "floor"))) == 1


def test_a_measure_that_one_run_lacks_says_so() -> None:
    cards = {"a": replace(bare_card(), findings_by_evaluation={"alignment": [js()]}), "b": bare_card()}
    cards["b"] = replace(cards["b"], findings_by_evaluation={"alignment": [js("urn")]})
    html = compare_html(cards, [])
    assert words(section(html, "headlines")).count("not measured") == 2
    assert "No measure was taken of two of these runs on the same items." in words(html)
    assert "b has no task in common with a." in words(html)


def test_questions_on_which_models_differ_most_come_first(compared: str) -> None:
    parts = [words(part) for part in questions_of(compared)]
    apart = []
    for part in parts:
        found = re.search(r"base (\S+)%, instruct (\S+)%, tuned (\S+)%", part)
        if found is not None:
            shares = [float(share.replace("<", "").replace(">", "")) for share in found.groups()]
            apart.append(max(shares) - min(shares))
    assert len(apart) >= 10
    assert all(a >= b - 1 for a, b in itertools.pairwise(apart))  # rounded to whole percents


def test_flags_of_each_model_are_named(compared: str) -> None:
    top = words(compared.partition('<section id="headlines"')[0])
    assert "instruct Its distributions are narrower than people's. It is worse than knowing nothing." in top
    assert "Against base, over 2 measures, tuned is better on 2." in top


@pytest.mark.parametrize(
    ("names", "found", "why"),
    [(["a"], [], "at least two cards"), (["a", "b"], ["c"], "differences of runs without a card: c; the cards are a, b")],
)
def test_what_cannot_be_compared_is_refused(names: list[str], found: Sequence[Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        compare_html({name: bare_card() for name in names}, [difference(run, 0.1, 0.01, 0.5) for run in found])
