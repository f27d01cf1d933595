"""How a server is reached and asked, decided from the settings before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pluralign.errors import MissingExtraError, UsageError
from pluralign.models.endpoint_prompts import MessageWriter, TextWriter, TokenWriter, Writer
from pluralign.models.opening import ModelSettings
from pluralign.models.templates import open_template
from pluralign.models.turns import open_tokenizer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["address", "choose_writer", "connector"]


def choose_writer(settings: ModelSettings) -> Writer:
    """How episodes are put to the server; raises UsageError for settings that do not go together."""
    api, form = settings.api, settings.format
    if api == "auto":
        api = "completions" if settings.tokenizer is not None or form in ("spectrum", "colon") else "chat"
    if api == "chat":
        if settings.tokenizer is not None or form not in (None, "chat"):
            raise UsageError(
                "a chat server writes turns and tokens itself: leave out --tokenizer and --format, or use --api completions."
            )
        return MessageWriter(settings.chat)
    if settings.elicit == "verbalised":
        raise UsageError("--elicit verbalised asks a chat model in words; use --api chat, without --tokenizer and --format.")
    if settings.tokenizer is not None:
        tokenizer = open_tokenizer(settings.tokenizer, settings.revision)
        return TokenWriter(open_template(form or "spectrum", tokenizer, chat=settings.chat))
    if form not in (None, "colon"):
        raise UsageError(
            f"the format {form!r} needs the model's tokens: give its --tokenizer FOLDER_OR_ID, or use --format colon, which is "
            "sent as text."
        )
    return TextWriter()


def connector(settings: ModelSettings) -> Callable[[], AsyncOpenAI]:
    """What makes a connection; the SDK's own attempts are off, so that each request is counted once.

    Raises MissingExtraError, or UsageError for settings that cannot be. The key in OPENAI_API_KEY goes to the server at
    `base_url`, as with all clients of this interface.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError("openai", extra="api") from error
    if settings.concurrency < 1 or settings.n_elicit < 1 or settings.max_retries < 0 or not settings.timeout_s > 0:
        raise UsageError("concurrency and n_elicit must be at least 1, max_retries at least 0, timeout_s above 0.")
    root = settings.base_url or os.environ.get("OPENAI_BASE_URL")
    if root is not None and urlsplit(root).scheme not in ("http", "https"):
        raise UsageError(f"--base-url must begin with http:// or https://, not {root[:100]!r}")
    key = os.environ.get("OPENAI_API_KEY")
    if key is None and root is None:
        raise UsageError("set OPENAI_API_KEY, or give --base-url for a server of your own.")
    return lambda: openai.AsyncOpenAI(
        api_key=key or "none", base_url=settings.base_url, timeout=settings.timeout_s, max_retries=0
    )


def address(base_url: str | None) -> str:
    """The server's, without a name and password that may stand in it."""
    parts = urlsplit(base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
