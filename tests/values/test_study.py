"""The study: what is exported, the real Potato server where it is installed, results read back, groups by hand and by truth."""

from __future__ import annotations

import http.cookiejar
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, RunError, UsageError
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.scale import Scale
from pluralign.values.study import QUESTIONS, StudyItem, StudySettings, export_study
from pluralign.values.study_results import StudyResults, read_study, study_findings

POTATO = os.environ.get("PLURALIGN_POTATO") or shutil.which("potato")
"""The program of the package potato-annotation (GPL), run for itself."""
TABLE = pl.DataFrame(
    [
        ("Resting <b>late</b>", "Value", "rest & quiet"),
        ("Resting <b>late</b>", "Right", "Right to rest"),
        ("Resting <b>late</b>", "Duty", "Duty to work"),
        ("Biking", "Value", "health"),
    ],
    schema=["action", "vrd", "text"],
    orient="row",
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    export_study(TABLE, tmp_path / "study", model="scripted", settings=StudySettings(attributes=("age",)))
    return tmp_path / "study"


def _items(study: Path) -> dict[str, dict[str, object]]:
    return {one["id"]: one for one in json.loads((study / "study.json").read_text())["items"]}


def _state(study: Path, kind: str, user: str, answers: dict[str, dict[str, str]]) -> None:
    """What Potato keeps of a user, by item and scheme."""
    folder = study / "potato" / kind / "annotation_output" / user
    folder.mkdir(parents=True, exist_ok=True)
    labels = {
        item: [[{"schema": scheme, "name": label}, label] for scheme, label in given.items()] for item, given in answers.items()
    }
    (folder / "user_state.json").write_text(json.dumps({"user_id": user, "instance_id_to_label_to_value": labels}))


def test_what_is_exported(study: Path) -> None:
    items = _items(study)
    assert sorted(items) == ["s00000", "s00000c000", "s00000c001", "s00000c002", "s00001", "s00001c000"]
    config = json.loads((study / "potato" / "considerations" / "config.yaml").read_text())
    assert [one["name"] for one in config["annotation_schemes"]] == ["relevance", "valence"]
    lines = (study / "potato" / "considerations" / "items.jsonl").read_text().splitlines()
    shown = {one["id"]: one["text"] for one in map(json.loads, lines)}
    assert shown["s00000c000"] == "Situation: Resting &lt;b&gt;late&lt;/b&gt;<br>Value: rest &amp; quiet"
    tasks = json.loads((study / "labelstudio" / "situations.json").read_text())
    assert {task["data"]["study_item"] for task in tasks} == {"s00000", "s00001"}
    root = ET.parse(study / "labelstudio" / "considerations.xml").getroot()
    assert [choices.get("name") for choices in root.iter("Choices")] == ["relevance", "valence"]
    assert (study / "raters.csv").read_text() == "rater_id,age\n"
    assert "not a verdict" in json.loads((study / "study.json").read_text())["notice"]
    with pytest.raises(RunError, match="something in it already"):
        export_study(TABLE, study, model="scripted")


def test_few_of_a_situation(tmp_path: Path) -> None:
    items = export_study(TABLE, tmp_path / "s", model="scripted", settings=StudySettings(per_situation=1, seed=1))
    assert sum(isinstance(one, StudyItem) and one.kind == "considerations" for one in items) == 2
    with pytest.raises(DataError, match="no column vrd"):
        export_study(TABLE.drop("vrd"), tmp_path / "t", model="scripted")
    with pytest.raises(UsageError, match="at least 1"):
        StudySettings(raters_per_item=0)


def test_potato_results_are_read_back(study: Path) -> None:
    with pytest.raises(DataError, match="nobody has answered"):
        read_study(study)
    _state(
        study,
        "considerations",
        "ann",
        {"s00000c000": {"relevance": "no", "valence": "Either"}, "s00001c000": {"relevance": "yes"}},
    )
    _state(study, "considerations", "bob", {"s00000c000": {"relevance": "somewhat", "valence": "Supports"}})
    _state(study, "situations", "ann", {"s00000": {"missing": "yes", "missing_text": "peace"}})
    (study / "raters.csv").write_text("rater_id,age\nann,30\nbob,50\n")
    results = read_study(study, raters=study / "raters.csv")
    assert results.relevance is not None
    assert results.missing is not None
    rows = results.relevance.to_long().sort("item_id", "rater_id")
    assert rows["rating"].to_list() == ["no", "somewhat", "yes"]
    assert rows["item_situation"].to_list() == ["Resting <b>late</b>", "Resting <b>late</b>", "Biking"]
    assert rows["rater_age"].cast(pl.String).to_list() == ["30", "50", "30"]
    assert results.relevance.scale == Scale("ordinal", ("no", "somewhat", "yes"))
    assert results.n_items == {"considerations": 4, "situations": 2}
    found = study_findings(results)
    assert found.relevant_share.value == pytest.approx(2 / 3)
    assert found.missing_share.why_undefined is not None  # one person
    assert {(one.level, one.n_raters) for one in found.too_small if one.measure == "relevant_share"} == {("30", 1), ("50", 1)}
    assert json.dumps(found.to_dict(), allow_nan=False)
    _state(study, "situations", "eve", {"s00000c000": {"missing": "no"}})
    with pytest.raises(DataError, match="no situations of this study"):
        read_study(study)


def test_label_studio_results_are_read_back(study: Path, tmp_path: Path) -> None:
    tasks = json.loads((study / "labelstudio" / "situations.json").read_text())
    for number, task in enumerate(tasks):
        choice = {
            "from_name": "missing",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["yes" if number else "no"]},
        }
        task |= {"id": 70 + number, "annotations": [{"completed_by": 5, "result": [choice]}]}
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    results = read_study(study, situations=export)
    assert results.missing is not None
    long = results.missing.to_long()
    assert dict(zip(long["item_id"], long["rating"], strict=True)) == {
        tasks[0]["data"]["study_item"]: "no",
        tasks[1]["data"]["study_item"]: "yes",
    }
    assert results.relevance is None


