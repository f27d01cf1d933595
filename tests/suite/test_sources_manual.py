"""Sources that people fetch by hand: LeWiDi, toxicity, OpinionQA, the World Values Survey, Netflix, Jeopardy!; made-up rows,
and the real files of LeWiDi."""

from __future__ import annotations

import builtins
import importlib.util
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from pluralign.episodes import Episode
from pluralign.errors import DataError, MissingExtraError
from pluralign.suite import draw, source, task
from pluralign.suite.check import check_episodes
from pluralign.suite.disagreements import Annotated, answers, properties
from pluralign.suite.registry import read
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.sources import hatespeech, jeopardy, lewidi, netflix, opinionqa, wvs
from suite.samples import hatespeech as hatespeech_sample
from suite.samples import lewidi as lewidi_sample
from suite.samples import netflix as netflix_sample
from suite.samples import opinionqa as opinionqa_sample
from suite.samples import write_csv, write_json, write_jsonl, write_sample, write_text
from suite.samples import wvs as wvs_sample

CSC = "lewidi_csc_sarcasm_detection_individual"
MP = "lewidi_mp_irony_detection_individual"
PAR = "lewidi_par_paraphrase_detection_individual"
VEN = "lewidi_varierrnli_nli_detection_individual"


def _drawn(name: str, data_dir: Path, *, seed: int = 0) -> list[Episode]:
    return list(draw(name, data_dir=data_dir, seed=seed, description_share=1.0))


def _by_unit(name: str, data_dir: Path) -> dict[str, Episode]:
    episodes = _drawn(name, data_dir)
    assert len({episode.unit for episode in episodes}) == len(episodes)
    return {str(episode.unit): episode for episode in episodes}


def _pairs(episode: Episode) -> set[tuple[str | None, str]]:
    return {(example.input, example.output) for example in episode.examples}


def _outputs(episode: Episode) -> list[str]:
    return [example.output for example in episode.examples]


def _told(episode: Episode) -> dict[str, Any]:
    """The JSON at the end of the description, where there is one."""
    said = str(episode.description)
    told: dict[str, Any] = json.loads(said[said.index("{") :]) if "{" in said else {}
    return told


def _refusal(name: str, data_dir: Path) -> str:
    with pytest.raises(DataError) as refused:
        _drawn(name, data_dir)
    return str(refused.value)


# LeWiDi


def test_sarcasm_of_each_annotator_with_what_is_known(tmp_path: Path) -> None:
    write_sample("lewidi", tmp_path)
    drawn = _by_unit(CSC, tmp_path)
    assert list(drawn) == ["Ann1", "Ann2", "Ann900", "Ann3"]
    tea = '{"context": "Steve spills tea, looks at you,\\nand sighs.", "response": "great job, “Steve”", "lang": "en"}'
    early = '{"context": "Steve is early.", "response": "thanks for waiting", "lang": "en"}'
    late = '{"context": "Steve is late.", "response": "no rush", "lang": "en"}'
    assert _pairs(drawn["Ann1"]) == {(tea, "6"), (early, "1"), (late, "3")}
    assert _pairs(drawn["Ann2"]) == {(tea, "4"), (early, "2")}, "the answer to the third item is missing"
    assert drawn["Ann1"].options == ("1", "2", "3", "4", "5", "6")
    assert drawn["Ann1"].description == (
        "One annotator reads a situation and what somebody replies in it, and rates the reply from 1 to 6: the higher, the "
        'more sarcastic. About the annotator: {"gender": "Female", "age": 56}'
    )
    assert drawn["Ann1"].attributes == {"gender": "Female", "age": 56}
    assert _told(drawn["Ann2"]) == {"age": 24}, "DATA_EXPIRED is no gender"
    for unit in ("Ann3", "Ann900"):  # nothing but CONSENT_REVOKED and nan; not in the metadata at all
        assert drawn[unit].attributes == {}
        assert str(drawn[unit].description).endswith("the more sarcastic.")


def test_irony_joins_ids_that_differ_by_a_prefix(tmp_path: Path) -> None:
    write_sample("lewidi", tmp_path)
    drawn = _by_unit(MP, tmp_path)
    rain = (
        '{"post": "It rains again.", "reply": "How lovely ☔", "source": "twitter", "level": 1, "language_variety": "ie", '
        '"lang": "en"}'
    )
    assert (rain, "1") in _pairs(drawn["Ann0"])
    assert (rain, "0") in _pairs(drawn["Ann1"])
    assert _told(drawn["Ann0"]) == {"age": 19, "gender": "Female", "country of birth": "Mexico"}
    assert drawn["Ann0"].options == ("0", "1")


