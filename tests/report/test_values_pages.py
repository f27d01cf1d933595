"""Pages of minimal pairs and of a study with people: whole, escaped, needing nothing else; in a browser where there is one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.ratings import Ratings
from pluralign.ratings.scale import Scale
from pluralign.report import values_pages
from pluralign.report.values_pages import contrasts_html, study_html
from pluralign.values.considerations import Consideration
from pluralign.values.contrast_run import ContrastRun, ContrastSettings, contrast_run
from pluralign.values.study_results import StudyFindings, StudyResults, study_findings
from report.test_card_browser import BROWSER, brightness, measured
from values.fake_values_model import FakeValuesModel

SLY = '<script>alert("1")</script> & \u202eevil\x07'


def _said(situation: str, one: Consideration) -> Sequence[float]:
    after = situation.startswith("after")
    return {"enters": (0.9, 0, 1, 0) if after else (0.1, 1, 0, 0), "flips": (0.9, after, 1 - after, 0)}.get(
        one.text.split(" ")[0], (0.5, 0.3, 0.3, 0.4)
    )


def _run(n: int = 3) -> ContrastRun:
    considerations = tuple(Consideration("Value", text) for text in (f"enters {SLY}", "flips", "stays"))
    pairs = [(f"before {k} {SLY}", f"after {k}") for k in range(n)]
    return contrast_run(pairs, FakeValuesModel(_said), ContrastSettings(considerations=considerations))


def _findings(n: int = 60) -> StudyFindings:
    rng = np.random.default_rng(0)
    rows = []
    for rater in range(n):
        age, group = ("old", f"young {SLY}")[rater % 2], "few" if rater < 3 else "many"
        for item in range(6):
            missing = "yes" if rng.random() < (0.7 if age == "old" else 0.2) else "no"
            rows.append((f"i{item}", f"r{rater}", missing, age, group))
    table = pl.DataFrame(rows, schema=["item_id", "rater_id", "rating", "rater_age", "rater_group"], orient="row")
    missing = Ratings.from_long(table, Scale("nominal", ("no", "yes")))
    items = {"considerations": 10, "situations": 6}
    return study_findings(StudyResults(model=f"hf/{SLY}", relevance=None, valence=None, missing=missing, n_items=items))


def _check(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x07" not in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "not a verdict" in page
    assert page.count("<h1") == 1
    for link in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{link}"' in page


def test_pairs() -> None:
    run = _run()
    page = contrasts_html(run)
    _check(page)
    assert page == contrasts_html(run)
    assert page.count('class="pair"') == 3
    assert page.count('<svg class="range"') == 6  # one enters, one flips, in each pair
    assert "1 consideration stays as it was" in page
    assert "Beside the truth" not in page
    # Ring at .1, dot at .9, of the valence that each version has.
    assert 'class="ring supports" cx="10%"' in page
    assert 'class="full opposes" cx="90%"' in page


def test_long_lists_are_cut_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values_pages, "MOST_PAIRS", 2)
    monkeypatch.setattr(values_pages, "MOST_ROWS", 1)
    page = contrasts_html(_run())
    assert page.count('class="pair"') == 2
    assert "1 more pair is not on this page" in page
    assert page.count("1 more change is not shown.") == 2


def test_a_study() -> None:
    found = _findings()
    page = study_html(found, seed=3)
    _check(page)
    assert page == study_html(found, seed=3)
    assert "What this sample can and cannot show" in page
    assert all(limit.split(SLY)[0][:60] in page for limit in found.limits if "'" not in limit)
    assert "nobody was asked about relevance" in page
    assert "Too few people to be reported: <bdi>few</bdi> (3)" in page
    assert page.count('class="mark run-0"') == 3  # the whole, and two groups that differ
    assert "Nothing is known of the people who answered this" in page  # of relevance, which nobody was asked about
    clear = {row.level: row for row in found.groups if row.attribute == "age"}["old"]
    assert clear.p_holm < 0.05
    alike = dataclasses.replace(found, groups=tuple(dataclasses.replace(row, p_holm=0.5) for row in found.groups))
    assert study_html(alike).count('class="mark hollow"') == len(found.groups)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("name", ["pairs", "study"])
def test_in_a_browser(name: str, width: int, tmp_path: Path) -> None:
    page = contrasts_html(_run()) if name == "pairs" else study_html(_findings())
    light, dark = (measured(page, tmp_path, width=width, scheme=scheme) for scheme in ("1", "0"))
    assert isinstance(light["content"], int)
    assert light["content"] <= width  # nothing sticks out
    svgs = light["svgs"]
    assert isinstance(svgs, list)
    assert svgs
    assert all(size[0] > 40 for size in svgs)
    assert brightness(light["background"]) > 200 > 60 > brightness(dark["background"])