def _people(n: int, *, effect: float, seed: int, n_items: int = 8) -> StudyResults:
    """Half of them are old and find something missing more often by `effect`; three belong to a small group."""
    rng = np.random.default_rng(seed)
    rows = []
    for rater in range(n):
        age, group = ("old", "young")[rater % 2], "few" if rater < 3 else "many"
        own = rng.normal(0, 0.05)
        for item in range(n_items):
            missing = rng.random() < np.clip(0.3 + effect * (age == "old") + own, 0, 1)
            rows.append((f"s{item}", f"r{rater:03d}", "yes" if missing else "no", age, group))
    table = pl.DataFrame(rows, schema=["item_id", "rater_id", "rating", "rater_age", "rater_group"], orient="row")
    ratings = Ratings.from_long(table, Scale("ordinal", ("no", "yes")))
    counts = {"considerations": 0, "situations": n_items}
    return StudyResults(model="scripted", relevance=None, valence=None, missing=ratings, n_items=counts)


def test_groups_that_differ_are_found() -> None:
    found = study_findings(_people(120, effect=0.25, seed=0))
    old, young = found.groups
    assert (old.attribute, old.level, old.n_raters) == ("age", "old", 60)
    assert old.difference.low < 0.25 < old.difference.high
    assert old.difference.value == pytest.approx(-young.difference.value)
    assert old.p_holm < 0.01
    assert old.p_holm >= old.p_value
    assert old.share.n == 60
    assert 0 < (old.detectable or 0) < 0.2
    assert [(one.level, one.n_raters) for one in found.too_small] == [("few", 3), ("many", 117)]
    assert found.missing_share.n == 120
    assert found.relevant_share.why_undefined == "nobody was asked about relevance"
    said = " ".join(found.limits)
    assert "few (3)" in said
    assert "does not show that there is none" in said
    assert "8 of 8 situations" in said


