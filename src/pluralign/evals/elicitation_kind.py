"""The evaluation of elicitations: does it matter how a distribution is had of a model?

    logprobs      the model's own probabilities of the options
    sampling      shares among 30 outputs that are drawn, each asked for anew
    verbalised    what the model writes down as JSON when it is asked how probable each option is, one reply at temperature 1

Tasks and questions are those of alignment; a record is one question asked in one way. Each way has its distance to people, each
pair of ways theirs to each other (`sensitivity_elicitations`).

A way that a model or server does not have is an outcome of its requests, never a number: "failed" where it gives no
log-probabilities of the options, "malformed" where the reply is no JSON object of probabilities. A server that is set to
another way (`--elicit`) is asked in that way as it is set; then there are no log-probabilities of it.

Not asked unless it is named: a question takes 32 requests, where alignment takes one, and most models that answer from
log-probabilities write no JSON.

Source: Meister et al. 2024 (arXiv 2411.05403). Departures: theirs are 30 samples in one reply, ours 30 independent replies; the
wording of the request is ours.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import ModelError, PluralignError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import Question
from pluralign.evals.alignment_records import answered_records, checked_records, query_of
from pluralign.evals.answers import each_answered, failed, is_too_long
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding
from pluralign.evals.kinds import EvaluationKind, Material, Setting
from pluralign.evals.sensitivity_elicitations import compare_elicitations, elicitation_items
from pluralign.evals.sensitivity_kind import LIMIT, usual_tasks
from pluralign.models import LanguageModel, OptionLogprobs, Query, Sample, SamplingSettings
from pluralign.models.elicitation import (
    Malformed,
    counted,
    output_room,
    parse_verbalised,
    stated,
    verbalised_request,
    verbalised_room,
)
from pluralign.models.protocol import Elicitation

__all__ = ["ELICITATION", "N_SAMPLES", "ElicitationEvaluation", "usual_tasks"]

N_SAMPLES = 30
"""Outputs behind a distribution that is counted."""
_OF_WAY = ("total_variation", "js_divergence_nats", "covered_mass", "answered_share")
_OUTCOMES = ("refusal_share", "malformed_share", "failed_share", "no_mass_share")
_TO_PEOPLE = "total_variation"


class ElicitationEvaluation:
    """The evaluation; see `EvaluationKind`."""

    name = "elicitation"
    about = "whether it matters how a distribution is had: from probabilities, counted samples or stated numbers"

    def tasks(self) -> Sequence[str]:
        """Those of alignment; `material` also takes a file of ratings."""
        return ALIGNMENT.tasks()

    def material(self, task: str, setting: Setting) -> Material:
        """Up to 100 questions of the task, of those that alignment asks with the same seed. Raises as alignment does."""
        found = ALIGNMENT.material(task, replace(setting, limit=LIMIT if setting.limit is None else setting.limit))
        return replace(found, requests_each=N_SAMPLES + 2)

    def ask(self, questions: Sequence[Any], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """A record of each question and elicitation, as alignment has them, elicitation by elicitation.

        Raises what the model raises of its outputs; that it gives no log-probabilities is an outcome.
        """
        asked: list[Question] = list(questions)
        queries = [query_of(one) for one in asked]
        answers = _in_every_way(model, queries, setting.seed)
        tables = [
            answered_records(asked, [replace(one, elicitation=way) for one in some], model) for way, some in answers.items()
        ]
        return pl.concat(tables)

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """By question: distances of pairs of elicitations, and of each elicitation to people, with the group they are of."""
        found = [pl.DataFrame(schema=GROUPED_ITEM_SCHEMA), elicitation_items(records)]
        for (way,), of_way in records.group_by("elicitation", maintain_order=True):
            items = ALIGNMENT.items(of_way).filter(pl.col("metric").is_in(_OF_WAY))
            found.append(
                items.with_columns(item=pl.col("item") + f" ({way})", group=pl.lit(str(way)), group_unit=pl.col("unit"))
            )
        return pl.concat(found)

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """Task by task: how far elicitations are apart, then each one's distance to people and what came of its requests."""
        between = compare_elicitations(records, seed=seed)
        found = []
        for of_task in checked_records(records).partition_by("task", maintain_order=True):
            task = of_task["task"][0]
            found += [one for one in between if one.task == task]
            for way in of_task["elicitation"].unique(maintain_order=True).to_list():
                found += _of_way(of_task.filter(pl.col("elicitation") == way), way, seed)
        return found


