"""Made-up files of several sources at once."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_sample

WITH_FILES = ("babynames", "diffuse_distribution", "helpsteer")
"""Synthetic sources that are made of files."""


def write_all(data_dir: Path) -> Path:
    """All three below this folder, which comes back."""
    for name in WITH_FILES:
        write_sample(name, data_dir)
    return data_dir
