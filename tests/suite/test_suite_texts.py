"""What the simulated tasks write: true statements, plain numbers, no slot left open; and what they wrote before.

The golden hashes (tests/golden/suite.json) are made again with

    PLURALIGN_WRITE_GOLDEN=1 pytest tests/suite/test_suite_texts.py -k golden

They hold for the generators of numpy 2; a change is a change of everyone's built suites and belongs into the changelog.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralign.suite import all_tasks, draw, source, task
from pluralign.suite.registry import SOURCES
from pluralign.suite.sources import normal
from pluralign.suite.task import Strand
from suite.suite_data import WITH_FILES, write_all

GOLDEN = Path(__file__).parents[1] / "golden" / "suite.json"
LAWS = [name for name in SOURCES if source(name).tasks and not source(name).card.access.files and name != "simulated_people"]
"""Sources of one task of their own name, drawn from a law."""
PEOPLE = ["simulated_ratings", "simulated_profile", "simulated_population", "simulated_values"]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")
FEW = 40


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("data"))


def _strands(name: str, n: int | None = None) -> list[Strand]:
    return list(itertools.islice(task(name).strands(None, 0), n))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]


def test_there_are_sixteen() -> None:
    assert len(LAWS) + len(WITH_FILES) == 16
    assert {name for name, one in all_tasks().items() if one.kind == "synthetic"} == {*LAWS, *WITH_FILES, *PEOPLE}


# parameters


@pytest.mark.parametrize("name", sorted({*LAWS} - {"cards", "flight"}))
def test_no_two_strands_have_the_same_parameters(name: str) -> None:
    """Fault 1: 499 of 500 published sequences of poisson and geometric were the same."""
    drawn = [tuple(strand.attributes.items()) for strand in _strands(name)]
    assert len(set(drawn)) == len(drawn) == source(name).card.units


def _probabilities(attributes: Any) -> list[float]:
    return list(json.loads(attributes["probabilities"]).values())


STATED = {
    "poisson": lambda a: [a["mean"]],
    "geometric": lambda a: [a["p"]],
    "geometric_beta": lambda a: [a["p"]],
    "binomial": lambda a: [a["trials"], a["p"]],
    "negative_binomial": lambda a: [a["r"], a["p"]],
    "hypergeometric": lambda a: [a["population"], a["successes"], a["drawn"]],
    "zipfian": lambda a: [a["exponent"]],
    "categorical": lambda a: _probabilities(a),
    "multinomial": lambda a: [a["n"], *_probabilities(a)],
    "normal": lambda a: [a["mean"], a["sd"]],
    "coinflip": lambda a: [a["p_heads"]],
}
"""Task to the numbers that its telling descriptions state."""
TELLING = {"poisson": 2, "geometric": 2, "geometric_beta": 1, "binomial": 2, "negative_binomial": 2, "hypergeometric": 1}
TELLING |= {"zipfian": 1, "categorical": 2, "multinomial": 2, "normal": 9, "coinflip": 2}
"""How many of its wordings do."""


@pytest.mark.parametrize("name", STATED)
def test_descriptions_state_the_parameters_that_the_draws_have(name: str) -> None:
    """Exactly: the numbers are read back from the text. `test_suite_laws` holds the draws against the same attributes."""
    for strand in _strands(name):
        wanted = STATED[name](strand.attributes)
        telling = [text for text in strand.descriptions if set(wanted) <= set(_numbers(text))]
        assert len(telling) == TELLING[name], (strand.descriptions, wanted)


def test_coins_state_both_chances_and_which_is_larger() -> None:
    for strand in _strands("coinflip"):
        heads = strand.attributes["p_heads"]
        assert isinstance(heads, float)
        stated = [json.loads(text[text.index("{") :]) for text in strand.descriptions if "{" in text]
        assert len(strand.descriptions) == 7
        assert [list(one) for one in stated] == [["Heads", "Tails"]] * 4
        for one in stated[:2]:
            assert one["Heads"] == heads
            assert abs(one["Heads"] + one["Tails"] - 1) < 1e-12
        for one in stated[2:]:
            assert abs(float(one["Heads"][:-1]) / 100 - heads) < 1e-12
            assert abs(float(one["Heads"][:-1]) + float(one["Tails"][:-1]) - 100) < 1e-9
        assert f"{'Heads' if heads > 0.5 else 'Tails'} is the likelier" in strand.descriptions[5]


def test_probabilities_of_categories_are_positive_and_add_up() -> None:
    for name in ("categorical", "multinomial"):
        for strand in _strands(name):
            shares = _probabilities(strand.attributes)
            assert abs(sum(shares) - 1) < 1e-12
            assert min(shares) > 0


def test_no_positive_parameter_prints_as_zero() -> None:
    """Fault of the published negative_binomial: r could read 0.00."""
    for name in ("negative_binomial", "normal", "poisson"):
        for strand in _strands(name):
            telling = [text for text in strand.descriptions if NUMBER.search(text)]
            for key in {"r", "p", "sd", "mean"} & set(strand.attributes):
                value = strand.attributes[key]
                assert isinstance(value, float)
                assert value == 0 or any(value in _numbers(text) for text in telling)


def test_a_normal_distribution_without_width_is_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal, "_drawn", lambda rng: (-0.000001, 0.0))
    for unit in map(str, range(FEW)):
        strand = normal._strand(unit, np.random.default_rng(int(unit)))
        assert strand.attributes["sd"] == 0
        assert callable(strand.examples)
        outputs = {example.output for example in strand.examples(np.random.default_rng(0), 20)}
        assert len(outputs) == 1
        assert not re.fullmatch(r"-0\.0*", *outputs), "no minus before a zero"
        assert any("standard deviation 0.0" in text for text in strand.descriptions)


def test_normal_precision_is_stated_as_it_is() -> None:
    for strand in _strands("normal", 200):
        decimals = strand.attributes["decimals"]
        assert len(set(strand.descriptions)) == 21
        assert sum(text.endswith(f" Precision: {decimals}.") for text in strand.descriptions) == 7
        assert sum(f"Rounded to {decimals} digit" in text for text in strand.descriptions) == 7


def test_most_shown_descriptions_of_normal_say_little() -> None:
    shown = [episode.description for episode in draw("normal")]
    assert abs(sum(text is not None for text in shown) / 1000 - 0.4) < 4 * (0.24 / 1000) ** 0.5


def test_zipf_ranks_end_where_their_description_says() -> None:
    for episode in itertools.islice(draw("zipfian", description_share=1.0), FEW):
        assert "1 to 10000" in str(episode.description)
        assert max(int(example.output) for example in episode.examples) <= 10_000


def test_travellers_see_three_flights_and_their_weights_are_not_said() -> None:
    for episode in itertools.islice(draw("flight"), FEW):
        assert episode.description is not None, "in evaluation every description is shown"
        assert "weight" not in episode.description
        assert len(episode.examples) == 20
        for example in episode.examples:
            lines = str(example.input).splitlines()
            assert [line[:9] for line in lines] == ["Flight 1:", "Flight 2:", "Flight 3:"]
            for price in re.findall(r"\$(\d+)", str(example.input)):
                assert 500 <= int(price) <= 1950
                assert int(price) % 10 == 0


# all texts


def _texts(name: str, data_dir: Path, n: int) -> list[str]:
    texts = []
    for episode in itertools.islice(draw(name, data_dir=data_dir, description_share=1.0), n):
        texts += [episode.description or "", *(example.input or "" for example in episode.examples)]
        texts += [example.output for example in episode.examples[:200]]
    return texts


@pytest.mark.parametrize("name", [*LAWS, *WITH_FILES, *PEOPLE])
def test_texts_hold_plain_numbers_and_no_open_slot(name: str, made_up: Path) -> None:
    """Fault 9: np.int64(3), nan, None, a slot of a template that nothing was put into."""
    for text in _texts(name, made_up, FEW):
        assert not re.search(r"\bnp\.|\bnan\b|\bNone\b|\binf\b|array\(|\{\w*\}|%[sd]", text), text
        assert text == text.strip()


@pytest.mark.parametrize("name", ["categorical", "multinomial"])
def test_what_looks_like_json_is_json(name: str, made_up: Path) -> None:
    for text in _texts(name, made_up, FEW):
        for part in re.findall(r"[{\[].*[}\]]", text):
            json.loads(part)


@pytest.mark.parametrize("name", [*LAWS, *WITH_FILES, *PEOPLE])
def test_golden_hashes_of_the_first_episodes(name: str, made_up: Path) -> None:
    found = [episode.content_hash() for episode in itertools.islice(draw(name, data_dir=made_up), 3)]
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("PLURALIGN_WRITE_GOLDEN"):
        known[name] = found
        GOLDEN.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    assert known.get(name) == found, "what this task draws has changed; see the top of this file"
