"""The tasks are those of the published suite (Sorensen et al. 2025, arXiv 2510.06084), which the tables here restate.

Of each task: split, sequences of one sampler (a person, a list, a parameter draw), outputs of a sequence, how many wordings
describe it at most, what an input and an output hold.
"""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from pluralign.episodes import Example
from pluralign.suite import all_tasks, read, source_of, task
from pluralign.suite.card import Simulated
from pluralign.suite.evaluation import CoverageTask, TargetTask
from pluralign.suite.registry import all_evaluations
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.task import Around, Kind, Split, Strand
from suite.samples import write_sample

EX = None
"""Every example once, in consecutive sequences."""
ALL = None
"""Every example in each sequence."""
TRAIN: Split = "train"
TEST: Split = "test"

# what an input or an output holds: nothing, a text, a JSON list, or a JSON object with these keys
NONE, TEXT, LIST = "none", "text", "list"
Fields = str | tuple[str, ...]
RESPONSES = ("response_a", "response_b", "response_c", "response_d")
RANKED = (
    "personal_ranking",
    "personal_rationale",
    "world_ranking",
    "world_rationale",
    "unacceptable",
    "unacceptable_rationale",
)
PASSENGER = ("passenger_class", "is_male", "age", "sibsp", "parch", "fare", "embarked")


class Row(NamedTuple):
    split: Split
    n_episodes: int | None
    n_outputs: Around | int | None
    wordings: int
    input: Fields
    output: Fields
    max_total: int | None = None
    n_permutations: int = 1


