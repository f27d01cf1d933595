"""What the two editions of the Learning with Disagreements shared task have in common: one file per data set and split."""

from __future__ import annotations

from pluralign.errors import DataError, nearest_name
from pluralign.ratings.readers.files import Source
from pluralign.stores import Place

__all__ = ["SPLITS", "dataset_of", "split_files"]

SPLITS = ("train", "dev", "test")


def dataset_of(path: Place) -> tuple[str, str]:
    """Data set and split of a file's name; the split is "" where the name tells none.

    >>> from pathlib import Path
    >>> dataset_of(Path("HS-Brexit_train.json"))
    ('HS-Brexit', 'train')
    """
    stem = path.name.split(".")[0]
    name, _, split = stem.rpartition("_")
    return (name, split) if split in SPLITS and name else (stem, "")


def split_files(source: Source) -> tuple[str, list[tuple[str, Place]]]:
    """The data set's name, and split and path of each of its files; of a folder with several data sets the chosen one."""
    if source.kind != "folder":
        name, split = dataset_of(source.path)
        return name, [(split, source.path)]
    found: dict[str, dict[str, Place]] = {}
    files: list[Place] = sorted(source.path.glob("*_*.json"), key=str)
    for path in files:
        name, split = dataset_of(path)
        if split:
            found.setdefault(name, {})[split] = path
    chosen = source.options.dataset
    if chosen is None and len(found) != 1:
        raise DataError(
            source.where, f"this folder holds {len(found)} data sets: {', '.join(found)}; choose one with --dataset"
        )
    name = chosen if chosen is not None else next(iter(found))
    if name not in found:
        raise DataError(source.where, f"--dataset: {nearest_name(name, found)}")
    return name, [(split, found[name][split]) for split in SPLITS if split in found[name]]
