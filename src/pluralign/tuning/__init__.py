"""Training on episodes: cross-entropy on their outputs. So far its parts: tokens, rows, attention within rows, the loss.

What needs torch (`loss`, `chunked`, `weights`, `attention`, `segments`, `isolation`) is imported by its own name.
"""

from pluralign.tuning.encode import Cut, TokenMeasure, cut_to, encode_files
from pluralign.tuning.store import EncodedStore, encode_once, open_store

__all__ = ["Cut", "EncodedStore", "TokenMeasure", "cut_to", "encode_files", "encode_once", "open_store"]
