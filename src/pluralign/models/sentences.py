"""Vectors of sentences by an encoder (extra `embed`): its last states, averaged over the tokens of each text.

Source: Reimers & Gurevych 2019, Sentence-BERT (mean pooling), as the sentence-transformers/all-* encoders were trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import MissingExtraError, ModelError, UsageError

__all__ = ["SentenceEncoder"]

FloatArray = npt.NDArray[np.float64]
_BATCH = 32


class SentenceEncoder:
    """`encode(texts)`: a folder or hub id of an encoder, such as sentence-transformers/all-MiniLM-L6-v2; safetensors only.

    Texts beyond `max_tokens` are cut; `n_cut_` counts those so far. Raises MissingExtraError without torch, ModelError where
    nothing can be opened, UsageError for `max_tokens` below 3.
    """

    def __init__(self, name: str, *, max_tokens: int = 256) -> None:
        try:
            import torch  # noqa: F401
            from transformers import AutoModel, AutoTokenizer
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), extra="embed") from error
        from pluralign.models.loading import check_folder, without_bars

        if max_tokens < 3:
            raise UsageError(f"max_tokens is {max_tokens}; a text needs 3 or more, two of them for its ends.")
        check_folder(name)
        try:
            with without_bars():
                self._tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
                self._model: Any = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"sentence encoder {name}: cannot be opened: {error}") from error
        self.name, self.max_tokens, self.n_cut_ = name, max_tokens, 0

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """[texts, dimensions], in their order; not of length 1. The same text has the same vector up to float32 rounding."""
        import torch

        if not texts:
            return np.zeros((0, int(self._model.config.hidden_size)))
        whole = self._tokenizer(list(texts), verbose=False)["input_ids"]
        lengths = np.minimum([len(one) for one in whole], self.max_tokens)
        self.n_cut_ += sum(len(one) > self.max_tokens for one in whole)
        order = np.argsort(lengths, kind="stable")
        found: list[FloatArray] = []
        for start in range(0, len(order), _BATCH):  # texts of like length together
            rows = order[start : start + _BATCH]
            some = self._tokenizer(
                [texts[n] for n in rows], padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
            )
            with torch.inference_mode():
                states = self._model(**some).last_hidden_state.float()
            weights = some["attention_mask"][:, :, None].float()
            found.append(((states * weights).sum(1) / weights.sum(1)).double().numpy())
        vectors = np.concatenate(found)
        out = np.empty_like(vectors)
        out[order] = vectors
        return out
