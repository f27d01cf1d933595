"""Making data: the prompt and its reading, the whole chain with a scripted and the embedded model, loading, negatives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from pluralign.episodes import read_episodes
from pluralign.errors import DataError, ModelError
from pluralign.models import Query
from pluralign.models.protocol import Sample
from pluralign.models.scripted import ScriptedModel
from pluralign.values.considerations import Consideration
from pluralign.values.dedup import same_wording
from pluralign.values.episodes import sample_situations
from pluralign.values.prism import PrismSettings, deduplicated, make_prism
from pluralign.values.prism_data import COLUMNS, load_prism, quality_csv, quality_of, relevance_rows, split_of, splits_of
from pluralign.values.prism_prompt import prism_query, read_reply
from pluralign.values.prism_truth import score_simulated, true_table

GOLDEN = Path(__file__).parents[1] / "golden" / "values_prism_prompt.json"
SITUATIONS = sample_situations(60, seed=1)


def _true_reply(situation: str) -> str:
    rows = true_table([situation]).iter_rows(named=True)
    return "\n".join(f"{row['vrd']}: {row['text']} | {row['valence']} | It bears on it." for row in rows)


def _knows(query: Query) -> Mapping[str, float]:
    """The truth with .7, else a chatty reply, one with a bad valence, nothing."""
    situation = str(query.input).removeprefix("Situation: ")
    truth = _true_reply(situation)
    bad = "Value: care | supports | It does."
    return {truth: 0.7, f"Sure!\n{truth}": 0.1, bad: 0.1} | ({"": 0.1} if truth else {})


def _scripted(**given: object) -> ScriptedModel:
    return ScriptedModel(_knows, revision="truth 1", **given)  # type: ignore[arg-type]


def test_the_prompt_is_as_agreed() -> None:
    """Whoever changes it raises PROMPT_VERSION and this file."""
    query = prism_query(" Biking\tto work ")
    content = {"description": query.episode.description, "input": query.input, "shown": query.episode.examples[0].output}
    assert content == json.loads(GOLDEN.read_text())


def test_the_example_in_the_prompt_can_be_read() -> None:
    reply = read_reply(Sample(prism_query("s").episode.examples[0].output, "stop"))
    assert reply.outcome == "ok"
    assert {one.consideration.vrd for one in reply.listed} == {"Value", "Right", "Duty"}


@pytest.mark.parametrize(
    ("text", "reason", "outcome"),
    [
        ("Value: care | Supports | It helps.", "stop", "ok"),
        ("\n  Value: care | Either | It | helps.\n\n", "stop", "ok"),
        ("- Value: care | Supports | It helps.", "stop", "unparsed"),
        ("value: care | Supports | It helps.", "stop", "unparsed"),
        ("Value: care | supports | It helps.", "stop", "unparsed"),
        ("Value: care | Supports", "stop", "unparsed"),
        ("Value: care | Supports | ", "stop", "unparsed"),
        ("Value: care | Supports | It helps.\nThat is all.", "stop", "unparsed"),
        ("  \n ", "stop", "empty"),
        ("Value: care | Supports | It hel", "length", "length"),
        ("", "refusal", "refusal"),
        ("", "failed", "failed"),
    ],
)
def test_replies_are_read_strictly(text: str, reason: str, outcome: str) -> None:
    reply = read_reply(Sample(text, reason))  # type: ignore[arg-type]
    assert reply.outcome == outcome
    assert bool(reply.listed) == (outcome == "ok")


def test_the_whole_chain_with_a_scripted_model(tmp_path: Path) -> None:
    model = _scripted(faults={"refusal": 0.1})
    made = make_prism(SITUATIONS, model, tmp_path, settings=PrismSettings(dedup_threshold=1.0, n_quality=7))
    assert sum(made.outcomes.values()) == made.n_situations == 60
    assert {"ok", "unparsed", "refusal"} <= set(made.outcomes)
    assert made.parsed.value == made.outcomes["ok"] / 60
    assert made.parsed.low < made.parsed.value < made.parsed.high
    scores = score_simulated(made.table, SITUATIONS)
    assert scores["precision"].value == 1.0
    assert scores["valence_accuracy"].value == 1.0
    assert 0.4 < scores["recall"].value < 0.9  # what could not be read is missing
    assert set(made.table["vrd"]) == {"Value", "Right", "Duty"}
    written = pl.read_parquet(tmp_path / "prism.parquet")
    assert tuple(written.columns) == COLUMNS
    assert load_prism(tmp_path).equals(written)
    assert len((tmp_path / "quality.csv").read_text().splitlines()) == 8
    episodes = read_episodes(tmp_path / "episodes-train.parquet")
    assert {one.task for one in episodes} == {f"values_{t}" for t in ("generate", "relevance", "valence", "explanation")}
    assert len(episodes) == made.n_episodes["train"]
    assert json.loads((tmp_path / "results.json").read_text())["outcomes"] == dict(made.outcomes)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    situations = sample_situations(70, seed=2)  # two parts
    with pytest.raises(ModelError, match="gone"):
        make_prism(situations, _scripted(fail_after=65), tmp_path)
    again = _scripted()
    made = make_prism(situations, again, tmp_path)
    assert again.usage.requests == 6
    assert made.table.equals(make_prism(situations, _scripted(), tmp_path / "whole").table)


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none could be read \(unparsed"):
        make_prism(["Biking to work"], ScriptedModel(lambda _: {"No.": 1.0}), tmp_path)
    assert pl.read_parquet(tmp_path / "records.parquet")["detail"].to_list() == ["line 1: No."]
    with pytest.raises(DataError, match="no text"):
        make_prism([" "], _scripted(), tmp_path / "other")


def test_the_whole_chain_with_the_embedded_model(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pluralign.models import ModelSettings, open_model

    model = open_model("embedded", ModelSettings(dtype="float32"))
    situations = SITUATIONS[:16]
    made = make_prism(situations, model, tmp_path, settings=PrismSettings(n_pieces=16))
    assert made.way == "pieces"
    assert made.parsed.value > 0.95
    scores = score_simulated(made.table, situations)
    assert scores["precision"].low > 0.5
    assert scores["recall"].low > 0.5
    assert scores["valence_accuracy"].low > 0.7
    assert made.table["explanation"].null_count() == made.table.height  # it explains nothing
    with pytest.raises(DataError, match="its simulated world"):
        make_prism(["Biking to work"], model, tmp_path / "other")


def _table(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=["situation", "vrd", "text"], orient="row")
    return table.with_columns(explanation=pl.lit("So it is."), valence=pl.lit("Either")).select(COLUMNS)


def test_duplicates_of_a_situation_are_dropped() -> None:
    rows = [("s", "Value", "care for others"), ("s", "Value", "caring for others"), ("s", "Duty", "care for others")]
    table = _table([*rows, ("t", "Value", "care for others"), ("t", "Value", "care for others")])
    kept, n_dropped = deduplicated(table, threshold=0.75)
    assert n_dropped == 2
    assert kept["text"].to_list() == ["care for others"] * 3
    assert deduplicated(table, threshold=1.0)[1] == 1  # only what is written alike


def test_negatives_are_of_other_situations_of_the_split_and_never_listed() -> None:
    names = ["care", "truth", "rest", "fame", "order", "custom", "pleasure", "safety"]
    table = _table([(f"s{n}", "Value", names[(n + k) % 8]) for n in range(40) for k in range(3)])
    table = pl.concat([table, _table([("s0", "Value", "caring")])])
    splits = splits_of(table["situation"].to_list(), seed=0)
    rows = relevance_rows(table, splits, seed=0)
    for (situation,), part in rows.group_by("situation"):
        words = {
            label: {
                same_wording(Consideration(v, t))
                for v, t, one in part.select("vrd", "text", "label").iter_rows()
                if one == label
            }
            for label in ("Yes", "No")
        }
        assert not words["Yes"] & words["No"], situation
        assert (part["label"] == "Yes").sum() >= (part["label"] == "No").sum() == len(words["No"])
        assert set(part["split"]) == {splits[str(situation)]}
    listed = {(row[0], row[1]): row[2] for row in table.select("text", "situation", "vrd").iter_rows()}
    for split in ("train", "test"):
        pool = {text for (text, situation) in listed if splits[situation] == split}
        assert set(rows.filter((pl.col("split") == split) & (pl.col("label") == "No"))["text"]) <= pool
    assert rows.equals(relevance_rows(table, splits, seed=0))
    assert not rows.equals(relevance_rows(table, splits, seed=1))


def test_a_situation_keeps_its_split() -> None:
    few = splits_of(SITUATIONS[:10], seed=0)
    many = splits_of(SITUATIONS, seed=0)
    assert {text: many[text] for text in few} == few
    texts = [f"Situation {n}" for n in range(4000)]
    share = sum(split_of(text, seed=0) == "train" for text in texts) / 4000
    assert share == pytest.approx(0.8, abs=0.03)


def test_what_people_check(tmp_path: Path) -> None:
    table = _table([("=1+1", "Value", "care"), ("s", "Value", "truth"), ("t", "Value", "rest")])
    text = quality_csv(table, n=10, seed=0)
    assert "'=1+1" in text
    file = tmp_path / "quality.csv"
    file.write_text(text)
    assert quality_of(file)["is_good"].why_undefined == "no rows"
    read = pl.read_csv(file, infer_schema=False)
    read.with_columns(is_good=pl.Series(["Yes", "no ", ""]), is_relevant=pl.lit("yes")).write_csv(file)
    found = quality_of(file)
    assert found["is_good"].value == 0.5
    assert found["is_relevant"].value == 1.0
    read.with_columns(is_good=pl.lit("maybe")).write_csv(file)
    with pytest.raises(DataError, match="write yes or no"):
        quality_of(file)


def test_loading(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    table = _table([("s", "Value", "care"), ("t", "Duty", "to  help")])
    table.write_csv(tmp_path / "full" / "full.csv")
    assert load_prism(tmp_path)["text"].to_list() == ["care", "to help"]
    bad = tmp_path / "bad.csv"
    table.with_columns(vrd=pl.lit("Norm"), valence=pl.lit(None, dtype=pl.String)).write_csv(bad)
    with pytest.raises(DataError, match="2 faults"):
        load_prism(bad)
    table.drop("valence").write_csv(bad)
    with pytest.raises(DataError, match="no column valence"):
        load_prism(bad)
    with pytest.raises(DataError, match="OWNER/NAME"):
        load_prism(tmp_path / "nowhere.csv")
