"""The explorer in a real browser: somebody types, compares and reads the bars; by keyboard alone, and on a narrow screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, sync_playwright

from web.made_up_backend import NOTICE, MadeUpBackend
from web.running import running

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(MadeUpBackend()) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        made = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 1100, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    made.on("request", lambda request: asked.append(request.url))
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    yield made
    made.close()
    assert all(url.startswith(address) for url in asked), asked
    assert not said


def test_typing_comparing_and_reading_the_bars(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Situation", exact=True).fill("Taking a rest")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("img", name="relevance 90%").wait_for()
    assert page.get_by_role("rowheader", name="Right to rest").is_visible()
    bar = page.get_by_role("img", name="supports 80%, either 10%, opposes 10%")
    assert [bar.locator("rect").nth(n).get_attribute("width") for n in range(3)] == ["80.0", "10.0", "10.0"]
    assert "situation=Taking+a+rest" in page.url
    page.get_by_label("Another version of it").fill("Do not sit")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("flips").wait_for()
    assert page.locator("tr.flips .bar").count() == 4
    assert page.locator("tr.leaves .nothing").inner_text() == "no answer"
    assert NOTICE in page.inner_text("footer")


def test_a_fault_is_told_where_one_looks(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Situation", exact=True).fill("nothing")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Nothing was found").wait_for()


def test_editing_a_profile(page: Page, address: str) -> None:
    page.goto(f"{address}/profiles")
    page.get_by_label("Profile", exact=True).fill("a kind person")
    page.get_by_role("button", name="Predict").click()
    page.get_by_role("img", name="no: 70%, maybe: 20%, yes: 10%").wait_for()
    page.get_by_role("button", name="Take this rater's own profile").click()
    page.get_by_text("no answer").wait_for()
    assert page.get_by_label("Profile", exact=True).input_value() == "Honesty."


def test_by_keyboard_alone(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "situation"
    page.keyboard.type("Taking a rest")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Enter")
    page.get_by_role("img", name="relevance 90%").wait_for()
    labelled = page.evaluate("[...document.querySelectorAll('textarea,select,input')].every((one) => one.labels.length > 0)")
    assert labelled


@pytest.mark.parametrize("path", ["/?situation=Taking+a+rest", "/?situation=a+rest&other=do+not+" + "x" * 200, "/profiles"])
def test_it_can_be_read_on_a_narrow_screen(browser: Browser, address: str, path: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(address + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate("[...document.querySelectorAll('.bar')].map((one) => one.getBoundingClientRect().width)")
    assert sizes
    assert min(sizes) >= 80
    page.close()


def test_without_scripts_the_forms_work(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("Situation", exact=True).fill("Taking a rest")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("img", name="relevance 90%").wait_for()
    context.close()