PAR = ("question1", "question2", "lang")
VEN = ("context", "statement", "lang")
IRONY = ("post", "reply", "source", "level", "language_variety", "lang")
INDIVIDUAL = {
    "polis_vote": Row(TRAIN, 1, ALL, 40, TEXT, TEXT),
    "hatespeech_individual": Row(TRAIN, 1, Around(128), 1, TEXT, TEXT),
    "opinionqa_individual": Row(TRAIN, 1, ALL, 2, TEXT, TEXT),
    "wvs_individual": Row(TEST, 1, ALL, 2, TEXT, TEXT),
    "generativesocialchoice_validation": Row(TRAIN, 1, ALL, 3, ("question_text", "json_choices"), ("choice", "response_text")),
    "generativesocialchoice_freetext": Row(TRAIN, 1, ALL, 3, TEXT, TEXT),
    "popquorn_individual": Row(TRAIN, 1, ALL, 3, "several", "several"),
    "dices": Row(TRAIN, 1, 100, 2, ("context", "response"), TEXT),
    "ambient_linguist_annotations": Row(TRAIN, 2, Around(64), 3, ("premise", "hypothesis"), TEXT),
    "prism_prompts_individual": Row(TRAIN, EX, Around(96), 2, TEXT, TEXT, max_total=800),
    "prism_individual_preferences": Row(
        *(TRAIN, EX, Around(20), 1, ("opening_prompt", *RESPONSES)),
        ("chosen_response", "score_a", "score_b", "score_c", "score_d"),
    ),
    "netflix_individual_ratings": Row(TRAIN, 1, Around(64), 2, TEXT, TEXT),
    "netflix_individual_views": Row(TRAIN, 1, Around(64), 2, NONE, TEXT),
    "lewidi_csc_sarcasm_detection_individual": Row(TRAIN, 1, 1000, 1, ("context", "response", "lang"), TEXT),
    "lewidi_mp_irony_detection_individual": Row(TRAIN, 1, 1000, 1, IRONY, TEXT),
    "lewidi_par_paraphrase_detection_individual": Row(TRAIN, EX, 20, 1, PAR, ("paraphrase_rating", "explanation")),
    "lewidi_par_paraphrase_detection_individual_categorical": Row(TRAIN, EX, 20, 1, PAR, TEXT),
    "lewidi_varierrnli_nli_detection_individual": Row(TRAIN, EX, 30, 1, VEN, ("nli_label", "explanation")),
    "lewidi_varierrnli_nli_detection_individual_categorical": Row(TRAIN, EX, 30, 1, VEN, TEXT),
    "community_alignment_individual_reply": Row(TRAIN, EX, Around(25), 1, ("prompt", "model_response"), TEXT),
    "community_alignment_individual_preferences": Row(
        TRAIN, EX, Around(25), 2, ("prompt", *RESPONSES), ("preferred_response", "justification")
    ),
    "collective_alignment_individual": Row(
        *(TRAIN, 1, ALL, 1, ("conversation", *RESPONSES), (*RANKED, "importance", "representativeness", "subjectivity"))
    ),
    "habermas_individual": Row(TEST, 1, Around(32), 2, ("question.text", "statement"), ("ratings.agreement", "opinion.text")),
    "habermas_individual_categorical": Row(TEST, 1, Around(32), 2, ("question.text", "statement"), TEXT),
    "numbergame_individual": Row(TEST, 1, ALL, 1, ("given_numbers", "target_number"), TEXT),
    "chatbotarena_individual_prefs": Row(
        TEST, EX, Around(16), 1, ("opening_prompt", "model_a_response", "model_b_response"), TEXT
    ),
}
POPULATION = {
    "ambient_annotation_distributions": Row(
        *(TRAIN, 50, Around(64), 3, ("premise", "hypothesis", "ambiguous_sent"), ("entailment", "neutral", "contradiction"))
    ),
    "numbergame_perc": Row(TEST, EX, Around(128), 2, ("given_numbers", "target_number"), TEXT),
    "globaloqa": Row(TEST, 2, ALL, 2, ("question", "options"), LIST),
}
SYNTHETIC = {
    "coinflip": Row(TRAIN, 1, Around(128), 7, NONE, TEXT),
    "normal": Row(TRAIN, 1, Around(128), 21, NONE, TEXT),  # in each of six number formats, which makes 126
    "cards": Row(TRAIN, 100, ALL, 1, NONE, TEXT),
    "poisson": Row(TRAIN, 1, Around(1024), 3, NONE, TEXT),
    "geometric": Row(TRAIN, 1, Around(1024), 3, NONE, TEXT),
    "geometric_beta": Row(TRAIN, 1, Around(1024), 2, NONE, TEXT),
    "binomial": Row(TRAIN, 1, Around(1024), 3, NONE, TEXT),
    "negative_binomial": Row(TRAIN, 1, Around(1024), 3, NONE, TEXT),
    "categorical": Row(TRAIN, 1, Around(1024), 3, NONE, TEXT),
    "multinomial": Row(TRAIN, 1, Around(1024), 3, NONE, "several"),
    "hypergeometric": Row(TRAIN, 1, Around(1024), 2, NONE, TEXT),
    "zipfian": Row(TRAIN, 1, Around(1024), 2, NONE, TEXT),
    "flight": Row(TEST, 1, 20, 1, TEXT, TEXT),
    "diffuse_distribution": Row(TRAIN, 10, ALL, 1, NONE, TEXT),
    "babynames": Row(TRAIN, 1, ALL, 1, NONE, TEXT),
    "helpsteer": Row(TRAIN, 1, 40, 3, ("prompt", "response1", "response2"), TEXT),
}
BARE = (TRAIN, EX, Around(32), 3, "several", "several", 500)
GSM8K = (TRAIN, 50, Around(64), 3)
TEXTS = {
    "polis_comment": Row(TRAIN, EX, Around(64), 70, NONE, TEXT),
    "valueprism_situation": Row(TRAIN, EX, Around(256), 2, NONE, TEXT),
    "valueprism_vrd": Row(TRAIN, EX, Around(32), 1, TEXT, LIST, max_total=500),
    "valueprism_vrds_noncontextual": Row(TRAIN, EX, Around(256), 1, NONE, TEXT),
    "valueprism_misc": Row(TRAIN, 1, Around(32), 1, NONE, TEXT),
    "opinionqa_questions": Row(TRAIN, 1, ALL, 1, NONE, TEXT),
    "popquorn_og_categorical": Row(TRAIN, 20, Around(128), 1, NONE, TEXT),
    "haikus": Row(TRAIN, EX, 64, 2, "several", TEXT, max_total=200),
    "valueconsistency": Row(TRAIN, EX, Around(64), 2, ("controversial", "language", "country"), TEXT),
    "issuebench": Row(TRAIN, 2, ALL, 1, NONE, TEXT),
    "changemyview_categories": Row(TRAIN, EX, Around(16), 1, NONE, TEXT),
    "changemyview_posts": Row(TRAIN, EX, Around(16), 1, "several", TEXT, max_total=500),
    "bare_gsm8k": Row(*BARE),
    "bare_enron": Row(*BARE),
    "bare_hotpot": Row(*BARE),
    "bare_lcb": Row(*BARE),
    "newsgroups": Row(*BARE),
    "pubmed": Row(*BARE),
    "gsm8k_question": Row(*GSM8K, NONE, TEXT),
    "gsm8k_question_answer": Row(*GSM8K, NONE, ("question", "answer")),
    "gsm8k_question_from_answer": Row(*GSM8K, TEXT, TEXT),
    "ambient_premise_hypothesis": Row(TRAIN, 50, Around(64), 3, NONE, ("premise", "hypothesis")),
    "ambient_disambiguation": Row(
        *(TRAIN, 50, Around(64), 3, ("original_premise", "original_hypothesis", "target_label")),
        ("disambiguated_premise", "disambiguated_hypothesis"),
    ),
    "titanic_all_variables": Row(TRAIN, EX, Around(64), 3, NONE, ("has_survived", *PASSENGER)),
    "jeopardy_question_generation": Row(TRAIN, EX, Around(64), 3, NONE, TEXT, max_total=1000),
    "prism_prompts": Row(TRAIN, EX, Around(128), 1, TEXT, TEXT),
    "community_alignment_initial_prompt": Row(TRAIN, EX, Around(32), 1, NONE, TEXT),
    "community_alignment_response": Row(TRAIN, EX, 5, 1, TEXT, LIST),
    "novacomet_hypothesis": Row(TEST, EX, Around(32), 2, TEXT, LIST),
    "novacomet_premise": Row(TEST, EX, Around(64), 5, NONE, TEXT),
    "habermas_question": Row(TEST, EX, Around(32), 5, NONE, TEXT),
    "chatbotarena_prompts": Row(TEST, 1, 100, 1, NONE, TEXT),
    "chatbotarena_assistant": Row(TEST, EX, Around(32), 2, TEXT, TEXT),
}
KNOWLEDGE = {
    "imdb": Row(TRAIN, 200, Around(128), 1, TEXT, TEXT),
    "gsm8k_answer_from_question": Row(*GSM8K, TEXT, TEXT),
    "ambient_ambiguity_detection": Row(
        TRAIN, 50, Around(64), 3, ("premise", "hypothesis"), ("premise_ambiguous", "hypothesis_ambiguous")
    ),
    "ambient_interpretation_labels": Row(
        TRAIN, 50, Around(64), 3, ("premise", "hypothesis", "ambiguous_sent", "interpretation"), TEXT
    ),
    "titanic_survival_prediction": Row(TRAIN, EX, Around(64), 3, PASSENGER, TEXT),
    "jeopardy_answer_prediction": Row(TRAIN, EX, Around(64), 3, TEXT, TEXT, max_total=1000),
    "mmlu": Row(TEST, 1000, 20, 1, TEXT, TEXT),
    "gpqa": Row(TEST, 1000, 20, 1, TEXT, TEXT),
    "hellaswag": Row(TEST, EX, 20, 2, TEXT, TEXT),
    "winogrande": Row(TEST, EX, 10, 2, TEXT, TEXT),
    "arc": Row(TEST, EX, 10, 2, TEXT, TEXT),
    "drop": Row(TEST, EX, 10, 1, TEXT, TEXT),
    "truthful_qa": Row(TEST, EX, 10, 1, TEXT, TEXT),
    "chemistry_esol": Row(TEST, EX, 15, 1, ("SMILES", "SELFIES", "InChI", "IUPAC"), TEXT, n_permutations=5),
    "chemistry_oxidative": Row(TEST, EX, 10, 1, TEXT, TEXT),
}
TABLE: dict[Kind, dict[str, Row]] = {
    "individual": INDIVIDUAL,
    "population": POPULATION,
    "synthetic": SYNTHETIC,
    "text": TEXTS,
    "knowledge": KNOWLEDGE,
}
PUBLISHED = {name: row for rows in TABLE.values() for name, row in rows.items()}
BEYOND = {
    "annotation_paradigms",
    "ccai_vote",
    "gss_abortion",
    "offtherails_exp1",
    "offtherails_exp2",
    "opinionqa_groups",
    "simulated_population",
    "simulated_profile",
    "simulated_ratings",
    "simulated_values",
    "toxicity_perspective",
}
"""Tasks of ours, which the published suite has not."""
DIVERSE_AND_VALID = {
    *("rng_1_10", "rng_1_100", "random_seed", "prime_numbers", "small_prime_numbers"),
    *("us_states_full_names", "us_states_abbreviations", "us_states_any_format"),
    *("weekdays_full", "weekdays_abbreviated", "weekdays_any_format"),
    *("element_symbols", "element_names", "color_normal_ex", "color_interesting_ex", "claude_gerunds"),
    *("car_brand", "car_make_model", "basic_emails", "professional_emails"),
    *("us_phone_numbers", "international_phone_numbers"),
}
DISTRIBUTIONAL = {"global_oqa", "nytimes", "mpi", "rotten_tomatoes", "urn", "habermas", "numbergame", "states"}
BEYOND_EVALUATIONS = {"opinionqa_groups_target"}
LIMITS = {
    "polis.N_VOTERS": 500,
    "polis.LEAST_VOTES": 4,
    "hatespeech.N_PEOPLE": 1000,
    "opinionqa.N_PEOPLE": 200,
    "opinionqa.P_LEFT_OUT": 0.3,
    "wvs.N_PEOPLE": 2000,
    "wvs.MOST_LABELS": 17,
    "popquorn.N_USERS": 100,
    "popquorn.LEAST_ROWS": 6,
    "dices.N_RATERS": 500,
    "prism.FEWEST_RATED": 2,
    "netflix.N_PEOPLE": 2000,
    "netflix.N_PEOPLE_STARS": 1000,
    "netflix.LEAST_RATINGS": 10,
    "community_alignment.N_ROWS": 10_000,
    "community_alignment.FEWEST_ROWS": 4,
    "collective_alignment.FEWEST_FORMS": 3,
    "habermas.N_PEOPLE": 2000,
    "numbergame.LEAST": 9,
    "chatbotarena.MOST_JUDGES": 1000,
    "chatbotarena.FEWEST_BATTLES": 4,
    "helpsteer.N_JUDGES": 500,
    "babynames.N_STRANDS": 500,
}
"""Of people, ratings, rows: at most or at least."""
PARAMETER_DRAWS = {
    "coinflip": 1000,
    "normal": 1000,
    "cards": 1,
    "flight": 200,
    "babynames": 500,
    "helpsteer": 500,
} | dict.fromkeys(
    ("poisson", "geometric", "geometric_beta", "binomial", "negative_binomial", "categorical", "multinomial"), 500
)
PARAMETER_DRAWS |= {"hypergeometric": 500, "zipfian": 500, "diffuse_distribution": 27}
SHOWN = {"normal": 0.4}
"""Share of training episodes that show their description, where it is not 0.8."""
NEVER_FILLED = {"collective_alignment_individual": {"personal_rationale", "subjectivity"}}
"""Fields of outputs that no made-up row has."""
MOST_STRANDS = 30


