"""What `score` and `sample` share: the episodes of a file as questions, put to a model part by part in a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import polars as pl

from pluralign.episodes import Episode, read_episodes
from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel, ModelSettings, Query, open_model
from pluralign.models.cache import ResponseCache
from pluralign.models.queries import AskedAt, queries_of, scored_examples
from pluralign.progress import Tell
from pluralign.runs import Run, RunConfig
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import AnyModel, Engine, ModelEngine, Unit, held, run_units
from pluralign.stores import Place, place

__all__ = [
    "Asked",
    "Questions",
    "as_questions",
    "held_model",
    "opened_alike",
    "opened_model",
    "run_config",
    "run_parts",
    "settings_of_run",
    "whole_episodes",
]

M = TypeVar("M", bound=AnyModel)

PART_REQUESTS = 256
PART_CHARACTERS = 200_000
"""Of a part, a run's unit of work, which is lost when it is killed in the middle; text that a request shares with the one
before it does not count, and a request that is larger has a part of its own."""
N_FINGERPRINT = 16
"""Requests whose text as the model reads it tells one template from another."""
_SETTINGS = ("format", "revision", "dtype", "base_url", "tokenizer", "api", "elicit", "n_elicit")
"""Those that may change an answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and where it is from."""

    row: int
    """Number of the episode in the file, from 0."""
    episode: Episode
    """As the file has it."""
    request: Query | Episode
    """An episode where all its outputs are scored at once."""
    example_index: int | None = None
    true_output: str | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """What every record begins with."""
        return {"episode": self.row, "task": self.episode.task, "unit": self.episode.unit}


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a file, in its order, and what was left out."""

    file: Place
    episodes: list[Episode]
    asked: list[Asked]
    n_nothing_scored: int = 0
    """Episodes in which no output is scored."""
    n_without_options: int = 0
    """Episodes without options, where options were asked for."""

    @property
    def unit(self) -> str:
        """What intervals resample: "unit" where episodes name theirs, else each "episode" is one."""
        return "unit" if any(episode.unit is not None for episode in self.episodes) else "episode"

    @property
    def n_units(self) -> int:
        """An episode that names no unit is one of its own."""
        named = {episode.unit for episode in self.episodes} - {None}
        return len(named) + sum(episode.unit is None for episode in self.episodes)


def whole_episodes(file: str | os.PathLike[str], *, limit: int | None = None) -> Questions:
    """Every episode as one question about all its outputs. Raises DataError where the file has nothing to score."""
    episodes = _episodes(file, limit)
    asked = [Asked(n, episode, episode) for n, episode in enumerate(episodes) if scored_examples(episode)]
    found = Questions(place(file), episodes, asked, n_nothing_scored=len(episodes) - len(asked))
    return _not_empty(found)


def as_questions(
    file: str | os.PathLike[str], *, at: AskedAt, limit: int | None = None, need_options: bool = False
) -> Questions:
    """Queries for one output each. Raises DataError where none is left; `need_options` leaves out episodes without."""
    episodes = _episodes(file, limit)
    asked: list[Asked] = []
    n_nothing = n_without = 0
    for n, episode in enumerate(episodes):
        queries = queries_of(episode, at=at)
        n_without += need_options and not episode.options
        n_nothing += not queries and (bool(episode.options) or not need_options)
        if episode.options or not need_options:
            asked += [Asked(n, episode, one.query, one.example_index, one.true_output) for one in queries]
    return _not_empty(Questions(place(file), episodes, asked, n_nothing, n_without))


def opened_model(model: str | LanguageModel, settings: ModelSettings | None, cache: ResponseCache | None) -> LanguageModel:
    """The model of this name, or the given one as it is. Raises UsageError for settings that could not count."""
    if isinstance(model, str):
        return open_model(model, settings, cache=cache)
    if settings is not None or cache is not None:
        raise UsageError("settings and cache are for a model that is opened by its name; this one is open already.")
    return model


def held_model(
    engine: ModelEngine | None, model: str | LanguageModel, opened: LanguageModel, settings: ModelSettings | None
) -> AbstractContextManager[Engine | None]:
    """`units.held` for a language model: the engine's processes open it as `opened_model` does, without a cache."""
    name = model if isinstance(model, str) else model.name
    opening = functools.partial(opened_alike, functools.partial(open_model, name), settings, opened.fingerprint())
    return held(engine, model, opened, opening, settings)


def opened_alike(opening: Callable[[ModelSettings], M], settings: ModelSettings | None, fingerprint: str) -> M:
    """A model with this fingerprint, if it can be had: of precision "auto" is what was faster when it was opened there."""
    settings = settings or ModelSettings()
    model = opening(settings)
    others: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    for dtype in others if settings.dtype == "auto" else ():
        if model.fingerprint() == fingerprint or not model.name.startswith(("hf/", "embedded")):
            break
        model = opening(dataclasses.replace(settings, dtype=dtype))
    return model


