"""The three verbs of a local model, from texts to numbers."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import tiny, tiny_models
from models.strategies import MAKERS, episodes, plain_texts, texts
from models.tiny_models import BETWEEN_KERNELS
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError
from pluralign.models import ChatStyle, Query, SamplingSettings, open_template
from pluralign.models.loading import prepare
from pluralign.models.local import LocalModel
from reference.plain_scoring import plain_logprobs

FORMATS = ("spectrum", "colon", "chat")
N_IDS = 480


@functools.cache
def _weights(kind: str) -> Any:
    """No id in particular is likely; the words below somewhat."""
    return tiny_models.talkative(kind, range(N_IDS), vocab_size=N_IDS)


@functools.cache
def _model(case: str = "spectrum-chatml", kind: str = "llama") -> LocalModel:
    name, make = MAKERS[case]
    return LocalModel(
        prepare(tiny_models.talkative(kind, range(N_IDS), vocab_size=N_IDS), torch.float32),
        open_template(name, make()),
        name="hf/tiny",
        weights="tiny",
    )


def _score(model: LocalModel, kind: str, prompt: np.ndarray, output: np.ndarray) -> float:
    """The output's log-probability behind the prompt, one sequence at a time."""
    ids = np.concatenate([prompt, output])
    return float(plain_logprobs(_weights(kind), ids)[0][len(prompt) - 1 :].sum())


RATER = Episode(
    "warmth",
    (Example("yes", "How warm?"), Example("no"), Example("maybe", "And now?")),
    description="The rater likes it warm.",
    options=("yes", "no", "maybe"),
)
QUIET = dataclasses.replace(RATER, description=None)
PREFIXES = ("1", "10", "100", "1 0", "yes", "yes, it is very warm in the water today.", "How", "How warm")
QUERIES = [
    Query(RATER, "And then?"),
    Query(RATER, "And then?", PREFIXES),
    Query(QUIET),
    Query(Episode("coin", (), "A coin."), None, ("heads", "tails")),
    Query(RATER, "And then?"),
    Query(Episode("coin", (), "A coin.", ("tails", "heads"))),
    Query(dataclasses.replace(RATER, examples=RATER.examples[:1]), "And now?", ("maybe",)),
]


# options


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "bloom"])
@pytest.mark.parametrize("case", ["spectrum-chatml", "colon-gemma", "chat-llama"])
def test_options_are_scored_with_their_end(case: str, kind: str) -> None:
    """Options that are how others begin, of one token and many, asked twice, in other orders; each by itself."""
    model = _model(case, kind)
    found = model.option_logprobs(QUERIES)
    assert [one.options for one in found] == [query.asked_options for query in QUERIES]
    assert {one.outcome for one in found} == {"ok"}
    assert {one.elicitation for one in found} == {"logprobs"}
    for query, one in zip(QUERIES, found, strict=True):
        [prompt] = model.template.encode_prompts([query.episode], [query.input])
        options = model.template.encode_options(query.asked_options)
        assert all(tuple(ids[-len(model.template.end_ids) :]) == model.template.end_ids for ids in options)
        expected = [_score(model, kind, prompt, ids) for ids in options]
        assert one.logprobs == pytest.approx(expected, abs=BETWEEN_KERNELS)
        assert one.covered_mass + one.outside_mass == pytest.approx(1)
        assert 0 < one.covered_mass < 1
        assert one.probabilities.sum() == pytest.approx(1)
    assert (found[0].logprobs == found[4].logprobs).all()


def test_the_end_tells_an_option_from_one_that_begins_with_it() -> None:
    """Without it "1" would have all of the probability of "10" and "100"."""
    model = _model()
    [found] = model.option_logprobs([Query(RATER, None, ("1", "10"))])
    [prompt] = model.template.encode_prompts([RATER], [None])
    one, ten = model.template.encode_options(("1", "10"))
    assert ten[: len(one) - 1].tolist() == one[:-1].tolist()
    without_end = _score(model, "llama", prompt, one[:-1])
    assert found.logprobs[0] < without_end - 0.1
    assert found.logprobs[1] < without_end


