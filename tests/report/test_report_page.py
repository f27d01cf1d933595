"""The whole page: complete, self-contained, safe against its data, and readable by machines that read aloud."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pluralign.errors import RunError, UsageError
from pluralign.raters.findings import Findings
from pluralign.report import page as page_module
from pluralign.report import study_page, write_study_page
from report.made_up import ARABIC, LONG, bare_findings, data_summary, est, findings

SECTIONS = [
    *("overview", "agreement", "information", "language", "groups"),
    *("calibration", "raters", "items", "method", "glossary"),
]
HTML_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "nav", "header", "section", "article", "aside", "footer"),
    *("h1", "h2", "h3", "h4", "p", "a", "div", "span", "strong", "bdi", "cite", "ol", "ul", "li", "dl", "dt", "dd"),
    *("figure", "figcaption", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "path", "line", "text", "rect"),
}
VOID = {"meta"}


class Reader(HTMLParser):
    """Every element with its attributes, and the text outside of `<style>`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def full() -> str:
    return study_page(findings())


@pytest.fixture(scope="module")
def bare() -> str:
    return study_page(bare_findings())


@pytest.fixture(scope="module", params=["full", "bare"])
def page(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_elements_nest_and_none_but_expected_ones_occur(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    assert {tag for tag, _ in reader.elements} <= HTML_TAGS


def test_data_never_become_markup(page: str) -> None:
    assert "<script" not in page.lower()
    assert "<img" not in page.lower()
    for tag, attributes in Reader(page).elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    assert not re.search(r"https?:|(?<!:)//\w", page)
    assert "@import" not in page
    for tag, attributes in Reader(page).elements:
        assert not {"src", "srcset", "xlink:href", "data", "action"} & set(attributes), tag
        assert attributes.get("href", "#").startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "default-src 'none'" in page


def test_every_section_is_there_in_order_and_in_the_contents(page: str) -> None:
    reader = Reader(page)
    expected = [name for name in SECTIONS if name != "language" or 'id="language"' in page]
    assert [attributes["id"] for attributes in reader.all("section")] == expected
    links = [attributes["href"].removeprefix("#") for attributes in reader.all("a")]
    assert links[1:] == expected  # the first skips to the findings


def test_a_language_model_has_a_section_where_one_was_asked(full: str, bare: str) -> None:
    assert 'id="language"' in full
    assert 'id="language"' not in bare


def test_it_can_be_read_aloud(page: str) -> None:
    reader = Reader(page)
    assert reader.all("html")[0]["lang"] == "en"
    assert all(svg.get("role") == "img" and len(svg.get("aria-label", "")) > 10 for svg in reader.all("svg"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(th.get("scope") in ("col", "row") for th in reader.all("th"))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_undefined_values_show_their_reason_and_no_digits(full: str, bare: str) -> None:
    assert "no value: only one level among the tested raters" in Reader(full).words
    words = Reader(bare).words
    for reason in ("there is only 1 rater", "no item has two raters", "the others are compared with it"):
        assert reason in words
    for text in (Reader(full).words, words):
        assert not re.search(r"\b(nan|NaN|None(?! of)|inf|null)\b", text)
    table = bare[bare.index('id="information"') : bare.index('id="groups"')]
    assert not re.search(r'<td class="number">[^<]*\d', table)


def test_empty_lists_give_a_sentence(bare: str) -> None:
    words = Reader(bare).words
    for sentence in (
        "Nothing was changed, left out or remarked upon.",
        "there are no attributes",
        "No attribute was tried",
        "No past ratings were tried",
        "No groups were looked for",
        "No calibration was measured.",
        "No rater is listed.",
        "No item is listed.",
    ):
        assert sentence in words
    assert "<svg" not in bare


def test_texts_are_whole_somewhere(full: str) -> None:
    words = Reader(full).words
    assert LONG in words
    assert ARABIC in words
    for note in data_summary().notes[:2]:
        assert note in words
    assert "a-rater-with-an-identifier-that-is-much-longer-than-any-chart-has-room-for-00000001" in words
    assert "00011 (1) and 198 more levels" in words
    assert "every rater has another value" in words


def test_groups_that_tell_nothing_carry_a_warning(full: str) -> None:
    warning = "What these groups tell about held-out answers cannot be told from chance; do not interpret them."
    before, _, after = full[full.index('id="groups"') :].partition("<h3>8 groups</h3>")
    assert warning not in before
    assert after.count(warning) == 1
    assert before.count("<details>") == 0  # the warned of, many groups are folded away, the others not
    assert "<details>" in after


def test_truth_only_where_there_is_one(full: str) -> None:
    without = study_page(findings(truth=False))
    assert "Truth (nats)" in full
    assert full.count("<strong>outside</strong>") == 1
    assert "Truth (nats)" not in without
    assert "true value" not in without


def test_columns_that_nothing_fills_are_left_out(bare: str) -> None:
    assert "Share kept</th>" not in bare
    assert "p, corrected" not in bare


def test_two_renderings_are_equal_also_from_json(full: str) -> None:
    assert study_page(Findings.from_dict(json.loads(json.dumps(findings().to_dict())))) == full


def test_size(full: str) -> None:
    assert len(full.encode()) < 1_000_000


def test_a_long_scale_is_drawn_upright_and_its_key_is_short() -> None:
    options = [str(i) for i in range(101)]
    data = replace(data_summary(), options=options, scale_kind="interval", option_shares=[est(1 / 101, 0.001)] * 101)
    long = replace(
        bare_findings(), data=data, polarising_items=[replace(findings().polarising_items[0], option_shares=[1 / 101] * 101)]
    )
    words = Reader(study_page(long)).words
    assert "7 of 101 options are named; those between have the shades between." in words
    assert page_module.legend(options, ordered=True)[-1][1] == "100"
    assert len(page_module.legend(options, ordered=False)) == 101


def test_write(tmp_path: Path, bare: str) -> None:
    target = tmp_path / "new" / "report.html"
    write_study_page(bare_findings(), target)
    assert target.read_text(encoding="utf-8") == bare
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")

    def full_disk(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match=r"report\.html: cannot be written: no space left"):
        write_study_page(bare_findings(), target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write_study_page(bare_findings(), tmp_path)


def test_importing_the_report_does_not_import_what_draws_it() -> None:
    slow = ("altair", "vl_convert", "jinja2", "polars", "scipy")
    code = f"import sys, pluralign.report; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
