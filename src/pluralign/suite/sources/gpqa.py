"""Very hard science questions with four choices in an order of chance: the letter of the right one.

The order is drawn for each question from the seed and the question's id, so that it does not depend on the file's order.
White space at the ends of questions and choices is taken off. *Departure:* the published suite unpacked the archive with a
password; here the table is unpacked by whoever uses it, as its authors ask that the questions not be spread in plain text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import lettered, letters
from pluralign.suite.task import Strand, Task

__all__ = ["FILE", "SOURCE", "Question", "load"]

FILE = "gpqa_main.csv"
TEXTS = ("Record ID", "Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
SUBJECT = "High-level domain"
LETTERS = letters(4)
N_EPISODES = 1000
N_OUTPUTS = 20
CARD = Card(
    name="gpqa",
    what="Questions of biology, physics and chemistry, written by experts, that a web search does not answer; the main set.",
    citation="Rein et al. 2023, GPQA: A Graduate-Level Google-Proof Q&A Benchmark (arXiv 2311.12022)",
    licence="CC BY 4.0",
    access=Manual(
        (FILE,),
        "dataset.zip in the repository https://github.com/idavidrein/gpqa: unpack it with the password that the README there "
        "states and take gpqa_main.csv",
    ),
    ran_on_real_file=False,
    rows=448,
    unit="table",
    chance={"gpqa": 0.25},
    problems=("its authors ask that no question be published in plain text, where models would be trained on it",),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its four choices, of which the first is right."""

    id: str
    text: str
    choices: tuple[str, ...]
    subject: str
    """Empty where the file names none."""


def load(folder: Path | None) -> list[Question]:
    """The questions; raises DataError with the rows in which a text is missing, and for ids that come twice."""
    table = read_csv(CARD, folder, FILE, (*TEXTS, SUBJECT)).to_dicts()
    faults = [
        f"row {number}: {name} is missing"
        for number, row in enumerate(table, 1)
        for name in TEXTS
        if not (row[name] or "").strip()
    ]
    faults += [
        f"Record ID {id} comes {n} times" for id, n in Counter(row["Record ID"] for row in table).items() if n > 1 and id
    ]
    if faults or not table:
        raise unusable(CARD, folder, FILE, faults or "it holds no row")
    return [
        Question(
            row["Record ID"],
            row["Question"].strip(),
            tuple(row[name].strip() for name in TEXTS[2:]),
            (row[SUBJECT] or "").strip(),
        )
        for row in table
    ]


def _strands(questions: list[Question], seed: int) -> Iterator[Strand]:
    yield Strand(
        unit=CARD.name,
        examples=[_example(question, seed) for question in questions],
        descriptions=(
            "Hard questions of natural science, written by experts, with four choices. "
            "The output is the letter of the right choice.",
        ),
        options=LETTERS,
        n_outputs=N_OUTPUTS,
        n_episodes=N_EPISODES,
    )


def _example(question: Question, seed: int) -> Example:
    order = stream(seed, CARD.name, question.id, "choices").permutation(4).tolist()
    asked = f"Subject: {question.subject}\n{question.text}" if question.subject else question.text
    return Example(LETTERS[order.index(0)], lettered(asked, [question.choices[place] for place in order]))


SOURCE = Source(
    CARD,
    load,
    (Task(name=CARD.name, kind="knowledge", split="test", strands=_strands, about="the letter of the right choice"),),
)
