"""Learning with Disagreements 2025: sarcasm, irony, paraphrases and inference as single annotators judge them, six tasks.

    CSC          sarcasm of a reply, 1 to 6          the metadata do not know some of the annotators
    MP           irony of a reply, 0 or 1            ids are "Ann0" in the items, "0" in the metadata
    Paraphrase   two questions, -5 to 5, and why
    VariErrNLI   label or labels, and why

The tasks take the training split. An annotator of whom nothing is known gets a description without properties.

Departures: what was printed as a Python dict is JSON. Several labels of one annotator stay joined by a comma, as the data have
them. The published suite took explanations by the annotator's place among the labels, which is wrong where one gave two.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.disagreements import Annotated, Answer, answers, properties
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["CSC", "MP", "PAR", "SOURCE", "VEN", "load", "strands"]

NLI = ("contradiction", "entailment", "neutral")
CSC = Annotated(name="CSC", texts=("context", "response"), labels=tuple("123456"))
MP = Annotated(
    name="MP",
    texts=("post", "reply"),
    info=("source", "level", "language_variety"),
    labels=("0", "1"),
    prefix="Ann",
)
PAR = Annotated(
    name="Paraphrase",
    texts=("Question1", "Question2"),
    labels=tuple(str(score) for score in range(-5, 6)),
    explained=True,
)
VEN = Annotated(
    name="VariErrNLI",
    texts=("context", "statement"),
    labels=tuple(",".join(some) for n in (1, 2, 3) for some in combinations(NLI, n)),
    explained=True,
)
SAYS = {
    "CSC": "One annotator reads a situation and what somebody replies in it, and rates the reply from 1 to 6: the higher, the "
    "more sarcastic.",
    "MP": "Whether one annotator finds the reply to a post ironic: 1 for yes, 0 for no. The posts come from social media.",
    "Paraphrase": "How far two questions ask the same thing, as one annotator sees it: from -5, not at all, to 5, a "
    "paraphrase.",
    "VariErrNLI": "Whether a statement follows from a context (entailment), goes against it (contradiction) or is left open by "
    "it (neutral), as one annotator sees it. Where more than one holds, the labels are joined by commas.",
}
WHY = {
    "Paraphrase": "The annotator also says why.",
    "VariErrNLI": "Each label comes with an explanation; several explanations are a list.",
}
N_OUTPUTS = {"CSC": 1000, "MP": 1000, "Paraphrase": 20, "VariErrNLI": 30}
CARD = Card(
    name="lewidi",
    what="Four data sets with the labels of each annotator: sarcasm, irony in nine languages, paraphrases, inference.",
    citation="Leonardelli et al. 2025, LeWiDi-2025: The Third Edition of the Learning with Disagreements Shared Task",
    licence="unstated as packaged (MultiPICo, which is MP: CC BY 4.0; CSC: MIT)",
    access=Manual(
        tuple(file for of in (CSC, MP, PAR, VEN) for file in (of.train, of.meta)),
        "https://www.codabench.org/competitions/7192 (a login is needed) or https://github.com/Le-Wi-Di/le-wi-di.github.io",
    ),
    ran_on_real_file=True,
    unit="annotator",
    chance={
        "lewidi_csc_sarcasm_detection_individual": 1 / 6,
        "lewidi_mp_irony_detection_individual": 1 / 2,
        "lewidi_par_paraphrase_detection_individual_categorical": 1 / 11,
    },
    problems=(
        "of CSC and MP the loader has met the real development split, not the training split",
        "some posts are offensive",
        "where an annotator gave two labels, the data do not say which explanation belongs to which",
    ),
    folder="lewidi2025",
)


def load(folder: Path | None) -> Path | None:
    """The folder itself: each task reads the files of its own data set."""
    return folder


def strands(of: Annotated, folder: Path | None, file: str, *, explains: bool) -> Iterator[Strand]:
    """One for each annotator of the file, which may be any split; `explains`: the answer with its explanation."""
    known = properties(CARD, folder, of)
    says = f"{SAYS[of.name]} {WHY[of.name]}" if explains else SAYS[of.name]
    for rater, given in answers(CARD, folder, of, file).items():
        about = known.get(rater, {})
        shown = json_text(**({"annotator": rater} if of is PAR else {}), **about)
        yield Strand(
            unit=rater,
            examples=[Example(_said(of, answer) if explains else answer.label, answer.item) for answer in given],
            descriptions=(f"{says} About the annotator: {shown}" if about else says,),
            options=None if explains else of.labels,
            n_outputs=N_OUTPUTS[of.name],
            n_episodes=None if of.explained else 1,
            attributes=about,
        )


def _said(of: Annotated, answer: Answer) -> str:
    why = answer.why[0] if len(answer.why) == 1 else list(answer.why)
    if of is PAR:
        return json_text(paraphrase_rating=int(answer.label), explanation=why)
    return json_text(nli_label=answer.label, explanation=why)


def _task(name: str, of: Annotated, about: str, *, explains: bool = False) -> Task:
    def train(folder: Path | None, seed: int) -> Iterator[Strand]:
        return strands(of, folder, of.train, explains=explains)

    return Task(name=name, kind="individual", split="train", strands=train, about=about, files=(of.train, of.meta))


SOURCE = Source(
    CARD,
    load,
    (
        _task("lewidi_csc_sarcasm_detection_individual", CSC, "how sarcastic a reply is to one annotator, 1 to 6"),
        _task("lewidi_mp_irony_detection_individual", MP, "whether a reply is ironic to one annotator"),
        _task("lewidi_par_paraphrase_detection_individual", PAR, "how far two questions ask the same, and why", explains=True),
        _task("lewidi_par_paraphrase_detection_individual_categorical", PAR, "how far two questions ask the same, -5 to 5"),
        _task("lewidi_varierrnli_nli_detection_individual", VEN, "one annotator's labels of inference, and why", explains=True),
        _task("lewidi_varierrnli_nli_detection_individual_categorical", VEN, "one annotator's labels of inference"),
    ),
)
