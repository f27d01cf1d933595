"""Episodes are cut to a model's window by whole examples, and no more than needed."""

from __future__ import annotations

import pytest

from pluralign.episodes import Episode, Example
from pluralign.models import Query, ScriptedModel, open_model
from pluralign.models.windows import context_tokens, fit_to_context, token_lengths

OPTIONS = ("1", "2", "3", "4", "5")


def _episode(n: int, description: str = "One person's ratings.") -> Episode:
    return Episode("t", tuple(Example("3", f"Saving part {k} of every wage.") for k in range(n)), description, OPTIONS)


@pytest.fixture(scope="module")
def embedded():  # type: ignore[no-untyped-def]
    return open_model("embedded")


def test_local_models_are_counted_in_their_own_tokens(embedded) -> None:  # type: ignore[no-untyped-def]
    query = Query(_episode(3), "Saving nothing.")
    (length,) = token_lengths(embedded, [query])
    prompt = embedded.template.encode_prompts([query.episode], [query.input])[0]
    assert length == len(prompt) + max(len(ids) for ids in embedded.template.encode_options(OPTIONS))
    assert context_tokens(embedded) == embedded.loaded.most_tokens


@pytest.mark.parametrize("room", [60, 100, 200])
def test_as_many_examples_as_find_room_and_the_last_ones(embedded, room: int) -> None:  # type: ignore[no-untyped-def]
    episode = _episode(40)
    queries = [Query(episode, "Saving nothing."), Query(episode, "Saving nothing at all in a long, long winter.")]
    found = fit_to_context(embedded, queries, most_tokens=room)
    first, second = found.queries
    assert first.episode is second.episode
    kept = len(first.episode.examples)
    assert kept + found.n_left_out[0] == 40
    assert first.episode.examples == episode.examples[40 - kept :]
    assert max(token_lengths(embedded, found.queries)) <= room
    one_more = Episode("t", episode.examples[39 - kept :], episode.description, OPTIONS)
    assert max(token_lengths(embedded, [Query(one_more, query.input) for query in queries])) > room


def test_what_fits_stays_as_it_is(embedded) -> None:  # type: ignore[no-untyped-def]
    query = Query(_episode(2), "Saving nothing.")
    found = fit_to_context(embedded, [query])
    assert found.queries[0] is query
    assert found == ([query], [0], [True])


def test_a_query_that_is_too_long_by_itself_does_not_shorten_the_others(embedded) -> None:  # type: ignore[no-untyped-def]
    episode = _episode(4)
    found = fit_to_context(embedded, [Query(episode, "word " * 300), Query(episode, "Saving.")], most_tokens=150)
    assert found.fits == [False, True]
    assert found.n_left_out[1] < 4


def test_without_a_known_window_nothing_is_cut_and_a_given_one_is_an_estimate() -> None:
    model = ScriptedModel()
    assert context_tokens(model) is None
    query = Query(_episode(40), "Saving nothing.")
    assert fit_to_context(model, [query]).queries == [query]
    found = fit_to_context(model, [query], most_tokens=200)
    assert 0 < len(found.queries[0].episode.examples) < 40
    assert token_lengths(model, found.queries)[0] <= 200