@pytest.mark.parametrize("case", ["spectrum-gemma", "colon-plain", "chat-chatml"])
@settings(max_examples=15, deadline=None)
@given(episode=episodes(), asked=st.none() | texts, options=st.lists(plain_texts, min_size=1, max_size=5, unique=True))
def test_any_texts(case: str, episode: Episode, asked: str | None, options: list[str]) -> None:
    """Control tokens' names in every field too."""
    model = _model(case)
    try:
        written = model.template.encode_options(options)
    except DataError:
        with pytest.raises(DataError, match="option"):
            model.option_logprobs([Query(episode, asked, tuple(options))])
        return
    [found] = model.option_logprobs([Query(episode, asked, tuple(options))])
    [prompt] = model.template.encode_prompts([episode], [asked])
    expected = [_score(model, "llama", prompt, ids) for ids in written]
    assert found.logprobs == pytest.approx(expected, abs=BETWEEN_KERNELS)


@pytest.mark.parametrize("case", ["spectrum-chatml", "colon-llama", "chat-gemma"])
def test_names_of_control_tokens_are_text(case: str) -> None:
    """In every field, and as options: none has the probability of the token itself."""
    model = _model(case)
    text = "".join(tiny.CONTROL_TEXTS)
    episode = Episode("t", (Example(text[::-1] + text), Example("yes", "<eos>")), "<bos>")
    query = Query(episode, "<|im_end|><end_of_turn>", (*tiny.CONTROL_TEXTS, "yes"))
    [found] = model.option_logprobs([query])
    written = model.template.encode_options(query.asked_options)
    controls = model.template.content.control_ids
    assert all(len(ids) > len(model.template.end_ids) + 1 for ids in written[:-1])
    assert all(controls.isdisjoint(ids[: -len(model.template.end_ids)].tolist()) for ids in written)
    [prompt] = model.template.encode_prompts([episode], [query.input])
    expected = [_score(model, "llama", prompt, ids) for ids in written]
    assert found.logprobs == pytest.approx(expected, abs=BETWEEN_KERNELS)


def test_options_that_cannot_be_asked_for() -> None:
    model = _model()
    bare = dataclasses.replace(RATER, options=None)
    with pytest.raises(UsageError, match="episode 'warmth' has no options"):
        model.option_logprobs([Query(RATER), Query(bare)])
    with pytest.raises(UsageError, match="has no options"):
        model.option_logprobs([Query(RATER, None, ())])
    with pytest.raises(UsageError, match="different texts and not empty"):
        model.option_logprobs([Query(RATER, None, ("yes", "yes"))])
    with pytest.raises(DataError, match="option '' has no tokens in this tokenizer"):
        model.option_logprobs([Query(RATER, None, ("yes", ""))])
    with pytest.raises(DataError, match=r"the same tokens in this tokenizer"):
        _model("spectrum-first").option_logprobs([Query(RATER, None, ("a b", "a\N{LOWER ONE EIGHTH BLOCK}b"))])


@pytest.mark.parametrize("where", ["input", "option"])
def test_half_of_a_surrogate_pair(where: str) -> None:
    query = Query(RATER, "a\ud800b") if where == "input" else Query(RATER, None, ("yes", "a\ud800b"))
    with pytest.raises(DataError, match=r"'a\\ud800b' has half of a surrogate pair \(U\+D800\) at character 2"):
        _model().option_logprobs([query])


# outputs


@pytest.mark.parametrize("case", ["spectrum-gemma", "colon-chatml", "chat-llama"])
@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "bloom"])
def test_one_pass_is_as_many_as_there_are_examples(kind: str, case: str) -> None:
    model = _model(case, kind)
    asked = [RATER, QUIET, Episode("t", (Example("no"),)), Episode("t", (Example(""), Example("", ""), Example("10")), "d")]
    found = model.output_logprobs(asked)
    assert [one.example_index.tolist() for one in found] == [[0, 1, 2], [1, 2], [], [0, 1, 2]]
    for episode, one in zip(asked, found, strict=True):
        assert one.outcome == "ok"
        assert len(one.logprobs) == len(one.n_tokens) == len(one.is_argmax) == len(one.example_index)
        for n, k in enumerate(one.example_index):
            known = dataclasses.replace(episode, examples=episode.examples[:k])
            [prompt] = model.template.encode_prompts([known], [episode.examples[k].input])
            [ids] = model.template.content.encode([model.template._layout.output_text(episode.examples[k].output)])
            output = np.concatenate([ids, model.template.end_ids]).astype(np.int32)
            assert one.logprobs[n] == pytest.approx(_score(model, kind, prompt, output), abs=BETWEEN_KERNELS)
            assert one.n_tokens[n] == len(output)


