"""AmbiEnt: pairs of a premise and a hypothesis that can be read in several ways; six tasks from its three files.

Departures from the published suite: texts of several fields are JSON. Of a linguist's labels of one pair the first is kept
(`suite/ambient_files.py`); a linguist with one label has one episode. `ambient_premise_hypothesis` has only the 579 of 1,645
pairs in which something is ambiguous, as its descriptions say. `ambient_annotation_distributions` pools the labels of a pair as
it stands with those of its three rewritings, as the published suite does, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.ambient_files import CARD, CROWD, FULL, GOLD, JOINED, LABELS, LINGUISTS, AmbiEnt
from pluralign.suite.card import Source
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around, Kind, Strand, Task, json_text

__all__ = ["SOURCE", "load"]

N_LINGUIST_EPISODES = 2
N_EPISODES = 50
SIZE = Around(64)
BOOLEANS = (True, False)


def load(folder: Path | None) -> AmbiEnt:
    """Reads nothing yet: each task needs one of the files."""
    return AmbiEnt(folder)


def _pair(row: Mapping[str, Any]) -> dict[str, str]:
    return {"premise": row["premise"], "hypothesis": row["hypothesis"]}


def _linguist_strands(data: AmbiEnt, seed: int) -> Iterator[Strand]:
    for worker, given in data.linguists.items():
        yield Strand(
            unit=worker,
            examples=[Example(label, json_text(premise=p, hypothesis=h)) for (p, h), label in given.items()],
            descriptions=(
                "One linguist's labels of pairs of a premise and a hypothesis: entailment, neutral or contradiction, or "
                "several of them joined by | where the linguist finds that readings of the pair differ in their label.",
                "What does this linguist say about premise and hypothesis? (entailment, neutral, contradiction; more than one, "
                "with | between them, for an ambiguous pair)",
                "Natural language inference as one and the same linguist sees it. Each input is a JSON object with a premise "
                "and a hypothesis, each output the relation of the two. A pair that the linguist finds ambiguous may have a "
                "combination such as entailment|neutral.",
            ),
            options=JOINED,
            n_outputs=SIZE,
            n_episodes=min(N_LINGUIST_EPISODES, len(given)),
        )


def _distribution(row: Mapping[str, Any]) -> str:
    """Of each label how often it was given, of how many, and in percent."""
    counts = Counter(label for name in GOLD for label in row[name])
    total = counts.total()
    return json_text(
        **{label: {"count": f"{counts[label]}/{total}", "percent": f"{100 * counts[label] / total:.4f}%"} for label in LABELS}
    )


def _distributions(data: AmbiEnt) -> Iterator[Example]:
    for row in data.crowd:
        yield Example(_distribution(row), json_text(**_pair(row), ambiguous_sent=row["ambiguous_sent"]))


def _interpretations(data: AmbiEnt) -> Iterator[Example]:
    for row in data.crowd:
        for label, text in zip(row["labels"], row["interpretations"], strict=True):
            if label is not None:  # a distractor has none
                yield Example(label, json_text(**_pair(row), ambiguous_sent=row["ambiguous_sent"], interpretation=text))


def _pairs(data: AmbiEnt) -> Iterator[Example]:
    for row in data.full:
        if row["premise_ambiguous"] or row["hypothesis_ambiguous"]:
            yield Example(json_text(**_pair(row)))


def _disambiguations(data: AmbiEnt) -> Iterator[Example]:
    for row in data.full:
        for part in row["disambiguations"]:
            yield Example(
                json_text(disambiguated_premise=part["premise"], disambiguated_hypothesis=part["hypothesis"]),
                json_text(original_premise=row["premise"], original_hypothesis=row["hypothesis"], target_label=part["label"]),
            )


def _ambiguous(premise: bool, hypothesis: bool) -> str:
    return json_text(premise_ambiguous=premise, hypothesis_ambiguous=hypothesis)


def _detections(data: AmbiEnt) -> Iterator[Example]:
    for row in data.full:
        yield Example(_ambiguous(row["premise_ambiguous"], row["hypothesis_ambiguous"]), json_text(**_pair(row)))


def _pool(
    name: str,
    examples: Callable[[AmbiEnt], Iterable[Example]],
    kind: Kind,
    file: str,
    about: str,
    descriptions: tuple[str, ...],
    options: tuple[str, ...] | None = None,
) -> Task:
    return pool_task(
        name,
        examples,
        kind=kind,
        split="train",
        about=about,
        descriptions=descriptions,
        options=options,
        n_outputs=SIZE,
        n_episodes=N_EPISODES,
        files=(file,),
    )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="ambient_linguist_annotations",
            kind="individual",
            split="train",
            strands=_linguist_strands,
            about="one linguist's label of a premise and a hypothesis, or several labels joined by |",
            files=(LINGUISTS,),
        ),
        _pool(
            "ambient_annotation_distributions",
            _distributions,
            "population",
            CROWD,
            "how often crowdworkers gave each of three labels, as counts and in percent",
            (
                "How do the labels of many annotators split into entailment, neutral and contradiction? They labelled an "
                "ambiguous pair as it stands and with each of several rewritings of its ambiguous sentence; the answer pools "
                "all of these labels and gives each label's count and its percentage.",
                "Label counts for ambiguous premise-hypothesis pairs, over the pair itself and rewritings of the sentence that "
                "is ambiguous.",
                "A crowd does natural language inference. The input is a pair and says whether its premise or its hypothesis "
                "is the ambiguous sentence. The output is a JSON object: for each label how many of the crowd's labels it got, "
                "original and rewritten pairs taken together, and the same in percent with four decimals.",
            ),
        ),
        _pool(
            "ambient_premise_hypothesis",
            _pairs,
            "text",
            FULL,
            "a premise and a hypothesis, one of them ambiguous at least",
            (
                "Pairs of a premise and a hypothesis in which at least one of the two is ambiguous, so that whether the "
                "hypothesis follows depends on the reading.",
                "Ambiguous examples for natural language inference.",
                "Write a premise and a hypothesis, as JSON. One of them, or both, can be understood in more than one way, and "
                "the readings differ in their label: entailment, neutral or contradiction.",
            ),
        ),
        _pool(
            "ambient_disambiguation",
            _disambiguations,
            "text",
            FULL,
            "a premise and a hypothesis, rewritten so that one label holds",
            (
                "Rewrite an ambiguous premise and hypothesis so that only the reading with the target label is left.",
                "Given are a premise, a hypothesis and a label: entailment, neutral or contradiction. The pair has several "
                "readings, and the label holds for one of them. The output is the pair in words that leave just this reading; "
                "a sentence that needs no change stays as it is.",
                "Disambiguation of sentence pairs towards a target label.",
            ),
        ),
        _pool(
            "ambient_ambiguity_detection",
            _detections,
            "knowledge",
            FULL,
            "whether the premise and whether the hypothesis is ambiguous",
            (
                "Is the premise ambiguous, and is the hypothesis? Two answers, true or false.",
                "For each pair of sentences: can the premise, can the hypothesis be read in different ways that matter to "
                "whether the one follows from the other?",
                "Detect ambiguity in natural language inference. The output is a JSON object with two truth values, "
                "premise_ambiguous and hypothesis_ambiguous.",
            ),
            tuple(_ambiguous(premise, hypothesis) for premise in BOOLEANS for hypothesis in BOOLEANS),
        ),
        _pool(
            "ambient_interpretation_labels",
            _interpretations,
            "knowledge",
            CROWD,
            "entailment, neutral or contradiction, for one reading of an ambiguous pair",
            (
                "Which label does an ambiguous pair get under the given interpretation: entailment, neutral or contradiction?",
                "The input holds a premise, a hypothesis, which of the two is ambiguous, and an interpretation that says "
                "plainly how that sentence is meant. Put the interpretation in its place and label the pair.",
                "Natural language inference, one reading at a time.",
            ),
            LABELS,
        ),
    ),
)
