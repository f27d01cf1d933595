"""Which tests hold each fault of the published implementation away: an index, by the numbers of the list that we work from.

Each of these tests fails on the faulty behaviour. The list is that of the design notes (ten groups of faults of the code behind
Sorensen et al. 2025).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAULTS: dict[str, tuple[str, ...]] = {
    "1 a reseeded global generator makes sequences equal": (
        "suite/test_sampler.py::test_no_two_strands_or_episodes_share_their_draws",
        "suite/test_suite_texts.py::test_no_two_strands_have_the_same_parameters",
    ),
    "1 demographics of raters are never shown": (
        "suite/test_sources_people_repos.py::test_raters_are_shown_with_what_is_known",
    ),
    "1 hidden weights of judges are always shown": (
        "suite/test_suite_sources.py::test_weights_are_told_in_one_wording_of_three",
    ),
    "2 descriptions come with another share than is meant": (
        "suite/test_sampler.py::test_descriptions_are_shown_with_the_tasks_share",
        "suite/test_suite_texts.py::test_travellers_see_three_flights_and_their_weights_are_not_said",
    ),
    "3 formats are compared on different events": (
        "models/test_templates.py::test_every_format_scores_the_same_events",
        "evals/test_steerability.py::test_only_outputs_that_every_format_scores_count",
    ),
    "4 options are scored without their end": (
        "models/test_templates.py::test_one_does_not_collect_ten",
        "models/test_templates.py::test_no_options_ids_begin_with_another_options",
    ),
    "5 sampling truncates as a config says": ("models/test_sampling.py::test_outputs_are_drawn_as_probable_as_they_are",),
    "5 what is cut off counts as complete": ("models/test_sampling.py::test_finish_reasons",),
    "5 other scripts' digits and signs are parsed": ("suite/test_suite_validators.py::test_closed_sets_and_numbers_are_exact",),
    "6 k* is raised after rows are chosen": ("evals/test_steerability.py::test_k_star_is_chosen_before_any_row_is",),
    "6 a figure at k is off by one": ("evals/test_steerability.py::test_at_k_that_many_examples_stand_before_the_output",),
    "6 positions of one sequence count as independent": (
        "evals/test_steerability.py::test_intervals_hold_the_truth_and_those_over_single_outputs_do_not",
        "test_estimates.py::test_rows_weigh_equally_and_units_are_resampled",
        "test_estimates.py::test_a_bootstrap_needs_units_and_resamples",
    ),
    "6 bins of calibration count edges twice, and all the same": (
        "metrics/test_calibration.py::test_ties_are_not_split",
        "metrics/test_calibration.py::test_error_by_hand",
    ),
    "7 prompt and option are tokenised as one": (
        "models/test_templates.py::test_prompt_and_option_are_how_the_longer_episode_begins",
        "models/test_templates.py::test_joint_tokenising_does_merge_at_the_border",
    ),
    "8 text from data injects control tokens": (
        "models/test_templates.py::test_content_in_every_field_never_becomes_a_control_token",
        "models/test_templates.py::test_the_tokenizer_itself_would_inject",
        "models/test_flat.py::test_texts_that_name_control_tokens_stay_texts",
    ),
    "8 families are told by a path": ("models/test_turns.py::test_the_place_of_a_tokenizer_says_nothing",),
    "8 two BOS tokens": ("models/test_templates.py::test_one_bos_where_the_tokenizer_has_one",),
    "9 numbers with their type, open slots": (
        "suite/test_suite_texts.py::test_texts_hold_plain_numbers_and_no_open_slot",
        "suite/test_check.py::test_faults_of_the_published_texts_are_found",
        "suite/test_every_source.py::test_its_tasks_draw_without_a_fault_and_the_same_again",
    ),
    "9 the first line of a names file is lost": ("suite/test_suite_sources.py::test_the_first_line_of_a_year_is_a_name",),
    "9 a training list is an evaluation's answers": (
        "suite/test_suite_mixed_build.py::test_known_overlap_is_left_out_unless_it_is_to_be_kept",
    ),
    "10 caches are keyed too coarsely": ("models/test_cache.py::test_keys_differ_wherever_anything_does",),
    "10 all ranks write a cache at once": ("models/test_cache.py::test_several_processes_open_and_write_the_same_new_file",),
    "10 models are loaded in float32": ("models/test_loading.py::test_the_precision_is_the_quicker_one",),
    "10 prompts are encoded again for each option": ("models/test_scorer.py::test_each_token_is_computed_about_once",),
    "10 one tokenizer call for each segment": (
        "models/test_templates.py::test_many_episodes_take_one_call_that_sees_each_text_once",
        "models/test_flat.py::test_the_tokens_are_those_of_each_episode_alone",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_its_tests_are_there(fault: str) -> None:
    for place in FAULTS[fault]:
        file, _, name = place.partition("::")
        tree = ast.parse((HERE / file).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, place


def test_every_group_of_faults_is_here() -> None:
    assert {fault.split()[0] for fault in FAULTS} == {str(n) for n in range(1, 11)}