def test_paraphrases_are_used_up_in_twenties_and_explained(tmp_path: Path) -> None:
    """Eleven items a person, so one episode each; the metadata's lists end in commas."""
    write_sample("lewidi", tmp_path)
    drawn = _by_unit(PAR, tmp_path)
    assert {unit: len(episode.examples) for unit, episode in drawn.items()} == {"Ann1": 11, "Ann2": 11}
    eggs = '{"question1": "How do I boil 3 eggs?", "question2": "How are 3 eggs boiled?", "lang": "en"}'
    assert (eggs, '{"paraphrase_rating": -2, "explanation": "first, 3"}') in _pairs(drawn["Ann1"])
    assert (eggs, '{"paraphrase_rating": 5, "explanation": "second \\"3\\""}') in _pairs(drawn["Ann2"])
    assert _told(drawn["Ann1"]) == {"annotator": "Ann1", "gender": "Male", "age": 26, "education": "master student"}
    assert "says why" in str(drawn["Ann1"].description)
    assert drawn["Ann1"].options is None
    scored = _by_unit(f"{PAR}_categorical", tmp_path)
    assert sorted(_outputs(scored["Ann1"]), key=int) == [str(score) for score in range(-5, 6)]
    assert scored["Ann1"].options == tuple(str(score) for score in range(-5, 6))
    assert "says why" not in str(scored["Ann1"].description)


def test_two_labels_of_one_annotator_have_two_explanations(tmp_path: Path) -> None:
    """By the place among the labels, the published way, Ann3's explanation would be Ann2's second."""
    write_sample("lewidi", tmp_path)
    drawn = _by_unit(VEN, tmp_path)
    dog = '{"context": "The dog sleeps.", "statement": "The dog is tired.", "lang": "en"}'
    both = '{"nli_label": "entailment,neutral", "explanation": ["sleep follows tiredness", "may be bored"]}'
    assert _pairs(drawn["Ann2"]) == {(dog, both)}
    assert (dog, '{"nli_label": "entailment", "explanation": "it sleeps"}') in _pairs(drawn["Ann3"])
    labels = _by_unit(f"{VEN}_categorical", tmp_path)
    assert _pairs(labels["Ann2"]) == {(dog, "entailment,neutral")}
    assert labels["Ann2"].options == (
        *("contradiction", "entailment", "neutral"),
        *("contradiction,entailment", "contradiction,neutral", "entailment,neutral", "contradiction,entailment,neutral"),
    )
    assert drawn["Ann2"].attributes == {}
    assert _told(drawn["Ann3"])["age"] == 30


def _spoiled(items: Mapping[str, Any], key: str, **changes: Any) -> dict[str, Any]:
    return {**items, key: {**items[key], **changes}}


@pytest.mark.parametrize(
    ("name", "file", "items", "message"),
    [
        (CSC, "CSC", _spoiled(lewidi_sample.CSC, "8", annotations={"Ann1": "7"}), "item 8: a label must be one of 1 / 2"),
        (CSC, "CSC", _spoiled(lewidi_sample.CSC, "8", text={"context": "a"}), "item 8: text needs 'response'"),
        (CSC, "CSC", _spoiled(lewidi_sample.CSC, "8", lang=None), "item 8: a field 'lang' is needed (str)"),
        (CSC, "CSC", [], "an object of objects is needed"),
        (CSC, "CSC", {"8": "text"}, "an object of objects is needed"),
        (
            MP,
            "MP",
            _spoiled(lewidi_sample.MP, "2", other_info={"source": "x", "level": 1}),
            "item 2: other_info needs 'language_v",
        ),
        (PAR, "Paraphrase", _spoiled(lewidi_sample.PAR, "0", other_info={}), "item 0: explanations must be texts"),
        (
            VEN,
            "VariErrNLI",
            _spoiled(lewidi_sample.VEN, "30", annotators="Ann1,Ann1,Ann2,Ann3"),
            "item 30: Ann1 must be named among the annotators as often as it gave a label",
        ),
        (VEN, "VariErrNLI", _spoiled(lewidi_sample.VEN, "31", annotations={"Ann1": "maybe"}), "not 'maybe'"),
    ],
)
def test_items_that_cannot_be_used_are_named(tmp_path: Path, name: str, file: str, items: object, message: str) -> None:
    folder = write_sample("lewidi", tmp_path)
    write_json(folder / f"{file}_train.json", items)
    assert message in _refusal(name, tmp_path)


