"""Training on episodes: cross-entropy on their outputs. So far: how episodes become sequences of tokens."""

from pluralign.tuning.encode import Cut, cut_to, encode_files

__all__ = ["Cut", "cut_to", "encode_files"]
