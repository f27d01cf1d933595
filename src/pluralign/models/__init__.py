"""Language models as conditional distributions over an episode's next output."""

from pluralign.models.cache import CachedModel, ResponseCache
from pluralign.models.chat import ChatStyle, chat_messages
from pluralign.models.content import ContentTokenizer
from pluralign.models.flat import FlatEncoded
from pluralign.models.opening import ModelSettings, open_model
from pluralign.models.protocol import (
    LanguageModel,
    OptionLogprobs,
    OutputLogprobs,
    Query,
    Sample,
    SamplingSettings,
    Usage,
)
from pluralign.models.queries import AskedQuery, queries_of
from pluralign.models.render import TokenKind, render_tokens
from pluralign.models.scripted import ScriptedModel
from pluralign.models.templates import Encoded, Template, open_template
from pluralign.models.turns import open_tokenizer

__all__ = [
    "AskedQuery",
    "CachedModel",
    "ChatStyle",
    "ContentTokenizer",
    "Encoded",
    "FlatEncoded",
    "LanguageModel",
    "ModelSettings",
    "OptionLogprobs",
    "OutputLogprobs",
    "Query",
    "ResponseCache",
    "Sample",
    "SamplingSettings",
    "ScriptedModel",
    "Template",
    "TokenKind",
    "Usage",
    "chat_messages",
    "open_model",
    "open_template",
    "open_tokenizer",
    "queries_of",
    "render_tokens",
]
