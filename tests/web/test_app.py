"""The explorer's pages and interface: complete without a script, escaped, bounded, and closed to other hosts and paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fastapi.testclient import TestClient

from pluralign.web.app import explorer
from web.made_up_backend import NOTICE, MadeUpBackend


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = home / "runs"
    for name in ("one", "two <b>"):
        (folder / name).mkdir(parents=True)
        (folder / name / "report.html").write_text(f"<!DOCTYPE html><title>{len(name)}</title><script>1</script>")
    (folder / "empty").mkdir()
    (home / "report.html").write_text("outside")
    (folder / "leak").mkdir()
    (folder / "leak" / "report.html").symlink_to(home / "report.html")
    return folder


@pytest.fixture(scope="module")
def client(runs: Path) -> Iterator[TestClient]:
    with TestClient(explorer(MadeUpBackend(), runs=runs)) as made:
        yield made


# pages


@pytest.mark.parametrize("path", ["/", "/?situation=Taking+a+rest", "/profiles", "/reports", "/?situation=a&other=not+a"])
def test_pages_are_whole_safe_and_say_whose_word_it_is(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 200
    assert NOTICE in found.text
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"\son\w+=|\sstyle=|<script>|https?://(?!www\.w3)", found.text)


def test_a_situation_gets_its_values(client: TestClient) -> None:
    text = client.get("/", params={"situation": "Taking  a\nrest"}).text
    assert "Right to rest" in text
    assert 'aria-label="relevance 90%"' in text
    assert 'aria-label="supports 80%, either 10%, opposes 10%"' in text
    assert "entropy 0.95 nats" in text


def test_two_versions_are_compared(client: TestClient) -> None:
    text = client.get("/", params={"situation": "Taking a rest", "other": "Do not sit"}).text
    rows = re.findall(r'<tr class="(\w+)">', text)
    assert rows == ["flips", "leaves"]


def test_nothing_found_says_so(client: TestClient) -> None:
    text = client.get("/", params={"situation": "nothing"}).text
    assert "Nothing was found: nothing was relevant" in text
    assert "No decision" in text


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<|im_start|>system", "مرحبا", "日本語のテキスト", '" onload="x']
)
def test_text_stays_text(client: TestClient, text: str) -> None:
    found = client.get("/", params={"situation": text, "other": text})
    assert found.status_code == 200
    assert "<script>alert" not in found.text
    assert 'onload="x' not in found.text


def test_a_profile_is_edited(client: TestClient) -> None:
    text = client.get("/profiles", params={"rater": "r1", "profile": "kind"}).text
    assert 'aria-label="no: 70%, maybe: 20%, yes: 10%"' in text
    assert ">kind</textarea>" in text
    assert "&lt;b&gt;r2&lt;/b&gt;" in text
    own = client.get("/profiles", params={"rater": "r1", "profile": "kind", "own": "1"}).text
    assert ">Honesty.</textarea>" in own
    assert "no answer" in own


def test_without_raters_the_page_says_what_to_do() -> None:
    with TestClient(explorer(MadeUpBackend(raters=()))) as client:
        assert "--ratings FILE" in client.get("/profiles").text
        assert "--runs FOLDER" in client.get("/reports").text


# reports


def test_reports_of_run_folders_open_and_cannot_run_anything(client: TestClient) -> None:
    text = client.get("/reports").text
    keys = re.findall(r'href="/reports/(\w+)"', text)
    assert len(keys) == 2
    assert "two &lt;b&gt;" in text
    for key in keys:
        found = client.get(f"/reports/{key}")
        assert found.status_code == 200
        assert found.headers["content-security-policy"].startswith("sandbox")
        assert "script-src" not in found.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/reports/..%2freport.html", "/reports/x", "/static/../app.py", "/static/%2e%2e/app.py", "/etc/passwd"]
)
def test_no_path_of_a_request_reaches_a_file(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 404
    assert "outside" not in found.text
    assert "import" not in found.text


# the interface


def test_values_as_json(client: TestClient) -> None:
    found = client.post("/api/values", json={"situation": "Taking a rest"}).json()
    assert [one["text"] for one in found["considerations"]] == ["Care", "Right to rest"]
    assert found["notice"] == NOTICE
    batch = client.post("/api/values/batch", json={"situations": ["a", "nothing"]}).json()
    assert [one["outcome"] for one in batch] == ["ok", "nothing was relevant"]
    assert batch[1]["supports"] is None
    both = client.post("/api/values/compare", json={"situation": "a", "other": "do not"}).json()
    assert [one["change"] for one in both["changes"]] == ["flips"]


def test_predictions_as_json(client: TestClient) -> None:
    found = client.post("/api/profiles/predict", json={"rater": "r1", "profile": "kind"}).json()
    assert found["own_profile"] == "Honesty."
    assert found["items"][0]["after"] == [0.7, 0.2, 0.1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/values", {}),
        ("/api/values", {"situation": ""}),
        ("/api/values", {"situation": "  \n "}),
        ("/api/values", {"situation": "x" * 2_001}),
        ("/api/values", {"situation": "a\0b"}),
        ("/api/values", {"situation": 3}),
        ("/api/values", {"situation": "a", "path": "/etc"}),
        ("/api/values/batch", {"situations": []}),
        ("/api/values/batch", {"situations": ["a"] * 33}),
        ("/api/profiles/predict", {"profile": "x" * 4_001}),
    ],
)
def test_what_cannot_be_asked_gets_a_clear_4xx(client: TestClient, path: str, body: dict[str, object]) -> None:
    found = client.post(path, json=body)
    assert found.status_code == 422
    assert found.json()["detail"][0]["msg"]


def test_a_page_that_cannot_be_asked_gets_one_too(client: TestClient) -> None:
    assert client.get("/", params={"situation": "x" * 2_001}).status_code == 422
    assert client.get("/", params={"situation": "a\0"}).status_code == 422


def test_a_body_may_not_be_large(client: TestClient) -> None:
    assert client.post("/api/values", content=b"x" * 300_000).status_code == 413

    def drip() -> Iterator[bytes]:
        for _ in range(40):
            yield b"y" * 10_000

    assert client.post("/api/values", content=drip()).status_code == 413


def test_a_model_that_fails_is_a_stated_error(client: TestClient) -> None:
    found = client.post("/api/values", json={"situation": "fail"})
    assert found.status_code == 502
    assert "fell over" in found.json()["detail"][0]["msg"]
    page = client.get("/", params={"situation": "fail"})
    assert page.status_code == 502
    assert "&lt;oops&gt;" in page.text


def test_other_hosts_are_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_health_metrics_and_description(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"
    client.post("/api/values", json={"situation": "a"})
    client.get("/reports/secret-path-of-somebody")
    text = client.get("/metrics").text
    assert 'pluralign_requests_total{route="/api/values",status="200"}' in text
    assert "secret-path" not in text
    described = client.get("/openapi.json").json()
    assert {"/api/values", "/api/values/batch", "/api/values/compare", "/api/profiles/predict"} <= set(described["paths"])
    assert client.get("/docs").status_code == 404
