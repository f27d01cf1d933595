"""How groups of Americans answered questions of Pew's surveys: the counts of each answer by party, race and sex.

A question is held out for the evaluation `opinionqa_groups_target` by a number keyed by how its text begins, whatever the seed,
so that questions of one battery are held out together; the task `opinionqa_groups` has all others. Left out: refusals, so that
shares are of those who answered; people who did not tell their group; questions of which fewer than twenty in a group
answered; the one question that the list of questions has five times with different texts. Options come from that list, since
the counts' own lists were cut at commas. Not a task of the published suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.reading import read_csv, read_json, unusable
from pluralign.suite.rows import lettered, letters, python_literal
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["SOURCE", "Question", "load", "percents"]

NAME = "opinionqa_groups"
INFO = "d500_info.csv"
_THERE = "opinions_qa/data/human_resp/Pew_American_Trends_Panel_disagreement_500"
DATA = {kind: f"d500_{kind}_data.json" for kind in ("POLPARTY", "RACE", "SEX")}
GROUPS = {
    "POLPARTY/Democrat": "Democrats",
    "POLPARTY/Republican": "Republicans",
    "POLPARTY/Independent": "political independents",
    "POLPARTY/Other": "people who are neither Democrats nor Republicans nor independents",
    "RACE/White": "White people",
    "RACE/Black": "Black people",
    "RACE/Hispanic": "Hispanic people",
    "RACE/Asian": "Asian people",
    "RACE/Mixed Race": "people of mixed race",
    "RACE/Other": "people of another race than White, Black, Hispanic or Asian",
    "SEX/Female": "women",
    "SEX/Male": "men",
}
REFUSED = "Refused"
FEWEST = 20
BATTERY_WORDS = 5
"""Questions that begin with the same ones are of one battery."""
HELD_OUT = 0.2
"""Share of the questions that are the evaluation's alone."""
CARD = Card(
    name=NAME,
    what="Counts of the answers to 494 contentious questions of Pew's American Trends Panel by party, race and sex.",
    citation="Meister et al. 2024, Benchmarking Distributional Alignment of Large Language Models (arXiv 2411.05403), from "
    "Santurkar et al. 2023, Whose Opinions Do Language Models Reflect? (arXiv 2303.17548)",
    licence="terms of Pew Research Center",
    access=Repository(
        "https://github.com/nicolemeister/benchmarking-distributional-alignment",
        "36869b56b214b5ddce13dc234d62b4cbce3706cd",
        (INFO, *DATA.values()),
        {INFO: f"{_THERE}/info.csv", **{file: f"{_THERE}/{kind}_data.json" for kind, file in DATA.items()}},
    ),
    ran_on_real_file=True,
    units=len(GROUPS),
    unit="group",
    problems=(
        "beyond the published suite",
        "the tasks of opinionqa show single people's answers to the same questions, those of the evaluation among them",
        "counts are not weighted to the population",
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and of each group how many gave which answer, in the order of the options."""

    key: str
    text: str
    options: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]

    @property
    def is_held_out(self) -> bool:
        """Questions of one battery begin alike, and are held out together."""
        battery = " ".join(self.text.lower().split()[:BATTERY_WORDS])
        return bool(stream(0, NAME, battery, "held out").random() < HELD_OUT)


def load(folder: Path | None) -> list[Question]:
    """Every question with its options but for refusing; raises DataError with the entries that fit nothing."""
    options = _options(folder)
    texts: dict[str, str] = {}
    counts: dict[str, dict[str, tuple[int, ...]]] = {key: {} for key in options}
    for kind, file in DATA.items():
        for key, entry in _entries(folder, file, options).items():
            texts.setdefault(key, entry["question_text"])
            for group in (name for name in GROUPS if name.startswith(f"{kind}/")):
                given = entry[group.removeprefix(f"{kind}/")]
                counts[key][group] = tuple(int(given.get(option, 0)) for option in options[key])
    return [Question(key, texts[key], options[key], counts[key]) for key in options if key in texts]


def _options(folder: Path | None) -> dict[str, tuple[str, ...]]:
    """Of each question that is listed once."""
    rows = read_csv(CARD, folder, INFO, ["key", "references"]).rows()
    faults, options = [], {}
    for number, (key, references) in enumerate(rows, 1):
        listed = python_literal(references)
        if key is None or not isinstance(listed, list) or len(set(map(str, listed))) < 2:
            faults.append(f"row {number}: a key and a list of references are needed, not {key!r}, {references!r:.40}")
        else:
            options[key] = tuple(str(option) for option in listed if option != REFUSED)
    if faults:
        raise unusable(CARD, folder, INFO, faults)
    times = [key for key, _ in rows]
    return {key: listed for key, listed in options.items() if times.count(key) == 1}


def _entries(folder: Path | None, file: str, options: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
    entries = read_json(CARD, folder, file)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise unusable(CARD, folder, file, "an object of objects is needed: a question's key, then its answers by group")
    kept = {key: entry for key, entry in entries.items() if key in options}
    kind = next(kind for kind, name in DATA.items() if name == file)
    groups = [name.removeprefix(f"{kind}/") for name in GROUPS if name.startswith(f"{kind}/")]
    faults = [f"{key}: no text 'question_text'" for key, entry in kept.items() if not _is_text(entry.get("question_text"))]
    for key, entry in kept.items():
        for group in groups:
            faults += [f"{key}, {group}: {fault}" for fault in _count_faults(entry.get(group), options[key])]
    if faults or not kept:
        raise unusable(CARD, folder, file, faults or f"it has no question of {INFO}")
    return kept


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _count_faults(counts: object, options: tuple[str, ...]) -> list[str]:
    if not isinstance(counts, dict):
        return ["there is no object of counts"]
    unknown = [f"{option!r} is no option of {INFO}" for option in counts if option not in (*options, REFUSED)]
    wrong = [f"{n!r} is no count" for n in counts.values() if not isinstance(n, int | float) or n < 0 or n != int(n)]
    return unknown + wrong


def percents(counts: tuple[int, ...]) -> list[int]:
    """Whole percents that sum to 100: cut down, then one more for those that lost most, the first of equals.

    >>> percents((1, 1, 1)), percents((2, 0, 1))
    ([34, 33, 33], [67, 0, 33])
    """
    total = sum(counts)
    parts = [100 * n // total for n in counts]
    lost = sorted(range(len(counts)), key=lambda i: (-(100 * counts[i] % total), i))
    for i in lost[: 100 - sum(parts)]:
        parts[i] += 1
    return parts


def _asked(data: list[Question], group: str, *, held_out: bool) -> Iterator[tuple[Question, tuple[int, ...]]]:
    """The questions that are held out, or those that are not, with the counts of a group of enough people."""
    for question in data:
        if question.is_held_out == held_out and sum(question.counts[group]) >= FEWEST:
            yield question, question.counts[group]


def _strands(data: list[Question], seed: int) -> Iterator[Strand]:
    for group, people in GROUPS.items():
        yield Strand(
            unit=group,
            examples=[_example(question, counts) for question, counts in _asked(data, group, held_out=False)],
            descriptions=(
                "How one group of people in the United States answered questions of a survey: the percentage of each option "
                "among those who answered, as JSON. It is the same group throughout.",
                f"Survey answers of {people}, in the United States. The input tells how many of these people answered; the "
                "output gives the percentage of every option, in whole numbers that sum to 100.",
                f"Percentages of answers among {people} (United States).",
            ),
            n_outputs=Around(24),
            n_episodes=None,
            attributes={"group": group},
        )


def _example(question: Question, counts: tuple[int, ...]) -> Example:
    asked = json_text(question=question.text, options=list(question.options), people=sum(counts))
    return Example(json_text(**dict(zip(question.options, percents(counts), strict=True))), asked)


def _targets(data: list[Question], seed: int) -> Iterator[Target]:
    for group, people in GROUPS.items():
        for question, counts in _asked(data, group, held_out=True):
            n = sum(counts)
            yield Target(
                input=lettered(question.text, question.options),
                options=letters(len(question.options)),
                shares=tuple(count / n for count in counts),
                n=n,
                description=f"A survey in the United States. This is how {people} answer: one letter.",
                unit=question.key,
                attributes={"group": group},
            )


SOURCE = Source(
    CARD,
    load,
    (Task(name=NAME, kind="population", split="train", strands=_strands, about="the percentage of each answer in a group"),),
    (TargetTask(name="opinionqa_groups_target", about="the letter of a group member's answer", rows=_targets, label="Letter"),),
)
