"""Values, rights and duties: probabilities by hand, drawn answers against them, inputs that can be read back."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from pluralign.suite.embedded_values import (
    BEARINGS,
    RELEVANCE,
    VALENCE,
    ValuesKind,
    generation_probabilities,
    kaleido_input,
    read_kaleido_input,
    relevance_probabilities,
    valence_probabilities,
    values_episodes,
)
from pluralign.suite.embedded_world import embedded_world, situation_texts

ONE = np.array([[1.0, -2.0, 0, 0, 0, 0, 0, 0, 0, 0]])


def test_bearings_are_thirty_and_differ() -> None:
    assert len({bearing.written for bearing in BEARINGS}) == 30
    assert Counter(bearing.value for bearing in BEARINGS) == dict.fromkeys(range(10), 3)


def test_relevance_by_hand() -> None:
    found = relevance_probabilities(ONE)[0]
    # value 0 (|phi| 1, threshold .6), its right (1.0) and its duty (1.4); value 1 is touched by 2, value 2 by nothing
    assert found[[0, 10, 20]] == pytest.approx([1 / (1 + math.exp(-2)), 0.5, 1 / (1 + math.exp(2))], abs=1e-12)
    assert found[[1, 2]] == pytest.approx([1 / (1 + math.exp(-7)), 1 / (1 + math.exp(3))], abs=1e-12)


def test_valence_by_hand() -> None:
    found = valence_probabilities(ONE)[0]
    total = math.exp(1.5) + math.exp(-1.5) + 1
    assert found[0] == pytest.approx([math.exp(1.5) / total, math.exp(-1.5) / total, 1 / total], abs=1e-12)
    assert found[2] == pytest.approx([1 / 3] * 3, abs=1e-12)
    np.testing.assert_array_equal(found[0], found[20])
    assert found[1, 1] > 0.9  # goes against


def test_generation_is_in_proportion_to_relevance() -> None:
    found, relevance = generation_probabilities(ONE)[0], relevance_probabilities(ONE)[0]
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found[0] / found[10] == pytest.approx(relevance[0] / relevance[10], rel=1e-12)


@pytest.mark.parametrize("kind", ["generate", "relevance", "valence"])
def test_answers_are_drawn_with_the_true_probabilities(kind: ValuesKind) -> None:
    # z of (observed - expected) over all answers of one option, where the expectation is the sum of the true probabilities
    options: tuple[str, ...] = {"relevance": RELEVANCE, "valence": VALENCE}.get(kind, tuple(b.written for b in BEARINGS[:10]))
    features = embedded_world().features
    expected, variance, observed = np.zeros(len(options)), np.zeros(len(options)), np.zeros(len(options))
    for episode in values_episodes(kind, range(150)):
        for example in episode.examples:
            item, bearing = read_kaleido_input(example.input or "")
            phi = features[[item]]
            if kind == "generate":
                p = generation_probabilities(phi)[0, :10]
            elif kind == "valence":
                p = valence_probabilities(phi)[0, bearing]
            else:
                yes = relevance_probabilities(phi)[0, bearing]
                p = np.array([yes, 1 - yes])
            expected, variance = expected + p, variance + p * (1 - p)
            observed += [example.output == option for option in options]
    assert np.abs((observed - expected) / np.sqrt(variance)).max() < 4


def test_a_list_is_that_of_the_impacts() -> None:
    (episode,) = values_episodes("list", range(1))
    for example in episode.examples:
        item, bearing = read_kaleido_input(example.input or "")
        assert bearing is None
        assert example.output.count('"valence"') == np.count_nonzero(embedded_world().features[item])


def test_inputs_are_read_back() -> None:
    for item, bearing in ((0, 0), (17, 12), (3743, 29)):
        asked = kaleido_input("relevance", situation_texts()[item], BEARINGS[bearing])
        assert read_kaleido_input(asked) == (item, bearing)
    assert read_kaleido_input(kaleido_input("generate", situation_texts()[5])) == (5, None)


def test_numbers_key_the_draws() -> None:
    first, second = values_episodes("valence", range(2))
    (again,) = values_episodes("valence", range(1, 2))
    assert again == second
    assert first.examples != second.examples
