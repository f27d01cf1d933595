"""What `score` and `sample` would do: counts, tokens, and what it costs at most. Nothing is asked of a model to know it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pluralign.episodes import Episode
from pluralign.models import ModelSettings, Query, SamplingSettings, Template
from pluralign.models.queries import AskedAt, scored_examples
from pluralign.scoring.drawn import questions_to_sample
from pluralign.scoring.job import Asked, Questions
from pluralign.scoring.scored import Ask, questions_to_score
from pluralign.scoring.shown import named_template
from pluralign.scoring.totals import Prices
from pluralign.terminal import printable

__all__ = ["AskingPlan", "plan_sample", "plan_score"]

BATCH = 1024
"""Requests that are tokenised at once."""


@dataclass(frozen=True, kw_only=True)
class AskingPlan:
    """What would be asked."""

    name: str
    out: str
    model: str
    n_episodes: int
    n_units: int
    unit: str
    n_requests: int
    n_answers: int
    """Rows of records.parquet: outputs, options, or samples."""
    answers: str
    """What they are."""
    n_nothing_scored: int
    n_without_options: int
    tokens_in: int | None
    """If every request were sent on its own and nothing shared or remembered; None where the tokenizer is not known."""
    tokens_out: int | None
    cost_at_most: float | None
    """None without prices or tokens. Requests that are sent again after a fault are not in it."""
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            f"{printable(self.name)}: {self.n_episodes:,} episodes of {self.n_units:,} {self.unit}s",
            f"would ask {printable(self.model)} {self.n_requests:,} requests about {self.n_answers:,} {self.answers}",
        ]
        if self.n_nothing_scored:
            lines.append(f"{self.n_nothing_scored:,} episodes have nothing to score (no second example, no description)")
        if self.n_without_options:
            lines.append(f"{self.n_without_options:,} episodes have no options and would be left out")
        if self.tokens_in is not None:
            lines.append(f"at most {self.tokens_in:,} tokens in and {self.tokens_out or 0:,} out, nothing shared or remembered")
        if self.cost_at_most is not None:
            lines.append(f"cost: at most {self.cost_at_most:,.4f}, if nothing has to be sent again")
        end = "Nothing was asked and nothing was written (--dry-run)."
        return [*lines, *self.notes, f"would write to {self.out}: records.parquet, results.json", end]


def plan_score(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str,
    ask: Ask = "outputs",
    at: AskedAt | None = None,
    settings: ModelSettings | None = None,
    limit: int | None = None,
    prices: Prices | None = None,
) -> AskingPlan:
    """What `score` with the same arguments would do. Reads the file, so that what is wrong with it comes out now."""
    chosen = settings or ModelSettings()
    questions, at = questions_to_score(file, ask=ask, at=at, limit=limit)
    template, notes = _template(model, chosen)
    tokens = None
    if ask == "outputs":
        each = [len(scored_examples(one.episode)) for one in questions.asked]
        n_answers = sum(each) if at == "all" else len(each)
        if template is not None:
            tokens = (sum(len(e) for some in _batches(questions.asked) for e in template.encode(_episodes(some))), 0)
    else:
        n_answers = sum(len(one.episode.options or ()) for one in questions.asked)
        if template is not None and chosen.elicit != "verbalised":
            tokens = _option_tokens(questions, template, chosen)
            notes += ["counted for replies no longer than the longest option"] if chosen.elicit == "sampling" else []
        elif template is not None:
            notes.append("how long written distributions get is not known, so neither are tokens")
    return _plan(questions, out, model, n_answers, ask, tokens, prices, notes)


def plan_sample(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str,
    sampling: SamplingSettings | None = None,
    at: AskedAt = "next",
    settings: ModelSettings | None = None,
    limit: int | None = None,
    prices: Prices | None = None,
) -> AskingPlan:
    """What `sample` with the same arguments would do."""
    drawing = sampling or SamplingSettings()
    questions = questions_to_sample(file, at=at, limit=limit)
    template, notes = _template(model, settings or ModelSettings())
    n = len(questions.asked) * drawing.n
    tokens = None
    if template is not None:
        tokens = (drawing.n * sum(_prompt_lengths(questions.asked, template)), n * drawing.max_tokens)
    return _plan(questions, out, model, n, "samples", tokens, prices, notes)


def _plan(
    questions: Questions,
    out: str | os.PathLike[str],
    model: str,
    n_answers: int,
    answers: str,
    tokens: tuple[int, int] | None,
    prices: Prices | None,
    notes: list[str],
) -> AskingPlan:
    return AskingPlan(
        name=questions.file.stem,
        out=os.fspath(out),
        model=model,
        n_episodes=len(questions.episodes),
        n_units=questions.n_units,
        unit=questions.unit,
        n_requests=len(questions.asked),
        n_answers=n_answers,
        answers=answers,
        n_nothing_scored=questions.n_nothing_scored,
        n_without_options=questions.n_without_options,
        tokens_in=None if tokens is None else tokens[0],
        tokens_out=None if tokens is None else tokens[1],
        cost_at_most=None if tokens is None or prices is None else prices.of(*tokens),
        notes=notes,
    )


def _template(model: str, settings: ModelSettings) -> tuple[Template | None, list[str]]:
    """The template, or why tokens cannot be counted."""
    kind = model.partition("/")[0]
    if kind == "scripted":
        return None, ["the scripted model has no tokens"]
    if kind == "openai" and not settings.tokenizer:
        return None, ["tokens and cost are not known without the model's tokenizer (--tokenizer)"]
    return named_template(model, settings), []


def _option_tokens(questions: Questions, template: Template, settings: ModelSettings) -> tuple[int, int]:
    """Every option behind a prompt of its own; of elicitation by sampling, every sample behind its own prompt."""
    written = {options: template.encode_options(options) for options in {one.episode.options or () for one in questions.asked}}
    n_in = n_out = 0
    for one, length in zip(questions.asked, _prompt_lengths(questions.asked, template), strict=True):
        options = written[one.episode.options or ()]
        if settings.elicit == "sampling":
            n_in += settings.n_elicit * length
            n_out += settings.n_elicit * max(map(len, options))
        else:
            n_in += sum(length + len(option) for option in options)
    return n_in, n_out


def _prompt_lengths(asked: Sequence[Asked], template: Template) -> list[int]:
    lengths: list[int] = []
    for some in _batches(asked):
        queries = [one.request for one in some if isinstance(one.request, Query)]
        lengths += map(len, template.encode_prompts([q.episode for q in queries], [q.input for q in queries]))
    return lengths


def _batches(asked: Sequence[Asked]) -> list[Sequence[Asked]]:
    return [asked[start : start + BATCH] for start in range(0, len(asked), BATCH)]


def _episodes(asked: Sequence[Asked]) -> list[Episode]:
    return [one.episode for one in asked]
