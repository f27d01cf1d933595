"""What the readers of annotation tools share: an export may hold the answers to several questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from pluralign.errors import DataError, nearest_name

__all__ = ["chosen_question"]


def chosen_question(asked: Collection[Collection[str]], chosen: str | None, where: str) -> str:
    """The question whose answers are the ratings: the named one, or the only one. `asked`: the questions of each record.

    >>> chosen_question([{"toxic"}, {"toxic"}], None, "export.json")
    'toxic'
    """
    counts = Counter(question for questions in asked for question in questions)
    if not counts:
        raise DataError(where, "no ratings: the export holds no answer")
    if chosen is None and len(counts) > 1:
        listed = ", ".join(f"{question!r} ({n:,})" for question, n in sorted(counts.items()))
        raise DataError(where, f"several questions were answered: {listed}; name one with --rating")
    if chosen is not None and chosen not in counts:
        raise DataError(where, f"--rating: {nearest_name(chosen, counts)}")
    return chosen if chosen is not None else next(iter(counts))
