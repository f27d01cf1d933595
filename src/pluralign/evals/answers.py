"""Answers of models to many queries: those that do not fit into the context are failures, the others are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from pluralign.errors import DataError, PluralignError
from pluralign.models import LanguageModel, OptionLogprobs, Query

__all__ = ["TOO_LONG", "each_answered", "failed", "is_too_long", "option_answers"]

TOO_LONG = ("context too long", "a prompt for vLLM")
"""Where the DataErrors of models say they are when something does not fit into the context."""

T = TypeVar("T")


def is_too_long(error: PluralignError) -> bool:
    """Whether a model says that something does not fit into its context."""
    return isinstance(error, DataError) and error.where in TOO_LONG


def each_answered(
    ask: Callable[[Sequence[Query]], list[T]],
    queries: Sequence[Query],
    lost: Callable[[Query, str], T],
    *,
    is_lost: Callable[[PluralignError], bool] = is_too_long,
) -> list[T]:
    """What `ask` gives for all queries, and `lost` with the reason for those that alone raise such an error.

    They are found by halving. Raises any other error.
    """
    if not queries:
        return []
    try:
        return ask(queries)
    except PluralignError as error:
        if not is_lost(error):
            raise
        why = str(error)
    if len(queries) == 1:
        return [lost(queries[0], why)]
    half = len(queries) // 2
    return [one for part in (queries[:half], queries[half:]) for one in each_answered(ask, part, lost, is_lost=is_lost)]


def option_answers(model: LanguageModel, queries: Sequence[Query]) -> list[OptionLogprobs]:
    """As `model.option_logprobs`, with the outcome "failed" for queries that are too long, which are found by halving."""
    return each_answered(model.option_logprobs, queries, failed)


def failed(query: Query, why: str) -> OptionLogprobs:
    """The answer that never came."""
    options = query.asked_options
    return OptionLogprobs(options, np.full(len(options), np.nan), outcome="failed", detail=why)
