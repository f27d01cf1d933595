"""Log-probabilities of shared sequences beside one sequence at a time through the model's own attention."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from models import tiny_models
from models.scarce import SHORTAGES, Scarce
from models.tiny_models import BETWEEN_KERNELS, CONFIGS, TREE, VOCAB
from models.token_strategies import Sequences, token_sequences
from pluralign.errors import ModelError
from pluralign.models import attention
from pluralign.models.attention import View
from pluralign.models.forward import Forward
from pluralign.models.head import Head
from pluralign.models.plan import Limits
from pluralign.models.scorer import TokenScorer, is_out_of_memory
from reference.plain_scoring import plain_scores

KINDS = pytest.mark.parametrize("kind", CONFIGS)
ROOMY = Limits(row_tokens=10**6, batch_tokens=10**6)
ALL_LIMITS = {
    "rows only": ROOMY,
    "a prefix and rows": Limits(row_tokens=40, batch_tokens=10**6),
    "nested prefixes": Limits(row_tokens=8, batch_tokens=10**6),
    "every stretch a prefix": Limits(row_tokens=1, batch_tokens=10**6),
    "one row a batch": Limits(row_tokens=8, batch_tokens=8),
    "small batches": Limits(row_tokens=8, batch_tokens=16),
    "token by token": Limits(row_tokens=8, batch_tokens=1),
}


def _ids(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.integers(3, VOCAB, size).astype(np.int32)


def _all_cases(*, beginning: int = 30) -> Sequences:
    """Two prompts that share a beginning, one that does not; options of one token and of ten, with shared first tokens, and
    one that is how another begins."""
    generator = np.random.default_rng(3)
    shared = _ids(generator, beginning)
    prompts = [np.concatenate([shared, _ids(generator, n)]) for n in (3, 12, 25)] + [_ids(generator, 17)]
    ten = _ids(generator, 10)
    options = [_ids(generator, 1), ten[:1], ten[:4], ten, np.concatenate([ten[:6], _ids(generator, 2)]), _ids(generator, 2)]
    sequences, is_read = [], []
    for prompt, option in itertools.product(prompts, options):
        sequences.append(np.concatenate([prompt, option, [2]]).astype(np.int32))  # 2 ends a turn
        is_read.append(np.arange(len(sequences[-1])) >= len(prompt))
    return sequences, is_read


def _difference(forward: Forward, limits: Limits, asked: Sequences, reference: Any, *, flags: bool = True) -> float:
    """The largest, in nats; with `flags` also compares what is most probable."""
    found = TokenScorer(forward, limits).score(*asked)
    logprobs, is_argmax = plain_scores(reference, *asked)
    assert [len(one.logprobs) for one in found] == [len(one) for one in logprobs]
    if flags:
        assert all((one.is_argmax == other).all() for one, other in zip(found, is_argmax, strict=True))
    return max(float(np.abs(one.logprobs - other).max(initial=0)) for one, other in zip(found, logprobs, strict=True))


# equal to the plain way


@pytest.mark.parametrize("path", ALL_LIMITS)
@KINDS
def test_every_path_of_the_plan_is_the_plain_forward(kind: str, path: str) -> None:
    forward = tiny_models.forward(kind)
    assert _difference(forward, ALL_LIMITS[path], _all_cases(), tiny_models.model(kind)) < BETWEEN_KERNELS


@pytest.mark.parametrize("path", ["rows only", "nested prefixes"])
@pytest.mark.parametrize("kind", ["llama", "gemma2", "bloom"])
def test_a_short_beginning_that_is_copied(kind: str, path: str) -> None:
    """Sequences of more than 150 tokens that share 3: each gets its own copy of these."""
    generator = np.random.default_rng(5)
    shared = _ids(generator, 3)
    sequences = [np.concatenate([shared, _ids(generator, size)]) for size in (150, 151, 160, 170)]
    is_read = [np.arange(len(ids)) >= len(ids) - 4 for ids in sequences]
    forward, scorer = tiny_models.forward(kind), TokenScorer(tiny_models.forward(kind), ALL_LIMITS[path])
    assert _difference(forward, ALL_LIMITS[path], (sequences, is_read), tiny_models.model(kind)) < BETWEEN_KERNELS
    scorer.score(sequences, is_read)
    assert scorer.usage.tokens_needed == sum(map(len, sequences)) - 4 - 3 * 3


@KINDS
@settings(max_examples=12, deadline=None)
@given(
    asked=token_sequences(n_ids=5, longest=12, trunk=30) | token_sequences(n_ids=VOCAB - 3, longest=12),
    row_tokens=st.sampled_from([1, 8, 30, 10**6]),
    batch_tokens=st.sampled_from([1, 8, 64, 10**6]),
)
def test_random_trees(kind: str, asked: Sequences, row_tokens: int, batch_tokens: int) -> None:
    limits = Limits(row_tokens=row_tokens, batch_tokens=batch_tokens)
    assert _difference(tiny_models.forward(kind), limits, asked, tiny_models.model(kind)) < BETWEEN_KERNELS


@pytest.mark.slow
@KINDS
@settings(max_examples=150, deadline=None)
@given(
    asked=token_sequences(n_ids=5, longest=12, trunk=60, most=16) | token_sequences(n_ids=2, longest=30, most=16),
    row_tokens=st.sampled_from([1, 2, 8, 30, 100, 10**6]),
    batch_tokens=st.sampled_from([1, 2, 8, 64, 10**6]),
)
def test_many_random_trees(kind: str, asked: Sequences, row_tokens: int, batch_tokens: int) -> None:
    limits = Limits(row_tokens=row_tokens, batch_tokens=batch_tokens)
    assert _difference(tiny_models.forward(kind), limits, asked, tiny_models.model(kind)) < BETWEEN_KERNELS


@pytest.mark.parametrize("path", ["rows only", "nested prefixes", "small batches"])
@KINDS
def test_weights_in_bfloat16(kind: str, path: str) -> None:
    """The plain forward in bfloat16 differs from itself by .02-.04 between kernels, hence the tolerance."""
    forward = tiny_models.forward(kind, torch.bfloat16)
    plain = tiny_models.model(kind, dtype=torch.bfloat16)
    assert _difference(forward, ALL_LIMITS[path], _all_cases(), plain, flags=False) < 5e-2


# the comparison can fail: each of these settings is one that a faulty implementation would have


def _no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens see their siblings."""
    own = View._own_mask
    monkeypatch.setattr(View, "_own_mask", lambda view, window: own(dataclasses.replace(view, stop=None), window))


