"""The six examples of the requests, and a few names of our own: one with a comma, one with letters beyond ASCII."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

NAMES = ("Red", "Blue", "Green", "Alien Abduction", "Amber Romance", "Absolute Zero")
INVENTED = ("Übersee", "Wet, Very Wet Slate", "Kettle Grey")


def write(folder: Path) -> None:
    rows = [{"name": name, "hex": f"#{n:06x}", "good name": "x" if n % 2 else None} for n, name in enumerate(NAMES + INVENTED)]
    write_csv(folder / "colornames.csv", rows)
