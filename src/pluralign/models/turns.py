"""The tokens that begin and end a turn, found in what a tokenizer says of itself: its added tokens and its chat template.

A model's name or path says nothing here. The chat template is rendered with two users and two assistants; where the text
between two turns is END blank START role [ROLE_END] blank, those are the turn tokens. A tokenizer whose template does not
look so, or that has none (a pretrained model's), is searched for the tokens of the three families below, which its sibling
for chat uses.

Source: the text formats of the published Spectrum checkpoints (Sorensen et al. 2025, arXiv 2510.06084) for Gemma 3, ChatML
(Qwen 3) and Llama 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluralign.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["FAMILIES", "Turns", "control_pattern", "control_tokens", "find_bos", "find_turns", "open_tokenizer", "render_chat"]


@dataclass(frozen=True, slots=True)
class Turns:
    """How a turn is written: start, role, role_end, gap, TEXT, end, after."""

    start: str
    role_end: str
    """A control token, or empty."""
    gap: str
    """Blank text between the role and the content."""
    end: str
    after: str
    """Blank text between two turns; it never carries loss."""

    def header(self, role: str) -> str:
        return f"{self.start}{role}{self.role_end}{self.gap}"

    @property
    def tokens(self) -> tuple[str, ...]:
        return tuple(token for token in (self.start, self.role_end, self.end) if token)


FAMILIES = {
    "gemma": Turns("<start_of_turn>", "", "\n", "<end_of_turn>", "\n"),
    "chatml": Turns("<|im_start|>", "", "\n", "<|im_end|>", "\n"),
    "llama": Turns("<|start_header_id|>", "<|end_header_id|>", "\n\n", "<|eot_id|>", ""),
}


def open_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a local folder or hub id; code that comes with a model is never run."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", extra="local") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"no tokenizer can be opened from '{name}': {error}") from error
    if not tokenizer.is_fast:
        raise UsageError(f"the tokenizer of '{name}' is not a fast one; convert it to a tokenizer.json.")
    return tokenizer


def control_tokens(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Text and id of every token that controls rather than says something.

    These are the special tokens, the turn tokens of all families, and added tokens that the chat template writes, such as
    "<think>", even where they are not marked as special. Other added tokens (runs of blanks, tags of HTML) are content.
    """
    template = str(tokenizer.chat_template or "")
    known = {token for turns in FAMILIES.values() for token in turns.tokens} | set(tokenizer.all_special_tokens)
    found = {}
    for number, token in tokenizer.backend_tokenizer.get_added_tokens_decoder().items():
        text = token.content
        if token.special or text in known or (_is_mark(text) and text in template):
            found[text] = number
    for text in known - set(found):
        number = tokenizer.backend_tokenizer.token_to_id(text)
        if number is not None:
            found[text] = number
    return found


def control_pattern(controls: Iterable[str]) -> re.Pattern[str]:
    """Matches any control token's text, the longest first; matches nothing when there are none."""
    texts = sorted(controls, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")


def find_turns(tokenizer: PreTrainedTokenizerFast) -> Turns:
    """How this tokenizer's turns are written. Raises UsageError where it has no turn tokens, or several kinds."""
    own = _turns_of_template(tokenizer)
    if own is not None:
        return own
    template = str(tokenizer.chat_template or "")
    found = {name: turns for name, turns in FAMILIES.items() if all(_is_one_token(tokenizer, t) for t in turns.tokens)}
    if len(found) > 1:
        found = {name: turns for name, turns in found.items() if all(token in template for token in turns.tokens)} or found
    if len(found) == 1:
        return next(iter(found.values()))
    what = f"turn tokens of {' and '.join(found)} and no chat template that uses one kind" if found else "no turn tokens"
    raise UsageError(
        f"this tokenizer has {what}, so the format 'spectrum' cannot be written; use the format 'colon', which needs none"
        + (", or give the tokenizer a chat template." if found else ".")
    )


def find_bos(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Id of the token that stands once in front of every sequence; None where the tokenizer has none.

    A declared BOS counts when the tokenizer puts it in front of text itself or its chat template does. Where neither says
    anything (no template), it counts unless it is also the end of text or a turn's start, which is a declaration for want of
    a better one.
    """
    bos, text = tokenizer.bos_token_id, tokenizer.bos_token
    if bos is None:
        return None
    if tokenizer.encode("a")[:1] == [bos]:
        return int(bos)
    if text in {turns.start for turns in FAMILIES.values()}:
        return None
    if tokenizer.chat_template:
        return int(bos) if any(rendered and rendered.startswith(text) for rendered in _two_rounds(tokenizer)) else None
    return None if bos == tokenizer.eos_token_id else int(bos)


def render_chat(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Mapping[str, str]], *, ask: bool = False) -> str | None:
    """What the chat template writes, with the beginning of a reply if `ask`; None where it refuses these messages.

    Thinking is switched off, and the date that some templates write is held fixed, so that equal messages give equal text.
    """
    from jinja2.exceptions import TemplateError

    fixed: dict[str, Any] = {"enable_thinking": False, "date_string": "1 Jan 2025"}
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask, **fixed))
    except (TemplateError, TypeError, KeyError):  # a template's own refusal, or it met what it did not expect
        return None


_WORDS = ("firstquestion", "firstanswer", "secondquestion", "secondanswer")


def _two_rounds(tokenizer: PreTrainedTokenizerFast) -> Iterable[str | None]:
    for roles in (("user", "assistant"), ("input", "output")):
        messages = [{"role": roles[n % 2], "content": word} for n, word in enumerate(_WORDS)]
        yield render_chat(tokenizer, messages)


def _turns_of_template(tokenizer: PreTrainedTokenizerFast) -> Turns | None:
    """Read off between the first answer and the second question, where no template adds thoughts or a system prompt."""
    if not tokenizer.chat_template:
        return None
    control = f"(?:{control_pattern(control_tokens(tokenizer)).pattern})"
    turn = re.compile(
        rf"firstanswer(?P<end>{control})(?P<after>\s*)(?P<start>{control})(?:user|input)(?P<role_end>{control}|)(?P<gap>\s*)secondquestion"
    )
    for rendered in _two_rounds(tokenizer):
        if rendered is not None and (found := turn.search(rendered)):
            return Turns(**found.groupdict())
    return None


def _is_one_token(tokenizer: PreTrainedTokenizerFast, text: str) -> bool:
    number = tokenizer.backend_tokenizer.token_to_id(text)
    return number is not None and tokenizer.encode(text, add_special_tokens=False) == [number]


def _is_mark(text: str) -> bool:
    """Looks like "<think>" or "[INST]", not like a word or a run of blanks."""
    return len(text) > 2 and not text[0].isalnum() and not text[-1].isalnum() and bool(text.strip())