def run_config(
    command: str,
    questions: Questions,
    model: LanguageModel,
    settings: ModelSettings | None,
    arguments: Mapping[str, Any],
    *,
    seed: int,
) -> RunConfig:
    """What makes two runs the same: file, model, how it is asked, and the first requests as the model reads them."""
    some = questions.asked[:N_FINGERPRINT]
    with _located(questions.file, some):
        first = model.request_bytes([asked.request for asked in some])
    lengths = ",".join(str(len(one)) for one in first).encode()
    return RunConfig(
        command=command,
        arguments={
            **arguments,
            "model": model.name,
            "model_fingerprint": model.fingerprint(),
            "first_requests_sha256": hashlib.sha256(lengths + b" " + b"".join(first)).hexdigest(),
            "settings": settings_of_run(settings),
        },
        seed=seed,
        inputs={"episodes": os.fspath(questions.file)},
    )


def settings_of_run(settings: ModelSettings | None) -> dict[str, Any]:
    """Those that change what a model is asked or says, JSON-ready."""
    if settings is None:
        return {}
    return {**{name: getattr(settings, name) for name in _SETTINGS}, "chat": dataclasses.asdict(settings.chat)}


def run_parts(
    run: Run,
    questions: Questions,
    model: LanguageModel,
    compute: Callable[[LanguageModel, Sequence[Asked]], pl.DataFrame],
    *,
    requests_each: int = 1,
    engine: Engine | None = None,
    tell: Tell | None = None,
) -> tuple[pl.DataFrame, Totals]:
    """The records of all questions in their order, each part computed once however often the run is started.

    A part is consecutive questions, so that those behind one prompt stand together; where they are more than a part takes,
    the parts are marked as beginning alike.
    """
    asked, file = questions.asked, questions.file
    units, begins = [], ""
    for number, (start, stop) in enumerate(_parts(asked, requests_each)):
        if not start or not _shares_text(asked[start - 1], asked[start]):
            begins = str(start)
        work = functools.partial(_part, compute, asked[start:stop], file)
        units.append(Unit(f"part-{number:05d}", work, stop - start, begins))
    found = run_units(run, units, model, engine=engine, tell=tell)
    return pl.concat([one.table for one in found]), sum((one.totals for one in found), Totals())


def _part(
    compute: Callable[[LanguageModel, Sequence[Asked]], pl.DataFrame], asked: Sequence[Asked], file: Place, model: LanguageModel
) -> pl.DataFrame:
    with _located(file, asked):
        return compute(model, asked)


@contextlib.contextmanager
def _located(file: Place, asked: Sequence[Asked]) -> Iterator[None]:
    """Names the file and the episodes in what a model says of its input; it counts from the first of what it was given."""
    try:
        yield
    except DataError as error:
        first, last = asked[0].row + 1, asked[-1].row + 1
        where = f"episode {first}" if first == last else f"episodes {first}..{last}"
        raise DataError(f"{file}, {where}: {error.where}", error.faults) from error


def _parts(asked: Sequence[Asked], requests_each: int) -> list[tuple[int, int]]:
    """First and behind-last question of each part."""
    parts, start, size = [], 0, 0
    before: list[str] = []
    for n, one in enumerate(asked):
        texts = _texts(one.request)
        new = sum(map(len, texts[_n_shared(before, texts) :]))
        before = texts
        if n > start and ((n - start + 1) * requests_each > PART_REQUESTS or size + new > PART_CHARACTERS):
            parts.append((start, n))
            start, size = n, 0
        size += new
    return [*parts, (start, len(asked))]


def _n_shared(before: Sequence[str], texts: Sequence[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(before, texts, strict=False)) if a != b), min(len(before), len(texts)))


def _shares_text(before: Asked, one: Asked) -> bool:
    texts = _texts(one.request)
    return any(texts[: _n_shared(_texts(before.request), texts)])


def _texts(request: Query | Episode) -> list[str]:
    episode = request.episode if isinstance(request, Query) else request
    texts = [episode.description or "", *(text for e in episode.examples for text in (e.input or "", e.output))]
    return texts + ([request.input or "", *(request.options or episode.options or ())] if isinstance(request, Query) else [])


def _episodes(file: str | os.PathLike[str], limit: int | None) -> list[Episode]:
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of episodes, at least 1.")
    episodes = read_episodes(file)
    if not episodes:
        raise DataError(os.fspath(file), "there are no episodes in this file.")
    return episodes[:limit]


def _not_empty(questions: Questions) -> Questions:
    if questions.asked:
        return questions
    faults = []
    if questions.n_without_options:
        faults.append(
            f"{questions.n_without_options:,} of {len(questions.episodes):,} episodes have no options; "
            "give them a closed set of answers (`options`), or score their outputs (--ask outputs)."
        )
    if questions.n_nothing_scored:
        faults.append(
            f"{questions.n_nothing_scored:,} of {len(questions.episodes):,} episodes have nothing to score: they need a second "
            "example, or one example behind a description."
        )
    raise DataError(str(questions.file), faults)
