"""Which tokenizer a base model with turn tokens gets, and the chat template by which others write its format.

Departures: the template refuses roles other than description, input and output, since no such turn was ever trained on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pluralign.errors import ModelError
from pluralign.models.layouts import ROLES
from pluralign.models.turns import Turns, find_bos, find_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["TurnTokens", "choose_tokenizer", "spectrum_chat_template"]


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """Turn tokens with their ids, and whose tokenizer has them."""

    turns: Turns
    ids: dict[str, int]
    whose: Literal["base", "instruct"]
    chat_template: str

    @property
    def end_id(self) -> int:
        """What ends an output."""
        return self.ids[self.turns.end]


def choose_tokenizer(base: PreTrainedTokenizerFast, instruct: PreTrainedTokenizerFast) -> TurnTokens:
    """The base's tokenizer if it has the turn tokens of its sibling under the same ids, else the sibling's.

    Raises UsageError where the sibling has no turn tokens, ModelError where the two tokenizers do not go together: where a
    piece has another id; where the sibling's is to be taken, also where any token has, or where it cuts texts in another way.
    """
    turns = find_turns(instruct)
    ids = {token: int(instruct.convert_tokens_to_ids(token)) for token in turns.tokens}
    has_them = all(_has_as(base, instruct, token, number) for token, number in ids.items())
    _check_vocabulary(base, instruct, ids, pieces_only=has_them)
    if has_them:
        return TurnTokens(turns, ids, "base", spectrum_chat_template(turns, has_bos=_has_bos(base, instruct)))
    _check_pieces(base, instruct)
    return TurnTokens(turns, ids, "instruct", spectrum_chat_template(turns, has_bos=find_bos(instruct) is not None))


def spectrum_chat_template(turns: Turns, *, has_bos: bool) -> str:
    """The format `spectrum` as a chat template in Jinja, for turns of the three roles.

    >>> spectrum_chat_template(Turns("<s>", "", "", "</s>", ""), has_bos=True)[:44]
    '{{ bos_token }}{% for message in messages %}'
    """
    refusal = f"roles are {', '.join(ROLES[:-1])} and {ROLES[-1]}, not "
    parts = [
        "{{ bos_token }}" if has_bos else "",
        "{% for message in messages %}",
        f"{{% if message['role'] not in {list(ROLES)} %}}",
        f"{{{{ raise_exception({_text(refusal)} + message['role']) }}}}",
        "{% endif %}",
        f"{{{{ {_text(turns.start)} + message['role'] + {_text(turns.role_end + turns.gap)} }}}}",
        f"{{{{ message['content'] + {_text(turns.end + turns.after)} }}}}",
        "{% endfor %}",
        f"{{% if add_generation_prompt %}}{{{{ {_text(turns.header('output'))} }}}}{{% endif %}}",
    ]
    return "".join(parts)


def _text(text: str) -> str:
    """As Jinja writes it; its escapes are those of JSON for all that is not beyond ASCII."""
    return json.dumps(text, ensure_ascii=False)


def _has_bos(base: PreTrainedTokenizerFast, instruct: PreTrainedTokenizerFast) -> bool:
    """By the sibling's chat template where the base has none, since a mere declaration says little."""
    own = base.chat_template
    try:
        base.chat_template = own or instruct.chat_template
        return find_bos(base) is not None
    finally:
        base.chat_template = own


def _has_as(base: PreTrainedTokenizerFast, instruct: PreTrainedTokenizerFast, token: str, number: int) -> bool:
    """Added under the same id, so that it is never cut, and left out of what is decoded if the sibling leaves it out."""
    own, other = (one.backend_tokenizer.get_added_tokens_decoder().get(number) for one in (base, instruct))
    if own is None or own.content != token:
        return False
    return bool(own.special) or other is None or not other.special


def _check_vocabulary(
    base: PreTrainedTokenizerFast, instruct: PreTrainedTokenizerFast, turn_ids: dict[str, int], *, pieces_only: bool
) -> None:
    """Every token of the base's is the sibling's; a slot that was kept free for a turn token may have had another name."""
    added, theirs = base.backend_tokenizer.get_added_tokens_decoder(), instruct.get_vocab()
    free = set(turn_ids.values()) & set(added) - {base.convert_tokens_to_ids(token) for token in _in_use(base)}
    skipped = set(added) if pieces_only else free
    for token, number in sorted(base.get_vocab().items(), key=lambda one: one[1]):
        is_skipped = number in skipped and (pieces_only or token not in theirs)
        if not is_skipped and theirs.get(token) != number:
            raise ModelError(
                f"the tokenizers do not go together: the token {token!r} has id {number} in the base's and "
                f"{theirs.get(token, 'none')} in the instruct model's; give the instruct sibling of this base."
            )


def _check_pieces(base: PreTrainedTokenizerFast, instruct: PreTrainedTokenizerFast) -> None:
    own, other = (_way_of_cutting(one) for one in (base, instruct))
    if different := [name for name in own if own[name] != other[name]]:
        raise ModelError(
            f"the tokenizers do not go together: they cut texts into pieces in different ways ({', '.join(different)} of "
            "tokenizer.json); give the instruct sibling of this base."
        )


def _way_of_cutting(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    fields = json.loads(tokenizer.backend_tokenizer.to_str())
    return {
        "normalizer": fields["normalizer"],
        "pre_tokenizer": fields["pre_tokenizer"],
        "merges": fields["model"].get("merges"),
    }


def _in_use(tokenizer: PreTrainedTokenizerFast) -> set[str]:
    """Tokens that have a part to play, such as the end of text."""
    parts = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token, tokenizer.pad_token)
    return {token for token in parts if token}