def _strands(name: str, data_dir: Path) -> list[Strand]:
    """The first of the made-up files."""
    found = source_of(name)
    if not isinstance(found.card.access, Simulated):
        write_sample(found.card.name, data_dir)
    return list(itertools.islice(task(name).strands(read(name, data_dir), 0), MOST_STRANDS))


def _examples(name: str, strands: list[Strand]) -> list[Example]:
    return [
        one for strand in strands for episode in draw_episodes(task(name), [strand], seed=0) for one in episode.examples[:20]
    ]


def _holds(text: str | None) -> Fields:
    if text is None:
        return NONE
    try:
        value = json.loads(text)
    except ValueError:
        return TEXT
    return tuple(value) if isinstance(value, dict) else LIST if isinstance(value, list) else TEXT


def _is_in_order(some: Fields, keys: Fields) -> bool:
    """The keys, in their order, some of which may be missing."""
    there = iter(keys)
    return isinstance(some, tuple) and all(key in there for key in some)


def test_there_are_93() -> None:
    assert {kind: len(rows) for kind, rows in TABLE.items()} == {
        "individual": 26,
        "population": 3,
        "synthetic": 16,
        "text": 33,
        "knowledge": 15,
    }
    assert len(PUBLISHED) == 93


def test_these_tasks_are_there_and_no_others_but_our_own() -> None:
    assert set(all_tasks()) == set(PUBLISHED) | BEYOND
    assert not set(PUBLISHED) & BEYOND
    says_so = {name for name in all_tasks() if "beyond the published suite" in source_of(name).card.problems}
    assert says_so == BEYOND


