"""Models are opened by one string: hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded, embedded/base, scripted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pluralign.errors import MissingExtraError, UsageError, nearest_name
from pluralign.models.chat import ChatStyle
from pluralign.models.protocol import Elicitation, LanguageModel

if TYPE_CHECKING:
    from pluralign.models.cache import ResponseCache

__all__ = ["ModelSettings", "open_model"]

Opener = Callable[[str, "ModelSettings", "ResponseCache | None"], LanguageModel]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a model is opened; each backend reads what concerns it."""

    format: str | None = None
    """spectrum, colon or chat. Default: spectrum where tokens are ours to write, chat for a server without `tokenizer`."""
    chat: ChatStyle = field(default_factory=ChatStyle)
    revision: str | None = None
    """Of a hub id; pin it, so that a run can be repeated."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Local models: bfloat16 on accelerators; on a CPU what is faster there, measured when the model is opened."""
    device: str = "auto"
    """Local models: "cpu", "cuda", "cuda:1", ...; the first accelerator if there is one."""
    memory_gib: float | None = None
    """Local models: memory beside the weights. Default: 0.75 on a CPU, half of what is free on an accelerator."""
    base_url: str | None = None
    """Servers: the root of an OpenAI-compatible API."""
    tokenizer: str | None = None
    """Servers: folder or hub id of the model's tokenizer, so that token ids are sent, which no server can split otherwise."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """Servers: which of the two interfaces is asked."""
    elicit: Elicitation = "logprobs"
    """Servers: where distributions come from."""
    n_elicit: int = 30
    """Samples behind a distribution that is elicited by sampling."""
    concurrency: int = 16
    """Servers: requests under way at once."""
    timeout_s: float = 120.0
    max_retries: int = 6
    max_tokens_total: int | None = None
    """Servers: stop with an error before the run has used more prompt and output tokens than this."""


def open_model(name: str, settings: ModelSettings | None = None, *, cache: ResponseCache | None = None) -> LanguageModel:
    """The model of this name. With a `cache`, answers that it holds are not asked for again.

    Raises UsageError for an unknown kind, MissingExtraError where its packages are not installed, ModelError where the model
    cannot be opened.
    """
    kind, _, rest = name.partition("/")
    if kind not in _BACKENDS or (kind not in ("scripted", "embedded") and not rest):
        raise UsageError(
            f"model {name!r}: {nearest_name(kind, _BACKENDS)}. Write hf/FOLDER_OR_ID, openai/NAME, vllm/..., embedded or "
            "scripted."
        )
    return _BACKENDS[kind](rest, settings or ModelSettings(), cache)


def _open_local(
    name: str, settings: ModelSettings, cache: ResponseCache | None, *, known_as: str | None = None
) -> LanguageModel:
    try:
        for package in ("torch", "transformers"):
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), extra="local") from error
    from pluralign.models.local import LocalModel

    model = LocalModel.open(name, settings, known_as=known_as)
    return model if cache is None else _remembered(model, cache)


def _open_embedded(name: str, settings: ModelSettings, cache: ResponseCache | None) -> LanguageModel:
    from pluralign.models.embedded import embedded_folder

    if settings.revision is not None:
        raise UsageError("the embedded model lies in the package: it has no revisions.")
    return _open_local(str(embedded_folder(name)), settings, cache, known_as=f"embedded/{name}" if name else "embedded")


def _open_endpoint(name: str, settings: ModelSettings, cache: ResponseCache | None) -> LanguageModel:
    from pluralign.models.endpoint import EndpointModel

    return EndpointModel.open(name, settings, cache)


def _open_vllm(name: str, settings: ModelSettings, cache: ResponseCache | None) -> LanguageModel:
    from pluralign.models.vllm import VllmModel

    model = VllmModel.open(name, settings)
    return model if cache is None else _remembered(model, cache)


def _open_scripted(name: str, settings: ModelSettings, cache: ResponseCache | None) -> LanguageModel:
    from pluralign.models.scripted import ScriptedModel

    model = ScriptedModel.open(name)
    return model if cache is None else _remembered(model, cache)


def _remembered(model: LanguageModel, cache: ResponseCache) -> LanguageModel:
    from pluralign.models.cache import CachedModel

    return CachedModel(model, cache)


_BACKENDS: dict[str, Opener] = {
    "hf": _open_local,
    "embedded": _open_embedded,
    "openai": _open_endpoint,
    "vllm": _open_vllm,
    "scripted": _open_scripted,
}
