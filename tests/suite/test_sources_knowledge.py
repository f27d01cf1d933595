"""Benchmarks with a right answer, and three surveys that are tasks and evaluations at once: on made-up rows, by hand."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.suite import draw, evaluation, read, source, source_of, task
from pluralign.suite.card import Hub
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.sources import globaloqa, gpqa, habermas, numbergame
from pluralign.suite.task import Around
from suite.samples import arc as arc_sample
from suite.samples import drop as drop_sample
from suite.samples import globaloqa as globaloqa_sample
from suite.samples import gpqa as gpqa_sample
from suite.samples import gsm8k as gsm8k_sample
from suite.samples import habermas as habermas_sample
from suite.samples import hellaswag as hellaswag_sample
from suite.samples import imdb as imdb_sample
from suite.samples import mmlu as mmlu_sample
from suite.samples import numbergame as numbergame_sample
from suite.samples import truthful_qa as truthful_qa_sample
from suite.samples import winogrande as winogrande_sample
from suite.samples import write_csv, write_parquet, write_sample

BENCHMARKS: dict[str, Any] = {
    "imdb": imdb_sample.REVIEWS,
    "gsm8k": gsm8k_sample.PROBLEMS,
    "mmlu": mmlu_sample.ROWS,
    "hellaswag": hellaswag_sample.ROWS,
    "winogrande": winogrande_sample.ROWS,
    "arc": arc_sample.ROWS,
    "drop": drop_sample.ROWS,
    "truthful_qa": truthful_qa_sample.ROWS,
}
"""Each in one parquet file, ten rows."""
GSM8K = ("gsm8k_question", "gsm8k_question_answer", "gsm8k_question_from_answer", "gsm8k_answer_from_question")


def _drawn(name: str, data_dir: Path, **more: Any) -> list[Episode]:
    write_sample(source_of(name).card.name, data_dir)
    return list(draw(name, data_dir=data_dir, description_share=1.0, **more))


def _pairs(episodes: list[Episode]) -> set[tuple[str | None, str]]:
    return {(example.input, example.output) for episode in episodes for example in episode.examples}


def _answers(episodes: list[Episode]) -> dict[str, str]:
    return {str(example.input): example.output for episode in episodes for example in episode.examples}


def _targets(name: str, data_dir: Path) -> list[Target]:
    asked = evaluation(name)
    assert isinstance(asked, TargetTask)
    return list(asked.rows(read(name, data_dir), 0))


# what all share


def test_they_are_of_the_kind_and_split_that_the_suite_says() -> None:
    knowledge = ("imdb", "gsm8k_answer_from_question", "mmlu", "gpqa", "hellaswag", "winogrande", "arc", "drop", "truthful_qa")
    assert {task(name).kind for name in knowledge} == {"knowledge"}
    assert {task(name).kind for name in GSM8K[:3]} == {task("habermas_question").kind} == {"text"}
    assert {task(name).kind for name in ("globaloqa", "numbergame_perc")} == {"population"}
    people = ("habermas_individual", "habermas_individual_categorical", "numbergame_individual")
    assert {task(name).kind for name in people} == {"individual"}
    assert {task(name).split for name in ("imdb", *GSM8K)} == {"train"}
    assert {task(name).split for name in (*knowledge[2:], *people, "globaloqa", "numbergame_perc", "habermas_question")} == {
        "test"
    }
    labels = {name: evaluation(name).label for name in ("global_oqa", "habermas", "numbergame")}  # type: ignore[union-attr]
    assert labels == {"global_oqa": "Letter", "habermas": "Likert", "numbergame": "Yes/No"}


def test_files_of_the_hub_are_pinned() -> None:
    for name in (*BENCHMARKS, "globaloqa"):
        access = source(name).card.access
        assert isinstance(access, Hub)
        is_commit = len(access.revision or "") == 40 and set(access.revision or "") <= set("0123456789abcdef")
        assert is_commit != (name == "truthful_qa"), "which has only a branch that the hub makes"


LIMITS: dict[str, tuple[int | None, int | Around | None]] = {
    "imdb": (200, Around(128)),
    **dict.fromkeys(GSM8K, (50, Around(64))),
    "mmlu": (1000, 20),
    "gpqa": (1000, 20),
    "hellaswag": (None, 20),
    **dict.fromkeys(("winogrande", "arc", "drop", "truthful_qa"), (None, 10)),
    "globaloqa": (2, None),
    "habermas_individual": (1, Around(32)),
    "habermas_individual_categorical": (1, Around(32)),
    "habermas_question": (None, Around(32)),
    "numbergame_individual": (1, None),
    "numbergame_perc": (None, Around(128)),
}
"""Episodes (None: every row once) and outputs in each (None: all), as the suite's tables have them."""


