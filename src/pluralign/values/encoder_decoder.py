"""Encoder-decoders (T5 and others) as models of values, rights and duties: the published Kaleido checkpoints, unchanged.

Templates and thresholds are read from the checkpoint's configuration. Inputs are scored in batches of one length or nearly so;
the encoder runs once for all options of an input, the decoder's first step is shared, and one more step reads the rest of all
options. Relevance and valence are
probabilities of whole words with their end, log-probabilities of their tokens summed, in float32.

Departures from the published code: whole words in place of the first token of each; the decoder reads its start alone before a
word (there, a second, blank token); padding is masked, so that a batch changes no result; an output that is cut off at
`max_new_tokens` is counted, not read.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.content import IdArray
from pluralign.models.loading import check_folder, from_pretrained, opened_device
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import Usage, renormalised
from pluralign.models.token_requests import weights_hash
from pluralign.models.turns import open_tokenizer
from pluralign.streams import stream
from pluralign.values.considerations import RELEVANCE, VALENCES, ValuesTask
from pluralign.values.decoder import DecoderRun, Written, beam_search, sampled, written_greedily
from pluralign.values.inputs import InputEncoder, Rendered, read_templates
from pluralign.values.kaleido import (
    Decoding,
    Explained,
    FloatArray,
    Generated,
    Judged,
    Pair,
    ValuesOutcome,
    generated,
)

__all__ = ["EncoderDecoderKaleido"]

SCORING = 1
"""Raised when the same request may get another answer than before."""
BATCH_TOKENS, BATCH_TOKENS_ON_DEVICE = 4096, 65_536
"""Input tokens, padding included, that are scored at once."""
ROWS, ROWS_ON_DEVICE = 400, 3200
"""Outputs that are generated at once: beams or samples of one or several situations."""


class EncoderDecoderKaleido:
    """Made by `open_values_model("hf/...")`, or of parts that are already in memory."""

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, decoding: Decoding | None = None, weights: str | None = None
    ) -> None:
        self.name = name
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.decoding = decoding or Decoding()
        self.usage = Usage()
        self.system_params: Mapping[str, Any] = getattr(model.config, "system_params", None) or {}
        self.templates = read_templates(getattr(model.config, "task_specific_params", None), where=name)
        self.device: torch.device = next(model.parameters()).device
        self._weights = weights
        self._inputs = InputEncoder(tokenizer, max_tokens=self.decoding.max_input_tokens)
        self._start, self._pad, self._end = _special_ids(model, tokenizer, name)
        on_cpu = self.device.type == "cpu"
        self._batch_tokens = BATCH_TOKENS if on_cpu else BATCH_TOKENS_ON_DEVICE
        self._rows = ROWS if on_cpu else ROWS_ON_DEVICE

    @classmethod
    def open(cls, name: str, settings: ModelSettings, *, decoding: Decoding | None = None) -> EncoderDecoderKaleido:
        """The weights in this folder or under this hub id, float32 unless asked otherwise.

        Raises ModelError or UsageError where weights and tokenizer cannot be loaded or do not go together.
        """
        check_folder(name)
        tokenizer = open_tokenizer(name, settings.revision)
        dtype = torch.float32 if settings.dtype == "auto" else getattr(torch, settings.dtype)
        model = from_pretrained(name, dtype, settings.revision, kind="encoder-decoder model").to(opened_device(settings.device))
        weights = weights_hash(name, getattr(model.config, "_commit_hash", None))
        return cls(model, tokenizer, name=f"hf/{name}", decoding=decoding, weights=weights)

    def fingerprint(self) -> str:
        """Weights, precision, kind of device, templates, and how texts are generated and cut."""
        if self._weights is None:
            self._weights = weights_hash(self.name.removeprefix("hf/"), None)
        parts = [SCORING, self._weights, self.model.dtype, self.device.type, sorted(self.templates.items()), self.decoding]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def check(self, situations: Sequence[str]) -> None:
        """Anything may be asked."""

    @torch.inference_mode()
    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        """The `n` most probable outputs that a beam search finds, most probable first; or as many draws."""
        ids, is_cut = self._inputs.encode([self.templates["generate"].render(situation) for situation in situations])
        found: list[list[Generated]] = [[] for _ in situations]
        for rows in self._batches(ids, most_rows=max(1, self._rows // n)):
            encoded, mask = self._encode(ids, rows)
            for row, some in zip(rows, self._written(encoded, mask, [ids[row] for row in rows], n, seed), strict=True):
                found[row] = [generated(self._text(one), _ended(one), logprob=one.logprob, is_cut=is_cut[row]) for one in some]
        return found

    def relevance(self, pairs: Sequence[Pair]) -> Judged:
        """P(Yes) / (P(Yes) + P(No)) [pairs]."""
        logprobs, is_cut = self._word_logprobs("relevance", pairs, RELEVANCE)
        return _judged(logprobs, is_cut, only_first=True)

    def valence(self, pairs: Sequence[Pair]) -> Judged:
        """P over `VALENCES` [pairs, 3]."""
        logprobs, is_cut = self._word_logprobs("valence", pairs, VALENCES)
        return _judged(logprobs, is_cut)

    @torch.inference_mode()
    def explain(self, pairs: Sequence[Pair]) -> list[Explained]:
        """The most probable text, token by token."""
        ids, _ = self._inputs.encode([self.templates["explanation"].render(*pair) for pair in pairs])
        found = [Explained(None)] * len(pairs)
        for rows in self._batches(ids, most_rows=self._rows):
            encoded, mask = self._encode(ids, rows)
            run = DecoderRun(self.model, encoded, mask, self.usage)
            most = self.decoding.max_explanation_tokens
            for row, one in zip(rows, written_greedily(run, most=most, start=self._start, end=self._end), strict=True):
                text = self._text(one)
                found[row] = Explained(text or None, _ended(one) if text or not one.is_ended else "malformed")
        return found

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> FloatArray:
        """The encoder's states, averaged over the tokens of each text [texts, width]."""
        ids, _ = self._inputs.encode([Rendered(text, (0, len(text))) for text in texts])
        found = np.empty((len(texts), self.model.config.hidden_size), dtype=np.float64)
        for rows in self._batches(ids):
            encoded, mask = self._encode(ids, rows)
            weights = mask[:, :, None].float()
            means = (encoded[0].float() * weights).sum(1) / weights.sum(1)
            found[rows] = means.double().cpu().numpy()
        return found

    # scoring

    @torch.inference_mode()
    def _word_logprobs(self, task: ValuesTask, pairs: Sequence[Pair], words: Sequence[str]) -> tuple[FloatArray, list[bool]]:
        """log p(word and its end | input) in nats [pairs, words], and whether the situation was cut."""
        ids, is_cut = self._inputs.encode([self.templates[task].render(*pair) for pair in pairs])
        written = [self._inputs.word(word, self._end) for word in words]
        different = {one.tobytes(): one for one in ids}
        known = dict(zip(different, self._scored(list(different.values()), written), strict=True))
        rows = [known[one.tobytes()] for one in ids]
        return np.array(rows, dtype=np.float64).reshape(len(pairs), len(words)), is_cut

    def _scored(self, ids: Sequence[IdArray], words: Sequence[npt.NDArray[np.int64]]) -> FloatArray:
        found = np.empty((len(ids), len(words)), dtype=np.float64)
        longest = max(map(len, words))
        target = torch.full((len(words), longest), self._pad, device=self.device)
        is_read = torch.zeros((len(words), longest), dtype=torch.bool, device=self.device)
        for n, word in enumerate(words):
            target[n, : len(word)] = torch.from_numpy(word)
            is_read[n, : len(word)] = True
        for rows in self._batches(ids):
            encoded, mask = self._encode(ids, rows)
            run = DecoderRun(self.model, encoded, mask, self.usage)
            total = run.read(torch.full((len(rows), 1), self._start, device=self.device))[:, 0, target[:, 0]]
            if longest > 1:
                run.repeat(len(words))
                read = run.read(target[:, :-1].repeat(len(rows), 1))
                rest = read.gather(2, target[:, 1:].repeat(len(rows), 1)[:, :, None])[:, :, 0]
                total = total + (rest.view(len(rows), len(words), -1) * is_read[:, 1:]).sum(2)
            found[rows] = total.double().cpu().numpy()
            self.usage.tokens_needed += len(rows) * (1 + int(is_read.sum()) - len(words))
        return found

    def _encode(self, ids: Sequence[IdArray], rows: Sequence[int]) -> tuple[Any, Tensor]:
        """The encoder's output for some inputs, and which of its states are no padding [inputs, tokens]."""
        lengths = np.array([len(ids[row]) for row in rows])
        padded = np.full((len(rows), int(lengths.max())), self._pad, dtype=np.int64)
        for line, row in zip(padded, rows, strict=True):
            line[: len(ids[row])] = ids[row]
        is_token = np.arange(padded.shape[1]) < lengths[:, None]
        self.usage.tokens_needed += int(is_token.sum())
        self.usage.tokens_computed += padded.size
        mask = torch.from_numpy(is_token.astype(np.int64)).to(self.device)
        encoded = self.model.get_encoder()(
            input_ids=torch.from_numpy(padded).to(self.device), attention_mask=mask, return_dict=True
        )
        return encoded, mask

    def _batches(self, ids: Sequence[IdArray], *, most_rows: int | None = None) -> Iterator[list[int]]:
        """Numbers of inputs that are computed together, of neighbouring lengths, the longest first."""
        together: list[int] = []
        for row in sorted(range(len(ids)), key=lambda n: -len(ids[n])):
            full = together and ((len(together) + 1) * len(ids[together[0]]) > self._batch_tokens or len(together) == most_rows)
            if full:
                yield together
                together = []
            together.append(row)
        if together:
            yield together

    # generation

    def _written(self, encoded: Any, mask: Tensor, inputs: Sequence[IdArray], n: int, seed: int) -> list[list[Written]]:
        """Outputs of each input: the best of a beam search, or draws, each with random numbers keyed by seed, input, number."""
        run = DecoderRun(self.model, encoded, mask, self.usage)
        ends = {"most": self.decoding.max_new_tokens, "start": self._start, "end": self._end}
        if self.decoding.way != "samples":
            return beam_search(run, n=n, **ends)
        random = [stream(seed, "values sample", i, one.astype("<i4").tobytes()) for one in inputs for i in range(n)]
        drawn = sampled(run, random, n=n, **ends)
        return [drawn[first : first + n] for first in range(0, len(drawn), n)]

    def _text(self, written: Written) -> str:
        self.usage.output_tokens += len(written.ids) + written.is_ended
        return str(self.tokenizer.decode(list(written.ids), skip_special_tokens=True)).strip()


def _ended(written: Written) -> ValuesOutcome:
    return "ok" if written.is_ended else "length"


def _judged(logprobs: FloatArray, is_cut: Sequence[bool], *, only_first: bool = False) -> Judged:
    shares = renormalised(logprobs) if len(logprobs) else logprobs
    outcomes: list[ValuesOutcome] = ["malformed" if np.isnan(row).any() else "ok" for row in shares]
    return Judged(shares[:, 0] if only_first else shares, tuple(outcomes), np.array(is_cut, dtype=np.bool_))


def _special_ids(model: Any, tokenizer: Any, name: str) -> tuple[int, int, int]:
    """What the decoder starts with, what fills up, and what ends a text."""
    config = model.config
    pad = config.pad_token_id if config.pad_token_id is not None else tokenizer.pad_token_id
    end = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    end = end[0] if isinstance(end, list) else end
    start = getattr(config, "decoder_start_token_id", None)
    start = pad if start is None else start
    if pad is None or end is None:
        raise ModelError(
            f"{name}: neither config.json nor the tokenizer says which token fills up (pad) and which ends a text."
        )
    return int(start), int(pad), int(end)
