"""Random numbers that belong to a unit: each is a pure function of a seed, a stream's name and the unit's code.

A sequential generator hands out numbers in the order of asking, so one more rater shifts everybody after them. Here nothing
is handed out: the number of rater "r17" for purpose "theta" is computed from those words, all units at once, and neither
order nor number of the other units can change it. The computation is the splitmix64 generator, read at a counter: with
state x, its word number j is mix(x + (j + 1) * golden), and that word is the state for the next code of the key.

Source: Steele, Lea & Flood 2014, Fast splittable pseudorandom number generators (splitmix64); Salmon et al. 2011, Parallel
random numbers: as easy as 1, 2, 3 (counters in place of state).
Departures: codes are chained, each word being the state for the next code; not meant for cryptography.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

__all__ = ["id_codes", "keyed_normals", "keyed_uniforms", "keyed_words"]

Codes = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | int
FloatArray = npt.NDArray[np.float64]
WordArray = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def id_codes(ids: Iterable[str]) -> WordArray:
    """A code of 64 bits for each id, the same on every machine and in every session: [ids].

    Two of n different ids share a code with probability about n^2 / 2^65: 3e-8 for a million.

    >>> id_codes(["r1", "r2"]).tolist() == id_codes(["r2", "r1"]).tolist()[::-1]
    True
    """
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def keyed_words(seed: int, stream: str, *codes: Codes) -> WordArray:
    """64 random bits for each unit: [the broadcast shape of the codes].

    `stream` says what the numbers are for: different names, independent numbers. The order of the codes matters.

    >>> both = keyed_words(0, "example", np.array([5, 7]))
    >>> bool(both[1] == keyed_words(0, "example", np.array([7]))[0])
    True
    """
    words: WordArray = np.array([_stream_state(seed, stream)], dtype=np.uint64)
    for code in codes:
        words = _words_at(words, np.asarray(code).astype(np.uint64))
    shape = np.broadcast_shapes(*(np.shape(code) for code in codes))
    return words.reshape(shape)


def keyed_uniforms(seed: int, stream: str, *codes: Codes) -> FloatArray:
    """Uniform numbers, 0 and 1 excluded, one for each unit; see `keyed_words`."""
    words = keyed_words(seed, stream, *codes)
    # 52 bits and a half: with 53 the greatest would round up to 1
    uniforms: FloatArray = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return uniforms


def keyed_normals(seed: int, stream: str, *codes: Codes) -> FloatArray:
    """Standard normal numbers, one for each unit, by inversion; see `keyed_words`."""
    return np.asarray(ndtri(keyed_uniforms(seed, stream, *codes)), dtype=np.float64)


def _stream_state(seed: int, stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{stream}".encode(), digest_size=8).digest(), "little")


def _words_at(states: WordArray, counters: WordArray) -> WordArray:
    """Word number `counters` (from 0) of the splitmix64 generators that are in `states`."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is meant
        words: WordArray = states + (counters + np.uint64(1)) * _GOLDEN
        words ^= words >> np.uint64(30)
        words *= _FIRST
        words ^= words >> np.uint64(27)
        words *= _SECOND
        words ^= words >> np.uint64(31)
    return words
