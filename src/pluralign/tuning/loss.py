"""Cross-entropy at supervised tokens only: the output layer never sees others, and no matrix of tokens x vocabulary is whole.

    place             0       1       2     3     4         5       6
    token         <output>  Heads   <end>  \\n  <output>  Tails   <end>
    target                   yes     yes                   yes     yes
    before                    0       1                     4       5      whose hidden states predict the targets

    decoder -> hidden [rows, tokens, width] -> those before targets [n, width] -> in chunks: output layer -> nats, gradients

`SparseLoss` is the module that DDP or `fully_shard` goes round, so that the output layer is used inside of what they wrap. With
`fully_shard` the output layer stays in the group of the `SparseLoss` itself, since ranks differ in their number of chunks. The
sum that comes back is divided by the weight of the whole step (`weights`).

Missing: auxiliary losses of experts, such as those for the balance of their load.

Source: loss on outputs only is that of Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from pluralign.errors import ModelError, UsageError
from pluralign.models.head import Head
from pluralign.tuning.chunked import Product, chunked_measures, chunked_nats
from pluralign.tuning.last_layer import LastLayer, open_last_layer

__all__ = ["Measures", "Nats", "SparseLoss", "Targets", "open_loss"]

CHUNK_BYTES = 64 << 20
"""A chunk's logits in float32; two to four times as much is held at once, and the output layer's gradient twice."""
TARGETS_STEP = 16
"""Supervised tokens of a batch are filled up to a multiple of it: libraries make a kernel for each shape that they meet."""
PROBE_TOLERANCE, PROBE_TOLERANCE_16_BIT = 1e-4, 1e-2
"""Of the largest logit."""


class Targets:
    """The supervised tokens of a batch of rows; the three tensors are [n].

    No dataclass: `fully_shard` rounds every float that it finds in an argument, dataclasses too, to its parameters' precision.
    """

    def __init__(self, before: Tensor, ids: Tensor, weights: Tensor) -> None:
        """`before`: place of the token before each, in the rows laid end to end; `ids`: what is to be predicted there."""
        if not before.shape == ids.shape == weights.shape == (len(ids),) or weights.dtype != torch.float32:
            raise UsageError(
                f"before, ids and weights are {[*before.shape]}, {[*ids.shape]} and {[*weights.shape]} {weights.dtype}; "
                "they must be of one length, and weights float32."
            )
        self.before, self.ids, self.weights = before, ids, weights

    def __len__(self) -> int:
        return len(self.ids)

    def filled_up(self, n_tokens: int) -> Targets:
        """The same and others of weight 0 behind them, at other places among the rows' tokens: so many that lengths repeat."""
        n_more = min(max(1, -(-len(self) // TARGETS_STEP)) * TARGETS_STEP, n_tokens) - len(self)
        if n_more <= 0:
            return self
        is_free = torch.ones(n_tokens, dtype=torch.bool, device=self.before.device).index_fill(0, self.before, False)
        before = torch.cat([self.before, is_free.nonzero()[:n_more, 0]])
        more = (0, len(before) - len(self))
        return Targets(before, F.pad(self.ids, more), F.pad(self.weights, more))


class Nats(NamedTuple):
    """What a batch costs, in nats."""

    total: Tensor
    """Weighted sum, a float32 number with a gradient; 0 without supervised tokens. To be divided: see `step_loss`."""
    of_token: Tensor
    """Of each supervised token, unweighted and without gradient [n], float32."""


class Measures(NamedTuple):
    """What is said of each supervised token, without gradient; three arrays [n]."""

    nats: Tensor
    """-log p, float32."""
    top_probability: Tensor
    """Of the likeliest token, float32."""
    is_top: Tensor
    """Whether the token is the likeliest."""


class SparseLoss(nn.Module):
    """A causal model, with or without adapters, and the cross-entropy of its supervised tokens. Made by `open_loss`."""

    def __init__(
        self, model: Any, *, chunk_bytes: int = CHUNK_BYTES, float32_product: bool = False, note: str | None = None
    ) -> None:
        super().__init__()
        if chunk_bytes < 1:
            raise UsageError(f"chunk_bytes is {chunk_bytes}, lowest is 1.")
        self.model = model
        self.note = note
        """Why the model makes whole logits; None where it does not."""
        config = model.config.get_text_config()
        self._behind = Head(nn.Identity(), config if note is None else None)  # what comes behind the output layer
        self._states_a_chunk = max(1, chunk_bytes // (4 * config.vocab_size))
        self._float32_product = float32_product
        self.last_layer: LastLayer | None = None
        """Computes supervised tokens only, where that was found to give the same."""

    def forward(
        self,
        input_ids: Tensor,
        targets: Targets,
        *,
        position_ids: Tensor | None = None,
        attention: Mapping[str, Any] | None = None,
        measure: bool = False,
    ) -> Nats | Measures:
        """Nats of the targets in rows of ids [rows, tokens]; `attention` is handed to the model as it is.

        With `measure` there are no gradients, and more is said of each target.

        Rows of several sequences: restarting `position_ids` keep them apart only where `attention` has no 'attention_mask', or
        one of four axes that does, and the architecture shows them to its mask; in transformers 5.24 gpt_oss, afmoe, opt and
        granitemoehybrid do not. Without any target every gradient is 0, not missing: other ranks wait for it.
        """
        n = len(targets)
        targets = targets.filled_up(input_ids.numel())
        only = {} if self.last_layer is None else self.last_layer.arguments(targets.before, input_ids.numel())
        states = self.states(input_ids, position_ids, {**(attention or {}), **only})
        hidden = states.index_select(0, targets.before)
        n_chunks = math.ceil(len(targets) / self._states_a_chunk)
        product, parameters = self._product()
        if measure:
            return Measures(*(part[:n] for part in chunked_measures(product, targets.ids, n_chunks, hidden, parameters)))
        total, of_token = chunked_nats(product, targets.ids, targets.weights, n_chunks, hidden, parameters)
        return Nats(total, of_token[:n])

    def states(self, input_ids: Tensor, position_ids: Tensor | None, attention: Mapping[str, Any]) -> Tensor:
        """Hidden states, ready for the output layer [rows x tokens, width]; logits where the model makes whole ones."""
        inputs = {"input_ids": input_ids, "use_cache": False, **attention}
        if position_ids is not None:
            inputs["position_ids"] = position_ids
        found = self.model.get_decoder()(**inputs).last_hidden_state if self.note is None else self.model(**inputs).logits
        flat: Tensor = found.flatten(0, 1)
        return flat

    def logits(self, states: Tensor) -> Tensor:
        """float32 [n, vocabulary] of some states, all at once."""
        product, parameters = self._product()
        return product(states, parameters)

    def _product(self) -> tuple[Product, list[Tensor]]:
        layer = self.model.get_output_embeddings() if self.note is None else nn.Identity()
        named = {name: p for name, p in layer.named_parameters() if p.is_floating_point()}
        if torch.distributed.is_available() and torch.distributed.is_initialized() and any(map(_is_shard, named.values())):
            raise ModelError(
                "the output layer's weights are in shards where the loss needs them whole: call `fully_shard` on the decoder's "
                "layers and then on the SparseLoss itself, not on the output layer or the model inside."
            )
        parameters = [p.float() if self._float32_product else p for p in named.values()]
        is_plain = (
            type(layer) is nn.Linear
            and getattr(layer, "bias", None) is None
            and self._behind.is_layer_alone
            and not layer._forward_hooks
        )
        return Product(layer, self._behind.logits, list(named), self._float32_product, is_plain), parameters


def _is_shard(parameter: Tensor) -> bool:
    from torch.distributed.tensor import DTensor  # takes a second, and a process by itself has none

    return isinstance(parameter, DTensor)


def open_loss(model: Any, *, chunk_bytes: int = CHUNK_BYTES, float32_product: bool = False) -> SparseLoss:
    """The loss of a model in memory, before DDP or `fully_shard`: finds out whether the output layer can be used by itself.

    Where decoder and output layer do not make the model's own logits, the model makes whole ones, and `note` says why.
    `float32_product` takes the output layer's product in float32 under autocast too, and with weights of 16 bits.
    Raises ModelError for a model that does not make one row of logits a token, such as one with a trained prompt.
    """
    if any(config.is_prompt_learning for config in getattr(model, "peft_config", {}).values()):
        raise ModelError("an adapter that puts trained tokens before the prompt has no place in packed rows; use LoRA.")
    ids = (torch.arange(24, device=model.device) * 7919 % (model.config.get_text_config().vocab_size - 3) + 2).view(2, 12)
    with _calm(model):
        whole = model(input_ids=ids, use_cache=False).logits
        if whole.shape[:2] != ids.shape:
            raise ModelError(
                f"{type(model).__name__} makes logits {[*whole.shape]} of ids {[*ids.shape]}, not one row a token."
            )
        loss = SparseLoss(model, chunk_bytes=chunk_bytes, float32_product=float32_product)
        if note := _why_whole(loss, ids, whole.flatten(0, 1).float()):
            loss = SparseLoss(model, chunk_bytes=chunk_bytes, float32_product=float32_product, note=note)
        else:
            loss.last_layer = _last_layer(loss, ids)
    return loss


def _why_whole(loss: SparseLoss, ids: Tensor, expected: Tensor) -> str | None:
    """Why this model's output layer cannot be used by itself; None if it can."""
    try:
        logits = loss.logits(loss.states(ids, None, {}))
        difference = float((logits - expected).abs().max() / expected.abs().max())
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    is_16_bit = loss.model.dtype in (torch.bfloat16, torch.float16)
    if difference <= (PROBE_TOLERANCE_16_BIT if is_16_bit else PROBE_TOLERANCE):
        return None
    return f"logits of decoder and output layer would differ by {difference:.2g} of the largest"


def _last_layer(loss: SparseLoss, ids: Tensor) -> LastLayer | None:
    """Put into the model if its states of some tokens then are those of all tokens; otherwise the model is left as it was."""
    n = ids.numel()
    several = [torch.arange(first, n, 5, device=ids.device) for first in (3, 0, 1)]  # of the last batch nothing may be left
    expected = loss.states(ids, None, {})
    found = open_last_layer(loss.model)
    if found is None:
        return None
    try:
        tried = [(loss.states(ids, None, found.arguments(places, n))[places], places) for places in several]
        tried += [(loss.states(ids, None, {}), torch.arange(n, device=ids.device))]
        difference = max(float((some - expected[places]).abs().max() / expected.abs().max()) for some, places in tried)
    except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
        difference = math.inf
    is_16_bit = expected.dtype in (torch.bfloat16, torch.float16)
    if difference <= (PROBE_TOLERANCE_16_BIT if is_16_bit else PROBE_TOLERANCE):
        return found
    found.remove()
    return None


@contextlib.contextmanager
def _calm(model: nn.Module) -> Iterator[None]:
    """Without gradients and dropout."""
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in was_training:
            module.training = True
