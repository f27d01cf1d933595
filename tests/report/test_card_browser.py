"""The pages in a real browser, where one is installed: a silent console, charts that have a size, nothing that sticks out.

A copy of the page is measured by a script of the test's own, for which its ban on scripts is taken out; the console is read of
the page as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pluralign.report.card_page import card_html, compare_html
from report.made_up_card import bare_card, card, differences, three_cards

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]

BAN = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURE = """<script>
document.querySelectorAll("details").forEach((one) => { one.open = true; });
const size = (one) => { const box = one.getBoundingClientRect(); return [box.width, box.height]; };
const seen = (one) => getComputedStyle(one).display !== "none";
const found = {
  width: innerWidth,
  content: document.documentElement.scrollWidth,
  svgs: [...document.querySelectorAll("svg")].filter(seen).map(size),
  marks: [...document.querySelectorAll("svg.range circle")].map((one) => {
    const mark = one.getBoundingClientRect(), box = one.closest("svg").getBoundingClientRect();
    return (mark.x + mark.width / 2 - box.x) / box.width;
  }),
  background: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  inks: [...new Set([...document.querySelectorAll("figure svg text")].map((one) => getComputedStyle(one).fill))],
};
parent.postMessage(JSON.stringify(found), "*");
</script></body>"""
AROUND = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><pre id="told"></pre><script>
addEventListener("message", (event) => { document.getElementById("told").textContent = event.data; });
</script><iframe src="inner.html" style="width:WIDTHpx;height:900px;border:0"></iframe>"""
"""A browser's own window cannot be as narrow as a telephone."""
LIGHT, DARK = "1", "0"


def browse(page: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    common = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", profile]
    command = [BROWSER, *common, "--enable-logging=stderr", *arguments, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)


def measured(html: str, tmp_path: Path, *, width: int, scheme: str = LIGHT) -> dict[str, object]:
    (tmp_path / "inner.html").write_text(BAN.sub("", html).replace("</body>", MEASURE), encoding="utf-8")
    page = tmp_path / "around.html"
    page.write_text(AROUND.replace("WIDTH", str(width)), encoding="utf-8")
    settings = [f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=5000"]
    dom = browse(page, tmp_path, "--window-size=1300,1000", *settings).stdout
    told = re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.DOTALL)
    assert told is not None
    found: dict[str, object] = json.loads(told[1])
    return found


def brightness(colour: object) -> float:
    return sum(float(part) for part in re.findall(r"[\d.]+", str(colour))[:3]) / 3


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {
        "card": card_html(card("an-organisation/a-model-with-a-name-that-hardly-ends-" * 4)),
        "bare": card_html(bare_card()),
        "compared": compare_html(three_cards(), differences()),
    }


def console(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_nothing_is_reported_on_the_console(pages: dict[str, str], tmp_path: Path) -> None:
    for name, html in pages.items():
        page = tmp_path / f"{name}.html"
        page.write_text(html, encoding="utf-8")
        done = browse(page, tmp_path)
        assert console(done) == [], name
        assert done.stdout.count("<svg") == html.count("<svg"), name
    broken = tmp_path / "broken.html"
    broken.write_text(pages["bare"].replace("</body>", "<script>alert(1)</script></body>"), encoding="utf-8")
    assert console(browse(broken, tmp_path)) != []


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("name", ["card", "compared"])
def test_charts_have_a_size_and_nothing_sticks_out(name: str, width: int, pages: dict[str, str], tmp_path: Path) -> None:
    found = measured(pages[name], tmp_path, width=width)
    assert found["width"] == width
    assert found["content"] == width
    svgs = found["svgs"]
    assert isinstance(svgs, list)
    assert len(svgs) > 100
    assert all(w > 20 and h > 5 for w, h in svgs)
    marks = found["marks"]
    assert isinstance(marks, list)
    assert marks
    assert all(0 <= place <= 1 for place in marks)


def test_ink_and_paper_change_places_in_the_dark(pages: dict[str, str], tmp_path: Path) -> None:
    for scheme, is_dark in ((LIGHT, False), (DARK, True)):
        found = measured(pages["card"], tmp_path, width=1200, scheme=scheme)
        assert (brightness(found["background"]) < 60) is is_dark
        assert (brightness(found["ink"]) > 180) is is_dark
        inks = found["inks"]
        assert isinstance(inks, list)
        assert inks
        assert all((brightness(ink) > 130) is is_dark for ink in inks)
