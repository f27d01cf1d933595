"""Samples that language models made with BARE: sums, mails, messages to newsgroups, coding problems, questions about passages
and about medical abstracts. Six tasks, each with four strands: whole records, one part from the rest, the other part from the
rest, and one part with nothing given.

Rows with a text that is null or blank are left out, and messages to a newsgroup that is none of the twenty (BARE itself
discards them). The file names are ours: the repository's say with which models a file was made.

Departures from the published suite: a mail's label reads spam or not spam. In `bare_lcb` the test input, without which its
question has no answer, belongs to the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pluralign.episodes import Example
from pluralign.suite.bare_wordings import WORDINGS
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import read_jsonl, unusable
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["SOURCE", "Samples", "load"]

SIZE = Around(32)
MAX_TOTAL = 500
SPAM = {"0": "not spam", "1": "spam"}
NEWSGROUPS = (
    *("alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware", "comp.sys.mac.hardware"),
    *("comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles", "rec.sport.baseball", "rec.sport.hockey", "sci.crypt"),
    *("sci.electronics", "sci.med", "sci.space", "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast"),
    *("talk.politics.misc", "talk.religion.misc"),
)
Parts = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Strand to the fields of its inputs and of its outputs."""


class Samples(NamedTuple):
    """One of the data sets."""

    name: str
    """Of its file, without .jsonl."""
    where: str
    """Which of the repository's files it is."""
    about: str
    parts: Parts
    options: Mapping[str, tuple[str, ...]] = {}
    """Field to its values."""

    @property
    def file(self) -> str:
        return f"{self.name}.jsonl"

    @property
    def fields(self) -> tuple[str, ...]:
        """All that the strands use: the record whole."""
        return self.parts["joint"][1]


def _three(context: tuple[str, ...], question: tuple[str, ...], alone: str) -> Parts:
    """The strands of questions and answers, with or without a context."""
    given = (*context, *question)
    return {
        "joint": ((), (*given, "answer")),
        "answer": (given, ("answer",)),
        "question_from_answer": ((*context, "answer"), question),
        alone: ((), context or question),
    }


def _labelled(text: str, label: str, *, label_first: bool = False) -> Parts:
    """The strands of texts with a label."""
    return {
        "joint": ((), (label, text) if label_first else (text, label)),
        label: ((text,), (label,)),
        f"{text}_from_{label}": ((label,), (text,)),
        text: ((), (text,)),
    }


FOLDER = "below bare/sample_generated_data"
TASKS = {
    "bare_gsm8k": Samples(
        "gsm8k",
        f"the file of 1,000 math problems {FOLDER}",
        "a math problem, its answer, or both",
        _three((), ("question",), "question"),
    ),
    "bare_enron": Samples(
        "enron",
        f"the file of 500 e-mails {FOLDER}",
        "an e-mail, its label, or both",
        _labelled("email", "label"),
        {"label": tuple(SPAM.values())},
    ),
    "bare_hotpot": Samples(
        "hotpot",
        f"the file of 1,000 questions about passages (HotpotQA) {FOLDER}",
        "passages, a question about them, its answer, or all three",
        _three(("context",), ("question",), "context"),
    ),
    "bare_lcb": Samples(
        "lcb",
        f"the file of 1,000 coding problems (LiveCodeBench) {FOLDER}",
        "a coding problem with a test input, its answer, or both",
        _three((), ("question", "test_input"), "question"),
    ),
    "newsgroups": Samples(
        "newsgroups",
        f"the file of 500 messages {FOLDER}",
        "a message, its newsgroup, or both",
        _labelled("message", "newsgroup", label_first=True),
        {"newsgroup": NEWSGROUPS},
    ),
    "pubmed": Samples(
        "pubmed",
        f"the file of 1,000 questions about medical abstracts (PubMedQA) {FOLDER}",
        "abstracts, a question about them, its answer, or all three",
        _three(("context",), ("question",), "context"),
    ),
}
CARD = Card(
    name="bare",
    what="Six sets of samples that a base model wrote and an instruction-tuned model refined, after existing data sets.",
    citation="Zhu et al. 2025, BARE: Combining Base and Instruction-Tuned Language Models for Better Synthetic Data Generation",
    licence="Apache 2.0",
    access=Repository(
        "https://github.com/pgasawa/BARE",
        None,
        tuple(samples.file for samples in TASKS.values()),
        below={samples.file: samples.where for samples in TASKS.values()},
    ),
    ran_on_real_file=False,
    rows=5000,
    unit="kind of request",
    problems=(
        "models wrote the texts: answers may be wrong and labels may not fit",
        "passages of hotpot and pubmed are those of HotpotQA's validation split and of PubMedQA",
        "fields are those of BARE's code; that a mail's label is in the field label, 1 for spam, is assumed",
    ),
)


def load(folder: Path | None) -> Path | None:
    """Reads nothing yet: each task needs one of the files."""
    return folder


def _records(samples: Samples, folder: Path | None) -> list[dict[str, str]]:
    """The texts of each row that has them all."""
    records, faults = [], []
    for n, row in enumerate(read_jsonl(CARD, folder, samples.file, samples.fields), 1):
        if wrong := [_fault(name, row[name]) for name in samples.fields if _fault(name, row[name])]:
            faults.append(f"row {n}: {wrong[0]}")
            continue
        record = {name: SPAM[str(row[name])] if name == "label" else row[name] for name in samples.fields}
        if all(_is_usable(text, samples.options.get(name)) for name, text in record.items()):
            records.append(record)
    if faults or not records:
        raise unusable(CARD, folder, samples.file, faults or f"no row has a text in each of {', '.join(samples.fields)}")
    return records


def _fault(name: str, value: Any) -> str:
    if name == "label":
        return "" if str(value) in SPAM else f"label must be 0 or 1, not {value!r:.40}"
    return "" if isinstance(value, str | None) else f"{name} must be text, not {value!r:.40}"


def _is_usable(text: str | None, options: tuple[str, ...] | None) -> bool:
    return bool(text and text.strip()) and (options is None or text in options)


def _strands(task: str, folder: Path | None, seed: int) -> Iterator[Strand]:
    samples = TASKS[task]
    records = _records(samples, folder)
    for strand, (given, wanted) in samples.parts.items():
        yield Strand(
            unit=strand,
            examples=[Example(_text(row, wanted), _text(row, given) if given else None) for row in records],
            descriptions=WORDINGS[task][strand],
            options=samples.options.get(wanted[0]) if len(wanted) == 1 else None,
            n_outputs=SIZE,
            n_episodes=None,
            max_total=MAX_TOTAL,
        )


def _text(row: Mapping[str, str], fields: tuple[str, ...]) -> str:
    """One field as it is, several as JSON."""
    return row[fields[0]] if len(fields) == 1 else json_text(**{name: row[name] for name in fields})


SOURCE = Source(
    CARD,
    load,
    tuple(
        Task(
            name=name,
            kind="text",
            split="train",
            strands=partial(_strands, name),
            about=samples.about,
            files=(samples.file,),
        )
        for name, samples in TASKS.items()
    ),
)