def test_they_are_of_the_kind_and_split_of_the_table() -> None:
    ours = {name: (found.kind, found.split) for name, found in all_tasks().items() if name in PUBLISHED}
    assert ours == {name: (kind, row.split) for kind, rows in TABLE.items() for name, row in rows.items()}
    assert {found.split for name, found in all_tasks().items() if name in BEYOND} == {TRAIN}


def test_descriptions_are_shown_as_often_as_the_table_says() -> None:
    for name, row in PUBLISHED.items():
        assert task(name).shown_share == (SHOWN.get(name, 0.8) if row.split == TRAIN else 1.0), name


def test_the_30_evaluations_are_there_and_no_others_but_our_own() -> None:
    ours = all_evaluations()
    assert len(DIVERSE_AND_VALID) == 22
    assert len(DISTRIBUTIONAL) == 8
    assert {name for name, found in ours.items() if isinstance(found, CoverageTask)} == DIVERSE_AND_VALID
    assert {name for name, found in ours.items() if isinstance(found, TargetTask)} == DISTRIBUTIONAL | BEYOND_EVALUATIONS


@pytest.mark.parametrize("name", PUBLISHED)
def test_sequences_and_wordings_are_those_of_the_table(name: str, tmp_path: Path) -> None:
    row, strands = PUBLISHED[name], _strands(name, tmp_path)
    assert strands
    for strand in strands:
        too_few = isinstance(strand.examples, list) and row.n_episodes is not None and len(strand.examples) < row.n_episodes
        n_episodes = row.n_episodes
        if name == "ambient_linguist_annotations" and too_few:
            n_episodes = 1  # a linguist who labelled one pair
        assert (strand.n_episodes, strand.n_outputs) == (n_episodes, row.n_outputs)
        assert (strand.max_total, strand.n_permutations) == (row.max_total, row.n_permutations)
    assert max(len(strand.descriptions) for strand in strands) == row.wordings, "some need what is not known of everybody"