@pytest.mark.parametrize("name", LIMITS)
def test_there_are_as_many_episodes_and_outputs_as_the_table_says(tmp_path: Path, name: str) -> None:
    write_sample(source_of(name).card.name, tmp_path)
    strands = list(task(name).strands(read(name, tmp_path), 0))
    assert {(strand.n_episodes, strand.n_outputs) for strand in strands} == {LIMITS[name]}
    assert {strand.n_permutations for strand in strands} == {1}
    fewest = sum(strand.n_episodes or 1 for strand in strands)
    assert len(list(draw(name, data_dir=tmp_path))) >= fewest


@pytest.mark.parametrize(
    ("name", "size"), [("hellaswag", 20), ("winogrande", 10), ("arc", 10), ("drop", 10), ("truthful_qa", 10)]
)
def test_every_row_comes_once_in_consecutive_episodes(tmp_path: Path, name: str, size: int) -> None:
    folder = write_sample(name, tmp_path)
    rows = [
        dict(row) | {"question": f"{n}?", "sentence": f"{n} _", "ctx": f"{n}"}
        for n in range(25)
        for row in BENCHMARKS[name][:1]
    ]
    kept = [{key: value for key, value in row.items() if key in BENCHMARKS[name][0]} for row in rows]
    write_parquet(folder / source(name).card.access.files[0], kept)
    drawn = list(draw(name, data_dir=tmp_path))
    assert [len(episode.examples) for episode in drawn] == [size] * (25 // size) + [25 % size]
    assert len(_pairs(drawn)) == 25
    assert [example.input for episode in drawn for example in episode.examples] != [
        example.input for episode in draw(name, data_dir=tmp_path, seed=1) for example in episode.examples
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_table_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_sample(name, tmp_path)
    path = folder / source(name).card.access.files[0]
    pl.read_parquet(path).clear().write_parquet(path)
    with pytest.raises(DataError, match="it holds no row; get it from"):
        next(draw(source(name).tasks[0].name, data_dir=tmp_path))


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("imdb", {"text": " \n"}, r"row 3: text must be text, not ' \\n'"),
    ("imdb", {"label": -1}, "row 3: label must be 0 to 1, not -1"),
    ("gsm8k", {"question": None}, "row 3: question must be text, not None"),
    ("gsm8k", {"answer": ""}, "row 3: answer must be text, not ''"),
    ("mmlu", {"choices": ["a", "b", "c"]}, "row 3: 4 choices are needed, a list of texts, not"),
    ("mmlu", {"choices": ["a", "b", "c", None]}, "row 3: 4 choices are needed"),
    ("mmlu", {"answer": 4}, "row 3: answer must be 0 to 3, not 4"),
    ("mmlu", {"answer": None}, "row 3: answer must be 0 to 3, not None"),
    ("mmlu", {"question": ""}, "row 3: question must be text"),
    ("hellaswag", {"label": ""}, "row 3: label must be one of 0, 1, 2, 3, not ''"),
    ("hellaswag", {"endings": []}, "row 3: 4 choices are needed"),
    ("hellaswag", {"ctx": ""}, "row 3: ctx must be text"),
    ("hellaswag", {"activity_label": None}, "row 3: activity_label must be text"),
    ("winogrande", {"answer": ""}, "row 3: answer must be 1 or 2, as text, not ''"),
    ("winogrande", {"sentence": "Nothing is left out."}, "row 3: the sentence has no blank"),
    ("winogrande", {"option2": None}, "row 3: option2 must be text"),
    ("arc", {"answerKey": "F"}, "row 3: answerKey must be one of its labels, not 'F'"),
    ("arc", {"choices": {"text": ["a", "b"], "label": ["A", "A"]}}, "row 3: labels must be different ones"),
    ("arc", {"choices": {"text": ["a", "b"], "label": ["A", "x"]}}, "row 3: labels must be different ones of A B C"),
    ("arc", {"choices": {"text": ["a"], "label": ["A", "B"]}}, "row 3: 2 choices are needed"),
    ("arc", {"choices": None}, "row 3: choices must have the lists text and label"),
    ("arc", {"question": ""}, "row 3: question must be text"),
    ("drop", {"answers_spans": {"spans": [], "types": []}}, "row 3: there is no answer in answers_spans"),
    ("drop", {"answers_spans": {"spans": ["  "], "types": ["span"]}}, "row 3: there is no answer in answers_spans"),
    ("drop", {"answers_spans": None}, "row 3: answers_spans must have the list spans"),
    ("drop", {"passage": ""}, "row 3: passage must be text"),
    ("truthful_qa", {"label": 7}, "row 3: label must be 0 to 3, not 7"),
    ("truthful_qa", {"choices": None}, "row 3: 4 choices are needed"),
]


@pytest.mark.parametrize(("name", "change", "message"), FAULTS)
def test_a_row_that_is_no_question_is_named(tmp_path: Path, name: str, change: dict[str, Any], message: str) -> None:
    folder = write_sample(name, tmp_path)
    path = folder / source(name).card.access.files[0]
    table = pl.read_parquet(path)
    rows = table.to_dicts()
    rows[2] |= change
    write_parquet(path, rows, schema=table.schema)
    with pytest.raises(DataError, match=message):
        next(draw(source(name).tasks[0].name, data_dir=tmp_path))


@pytest.mark.parametrize(("name", "column"), [("arc", "choices"), ("drop", "answers_spans")])
def test_a_field_within_a_column_is_missed(tmp_path: Path, name: str, column: str) -> None:
    folder = write_sample(name, tmp_path)
    path = folder / source(name).card.access.files[0]
    rows = pl.read_parquet(path).to_dicts()
    write_parquet(path, [row | {column: {f"{key}_was": value for key, value in row[column].items()}} for row in rows])
    with pytest.raises(DataError, match=f"row 1: {column} must have the list"):
        next(draw(name, data_dir=tmp_path))


# the benchmarks, one by one


def test_imdb_says_what_the_label_says(tmp_path: Path) -> None:
    drawn = _drawn("imdb", tmp_path)
    assert _pairs(drawn) == {(text, ("negative", "positive")[label]) for text, label in imdb_sample.REVIEWS}
    assert {episode.options for episode in drawn} == {("negative", "positive")}
    assert source("imdb").card.chance == {"imdb": 0.5}


def test_gsm8k_asks_in_four_ways(tmp_path: Path) -> None:
    rows = [(row["question"], row["answer"]) for row in gsm8k_sample.PROBLEMS]
    assert _pairs(_drawn("gsm8k_question", tmp_path)) == {(None, question) for question, _ in rows}
    assert _pairs(_drawn("gsm8k_question_from_answer", tmp_path)) == {(answer, question) for question, answer in rows}
    assert _pairs(_drawn("gsm8k_answer_from_question", tmp_path)) == set(rows)
    both = {json.loads(output)["question"]: json.loads(output)["answer"] for _, output in _pairs(_drawn(GSM8K[1], tmp_path))}
    assert both == dict(rows)
    for name in GSM8K:
        assert len({episode.description for episode in _drawn(name, tmp_path)}) == 3
        shown = [episode.description for episode in draw(name, data_dir=tmp_path)]
        assert 25 <= sum(said is not None for said in shown) < 50, "0.8 of 50 in training"


def test_mmlu_letters_its_choices(tmp_path: Path) -> None:
    drawn = _drawn("mmlu", tmp_path)
    answers = _answers(drawn)
    assert answers["Statement 1 | Snow is white.\nWhich, then?\nA: a, b\nB: c\nC: d\nD: e"] == "D"
    assert answers["Which number follows 1?\nA: 2\nB: 0\nC: zero\nD: Größe"] == "A"
    assert {episode.options for episode in drawn} == {("A", "B", "C", "D")}


def test_hellaswag_shows_activity_and_beginning(tmp_path: Path) -> None:
    answers = _answers(_drawn("hellaswag", tmp_path))
    beginning = "Activity: Baking bread\nBeginning: Loaf 0 is in the oven. The baker"
    assert answers[f"{beginning}\nA: flies away.\nB: waits.\nC: melts.\nD: sings to fish."] == "B"
    assert sum("[header] How to boil an egg [title] Fill a pot." in asked for asked in answers) == 1


def test_winogrande_widens_the_blank(tmp_path: Path) -> None:
    answers = _answers(_drawn("winogrande", tmp_path))
    assert answers["Zoë thanked Émile because _____ had helped.\nA: Émile\nB: Zoë"] == "A"
    assert Counter(answers.values()) == {"B": 9, "A": 1}


def test_arc_keeps_labels_as_they_are(tmp_path: Path) -> None:
    drawn = _drawn("arc", tmp_path)
    answers = _answers(drawn)
    assert answers["Which is a planet, and which\nis not?\n1: Mars, the red one\n2: a spoon\n3: Tuesday\n4: Éa"] == "1"
    assert answers["What do roots take up?\nA: light\nB: water\nC: sound"] == "B"
    assert answers["What is lightest?\nA: lead\nB: gold\nC: tin\nD: zinc\nE: air"] == "E"
    assert {"A", "E", "1", "4"} <= set(drawn[0].options or ())
    assert not source("arc").card.chance, "three to five choices"


def test_drop_takes_the_first_span_that_is_not_blank(tmp_path: Path) -> None:
    answers = _answers(_drawn("drop", tmp_path))
    start = f"Passage: {drop_sample.PASSAGE}\nQuestion: "
    assert answers[f"{start}Which animals did the village have?"] == "goats"
    assert answers[f"{start}When were there 110 goats?"] == "1902"
    assert answers[f"{start}How many goats and bells were there in 1901, plus 2?"] == "125"


def test_truthful_qa_keeps_the_order_of_its_choices(tmp_path: Path) -> None:
    answers = _answers(_drawn("truthful_qa", tmp_path))
    assert answers["Can goats count to ten?\nA: No\nB: Only on Sundays\nC: Yes, in Latin\nD: Yes"] == "A"
    assert Counter(answers.values()) == {"B": 9, "A": 1}


# gpqa


def test_gpqa_marks_the_right_choice_wherever_it_stands(tmp_path: Path) -> None:
    answers = _answers(_drawn("gpqa", tmp_path))
    assert len(answers) == 10
    asks = r"(?:Subject: (\w+)\n)?How many goats are (\d) goats,\nand why\?\nA: (.*)\nB: (.*)\nC: (.*)\nD: (.*)"
    for asked, letter in answers.items():
        found = re.fullmatch(asks, asked)
        assert found, asked
        subject, number, *choices = found.groups()
        assert choices["ABCD".index(letter)] == f"{number} goats"
        assert set(choices) == {f"{number} goats", f"{int(number) + 1} goats", 'no "goats" at all', "Γ goats"}
        assert subject == ("Biology", "Physics", None)[int(number) % 3]
    assert len(set(answers.values())) > 1


def test_gpqa_orders_choices_by_seed_and_id_and_not_by_the_files_order(tmp_path: Path) -> None:
    first = _answers(_drawn("gpqa", tmp_path))
    write_csv(tmp_path / "gpqa" / gpqa.FILE, gpqa_sample.ROWS[::-1])
    assert _answers(list(draw("gpqa", data_dir=tmp_path))) == first
    assert _answers(list(draw("gpqa", data_dir=tmp_path, seed=1))) != first
    write_csv(tmp_path / "gpqa" / gpqa.FILE, gpqa_sample.ROWS[3:4])
    [(asked, letter)] = _answers(list(draw("gpqa", data_dir=tmp_path))).items()
    assert first[asked] == letter, "whatever the other questions"


def test_gpqa_names_rows_without_a_text_and_ids_that_come_twice(tmp_path: Path) -> None:
    folder = write_sample("gpqa", tmp_path)
    rows = [dict(row) for row in gpqa_sample.ROWS]
    rows[1]["Incorrect Answer 2"] = None
    rows[2]["Question"] = " \n"
    rows[4]["Record ID"] = "recMade3"
    write_csv(folder / gpqa.FILE, rows)
    with pytest.raises(DataError) as caught:
        next(draw("gpqa", data_dir=tmp_path))
    for message in (
        "row 2: Incorrect Answer 2 is missing",
        "row 3: Question is missing",
        "Record ID recMade3 comes 2 times",
        "unpack it with the password that the README there states",
    ):
        assert message in str(caught.value)
    write_csv(folder / gpqa.FILE, rows[:1])
    (folder / gpqa.FILE).write_text((folder / gpqa.FILE).read_text().split("\n")[0] + "\n")
    with pytest.raises(DataError, match="it holds no row"):
        next(draw("gpqa", data_dir=tmp_path))


# globaloqa


def test_globaloqa_tells_the_shares_of_a_country_in_whole_percent(tmp_path: Path) -> None:
    drawn = _drawn("globaloqa", tmp_path)
    assert Counter(episode.unit for episode in drawn) == {"Aland": 2, "Beland": 2}
    answers = {unit: _answers([episode for episode in drawn if episode.unit == unit]) for unit in ("Aland", "Beland")}
    assert len(answers["Aland"]) == 7
    assert len(answers["Beland"]) == 8
    soup = '{"question": "Is soup number 3 good?", "options": ["Yes", "No"]}'
    assert answers["Aland"][soup] == '[{"Yes": 25}, {"No": 75}]'
    assert answers["Beland"][soup] == '[{"Yes": 50}, {"No": 50}]'
    # shares of 0.5, 0.2, 0.1 are 62.5, 25 and 12.5 percent of their sum
    [whistling] = [output for asked, output in answers["Aland"].items() if "whistle" in asked]
    assert json.loads(whistling) == [{"Often": 63}, {"Rarely": 25}, {"Ne\u0301ver, \"really\"": 13}]  # fmt: skip
    [cup] = [output for asked, output in answers["Beland"].items() if "cup" in asked]
    assert cup == '[{"Us": 33}, {"Them": 33}, {"DK/Refused": 33}]'


def test_globaloqa_names_the_country_in_one_wording_of_two(tmp_path: Path) -> None:
    write_sample("globaloqa", tmp_path)
    said = {e.description for seed in range(8) for e in draw("globaloqa", data_dir=tmp_path, seed=seed) if e.unit == "Beland"}
    assert len(said) == 2
    assert sum("Beland" in str(one) for one in said) == 1
    assert not any("Aland" in str(one) for one in said)


def test_globaloqa_leaves_out_questions_without_text_and_countries_without_answers(tmp_path: Path) -> None:
    write_sample("globaloqa", tmp_path)
    loaded = globaloqa.load(tmp_path / "globaloqa")
    assert len(loaded) == 9
    assert not any("Only this" in question.options for question in loaded)
    assert {country for question in loaded for country in question.shares} == {"Aland", "Beland"}


def test_global_oqa_has_a_target_for_each_question_and_country(tmp_path: Path) -> None:
    write_sample("globaloqa", tmp_path)
    targets = _targets("global_oqa", tmp_path)
    assert Counter(target.unit for target in targets) == {"Aland": 7, "Beland": 7}, "a question with one option has no target"
    [first, *_] = targets
    assert first.input == "Is soup number 0 good?\nA: Yes\nB: No"
    assert (first.options, first.shares, first.n) == (("A", "B"), (0.25, 0.75), None)
    assert "this sample: Aland." in str(first.description)
    [whistling] = [target for target in targets if "whistle" in target.input]
    assert whistling.input == 'How often,\nroughly, do you whistle?\nA: Often\nB: Rarely\nC: Ne\u0301ver, "really"'
    assert whistling.shares == pytest.approx((0.5 / 0.8, 0.2 / 0.8, 0.1 / 0.8), abs=1e-12)


def test_global_oqa_leaves_out_more_options_than_letters(tmp_path: Path) -> None:
    folder = write_sample("globaloqa", tmp_path)
    many = [globaloqa_sample.row("Which?", {"Aland": [1.0] * n}, [f"number {i}" for i in range(n)]) for n in (26, 27)]
    write_csv(folder / globaloqa.FILE, many)
    [target] = _targets("global_oqa", tmp_path)
    assert (target.options[-1], len(target.shares)) == ("Z", 26)
    assert len(_answers(list(draw("globaloqa", data_dir=tmp_path)))) == 2, "where percentages are told they stay"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": "['Yes'"}, r"row 1: no list or mapping of Python: \"\['Yes'\""),
        ({"options": None}, "row 1: no list or mapping of Python: None"),
        ({"options": "[]"}, r"row 1: options must be a list of texts, not \[\]"),
        ({"options": "['Yes', ['No']]"}, "row 1: options must be a list of texts"),
        ({"options": "['Yes', 'No', 'Maybe']"}, r"row 1: Aland: 3 shares are needed, one for each option, not \[0.25, 0.75\]"),
        ({"selections": "__import__('os').getcwd()"}, "row 1: no list or mapping of Python"),
        ({"selections": "defaultdict(<class 'list'>, {'Aland': [0.5, -0.5]})"}, "row 1: Aland: 2 shares are needed"),
        ({"selections": "defaultdict(<class 'list'>, {'Aland': [0.5, 'x']})"}, "row 1: Aland: 2 shares are needed"),
        ({"selections": "[0.5, 0.5]"}, "row 1: selections must be a mapping from countries"),
        ({"selections": "{1: [0.5, 0.5]}"}, "row 1: selections must be a mapping from countries"),
    ],
)
def test_globaloqa_names_rows_that_it_cannot_read(tmp_path: Path, change: dict[str, str | None], message: str) -> None:
    folder = write_sample("globaloqa", tmp_path)
    write_csv(folder / globaloqa.FILE, [dict(globaloqa_sample.ROWS[0]) | change, *globaloqa_sample.ROWS[1:]])
    with pytest.raises(DataError, match=message):
        next(draw("globaloqa", data_dir=tmp_path))