def test_each_task_needs_its_own_files_alone(tmp_path: Path) -> None:
    folder = write_sample("lewidi", tmp_path)
    for path in (*folder.glob("CSC*"), *folder.glob("MP*"), *folder.glob("Vari*")):
        path.unlink()
    assert len(_drawn(PAR, tmp_path)) == 2
    assert "lewidi: CSC_train.json: no such file" in _refusal(CSC, tmp_path)
    write_text(folder / "Paraphrase_annotators_meta.json", '{"Ann1": {"Age": "26"}, "Ann1": {"Age": "27"}}')
    assert "the key 'Ann1' occurs twice" in _refusal(PAR, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_outputs", "n_episodes"),
    # annotators have 356, 366, 348 and 373 answers: 12 + 13 + 12 + 13 episodes of 30 at most
    [(PAR, 1600, 80), (f"{PAR}_categorical", 1600, 80), (VEN, 1443, 50), (f"{VEN}_categorical", 1443, 50)],
)
def test_the_real_training_files(data_dir: Path, name: str, n_outputs: int, n_episodes: int) -> None:
    drawn = _drawn(name, data_dir)
    checked = check_episodes(name, drawn)
    assert (checked.episodes, checked.outputs, checked.lines()) == (n_episodes, n_outputs, [])
    assert {episode.unit for episode in drawn} == {"Ann1", "Ann2", "Ann3", "Ann4"}
    assert all({"gender", "age", "nationality", "education"} <= set(_told(episode)) for episode in drawn)
    if name == f"{VEN}_categorical":
        assert sum("," in output for episode in drawn for output in _outputs(episode)) == 1505 - 1443  # explanations, answers


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "of", "n_people", "n_answers", "n_unknown", "n_bare"),
    # of the people, those whom the metadata do not have; with those of whom they have nothing but DATA_EXPIRED and the like
    [(CSC, lewidi.CSC, 850, 3186, 32, 32 + 25), (MP, lewidi.MP, 506, 15_178, 0, 0)],
)
def test_the_real_development_files(
    data_dir: Path, name: str, of: Annotated, n_people: int, n_answers: int, n_unknown: int, n_bare: int
) -> None:
    folder = data_dir / lewidi.CARD.place
    file = f"{of.name}_dev.json"
    given = answers(lewidi.CARD, folder, of, file)
    assert (len(given), sum(map(len, given.values()))) == (n_people, n_answers)
    known = properties(lewidi.CARD, folder, of)
    assert len(set(given) - set(known)) == n_unknown
    drawn = list(draw_episodes(task(name), lewidi.strands(of, folder, file, explains=False), seed=0, description_share=1.0))
    checked = check_episodes(name, drawn)
    checked.faults.pop("an episode comes twice", None)
    assert (checked.episodes, checked.outputs, checked.lines()) == (n_people, n_answers, [])
    bare = [episode for episode in drawn if not episode.attributes]
    assert len(bare) == n_bare
    assert not any("{" in str(episode.description) for episode in bare)
    values = {value for episode in drawn for value in episode.attributes.values()}
    assert not {"DATA_EXPIRED", "CONSENT_REVOKED", "nan"} & values


# hatespeech


def test_scores_of_a_person_who_has_an_id(tmp_path: Path) -> None:
    write_sample("hatespeech", tmp_path)
    drawn = _by_unit(hatespeech.NAME, tmp_path)
    assert list(drawn) == ["w1", "w2", "w3"]
    comments = hatespeech_sample.COMMENTS
    assert _pairs(drawn["w1"]) == {(comments[n], str(n)) for n in range(4)}, "a blank comment is left out"
    assert _pairs(drawn["w2"]) == {(comments[n], str(4 - n)) for n in range(4)}
    assert _pairs(drawn["w3"]) == {("Only one person saw this.", "2")}
    said = "How toxic one person finds comments from the internet, from 0 (not at all) to 4 (extremely)."
    assert drawn["w1"].description == said
    assert drawn["w1"].options == ("0", "1", "2", "3", "4")
    assert drawn["w2"].attributes["uses_media_news"] is False
    assert "race" not in drawn["w2"].attributes
    assert {"race", "education"} & set(drawn["w3"].attributes) == set(), "NaN and an empty text are not known"
    assert not any("Female" in str(episode.description) for episode in drawn.values())


def test_without_ids_a_person_is_what_they_say_of_themselves(tmp_path: Path) -> None:
    """The same on every run, which Python's hash is not."""
    hatespeech_sample.write(write_sample("hatespeech", tmp_path), with_id=False)
    drawn = _by_unit(hatespeech.NAME, tmp_path)
    assert [len(episode.examples) for episode in drawn.values()] == [4, 4, 1]
    first = "Female | Rarely | Rarely | 25 - 34 | Rarely | Rarely | Rarely | Yes | Rarely | Rarely | Rarely"
    assert next(iter(drawn)).startswith(first)
    assert list(drawn)[2].startswith("Nonbinary | Rarely | - | Rarely | Rarely | - |")


