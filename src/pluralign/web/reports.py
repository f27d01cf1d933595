"""Run folders with a report, found below one folder that was named at the start. No path ever comes from a request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Report", "reports_in"]

PAGES = ("report.html", "compare.html")
MOST = 500


@dataclass(frozen=True, slots=True)
class Report:
    key: str
    """What addresses name it by: a hash of its place."""
    name: str
    path: Path


def reports_in(root: Path | None) -> dict[str, Report]:
    """Key to report, by name; those in the folder and in its own folders. Links that lead out of it are not followed."""
    if root is None or not root.is_dir():
        return {}
    home = root.resolve()
    found = [page for name in PAGES for page in [*home.glob(name), *home.glob(f"*/{name}")]]
    inside = sorted(page for page in found if page.is_file() and page.resolve().is_relative_to(home))
    reports = [Report(_key(page.relative_to(home)), str(page.relative_to(home)), page) for page in inside[:MOST]]
    return {report.key: report for report in reports}


def _key(place: Path) -> str:
    return hashlib.sha256(place.as_posix().encode()).hexdigest()[:16]