def test_globaloqa_takes_a_plain_mapping_and_numbers_as_options(tmp_path: Path) -> None:
    folder = write_sample("globaloqa", tmp_path)
    write_csv(
        folder / globaloqa.FILE, [{"question": "How many?", "selections": "{'Aland': [30, 10]}", "options": "[1, '2 or more']"}]
    )
    [target] = _targets("global_oqa", tmp_path)
    assert (target.input, target.shares) == ("How many?\nA: 1\nB: 2 or more", (0.75, 0.25))
    write_csv(folder / globaloqa.FILE, [{"question": " ", "selections": "{}", "options": "[]"}])
    with pytest.raises(DataError, match="it holds no question"):
        next(draw("globaloqa", data_dir=tmp_path))


# habermas


def test_habermas_individual_has_agreement_and_opinion_of_those_who_gave_both(tmp_path: Path) -> None:
    drawn = _drawn("habermas_individual", tmp_path)
    people = {str(episode.unit): _answers([episode]) for episode in drawn}
    assert set(people) == {f"w{n}" for n in range(6)}, "not the bot, nobody, or whoever gave no opinion"
    trains = '{"question.text": "Should trains be free?", "statement": "Trains should be free."}'
    assert json.loads(people["w0"][trains]) == {
        "ratings.agreement": "Agree",
        "opinion.text": 'Opinion 0: "free", naturally.\nYes, really.',
    }
    grazing = '{"question.text": "Should goats, or sheep,\\ngraze in parks?", "statement": "They should graze in parks."}'
    assert set(people["w0"]) <= {trains, grazing}
    assert set(people["w1"]) == {trains}, "of the other question there is no opinion"
    assert people["w5"][trains].startswith('{"ratings.agreement": "Disagree", "opinion.text": "Opinion 5')


