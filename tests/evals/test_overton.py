from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.evals.findings import ITEM_SCHEMA, Finding
from pluralign.evals.kinds import Setting
from pluralign.evals.overton import INSTRUCTION, OVERTON, RECORD_SCHEMA, Overton
from pluralign.evals.overton_findings import covered_share, precision, rated_coverage, rated_findings, union_ceilings
from pluralign.evals.overton_questions import read_polis_questions, read_posed
from pluralign.evals.presence import Presence, Written, sentences_of
from pluralign.models.scripted import ScriptedModel

VIEWS = {"A bridge?": {"yes": 3.0, "no": 1.0}, "A tax?": {"more": 1.0, "less": 1.0, "none": 2.0}, "A park?": {"green": 1.0}}
SAID = {"A bridge?": "They say yes. Weather.", "A tax?": "Some more. Some less. Some none. A park.", "A park?": "Hm."}


class _Words:
    """A view is presented by a sentence that holds its word."""

    name, threshold = "words", 0.5

    def presence(self, cases: Sequence[Written]) -> list[Presence]:
        found = []
        for case in cases:
            sentences = sentences_of(case.response)
            table = np.array([[0.9 if view in one.lower() else 0.1 for view in case.viewpoints] for one in sentences])
            table = table.reshape(len(sentences), len(case.viewpoints))
            found.append(Presence(table.max(axis=0, initial=0.0), table.max(axis=1, initial=0.0)))
        return found


