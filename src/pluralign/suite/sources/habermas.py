"""What residents of the United Kingdom think about questions of policy: agreement on seven points, opinions, the questions.

A person's rating of a question is the one before the discussion (`rating_index` 0), the first in the file where there are
several. Left out: ratings that no person gave (`metadata.provenance` other than HUMAN_CITIZEN) and those that are marked MOCK;
for tasks of single people also those without a worker's id, and for `habermas_individual` those without an opinion in words.

Departures: people are drawn by chance; an input or answer of two fields is JSON, under the published names; in the evaluation
it is said that the rating is about statement A, the affirming one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pluralign.episodes import Example
from pluralign.suite.card import Card, Source, Url
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.questions import text_faults
from pluralign.suite.reading import read_parquet, unusable
from pluralign.suite.rows import grouped, pool_task
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["OPINIONS", "RATINGS", "SOURCE", "Rating", "Study", "load"]

RATINGS = "hm_all_position_statement_ratings.parquet"
OPINIONS = "hm_all_round_survey_responses.parquet"
TEXTS = (
    "question.id",
    "question.text",
    "question.affirming_statement",
    "question.negating_statement",
    "metadata.participant_id",
)
AGREEMENT = {
    "STRONGLY_DISAGREE": "Strongly disagree",
    "DISAGREE": "Disagree",
    "SOMEWHAT_DISAGREE": "Somewhat disagree",
    "NEUTRAL": "Neutral",
    "SOMEWHAT_AGREE": "Somewhat agree",
    "AGREE": "Agree",
    "STRONGLY_AGREE": "Strongly agree",
}
"""Label of the file to its text, from 1 to 7."""
LABELS = tuple(AGREEMENT.values())
MOCK = (["MOCK"], ["[MOCK]"])
"""Ratings of trial runs; others that use the file write it either way."""
N_PEOPLE = 2000
LEAST = 6
"""People who rated a question of the evaluation, at least."""
CARD = Card(
    name="habermas",
    what="Opinions of residents of the United Kingdom about policy, and how far they agree with statements on it, "
    "before they talked about it through an AI mediator, the Habermas Machine.",
    citation="Tessler et al. 2024, AI can help humans find common ground in democratic deliberation (Science, adq2852)",
    licence="CC BY 4.0",
    access=Url("https://storage.googleapis.com/habermas_machine/datasets/, one address for each file", (RATINGS, OPINIONS)),
    ran_on_real_file=False,
    chance={"habermas_individual_categorical": 1 / 7},
)


class Rating(NamedTuple):
    """How far a person agrees with the affirming statement on a question; the label is one of `LABELS`."""

    worker: str | None
    participant: str
    question_id: str
    question: str
    affirming: str
    negating: str
    label: str


class Study:
    """What the two files hold; each is read when it is first asked for."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @cached_property
    def ratings(self) -> list[Rating]:
        """People's ratings before the discussion; raises DataError with the rows that cannot be used."""
        columns = (*TEXTS, "worker_id", "rating_index", "metadata.provenance", "ratings.agreement")
        ratings, faults = [], []
        for number, row in enumerate(read_parquet(CARD, self._folder, RATINGS, columns).iter_rows(named=True), 1):
            if row["metadata.provenance"] != "HUMAN_CITIZEN" or row["rating_index"] != 0 or row["ratings.agreement"] in MOCK:
                continue
            found = _faults(row)
            faults += [f"row {number}: {fault}" for fault in found]
            if not found:
                ratings.append(_rating(row))
        if faults or not ratings:
            raise unusable(CARD, self._folder, RATINGS, faults or "it holds no rating of a person before the discussion")
        return ratings

    @cached_property
    def opinions(self) -> dict[tuple[str, str], str]:
        """Worker and question id to the first opinion that is not blank."""
        opinions: dict[tuple[str, str], str] = {}
        table = read_parquet(CARD, self._folder, OPINIONS, ("worker_id", "question.id", "opinion.text"))
        for worker, question_id, text in table.iter_rows():
            if worker and question_id and text and text.strip():
                opinions.setdefault((worker, question_id), text)
        if not opinions:
            raise unusable(CARD, self._folder, OPINIONS, "it holds no opinion")
        return opinions

    def people(self, seed: int, task: str, *, with_opinion: bool) -> dict[str, list[Rating]]:
        """Some of the workers, by chance, each with one rating of a question; `with_opinion`: of those that have one."""
        people: dict[str, list[Rating]] = {}
        for (worker, question_id), of in grouped(self.ratings, key=lambda rating: (rating.worker, rating.question_id)).items():
            if worker and (not with_opinion or (worker, question_id) in self.opinions):
                people.setdefault(worker, []).append(of[0])
        return chosen_units(seed, task, people, N_PEOPLE)