def test_what_a_person_says_differently_is_not_known(tmp_path: Path) -> None:
    folder = write_sample("hatespeech", tmp_path)
    rows = [hatespeech_sample.row("One.", {"w1": 1}), hatespeech_sample.row("Two.", {"w1": 2})]
    rows[1]["ratings"][0]["gender"] = "Male"
    write_jsonl(folder / hatespeech.FILE, rows)
    [episode] = _drawn(hatespeech.NAME, tmp_path)
    assert "gender" not in episode.attributes
    assert episode.attributes["age_range"] == "25 - 34"


def test_a_thousand_people_by_chance(tmp_path: Path) -> None:
    folder = write_sample("hatespeech", tmp_path)
    rows = [hatespeech_sample.row("Hm.", {"w1": 0}) for _ in range(1200)]
    for n, row in enumerate(rows):
        row["ratings"][0]["worker_id"] = f"p{n}"
    write_jsonl(folder / hatespeech.FILE, rows)
    units = {episode.unit for episode in _drawn(hatespeech.NAME, tmp_path)}
    assert len(units) == 1000
    assert stats.binomtest(sum(f"p{n}" in units for n in range(600)), 600, 1000 / 1200).pvalue > 1e-4
    write_jsonl(folder / hatespeech.FILE, rows[::-1])
    assert {episode.unit for episode in _drawn(hatespeech.NAME, tmp_path)} == units, "whatever the order of the file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"toxic_score": 5}, "row 1: toxic_score must be 0 to 4, not 5"),
        ({"toxic_score": None}, "row 1: toxic_score must be 0 to 4, not None"),
        ({"toxic_score": "1"}, "row 1: toxic_score must be 0 to 4, not '1'"),
        ({"race": ...}, "row 1: a rating has no race"),
        ({"toxic_score": ...}, "row 1: a rating has no toxic_score"),
        ({"worker_id": ...}, "some ratings have a worker_id and some have none"),
    ],
)
def test_ratings_of_another_shape_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("hatespeech", tmp_path)
    rows = [hatespeech_sample.row("One.", {"w1": 1}), hatespeech_sample.row("Two.", {"w1": 2})]
    [rating] = rows[0]["ratings"]
    rows[0]["ratings"] = [{name: value for name, value in (rating | change).items() if value is not ...}]
    write_jsonl(folder / hatespeech.FILE, rows)
    assert message in _refusal(hatespeech.NAME, tmp_path)


@pytest.mark.parametrize(
    "row", [{"comment": 1, "ratings": []}, {"comment": "a", "ratings": {}}, {"comment": "a", "ratings": [1]}]
)
def test_comments_of_another_shape_are_named(tmp_path: Path, row: dict[str, Any]) -> None:
    write_jsonl(write_sample("hatespeech", tmp_path) / hatespeech.FILE, [row])
    assert "row 1: a text 'comment' and a list of objects 'ratings' are needed" in _refusal(hatespeech.NAME, tmp_path)


# OpinionQA


def test_answers_of_a_respondent(tmp_path: Path) -> None:
    write_sample("opinionqa", tmp_path)
    drawn = _by_unit(opinionqa.INDIVIDUAL, tmp_path)
    assert [unit.split("/")[0] for unit in drawn] == ["W26"] * 3 + ["W54"] * 3, "the fourth was asked nothing"
    tea = "Do you drink tea, coffee, or both?\nA: Tea\nB: Coffee\nC: Both\nD: Refused"
    rain = "Do you like rain, even a café's\nrain?\nA: Yes, always\nB: No\nC: Refused"
    cat = "Which of these do you have? A cat\nA: Not selected\nB: A cat"
    first, second, third = list(drawn.values())[:3]
    assert _pairs(first) == {(tea, "A"), (rain, "A"), (cat, "B")}
    assert _pairs(second) == {(tea, "C"), (rain, "C")}, "a question that was not asked is left out"
    assert _pairs(third) == {(tea, "B"), (rain, "B"), (cat, "A")}
    assert first.options == ("A", "B", "C", "D")
    assert first.attributes["age"] == "18-29"
    assert first.attributes["education"] == "Associate's degree"
    assert len(first.attributes) == 12
    assert "age" not in second.attributes, "Refused is no age"


