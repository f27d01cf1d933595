"""Language models as conditional distributions over an episode's next output; so far how they read an episode."""

from pluralign.models.chat import ChatStyle, chat_messages
from pluralign.models.content import ContentTokenizer
from pluralign.models.render import TokenKind, render_tokens
from pluralign.models.templates import Encoded, Template, open_template
from pluralign.models.turns import open_tokenizer

__all__ = [
    "ChatStyle",
    "ContentTokenizer",
    "Encoded",
    "Template",
    "TokenKind",
    "chat_messages",
    "open_template",
    "open_tokenizer",
    "render_tokens",
]
