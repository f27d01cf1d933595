"""Vectors of considerations, for telling two wordings of one thing apart from two things.

    encoder   the states of the model's own encoder, averaged over the tokens: the default for an encoder-decoder
    tfidf     letter n-grams (3 to 5, within words), weighted among the candidates of the situation: the default for all others
    hf/NAME   an encoder of sentences from a folder or the hub (sentence-transformers/...), its last states averaged
    none      no walk by vectors

A threshold is worth something only with the vectors that it was found for. Those of the published checkpoints were found with
hf/sentence-transformers/all-mpnet-base-v2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import MissingExtraError, ModelError, UsageError

if TYPE_CHECKING:
    from pluralign.values.kaleido import ValuesModel

__all__ = ["Embed", "default_embedding", "open_embedding", "tfidf_vectors"]

FloatArray = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], FloatArray]
_BATCH = 64


def default_embedding(model: ValuesModel) -> str:
    """ "encoder" where the model has one, else "tfidf"."""
    return "tfidf" if model.embed(["value"]) is None else "encoder"


def open_embedding(name: str, model: ValuesModel) -> Embed | None:
    """What makes vectors [texts, dimensions] of texts; None for "none". Raises UsageError for an unknown name."""
    if name == "none":
        return None
    if name == "tfidf":
        return tfidf_vectors
    if name == "encoder":
        return _of_model(model)
    kind, _, rest = name.partition("/")
    if kind != "hf" or not rest:
        raise UsageError(f"embedding {name!r}: it is encoder, tfidf, none, or hf/ and a folder or hub id of an encoder.")
    return _Sentences(rest)


def tfidf_vectors(texts: Sequence[str]) -> FloatArray:
    """Weighted letter n-grams of each text [texts, n-grams], rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    return np.asarray(vectorizer.fit_transform(list(texts)).toarray(), dtype=np.float64)


def _of_model(model: ValuesModel) -> Embed:
    def embed(texts: Sequence[str]) -> FloatArray:
        vectors = model.embed(texts)
        if vectors is None:
            raise UsageError(f"{model.name} has no encoder to take vectors from; use --embedding tfidf or hf/NAME.")
        return vectors

    embed(["value"])
    return embed


class _Sentences:
    """The last states of an encoder, averaged over the tokens."""

    def __init__(self, name: str) -> None:
        try:
            import torch  # noqa: F401
            from transformers import AutoModel, AutoTokenizer
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), extra="local") from error
        from pluralign.models.loading import check_folder, without_bars

        check_folder(name)
        try:
            with without_bars():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
                self.model: Any = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"embedding hf/{name}: cannot be opened: {error}") from error

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        import torch

        found = []
        for first in range(0, len(texts), _BATCH):
            some = self.tokenizer(
                list(texts[first : first + _BATCH]), padding=True, truncation=True, max_length=128, return_tensors="pt"
            )
            with torch.inference_mode():
                states = self.model(**some).last_hidden_state.float()
            weights = some["attention_mask"][:, :, None].float()
            found.append(((states * weights).sum(1) / weights.sum(1)).double().numpy())
        return np.concatenate(found)