def test_the_order_of_respondents_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three people of each survey: the same ones, with the same episodes, from the file turned round."""
    monkeypatch.setattr(opinionqa, "N_PEOPLE", 2)
    folder = write_sample("opinionqa", tmp_path)
    drawn = _by_unit(opinionqa.INDIVIDUAL, tmp_path)
    assert len(drawn) == 4
    for wave in opinionqa_sample.WAVES:
        write_csv(opinionqa_sample.folder_of(folder, wave) / "responses.csv", opinionqa_sample.responses(wave)[::-1])
    assert _by_unit(opinionqa.INDIVIDUAL, tmp_path) == drawn


def test_a_key_of_several_questions_tells_of_none(tmp_path: Path) -> None:
    """TEA_W26 stands for two questions; both are questions of the survey, but nobody's answer is known."""
    folder = opinionqa_sample.folder_of(write_sample("opinionqa", tmp_path), 26)
    rows = opinionqa_sample.questions(26)
    write_csv(folder / "info.csv", [*rows, {**rows[0], "question": "Do you drink tea at night?"}, rows[1]])
    drawn = _by_unit(opinionqa.INDIVIDUAL, tmp_path)
    asked = {str(text).split("\n")[0] for unit in drawn if unit.startswith("W26") for text, _ in _pairs(drawn[unit])}
    assert asked == {"Do you like rain, even a café's", "Which of these do you have? A cat"}, (
        "a row that comes twice is one question"
    )
    texts = [text.split("\n")[0] for text in _outputs(_by_unit(opinionqa.QUESTIONS, tmp_path)["W26"])]
    assert len(texts) == 4
    assert {"Do you drink tea, coffee, or both?", "Do you drink tea at night?"} < set(texts)


def test_three_properties_in_ten_are_left_out_of_the_description(tmp_path: Path) -> None:
    """Over 40 seeds of six people: the same person's own draw decides, once for all episodes."""
    write_sample("opinionqa", tmp_path)
    shown = known = described = 0
    for seed in range(40):
        for episode in _drawn(opinionqa.INDIVIDUAL, tmp_path, seed=seed):
            told = _told(episode)
            assert told.items() <= dict(episode.attributes).items()
            if told:
                assert str(episode.description).startswith("Somebody in the American Trends Panel answers")
                described, shown, known = described + 1, shown + len(told), known + len(episode.attributes)
    assert stats.binomtest(described, 240, 0.5).pvalue > 1e-4
    assert stats.binomtest(shown, known, 0.7).pvalue > 1e-4


def test_questions_of_each_survey(tmp_path: Path) -> None:
    folder = write_sample("opinionqa", tmp_path)
    for path in (*folder.rglob("responses.csv"), *folder.rglob("metadata.csv")):
        path.unlink()
    drawn = _by_unit(opinionqa.QUESTIONS, tmp_path)
    assert list(drawn) == ["W26", "W54"]
    assert set(_outputs(drawn["W26"])) == {
        "Do you drink tea, coffee, or both?\nA: Tea\nB: Coffee\nC: Both\nD: Refused",
        "Do you like rain, even a café's\nrain?\nA: Yes, always\nB: No\nC: Refused",
        "Which of these do you have? A cat\nA: Not selected\nB: A cat",
    }
    assert all(example.input is None for example in drawn["W26"].examples)
    assert "W26/responses.csv: no such file" in _refusal(opinionqa.INDIVIDUAL, tmp_path)


def test_surveys_that_are_missing_are_gone_without(tmp_path: Path) -> None:
    folder = write_sample("opinionqa", tmp_path)
    shutil.rmtree(opinionqa_sample.folder_of(folder, 26))
    assert {str(episode.unit)[:3] for episode in _drawn(opinionqa.INDIVIDUAL, tmp_path)} == {"W54"}
    (opinionqa_sample.folder_of(folder, 54) / "metadata.csv").unlink()
    assert "W54/metadata.csv: no such file" in _refusal(opinionqa.INDIVIDUAL, tmp_path)


@pytest.mark.parametrize(
    ("file", "row", "change", "message"),
    [
        ("info", 1, {"references": "['Yes', __import__('os')]"}, "row 2: references must be a list of 2 to 26 different texts"),
        ("info", 1, {"references": "['Yes']"}, "row 2: references must be a list"),
        ("info", 1, {"references": "{[]: 'Yes'}"}, "row 2: references must be a list"),
        ("info", 1, {"references": "-" * 100_000 + "1"}, "row 2: references must be a list"),
        ("info", 1, {"references": "['Yes', 'Yes']"}, "row 2: references must be a list"),
        ("info", 1, {"references": None}, "row 2: references must be a list"),
        ("info", 1, {"question": None}, "row 2: key and question are needed"),
        ("info", 1, {"key": "SUN_W26"}, "there is no such column: 'SUN_W26'"),
        ("metadata", 1, {"key": "YEARS"}, "a row for AGE with a list of texts in 'options' is needed"),
        ("metadata", 1, {"options": "18"}, "a row for AGE with a list of texts in 'options' is needed"),
        ("metadata", 1, {"options": "['young', 'old']"}, "column AGE: no value is one of young, old"),
        ("responses", 2, {"RAIN_W26": "Sometimes"}, "row 3: RAIN_W26: 'Sometimes' is none of its options"),
    ],
)
def test_faults_of_a_survey_are_named(tmp_path: Path, file: str, row: int, change: dict[str, Any], message: str) -> None:
    folder = opinionqa_sample.folder_of(write_sample("opinionqa", tmp_path), 26)
    known = [{"key": key, "options": str(opinionqa_sample.VALUES.get(key, ["Here"]))} for key in opinionqa.PROPERTIES]
    tables: dict[str, list[Any]] = {
        "info": opinionqa_sample.questions(26),
        "metadata": known,
        "responses": opinionqa_sample.responses(26),
    }
    rows = [dict(one) for one in tables[file]]
    rows[row] |= change
    write_csv(folder / f"{file}.csv", rows)
    assert message in _refusal(opinionqa.INDIVIDUAL, tmp_path)


