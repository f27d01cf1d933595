"""The tasks are those of the published suite (Sorensen et al. 2025, arXiv 2510.06084), which the tables here restate.

Of each task its kind, its split, how many sequences one sampler gives and how many outputs a sequence has.
"""

from __future__ import annotations

from typing import NamedTuple

from pluralign.suite.task import Around, Kind, Split

EX = None
"""Every example once, in consecutive sequences."""
ALL = None
"""Every example in each sequence."""


class Row(NamedTuple):
    split: Split
    n_episodes: int | None
    """Of one strand: a person, a list, a parameter draw."""
    n_outputs: Around | int | None
    max_total: int | None = None
    n_permutations: int = 1


def train(n_episodes: int | None, n_outputs: Around | int | None, **more: int) -> Row:
    return Row("train", n_episodes, n_outputs, **more)


def test(n_episodes: int | None, n_outputs: Around | int | None, **more: int) -> Row:
    return Row("test", n_episodes, n_outputs, **more)


test.__test__ = False  # type: ignore[attr-defined]  # no test, but a row of the table

INDIVIDUAL = {
    "polis_vote": train(1, ALL),
    "hatespeech_individual": train(1, Around(128)),
    "opinionqa_individual": train(1, ALL),
    "wvs_individual": test(1, ALL),
    "generativesocialchoice_validation": train(1, ALL),
    "generativesocialchoice_freetext": train(1, ALL),
    "popquorn_individual": train(1, ALL),
    "dices": train(1, 100),
    "ambient_linguist_annotations": train(2, Around(64)),
    "prism_prompts_individual": train(EX, Around(96), max_total=800),
    "prism_individual_preferences": train(EX, Around(20)),
    "netflix_individual_ratings": train(1, Around(64)),
    "netflix_individual_views": train(1, Around(64)),
    "lewidi_csc_sarcasm_detection_individual": train(1, 1000),
    "lewidi_mp_irony_detection_individual": train(1, 1000),
    "lewidi_par_paraphrase_detection_individual": train(EX, 20),
    "lewidi_par_paraphrase_detection_individual_categorical": train(EX, 20),
    "lewidi_varierrnli_nli_detection_individual": train(EX, 30),
    "lewidi_varierrnli_nli_detection_individual_categorical": train(EX, 30),
    "community_alignment_individual_reply": train(EX, Around(25)),
    "community_alignment_individual_preferences": train(EX, Around(25)),
    "collective_alignment_individual": train(1, ALL),
    "habermas_individual": test(1, Around(32)),
    "habermas_individual_categorical": test(1, Around(32)),
    "numbergame_individual": test(1, ALL),
    "chatbotarena_individual_prefs": test(EX, Around(16)),
}
POPULATION = {
    "ambient_annotation_distributions": train(50, Around(64)),
    "numbergame_perc": test(EX, Around(128)),
    "globaloqa": test(2, ALL),
}
SYNTHETIC = {
    "coinflip": train(1, Around(128)),
    "normal": train(1, Around(128)),
    "cards": train(100, ALL),
    "poisson": train(1, Around(1024)),
    "geometric": train(1, Around(1024)),
    "geometric_beta": train(1, Around(1024)),
    "binomial": train(1, Around(1024)),
    "negative_binomial": train(1, Around(1024)),
    "categorical": train(1, Around(1024)),
    "multinomial": train(1, Around(1024)),
    "hypergeometric": train(1, Around(1024)),
    "zipfian": train(1, Around(1024)),
    "flight": test(1, 20),
    "diffuse_distribution": train(10, ALL),
    "babynames": train(1, ALL),
    "helpsteer": train(1, 40),
}
TEXT = {
    "polis_comment": train(EX, Around(64)),
    "valueprism_situation": train(EX, Around(256)),
    "valueprism_vrd": train(EX, Around(32), max_total=500),
    "valueprism_vrds_noncontextual": train(EX, Around(256)),
    "valueprism_misc": train(1, Around(32)),
    "opinionqa_questions": train(1, ALL),
    "popquorn_og_categorical": train(20, Around(128)),
    "haikus": train(EX, 64),
    "valueconsistency": train(EX, Around(64)),
    "issuebench": train(2, ALL),
    "changemyview_categories": train(EX, Around(16)),
    "changemyview_posts": train(EX, Around(16), max_total=500),
    "bare_gsm8k": train(EX, Around(32), max_total=500),
    "bare_enron": train(EX, Around(32), max_total=500),
    "bare_hotpot": train(EX, Around(32), max_total=500),
    "bare_lcb": train(EX, Around(32), max_total=500),
    "newsgroups": train(EX, Around(32), max_total=500),
    "pubmed": train(EX, Around(32), max_total=500),
    "gsm8k_question": train(50, Around(64)),
    "gsm8k_question_answer": train(50, Around(64)),
    "gsm8k_question_from_answer": train(50, Around(64)),
    "ambient_premise_hypothesis": train(50, Around(64)),
    "ambient_disambiguation": train(50, Around(64)),
    "titanic_all_variables": train(EX, Around(64)),
    "jeopardy_question_generation": train(EX, Around(64), max_total=1000),
    "prism_prompts": train(EX, Around(128)),
    "community_alignment_initial_prompt": train(EX, Around(32)),
    "community_alignment_response": train(EX, 5),
    "novacomet_hypothesis": test(EX, Around(32)),
    "novacomet_premise": test(EX, Around(64)),
    "habermas_question": test(EX, Around(32)),
    "chatbotarena_prompts": test(1, 100),
    "chatbotarena_assistant": test(EX, Around(32)),
}
KNOWLEDGE = {
    "imdb": train(200, Around(128)),
    "gsm8k_answer_from_question": train(50, Around(64)),
    "ambient_ambiguity_detection": train(50, Around(64)),
    "ambient_interpretation_labels": train(50, Around(64)),
    "titanic_survival_prediction": train(EX, Around(64)),
    "jeopardy_answer_prediction": train(EX, Around(64), max_total=1000),
    "mmlu": test(1000, 20),
    "gpqa": test(1000, 20),
    "hellaswag": test(EX, 20),
    "winogrande": test(EX, 10),
    "arc": test(EX, 10),
    "drop": test(EX, 10),
    "truthful_qa": test(EX, 10),
    "chemistry_esol": test(EX, 15, n_permutations=5),
    "chemistry_oxidative": test(EX, 10),
}
TABLE: dict[Kind, dict[str, Row]] = {
    "individual": INDIVIDUAL,
    "population": POPULATION,
    "synthetic": SYNTHETIC,
    "text": TEXT,
    "knowledge": KNOWLEDGE,
}
PUBLISHED = {name: row for rows in TABLE.values() for name, row in rows.items()}
