"""Raters' ratings as episodes to tune on, and how a model that was tuned on them has to be told.

A rater's ratings go into as many episodes as the window asks for, so that each is learned once in a pass; an episode without
past ratings in its representation ("profile", "attributes") has one rating. The words and the representation lie beside a tuned
model's weights (`RATER_FILE`), and are used by `predict` when that folder is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError
from pluralign.files import read_json, write_json_atomic
from pluralign.models import Template
from pluralign.raters.individual_models import Privacy, privacy_of
from pluralign.raters.representations import RaterTexts, RaterWords, Representation, rater_episodes
from pluralign.ratings import Ratings
from pluralign.suite.ratings_task import part_of

__all__ = ["RATER_FILE", "AdaptedWords", "LaidOut", "Layout", "adapted_words", "keep_words", "lay_out", "within_window"]

RATER_FILE = "rater_words.json"
"""Beside the weights."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How ratings become episodes."""

    representation: str = "attributes+examples:all"
    held_out: float = 0.0
    """Share of the raters who are not trained on (`suite.ratings_task.part_of`)."""
    orders: int = 1
    """How often each rater is laid out, in another order each time; representations without past ratings have none."""
    max_tokens: int = 1024
    """Of an episode."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1 or self.orders < 1 or self.max_tokens < 2:
            raise UsageError(
                f"held out is a share of 0 up to 1, not {self.held_out:g}; orders are at least 1, not {self.orders}; a window "
                f"has 2 tokens or more, not {self.max_tokens}."
            )
        Representation.parse(self.representation)


@dataclass(frozen=True, kw_only=True)
class AdaptedWords:
    """How a folder that was tuned on raters has to be told."""

    representation: str
    words: RaterWords
    options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LaidOut:
    """Raters as episodes."""

    train: Sequence[Episode]
    held_out: Sequence[Episode]
    representation: str
    words: RaterWords
    options: tuple[str, ...]
    counts: Mapping[str, int]
    """Raters and ratings of each part; raters with one rating only; ratings too long for the window; raters without a text."""
    privacy: Privacy | None

    def lines(self) -> list[str]:
        """For people."""
        c = self.counts
        lines = [
            f"{c['train_ratings']:,} ratings of {c['train_raters']:,} raters as {len(self.train):,} episodes, told: "
            f"{self.representation}",
            f"held out: {c['held_out_ratings']:,} ratings of {c['held_out_raters']:,} raters",
        ]
        if c["single"]:
            lines.append(f"{c['single']:,} raters have one rating: nothing of theirs stands before it")
        if c["too_long"]:
            lines.append(f"left out: {c['too_long']:,} ratings whose text alone is longer than the window")
        if c["without_text"]:
            lines.append(f"{c['without_text']:,} raters have no profile or group; they are told without it")
        return lines + ([str(self.privacy)] if self.privacy is not None else [])


def lay_out(
    ratings: Ratings,
    model: str,
    template: Template,
    layout: Layout,
    *,
    texts: RaterTexts | None = None,
    words: RaterWords | None = None,
) -> LaidOut:
    """The episodes of a table; `model` is the name by which it is opened, which decides the words if they are not given.

    Raises DataError where a part has no rating, where nothing fits into the window, and where a text is needed that no rater
    has.
    """
    parsed, texts = Representation.parse(layout.representation), texts or RaterTexts()
    words = words or _own_words(model, ratings) or RaterWords.for_model(model, ratings.scale)
    n_without = _check_texts(ratings, parsed, texts)
    share = layout.held_out
    train = part_of(ratings, held_out=share, part="train") if share else ratings
    out = part_of(ratings, held_out=share, part="test") if share else ratings.take(np.zeros(0, dtype=np.int64))
    found, too_long = [], 0
    for part, n in ((train, layout.orders if parsed.n_examples else 1), (out, 1)):
        episodes: list[Episode] = []
        for order in range(n if len(part) else 0):
            made = list(rater_episodes(part, parsed, words=words, texts=texts, seed=layout.seed + order))
            fitted, n_long = within_window(made, template, layout.max_tokens)
            episodes += fitted
            too_long += n_long if order == 0 else 0
        found.append(episodes)
    if not found[0]:
        raise DataError(ratings.name, f"no rating fits into a window of {layout.max_tokens:,} tokens; raise --max-tokens.")
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    counts = {
        "train_raters": len(np.unique(train.rater_index)),
        "train_ratings": len(train),
        "held_out_raters": len(np.unique(out.rater_index)),
        "held_out_ratings": len(out),
        "single": int((n_ratings == 1).sum()),
        "too_long": too_long,
        "without_text": n_without,
    }
    return LaidOut(
        train=found[0],
        held_out=found[1],
        representation=str(parsed),
        words=words,
        options=ratings.scale.options,
        counts=counts,
        privacy=privacy_of(ratings, parsed),
    )


def within_window(episodes: Sequence[Episode], template: Template, max_tokens: int) -> tuple[list[Episode], int]:
    """The same examples in episodes of at most so many tokens, each with the whole description, in their order.

    Also the number of examples that are too long even alone, which are left out.
    """
    found: list[Episode] = []
    n_long = 0
    for episode in episodes:
        pieces, left_out = _pieces(episode, template, max_tokens)
        found += [episode] if len(pieces) == 1 and not left_out else [replace(episode, examples=one) for one in pieces]
        n_long += left_out
    return found, n_long


def _pieces(episode: Episode, template: Template, max_tokens: int) -> tuple[list[tuple[Example, ...]], int]:
    [encoded] = template.encode([episode])
    sizes = np.bincount(encoded.example_index + 1, minlength=len(episode.examples) + 1).tolist()
    pieces: list[tuple[Example, ...]] = []
    piece: list[Example] = []
    room, left_out = max_tokens - sizes[0], 0
    for example, size in zip(episode.examples, sizes[1:], strict=True):
        if size > max_tokens - sizes[0]:
            left_out += 1
            continue
        if size > room:
            pieces.append(tuple(piece))
            piece, room = [], max_tokens - sizes[0]
        piece.append(example)
        room -= size
    return [*pieces, *([tuple(piece)] if piece else [])], left_out


def _check_texts(ratings: Ratings, representation: Representation, texts: RaterTexts) -> int:
    """Raters with ratings who lack a text that the representation tells."""
    needed = {"profile": texts.profiles} if representation.profile else {}
    needed |= {"cluster": texts.clusters} if representation.cluster else {}
    raters = [ratings.rater_ids[rater] for rater in np.unique(ratings.rater_index).tolist()]
    for name, known in needed.items():
        if not any(rater in known for rater in raters):
            raise DataError(
                ratings.name, f"representation {str(representation)!r}: no rater has a {name}; give a file with --{name}s."
            )
    return sum(any(rater not in known for known in needed.values()) for rater in raters)


def keep_words(folder: Path, laid_out: LaidOut) -> None:
    """Writes `RATER_FILE` into a model's folder."""
    kept = {"representation": laid_out.representation, "words": asdict(laid_out.words), "options": list(laid_out.options)}
    write_json_atomic(folder / RATER_FILE, kept)


def adapted_words(model: str, ratings: Ratings) -> AdaptedWords | None:
    """How "hf/FOLDER" or FOLDER has to be told, if `adapt_model` made it.

    Raises DataError where it was tuned on other answers than these ratings have.
    """
    path = Path(model.removeprefix("hf/")) / RATER_FILE
    if not path.is_file():
        return None
    kept = read_json(path)
    try:
        found = AdaptedWords(
            representation=str(Representation.parse(kept["representation"])),
            words=RaterWords(**{str(name): str(text) for name, text in kept["words"].items()}),
            options=tuple(map(str, kept["options"])),
        )
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise DataError(str(path), "it is not what `pluralign adapt` wrote; adapt again, or remove the file.") from error
    if found.options != ratings.scale.options:
        raise DataError(
            ratings.name,
            f"the answers are {list(ratings.scale.options)}, but the model was tuned on {list(found.options)} ({path.name}); "
            "name the same --options, or take another model.",
        )
    return found


def _own_words(model: str, ratings: Ratings) -> RaterWords | None:
    """Those of a folder that was tuned on raters before."""
    found = adapted_words(model, ratings)
    return None if found is None else found.words
