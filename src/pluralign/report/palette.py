"""Colours that colour-blind readers can tell apart, and the ink that is readable on them.

Source: Okabe & Ito 2008, Color Universal Design (nominal options); ordered options run from blue over grey to vermilion, the
two of its colours that stay apart under every common colour blindness.
"""

from __future__ import annotations

import itertools

__all__ = ["ACCENT", "GREY", "GRID", "INK", "MAIN", "MUTED", "N_DISTINCT", "ink_on", "option_colours"]

MAIN = "#0060a0"
"""Okabe-Ito blue, a little darker: at least 4.5:1 on white."""
ACCENT = "#c04f00"
INK = "#1b1f24"
MUTED = "#59626b"
GREY = "#8a929a"
GRID = "#e4e7ea"

_NOMINAL = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
_ORDERED = ("#00517f", "#5ea3cf", "#e6e6e6", "#eda15f", "#a84300")
N_DISTINCT = 2 * len(_NOMINAL)
"""So many unordered options have colours of their own; beyond that colours repeat."""


def option_colours(n_options: int, *, ordered: bool) -> list[str]:
    """A colour for each option, in the order of the scale.

    >>> option_colours(3, ordered=True)
    ['#00517f', '#e6e6e6', '#a84300']
    >>> option_colours(2, ordered=False)
    ['#0072b2', '#e69f00']
    """
    if ordered:
        steps = max(1, n_options - 1)
        return [_along(_ORDERED, position / steps) for position in range(n_options)]
    lighter = [_along((colour, "#ffffff"), 0.55) for colour in _NOMINAL]
    return list(itertools.islice(itertools.cycle([*_NOMINAL, *lighter]), n_options))


def ink_on(colour: str) -> str:
    """Black or white, whichever contrasts more with `colour`.

    Source: WCAG 2.1, relative luminance; the two contrasts are equal at a luminance of 0.179.

    >>> ink_on("#00517f"), ink_on("#e6e6e6")
    ('#ffffff', '#000000')
    """
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _rgb(colour))]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _along(anchors: tuple[str, ...], share: float) -> str:
    """The colour at `share` (0..1) of the way through the anchors."""
    place = share * (len(anchors) - 1)
    left = min(int(place), len(anchors) - 2)
    pairs = zip(_rgb(anchors[left]), _rgb(anchors[left + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - left)):02x}" for a, b in pairs)