def test_habermas_categorical_takes_the_first_rating_before_the_discussion(tmp_path: Path) -> None:
    drawn = _drawn("habermas_individual_categorical", tmp_path)
    people = {str(episode.unit): _answers([episode]) for episode in drawn}
    assert set(people) == {f"w{n}" for n in range(7)}
    trains = '{"question.text": "Should trains be free?", "statement": "Trains should be free."}'
    outputs = [people[f"w{n}"].get(trains) for n in range(2, 7)]
    assert outputs == ["Strongly agree", "Neutral", "Somewhat disagree", "Disagree", None]
    assert people["w6"] == {
        '{"question.text": "Should cafés close at ten?", "statement": "Cafés should close at ten."}': "Agree"
    }
    study = habermas.load(tmp_path / "habermas")
    of_w0 = study.people(0, "any", with_opinion=False)["w0"]
    assert [(one.question_id, one.label) for one in of_w0] == [("S1", "Agree"), ("S2", "Somewhat agree")]
    assert {episode.options for episode in drawn} == {habermas.LABELS}
    assert all(all(label in str(episode.description) for label in habermas.LABELS) for episode in drawn), "all seven are listed"


def test_habermas_asks_people_drawn_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habermas, "N_PEOPLE", 3)
    chosen = [{str(e.unit) for e in _drawn("habermas_individual_categorical", tmp_path, seed=seed)} for seed in range(6)]
    assert {len(units) for units in chosen} == {3}
    assert len({frozenset(units) for units in chosen}) > 1, "not always the first three"
    habermas_file = tmp_path / "habermas" / habermas.RATINGS
    write_parquet(habermas_file, habermas_sample.RATED[::-1])
    again = {str(e.unit) for e in draw("habermas_individual_categorical", data_dir=tmp_path)}
    assert again == chosen[0], "whatever the order of the file"


