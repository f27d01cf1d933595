"""An encoded episode as people read it: the cheapest guard against a mask in the wrong place."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from pluralign.models.content import ContentTokenizer
from pluralign.models.templates import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["TokenKind", "render_tokens"]

TokenKind = Literal["loss", "control", "text"]
"""Carries loss (an output's text and its end); a control token without loss; anything else."""


def render_tokens(encoded: Encoded, tokenizer: PreTrainedTokenizerFast | ContentTokenizer) -> list[tuple[str, TokenKind]]:
    """The text and kind of each token in order; joined, the texts are the whole sequence.

    Tokens that hold parts of one character come as one entry, since only together they are text. Pass a template's `content`
    in place of the tokenizer to spare a large vocabulary being copied.
    """
    content = tokenizer if isinstance(tokenizer, ContentTokenizer) else ContentTokenizer(tokenizer)
    kinds: list[TokenKind] = [
        "loss" if scored else "control" if number in content.control_ids else "text"
        for number, scored in zip(encoded.ids.tolist(), encoded.is_loss.tolist(), strict=True)
    ]
    shown: list[tuple[str, TokenKind]] = []
    for kind, run in groupby(zip(kinds, encoded.ids.tolist(), strict=True), key=itemgetter(0)):
        shown += [(text, kind) for text in _texts([number for _, number in run], content)]
    return shown


def _texts(ids: list[int], content: ContentTokenizer) -> list[str]:
    """The run's text, cut behind every token where a character ends too."""
    whole, texts, start, done = content.decode(ids), [], 0, 0
    for stop in range(1, len(ids)):
        text = content.decode(ids[start:stop])
        if whole.startswith(text, done) and not (
            _looks_cut(text[-1:]) and _looks_cut(content.decode(ids[stop : stop + 1])[:1])
        ):
            texts.append(text)
            start, done = stop, done + len(text)
    return [*texts, whole[done:]]


def _looks_cut(character: str) -> bool:
    """Part of a character is decoded as this one, which may also be what the text says."""
    return character == "\N{REPLACEMENT CHARACTER}"
