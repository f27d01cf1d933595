"""Readers: files of ratings as they are found in the world, to checked `Ratings`.

One file per format, and one line in `FORMATS`. A reader finds the rows and says what it saw (`Long`); `finish` checks them. To
add a format, write `read_NAME(source) -> Long`, add its line here, and a ten-row sample for its test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from pluralign.errors import UsageError, nearest_name
from pluralign.ratings.readers.argilla import read_argilla
from pluralign.ratings.readers.detect import detect_format, detected
from pluralign.ratings.readers.files import Source
from pluralign.ratings.readers.labelstudio import read_labelstudio
from pluralign.ratings.readers.lewidi2023 import read_lewidi2023
from pluralign.ratings.readers.lewidi2025 import read_lewidi2025
from pluralign.ratings.readers.long import Long, finish
from pluralign.ratings.readers.meta import join_meta
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.readers.polis import read_polis
from pluralign.ratings.readers.potato import read_potato
from pluralign.ratings.readers.table import read_table
from pluralign.ratings.readers.wide import read_wide
from pluralign.ratings.table import Ratings
from pluralign.stores import place

__all__ = ["FORMATS", "ReadOptions", "detect_format", "read_long", "read_ratings"]

FORMATS: dict[str, Callable[[Source], Long]] = {
    "table": read_table,
    "wide": read_wide,
    "polis": read_polis,
    "lewidi2023": read_lewidi2023,
    "lewidi2025": read_lewidi2025,
    "potato": read_potato,
    "labelstudio": read_labelstudio,
    "argilla": read_argilla,
}


def read_ratings(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Ratings:
    """The ratings in a file or folder; `notes` say what was recognised, left out and dropped, and how often.

    Raises DataError with what is wrong with the file, UsageError for an unknown format.
    """
    options = options or ReadOptions()
    return finish(read_long(path, options)[1], options)


def read_long(path: str | os.PathLike[str], options: ReadOptions) -> tuple[str, Long]:
    """The format, and what its reader found before the checks that all formats share."""
    if options.format is not None and options.format not in FORMATS:
        raise UsageError(f"--format: {nearest_name(options.format, FORMATS)}")
    source = Source(place(path), options)
    if options.format is None:
        name, note = detected(source)
        long = FORMATS[name](source)
        long = replace(long, notes=(note, *long.notes))
    else:
        name, long = options.format, FORMATS[options.format](source)
    if options.rater_meta is not None:
        long = join_meta(long, source.beside(place(options.rater_meta)), "rater")
    if options.item_meta is not None:
        long = join_meta(long, source.beside(place(options.item_meta)), "item")
    return name, long