def test_two_hundred_respondents_of_a_survey(tmp_path: Path) -> None:
    folder = write_sample("opinionqa", tmp_path)
    rows = opinionqa_sample.responses(26)
    write_csv(opinionqa_sample.folder_of(folder, 26) / "responses.csv", rows * 100)
    counts = Counter(str(episode.unit)[:3] for episode in _drawn(opinionqa.INDIVIDUAL, tmp_path))
    assert counts == {"W26": 200, "W54": 3}


# World Values Survey

needs_pyreadstat = pytest.mark.skipif(importlib.util.find_spec("pyreadstat") is None, reason="the extra spss is not installed")


@needs_pyreadstat
def test_answers_to_the_world_values_survey(tmp_path: Path) -> None:
    write_sample("wvs", tmp_path)
    drawn = _by_unit(wvs.NAME, tmp_path)
    family = 'Important in life: "Café", tea, and rest\nA: Very\nB: Rather\nC: Not at all'
    cat = "Has a cat\nA: Yes\nB: No"
    assert {unit: _pairs(episode) for unit, episode in drawn.items()} == {
        "20070001": {(family, "A"), (cat, "A")},
        "20070002": {(family, "C"), (cat, "B")},
        "32070001": {(family, "B")},  # -2 in Q2, which the file does not declare as missing
        "32070003": {(family, "B"), (cat, "A")},
    }, "20070003 and 32070002 answered neither; Q261, Q262, Q290, Q291 and Q_MODE are no questions"
    assert drawn["20070001"].options == ("A", "B", "C")
    assert drawn["32070001"].attributes == {"country": "Argentina", "language": "Spanish; Castilian"}, "town: not asked"
    assert drawn["32070003"].attributes == {}
    assert drawn["32070003"].description == "One respondent's answer to each question: the letter of an option."


@needs_pyreadstat
def test_a_respondent_is_described_in_one_wording_of_two(tmp_path: Path) -> None:
    write_sample("wvs", tmp_path)
    loaded = read(wvs.NAME, tmp_path)
    said = [
        str(episode.description)
        for seed in range(100)
        for episode in draw_episodes(task(wvs.NAME), wvs.SOURCE.tasks[0].strands(loaded, seed), seed=seed)
        if episode.unit == "20070001"
    ]
    assert set(said) == {
        "One respondent's answer to each question: the letter of an option.",
        "The same person answers each question of a survey on values with the letter of an option. About the person: "
        '{"country": "Andorra", "town": "AD: La Peña, upper", "language": "Catalan"}',
    }
    assert stats.binomtest(sum("{" in text for text in said), 100, 0.5).pvalue > 1e-4


@needs_pyreadstat
def test_reading_in_pieces_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("wvs", tmp_path)
    whole = _drawn(wvs.NAME, tmp_path)
    monkeypatch.setattr(wvs, "ROWS_AT_ONCE", 2)
    assert _drawn(wvs.NAME, tmp_path) == whole
    monkeypatch.setattr(wvs, "N_PEOPLE", 3)
    some = _drawn(wvs.NAME, tmp_path)
    assert 1 <= len(some) <= 3
    assert all(episode in whole for episode in some)