def _of_way(records: pl.DataFrame, way: str, seed: int) -> list[Finding]:
    """Alignment of one elicitation, named as the group."""
    return [
        replace(one, group=way, is_headline=one.metric == _TO_PEOPLE)
        for one in ALIGNMENT.findings(records, seed=seed)
        if one.group is None and one.metric in (*_OF_WAY, *_OUTCOMES)
    ]


# asking


def _in_every_way(model: LanguageModel, queries: Sequence[Query], seed: int) -> dict[Elicitation, list[OptionLogprobs]]:
    """The answers of each elicitation, those of the model's own way as it is set."""
    own = each_answered(model.option_logprobs, queries, failed, is_lost=_is_lost)
    own_way: Elicitation = next((one.elicitation for one in own if one.outcome == "ok"), "logprobs")
    found: dict[Elicitation, list[OptionLogprobs]] = {}
    for way in get_args(Elicitation):
        if way == own_way:
            found[way] = own
        elif way == "sampling":
            found[way] = _sampled(model, queries, seed)
        elif way == "verbalised":
            found[way] = _verbalised(model, queries, seed)
        else:
            why = f"the model is set to be asked by {own_way} (--elicit); leave that out for its log-probabilities"
            found[way] = [failed(query, why) for query in queries]
    return found


def _is_lost(error: PluralignError) -> bool:
    """What may be said of a single query. A server that is gone says so again when outputs are drawn, which is raised."""
    return isinstance(error, ModelError) or is_too_long(error)


def _sampled(model: LanguageModel, queries: Sequence[Query], seed: int) -> list[OptionLogprobs]:
    rooms = [output_room(query.asked_options) for query in queries]
    drawn = _drawn(model, queries, rooms, n=N_SAMPLES, seed=seed)
    return [counted(query.asked_options, samples) for query, samples in zip(queries, drawn, strict=True)]


def _verbalised(model: LanguageModel, queries: Sequence[Query], seed: int) -> list[OptionLogprobs]:
    rooms = [verbalised_room(query.asked_options) for query in queries]
    drawn = _drawn(model, [_verbalised_query(query) for query in queries], rooms, n=1, seed=seed)
    return [_read(query, reply) for query, [reply] in zip(queries, drawn, strict=True)]


def _drawn(model: LanguageModel, queries: Sequence[Query], rooms: Sequence[int], *, n: int, seed: int) -> list[list[Sample]]:
    """Outputs of each query within its room of tokens; those that are too long for the model never came."""
    found: list[list[Sample]] = [[] for _ in queries]
    for room in sorted(set(rooms)):
        which = [i for i, one in enumerate(rooms) if one == room]
        settings = SamplingSettings(n=n, max_tokens=room, seed=seed)
        samples = each_answered(
            functools.partial(model.sample, settings=settings),
            [queries[i] for i in which],
            lambda _, why: [Sample("", "failed", detail=why)] * n,
        )
        for i, some in zip(which, samples, strict=True):
            found[i] = some
    return found


def _verbalised_query(query: Query) -> Query:
    """The request for the probabilities of the options in place of one of them."""
    episode = query.episode
    asked = verbalised_request(query.input or "", query.asked_options)
    return Query(Episode(episode.task, episode.examples, episode.description, unit=episode.unit), asked)


def _read(query: Query, reply: Sample) -> OptionLogprobs:
    """The distribution that was written down, or what else came."""
    lost = failed(query, reply.detail)
    if reply.finish_reason == "refusal":
        return replace(lost, outcome="refusal")
    if reply.finish_reason == "failed":
        return lost
    if reply.finish_reason == "length":
        return replace(lost, outcome="malformed", detail=f"the reply was cut off: {reply.text[:100]!r}")
    try:
        return stated(query.asked_options, parse_verbalised(reply.text, query.asked_options))
    except Malformed as fault:
        return replace(lost, outcome="malformed", detail=f"{fault}: {reply.text[:100]!r}")


ELICITATION: EvaluationKind = ElicitationEvaluation()
