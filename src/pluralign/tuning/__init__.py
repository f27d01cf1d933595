"""Training on episodes: cross-entropy on their outputs. So far: how episodes become sequences of tokens."""

from pluralign.tuning.encode import Cut, TokenMeasure, cut_to, encode_files

__all__ = ["Cut", "TokenMeasure", "cut_to", "encode_files"]