def test_habermas_questions_come_once_each(tmp_path: Path) -> None:
    drawn = _drawn("habermas_question", tmp_path)
    outputs = [example.output for episode in drawn for example in episode.examples]
    assert sorted(outputs) == sorted(question for question, _, _ in habermas_sample.QUESTIONS.values())
    [strand] = task("habermas_question").strands(habermas.load(tmp_path / "habermas"), 0)
    assert len(set(strand.descriptions)) == 5


def test_the_evaluation_habermas_counts_each_person_once(tmp_path: Path) -> None:
    """Six people: agree 2, strongly agree 1, neutral 1, somewhat disagree 1, disagree 1; the others have fewer than six."""
    write_sample("habermas", tmp_path)
    [target] = _targets("habermas", tmp_path)
    assert target.input == "Question: Should trains be free?\nA: Trains should be free.\nB: Trains should NOT be free."
    assert target.options == ("1", "2", "3", "4", "5", "6", "7")
    assert target.shares == pytest.approx((0, 1 / 6, 1 / 6, 1 / 6, 0, 2 / 6, 1 / 6), abs=1e-12)
    assert (target.n, target.unit) == (6, "S1")
    assert "1 strongly disagree, 2 disagree, 3 somewhat disagree, 4 neutral" in str(target.description)


