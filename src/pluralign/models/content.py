"""Text from data as token ids of its own: never a control token, and never merged with what stands before or after it.

A tokenizer for whole texts does two things that content must not suffer: it turns text that looks like a control token into
that token, and it puts a blank or a BOS in front of the text's beginning. Content is therefore tokenised by a copy of the
fast tokenizer in which control tokens are not recognised, nothing is put in front, and decoding takes nothing away. Whatever
comes out is looked through once more, since some vocabularies (unigram ones) hold control tokens as ordinary pieces.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, UsageError
from pluralign.models.turns import control_pattern, control_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["ContentTokenizer", "IdArray", "TextTable"]

IdArray = npt.NDArray[np.int32]

_BATCH = 16_384
"""Texts in one call: bounds memory, and is far above where calls cost anything."""
_LARGE = 4_000_000
"""Tokens of a table of texts."""


class ContentTokenizer:
    """Tokenises many texts in one call, each on its own.

    Raises UsageError for a tokenizer that is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        if not tokenizer.is_fast:
            raise UsageError("content is tokenised by fast tokenizers only; this one has no tokenizer.json.")
        controls = control_tokens(tokenizer)
        self.backend = _content_backend(tokenizer.backend_tokenizer, controls)
        self.control_ids = frozenset(controls.values())
        self._forbidden = self.control_ids - _unknown_id(tokenizer)
        self._forbidden_ids = np.array(sorted(self._forbidden), dtype=np.int32)
        self._pattern = control_pattern(controls)

    def encode(self, texts: Sequence[str]) -> list[IdArray]:
        """Ids of each text [tokens], empty for one that the tokenizer makes nothing of. Equal texts are tokenised once.

        Raises DataError for a text with half of a surrogate pair, which no file that was checked has.
        """
        unique = list(dict.fromkeys(texts))
        ids, lengths = self.encode_flat(unique)
        ends = lengths.cumsum().tolist()
        found = {text: ids[a:b] for text, a, b in zip(unique, [0, *ends], ends, strict=False)}
        return [found[text] for text in texts]

    def encode_flat(self, texts: Sequence[str]) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """The same of all texts one after another [tokens], and how many each has [texts]; equal texts are not looked for."""
        ids: list[IdArray] = [np.zeros(0, dtype=np.int32)]
        lengths: list[int] = []
        for first in range(0, len(texts), _BATCH):
            batch = texts[first : first + _BATCH]
            try:
                encodings = self.backend.encode_batch_fast(batch, add_special_tokens=False)
            except TypeError as error:
                raise DataError("text", [fault for text in batch for fault in _surrogates(text)] or str(error)) from error
            found = [encoding.ids for encoding in encodings]
            flat = _flat(found)
            if np.isin(flat, self._forbidden_ids).any():
                found = [self._without_controls(text, numbers) for text, numbers in zip(batch, found, strict=True)]
                flat = _flat(found)
            ids.append(flat)
            lengths += map(len, found)
        return np.concatenate(ids), np.array(lengths, dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids, control tokens as their names, blanks as they are."""
        return self.backend.decode([int(number) for number in ids], skip_special_tokens=False)

    def _without_controls(self, text: str, ids: list[int]) -> list[int]:
        if not self._forbidden.isdisjoint(ids):
            # cut every name of a control token behind its first character: the vocabulary's piece cannot come of the parts
            cuts = [0, *(match.start() + 1 for match in self._pattern.finditer(text)), len(text)]
            parts = [text[a:b] for a, b in itertools.pairwise(cuts)]
            ids = [i for e in self.backend.encode_batch_fast(parts, add_special_tokens=False) for i in e.ids]
        if not self._forbidden.isdisjoint(ids):
            token = self.backend.id_to_token(min(self._forbidden.intersection(ids)))
            raise DataError("text", f"the tokenizer makes the control token {token!r} of {text[:60]!r}; change this text.")
        return ids


class TextTable:
    """Texts with their ids, each tokenised when it first comes and known from then on."""

    def __init__(self, content: ContentTokenizer, lead: str = "") -> None:
        self._content, self._lead = content, lead
        self._numbers: dict[str | None, int] = {None: -1}
        self._new: list[str] = []
        self.ids: IdArray = np.zeros(0, dtype=np.int32)
        """Of all texts one after another [tokens]."""
        self.lengths: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        """[texts]"""

    @property
    def is_large(self) -> bool:
        """Time for a new one: this has some tens of megabytes."""
        return len(self.ids) > _LARGE or len(self.lengths) > _LARGE // 8

    def numbers(self, texts: Sequence[str | None] | Sequence[str]) -> npt.NDArray[np.int64]:
        """The number of each text in this table, -1 for None; `learn` has to follow before their ids are there."""
        known = self._numbers
        new = [text for text in dict.fromkeys(texts) if text is not None and text not in known]
        known.update(zip(new, itertools.count(len(known) - 1), strict=False))
        self._new += new
        return np.fromiter(map(known.__getitem__, texts), dtype=np.int64, count=len(texts))

    def learn(self) -> None:
        """Tokenises what `numbers` has met for the first time."""
        if self._new:
            ids, lengths = self._content.encode_flat([self._lead + text for text in self._new])
            self.ids, self.lengths = np.concatenate([self.ids, ids]), np.concatenate([self.lengths, lengths])
            self._new = []


def _flat(lists: Sequence[Sequence[int]]) -> IdArray:
    return np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int32, count=sum(map(len, lists)))


def _surrogates(text: str) -> list[str]:
    halves = [n for n, character in enumerate(text) if "\ud800" <= character <= "\udfff"]
    shown = [f"{text[:60]!r} has half of a surrogate pair (U+{ord(text[n]):04X}) at character {n + 1:,}" for n in halves[:1]]
    return [f"{fault}; no text may hold one." for fault in shown]


def _content_backend(backend: Tokenizer, controls: Iterable[str]) -> Tokenizer:
    """A copy that recognises no control token, adds nothing, and decodes what it encoded."""
    from tokenizers import Tokenizer

    fields = json.loads(backend.to_str())
    names = set(controls)
    for token in fields["added_tokens"]:
        token["special"] = token["special"] or token["content"] in names
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        fields[part] = _without_prefix(fields[part])
    fields |= {"post_processor": None, "truncation": None, "padding": None}
    if "dropout" in fields["model"]:
        fields["model"]["dropout"] = None  # merges left out at random are for training
    copy = Tokenizer.from_str(json.dumps(fields))
    copy.encode_special_tokens = True  # "<eos>" in a text is five characters
    return copy


def _without_prefix(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """The step of the tokenizer without the blank in front of a text; None where it does nothing else."""
    if part is None or part["type"] == "Prepend" or (part["type"] == "Strip" and "start" in part):
        return None
    for name in ("normalizers", "pretokenizers", "decoders"):
        if name in part:
            part[name] = [kept for inner in part[name] if (kept := _without_prefix(inner)) is not None]
    if part["type"] == "Metaspace":
        part["prepend_scheme"] = "never"
    if part["type"] == "ByteLevel":
        part["add_prefix_space"] = False
    return part


def _unknown_id(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """The id for characters outside the vocabulary, where it stands for nothing else."""
    unknown = tokenizer.unk_token_id
    others = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    return set() if unknown is None or unknown in others else {int(unknown)}
