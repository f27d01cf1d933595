"""Forms of English verbs: a request for a form in -ing, the present participle.

Left out: the verbs of the real file that have no such form (20 of 8,503).
"""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.reading import read_text, unusable
from pluralign.suite.validators import one_of

__all__ = ["FILE", "SOURCE", "load"]

FILE = "en-verbs.txt"
N_FORMS = 24
"""Of a line, joined by commas; the missing ones are empty."""
PARTICIPLE = 5
"""The place of the present participle among them, from 0."""
CARD = Card(
    name="verb_forms",
    what="English verbs with their conjugated forms, from the XTAG lexicon.",
    citation="XTAG Research Group, University of Pennsylvania, as word_forms has it (github.com/gutfeeling/word_forms)",
    licence="permissive: the University of Pennsylvania's notice at its head",
    access=Repository("https://github.com/gutfeeling/word_forms", None, (FILE,), below={FILE: "word_forms/en-verbs.txt"}),
    ran_on_real_file=False,
    rows=8503,
    unit="verb",
    problems=("a few of its forms are misspelt, a few do not end in -ing; they are valid, as in the published suite",),
)


def load(folder: Path | None) -> list[str]:
    """The present participles, each once; raises DataError with the lines that do not hold all forms."""
    forms: dict[str, None] = {}
    faults = []
    for number, line in enumerate(read_text(CARD, folder, FILE).splitlines(), 1):
        if line.startswith(";") or not line.strip():
            continue
        cells = line.split(",")
        if len(cells) != N_FORMS:
            faults.append(f"line {number}: {N_FORMS} forms are needed, some of them empty, not {len(cells)}")
        elif cells[PARTICIPLE].strip():
            forms[cells[PARTICIPLE].strip()] = None
    if faults or not forms:
        raise unusable(CARD, folder, FILE, faults or "it holds no present participle")
    return list(forms)


def _gerunds(forms: list[str]) -> Coverage:
    return Coverage(
        description="An English verb in its -ing form, in lower case. Only that one word.",
        examples=("running", "whispering", "baking"),
        is_valid=one_of(forms),
        closed=tuple(forms),
    )


SOURCE = Source(
    CARD,
    load,
    evaluations=(CoverageTask(name="claude_gerunds", about="an English verb in -ing", make=_gerunds, max_tokens=4),),
)
