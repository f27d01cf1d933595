"""Sources of texts from repositories and archives: AmbiEnt, poems, BARE, BO-ICL, r/changemyview; on made-up rows, by hand, and
on the real files that there are."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.suite import draw, source
from pluralign.suite.ambient_files import CROWD, FULL, JOINED, LINGUISTS, AmbiEnt
from pluralign.suite.bare_wordings import WORDINGS
from pluralign.suite.check import check_episodes
from pluralign.suite.sources import bare, bo_icl, changemyview, haikus
from suite.samples import ambient as ambient_sample
from suite.samples import bare as bare_sample
from suite.samples import changemyview as cmv_sample
from suite.samples import haikus as haikus_sample
from suite.samples import write_csv, write_jsonl, write_sample, write_text

AMBIENT = (
    "ambient_annotation_distributions",
    "ambient_premise_hypothesis",
    "ambient_disambiguation",
    "ambient_ambiguity_detection",
    "ambient_interpretation_labels",
)


def _drawn(task: str, data_dir: Path, *, seed: int = 0) -> list[Episode]:
    return list(draw(task, seed=seed, data_dir=data_dir, description_share=1.0))


def _pairs(episode: Episode) -> dict[str | None, str]:
    return {example.input: example.output for example in episode.examples}


def _descriptions(episodes: list[Episode]) -> set[str]:
    return {str(episode.description) for episode in episodes}


# ambient


def test_a_linguist_has_two_episodes_of_own_labels(tmp_path: Path) -> None:
    """BBB labelled one pair twice, first as a contradiction; CCC has a single label, which one episode holds."""
    write_sample("ambient", tmp_path)
    drawn = _drawn("ambient_linguist_annotations", tmp_path)
    assert Counter(episode.unit for episode in drawn) == {"AAA": 2, "BBB": 2, "CCC": 1}
    late = r'{"premise": "Ana, \"as ever\",\nmay be late.", "hypothesis": "Ana is late."}'
    bank = '{"premise": "They met at the bank.", "hypothesis": "They met beside water."}'
    boat = '{"premise": "A boat was in the row.", "hypothesis": "They met beside water."}'
    wanted = {
        "AAA": {bank: "entailment|neutral", late: "neutral", boat: "neutral"},
        "BBB": {bank: "neutral", late: "contradiction"},
        "CCC": {boat: "entailment"},
    }
    for episode in drawn:
        assert _pairs(episode) == wanted[str(episode.unit)]
        assert episode.options == JOINED
        assert not episode.attributes
        assert str(episode.unit) not in str(episode.description)
    many = {text for seed in range(5) for text in _descriptions(_drawn("ambient_linguist_annotations", tmp_path, seed=seed))}
    assert len(many) == 3
    assert all("linguist" in text for text in many)


def test_the_crowds_labels_of_four_texts_are_pooled(tmp_path: Path) -> None:
    """een, eee, nnc, nnn: 5 of entailment, 6 of neutral, 1 of contradiction, of 12."""
    write_sample("ambient", tmp_path)
    drawn = _drawn("ambient_annotation_distributions", tmp_path)
    bank = '{"premise": "They met at the bank.", "hypothesis": "They met beside water.", "ambiguous_sent": "premise"}'
    assert len(drawn) == 50
    assert _pairs(drawn[0])[bank] == (
        '{"entailment": {"count": "5/12", "percent": "41.6667%"}, "neutral": {"count": "6/12", "percent": "50.0000%"}, '
        '"contradiction": {"count": "1/12", "percent": "8.3333%"}}'
    )
    assert all("rewrit" in text for text in _descriptions(drawn)), "what was pooled is said"


def test_pairs_are_ambiguous_where_that_is_said(tmp_path: Path) -> None:
    write_sample("ambient", tmp_path)
    pairs = {example.output for episode in _drawn("ambient_premise_hypothesis", tmp_path) for example in episode.examples}
    assert {json.loads(pair)["hypothesis"] for pair in pairs} == {"They met beside water.", "Ana is late."}
    found = _pairs(_drawn("ambient_ambiguity_detection", tmp_path)[0])
    assert Counter(found.values()) == {
        '{"premise_ambiguous": true, "hypothesis_ambiguous": false}': 1,
        '{"premise_ambiguous": false, "hypothesis_ambiguous": true}': 1,
        '{"premise_ambiguous": false, "hypothesis_ambiguous": false}': 2,
    }
    assert found['{"premise": "Nobody came.", "hypothesis": "Somebody came."}'].count("false") == 2


def test_each_disambiguation_and_each_labelled_reading_is_an_example(tmp_path: Path) -> None:
    write_sample("ambient", tmp_path)
    rewritten = _pairs(_drawn("ambient_disambiguation", tmp_path)[0])
    assert len(rewritten) == 4
    asked = (
        '{"original_premise": "They met at the bank.", "original_hypothesis": "They met beside water.", '
        '"target_label": "neutral"}'
    )
    assert rewritten[asked] == (
        '{"disambiguated_premise": "They met at the savings bank.", "disambiguated_hypothesis": "They met beside water."}'
    )
    readings = _pairs(_drawn("ambient_interpretation_labels", tmp_path)[0])
    by_text = {json.loads(str(asked))["interpretation"]: label for asked, label in readings.items()}
    assert by_text == {
        "Reading 1 of 0_c.": "entailment",
        "Reading 3 of 0_c.": "neutral",  # the second is a distractor
        "Reading 1 of 1.": "neutral",
        "Reading 2 of 1.": "contradiction",
        "Reading 3 of 1.": "neutral",
    }


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (FULL, {"premise": " "}, "row 1: premise must be a text"),
        (FULL, {"premise_ambiguous": "yes"}, "row 1: premise_ambiguous must be true or false, not 'yes'"),
        (FULL, {"disambiguations": [3]}, "row 1: disambiguations must be a list of objects"),
        (FULL, {"disambiguations": [{"premise": "A", "label": "neutral"}]}, "disambiguations: hypothesis must be a text"),
        (
            FULL,
            {"disambiguations": [{"premise": "A", "hypothesis": "B", "label": "maybe"}]},
            "disambiguations: label must be one of entailment, neutral, contradiction, not 'maybe'",
        ),
        (CROWD, {"ambiguous_sent": "both"}, "row 1: ambiguous_sent must be premise or hypothesis, not 'both'"),
        (CROWD, {"q2_gold": []}, "row 1: q2_gold must be a list of entailment, neutral, contradiction, not []"),
        (CROWD, {"q3_gold": ["true"]}, "row 1: q3_gold must be a list of"),
        (CROWD, {"interpretations": ["A", None, "B"]}, "row 1: interpretations must be a list of texts"),
        (CROWD, {"labels": ["neutral"]}, "row 1: labels must be a list as long as interpretations"),
        (
            CROWD,
            {"labels": ["neutral", None, "so"]},
            "labels must be null or one of entailment, neutral, contradiction, not 'so'",
        ),
        (LINGUISTS, {"worker_ids": ["AAA", 7]}, "row 1: worker_ids must be a list of texts"),
        (LINGUISTS, {"annotations": ["neutral"]}, "row 1: annotations must be a list as long as worker_ids"),
        (LINGUISTS, {"annotations": ["neutral", "neutral|entailment"]}, "neutral|contradiction, entailment|contradiction"),
        (LINGUISTS, {"hypothesis": None}, "row 1: hypothesis must be a text"),
    ],
)
def test_faults_of_ambient_are_named(tmp_path: Path, file: str, change: dict[str, Any], message: str) -> None:
    folder = write_sample("ambient", tmp_path)
    rows = {FULL: ambient_sample.FULL_ROWS, CROWD: ambient_sample.CROWD_ROWS, LINGUISTS: ambient_sample.LINGUIST_ROWS}[file]
    write_jsonl(folder / file, [rows[0] | change, *rows[1:]])
    task = {FULL: "ambient_disambiguation", CROWD: "ambient_interpretation_labels", LINGUISTS: "ambient_linguist_annotations"}
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        _drawn(task[file], tmp_path)
    assert f"ambient: {file}" in str(caught.value)


def test_a_task_reads_only_the_file_that_it_needs(tmp_path: Path) -> None:
    folder = write_sample("ambient", tmp_path)
    (folder / CROWD).unlink()
    write_text(folder / LINGUISTS, "no JSON")
    assert len(_drawn("ambient_ambiguity_detection", tmp_path)) == 50
    with pytest.raises(DataError, match=r"AmbiEnt/analysis/crowdworker_annotations\.jsonl"):
        _drawn("ambient_interpretation_labels", tmp_path)


@pytest.mark.data
def test_the_real_ambient_has_the_published_counts(data_dir: Path) -> None:
    loaded = AmbiEnt(data_dir / "ambient")
    assert (len(loaded.full), len(loaded.crowd), len(loaded.linguists)) == (1645, 542, 28)
    # 4,090 annotations, of which 53 are the second of one linguist and pair
    assert sum(map(len, loaded.linguists.values())) == 4037
    assert sum(len(row["disambiguations"]) for row in loaded.full) == 1207
    assert {sum(len(row[f"q{n}_gold"]) for n in range(4)) for row in loaded.crowd} == {36}
    assert sum(label is not None for row in loaded.crowd for label in row["labels"]) == 1091
    assert sum(row["premise_ambiguous"] or row["hypothesis_ambiguous"] for row in loaded.full) == 579
    drawn = _drawn("ambient_linguist_annotations", data_dir)
    checked = check_episodes("ambient_linguist_annotations", drawn)
    assert not checked.faults, checked.lines()
    assert len({episode.unit for episode in drawn}) == 28
    assert checked.episodes == 2 * 25 + 3
    for name in AMBIENT:
        checked = check_episodes(name, draw(name, data_dir=data_dir))
        assert not checked.faults, checked.lines()
        assert checked.episodes == 50
        assert 2500 < checked.outputs < 4000, "about 64 in each"


# haikus


def test_each_collection_has_poems_by_syllables_and_by_a_word(tmp_path: Path) -> None:
    write_sample("haikus", tmp_path)
    by_unit = {episode.unit: episode for episode in _drawn("haikus", tmp_path)}
    assert list(by_unit) == ["syllables/north", "word/north", "syllables/south", "word/south", "free"]
    assert _pairs(by_unit["syllables/north"]) == {
        "2, 4, 3": "  warm stones\na cat, asleep\non the wall",
        "2, 4 or 5, 3": "first “frost”\nevery fence is\na white line",
        "3, 4, 2": "tea again\nsteam on the glass\nno mail",
    }
    # the poem of numbers has no word; that with a blank line is none; that without a count is free only
    [(asked, poem)] = _pairs(by_unit["word/south"]).items()
    given = json.loads(str(asked))
    assert (list(given), given["syllables"], poem) == (
        ["include_word", "syllables"],
        "2, 3, 2",
        "night bus\nhis hat rides\nalone",
    )
    assert given["include_word"] in {"night", "bus", "his", "hat", "rides", "alone"}
    assert set(_pairs(by_unit["syllables/south"]).values()) == {"night bus\nhis hat rides\nalone", "42\n7\n1999"}


def test_free_poems_are_those_of_all_files_once(tmp_path: Path) -> None:
    """Seven of the table but the one with a blank line; of the raw file the one that the table has not, with three lines."""
    folder = write_sample("haikus", tmp_path)
    [free] = [episode for episode in _drawn("haikus", tmp_path) if episode.unit == "free"]
    first_lines = Counter(example.output.split("\n")[0] for example in free.examples)
    in_table = ["  warm stones", "first “frost”", "tea again", "night bus", "42", "no count here"]
    assert first_lines == Counter([*in_table, "a page"])
    assert {example.input for example in free.examples} == {None}
    haikus_sample.write_sballas(folder)
    [free] = [episode for episode in _drawn("haikus", tmp_path) if episode.unit == "free"]
    more = {example.output.split("\n")[0] for example in free.examples} - set(first_lines)
    assert more == {"slow rain", "long road"}, "a single line is no poem of three"
    (folder / haikus.COUNTED).unlink()
    assert [episode.unit for episode in _drawn("haikus", tmp_path)] == ["free"]


def test_any_word_of_a_poem_may_be_asked_for(tmp_path: Path) -> None:
    """The poem has 9 words; over 200 seeds each comes, none far too often."""
    poem = dict(zip(haikus.COLUMNS, ("Don't a b", "c d-e f", "g h ôi", "x", "3", "4", "3"), strict=True))
    folder = tmp_path / "haikus"
    write_csv(folder / haikus.COUNTED, [poem])
    words = Counter(
        json.loads(str(episode.examples[0].input))["include_word"]
        for seed in range(200)
        for episode in draw("haikus", seed=seed, data_dir=tmp_path)
        if episode.unit == "word/x"
    )
    assert set(words) == {"Don't", "a", "b", "c", "d-e", "f", "g", "h", "ôi"}
    assert stats.chisquare(list(words.values())).pvalue > 1e-4


def test_at_most_two_hundred_poems_of_a_collection_come(tmp_path: Path) -> None:
    poems = [dict(zip(haikus.COLUMNS, (f"a {n}", "b", "c", "x", "2", "1", "1"), strict=True)) for n in range(250)]
    write_csv(tmp_path / "haikus" / haikus.COUNTED, poems)
    sizes = [(episode.unit, len(episode.examples)) for episode in _drawn("haikus", tmp_path)]
    assert sizes == [(unit, n) for unit in ("syllables/x", "word/x", "free") for n in (64, 64, 64, 8)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "row 2: source is missing"),
        ({"1_syllables": "5 or 6"}, "row 2: syllables must be whole numbers with commas between them, not '5 or 6'"),
        ({"2_syllables": "-1"}, "row 2: syllables must be whole numbers with commas between them, not '-1'"),
    ],
)
def test_faults_of_the_poems_are_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    folder = write_sample("haikus", tmp_path)
    rows = [dict(zip(haikus.COLUMNS, poem, strict=True)) for poem in haikus_sample.POEMS]
    write_csv(folder / haikus.COUNTED, [rows[0], rows[1] | change, *rows[2:]])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("haikus", tmp_path)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ('"cut off', "it ends within a line"),
        ('"not closed\r\n', "it is not CSV: unexpected end of data"),
        ("a,b\r\n", "record 6: 2 fields; there is one"),
    ],
)
def test_a_raw_collection_without_a_header_is_read_strictly(tmp_path: Path, end: str, message: str) -> None:
    folder = write_sample("haikus", tmp_path)
    haikus_sample.write_sballas(folder, end=end)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        _drawn("haikus", tmp_path)
    assert "haikus: sballas8.csv" in str(caught.value)


@pytest.mark.data
def test_the_real_raw_collections_give_free_poems(data_dir: Path) -> None:
    loaded = haikus.load(data_dir / "haikus")
    by_collection = Counter(poem.collection for poem in loaded)
    assert by_collection["gutenberg"] > 5000
    assert by_collection["sballas"] > 8000
    assert {len(poem.lines) for poem in loaded} == {3}
    drawn = _drawn("haikus", data_dir)
    assert [(episode.unit, len(episode.examples)) for episode in drawn] == [("free", n) for n in (64, 64, 64, 8)]
    checked = check_episodes("haikus", drawn)
    assert not checked.faults, checked.lines()
    outputs = [example.output for episode in drawn for example in episode.examples]
    assert len(set(outputs)) == 200
    assert {output.count("\n") for output in outputs} == {2}
    assert not any("\r" in output for output in outputs)


# bare


def test_sums_come_whole_and_in_parts(tmp_path: Path) -> None:
    write_sample("bare", tmp_path)
    by_unit = {episode.unit: episode for episode in _drawn("bare_gsm8k", tmp_path)}
    assert list(by_unit) == ["joint", "answer", "question_from_answer", "question"]
    question, answer = "Ida has 3 pens and buys 2.\nHow many?", "3 + 2 = <<3+2=5>>5 #### 5"
    assert _pairs(by_unit["answer"])[question] == answer
    assert _pairs(by_unit["question_from_answer"])[answer] == question
    whole = {example.output for example in by_unit["joint"].examples}
    assert '{"question": "Ida has 3 pens and buys 2.\\nHow many?", "answer": "3 + 2 = <<3+2=5>>5 #### 5"}' in whole
    assert len(whole) == 3, "without the row that has no answer"
    assert {example.input for unit in ("joint", "question") for example in by_unit[unit].examples} == {None}
    assert {example.output for example in by_unit["question"].examples} == set(_pairs(by_unit["answer"]))


def test_mails_and_messages_have_labels_of_a_closed_set(tmp_path: Path) -> None:
    write_sample("bare", tmp_path)
    mails = {episode.unit: episode for episode in _drawn("bare_enron", tmp_path)}
    assert list(mails) == ["joint", "label", "email_from_label", "email"]
    assert _pairs(mails["label"]) == {"Subject: lunch\nAt noon?": "not spam", "Win a boat, now!": "spam", "Ça va ?": "not spam"}
    assert mails["label"].options == ("not spam", "spam")
    assert mails["email_from_label"].options is None
    assert {json.loads(example.output)["label"] for example in mails["joint"].examples} == {"spam", "not spam"}
    messages = {episode.unit: episode for episode in _drawn("newsgroups", tmp_path)}
    assert list(messages) == ["joint", "newsgroup", "message_from_newsgroup", "message"]
    groups = {"When is the launch?\n\n-- \nJ.": "sci.space", "Selling nothing, just “asking”.": "rec.autos"}
    assert _pairs(messages["newsgroup"]) == groups, "without alt.kites, which is none of the twenty"
    assert messages["newsgroup"].options == bare.NEWSGROUPS
    assert len(set(bare.NEWSGROUPS)) == 20
    [joint] = [example.output for example in messages["joint"].examples if "rec" in example.output]
    assert joint == '{"newsgroup": "rec.autos", "message": "Selling nothing, just “asking”."}'


@pytest.mark.parametrize("task", ["bare_hotpot", "pubmed"])
def test_questions_about_a_context(tmp_path: Path, task: str) -> None:
    write_sample("bare", tmp_path)
    row = bare_sample.ROWS[task.removeprefix("bare_")][0]
    by_unit = {episode.unit: episode for episode in _drawn(task, tmp_path)}
    assert list(by_unit) == ["joint", "answer", "question_from_answer", "context"]
    given = {"context": row["context"]}
    asked = json.dumps(given | {"question": row["question"]})
    assert _pairs(by_unit["answer"])[asked] == row["answer"]
    assert _pairs(by_unit["question_from_answer"])[json.dumps(given | {"answer": row["answer"]})] == row["question"]
    assert row["context"] in {example.output for example in by_unit["context"].examples}
    assert list(json.loads(by_unit["joint"].examples[0].output)) == ["context", "question", "answer"]
    assert {len(episode.examples) for episode in by_unit.values()} == {2}
    text = " ".join(str(episode.to_dict()) for episode in by_unit.values())
    assert "It says so." not in text, "reasons are not used"


def test_a_coding_question_includes_its_test_input(tmp_path: Path) -> None:
    write_sample("bare", tmp_path)
    by_unit = {episode.unit: episode for episode in _drawn("bare_lcb", tmp_path)}
    assert _pairs(by_unit["answer"])['{"question": "Add all numbers.", "test_input": "[1, 2]"}'] == "3"
    assert _pairs(by_unit["question_from_answer"])["3"] == '{"question": "Add all numbers.", "test_input": "[1, 2]"}'
    assert {example.output for example in by_unit["question"].examples} == set(_pairs(by_unit["answer"]))


def test_three_wordings_of_each_strand_come_and_five_hundred_outputs_at_most(tmp_path: Path) -> None:
    assert {task: set(of) for task, of in WORDINGS.items()} == {task: set(of.parts) for task, of in bare.TASKS.items()}
    texts = [text for of in WORDINGS.values() for three in of.values() for text in three]
    assert len(texts) == len(set(texts)) == 6 * 4 * 3
    rows = [{"question": f"How much is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(600)]
    write_jsonl(tmp_path / "bare" / "gsm8k.jsonl", rows)
    drawn = _drawn("bare_gsm8k", tmp_path)
    outputs: Counter[str] = Counter()
    for episode in drawn:
        outputs[str(episode.unit)] += len(episode.examples)
    assert outputs == dict.fromkeys(bare.TASKS["bare_gsm8k"].parts, 500)
    assert _descriptions(drawn) == {text for three in WORDINGS["bare_gsm8k"].values() for text in three}
    assert not check_episodes("bare_gsm8k", drawn).faults


@pytest.mark.parametrize(
    ("name", "task", "change", "message"),
    [
        ("gsm8k", "bare_gsm8k", {"answer": 5}, "row 1: answer must be text, not 5"),
        ("enron", "bare_enron", {"label": 2}, "row 1: label must be 0 or 1, not 2"),
        ("enron", "bare_enron", {"label": None}, "row 1: label must be 0 or 1, not None"),
        ("hotpot", "bare_hotpot", {"context": ["Oslo"]}, "row 1: context must be text, not ['Oslo']"),
    ],
)
def test_faults_of_samples_are_named(tmp_path: Path, name: str, task: str, change: dict[str, Any], message: str) -> None:
    folder = write_sample("bare", tmp_path)
    rows = bare_sample.ROWS[name]
    write_jsonl(folder / f"{name}.jsonl", [rows[0] | change, *rows[1:]])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn(task, tmp_path)


def test_a_file_without_a_usable_sample_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "bare" / "newsgroups.jsonl", [{"newsgroup": "alt.kites", "message": "Up!"}])
    with pytest.raises(DataError, match="no row has a text in each of newsgroup, message"):
        _drawn("newsgroups", tmp_path)


# bo_icl


def test_molecules_come_in_every_notation_there_is(tmp_path: Path) -> None:
    write_sample("bo_icl", tmp_path)
    drawn = _drawn("chemistry_esol", tmp_path)
    assert len(drawn) == 5, "each permutation of three fits one episode"
    wanted = {
        '{"SMILES": "CCO", "SELFIES": "[C][C][O]", "InChI": "InChI=1S/A,b", "IUPAC": "1,1-ethanol"}': "-2.18",
        '{"SMILES": "CC", "SELFIES": "[C][C]", "InChI": "InChI=1S/B"}': "0.5",
        r'{"SMILES": "C#N", "SELFIES": "[C][#N]", "InChI": "InChI=1S/\"C\"", "IUPAC": "azañe"}': "1",
    }
    assert all(_pairs(episode) == wanted for episode in drawn)
    assert len({tuple(example.output for example in episode.examples) for episode in drawn}) > 1
    assert all(episode.description for episode in draw("chemistry_esol", data_dir=tmp_path)), "held out: always described"


def test_yields_are_asked_of_the_procedure(tmp_path: Path) -> None:
    write_sample("bo_icl", tmp_path)
    [episode] = _drawn("chemistry_oxidative", tmp_path)
    assert _pairs(episode) == {" Mix A ( 0.1 mol),\nheat to 50 °C.": "4.53", "Mix B, heat.": "0.24"}


@pytest.mark.parametrize(
    ("task", "file", "old", "new", "message"),
    [
        ("chemistry_esol", bo_icl.ESOL, "0.5,CC,", "?,CC,", f"row 2: {bo_icl.SOLUBILITY} must be a number, not '?'"),
        ("chemistry_esol", bo_icl.ESOL, "0.5,CC,", "nan,CC,", f"row 2: {bo_icl.SOLUBILITY} must be a number, not 'nan'"),
        ("chemistry_esol", bo_icl.ESOL, "0.5,CC,", "0.5,,", "row 2: SMILES is missing"),
        ("chemistry_oxidative", bo_icl.OXIDATIVE, "0.24", "", "row 2: C2_yield must be a number, not None"),
        ("chemistry_oxidative", bo_icl.OXIDATIVE, '"Mix B, heat."', "", "row 2: prompt is missing"),
    ],
)
def test_faults_of_the_tables_are_named(tmp_path: Path, task: str, file: str, old: str, new: str, message: str) -> None:
    path = write_sample("bo_icl", tmp_path) / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn(task, tmp_path)


@pytest.mark.data
def test_the_real_tables_have_the_published_counts(data_dir: Path, tmp_path: Path) -> None:
    """927 molecules in 62 episodes of 15 (the last of 12), five times; of the procedures only the test rows are here."""
    drawn = _drawn("chemistry_esol", data_dir)
    checked = check_episodes("chemistry_esol", drawn)
    assert not checked.faults, checked.lines()
    assert (checked.episodes, checked.outputs) == (5 * 62, 5 * 927)
    inputs = Counter(str(example.input) for episode in drawn for example in episode.examples)
    assert sum(n for asked, n in inputs.items() if "IUPAC" not in asked) == 5 * 45
    place = tmp_path / "bo_icl"
    place.mkdir()
    shutil.copyfile(data_dir / "bo_icl" / "test_data_num_feats.csv", place / bo_icl.OXIDATIVE)
    checked = check_episodes("chemistry_oxidative", draw("chemistry_oxidative", data_dir=tmp_path))
    assert not checked.faults, checked.lines()
    assert (checked.episodes, checked.outputs) == (26, 254)


# changemyview


def test_unusable_threads_and_the_moderators_footnote_are_left_out(tmp_path: Path) -> None:
    write_sample("changemyview", tmp_path)
    by_unit = {episode.unit: episode for episode in _drawn("changemyview_posts", tmp_path)}
    assert list(by_unit) == ["body", "title", "score"]
    posts = {
        "CMV: Soup is a drink": "One can drink it,\n\nso it is.",
        'CMV: "Naïve" is a fine word': "It has two dots.",
        "Tea before noon. CMV": "Coffee &amp; tea.\n\nEdit: thanks, all – I'm back.",
    }
    assert _pairs(by_unit["body"]) == posts
    assert _pairs(by_unit["title"]) == {body: title for title, body in posts.items()}
    assert _pairs(by_unit["score"])[r'{"title": "CMV: \"Naïve\" is a fine word", "body": "It has two dots."}'] == "-2"
    kinds = {episode.unit: {e.output for e in episode.examples} for episode in _drawn("changemyview_categories", tmp_path)}
    assert kinds == {"post": set(posts.values()), "title": set(posts)}


def test_a_text_keeps_what_only_looks_like_the_footnote() -> None:
    kept = "First.\n\n___\n\nMods, is there a footnote? Second."
    assert changemyview.FOOTNOTE.sub("", kept) == kept
    assert changemyview.FOOTNOTE.sub("", kept + cmv_sample.FOOTNOTE) == kept
    assert changemyview.FOOTNOTE.sub("", cmv_sample.FOOTNOTE).strip() == ""


def test_the_footnote_is_looked_for_quickly_in_long_white_space() -> None:
    """A post may have 40,000 characters; time that grows with their square would be minutes."""
    gap = "\n \t" * 13_000
    begin = time.perf_counter()
    assert changemyview.FOOTNOTE.sub("", f"A{gap}B") == f"A{gap}B"
    assert changemyview.FOOTNOTE.sub("", gap) == gap
    assert changemyview.FOOTNOTE.sub("", f"A{gap}{cmv_sample.FOOTNOTE}{cmv_sample.FOOTNOTE}") == "A"
    assert time.perf_counter() - begin < 2.0


def _many(folder: Path, order: Callable[[list[int]], list[int]]) -> None:
    rows = [cmv_sample.thread(f"t3_{n}", f"Title {n}", f"Body {n}") for n in range(60)]
    write_jsonl(folder / changemyview.FILE, [rows[n] for n in order(list(range(60)))])


def test_threads_are_chosen_by_chance_and_not_by_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 threads 20: with 30 seeds each is chosen about 10 times, in both orders of the file alike."""
    monkeypatch.setattr(changemyview, "N_THREADS", 20)
    forth, back = tmp_path / "forth", tmp_path / "back"
    _many(forth, lambda numbers: numbers)
    _many(back, lambda numbers: numbers[::-1])
    one, other = changemyview.load(forth), changemyview.load(back)
    times: Counter[str] = Counter()
    for seed in range(30):
        chosen = one.chosen(seed)
        assert chosen == other.chosen(seed)
        assert len({thread.title for thread in chosen}) == 20
        times.update(thread.title for thread in chosen)
    assert times.total() == 600
    assert len(times) == 60
    # a thread's count is Binomial(30, 1/3): variance 6.67; the sum of 60 squares over it is about chi-square with 59 degrees
    spread = sum((times[f"Title {n}"] - 10) ** 2 for n in range(60)) / (30 * (1 / 3) * (2 / 3))
    assert 1e-4 < stats.chi2.sf(spread, 59) < 1 - 1e-4


