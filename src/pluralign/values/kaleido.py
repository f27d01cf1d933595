"""A model of values, rights and duties: what it is asked, what it gives back, and how one is opened by its name.

Two kinds answer to the same protocol: encoder-decoders with the published templates (`encoder_decoder`) and any causal model
or server, which is asked by episodes (`episodes`). What came of each request is an outcome of its own, with NaN where a number
would be.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.models.protocol import Usage
from pluralign.values.considerations import Consideration

if TYPE_CHECKING:
    from pluralign.models.cache import ResponseCache
    from pluralign.models.opening import ModelSettings

__all__ = [
    "Decoding",
    "Explained",
    "Generated",
    "Judged",
    "Pair",
    "ValuesModel",
    "ValuesOutcome",
    "generated",
    "open_values_model",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Pair = tuple[str, Consideration]
"""A situation and a consideration."""
ValuesOutcome = Literal["ok", "unparsed", "length", "refusal", "malformed", "failed", "unsupported"]
"""What came of a request: an answer; a text that names no consideration; one that the limit cut off; the model declined; it
replied with something else; no reply after all attempts; the model does not know this task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How texts are generated."""

    way: Literal["beams", "samples"] | None = None
    """beams: the most probable outputs that a beam search finds; samples: draws. Default: beams for an encoder-decoder, as
    published; samples for all others, which know nothing else."""
    max_new_tokens: int = 30
    """Of a consideration; a longer one is an outcome of its own."""
    max_input_tokens: int = 128
    """Encoder-decoders: a situation that makes an input longer is cut at its end, and counted."""
    max_explanation_tokens: int = 128

    def __post_init__(self) -> None:
        if min(self.max_new_tokens, self.max_input_tokens, self.max_explanation_tokens) < 1:
            raise UsageError("the most tokens of a consideration, an input and an explanation must be at least 1 each.")


@dataclass(frozen=True, slots=True)
class Generated:
    """One output of the generation task."""

    text: str
    consideration: Consideration | None
    """None unless the outcome is "ok"."""
    logprob: float | None = None
    """Nats, of text and end; None where the model does not say."""
    outcome: ValuesOutcome = "ok"
    is_cut: bool = False
    """The situation was longer than the model may read."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a model says of pairs of a situation and a consideration."""

    values: FloatArray
    """Relevance: P(Yes) / (P(Yes) + P(No)) [pairs]. Valence: P over `VALENCES`, renormalised [pairs, 3]. NaN unless ok."""
    outcomes: tuple[ValuesOutcome, ...]
    is_cut: BoolArray
    """[pairs]: the situation was longer than the model may read."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a consideration bears on a situation, in words."""

    text: str | None
    """None where there is no text; one that was cut off is kept, with its outcome."""
    outcome: ValuesOutcome = "ok"


class ValuesModel(Protocol):
    """Lists come back in the order of what was asked, one entry each; batches change no answer."""

    @property
    def name(self) -> str:
        """As it was opened: "hf/folder"."""
        ...

    @property
    def usage(self) -> Usage:
        """What this object has been asked for so far."""
        ...

    @property
    def system_params(self) -> Mapping[str, Any]:
        """Thresholds that come with the model, under their published names; empty for most."""
        ...

    def fingerprint(self) -> str:
        """Equal for two models only if equal requests may be given one another's answers."""
        ...

    def check(self, situations: Sequence[str]) -> None:
        """Raises DataError for situations that the model cannot know anything of, all of them at once."""
        ...

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        """`n` considerations of each situation."""
        ...

    def relevance(self, pairs: Sequence[Pair]) -> Judged:
        """How probable it is that the consideration bears on the situation."""
        ...

    def valence(self, pairs: Sequence[Pair]) -> Judged:
        """Which way the consideration points."""
        ...

    def explain(self, pairs: Sequence[Pair]) -> list[Explained]:
        """How the consideration bears on the situation."""
        ...

    def embed(self, texts: Sequence[str]) -> FloatArray | None:
        """Vectors [texts, dimensions]; None from a model that has none to give."""
        ...


def generated(text: str, outcome: ValuesOutcome, *, logprob: float | None = None, is_cut: bool = False) -> Generated:
    """An output as it came, read: only a finished text can name a consideration.

    >>> generated("Value: power", "ok").consideration
    Consideration(vrd='Value', text='power')
    >>> generated("power", "ok").outcome, generated("Value: pow", "length").consideration
    ('unparsed', None)
    """
    consideration = Consideration.parse(text) if outcome == "ok" else None
    if outcome == "ok" and consideration is None:
        outcome = "unparsed"
    return Generated(text.strip(), consideration, logprob, outcome, is_cut)


def open_values_model(
    name: str,
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    *,
    decoding: Decoding | None = None,
) -> ValuesModel:
    """The model of this name: an encoder-decoder where the configuration of hf/FOLDER_OR_ID says so, else any other.

    With `cache` answers are looked up and kept. Raises what `models.open_model` raises, and UsageError for a way of
    decoding that the model does not have.
    """
    from pluralign.models.opening import ModelSettings, open_model

    settings, decoding = settings or ModelSettings(), decoding or Decoding()
    kind, _, rest = name.partition("/")
    if kind == "hf" and rest and _is_encoder_decoder(rest, settings):
        from pluralign.values.encoder_decoder import EncoderDecoderKaleido

        opened = EncoderDecoderKaleido.open(rest, settings, decoding=decoding)
        if cache is None:
            return opened
        from pluralign.values.remembering import RememberingKaleido

        return RememberingKaleido(opened, cache, by_seed=decoding.way == "samples")
    from pluralign.values.episodes import EpisodeKaleido

    return EpisodeKaleido(open_model(name, settings, cache=cache), decoding=decoding)


def _is_encoder_decoder(name: str, settings: ModelSettings) -> bool:
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, extra="local")
    from transformers import AutoConfig

    from pluralign.models.loading import check_folder

    check_folder(name)
    try:
        config = AutoConfig.from_pretrained(name, revision=settings.revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: its config.json cannot be read: {error}") from error
    return bool(config.is_encoder_decoder)