@pytest.mark.parametrize("name", PUBLISHED)
def test_inputs_and_outputs_hold_the_fields_of_the_table(name: str, tmp_path: Path) -> None:
    row, examples = PUBLISHED[name], _examples(name, _strands(name, tmp_path))
    _hold(row.input, [one.input for one in examples], set())
    _hold(row.output, [one.output for one in examples], NEVER_FILLED.get(name, set()))


def _hold(wanted: Fields, texts: list[str | None], never: set[str]) -> None:
    held = {_holds(text) for text in texts}
    if wanted == "several":
        assert len(held) > 1
    elif isinstance(wanted, str):
        assert held == {wanted}
    else:
        assert all(_is_in_order(some, wanted) for some in held)
        assert set(wanted) - {key for some in held for key in some} == never


@pytest.mark.parametrize("name", sorted({*PUBLISHED, *BEYOND}))
def test_no_two_strands_are_one_unit(name: str, tmp_path: Path) -> None:
    _strands(name, tmp_path)
    units = [strand.unit for strand in itertools.islice(task(name).strands(read(name, tmp_path), 0), 100)]
    assert len(set(units)) == len(units)


@pytest.mark.parametrize("constant", LIMITS)
def test_people_are_as_many_as_the_table_says(constant: str) -> None:
    module, name = constant.split(".")
    assert getattr(importlib.import_module(f"pluralign.suite.sources.{module}"), name) == LIMITS[constant]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_parameter_draws_are_as_many_as_the_table_says(name: str, tmp_path: Path) -> None:
    _strands(name, tmp_path)
    assert len(PARAMETER_DRAWS) == len(SYNTHETIC)
    assert sum(1 for _ in task(name).strands(read(name, tmp_path), 0)) == PARAMETER_DRAWS[name]
