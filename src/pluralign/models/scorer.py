"""Log-probabilities of many tokens in many sequences, each shared token computed once.

The sequences become a tree (`trie`), the tree becomes steps (`plan`), each step is one call of the model (`forward`), and of
its hidden states those are taken to the head behind which something is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.attention import Layers, View
from pluralign.models.forward import Forward
from pluralign.models.plan import Extend, Limits, Row, plan_steps
from pluralign.models.protocol import Usage
from pluralign.models.trie import Node, Reads, grow_tree

__all__ = ["TokenScorer", "TokenScores", "is_out_of_memory"]

IdArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

MOST_FOLDED = 16
"""A beginning shared by all that is shorter than this, and than a fiftieth of the sequences, is computed with each."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """The read tokens of one sequence, in order."""

    logprobs: npt.NDArray[np.float64]
    """log p(token | all before it), nats [reads]."""
    is_argmax: BoolArray
    """Whether no token was more probable [reads]."""


class TokenScorer:
    """Scores sequences with one model; `limits` shrink for good when memory runs out."""

    def __init__(self, forward: Forward, limits: Limits) -> None:
        self.forward = forward
        self.limits = limits
        self.usage = Usage()

    def score(self, sequences: Sequence[IdArray], is_read: Sequence[BoolArray]) -> list[TokenScores]:
        """Of each sequence [tokens] the tokens where `is_read` [tokens], given all before them; a first token has none.

        Raises ModelError when memory does not suffice for the smallest step, and when the model gives no probabilities.
        """
        typical = int(np.median([len(ids) for ids in sequences])) if sequences else 0
        fold = min(MOST_FOLDED, typical // 50) if self.forward.shares_prefixes else max(map(len, sequences), default=0)
        tree = grow_tree(sequences, is_read, fold=fold)
        self.usage.tokens_needed += tree.n_distinct
        run = _Run(self, tree.reads)
        while not run.known.all():
            run.compute(tree.roots)
        if np.isnan(run.logprobs).any():
            raise ModelError("the model's logits are not all numbers; its weights may be damaged, or try dtype float32.")
        return [TokenScores(run.logprobs[reads], run.is_best[reads]) for reads in tree.reads.of_sequence]


class _Run:
    """One tree being computed."""

    def __init__(self, scorer: TokenScorer, reads: Reads) -> None:
        self.scorer = scorer
        self.forward = scorer.forward
        self.reads = reads
        self.logprobs = np.full(len(reads.token), np.nan)
        self.is_best = np.zeros(len(reads.token), dtype=np.bool_)
        self.known = np.zeros(len(reads.token), dtype=np.bool_)
        self.prefix = Layers()

    def compute(self, roots: list[Node]) -> None:
        """Goes through the plan; stops before its end where one row alone was too large, and the limits are lower now."""
        again = bool(self.known.any())
        for step in plan_steps(roots, self.scorer.limits, keeps_prefix=self.forward.shares_prefixes):
            if isinstance(step, Extend):
                self.extend(step.stretches)
            elif not self.rows([row for row in step.rows if not (again and self._is_known(row))]):
                return

    def extend(self, stretches: list[Node]) -> None:
        """Computes the stretches behind the prefix up to the first of them, and keeps them."""
        ids = np.concatenate([node.ids for node in stretches])
        numbers = np.concatenate([np.arange(node.first, node.first + len(node.ids)) for node in stretches])
        start = stretches[0].depth
        self.prefix.length = start
        done = 0
        while done < len(ids):
            size = min(self.scorer.limits.batch_tokens, len(ids) - done)
            position = self._tensor(np.arange(start + done, start + done + size))[None]
            try:
                states = self._states(ids[None, done : done + size], View(position, prefix=self.prefix, keep=self.prefix))
                self._read(states[0], numbers[done : done + size])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                self._shrink(error, size)
                self.prefix.length = start + done
                continue
            done += size

    def rows(self, rows: list[Row]) -> bool:
        """Computes the rows behind the prefix; whether memory sufficed for each of them by itself."""
        if not rows:
            return True
        try:
            self._rows(rows)
            return True
        except (torch.OutOfMemoryError, RuntimeError) as error:
            self._shrink(error, max(row.n_tokens for row in rows) * len(rows), is_one_row=len(rows) == 1)
        # the error has been let go of here, and with it what the call had in memory
        half = len(rows) // 2
        return half > 0 and self.rows(rows[:half]) and self.rows(rows[half:])

    def _is_known(self, row: Row) -> bool:
        """Whether all that is read in the row is known from before the plan was begun again."""
        spans = np.array([(node.first, node.first + len(node.ids)) for tree in row.trees for node in tree.preorder()])
        bounds = np.searchsorted(self.reads.token, spans)
        return all(self.known[first:stop].all() for first, stop in bounds)

    def _rows(self, rows: list[Row]) -> None:
        places = [row.places() for row in rows]
        n_tokens = max(row.n_tokens for row in rows)
        is_causal = all(row.is_causal for row in rows)
        attach = self._padded([p.attach for p in places], n_tokens)
        view = View(
            position=self._padded([p.position for p in places], n_tokens),
            stop=None if is_causal else self._padded([p.stop for p in places], n_tokens, filler=n_tokens),
            prefix=self.prefix if self.prefix.length else None,
            attach=None if bool((attach == self.prefix.length).all()) else attach,
        )
        if all(not p.attach.any() for p in places):
            view = replace(view, prefix=None, attach=None)
        states = self._states(_padded([p.ids for p in places], n_tokens), view)
        kept = np.concatenate([i * n_tokens + np.arange(len(p.ids)) for i, p in enumerate(places)])
        self._read(states.flatten(0, 1), np.concatenate([p.number for p in places]), kept)

    def _states(self, ids: IdArray | npt.NDArray[np.int64], view: View) -> Tensor:
        self.scorer.usage.tokens_computed += ids.size
        return self.forward.states(self._tensor(ids), view)

    def _read(self, states: Tensor, numbers: npt.NDArray[np.int64], kept: npt.NDArray[np.int64] | None = None) -> None:
        """Scores what is read behind the tokens of these numbers, whose hidden states are `states[kept]`."""
        first = np.searchsorted(self.reads.token, numbers)
        count = np.searchsorted(self.reads.token, numbers, side="right") - first
        read_from = np.flatnonzero(count)
        if not len(read_from):
            return
        chosen = np.concatenate([np.arange(first[i], first[i] + count[i]) for i in read_from])
        rows = read_from if kept is None else kept[read_from]
        of_state = np.repeat(np.arange(len(read_from)), count[read_from])
        with torch.inference_mode():
            logprobs, is_best = self.forward.head.logprobs(
                states[self._tensor(rows)], self._tensor(of_state), self._tensor(self.reads.next_id[chosen])
            )
        self.logprobs[chosen] = logprobs.double().cpu().numpy()
        self.is_best[chosen] = is_best.cpu().numpy()
        self.known[chosen] = True

    def _tensor(self, array: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(self.forward.device)

    def _padded(self, arrays: list[npt.NDArray[np.int64]], size: int, *, filler: int = 0) -> Tensor:
        return self._tensor(_padded(arrays, size, filler=filler))

    def _shrink(self, error: RuntimeError, n_tokens: int, *, is_one_row: bool = False) -> None:
        """Lowers the limits under what memory did not suffice for; raises what is no shortage, or cannot be lowered."""
        if not is_out_of_memory(error):
            raise error
        if n_tokens < 2 or (is_one_row and not self.forward.shares_prefixes):
            raise ModelError(
                f"memory does not suffice for {n_tokens} tokens at once on {self.forward.device}; "
                "shorten the episodes, or use a smaller model or dtype bfloat16."
            ) from error
        if self.forward.device.type == "cuda":
            torch.cuda.empty_cache()
        limits = self.scorer.limits
        self.scorer.limits = replace(limits, batch_tokens=min(limits.batch_tokens, n_tokens // 2))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is one of memory that could not be had, on a device or in the machine."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "can't allocate" in str(error)


def _padded(
    arrays: Sequence[npt.NDArray[np.int32] | npt.NDArray[np.int64]], size: int, *, filler: int = 0
) -> npt.NDArray[np.int64]:
    padded = np.full((len(arrays), size), filler, dtype=np.int64)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
