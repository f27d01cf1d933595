"""From an altair chart to an `<svg>` element that can stand in a page beside others: static, without scripts or outside parts.

vl-convert draws the picture in this process. What it writes is read as XML, stripped of what only its own viewer needs, and
written again: its ids are made unique to the chart (several pictures share one page), and text that came from data is escaped
once more by the XML writer. The picture speaks as one image, with one description.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

__all__ = ["inline_svg", "specification"]

_UNNEEDED = {
    "class",
    "role",
    "pointer-events",
    "aria-hidden",
    "aria-label",
    "aria-roledescription",
    "stroke-miterlimit",
    "version",
}
_LOCAL_LINK = re.compile(r"url\(#([^)]+)\)")


def specification(chart: alt.LayerChart) -> dict[str, Any]:
    """The chart as a Vega-Lite specification, in whatever theme the caller may be working.

    Altair checks each part when it is made; checking the whole once more is left to the tests, since it takes most of the time.
    """
    import altair as alt

    with alt.theme.enable("none"):
        return chart.to_dict(validate=False)


def inline_svg(
    specification: dict[str, Any], *, name: str, label: str, css_class: str = "", datasets: dict[str, Any] | None = None
) -> str:
    """The chart as markup. `name` (letters, digits, hyphens) makes its ids unique; `label` is read aloud in its place.

    `datasets` fills the named data that the specification leaves open.
    """
    import vl_convert

    whole = {**specification, "datasets": {**specification.get("datasets", {}), **(datasets or {})}}
    root = ET.fromstring(vl_convert.vegalite_to_svg(whole))
    for element in root.iter():
        _tidy(element, name)
    _drop_invisible(root)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", css_class)
    return ET.tostring(root, encoding="unicode")


def _tidy(element: ET.Element, name: str) -> None:
    element.tag = element.tag.rpartition("}")[2]  # inside HTML an svg needs no namespace
    for attribute, value in list(element.attrib.items()):
        if attribute in _UNNEEDED or attribute.startswith("{"):
            del element.attrib[attribute]
        elif attribute == "id":
            element.set("id", f"{name}-{value}")
        else:
            element.set(attribute, _LOCAL_LINK.sub(rf"url(#{name}-\1)", value))


def _drop_invisible(parent: ET.Element) -> None:
    """Empty paths and groups, of which vega writes several around every mark."""
    for child in list(parent):
        _drop_invisible(child)
        empty_path = child.tag == "path" and (child.get("display") == "none" or child.get("d") in ("", "M0,0h0v0h0Z"))
        if empty_path or (child.tag == "g" and len(child) == 0):
            parent.remove(child)