def _model(said: Mapping[str, str] = SAID, **faults: float) -> ScriptedModel:
    return ScriptedModel(lambda query: {said[query.input or ""]: 1.0}, faults=faults)  # type: ignore[arg-type]  # names of faults


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "town.jsonl"
    lines = [
        {"question": question, "viewpoints": [{"text": text, "weight": weight} for text, weight in views.items()]}
        for question, views in VIEWS.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


WORDS = Overton(scorer=_Words())


def _asked(path: Path, model: ScriptedModel, *, limit: int | None = None) -> pl.DataFrame:
    setting = Setting(limit=limit)
    return WORDS.ask(WORDS.material(f"overton:{path}", setting).questions, model, setting)


def _found(records: pl.DataFrame, metric: str) -> Finding:
    [finding] = [one for one in OVERTON.findings(records, seed=0) if one.metric == metric]
    return finding


# scores


def test_scores_by_hand(file: Path) -> None:
    """Covered: 1 of 2, 3 of 3, 0 of 1; of the people 3/4, all, none; sentences with a view: 1 of 2, 3 of 4, 0 of 1.

    The floor: the answer about a tax has no view on the bridge but "no" in "none"; that about a park none of the tax; that
    about the bridge none of the park: 1/2, 0, 0.
    """
    records = _asked(file, _model())
    values = {
        "overton_score": (0.5 + 1 + 0) / 3,
        "overton_score_weighted": (0.75 + 1 + 0) / 3,
        "view_probability": ((0.9 + 0.1) / 2 + 0.9 + 0.1) / 3,
        "overton_precision": (1 / 2 + 3 / 4 + 0) / 3,
    }
    for metric, value in values.items():
        found = _found(records, metric)
        assert found.estimate.value == pytest.approx(value, abs=1e-12), metric
        assert (found.estimate.n, found.estimate.unit) == (3, "question")
    floor = _found(records, "overton_score").floor
    assert floor is not None
    assert floor.name == "a response to another question"
    assert floor.estimate.value == pytest.approx((1 / 2 + 0 + 0) / 3, abs=1e-12)
    assert [one.metric for one in OVERTON.findings(records, seed=0) if one.is_headline] == ["overton_score"]
    items = OVERTON.items(records)
    assert dict(items.schema) == ITEM_SCHEMA
    assert items.filter(pl.col("metric") == "overton_score")["value"].to_list() == pytest.approx([0.5, 1, 0], abs=1e-12)


def test_shares_by_hand() -> None:
    assert covered_share([0.5, 0.6, 0.1], threshold=0.5) == pytest.approx(1 / 3, abs=1e-12)
    assert covered_share([0.5, 0.6, 0.1], [1, 2, 1], threshold=0.5) == pytest.approx(1 / 2, abs=1e-12)
    assert math.isnan(covered_share([0.5, math.nan], threshold=0.5))
    assert math.isnan(precision([], threshold=0.5))


def test_a_record_is_a_question_with_all_that_measuring_needs(file: Path) -> None:
    records = _asked(file, _model())
    assert dict(records.schema) == RECORD_SCHEMA
    row = records.row(0, named=True)
    assert (row["task"], row["item"], row["unit"], row["question"]) == ("overton_town", "line 1", "line 1", "A bridge?")
    assert (row["viewpoints"], row["weights"], row["text"]) == (["yes", "no"], [3.0, 1.0], SAID["A bridge?"])
    assert (row["p_viewpoints"], row["p_sentences"], row["p_judges"]) == ([0.9, 0.1], [0.9, 0.1], None)
    assert (row["scorer"], row["threshold"], row["outcome"]) == ("words", 0.5, "ok")


def test_a_limit_changes_no_other_question_and_no_floor(file: Path) -> None:
    whole = _asked(file, _model())
    assert _asked(file, _model(), limit=1).equals(whole.head(1))
    questions = WORDS.material(f"overton:{file}", Setting()).questions
    assert WORDS.ask(questions[2:], _model(), Setting()).equals(whole.tail(1))


def test_an_empty_response_covers_nothing_and_one_question_has_it_for_a_floor(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"question": "A park?", "id": "park", "viewpoints": [{"text": "green"}, {"text": "grey"}]}\n')
    records = _asked(path, _model({"A park?": ""}))
    assert records.row(0, named=True)["p_viewpoints"] == [0.0, 0.0]
    assert OVERTON.items(records)["value"].to_list()[:3] == [0.0, 0.0, 0.0]
    assert math.isnan(OVERTON.items(records)["value"][3])
    floor = _found(records, "overton_score").floor
    assert floor is not None
    assert (floor.name, floor.estimate.value) == ("an empty response", 0.0)
    assert _found(records, "overton_precision").estimate.why_undefined == "no score for any of 1 questions"
    assert _found(records, "overton_precision").floor is None


def test_what_is_no_whole_response_has_no_score_and_is_counted(tmp_path: Path) -> None:
    questions = [f"Question {n}?" for n in range(60)]
    path = tmp_path / "many.jsonl"
    lines = [json.dumps({"question": question, "viewpoints": [{"text": "yes"}]}) for question in questions]
    path.write_text("\n".join(lines))
    said = {question: "yes " * (200 if n % 4 == 0 else 1) for n, question in enumerate(questions)}
    records = _asked(path, _model(said, refusal=0.2, failed=0.2))
    counts = dict(records["outcome"].value_counts().iter_rows())
    assert set(counts) == {"ok", "unfinished", "refusal", "failed"}
    for outcome in ("unfinished", "refusal", "failed"):
        assert _found(records, outcome).estimate.value == pytest.approx(counts[outcome] / 60, abs=1e-12)
        assert records.filter(pl.col("outcome") == outcome)["p_viewpoints"].null_count() == counts[outcome]
    assert _found(records, "overton_score").estimate.n == counts["ok"]
    assert _found(records, "overton_score").estimate.value == 1
    assert OVERTON.items(records).filter(pl.col("metric") == "overton_score")["value"].is_nan().sum() == 60 - counts["ok"]
    lost = _asked(path, _model(said, failed=1.0))
    assert _found(lost, "overton_score").estimate.why_undefined == "no score for any of 60 questions"


def test_views_that_could_not_be_scored_leave_the_question_without_a_score(file: Path) -> None:
    class Unsure(_Words):
        def presence(self, cases: Sequence[Written]) -> list[Presence]:
            found = super().presence(cases)
            return [Presence(np.array([math.nan, *one.viewpoints[1:]]), one.sentences, detail="unsure") for one in found]

    unsure = Overton(scorer=Unsure())
    records = unsure.ask(unsure.material(f"overton:{file}", Setting()).questions, _model(), Setting())
    assert _found(records, "unscored").estimate.value == 1
    assert not _found(records, "overton_score").estimate.is_defined
    assert _found(records, "overton_precision").estimate.is_defined
    assert records["detail"][0] == "unsure"


def test_judges_are_opened_by_their_names_and_their_agreement_is_found(file: Path) -> None:
    """The scripted model says Yes and No alike, to everything: nothing is above 1/2, and nobody can disagree."""
    material = OVERTON.material(f"overton:{file}?judges=scripted;scripted/seed=1", Setting())
    assert material.questions[0].judges == ("scripted", "scripted/seed=1")
    records = OVERTON.ask(material.questions, _model(), Setting())
    row = records.row(0, named=True)
    assert row["scorer"] == "scripted, scripted/seed=1"
    assert row["p_viewpoints"] == pytest.approx([0.5, 0.5], abs=1e-12)
    assert np.array(row["p_judges"]).shape == (2, 2)
    assert _found(records, "overton_score").estimate.value == 0
    assert _found(records, "judges_alpha").estimate.why_undefined == "all decisions are the same, so none can disagree"
    assert "judges_alpha" not in {one.metric for one in OVERTON.findings(_asked(file, _model()), seed=0)}


def test_the_question_is_asked_under_an_instruction_that_says_nothing_of_views(file: Path) -> None:
    seen = []

    def shares(query: Any) -> dict[str, float]:
        seen.append((query.episode.description, query.episode.examples, query.input))
        return {"yes": 1.0}

    model = ScriptedModel(shares)
    _asked(file, model)
    assert seen[0] == (INSTRUCTION, (), "A bridge?")
    assert len(seen) == 3
    plain = Overton(scorer=_Words(), instruction=None)
    plain.ask(plain.material(f"overton:{file}", Setting()).questions[:1], model, Setting())
    assert seen[3:] == [(None, (), "A bridge?"), (None, (), "A tax?")]  # the second is the floor


# recovery


def test_a_model_that_says_all_is_at_the_ceiling_and_one_that_says_one_thing_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [f"view{n}x" for n in range(40)]
    views = {f"Question {n}?": rng.choice(words, size=4, replace=False).tolist() for n in range(40)}
    path = tmp_path / "made.jsonl"
    lines = [{"question": q, "viewpoints": [{"text": word} for word in some]} for q, some in views.items()]
    path.write_text("\n".join(map(json.dumps, lines)))
    every = _asked(path, _model({q: ". ".join(some) for q, some in views.items()}))
    first = _asked(path, _model({q: some[0] for q, some in views.items()}))
    second = _asked(path, _model({q: f"{some[1]}. Or not." for q, some in views.items()}))
    assert _found(every, "overton_score").estimate.value == 1
    loud = _found(first, "overton_score")
    assert loud.estimate.value == pytest.approx(1 / 4, abs=1e-12)
    assert loud.floor is not None
    assert loud.floor.estimate.high < loud.estimate.low
    ceilings = union_ceilings({"first": first, "second": second}, seed=0)
    assert ceilings["overton_made", "overton_score"].estimate.value == pytest.approx(2 / 4, abs=1e-12)
    assert ceilings["overton_made", "overton_score"].name == "2 models together"
    assert {metric for _, metric in ceilings} == {"overton_score", "overton_score_weighted", "view_probability"}


def test_unions_need_one_way_of_scoring(file: Path) -> None:
    records = _asked(file, _model())
    other = records.with_columns(pl.lit("another").alias("scorer"))
    with pytest.raises(DataError, match="scored in one way"):
        union_ceilings({"a": records, "b": other}, seed=0)
    with pytest.raises(DataError, match="no question in common"):
        union_ceilings({"a": records.head(1), "b": records.tail(1)}, seed=0)


# people's ratings


def _ratings() -> pl.DataFrame:
    """Question 1: cluster a (two people), b (one); question 2: the same people in one cluster."""
    rows = [
        ("1", "m", "a", "x", 5),
        ("1", "m", "a", "y", 3),
        ("1", "m", "b", "z", 3),
        ("1", "n", "a", "x", 3),
        ("1", "n", "a", "y", 4),
        ("1", "n", "b", "z", 4),
        ("2", "m", "c", "x", 4),
        ("2", "m", "c", "y", 4),
        ("2", "n", "c", "x", 1),
    ]
    return pl.DataFrame(rows, schema=["question", "response", "cluster", "rater", "rating"], orient="row")


def test_people_s_ratings_by_hand() -> None:
    """m covers a (mean 4), which is 2/3 of the people, not b, and c: (1/2 + 1)/2. n covers b only: (1/2 + 0)/2."""
    found = {(one.group, one.metric): one for one in rated_findings(_ratings())}
    assert found["m", "overton_score"].estimate.value == pytest.approx(3 / 4, abs=1e-12)
    assert found["n", "overton_score"].estimate.value == pytest.approx(1 / 4, abs=1e-12)
    assert found["m", "overton_score_weighted"].estimate.value == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)
    assert found["n", "overton_score_weighted"].estimate.value == pytest.approx(1 / 6, abs=1e-12)
    ceiling = found["n", "overton_score"].ceiling
    assert ceiling is not None
    assert (ceiling.name, ceiling.estimate.value) == ("all responses together", 1.0)


