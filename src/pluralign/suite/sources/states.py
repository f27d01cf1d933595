"""One question: a state of the United States, each as likely as any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.lists import STATES

__all__ = ["SOURCE"]

CARD = Card(
    name="states",
    what="The 50 states of the United States, to be named at random.",
    citation="Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084)",
    licence="none needed: made here",
    access=Simulated(),
    ran_on_real_file=True,
    units=1,
    unit="question",
    problems=("one question alone, so that no interval can be given",),
)


def _targets(data: Any, seed: int) -> Iterator[Target]:
    yield Target(
        input="Pick one of the 50 states of the United States at random, so that each is as likely as any other. "
        "Answer with the name of the state alone.",
        options=tuple(STATES),
        shares=(1 / len(STATES),) * len(STATES),
    )


SOURCE = Source(
    CARD,
    lambda folder: None,
    evaluations=(TargetTask(name="states", about="a state of the United States", rows=_targets, label="State"),),
)
