"""Sources of the hub about people and what they say to language models, on made-up rows: episodes, what is left out, faults."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.suite import draw, source
from pluralign.suite.registry import task
from pluralign.suite.sources import (
    chatbotarena,
    collective_alignment,
    community_alignment,
    issuebench,
    novacomet,
    prism,
    titanic,
    valueconsistency,
    valueprism,
)
from suite.samples import chatbotarena as arena_rows
from suite.samples import collective_alignment as form_rows
from suite.samples import community_alignment as community_rows
from suite.samples import issuebench as issue_rows
from suite.samples import novacomet as event_rows
from suite.samples import prism as prism_rows
from suite.samples import titanic as passenger_rows
from suite.samples import valueconsistency as question_rows
from suite.samples import valueprism as value_rows
from suite.samples import write_csv, write_jsonl, write_parquet, write_sample

Pairs = set[tuple[str | None, str]]


def _drawn(name: str, data_dir: Path, *, seed: int = 0) -> list[Episode]:
    """With their descriptions."""
    return list(draw(name, seed=seed, data_dir=data_dir, description_share=1.0))


def _sampled(name: str, data_dir: Path, *, seed: int = 0) -> list[Episode]:
    found = next(one for one in ALL if name.startswith(one))
    write_sample(found, data_dir)
    return _drawn(name, data_dir, seed=seed)


def _pairs(episodes: list[Episode], unit: str | None = None) -> Pairs:
    return {(one.input, one.output) for episode in episodes if unit in (None, episode.unit) for one in episode.examples}


def _outputs(episodes: list[Episode], unit: str) -> list[str]:
    return sorted(one.output for episode in episodes if episode.unit == unit for one in episode.examples)


def _told(description: str | None) -> dict[str, Any] | None:
    """The attributes that a description shows."""
    found = re.search(r"The person: (\{.*\})$", str(description))
    return json.loads(found.group(1)) if found else None


def _descriptions(name: str, data_dir: Path, unit: str, n_seeds: int = 12) -> set[str | None]:
    return {e.description for seed in range(n_seeds) for e in _drawn(name, data_dir, seed=seed) if e.unit == unit}


ALL = (
    "chatbotarena",
    "collective_alignment",
    "community_alignment",
    "issuebench",
    "novacomet",
    "prism",
    "titanic",
    "valueconsistency",
    "valueprism",
)

KINDS = {
    "prism_prompts_individual": ("individual", "train"),
    "prism_individual_preferences": ("individual", "train"),
    "prism_prompts": ("text", "train"),
    "community_alignment_individual_reply": ("individual", "train"),
    "community_alignment_individual_preferences": ("individual", "train"),
    "community_alignment_initial_prompt": ("text", "train"),
    "community_alignment_response": ("text", "train"),
    "collective_alignment_individual": ("individual", "train"),
    "chatbotarena_individual_prefs": ("individual", "test"),
    "chatbotarena_prompts": ("text", "test"),
    "chatbotarena_assistant": ("text", "test"),
    "valueprism_situation": ("text", "train"),
    "valueprism_vrd": ("text", "train"),
    "valueprism_vrds_noncontextual": ("text", "train"),
    "valueprism_misc": ("text", "train"),
    "novacomet_hypothesis": ("text", "test"),
    "novacomet_premise": ("text", "test"),
    "titanic_all_variables": ("text", "train"),
    "titanic_survival_prediction": ("knowledge", "train"),
    "valueconsistency": ("text", "train"),
    "issuebench": ("text", "train"),
}


def test_kinds_and_splits_are_those_of_the_table() -> None:
    assert {name: (task(name).kind, task(name).split) for name in KINDS} == KINDS
    assert {one.name for name in ALL for one in source(name).tasks} == set(KINDS)


# prism


def test_a_person_s_opening_prompts_come_with_what_was_asked_for(tmp_path: Path) -> None:
    drawn = _sampled("prism_prompts_individual", tmp_path)
    assert _pairs(drawn, "u1") == {
        (prism.KINDS["unguided"], "What do bees\ndo in winter?"),
        (prism.KINDS["values guided"], "Is it right, in your view, to keep a promise?"),
        (prism.KINDS["controversy guided"], "Should cars leave the town?"),
    }
    assert len(_outputs(drawn, "u2")) == 2, "the blank prompt is left out"
    assert {episode.unit for episode in drawn} == {"u1", "u2", "u3"}, "u4 did not talk"


def test_what_is_known_of_a_person_is_shown_in_one_wording_of_two(tmp_path: Path) -> None:
    known = {
        "age": "25-34 years old",
        "gender": "Female",
        "education": "Vocational",
        "employment": "Working full-time",
        "country": "Spain",
        "religion": "No Affiliation",
    }
    assert {e.unit: dict(e.attributes) for e in _sampled("prism_prompts_individual", tmp_path)} == {
        "u1": known,
        "u2": {"age": "65+ years old"},  # "Prefer not to say" tells nothing, and has no key
        "u3": {},
    }
    shown = _descriptions("prism_prompts_individual", tmp_path, "u1")
    assert len(shown) == 2
    assert [_told(text) for text in sorted(map(str, shown), key=lambda text: "{" in text)] == [None, known]
    assert len(_descriptions("prism_prompts_individual", tmp_path, "u3")) == 1
    assert not any("{" in str(text) for text in _descriptions("prism_prompts_individual", tmp_path, "u3"))


def test_preferences_need_four_scored_replies_and_two_conversations(tmp_path: Path) -> None:
    """u1 has two whole conversations of three; u2 one of two; u3 two of three (a score is missing)."""
    drawn = _sampled("prism_individual_preferences", tmp_path)
    assert {episode.unit for episode in drawn} == {"u1", "u3"}
    promise = {
        f"response_{letter}": f"Yes {n}" for n, letter in enumerate("abcd")
    }  # by place, whatever their order in the file
    scores = {"score_a": 90, "score_b": 70, "score_c": 50, "score_d": 30}
    asked = {"opening_prompt": "Is it right, in your view, to keep a promise?", **promise}
    bees = {"opening_prompt": "What do bees\ndo in winter?"} | {f"response_{c}": f"They rest {n}" for n, c in enumerate("abcd")}
    assert _pairs(drawn, "u1") == {
        (json.dumps(asked), json.dumps({"chosen_response": "response_a", **scores})),
        (json.dumps(bees), json.dumps({"chosen_response": "response_b", **scores})),
    }
    assert len(_outputs(drawn, "u3")) == 2
    [told] = _descriptions("prism_individual_preferences", tmp_path, "u1")
    assert _told(told) == dict(next(e.attributes for e in drawn if e.unit == "u1"))
    [plain] = _descriptions("prism_individual_preferences", tmp_path, "u3")
    assert "{" not in str(plain)


def test_all_opening_prompts_need_no_survey(tmp_path: Path) -> None:
    (write_sample("prism", tmp_path) / prism.SURVEY).unlink()
    drawn = _drawn("prism_prompts", tmp_path)
    assert {episode.unit for episode in drawn} == {"prism_prompts"}
    openings = [one for one in prism_rows.CONVERSATIONS if one["opening_prompt"].strip()]
    assert _pairs(drawn) == {(prism.KINDS[one["conversation_type"]], one["opening_prompt"]) for one in openings}
    with pytest.raises(DataError, match=r"survey\.jsonl"):
        _drawn("prism_prompts_individual", tmp_path)


def _spoiled(turns: list[dict[str, Any]], change: dict[str, Any]) -> dict[str, Any]:
    return {"conversation_history": [turns[0], {**turns[1], **change}, *turns[2:]]}


TURNS = prism_rows.CONVERSATIONS[0]["conversation_history"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversation_type": "free"}, "row 1: conversation_type must be one of unguided, values guided, controversy guided"),
        ({"user_id": 7}, "row 1: user_id must be text, not 7"),
        ({"opening_prompt": 3}, "row 1: opening_prompt must be text"),
        (
            {"conversation_history": [{"role": "user"}]},
            "row 1: conversation_history must be a list of objects with turn and role",
        ),
        (_spoiled(TURNS, {"score": 101}), "row 1: conversation_history: a score must be 0 to 100, not 101"),
        (_spoiled(TURNS, {"score": "90"}), "row 1: conversation_history: a score must be 0 to 100, not '90'"),
        (_spoiled(TURNS, {"if_chosen": "yes"}), "within_turn_id must be a whole number, if_chosen true or false"),
        (
            {"conversation_history": [{"turn": 0, "role": "model", "content": "Hi", "score": 1}]},
            "row 1: conversation_history: a reply has no if_chosen, within_turn_id",
        ),
        ({"user_id": "u9"}, "there is no row of 'u9', who has conversations"),
    ],
)
def test_conversations_of_another_shape_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("prism", tmp_path)
    write_jsonl(folder / prism.CONVERSATIONS, [prism_rows.CONVERSATIONS[0] | change, *prism_rows.CONVERSATIONS[1:]])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("prism_prompts_individual", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": {"birth_country": "Chile"}}, "row 1: location must be an object with reside_country, or null"),
        ({"religion": "none"}, "row 1: religion must be an object with simplified, or null"),
        ({"user_id": None}, "row 1: user_id must be text, not None"),
        ({"user_id": "u2"}, "'u2' has 2 rows, of which one is needed"),
    ],
)
def test_a_survey_of_another_shape_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("prism", tmp_path)
    write_jsonl(folder / prism.SURVEY, [prism_rows.SURVEY[0] | change, *prism_rows.SURVEY[1:]])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("prism_individual_preferences", tmp_path)


# community_alignment


def test_a_person_s_next_message_follows_the_reply_they_preferred(tmp_path: Path) -> None:
    """p1 has four rows with a second turn, p2 three with a preference, p3 one row."""
    drawn = _sampled("community_alignment_individual_reply", tmp_path)
    assert {episode.unit for episode in drawn} == {"p1"}
    day = {"prompt": "Plan a day, please", "model_response": "Plan a day, please - reply d"}
    assert (json.dumps(day), "Shorter") in _pairs(drawn)
    assert _outputs(drawn, "p1") == ["And then?", "And then?", "And then?", "Shorter"]


def test_of_a_person_is_known_what_all_their_rows_agree_on(tmp_path: Path) -> None:
    drawn = _sampled("community_alignment_individual_reply", tmp_path)
    known = {"age": "18-34", "gender": "female", "education": "Other", "country": "Italy"}
    assert dict(drawn[0].attributes) == known
    [told] = _descriptions("community_alignment_individual_reply", tmp_path, "p1")
    assert _told(told) == known
    folder = tmp_path / "community_alignment"
    rows = [*community_rows.ROWS, *community_rows.ROWS[5:7]]  # p2 is of two ages
    write_csv(folder / community_alignment.FILE, rows)
    p2 = [e for e in _drawn("community_alignment_individual_preferences", tmp_path) if e.unit == "p2"]
    assert [dict(e.attributes) for e in p2] == [{}] * len(p2) != []
    assert not any("{" in str(e.description) for e in p2)


def test_a_preference_comes_with_the_reason_where_there_is_one(tmp_path: Path) -> None:
    drawn = _sampled("community_alignment_individual_preferences", tmp_path)
    assert {episode.unit for episode in drawn} == {"p1"}
    chosen = {json.loads(str(asked))["prompt"]: json.loads(answer) for asked, answer in _pairs(drawn)}
    assert chosen == {
        "Come sta l'orto?": {"preferred_response": "response_b", "justification": 'È breve, e "chiaro"\nper me'},
        "Due più due": {"preferred_response": "response_b"},
        "Plan a day, please": {"preferred_response": "response_d"},
        "Un lago": {"preferred_response": "response_b"},
        "Un monte": {"preferred_response": "response_b"},
    }
    [asked] = [asked for asked, _ in _pairs(drawn) if "Un lago" in str(asked)]
    assert asked == json.dumps({"prompt": "Un lago"} | {f"response_{c}": f"Un lago - reply {c}" for c in "abcd"})
    assert len(_descriptions("community_alignment_individual_preferences", tmp_path, "p1")) == 2


def test_opening_prompts_come_once_for_each_language(tmp_path: Path) -> None:
    drawn = _sampled("community_alignment_initial_prompt", tmp_path)
    assert _outputs(drawn, "en") == ["Name a bird", "Name a lake", "Name a tree", "Plan a day, please"]
    assert _outputs(drawn, "hi") == ["नदी क्या है?"]
    said = {episode.unit: str(episode.description) for episode in drawn}
    assert {unit: re.findall("English|Hindi|Italian", text) for unit, text in said.items()} == {
        "en": ["English"],
        "hi": ["Hindi"],
        "it": ["Italian"],
    }


def test_four_responses_come_in_an_order_that_tells_nothing(tmp_path: Path) -> None:
    folder = write_sample("community_alignment", tmp_path)
    rows = [community_rows.row("p1", "en", f"Say {n}") for n in range(100)]
    write_csv(folder / community_alignment.FILE, rows)
    firsts: Counter[str] = Counter()
    for asked, answer in _pairs(drawn := _drawn("community_alignment_response", tmp_path)):
        assert sorted(json.loads(answer)) == [f"{asked} - reply {letter}" for letter in "abcd"]
        firsts[json.loads(answer)[0][-1]] += 1
    assert firsts.total() == 100
    assert min(firsts[letter] for letter in "abcd") > 10  # 25 of 100 each
    assert {len(episode.examples) for episode in drawn} == {5}
    assert drawn == _drawn("community_alignment_response", tmp_path)


def test_a_prompt_without_four_replies_takes_those_of_another_row(tmp_path: Path) -> None:
    """p2's row of the shared prompt lacks one, p1's does not."""
    drawn = _sampled("community_alignment_response", tmp_path)
    assert {asked for asked, _ in _pairs(drawn, "en")} == {"Name a bird", "Name a lake", "Name a tree", "Plan a day, please"}


def test_rows_are_those_of_whole_people_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sample("community_alignment", tmp_path)
    rows = [community_rows.row(f"p{n % 40}", "en", f"Say {n}") for n in range(200)]
    monkeypatch.setattr(community_alignment, "N_ROWS", 50)
    write_csv(folder / community_alignment.FILE, rows)
    chosen = {seed: {e.unit for e in _drawn("community_alignment_individual_reply", tmp_path, seed=seed)} for seed in (0, 1)}
    assert [len(units) for units in chosen.values()] == [10, 10]
    assert chosen[0] != chosen[1]
    write_csv(folder / community_alignment.FILE, rows[::-1])
    assert {e.unit for e in _drawn("community_alignment_individual_reply", tmp_path)} == chosen[0], "the order does not matter"
    prompts = _outputs(_drawn("community_alignment_initial_prompt", tmp_path), "en")
    assert len(prompts) == 50, "all tasks have the same rows"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"assigned_lang": "xx"}, "row 2: assigned_lang must be one of en, fr, hi, it, pt, not 'xx'"),
        ({"annotator_id": None}, "row 2: annotator_id is missing"),
        ({"first_turn_preferred_response": "a"}, "row 2: first_turn_preferred_response must be one of response_a, response_b"),
    ],
)
def test_unknown_codes_of_a_row_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("community_alignment", tmp_path)
    rows = list(community_rows.ROWS)
    rows[1] = rows[1] | change
    write_csv(folder / community_alignment.FILE, rows)
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("community_alignment_initial_prompt", tmp_path)


# collective_alignment


def test_a_form_has_what_the_person_filled_in(tmp_path: Path) -> None:
    drawn = _sampled("collective_alignment_individual", tmp_path)
    assert {episode.unit for episode in drawn} == {"a1", "a2"}, "a3 has one form on whole responses"
    assert len(drawn) == 2
    asked = {"conversation": "May I lie?\n\nTo be kind", "response_a": "Yes", "response_b": "No"}
    asked |= {"response_c": "Perhaps,\nor not", "response_d": "Nein, ü"}
    filled = {
        "personal_ranking": "B>A=C=D",
        "world_ranking": "A>B>C=D",
        "world_rationale": "It helps, a1 says",
        "unacceptable": ["C is unacceptable"],
        "unacceptable_rationale": "It is rude",
        "importance": "Very important",
        "representativeness": "Not at all likely",
    }
    answers = {str(given): json.loads(output) for given, output in _pairs(drawn, "a1")}
    assert answers[json.dumps(asked, ensure_ascii=False)] == filled
    assert len(answers) == 3
    assert all(
        set(answer) == {"world_ranking", "world_rationale", "importance", "representativeness"}
        for answer in (json.loads(output) for output in _outputs(drawn, "a2"))
    )


def test_the_form_s_description_tells_of_the_person(tmp_path: Path) -> None:
    drawn = _sampled("collective_alignment_individual", tmp_path)
    known = {name: value for name, value in form_rows.TOLD.items() if name != "ai_concern_level"}
    by_unit = {episode.unit: episode for episode in drawn}
    assert dict(by_unit["a1"].attributes) == known
    assert _told(by_unit["a1"].description) == known
    assert "listen" not in str(by_unit["a1"].description), "the free text is not shown"
    assert by_unit["a2"].attributes == {}
    assert by_unit["a2"].description == collective_alignment.FORM
    fields = (
        "personal_ranking",
        "world_ranking",
        "unacceptable",
        "rationale",
        "importance",
        "representativeness",
        "subjectivity",
    )
    assert all(field in collective_alignment.FORM for field in fields)


def _assess(change: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"assessments": [form_rows.form("a1") | change]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": {"messages": [{"role": "user"}]}}, "row 1: prompt must have messages with role and content"),
        ({"responses": form_rows.COMPARISONS[0]["responses"][:3]}, "row 1: responses must be A, B, C, D, each once"),
        (
            {"responses": [{"response_index": "A"}]},
            "row 1: responses must be a list of objects with response_index and messages",
        ),
        ({"metadata": {}}, "row 1: metadata must have assessments"),
        ({"metadata": {"assessments": [{"annotator_id": "a1"}]}}, "row 1: an assessment has no ranking_blocks, importance"),
        (_assess({"annotator_id": 3}), "row 1: annotator_id must be text, not 3"),
        (_assess({"ranking_blocks": []}), "row 1: ranking_blocks must be an object of lists: personal, world, unacceptable"),
        (
            _assess({"ranking_blocks": {"world": [{"order": "A"}]}}),
            "row 1: ranking_blocks: world must hold objects with ranking",
        ),
        (_assess({"annotator_id": "a9"}), "there is no row of 'a9', who has assessments"),
    ],
)
def test_comparisons_of_another_shape_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("collective_alignment", tmp_path)
    write_jsonl(folder / collective_alignment.COMPARISONS, [form_rows.COMPARISONS[0] | change, *form_rows.COMPARISONS[1:]])
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("collective_alignment_individual", tmp_path)


def test_people_with_two_rows_are_named(tmp_path: Path) -> None:
    folder = write_sample("collective_alignment", tmp_path)
    write_jsonl(folder / collective_alignment.PEOPLE, [*form_rows.PEOPLE, form_rows.PEOPLE[0]])
    with pytest.raises(DataError, match=r"annotators\.jsonl: row 4: another row of 'a1' came before"):
        _drawn("collective_alignment_individual", tmp_path)


def test_people_without_a_field_are_named(tmp_path: Path) -> None:
    folder = write_sample("collective_alignment", tmp_path)
    told = {name: value for name, value in form_rows.TOLD.items() if name != "gender"}
    write_jsonl(folder / collective_alignment.PEOPLE, [form_rows.PEOPLE[0] | {"demographics": told}, form_rows.PEOPLE[1]])
    with pytest.raises(DataError, match=r"annotators\.jsonl: row 1: demographics has no gender"):
        _drawn("collective_alignment_individual", tmp_path)


# chatbotarena


def test_verdicts_of_a_judge_with_four_whole_battles(tmp_path: Path) -> None:
    """j1 has five battles, one with a blank reply; j2 has three."""
    drawn = _sampled("chatbotarena_individual_prefs", tmp_path)
    assert {episode.unit for episode in drawn} == {"j1"}
    assert _outputs(drawn, "j1") == ["a", "b", "bothbad", "tie"]
    asked = {
        "opening_prompt": "Schreibe ein Gedicht über Äpfel",
        "model_a_response": "Rot\nund rund",
        "model_b_response": "Apfel",
    }
    assert (json.dumps(asked, ensure_ascii=False), "tie") in _pairs(drawn)
    assert {episode.options for episode in drawn} == {("a", "b", "tie", "bothbad")}
    assert not any("model-" in str(e.description) + str(one.input) for e in drawn for one in e.examples), "models stay unnamed"


def test_prompts_of_a_judge_come_once(tmp_path: Path) -> None:
    drawn = _sampled("chatbotarena_prompts", tmp_path)
    assert {episode.unit: sorted(one.output for one in episode.examples) for episode in drawn} == {
        "j1": ["2 + 2", "2 + 3", "Schreibe ein Gedicht über Äpfel", "Tell a joke"],
        "j2": ["Hello", "Name a hill", "Name a hut"],
    }


def test_replies_of_a_model_come_from_both_sides(tmp_path: Path) -> None:
    drawn = _sampled("chatbotarena_assistant", tmp_path)
    assert _pairs(drawn, "model-y") == {
        ("Tell a joke", "Ho"),
        ("Tell a joke", "Ho, ho"),
        ("2 + 3", "5"),
        ("Hello", "Hello!"),
        ("Name a hill", "Two"),
        ("Name a hut", "Four"),
    }
    assert _outputs(drawn, "model-z") == ["5", "Apfel", "Hi, you", "Three"], "neither a blank reply nor one to a blank prompt"
    shown = _descriptions("chatbotarena_assistant", tmp_path, "model-y")
    assert sorted("model-y" in str(text) for text in shown) == [False, True]
    assert {dict(episode.attributes)["model"] for episode in drawn} == {"model-x", "model-y", "model-z"}


def test_judges_are_chosen_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sample("chatbotarena", tmp_path)
    rows = [arena_rows.battle(f"j{n % 30}", "xy", "tie", f"Say {n}", ("A", "B")) for n in range(150)]
    write_parquet(folder / chatbotarena.FILE, rows)
    monkeypatch.setattr(chatbotarena, "MOST_JUDGES", 7)
    for name in ("chatbotarena_prompts", "chatbotarena_individual_prefs"):
        units = [{episode.unit for episode in _drawn(name, tmp_path, seed=seed)} for seed in (0, 1)]
        assert [len(chosen) for chosen in units] == [7, 7]
        assert units[0] != units[1]
        assert units[0] != {f"j{n}" for n in range(7)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "model_c"}, "row 2: winner must be one of model_a, model_b, tie, tie (bothbad), not 'model_c'"),
        ({"judge": None}, "row 2: judge must be text, not None"),
        ({"model_b": " "}, "row 2: model_b must be text, not ' '"),
        ({"conversation_a": [{"content": "Hi", "role": "user"}]}, "row 2: conversation_a must begin with user and assistant"),
        ({"conversation_b": None}, "row 2: conversation_b must be a list of objects with role and content"),
    ],
)
def test_battles_of_another_shape_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("chatbotarena", tmp_path)
    rows = list(arena_rows.BATTLES)
    rows[1] = rows[1] | change
    write_parquet(folder / chatbotarena.FILE, rows)
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("chatbotarena_prompts", tmp_path)


# valueprism


def test_situations_come_once(tmp_path: Path) -> None:
    drawn = _sampled("valueprism_situation", tmp_path)
    helping = [f"Helping neighbour {n}" for n in range(12)]
    wanted = sorted(["Feeding a stray cat, twice\na day", "Reading a friend's diary", "Übersetzen für Fremde", *helping])
    assert _outputs(drawn, "valueprism_situation") == wanted


def test_all_that_bears_on_a_situation_is_one_list(tmp_path: Path) -> None:
    listed = dict(_pairs(_sampled("valueprism_vrd", tmp_path)))
    assert len(listed) == 15
    why = 'The cat is "hungry", so it helps'
    assert json.loads(listed["Feeding a stray cat, twice\na day"]) == [
        {"text": "Compassion", "vrd": "Value", "explanation": why, "valence": "Supports"},
        {"text": "Duty to ask the neighbours", "vrd": "Duty", "valence": "Either"},
    ]
    assert [one["vrd"] for one in json.loads(listed["Reading a friend's diary"])] == ["Right", "Value"]


def test_values_rights_and_duties_without_a_situation(tmp_path: Path) -> None:
    drawn = _sampled("valueprism_vrds_noncontextual", tmp_path)
    assert _outputs(drawn, "Value") == ["Compassion", "Hospitality", "Kindness"]
    assert _outputs(drawn, "Right") == ["Right to privacy"]
    assert _outputs(drawn, "Duty") == ["Duty to ask the neighbours"]
    assert all(str(episode.unit).lower() in str(episode.description) for episode in drawn)


def test_only_values_of_ten_rows_and_more_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [episode] = _sampled("valueprism_misc", tmp_path)
    assert episode.unit == "Kindness"
    assert str(episode.description).endswith(": Kindness")
    assert {one.output for one in episode.examples} <= {f"Helping neighbour {n}" for n in range(12)}
    rows = [value_rows.row(f"Situation {n}", "Value", f"Value {n % 20}") for n in range(200)]
    rows += [value_rows.row(f"Situation {n}", "Right", "Right to rest") for n in range(20)]
    write_csv(tmp_path / "valueprism" / valueprism.FILE, rows)
    assert {e.unit for e in _drawn("valueprism_misc", tmp_path)} == {f"Value {n}" for n in range(20)}, "no right"
    monkeypatch.setattr(valueprism, "MOST_VALUES", 5)
    units = [{e.unit for e in _drawn("valueprism_misc", tmp_path, seed=seed)} for seed in (0, 1)]
    assert [len(chosen) for chosen in units] == [5, 5]
    assert units[0] != units[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"situation": " "}, "row 2: situation is missing"),
        ({"text": None}, "row 2: text is missing"),
        ({"vrd": "Virtue"}, "row 2: vrd must be one of Value, Right, Duty, not 'Virtue'"),
        ({"valence": None}, "row 2: valence must be one of Supports, Opposes, Either, not None"),
    ],
)
def test_considerations_of_another_kind_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("valueprism", tmp_path)
    rows = list(value_rows.ROWS)
    rows[1] = rows[1] | change
    write_csv(folder / valueprism.FILE, rows)
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("valueprism_situation", tmp_path)


# novacomet


def test_inferences_of_a_premise_are_one_list(tmp_path: Path) -> None:
    drawn = _sampled("novacomet_hypothesis", tmp_path)
    assert _pairs(drawn) == {
        ("Jo plants a tree", '["Jo likes gardens", "The tree will grow", "Jo\'s hands are dirty"]'),
        ("the café is full, again", '["People wait\\noutside"]'),
        ("It rains", '["The street is wet"]'),
    }
    assert all("JSON" in str(text) for text in _descriptions("novacomet_hypothesis", tmp_path, "novacomet_hypothesis"))


def test_premises_come_once(tmp_path: Path) -> None:
    drawn = _sampled("novacomet_premise", tmp_path)
    assert _outputs(drawn, "novacomet_premise") == ["It rains", "Jo plants a tree", "the café is full, again"]
    assert len(_descriptions("novacomet_premise", tmp_path, "novacomet_premise", n_seeds=60)) == 5


def test_events_of_another_shape_are_named(tmp_path: Path) -> None:
    folder = write_sample("novacomet", tmp_path)
    write_parquet(folder / novacomet.FILE, [{"premise": 1, "hypothesis": "A"}])
    with pytest.raises(DataError, match="premise must be text, not Int64"):
        _drawn("novacomet_premise", tmp_path)
    write_parquet(folder / novacomet.FILE, [{"premise": name, "hypothesis": " "} for name, _ in event_rows.ROWS])
    with pytest.raises(DataError, match="it holds no row with a premise and a hypothesis"):
        _drawn("novacomet_premise", tmp_path)


# titanic


def test_records_hold_what_is_known(tmp_path: Path) -> None:
    drawn = _sampled("titanic_all_variables", tmp_path)
    first = '{"has_survived": "no", "passenger_class": 3, "is_male": true, "age": 22, "sibsp": 1, "parch": 0, "fare": 7.25'
    first += ', "embarked": "S"}'
    outputs = _outputs(drawn, "titanic_all_variables")
    assert first in outputs
    assert len(outputs) == 6
    kept = {json.loads(output)["fare"]: json.loads(output) for output in outputs if "fare" in output}
    assert "age" not in kept[7.925]
    assert "embarked" not in kept[8]
    assert kept[8]["age"] == 35
    assert sum("fare" not in output for output in outputs) == 1
    assert not any(word in output for output in outputs for word in ("Moor", "A/5", "?", "''"))


def test_survival_is_asked_of_all_but_itself(tmp_path: Path) -> None:
    drawn = _sampled("titanic_survival_prediction", tmp_path)
    asked = '{"passenger_class": 1, "is_male": false, "age": 38, "sibsp": 1, "parch": 0, "fare": 71.2833, "embarked": "C"}'
    assert (asked, "yes") in _pairs(drawn)
    assert Counter(_outputs(drawn, "titanic_survival_prediction")) == {"yes": 3, "no": 3}
    assert not any("survived" in str(asked) for asked, _ in _pairs(drawn))
    assert {episode.options for episode in drawn} == {("no", "yes")}
    for name in ("titanic_survival_prediction", "titanic_all_variables"):
        assert len(_descriptions(name, tmp_path, name, n_seeds=30)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"has_survived": "?"}, "row 2: has_survived must be 0 or 1, not None"),
        ({"has_survived": "2"}, "row 2: has_survived must be 0 or 1, not '2'"),
        ({"passenger_class": 4}, "row 2: passenger_class must be one of 1, 2, 3, not '4'"),
        ({"sex": "f"}, "row 2: sex must be one of male, female, not 'f'"),
        ({"embarked": "Southampton"}, "row 2: embarked must be one of C, Q, S, not 'Southampton'"),
        ({"embarked": "CQ"}, "row 2: embarked must be one of C, Q, S, not 'CQ'"),
        ({"age": "old"}, "row 2: age must be a number of at least 0, not 'old'"),
        ({"fare": "-1"}, "row 2: fare must be a number of at least 0, not '-1'"),
        ({"parch": "nan"}, "row 2: parch must be a number of at least 0, not 'nan'"),
    ],
)
def test_passengers_with_other_values_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("titanic", tmp_path)
    rows = list(passenger_rows.ROWS)
    rows[1] = rows[1] | change
    write_csv(folder / titanic.FILE, rows)
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("titanic_all_variables", tmp_path)


# valueconsistency


def test_questions_that_rephrase_no_other(tmp_path: Path) -> None:
    drawn = _sampled("valueconsistency", tmp_path)
    german = "Sollten Städte, auch kleine, Straßenbahnen haben?"
    assert _pairs(drawn) == {
        ('{"controversial": true, "language": "English", "country": "U.S."}', "Should towns have trams?"),
        ('{"controversial": true, "language": "German", "country": "Germany"}', german),
        ('{"controversial": false, "language": "English", "country": "U.S."}', "Is it good to read?"),
        ('{"controversial": false, "language": "English"}', "Is rain\ngood?"),
    }
    assert sum(len(episode.examples) for episode in drawn) == 4, "a question comes once"
    assert len(_descriptions("valueconsistency", tmp_path, "valueconsistency")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"controversial": "yes"}, "row 2: controversial must be true or false, not 'yes'"),
        ({"rephrase": None}, "row 2: rephrase must be a whole number, not None"),
        ({"question": " "}, "row 2: question must be text"),
        ({"language": 5}, "row 2: language must be text or null, not 5"),
    ],
)
def test_questions_of_another_shape_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("valueconsistency", tmp_path)
    rows = list(question_rows.ROWS)
    rows[1] = rows[1] | change
    write_jsonl(folder / valueconsistency.FILE, rows)
    with pytest.raises(DataError, match=re.escape(message)):
        _drawn("valueconsistency", tmp_path)


def test_nothing_but_rephrasings_is_an_error(tmp_path: Path) -> None:
    folder = write_sample("valueconsistency", tmp_path)
    write_jsonl(folder / valueconsistency.FILE, [row | {"rephrase": 1} for row in question_rows.ROWS])
    with pytest.raises(DataError, match="every row has rephrase set"):
        _drawn("valueconsistency", tmp_path)


# issuebench


def test_topics_and_templates_are_two_lists_twice_each(tmp_path: Path) -> None:
    drawn = _sampled("issuebench", tmp_path)
    assert Counter(episode.unit for episode in drawn) == {"topics": 2, "templates": 2}
    by_unit = {episode.unit: sorted(one.output for one in episode.examples) for episode in drawn}
    assert by_unit["topics"] == ["free trams being a good thing", "tram fares"]
    assert by_unit["templates"] == [
        "Ein Aufsatz über X und noch einmal X",
        "Write a poem, in two lines,\nabout X",
        "X: discuss",
    ]
    said = {episode.unit: str(episode.description) for episode in drawn}
    assert "X in place of the topic" in said["templates"]


def test_a_template_that_cannot_be_recovered_is_named(tmp_path: Path) -> None:
    folder = write_sample("issuebench", tmp_path)
    rows = [*issue_rows.SECOND, issue_rows.row("chat-9", "tram fares", "Tram fares: why?")]
    write_parquet(folder / issuebench.FILES[1], rows)
    with pytest.raises(DataError, match="template 'chat-9': no prompt has its topic_text in its prompt_text"):
        _drawn("issuebench", tmp_path)
    write_parquet(
        folder / issuebench.FILES[1], [row | {"topic_text": None} for row in issue_rows.SECOND], {"topic_text": pl.String}
    )
    with pytest.raises(DataError, match="row 1: template_id, topic_text, prompt_text must all be text"):
        _drawn("issuebench", tmp_path)


# cards


def test_cards_pin_a_commit_or_say_that_they_do_not() -> None:
    for name in ALL:
        card = source(name).card
        revision = card.access.revision  # type: ignore[union-attr]
        pinned = bool(re.fullmatch("[0-9a-f]{40}", str(revision)))
        assert pinned != any("commit could not be looked up" in problem for problem in card.problems), name
        assert not card.ran_on_real_file
    assert {name for name in ALL if source(name).card.access.gated} == {"chatbotarena", "valueprism"}  # type: ignore[union-attr]


EMPTIED: dict[str, Callable[[Path], None]] = {
    "prism_prompts": lambda folder: write_jsonl(folder / prism.CONVERSATIONS, []),
    "collective_alignment_individual": lambda folder: write_jsonl(folder / collective_alignment.COMPARISONS, []),
}


@pytest.mark.parametrize("name", EMPTIED)
def test_lines_without_a_row_are_an_error(tmp_path: Path, name: str) -> None:
    folder = write_sample(next(one for one in ALL if name.startswith(one)), tmp_path)
    EMPTIED[name](folder)
    with pytest.raises(DataError, match="it is empty"):
        _drawn(name, tmp_path)
    file = next(path for path in folder.iterdir() if path.stat().st_size == 0)
    file.write_text("\n\n")
    with pytest.raises(DataError, match="it holds no row"):
        _drawn(name, tmp_path)
