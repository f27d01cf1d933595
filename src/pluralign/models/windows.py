"""How much a model reads at once: prompts counted in its tokens, and episodes cut to its window by whole examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pluralign.episodes import Episode
from pluralign.models.protocol import LanguageModel, Query
from pluralign.models.token_requests import prompt_ids

__all__ = ["FittedQueries", "context_tokens", "fit_to_context", "token_lengths"]

BYTES_A_TOKEN = 3
"""Where the model's tokens are not ours to count; less than most tokenizers get out of most languages, so it errs upward."""
_ROOM = 0.8
"""Of the window; prompts that the longest text leads one to expect below it are not counted one by one."""


class FittedQueries(NamedTuple):
    queries: list[Query]
    n_left_out: list[int]
    """[queries] examples that found no room, the first ones of the episode."""
    fits: list[bool]
    """[queries] False for a query that is too long without any example: it must not be asked."""


def context_tokens(model: LanguageModel) -> int | None:
    """Tokens of the model's window; None where it is not known here, as for a server."""
    most = getattr(getattr(_inner(model), "loaded", None), "most_tokens", None)
    return None if most is None else int(most)


def token_lengths(model: LanguageModel, queries: Sequence[Query]) -> list[int]:
    """[queries] tokens of prompt and longest option; an upper estimate for a model whose tokens are not counted here."""
    template = getattr(_inner(model), "template", None)
    if template is None:
        return [-(-_n_bytes(query) // BYTES_A_TOKEN) for query in queries]
    options = {asked: _longest(template, asked) for asked in {query.given_options for query in queries}}
    prompts = prompt_ids(template, queries)
    return [len(prompt) + options[query.given_options] for prompt, query in zip(prompts, queries, strict=True)]


def fit_to_context(model: LanguageModel, queries: Sequence[Query], *, most_tokens: int | None = None) -> FittedQueries:
    """The queries with as many examples as the window takes, the last ones of each episode; texts are never cut.

    `most_tokens` for prompt and answer, at most those that the model reads; if neither is known nothing is cut. Queries that
    share an episode keep sharing one, cut for the longest of them.
    """
    known = [most for most in (most_tokens, context_tokens(model)) if most is not None]
    if not known:
        return FittedQueries(list(queries), [0] * len(queries), [True] * len(queries))
    room = min(known)
    found = FittedQueries(list(queries), [0] * len(queries), [True] * len(queries))
    by_episode: dict[int, list[int]] = {}
    for n, query in enumerate(queries):
        by_episode.setdefault(id(query.episode), []).append(n)
    longest = [max(rows, key=lambda n: len((queries[n].input or "").encode())) for rows in by_episode.values()]
    lengths = token_lengths(model, [queries[n] for n in longest])
    for rows, length in zip(by_episode.values(), lengths, strict=True):
        if length > _ROOM * room:
            _cut(model, found, rows, room)
    return found


def _cut(model: LanguageModel, found: FittedQueries, rows: Sequence[int], room: int) -> None:
    """Cuts one episode for all that is asked of it."""
    own = [found.queries[n] for n in rows]
    episode = own[0].episode
    bare = token_lengths(model, [replace(query, episode=replace(episode, examples=())) for query in own])
    asked = [n for n, length in zip(rows, bare, strict=True) if length <= room]
    for n in set(rows) - set(asked):
        found.fits[n] = False
    if not asked:
        return
    # prompts differ in the asked input alone, so the longest without examples is the longest with them
    widest = own[max((k for k, n in enumerate(rows) if n in set(asked)), key=bare.__getitem__)]
    low, high = 0, len(episode.examples)  # examples to leave out: enough are known to be `high`
    while low < high:
        middle = (low + high) // 2
        if token_lengths(model, [replace(widest, episode=_without(episode, middle))])[0] <= room:
            high = middle
        else:
            low = middle + 1
    shorter = _without(episode, high)
    for n in asked:
        found.queries[n] = replace(found.queries[n], episode=shorter)
        found.n_left_out[n] = high


def _without(episode: Episode, n: int) -> Episode:
    return replace(episode, examples=episode.examples[n:]) if n else episode


def _inner(model: LanguageModel) -> Any:
    """The model behind one that remembers its answers."""
    return getattr(model, "model", model)


def _longest(template: Any, options: tuple[str, ...] | None) -> int:
    return max((len(ids) for ids in template.encode_options(options)), default=0) if options else 0


def _n_bytes(query: Query) -> int:
    episode = query.episode
    texts = [episode.description, query.input, *(text for e in episode.examples for text in (e.input, e.output))]
    texts += [max(query.given_options or ("",), key=len)]
    return sum(len(text.encode()) + 8 for text in texts if text is not None)
