"""Survey questions with the shares of answers in each country: shares to be told, and answers whose distribution is known.

Departures: questions and shares are JSON, not Python's own notation; the shares of a country are brought to a sum of 1, then to
whole percent, in the task as in the evaluation. Left out: the questions of the real file that have no text; countries in which
nobody chose any of the options; in the evaluation, questions with fewer than two options or more than there are letters.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import lettered, letters, python_literal
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["FILE", "SOURCE", "Question", "load"]

FILE = "data/global_opinions.csv"
N_EPISODES = 2
MOST_OPTIONS = 26
"""That have letters."""
_WRAPPER = "defaultdict(<class 'list'>, "
"""Around the mapping from countries to shares, with a closing bracket."""
CARD = Card(
    name="globaloqa",
    what="Questions of the World Values Survey and of Pew's Global Attitudes Surveys, with the shares of answers by country.",
    citation="Durmus et al. 2023, Towards Measuring the Representation of Subjective Global Opinions in Language Models "
    "(arXiv 2306.16388)",
    licence="CC BY-NC-SA 4.0",
    access=Hub("Anthropic/llm_global_opinions", (FILE,), revision="5c87e48d8db8ffc9ae8a6738f958d5130ee116e5"),
    ran_on_real_file=False,
    unit="country",
    problems=(
        "how many people stand behind the shares is not told",
        "its questions of the World Values Survey overlap with the task wvs",
        "some countries have several samples, which are told apart in brackets behind the name",
        "percentages are rounded one by one, so that they may sum to a little more or less than 100",
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its options, and of each country the shares of those who chose them, which sum to 1 [options]."""

    text: str
    options: tuple[str, ...]
    shares: dict[str, tuple[float, ...]]


def load(folder: Path | None) -> list[Question]:
    """The questions that have a text; raises DataError with the rows whose options or shares cannot be read."""
    questions, faults = [], []
    table = read_csv(CARD, folder, FILE, ("question", "selections", "options"))
    for number, (text, selections, options) in enumerate(table.iter_rows(), 1):
        if text is None or not text.strip():
            continue
        try:
            questions.append(_question(text, _literal(selections), _literal(options)))
        except ValueError as error:
            faults.append(f"row {number}: {error}")
    if faults or not questions:
        raise unusable(CARD, folder, FILE, faults or "it holds no question")
    return questions


def _literal(text: str | None) -> Any:
    """The value that a text of Python's notation stands for. Raises ValueError where it is none."""
    bare = (text or "").strip()
    value = python_literal(bare[len(_WRAPPER) : -1] if bare.startswith(_WRAPPER) and bare.endswith(")") else bare)
    if value is None:
        raise ValueError(f"no list or mapping of Python: {text!r:.60}")
    return value


def _question(text: str, selections: Any, options: Any) -> Question:
    if not isinstance(options, list) or not options or not all(isinstance(one, str | int | float) for one in options):
        raise ValueError(f"options must be a list of texts, not {options!r:.60}")
    if not isinstance(selections, dict) or not all(isinstance(country, str) for country in selections):
        raise ValueError(f"selections must be a mapping from countries, not {selections!r:.60}")
    shares = {country: _shares(country, numbers, len(options)) for country, numbers in selections.items()}
    return Question(text, tuple(str(one) for one in options), {country: of for country, of in shares.items() if of})


def _shares(country: str, numbers: Any, n: int) -> tuple[float, ...]:
    """They sum to 1; none where nobody chose anything."""
    if (
        not isinstance(numbers, list)
        or len(numbers) != n
        or not all(isinstance(x, int | float) and 0 <= x < math.inf for x in numbers)
    ):
        raise ValueError(f"{country}: {n} shares are needed, one for each option, not {numbers!r:.60}")
    total = sum(numbers)
    return tuple(x / total for x in numbers) if total else ()


def _percent(shares: Sequence[float]) -> list[int]:
    return [math.floor(100 * share + 0.5) for share in shares]


def _strands(questions: list[Question], seed: int) -> Iterator[Strand]:
    examples: dict[str, list[Example]] = defaultdict(list)
    for question in questions:
        asked = json_text(question=question.text, options=question.options)
        for country, shares in question.shares.items():
            told = [{option: percent} for option, percent in zip(question.options, _percent(shares), strict=True)]
            examples[country].append(Example(json.dumps(told, ensure_ascii=False), asked))
    for country, of in examples.items():
        yield Strand(
            unit=country,
            examples=of,
            descriptions=(
                "How the people of one place answer survey questions: a JSON list with the percentage of each option. "
                "The place is not named, but it is the same throughout.",
                "Surveys in one country. For each question a JSON list tells what percentage of the people asked chose each "
                f"option. The sample: {country}.",
            ),
            n_episodes=N_EPISODES,
            attributes={"country": country},
        )


def _targets(questions: list[Question], seed: int) -> Iterator[Target]:
    for question in questions:
        if not 2 <= len(question.options) <= MOST_OPTIONS:
            continue
        for country, shares in question.shares.items():
            yield Target(
                input=lettered(question.text, question.options),
                options=letters(len(question.options)),
                shares=shares,
                description=f"One person answers a question of a survey. The person belongs to this sample: {country}. "
                "The answer is the letter of one option.",
                unit=country,
                attributes={"country": country},
            )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="globaloqa",
            kind="population",
            split="test",
            strands=_strands,
            about="the percentage of a country's people that chose each option",
        ),
    ),
    (
        TargetTask(
            name="global_oqa",
            about="the letter of the option that a person from a country chooses",
            rows=_targets,
            label="Letter",
        ),
    ),
)
