"""Marks of small pictures without text: places are shares of the width (0..100), colours are the style sheet's classes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

__all__ = ["line_mark", "picture_root", "tick_mark", "width_share"]


def picture_root(height: int, label: str, css_class: str) -> ET.Element:
    """A picture as wide as its place and so many pixels high; `label` is read aloud."""
    size = {"width": "100%", "height": str(height)}
    return ET.Element("svg", {"class": css_class, "role": "img", "aria-label": label, **size})


def width_share(place: float) -> str:
    """
    >>> width_share(100 / 3)
    '33.33%'
    """
    return f"{round(place, 2):g}%"


def line_mark(root: ET.Element, left: float, right: float, y: int, name: str) -> None:
    """A line across, at `y` pixels from the top."""
    ends = {"x1": width_share(left), "x2": width_share(right), "y1": str(y), "y2": str(y)}
    ET.SubElement(root, "line", {"class": name, **ends})


def tick_mark(root: ET.Element, place: float, ends: tuple[int, int], name: str) -> None:
    """An upright line at a place, from and to so many pixels from the top."""
    at = width_share(place)
    ET.SubElement(root, "line", {"class": name, "x1": at, "x2": at, "y1": str(ends[0]), "y2": str(ends[1])})
