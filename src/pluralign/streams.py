"""A random generator that belongs to something: a sample of a prompt, a sequence of a person of a task.

Its numbers are a function of a seed and of what the generator is for. Nothing is handed out in the order of asking, so neither
the order of the work nor what else is done, nor how many processes share it, can change them.
"""

from __future__ import annotations

import hashlib
import operator

import numpy as np

__all__ = ["stream"]


def stream(seed: int, *key: str | int | bytes) -> np.random.Generator:
    """The generator of this seed and key; different keys, independent numbers.

    >>> bool(stream(0, "coin", 7).random() == stream(0, "coin", 7).random())
    True
    >>> bool(stream(0, "coin", 7).random() == stream(0, "coin", "7").random())
    False
    """
    parts = [str(seed).encode(), *(_part(word) for word in key)]
    framed = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(framed).digest()[:16], "little")))


def _part(word: str | int | bytes) -> bytes:
    """With its kind, so that 7 and "7" differ."""
    if isinstance(word, bytes):
        return b"b" + word
    return b"s" + word.encode() if isinstance(word, str) else b"i" + str(operator.index(word)).encode()