def test_only_one_task_of_habermas_needs_the_opinions(tmp_path: Path) -> None:
    folder = write_sample("habermas", tmp_path)
    (folder / habermas.OPINIONS).unlink()
    for name in ("habermas_individual_categorical", "habermas_question"):
        assert next(draw(name, data_dir=tmp_path)).examples
    assert _targets("habermas", tmp_path)
    with pytest.raises(DataError, match=r"hm_all_round_survey_responses\.parquet: no such file"):
        next(draw("habermas_individual", data_dir=tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ratings.agreement": ["MAYBE"]},
            r"row 1: ratings.agreement must be a list of one of STRONGLY_DISAGREE.*, not \['MAYBE'\]",
        ),
        ({"ratings.agreement": ["AGREE", "AGREE"]}, "row 1: ratings.agreement must be a list of one of"),
        ({"ratings.agreement": []}, "row 1: ratings.agreement must be a list of one of"),
        ({"ratings.agreement": None}, "row 1: ratings.agreement must be a list of one of"),
        ({"question.text": " "}, "row 1: question.text must be text"),
        ({"question.negating_statement": None}, "row 1: question.negating_statement must be text, not None"),
        ({"metadata.participant_id": None}, "row 1: metadata.participant_id must be text"),
    ],
)
def test_habermas_names_ratings_that_it_cannot_use(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("habermas", tmp_path)
    write_parquet(folder / habermas.RATINGS, [habermas_sample.RATED[0] | change, *habermas_sample.RATED[1:]])
    with pytest.raises(DataError, match=message):
        next(draw("habermas_individual_categorical", data_dir=tmp_path))


def test_habermas_refuses_files_without_people_or_opinions(tmp_path: Path) -> None:
    folder = write_sample("habermas", tmp_path)
    write_parquet(folder / habermas.OPINIONS, [{"worker_id": "w0", "question.id": "S1", "opinion.text": " "}])
    with pytest.raises(DataError, match="it holds no opinion"):
        next(draw("habermas_individual", data_dir=tmp_path))
    write_parquet(folder / habermas.RATINGS, [habermas_sample.rating("bot", "S1", "AGREE", by="BOT_CITIZEN")])
    with pytest.raises(DataError, match="it holds no rating of a person before the discussion"):
        next(draw("habermas_question", data_dir=tmp_path))


# numbergame


def test_numbergame_individual_gives_all_answers_of_a_person(tmp_path: Path) -> None:
    drawn = _drawn("numbergame_individual", tmp_path)
    people = {str(episode.unit): _answers([episode]) for episode in drawn}
    assert list(people) == [str(person) for person in range(10)]
    first, second = (json.dumps({"given_numbers": [10, 50, 100], "target_number": target}) for target in (20, 21))
    assert people["0"] == {first: "Yes", second: "Yes", '{"given_numbers": [16], "target_number": 32}': "Yes"}
    assert people["1"] == {first: "Yes", second: "No"}, "a rating that is missing is no answer"
    assert people["7"] == {first: "No", second: "No"}
    assert people["9"] == {second: "No"}
    assert {episode.options for episode in drawn} == {("Yes", "No")}
    assert not any(episode.attributes for episode in drawn)


def test_numbergame_perc_rounds_the_share_of_yes(tmp_path: Path) -> None:
    """7 of 8 are 87.5 percent, 1 of 10 are 10, 1 of 1 is 100."""
    [episode] = _drawn("numbergame_perc", tmp_path)
    outputs = {json.loads(asked)["target_number"]: output for asked, output in _answers([episode]).items()}
    assert outputs == {20: "88%", 21: "10%", 32: "100%"}
    said = {e.description for seed in range(10) for e in draw("numbergame_perc", data_dir=tmp_path, seed=seed)}
    assert len(said) == 2


def test_the_evaluation_numbergame_needs_nine_answers(tmp_path: Path) -> None:
    write_sample("numbergame", tmp_path)
    [target] = _targets("numbergame", tmp_path)
    assert target.input == "Numbers: 10, 50, 100\nTarget: 21"
    assert (target.options, target.shares, target.n, target.unit) == (("Yes", "No"), (0.1, 0.9), 10, "10, 50, 100")
    assert "Yes or No" in str(target.description)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": "2"}, "row 2: numbers joined by _, a number, and 0 or 1 are needed, not '10_ 50_ 100', '20', '2'"),
        ({"target": "many"}, "row 2: numbers joined by _, .*'many'"),
        ({"set": "10, 50"}, "row 2: numbers joined by _, .*'10, 50'"),
        ({"set": "10__50"}, "row 2: numbers joined by _"),
    ],
)
def test_numbergame_names_rows_that_it_cannot_read(tmp_path: Path, change: dict[str, str], message: str) -> None:
    folder = write_sample("numbergame", tmp_path)
    rows = [dict(row) for row in numbergame_sample.ROWS]
    rows[1] |= change
    write_csv(folder / numbergame.FILE, rows)
    with pytest.raises(DataError, match=message):
        next(draw("numbergame_individual", data_dir=tmp_path))


def test_numbergame_reads_numbers_with_a_decimal_point_and_refuses_an_empty_table(tmp_path: Path) -> None:
    folder = write_sample("numbergame", tmp_path)
    write_csv(folder / numbergame.FILE, [{"id": "5", "set": "2_8", "target": "16.0", "rating": "1.0"}])
    assert numbergame.load(folder) == [numbergame.Judgement("5", (2, 8), 16, "Yes")]
    write_csv(folder / numbergame.FILE, [{"id": "5", "set": "2_8", "target": "16", "rating": None}])
    with pytest.raises(DataError, match="it holds no judgement"):
        numbergame.load(folder)
