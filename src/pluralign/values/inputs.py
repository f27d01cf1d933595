r"""What an encoder-decoder reads: a checkpoint's own templates, or the published form, cut to the model's length.

A checkpoint keeps `config.task_specific_params[task] = {template, args}`: in the template stand the names in `args`, for the
situation, and for the kind and the text of a consideration where the task has one, in this order. All are put in at once, so
that a situation which holds the name of another argument stays as it is.

An input that is too long loses the end of its situation, never its consideration: without it all candidates of a situation
would be one and the same input. Text that spells a control token ("</s>") gets a blank behind its first character, since some
vocabularies would read the token.

Departures from the published code: it puts arguments in one after the other, and cuts what stands at the end of the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, ModelError
from pluralign.models.content import IdArray
from pluralign.models.turns import control_pattern, control_tokens
from pluralign.values.considerations import TASKS, Consideration, ValuesTask, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["InputEncoder", "Rendered", "TaskTemplate", "read_templates"]

_SITUATION, _KIND, _TEXT = "SITUATION", "KIND", "TEXT"


@dataclass(frozen=True, slots=True)
class TaskTemplate:
    """How the inputs of a task are written."""

    template: str
    args: tuple[str, ...]
    """What is replaced in it: the situation; then kind and text, unless the task is to generate."""

    def render(self, situation: str, consideration: Consideration | None = None) -> Rendered:
        """The input, and where the situation stands in it."""
        texts = [one_line(situation)]
        texts += [] if consideration is None else [consideration.vrd, one_line(consideration.text)]
        put = dict(zip(self.args, texts, strict=True))
        written, span = "", (0, 0)
        for piece in re.split(
            f"({'|'.join(re.escape(arg) for arg in sorted(self.args, key=len, reverse=True))})", self.template
        ):
            start = len(written)
            written += put.get(piece, piece)
            if piece == self.args[0]:
                span = (start, len(written))
        return Rendered(written, span)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An input."""

    text: str
    situation: tuple[int, int]
    """First and behind-last character of the situation."""


_ABOUT = f"\tSituation: {_SITUATION}\t{_KIND}: {_TEXT}"
PUBLISHED: Mapping[ValuesTask, TaskTemplate] = {
    "generate": TaskTemplate(f"[Generate]:\tSituation: {_SITUATION}", (_SITUATION,)),
    "relevance": TaskTemplate(f"[Relevance]:{_ABOUT}", (_SITUATION, _KIND, _TEXT)),
    "valence": TaskTemplate(f"[Valence]:{_ABOUT}", (_SITUATION, _KIND, _TEXT)),
    "explanation": TaskTemplate(f"[Explanation]:{_ABOUT}", (_SITUATION, _KIND, _TEXT)),
}


def read_templates(params: Mapping[str, Any] | None, *, where: str) -> dict[ValuesTask, TaskTemplate]:
    """The templates that a checkpoint's configuration has (`task_specific_params`), the published ones for what it lacks.

    Raises ModelError, naming `where`, for a template whose arguments do not stand in it.
    """
    found = dict(PUBLISHED)
    for task in TASKS:
        given = (params or {}).get(task)
        if given is None:
            continue
        n_args = len(PUBLISHED[task].args)
        template, args = _parts(given)
        if template is None or len(args) != n_args or not all(arg and arg in template for arg in args):
            raise ModelError(
                f"{where}: task_specific_params.{task} is {str(given)[:200]}; it needs a template, and in args the names of "
                f"the {n_args} texts that are put into it (situation{', kind, text' if n_args > 1 else ''})."
            )
        found[task] = TaskTemplate(template, args)
    return found


def _parts(given: object) -> tuple[str | None, tuple[str, ...]]:
    """Template and args, as far as they are what they should be."""
    fields = given if isinstance(given, Mapping) else {}
    template, args = fields.get("template"), fields.get("args")
    if not isinstance(template, str) or not isinstance(args, list | tuple) or not all(isinstance(arg, str) for arg in args):
        return None, ()
    return template, tuple(args)


class InputEncoder:
    """Texts as token ids [tokens] of a whole-text tokenizer, its end of text included."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self.max_tokens = max_tokens
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._controls = control_pattern(control_tokens(tokenizer))

    def encode(self, rendered: Sequence[Rendered]) -> tuple[list[IdArray], list[bool]]:
        """Ids of each input, and whether its situation was cut. Raises DataError for text that no tokenizer takes."""
        escaped = [self._without_controls(one) for one in rendered]
        try:
            encodings = self._backend.encode_batch([one.text for one in escaped], add_special_tokens=True)
        except TypeError as error:
            raise DataError("situation", f"a text holds half of a surrogate pair: {error}") from error
        ids, is_cut = [], []
        for one, encoding in zip(escaped, encodings, strict=True):
            numbers = np.array(encoding.ids, dtype=np.int32)
            is_cut.append(len(numbers) > self.max_tokens)
            if is_cut[-1]:
                numbers = numbers[self._kept(one, encoding.offsets, encoding.special_tokens_mask)]
            ids.append(numbers)
        return ids, is_cut

    def word(self, text: str, end: int) -> npt.NDArray[np.int64]:
        """A whole answer as the decoder writes it, with its end."""
        numbers = self._backend.encode(text, add_special_tokens=True).ids
        return np.array(numbers if numbers[-1:] == [end] else [*numbers, end], dtype=np.int64)

    def _kept(self, one: Rendered, offsets: Sequence[tuple[int, int]], special: Sequence[int]) -> list[int]:
        """Positions of the tokens that stay: the situation's last ones go first, then the last ones of all else."""
        start, stop = one.situation
        inside = [n for n, (a, b) in enumerate(offsets) if not special[n] and a >= start and b <= stop and b > a]
        others = [n for n in range(len(offsets)) if not special[n] and n not in set(inside)]
        gone = set((others + inside)[self.max_tokens - len(offsets) :])
        return [n for n in range(len(offsets)) if n not in gone]

    def _without_controls(self, one: Rendered) -> Rendered:
        if not self._controls.search(one.text):
            return one
        start, stop = one.situation
        parts = [self._spelled(part) for part in (one.text[:start], one.text[start:stop], one.text[stop:])]
        return Rendered("".join(parts), (len(parts[0]), len(parts[0]) + len(parts[1])))

    def _spelled(self, text: str) -> str:
        while self._controls.search(text):
            text = self._controls.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text
