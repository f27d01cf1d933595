"""Ratings: the table of who rated what, its readers, its splits, and simulated people whose truth is known."""

from pluralign.ratings.scale import Scale, ScaleKind
from pluralign.ratings.table import Note, Ratings

__all__ = ["Note", "Ratings", "Scale", "ScaleKind"]