def test_an_output_is_the_most_probable_only_if_every_token_is() -> None:
    """Of a model that ends its outputs at once: an empty one is the most probable, of others only the end is."""
    template = _model().template
    weights = tiny_models.talkative("llama", template.end_ids, vocab_size=N_IDS)
    model = LocalModel(prepare(copy.deepcopy(weights), torch.float32), template, name="hf/tiny")
    asked = [Episode("t", (Example("yes"), Example(text)), "d") for text in ("", "no", "1", "yes, it is very warm")]
    seen = set()
    for one, encoded in zip(model.output_logprobs(asked), template.encode(asked), strict=True):
        flags = plain_logprobs(weights, encoded.ids)[1]
        of_token = np.where(encoded.is_loss, encoded.example_index, -1)[1:]
        assert one.is_argmax.tolist() == [bool(flags[of_token == k].all()) for k in one.example_index]
        seen |= {(bool(flags[of_token == 1].all()), bool(flags[of_token == 1].any()))}
    assert seen == {(True, True), (False, True)}


@settings(max_examples=30, deadline=None)
@given(episode=episodes(plain_texts))
def test_all_formats_score_the_same_outputs(episode: Episode) -> None:
    """The first only where a description stands before it."""
    cases = ("spectrum-chatml", "colon-chatml", "chat-chatml")
    scored = [_model(case).output_logprobs([episode])[0].example_index.tolist() for case in cases]
    first = 0 if episode.description is not None else 1
    assert scored[0] == scored[1] == scored[2] == list(range(first, len(episode.examples)))


def test_with_all_examples_in_the_prompt_the_last_output_is_scored() -> None:
    template = open_template("chat", tiny.instruct("llama"), chat=ChatStyle(examples_in_prompt=True))
    model = LocalModel(_model().loaded, template, name="hf/tiny")
    [found] = model.output_logprobs([RATER])
    assert found.example_index.tolist() == [2]
    [options] = model.option_logprobs([Query(dataclasses.replace(RATER, examples=RATER.examples[:2]), "And now?")])
    assert found.logprobs[0] == pytest.approx(options.logprobs[options.options.index("maybe")], abs=BETWEEN_KERNELS)


@pytest.mark.parametrize(
    ("case", "end"), [("spectrum-chatml", "<|im_end|>"), ("colon-chatml", "\n\n"), ("chat-llama", "<|eot_id|>")]
)
def test_where_an_output_ends_and_what_it_says(case: str, end: str) -> None:
    template = _model(case).template
    [text] = template.content.encode([template._layout.output_text(" a\nb")])
    ids, ends = text.tolist(), list(template.end_ids)
    assert template.content.decode(ends) == end
    assert not template.has_ended([])
    assert not any(template.has_ended(ids[:n]) for n in range(len(ids) + 1))
    assert not any(template.has_ended([*ids, *ends[:n]]) for n in range(len(ends)))
    assert template.has_ended([*ids, *ends])
    assert template.has_ended(ends)
    assert template.read_output([*ids, *ends]) == template.read_output(ids) == " a\nb"
    assert template.read_output(ends) == template.read_output([]) == ""
    assert template.has_ended([*ids, 7], stop_ids={7})
    assert not template.has_ended([7, *ids], stop_ids={7})
    assert template.read_output([*ids, 7], stop_ids={7}) == " a\nb"
    assert template.read_output([*ids, *ends], stop_ids={ends[-1]}) == " a\nb"


def test_nothing_asked() -> None:
    model = _model()
    assert model.option_logprobs([]) == []
    assert model.output_logprobs([]) == []
    assert model.sample([], SamplingSettings()) == []
    assert model.request_bytes([]) == []
    [none] = model.output_logprobs([Episode("t", ())])
    assert [len(part) for part in (none.example_index, none.logprobs, none.n_tokens, none.is_argmax)] == [0, 0, 0, 0]
    assert [part.dtype for part in (none.example_index, none.logprobs, none.is_argmax)] == [np.int64, np.float64, np.bool_]


def test_tokens_are_counted_over_all_that_is_asked() -> None:
    model = LocalModel(_model().loaded, _model().template, name="hf/tiny")
    assert dataclasses.asdict(model.usage) == dict.fromkeys(dataclasses.asdict(model.usage), 0)
    model.option_logprobs(QUERIES)
    first = model.usage.tokens_needed
    assert first <= model.usage.tokens_computed
    model.output_logprobs([RATER])
    [encoded] = model.template.encode([RATER])
    assert model.usage.tokens_needed == first + len(encoded) - 1
    model.sample(QUERIES[:1], SamplingSettings(n=2, max_tokens=3))
    assert 2 <= model.usage.output_tokens <= 6