def load(folder: Path | None) -> Study:
    """Reads nothing yet: not every task needs both files."""
    return Study(folder)


def _faults(row: dict[str, Any]) -> list[str]:
    faults, given = text_faults(row, TEXTS), row["ratings.agreement"]
    if not isinstance(given, list) or len(given) != 1 or given[0] not in AGREEMENT:
        faults.append(f"ratings.agreement must be a list of one of {', '.join(AGREEMENT)}, not {given!r:.60}")
    return faults


def _rating(row: dict[str, Any]) -> Rating:
    question_id, question, affirming, negating, participant = (row[name] for name in TEXTS)
    label = AGREEMENT[row["ratings.agreement"][0]]
    return Rating(row["worker_id"], participant, question_id, question, affirming, negating, label)


def _input(rating: Rating) -> str:
    return json_text(**{"question.text": rating.question, "statement": rating.affirming})


def _answer(rating: Rating, opinion: str) -> str:
    return json_text(**{"ratings.agreement": rating.label, "opinion.text": opinion})


def _individual(study: Study, seed: int) -> Iterator[Strand]:
    for worker, ratings in study.people(seed, "habermas_individual", with_opinion=True).items():
        yield Strand(
            unit=worker,
            examples=[Example(_answer(one, study.opinions[worker, one.question_id]), _input(one)) for one in ratings],
            descriptions=(
                "A resident of the United Kingdom on questions of policy: how far the person agrees with a statement, and the "
                "person's opinion in words. It is the same person throughout.",
                "One person who lives in the United Kingdom is asked what they think. The output is a JSON object: "
                f"ratings.agreement, how far they agree with the statement, is one of {', '.join(LABELS)}; opinion.text is "
                "their answer to the question in their own words.",
            ),
            n_outputs=Around(32),
        )


def _categorical(study: Study, seed: int) -> Iterator[Strand]:
    for worker, ratings in study.people(seed, "habermas_individual_categorical", with_opinion=False).items():
        yield Strand(
            unit=worker,
            examples=[Example(one.label, _input(one)) for one in ratings],
            descriptions=(
                "How far a resident of the United Kingdom agrees with statements on questions of policy; it is the same person "
                f"throughout. Answers: {', '.join(LABELS)}.",
                "One person in the United Kingdom reads a question and a statement on it, and says how far they agree with the "
                f"statement: {', '.join(LABELS)}.",
            ),
            options=LABELS,
            n_outputs=Around(32),
        )


def _questions(study: Study) -> list[Example]:
    return [Example(text) for text in dict.fromkeys(rating.question for rating in study.ratings)]


def _targets(study: Study, seed: int) -> Iterator[Target]:
    scale = ", ".join(f"{point} {label.lower()}" for point, label in enumerate(LABELS, 1))
    for question_id, ratings in grouped(study.ratings, key=lambda rating: rating.question_id).items():
        people = grouped(ratings, key=lambda rating: rating.participant)
        if len(people) < LEAST:
            continue
        counts = Counter(of[0].label for of in people.values())
        asked = ratings[0]
        yield Target(
            input=f"Question: {asked.question}\nA: {asked.affirming}\nB: {asked.negating}",
            options=tuple(str(point) for point in range(1, len(LABELS) + 1)),
            shares=tuple(counts[label] / len(people) for label in LABELS),
            n=len(people),
            description="A resident of the United Kingdom is given a question and two opposite statements on it, A and B. "
            f"How far does the person agree with A? The answer is a number: {scale}.",
            unit=question_id,
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="habermas_individual",
            kind="individual",
            split="test",
            strands=_individual,
            about="a person's agreement with a statement, and opinion in words",
        ),
        Task(
            name="habermas_individual_categorical",
            kind="individual",
            split="test",
            strands=_categorical,
            about="a person's agreement with a statement",
            files=(RATINGS,),
        ),
        pool_task(
            "habermas_question",
            _questions,
            kind="text",
            split="test",
            about="a question of policy",
            descriptions=(
                "Questions of policy.",
                "Questions on which people in the United Kingdom disagree.",
                "Questions for a discussion among citizens, each on something that a government might do or allow.",
                "Write a question on which citizens could hold opposite views and look for common ground.",
                "What might a citizens' assembly in the United Kingdom be asked to talk about? One question at a time.",
            ),
            n_outputs=Around(32),
            n_episodes=None,
            files=(RATINGS,),
        ),
    ),
    (
        TargetTask(
            name="habermas",
            about="agreement of a resident of the United Kingdom with a statement, from 1 to 7",
            rows=_targets,
            label="Likert",
            files=(RATINGS,),
        ),
    ),
)
