"""Prints episodes as tokens: those that carry loss in colour, or in brackets where there is none, so that a pipe shows them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pluralign.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pluralign.scoring import ShownEpisode

__all__ = ["print_shown"]

_LOSS = ("black on green", "black on bright_green")
"""By turns, so that neighbouring tokens can be told apart."""
_STYLES = {"control": "cyan", "text": ""}


def print_shown(shown: Sequence[ShownEpisode], *, file: TextIO | None = None, console: Console | None = None) -> None:
    """The episodes, a legend and counts. A line break in a token is shown as a sign and made."""
    from rich.console import Console

    out = file or sys.stdout
    console = console or Console(file=out, highlight=False, markup=False, emoji=False, soft_wrap=True)
    in_colour = console.color_system is not None and not console.no_color
    brackets, line_break = ("⟦⟧", "↵") if _can_write("⟦⟧↵", console.encoding) else ("[]", "\\n")
    for number, one in enumerate(shown):
        if number:
            console.print()
        of = f", unit {printable(one.unit)}" if one.unit is not None else ""
        console.print(_writable(f"episode {one.row} ({printable(one.task)}{of}), format {one.format}", console), style="bold")
        tokens = _tokens(one, console, in_colour=in_colour, brackets=brackets, line_break=line_break)
        console.print(tokens, end="" if tokens.plain.endswith("\n") else "\n")
        console.print(_counts(one))
    console.print()
    console.print(_legend(in_colour=in_colour, brackets=brackets, line_break=line_break))


def _tokens(one: ShownEpisode, console: Console, *, in_colour: bool, brackets: str, line_break: str) -> Text:
    from rich.text import Text

    text, n_loss = Text(), 0
    for piece, kind in one.pieces:
        written = _writable(printable(piece, keep="\n"), console).replace("\n", f"{line_break}\n")
        if kind == "loss":
            behind = "\n" * written.endswith("\n")  # a break belongs to its token, but is made behind it
            written = written.removesuffix("\n")
            text.append(*((written, _LOSS[n_loss % 2]) if in_colour else (f"{brackets[0]}{written}{brackets[1]}", "")))
            text.append(behind)
            n_loss += 1
        else:
            text.append(written, _STYLES[kind])
    return text


def _counts(one: ShownEpisode) -> str:
    each = ", ".join(f"{example}: {count}" for example, count in enumerate(one.loss_tokens_of_example))
    return f"{one.n_tokens:,} tokens, {one.n_loss_tokens:,} carry loss" + (f"; by example {each}" if each else "")


def _legend(*, in_colour: bool, brackets: str, line_break: str) -> Text:
    from rich.text import Text

    if not in_colour:
        return Text(f"{brackets[0]}token{brackets[1]} carries loss, all else does not; {line_break} is a line break")
    marked = [("carries", _LOSS[0]), (" loss", _LOSS[1]), ("; ", ""), ("control token", _STYLES["control"])]
    return Text.assemble(*marked, f" and plain text do not; {line_break} is a line break")


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _writable(text: str, console: Console) -> str:
    """Characters that the terminal's encoding does not have are spelled out."""
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)