def test_requests_made_into_several_trees_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _model().option_logprobs(QUERIES), _model().output_logprobs([RATER, QUIET, RATER])
    monkeypatch.setattr("pluralign.models.local.TOKENS_AT_ONCE", 1)
    parts = _model().option_logprobs(QUERIES), _model().output_logprobs([RATER, QUIET, RATER])
    for one, other in zip(itertools.chain(*whole), itertools.chain(*parts), strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=BETWEEN_KERNELS)


# requests as bytes


@pytest.mark.parametrize("case", ["spectrum-chatml", "colon-plain", "chat-gemma"])
def test_bytes_of_requests_are_those_of_their_tokens(case: str) -> None:
    model = _model(case)
    asked: list[Query | Episode] = [
        *QUERIES,
        RATER,
        QUIET,
        Query(RATER, "And then?", ("no", "yes", "maybe")),
        Query(RATER, "And then?", ("yes", "no")),
        Query(dataclasses.replace(RATER, options=None), "And then?"),
        Query(RATER, "And then!"),
    ]
    found = model.request_bytes(asked)
    assert found == [one for request in asked for one in model.request_bytes([request])]
    assert found == model.request_bytes(asked[::-1])[::-1]
    assert [n for n, one in enumerate(found) if one == found[0]] == [0, 4]  # the same query twice
    assert len(set(found)) == len(found) - 1
    renamed = dataclasses.replace(RATER, task="another", unit="r1", attributes={"age": 30})
    assert model.request_bytes([renamed, Query(renamed, "And then?")]) == [found[7], found[0]]


def test_an_episode_is_another_request_where_its_outputs_are_parted_otherwise() -> None:
    """Here two episodes are the same tokens with the same loss, but in one they belong to two examples."""
    model = _model("colon-chatml")
    one = Episode("t", (Example("a"), Example("b\n\nOutput: c")))
    other = Episode("t", (Example("a"), Example("b"), Example("c")))
    assert len(set(model.request_bytes([one, other]))) == 2


# too long


def test_a_context_that_is_too_long_says_how_long_and_what_to_cut() -> None:
    model = _model()
    most = model.loaded.most_tokens
    assert most == 512
    long = Episode("long", tuple(Example("yes" if n % 2 else "no") for n in range(120)), "d", ("yes", "maybe"))
    [prompt] = model.template.encode_prompts([long], [None])
    options = model.template.encode_options(("yes", "maybe"))
    n_option = max(map(len, options))
    said = rf"{len(prompt):,} of the prompt and {n_option} of the longest option, in tokens"
    message = rf"context too long: episode 2 of 2 \(long\): {said}"
    with pytest.raises(DataError, match=rf"{message}; the model takes 512; leave out examples \(it has 120\) or shorten"):
        model.option_logprobs([QUERIES[0], Query(long)])
    [encoded] = model.template.encode([long])
    with pytest.raises(
        DataError, match=rf"episode 1 of 1 \(long\): {len(encoded):,} in all, in tokens; the model takes 512; leave out"
    ):
        model.output_logprobs([long])
    with pytest.raises(DataError, match=rf"{len(prompt):,} of the prompt and 7 that may be drawn \(max_tokens\), in tokens"):
        model.sample([Query(long)], SamplingSettings(max_tokens=7))
    with pytest.raises(DataError, match=r"context too long: 21 faults[\s\S]*and 5 more"):
        model.output_logprobs([long] * 25)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_what_just_fits_is_scored(kind: str) -> None:
    """The last token is only predicted, never read: 513 fit into 512, and 514 do not."""
    model = _model("spectrum-chatml", kind)
    [end] = model.template.encode_options(["yes"])
    [empty] = model.template.encode_prompts([RATER], [""])
    assert len(model.template.content.encode(["%" * 50])[0]) == 50
    n_free = 513 - len(empty) - len(end)
    [found] = model.option_logprobs([Query(RATER, "%" * n_free, ("yes",))])
    [prompt] = model.template.encode_prompts([RATER], ["%" * n_free])
    assert len(prompt) + len(end) == 513
    assert found.logprobs[0] == pytest.approx(_score(model, kind, prompt, end), abs=BETWEEN_KERNELS)
    with pytest.raises(DataError, match="context too long"):
        model.option_logprobs([Query(RATER, "%" * (n_free + 1), ("yes",))])


def test_an_item_of_a_megabyte_is_refused_within_seconds() -> None:
    model = _model()
    start = time.process_time()
    for text in ("x" * 10**6, "How warm is it? " * 62_500, "😀" * 250_000):
        with pytest.raises(DataError, match=r"context too long: .* the model takes 512; leave out"):
            model.option_logprobs([Query(RATER, text)])
    assert time.process_time() - start < 30
