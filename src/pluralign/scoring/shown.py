"""`show`: episodes as a model reads them, with the tokens that carry loss marked; the cheapest guard against mask bugs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluralign.episodes import read_episodes
from pluralign.errors import DataError, UsageError
from pluralign.models import ModelSettings, Template, TokenKind, open_template, open_tokenizer, render_tokens

if TYPE_CHECKING:
    from pluralign.episodes import Episode

__all__ = ["ShownEpisode", "named_template", "show"]


@dataclass(frozen=True, kw_only=True)
class ShownEpisode:
    """One episode as tokens."""

    row: int
    """Number of the episode in the file, from 0."""
    task: str
    unit: str | None
    format: str
    pieces: list[tuple[str, TokenKind]]
    """Text and kind; tokens that hold parts of one character are one piece."""
    ids: list[int]
    is_loss: list[bool]
    example_index: list[int]
    """The example each token belongs to; -1 before the first."""

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_loss_tokens(self) -> int:
        return sum(self.is_loss)

    @property
    def loss_tokens_of_example(self) -> list[int]:
        """Tokens that carry loss, of each example."""
        counts = [0] * (max(self.example_index, default=-1) + 1)
        for example, scored in zip(self.example_index, self.is_loss, strict=True):
            if scored:
                counts[example] += 1
        return counts

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "episode": self.row,
            "task": self.task,
            "unit": self.unit,
            "format": self.format,
            "n_tokens": self.n_tokens,
            "n_loss_tokens": self.n_loss_tokens,
            "loss_tokens_of_example": self.loss_tokens_of_example,
            "pieces": [{"text": text, "kind": kind} for text, kind in self.pieces],
            "ids": self.ids,
            "is_loss": self.is_loss,
            "example_index": self.example_index,
        }


def show(
    file: str | os.PathLike[str], *, model: str, n: int = 1, start: int = 0, settings: ModelSettings | None = None
) -> list[ShownEpisode]:
    """`n` episodes of a file from number `start` (from 0) as tokens; of the model only its tokenizer is opened.

    Raises UsageError for a model without one, and for a `start` behind the file's end.
    """
    if n < 1 or start < 0:
        raise UsageError(f"n must be at least 1 and start at least 0, not {n} and {start}.")
    template = named_template(model, settings or ModelSettings())
    episodes = read_episodes(file)
    if not episodes:
        raise DataError(os.fspath(file), "there are no episodes in this file.")
    if start >= len(episodes):
        raise UsageError(f"start {start}: {file} has {len(episodes):,} episodes, numbered from 0.")
    return _shown(episodes[start : start + n], start, template)


def named_template(model: str, settings: ModelSettings) -> Template:
    """The template that a model of this name is asked with. Raises UsageError where its tokens are not ours to know."""
    kind, _, rest = model.partition("/")
    tokenizer = settings.tokenizer or (rest if kind in ("hf", "vllm") else None)
    if not tokenizer:
        raise UsageError(
            f"model {model!r}: its tokenizer is not known. Write hf/FOLDER_OR_ID, or say whose tokens it reads: --tokenizer"
        )
    opened = open_tokenizer(tokenizer, settings.revision if kind in ("hf", "vllm") else None)
    return open_template(settings.format or "spectrum", opened, chat=settings.chat)


def _shown(episodes: list[Episode], start: int, template: Template) -> list[ShownEpisode]:
    return [
        ShownEpisode(
            row=start + n,
            task=episode.task,
            unit=episode.unit,
            format=template.name,
            pieces=render_tokens(encoded, template.content),
            ids=encoded.ids.tolist(),
            is_loss=encoded.is_loss.tolist(),
            example_index=encoded.example_index.tolist(),
        )
        for n, (episode, encoded) in enumerate(zip(episodes, template.encode(episodes), strict=True))
    ]
