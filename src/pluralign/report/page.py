"""The report page: one HTML file that needs nothing else, neither a network nor JavaScript.

The page is a pure function of `Findings`, so that it can be drawn again from a run folder; two renderings are equal byte by
byte. All text from data passes through the template engine's escaping or the XML writer of the charts, and the page forbids
browsers to load or run anything (Content-Security-Policy), whatever the data contain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluralign.errors import UsageError
from pluralign.files import write_text_atomic
from pluralign.raters.findings import Findings
from pluralign.report import formatting, language_words, sentences
from pluralign.report.figures import draw_pictures
from pluralign.report.palette import N_DISTINCT, option_colours
from pluralign.stores import Place, place

if TYPE_CHECKING:
    import jinja2

__all__ = ["legend", "page_environment", "study_page", "write_study_page"]

COMPACT_ABOVE = 4
"""More groups than this are folded away on screen (and unfolded on paper)."""
LEGEND_LENGTH = 12


def write_study_page(findings: Findings, path: Place) -> None:
    """Write the report of a study as one self-contained HTML file; folders on the way are made.

    The file appears whole or not at all. Raises RunError where the disk or the store refuses.
    """
    path = place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; the report page needs the name of a file, e.g. {path / 'report.html'}.")
    page = study_page(findings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, page)


def study_page(findings: Findings) -> str:
    """The report of a study as HTML."""
    shown = Findings.from_dict(_clean(findings.to_dict()))
    return (
        page_environment()
        .get_template("study.html.j2")
        .render(
            f=shown,
            pictures=draw_pictures(shown),
            say=sentences,
            words=language_words,
            legend=legend(shown.data.options, ordered=shown.data.scale_kind != "nominal"),
            colours_repeat=shown.data.scale_kind == "nominal" and len(shown.data.options) > N_DISTINCT,
            compact_above=COMPACT_ABOVE,
        )
    )


def legend(options: list[str], *, ordered: bool) -> list[tuple[str, str]]:
    """(colour, option) for each option; of a long scale, options evenly spread over it."""
    pairs = list(zip(option_colours(len(options), ordered=ordered), options, strict=True))
    if len(pairs) <= LEGEND_LENGTH or not ordered:
        return pairs
    steps = LEGEND_LENGTH // 2
    return [pairs[round(i * (len(pairs) - 1) / steps)] for i in range(steps + 1)]


def page_environment() -> jinja2.Environment:
    """The template engine of all pages, with escaping."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pluralign.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        num=formatting.number,
        pct=formatting.percent,
        p=formatting.p_text,
        n=formatting.count,
        bits=formatting.bits,
        times=formatting.short_factor,
        factor_decimals=formatting.factor_decimals,
        shorten=formatting.shorten,
    )
    return environment


def _clean(value: Any) -> Any:
    """The same tree with every text made fit to print."""
    if isinstance(value, dict):
        return {key: _clean(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return formatting.clean(value) if isinstance(value, str) else value
