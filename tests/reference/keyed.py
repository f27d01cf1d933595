"""splitmix64 with Python's own integers, one word at a time."""

from __future__ import annotations

import hashlib

_MASK = 2**64 - 1


def splitmix64(state: int, n_words: int) -> list[int]:
    """The first words of the generator, as its authors wrote it: a state that is stepped."""
    words = []
    for _ in range(n_words):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        words.append(z ^ (z >> 31))
    return words


def keyed_word(seed: int, stream: str, codes: list[int]) -> int:
    """Each code picks a word, which is the state for the next; only small codes, since the words before are all made."""
    state = int.from_bytes(hashlib.blake2b(f"{seed}:{stream}".encode(), digest_size=8).digest(), "little")
    for code in codes:
        state = splitmix64(state, code + 1)[code]
    return state