def test_groups_that_do_not_differ_are_rarely_found() -> None:
    """Of 30 studies without an effect, about 5 % have a p-value below .05."""
    p = [study_findings(_people(60, effect=0.0, seed=seed, n_items=4)).groups[0].p_value for seed in range(30)]
    assert sum(one < 0.05 for one in p) <= 5
    assert np.mean(p) == pytest.approx(0.5, abs=0.15)


def test_fewest_has_a_floor() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        study_findings(_people(10, effect=0, seed=0), fewest=1)


def test_a_state_counts_before_the_lines_of_older_versions(tmp_path: Path) -> None:
    folder = tmp_path / "ann"
    folder.mkdir()
    (folder / "annotated_instances.jsonl").write_text(
        json.dumps({"id": "i", "displayed_text": "t", "label_annotations": {"q": {"no": "no"}}}) + "\n"
    )
    assert read_ratings(tmp_path, ReadOptions(options=("no", "yes"))).to_long()["rating"].to_list() == ["no"]
    labels = {"i": [[{"schema": "q", "name": "yes"}, "yes"]]}
    (folder / "user_state.json").write_text(json.dumps({"instance_id_to_label_to_value": labels}))
    assert read_ratings(tmp_path, ReadOptions(options=("no", "yes"))).to_long()["rating"].to_list() == ["yes"]
    (folder / "user_state.json").write_text(json.dumps({"instance_id_to_label_to_value": {"i": "yes"}}))
    with pytest.raises(DataError, match="'instance_id_to_label_to_value' > 'i'"):
        read_ratings(tmp_path)


# the real server


class _Browser:
    """One person: logs in, looks at a page, answers."""

    def __init__(self, port: int, user: str) -> None:
        self.root = f"http://127.0.0.1:{port}"
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({}))
        self.open("/auth", urllib.parse.urlencode({"email": user, "action": "login"}).encode())

    def open(self, path: str, data: bytes | None = None, kind: str = "application/x-www-form-urlencoded") -> str:
        request = urllib.request.Request(self.root + path, data=data, headers={"Content-Type": kind} if data else {})
        with self.opener.open(request, timeout=30) as reply:
            return str(reply.read().decode())

    def answer(self, item: str, answers: dict[str, str]) -> None:
        marks = {f"{scheme}:{label}": label for scheme, label in answers.items()}
        body = {"instance_id": item, "annotations": marks, "span_annotations": []}
        assert '"success"' in self.open("/updateinstance", json.dumps(body).encode(), "application/json")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.mark.slow
@pytest.mark.skipif(POTATO is None, reason="potato is not installed: put it on the PATH, or its program in PLURALIGN_POTATO")
@pytest.mark.parametrize("kind", ["considerations", "situations"])
def test_potato_runs_the_study_and_its_answers_are_read(study: Path, tmp_path: Path, kind: str) -> None:
    """The real server on loopback: two people log in, see escaped text and all labels, and answer over its own interface."""
    assert POTATO is not None
    project, port, log = study / "potato" / kind, _free_port(), tmp_path / "log"
    command = [POTATO, "start", "config.yaml", "-p", str(port), "--host", "127.0.0.1"]
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=project, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, server, log)
        item = "s00000c000" if kind == "considerations" else "s00000"
        for user, place in (("ann", 0), ("bob", 1)):
            person = _Browser(port, user)
            page = person.open("/annotate")
            assert "Situation:" in page
            assert "<b>late" not in page.partition('id="text-content"')[2].partition("</div>")[0]
            for question in QUESTIONS[kind]:  # type: ignore[index]
                assert all(f'value="{answer}"' in page for answer in question.answers)
            person.answer(item, {q.name: q.answers[place] for q in QUESTIONS[kind] if q.answers})  # type: ignore[index]
        results = read_study(study)
        ratings = results.relevance if kind == "considerations" else results.missing
        assert ratings is not None
        assert dict(zip(ratings.to_long()["rater_id"], ratings.to_long()["rating"], strict=True)) == dict(
            zip(("ann", "bob"), QUESTIONS[kind][0].answers[:2], strict=True)  # type: ignore[index]
        )
    finally:
        server.terminate()
        server.wait(timeout=20)
