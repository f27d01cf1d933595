"""Answers of models to many queries: those that do not fit into the context are failures, the others are answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pluralign.errors import DataError
from pluralign.models import LanguageModel, OptionLogprobs, Query

__all__ = ["TOO_LONG", "option_answers"]

TOO_LONG = ("context too long", "a prompt for vLLM")
"""Where the DataErrors of models say they are when something does not fit into the context."""


def option_answers(model: LanguageModel, queries: Sequence[Query]) -> list[OptionLogprobs]:
    """As `model.option_logprobs`, with the outcome "failed" for queries that are too long, which are found by halving."""
    try:
        return model.option_logprobs(queries)
    except DataError as error:
        if error.where not in TOO_LONG:
            raise
        why = str(error)
    if len(queries) == 1:
        options = queries[0].asked_options
        return [OptionLogprobs(options, np.full(len(options), np.nan), outcome="failed", detail=why)]
    half = len(queries) // 2
    return option_answers(model, queries[:half]) + option_answers(model, queries[half:])