def _whole_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens see what the prefix goes on with behind the place where they branch off."""
    monkeypatch.setattr(View, "_prefix_mask", lambda view, window: None)


def _no_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are places in the row."""
    init = View.__init__

    def numbered(view: View, position: torch.Tensor, *others: Any, **named: Any) -> None:
        init(view, torch.arange(position.shape[1]).expand(position.shape), *others, **named)

    monkeypatch.setattr(View, "__init__", numbered)


def _without(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        attend = attention._attend if name != "sliding_window" else attention.prefix_attention
        place = "_attend" if name != "sliding_window" else "prefix_attention"
        wrong = functools.partial(_calling, attend, name)
        monkeypatch.setattr(attention, place, wrong)
        if place == "prefix_attention":
            monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, attention.NAME, wrong)

    return change


def _calling(function: Callable[..., Any], name: str, *args: Any, **named: Any) -> Any:
    return function(*args, **named | {name: None})


WRONG = {
    **{("a mask without stop", kind): _no_stop for kind in TREE},
    **{("the whole prefix", kind): _whole_prefix for kind in TREE},
    **{("positions in the row", kind): _no_positions for kind in TREE},
    **{("no window", kind): _without("sliding_window") for kind in ("gemma2", "gemma3_text", "mistral", "gpt_oss")},
    ("no soft cap", "gemma2"): _without("softcap"),
    ("no sinks", "gpt_oss"): _without("sinks"),
}