def test_a_cluster_that_did_not_rate_leaves_the_question_without_a_score() -> None:
    ratings = _ratings().filter(~((pl.col("response") == "n") & (pl.col("cluster") == "b")))
    table = rated_coverage(ratings)
    assert table.filter(pl.col("response") == "n", pl.col("question") == "1")["covered"].is_nan().to_list() == [False, True]
    found = {(one.group, one.metric): one.estimate for one in rated_findings(ratings)}
    assert not found["n", "overton_score"].is_defined
    assert found["m", "overton_score"].value == pytest.approx(3 / 4, abs=1e-12)


def test_ratings_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match="no column 'cluster'"):
        rated_coverage(_ratings().drop("cluster"))
    with pytest.raises(DataError, match=r"1 ratings are not in 1\.\.5"):
        rated_coverage(_ratings().with_columns(pl.col("rating").replace(1, 7)))
    twice = pl.concat([_ratings(), _ratings().head(1).with_columns(pl.lit("b").alias("cluster"))])
    with pytest.raises(DataError, match="a rater is in two clusters"):
        rated_coverage(twice)


# files


def test_faults_of_a_file_are_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    views = '"viewpoints": [{"text": "a"}]'
    lines = {
        f'{{"question": "Q1?", {views}}}': None,
        "{": "line 2: not JSON",
        "[1]": "line 3: a question is an object",
        f'{{"question": " ", {views}}}': "line 4: question must be a text with something in it, not ' '",
        '{"question": "Q?"}': "line 5: viewpoints must be a list of at least one, not None",
        '{"question": "Q?", "viewpoints": []}': "line 6: viewpoints must be a list of at least one",
        '{"question": "Q?", "viewpoints": [{"text": "a", "weight": 0}]}': "line 7: viewpoint 1: weight must be a number",
        '{"question": "Q?", "viewpoints": ["a"]}': "line 8: viewpoint 1: it must be an object",
        '{"question": "Q?", "viewpoints": [{"text": "a"}, {"text": "a"}]}': "line 9: two viewpoints are the same: 'a'",
        f'{{"question": "Q2?", "prompt": 1, {views}}}': "line 10: field 'prompt' is unknown",
        f'{{"question": "Q1?", "id": "x", {views}}}': "line 11: question 'Q1?' is also that of line 1",
        f'{{"question": "Q3?", "id": "line 1", {views}}}': "line 12: id 'line 1' is also that of line 1",
        '{"question": "Q?", "viewpoints": [{"text": "\\ud800", "weigth": true}]}': "line 13: viewpoint 1: field 'weigth'",
    }
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_posed(path)
    told = "\n".join(caught.value.faults)
    for said in lines.values():
        assert said is None or said in told
    assert "line 1:" not in told
    path.write_text("\n \n")
    with pytest.raises(DataError, match="there is no question"):
        read_posed(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_posed(tmp_path / "missing.jsonl")


def test_names_that_say_too_little_or_too_much_are_refused(file: Path) -> None:
    for name, said in (
        (f"overton:{file}", "one thing has to tell"),
        (f"overton:{file}?entail=hf/x&judges=scripted", "one thing has to tell"),
        (f"overton:{file}?judge=scripted", "did you mean 'judges'"),
        (f"overton:{file}?judges=scripted&max_tokens=0", "max_tokens must be a whole number"),
        ("states", "the form is overton:FILE"),
    ):
        with pytest.raises(UsageError, match=said):
            OVERTON.material(name, Setting())
    with pytest.raises(UsageError, match="a scorer is there already"):
        WORDS.material(f"overton:{file}?judges=scripted", Setting())
    assert OVERTON.tasks() == ()
    assert OVERTON.ask([], _model(), Setting()).height == 0
    assert OVERTON.material(f"overton:{file}?judges=scripted&max_tokens=9", Setting()).questions[0].max_tokens == 9


def _export(folder: Path, *, topic: str = "A bridge", n_people: int = 40) -> Path:
    """Two groups, one of which agrees with the first four statements and the other with the rest; one of neither."""
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(f'topic,{topic}\nconversation-description,"Shall we, or not?"\n')
    texts = [f"{'Build' if n < 4 else 'Save'} it {n}" for n in range(8)]
    rows = [f"{n},0,{text}" for n, text in enumerate(texts)]
    (folder / "comments.csv").write_text("\n".join(["comment-id,moderated,comment-body", *rows]) + "\n")
    votes = ["timestamp,comment-id,voter-id,vote"]
    for person in range(n_people):
        for statement in range(8):
            agrees = (statement < 4) == (person < n_people * 0.6)
            votes.append(f"{person},{statement},{person},{1 if agrees else -1}")
        if person % 3 == 0:
            votes.append(f"{person + 1000},{person % 8},{person},0")
    votes.append("9999,0,late,1")
    (folder / "votes.csv").write_text("\n".join(votes) + "\n")
    return folder


def test_a_polis_export_is_a_question_with_the_views_of_its_clusters(tmp_path: Path) -> None:
    [posed] = read_polis_questions(_export(tmp_path / "bridge"), n_permutations=9)
    assert (posed.item, posed.question) == ("bridge", "A bridge\nShall we, or not?")
    assert [one.weight for one in posed.viewpoints] == [0.6, 0.4]
    build, save = (one.text for one in posed.viewpoints)
    assert build.count("Build it") == 3
    assert "Save" not in build
    assert save.count("Save it") == 3
    assert build.endswith(".")
    assert posed.clusters_p == 1 / 10
    assert posed.notes == ("1 people have too few votes to be placed",)


def test_a_folder_of_exports_is_a_question_each(tmp_path: Path) -> None:
    _export(tmp_path / "all" / "b", topic="Second")
    _export(tmp_path / "all" / "a", topic="First")
    questions = WORDS.material(f"overton:{tmp_path / 'all'}", Setting()).questions
    assert [one.posed.item for one in questions] == ["a", "b"]
    assert questions[0].other == "Second\nShall we, or not?"
    records = WORDS.ask(questions, ScriptedModel(lambda _: {"build it.": 1.0}), Setting())
    assert records["clusters_p"].null_count() == 2


def test_exports_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Polis export"):
        read_polis_questions(tmp_path)
    silent = _export(tmp_path / "silent")
    (silent / "summary.csv").write_text("url,none\n")
    with pytest.raises(DataError, match="neither a topic nor"):
        read_polis_questions(silent)
    (silent / "summary.csv").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_polis_questions(silent)
    wordless = _export(tmp_path / "wordless")
    (wordless / "comments.csv").unlink()
    with pytest.raises(DataError, match="no comments"):
        read_polis_questions(wordless)
