"""Log-probabilities of shared sequences beside one sequence at a time through the model's own attention."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import tiny_models
from models.tiny_models import BETWEEN_KERNELS, CONFIGS, TREE, VOCAB
from models.token_strategies import Sequences, token_sequences
from pluralign.errors import ModelError
from pluralign.models import attention
from pluralign.models.attention import Layers, View
from pluralign.models.forward import Forward
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
    "batches of one": Limits(row_tokens=8, batch_tokens=1),
    "small batches": Limits(row_tokens=8, batch_tokens=16),
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


def _difference(forward: Forward, limits: Limits, asked: Sequences, reference: Any) -> float:
    """The largest, in nats; also compares what is most probable, where that is not a matter of rounding."""
    found = TokenScorer(forward, limits).score(*asked)
    logprobs, is_argmax = plain_scores(reference, *asked)
    assert [len(one.logprobs) for one in found] == [len(one) for one in logprobs]
    for one, flags in zip(found, is_argmax, strict=True):
        assert (one.is_argmax == flags).all() or reference.dtype != torch.float32
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
    assert _difference(forward, ALL_LIMITS[path], _all_cases(), plain) < 5e-2
