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
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError

if TYPE_CHECKING:
    from pluralign.values.kaleido import ValuesModel

__all__ = ["Embed", "default_embedding", "open_embedding", "tfidf_vectors"]

FloatArray = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], FloatArray]


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
    from pluralign.models.sentences import SentenceEncoder

    return SentenceEncoder(rest)


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