@needs_pyreadstat
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Q1": [3, 1, 7, 2, 8, 2]}, "row 3: Q1: 7 has no label\n  - row 5: Q1: 8 has no label"),
        ({"D_INTERVIEW": [1, 2, 3, 4, 5, 5]}, "D_INTERVIEW must be another number in each row"),
        ({"D_INTERVIEW": [1, 2, 3, 4, 5, None]}, "D_INTERVIEW must be another number in each row"),
    ],
)
def test_codes_and_ids_at_fault_are_named(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    wvs_sample.write(write_sample("wvs", tmp_path), **columns)
    assert message in _refusal(wvs.NAME, tmp_path)


@needs_pyreadstat
def test_variables_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sample("wvs", tmp_path)
    kept = {name: values for name, values in wvs_sample.COLUMNS.items() if name not in ("N_TOWN", "D_INTERVIEW")}
    monkeypatch.setattr(wvs_sample, "COLUMNS", kept)
    wvs_sample.write(folder)
    assert re.search(r"there is no variable D_INTERVIEW\n.*there is no variable N_TOWN", _refusal(wvs.NAME, tmp_path))
    monkeypatch.setattr(wvs_sample, "COLUMNS", {name: kept[name] for name in ("B_COUNTRY", "S_INTLANGUAGE", "Q299")})
    wvs_sample.write(folder, D_INTERVIEW=[1, 2, 3, 4, 5, 6], N_TOWN=[1, 1, 1, 1, 1, 1])
    assert "there is no variable Q1, Q2, ... with labelled codes" in _refusal(wvs.NAME, tmp_path)


def test_without_pyreadstat_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "wvs"
    folder.mkdir()
    (folder / wvs.FILE).write_bytes(b"$FL2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[spss\]'"):
        _drawn(wvs.NAME, tmp_path)


@needs_pyreadstat
def test_pandas_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("wvs", tmp_path)
    ordinary = builtins.__import__

    def without_pandas(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    assert len(_drawn(wvs.NAME, tmp_path)) == 4


# Netflix


def test_stars_and_titles_of_customers_with_ten_ratings(tmp_path: Path) -> None:
    write_sample("netflix", tmp_path)
    starred, seen = _by_unit(netflix.STARS, tmp_path), _by_unit(netflix.VIEWS, tmp_path)
    assert set(starred) == set(seen) == {"10", "2649429"}, "customer 7 has three ratings"
    titles = netflix_sample.TITLES
    for episode in starred.values():
        given = netflix_sample.STARS[int(str(episode.unit))]
        assert Counter((e.input, e.output) for e in episode.examples) <= Counter((titles[f], str(n)) for f, n in given.items())
        assert episode.options == ("1", "2", "3", "4", "5")
    for episode in seen.values():
        allowed = {titles[film] for film in netflix_sample.STARS[int(str(episode.unit))]}
        assert set(_outputs(episode)) <= allowed
        assert len(set(_outputs(episode))) == len(_outputs(episode)), "two films share a title, which comes once"
    strands = {strand.unit: strand for strand in task(netflix.VIEWS).strands(read(netflix.VIEWS, tmp_path), 0)}
    assert [example.output for example in strands["10"].examples][:3] == ["A Cat, a Hat: Season 2", "No Tea", "Film 5"]  # type: ignore[union-attr]


def test_a_film_goes_on_from_one_piece_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sample("netflix", tmp_path)
    whole = [_drawn(name, tmp_path) for name in (netflix.STARS, netflix.VIEWS)]
    monkeypatch.setattr(netflix, "BLOCK_BYTES", 40)
    assert [_drawn(name, tmp_path) for name in (netflix.STARS, netflix.VIEWS)] == whole
    for file in netflix.RATINGS:
        text = (folder / file).read_text()
        (folder / file).write_bytes(text.replace("\n", "\r\n").encode())
    assert [_drawn(name, tmp_path) for name in (netflix.STARS, netflix.VIEWS)] == whole


def test_customers_are_chosen_by_chance_and_both_tasks_take_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sample("netflix", tmp_path)
    lines = [f"{film}:\n" + "".join(f"{who},4,2004-01-02\n" for who in range(1, 301)) for film in range(1, 11)]
    write_text(folder / netflix.RATINGS[0], "".join(lines))
    monkeypatch.setattr(netflix, "N_PEOPLE", 100)
    monkeypatch.setattr(netflix, "N_PEOPLE_STARS", 50)
    starred, seen = ({episode.unit for episode in _drawn(name, tmp_path)} for name in (netflix.STARS, netflix.VIEWS))
    assert (len(starred), len(seen)) == (50, 100)
    assert starred < seen
    assert stats.binomtest(sum(int(str(unit)) <= 150 for unit in seen), 100, 0.5).pvalue > 1e-4
    assert {episode.unit for episode in _drawn(netflix.VIEWS, tmp_path, seed=1)} != seen


def test_titles_are_in_latin_1(tmp_path: Path) -> None:
    folder = write_sample("netflix", tmp_path)
    text = (folder / netflix.TITLES).read_text().replace("Film 5", "Pokémon à la carte")
    (folder / netflix.TITLES).write_bytes(text.encode("latin-1"))
    strands = {strand.unit: strand for strand in task(netflix.VIEWS).strands(read(netflix.VIEWS, tmp_path), 0)}
    assert "Pokémon à la carte" in [example.output for example in strands["10"].examples]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("movie_titles.csv", "1,2003\n", "line 1: id, year, title are needed, not '1,2003'"),
        ("movie_titles.csv", "1,2003,One\n2,20,Two\n", "line 2: id, year, title are needed, not '2,20,Two'"),
        ("movie_titles.csv", "1,2003,One\n", "film 2 has no title in movie_titles.csv"),
        (
            "combined_data_2.txt",
            "5:\n10,6,2005-01-02\n",
            "line 2: a film's id and a colon, or customer,stars,day are needed, not '10,6",
        ),
        ("combined_data_2.txt", "5:\n10,5\n", "line 2: a film's id and a colon, or customer,stars,day"),
        ("combined_data_2.txt", "5:\nx,5,2005-01-02\n", "line 2: a film's id and a colon, or customer,stars,day"),
        ("combined_data_2.txt", "5:\n99999999,5,2005-01-02\n", "line 2: a film's id and a colon, or customer,stars,day"),
        ("combined_data_2.txt", "5:\n10,5,2005-01-02,1\n", "line 2: a film's id and a colon, or customer,stars,day"),
        ("combined_data_2.txt", "5:\n10,5,2005-01-02\n\n11,five,2005-01-02\n", "line 4: a film's id and a colon"),
        ("combined_data_2.txt", "10,5,2005-01-02\n", "line 1: a film's id and a colon must come first"),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write_sample("netflix", tmp_path)
    write_text(folder / file, text)
    assert message in _refusal(netflix.VIEWS, tmp_path)


# Jeopardy!


def test_clues_of_two_rounds(tmp_path: Path) -> None:
    write_sample("jeopardy", tmp_path)
    [clues] = _drawn("jeopardy_question_generation", tmp_path)
    [answered] = _drawn("jeopardy_answer_prediction", tmp_path)
    danube, river, spelt = (
        "It flows through Vienna, Budapest,\nand Belgrade",
        'São Paulo\'s "Tietê" is one of these',
        "An answer of this spelling is no gap",
    )
    assert sorted(_outputs(clues)) == sorted([danube, river, "Two plus two", spelt])
    assert sorted((str(e.input), e.output) for e in answered.examples) == sorted(
        [(danube, "the Danube"), (river, "a river"), ("Two plus two", "four"), ("Two plus two", "4"), (spelt, "null")]
    ), "the final round, tiebreakers, links, gaps and what comes again are left out"
    assert all(example.input is None for example in clues.examples)


def test_clues_end_at_a_thousand_and_three_wordings_come(tmp_path: Path) -> None:
    folder = write_sample("jeopardy", tmp_path)
    rows = [{" Round": "Jeopardy!", " Question": f"Clue {n}", " Answer": str(n)} for n in range(1500)]
    write_csv(folder / jeopardy.FILE, rows)
    for name in ("jeopardy_question_generation", "jeopardy_answer_prediction"):
        drawn = _drawn(name, tmp_path)
        outputs = [output for episode in drawn for output in _outputs(episode)]
        assert len(outputs) == len(set(outputs)) == 1000
        assert len({episode.description for episode in drawn}) == 3


def test_a_copy_without_spaces_in_its_columns_is_as_good(tmp_path: Path) -> None:
    folder = write_sample("jeopardy", tmp_path)
    before = _drawn("jeopardy_answer_prediction", tmp_path)
    header, body = (folder / jeopardy.FILE).read_text().split("\n", 1)
    write_text(folder / jeopardy.FILE, header.replace(", ", ",") + "\n" + body)
    assert _drawn("jeopardy_answer_prediction", tmp_path) == before


def test_rounds_that_are_unknown_are_named(tmp_path: Path) -> None:
    folder = write_sample("jeopardy", tmp_path)
    rows = [{"Round": kind, "Question": "Clue", "Answer": "a"} for kind in ("Jeopardy!", "Triple Jeopardy!", None)]
    write_csv(folder / jeopardy.FILE, rows)
    message = _refusal("jeopardy_answer_prediction", tmp_path)
    assert "row 2: the round must be one of Jeopardy!, Double Jeopardy!, Final Jeopardy!, Tiebreaker, not 'Triple" in message
    assert "row 3: the round must be one of" in message
    write_csv(folder / jeopardy.FILE, [{"Round": "Tiebreaker", "Question": "Clue", "Answer": "a"}])
    assert "it holds no clue of the normal or the double round" in _refusal("jeopardy_answer_prediction", tmp_path)


def test_what_has_met_no_real_file_says_so() -> None:
    standing = {
        name: source(name).card.ran_on_real_file for name in ("lewidi", "hatespeech", "opinionqa", "wvs", "netflix", "jeopardy")
    }
    assert standing == {**dict.fromkeys(standing, False), "lewidi": True}