def test_a_file_is_read_once_for_a_seed_and_posts_are_five_hundred_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changemyview, "MAX_TOTAL", 50)
    _many(tmp_path / "changemyview", lambda numbers: numbers)
    sizes: Counter[str] = Counter()
    for episode in _drawn("changemyview_categories", tmp_path):
        sizes[str(episode.unit)] += len(episode.examples)
    assert sizes == {"post": 60, "title": 60}
    loaded = changemyview.load(tmp_path / "changemyview")
    first = loaded.chosen(0)
    (tmp_path / "changemyview" / changemyview.FILE).unlink()
    assert loaded.chosen(0) is first
    with pytest.raises(DataError, match="no such file"):
        loaded.chosen(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": None}, "row 2: title must be text, not None"),
        ({"id": 7}, "row 2: id must be text, not 7"),
        ({"selftext": 5}, "row 2: selftext must be text, not 5"),
        ({"score": "3"}, "row 2: score must be a whole number, not '3'"),
        ({"comments": 12}, "row 2: comments must be a list, not 12"),
    ],
)
def test_faults_of_threads_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("changemyview", tmp_path)
    write_jsonl(folder / changemyview.FILE, [cmv_sample.ROWS[0], cmv_sample.ROWS[1] | change])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("changemyview_posts", tmp_path)


def test_a_file_of_deleted_threads_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "changemyview" / changemyview.FILE, cmv_sample.ROWS[4:])
    with pytest.raises(DataError, match="no thread has a title, a selftext that is not deleted and more than 4 comments"):
        _drawn("changemyview_posts", tmp_path)


# cards


def test_cards_say_what_has_been_read_and_where_files_come_from() -> None:
    standings = {name: source(name).card.standing for name in ("ambient", "bo_icl", "haikus", "bare", "changemyview")}
    read, unread = "run on the real file", "not run on the real file"
    assert standings == {"ambient": read, "bo_icl": read, "haikus": unread, "bare": unread, "changemyview": unread}
    assert source("bo_icl").card.access.how(bo_icl.ESOL).endswith("as paper/dataset/data/esol_iupac.csv")
    assert "the file of 500 e-mails" in source("bare").card.access.how("enron.jsonl")
    assert {task.split for name in standings for task in source(name).tasks if name != "bo_icl"} == {"train"}
    assert {task.split for task in source("bo_icl").tasks} == {"test"}