@pytest.mark.parametrize(("what", "kind"), WRONG)
def test_a_wrong_setting_is_seen(what: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "rows only" if what == "a mask without stop" else "nested prefixes"
    WRONG[what, kind](monkeypatch)
    difference = _difference(tiny_models.forward(kind), ALL_LIMITS[path], _all_cases(), tiny_models.model(kind), flags=False)
    assert difference > 100 * BETWEEN_KERNELS


# probabilities


@pytest.mark.parametrize("kind", ["llama", "gemma2", "bloom"])
def test_all_continuations_sum_to_one(kind: str) -> None:
    """Every id behind a prompt; then the end at once, and every other id with the end behind it, and what is left."""
    prompt = _ids(np.random.default_rng(1), 20)
    scorer = TokenScorer(tiny_models.forward(kind), ALL_LIMITS["nested prefixes"])
    one = [np.concatenate([prompt, [n]]).astype(np.int32) for n in range(VOCAB)]
    two = [np.concatenate([ids, [n]]).astype(np.int32) for ids in one[3:5] for n in range(VOCAB)]
    found = scorer.score([*one, *two], [np.arange(len(ids)) >= len(prompt) for ids in [*one, *two]])
    mass = np.exp([scores.logprobs.sum() for scores in found])
    assert mass[:VOCAB].sum() == pytest.approx(1, abs=1e-5)
    for n, first in enumerate((3, 4)):
        assert mass[VOCAB * (n + 1) : VOCAB * (n + 2)].sum() == pytest.approx(mass[first], rel=1e-4)
    best = np.flatnonzero([scores.is_argmax[0] for scores in found[:VOCAB]])
    assert best.tolist() == [int(mass[:VOCAB].argmax())]


def test_most_probable_by_hand() -> None:
    """Logits 2, 1, 2 for the ids 0, 1, 2: both of the largest are most probable; p = e^2 / (2 e^2 + e) and e / (2 e^2 + e)."""
    head = Head(torch.nn.Linear(1, 3, bias=False), None)
    with torch.inference_mode():
        head.layer.weight.copy_(torch.tensor([[2.0], [1.0], [2.0]]))
        logprobs, is_best = head.logprobs(torch.ones(1, 1), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    total = 2 * np.e**2 + np.e
    assert logprobs.tolist() == pytest.approx(np.log([np.e**2 / total, np.e / total, np.e**2 / total]).tolist(), abs=1e-6)
    assert is_best.tolist() == [True, False, True]


@pytest.mark.parametrize("is_plain_linear", [True, False])
@pytest.mark.parametrize("n_ids", [5, 16_384, 16_385, 40_000])
def test_the_head_in_blocks_is_the_whole_head(n_ids: int, is_plain_linear: bool) -> None:
    """With what Gemma, Cohere and Granite do behind it; states in two blocks and more, some of which nothing is read of."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(4, n_ids)
    config = SimpleNamespace(final_logit_softcapping=3.0, logit_scale=2.0, logits_scaling=0.5)
    hidden = torch.randn(600, 4, generator=generator)
    of_state = torch.randint(550, (900,), generator=generator).sort().values
    next_id = torch.randint(n_ids, (900,), generator=generator)
    with torch.inference_mode():
        head = Head(layer if is_plain_linear else torch.nn.Sequential(layer), config)
        logprobs, is_best = head.logprobs(hidden, of_state, next_id)
        logits = torch.tanh(layer(hidden) * 4 / 3) * 3
        assert torch.allclose(head.logits(hidden[:7]), logits[:7], atol=1e-5)
        expected = logits.log_softmax(1)[of_state, next_id]
        assert torch.allclose(logprobs, expected, atol=1e-5)
        assert (is_best == (logits[of_state, next_id] >= logits.amax(1)[of_state])).all()


def test_logits_that_are_not_numbers_are_an_error() -> None:
    broken = copy.deepcopy(tiny_models.forward("llama"))
    broken.model.model.norm.weight.data[3] = float("nan")
    with pytest.raises(ModelError, match="not all numbers"):
        TokenScorer(broken, ROOMY).score(*_all_cases())


def test_nothing_to_score() -> None:
    scorer = TokenScorer(tiny_models.forward("llama"), ROOMY)
    assert scorer.score([], []) == []
    sequence = np.array([5, 6, 7], dtype=np.int32)
    [found] = scorer.score([sequence], [np.zeros(3, dtype=np.bool_)])
    assert len(found.logprobs) == len(found.is_argmax) == 0
    assert scorer.usage.tokens_computed == 0


# every token once


@pytest.mark.parametrize("case", ["a", "b", "c", "d"])
@pytest.mark.parametrize("row_tokens", [32, 256])
def test_each_token_is_computed_about_once(case: str, row_tokens: int) -> None:
    """(a) many questions behind one prompt, 7 options of 3 tokens; (b) prompts of their own; (c), (d) options of one token."""
    generator = np.random.default_rng(0)
    n_prompt, n_options = 200, 7
    options = [_ids(generator, 3 if case in "ab" else 1) for _ in range(n_options)]
    shared = _ids(generator, n_prompt)
    sequences = []
    for _ in range(40):
        prompt = np.concatenate(
            [shared if case in "ad" else _ids(generator, n_prompt), _ids(generator, generator.integers(5, 30))]
        )
        sequences += [np.concatenate([prompt, option, [2]]).astype(np.int32) for option in options]
    is_read = [np.arange(len(ids)) >= len(ids) - (4 if case in "ab" else 2) for ids in sequences]
    scorer = TokenScorer(tiny_models.forward("llama"), Limits(row_tokens=row_tokens, batch_tokens=2048))
    scorer.score(sequences, is_read)
    beginnings = {ids[:n].tobytes() for ids in sequences for n in range(1, len(ids))}
    assert scorer.usage.tokens_needed == len(beginnings)
    assert 1 <= scorer.usage.tokens_computed / scorer.usage.tokens_needed <= 1.1


# out of memory


@pytest.mark.parametrize(
    ("path", "shortage"), [*(("rows only", shortage) for shortage in SHORTAGES), ("a prefix and rows", "device")]
)
def test_a_shortage_of_memory_changes_no_result(path: str, shortage: str) -> None:
    logprobs, _ = plain_scores(tiny_models.model("mistral"), *_all_cases())
    for room in (50, 7, 1):
        forward = Scarce(tiny_models.forward("mistral"), room, SHORTAGES[shortage])
        scorer = TokenScorer(forward, ALL_LIMITS[path])
        for again in range(2):
            forward.failed.clear()
            found = scorer.score(*_all_cases())
            assert max(np.abs(one.logprobs - other).max() for one, other in zip(found, logprobs, strict=True)) < BETWEEN_KERNELS
            assert bool(forward.failed) == (not again)  # limits stay shrunk
        assert room / 2 <= scorer.limits.batch_tokens < 10**6  # and no smaller than it has to be
        assert scorer.limits.row_tokens == ALL_LIMITS[path].row_tokens


def test_where_no_prefix_can_be_kept_batches_shrink_to_one_sequence() -> None:
    longest = max(len(ids) - 1 for ids in _all_cases()[0])
    forward = Scarce(tiny_models.forward("bloom"), longest, SHORTAGES["machine"])
    logprobs, _ = plain_scores(tiny_models.model("bloom"), *_all_cases())
    found = TokenScorer(forward, ROOMY).score(*_all_cases())
    assert forward.failed
    assert max(np.abs(one.logprobs - other).max() for one, other in zip(found, logprobs, strict=True)) < BETWEEN_KERNELS
    forward.room = longest - 1
    with pytest.raises(ModelError, match=f"memory does not suffice for {longest} tokens at once on cpu; shorten the episodes"):
        TokenScorer(forward, ROOMY).score(*_all_cases())


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_when_not_even_one_token_fits_the_error_says_what_to_do(shortage: str) -> None:
    forward = Scarce(tiny_models.forward("llama"), 0, SHORTAGES[shortage])
    with pytest.raises(ModelError, match="for 1 tokens at once on cpu; shorten the episodes, or use a smaller"):
        TokenScorer(forward, ROOMY).score(*_all_cases())


@pytest.mark.parametrize("path", ["rows only", "a prefix and rows"])
def test_other_errors_pass_through(path: str) -> None:
    forward = Scarce(tiny_models.forward("llama"), 10, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        TokenScorer(forward, ALL_LIMITS[path]).score(*_all_cases())
    assert len(forward.failed) == 1


def test_what_this_machine_says_of_a_shortage_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("index out of range"))
