"""Which of many texts are nearly the same as one of some given texts: a set similarity join, exact, in numpy.

A text is a set of shingles, three words in a row; two texts are near when the Jaccard index of their sets is large enough. At
0.8 that is 30 words of which one is another; with five words in a row it would take 50.

Source: the prefix filter of Chaudhuri, Ganti & Kaushik 2006 and Bayardo, Ma & Srikant 2007. A text that is near to y has at
least t |y| of y's shingles, hence one of any |y| - ceil(t |y|) + 1 of them. The index holds so many of each y, the rarest; the
few texts that have one of those are compared in full. So nothing near is missed, which MinHash cannot promise. A shingle is the
numbers of its three words in one integer and no hash, so that nothing unlike is taken for near either.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError

__all__ = ["SHINGLE_WORDS", "NearIndex", "plain_words"]

SHINGLE_WORDS = 3

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese have no spaces between words: each character counts as a word."""
_ROUNDING = 1e-9

Ints = npt.NDArray[np.int64]
Words = Sequence[str]


def plain_words(text: str) -> list[str]:
    r"""The words of a text in Unicode's form NFKC, case folded, without punctuation and white space.

    >>> plain_words("  It's ＦＩＮＥ,\n said Straße 7.")
    ['it', 's', 'fine', 'said', 'strasse', '7']
    """
    if not text.isascii():
        text = _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFKC", text))
    return _WORD.findall(text.casefold())


class NearIndex:
    """Given texts, by their rarest shingles.

    >>> index = NearIndex([plain_words("A rose is a rose is a rose")], jaccard=0.8)
    >>> list(index.near([plain_words("A rose is a rose!"), plain_words("A rose is red")]))
    [(0, 0)]
    """

    def __init__(self, texts: Iterable[Words], *, jaccard: float) -> None:
        """`texts` as `plain_words` gives them. Raises UsageError for more than two million different words."""
        self._jaccard = jaccard
        self._numbers: dict[str, int] = {}
        new = self._numbers.setdefault
        flat, lengths = _flat(texts, lambda words: (new(word, len(self._numbers) + 1) for word in words))
        self._base = len(self._numbers) + 1
        if self._base**SHINGLE_WORDS >= 2**63:
            raise UsageError(f"{self._base:,} different words are too many for one index; pass a limit of texts.")
        owner, self._shingles = self._shingled(flat, lengths)
        self._starts = np.searchsorted(owner, np.arange(len(lengths) + 1))
        self._sizes = np.diff(self._starts)
        self._rare, self._first, self._owners = _inverted(*self._rarest(owner))

    def near(self, texts: Sequence[Words]) -> Iterator[tuple[int, int]]:
        """The place of a text here and of a given one, for all pairs that are near, in order; equal texts are near too."""
        number = self._numbers.get
        owner, shingles = self._shingled(*_flat(texts, lambda words: map(number, words, itertools.repeat(0))))
        starts = np.searchsorted(owner, np.arange(len(texts) + 1))
        for i, j in self._candidates(owner, shingles, np.diff(starts)):
            mine, given = shingles[starts[i] : starts[i + 1]], self._shingles[self._starts[j] : self._starts[j + 1]]
            n_shared = len(np.intersect1d(mine, given, assume_unique=True))
            n_mine = len(set(zip(*(texts[i][k:] for k in range(SHINGLE_WORDS)), strict=False)))
            if n_shared >= self._jaccard * (n_mine + len(given) - n_shared) - _ROUNDING:
                yield i, j

    def _shingled(self, numbers: Ints, lengths: Ints) -> tuple[Ints, Ints]:
        """Place of the text and shingle, each once, in order; only shingles of which the index knows all words.

        The number 0 stands for any other word and for the end of a text, so what reaches over an end is left out as well.
        """
        n = max(0, len(numbers) - SHINGLE_WORDS + 1)
        shingle, known = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
        for k in range(SHINGLE_WORDS):
            part = numbers[k : k + n]
            shingle = shingle * self._base + part
            known &= part > 0
        owner = np.repeat(np.arange(len(lengths)), lengths)[:n]
        return _distinct(owner[known], shingle[known])

    def _rarest(self, owner: Ints) -> tuple[Ints, Ints]:
        """Of each given text as many of its rarest shingles as the index needs: their numbers and places."""
        _, which, counts = np.unique(self._shingles, return_inverse=True, return_counts=True)
        order = np.lexsort((self._shingles, counts[which], owner))
        needed = self._sizes - np.ceil(self._jaccard * self._sizes - _ROUNDING).astype(np.int64) + 1
        rank = np.arange(len(owner)) - self._starts[owner]
        kept = order[rank < needed[owner]]
        return self._shingles[kept], owner[kept]

    def _candidates(self, owner: Ints, shingles: Ints, n_known: Ints) -> Iterator[tuple[int, int]]:
        """Pairs that have a rare shingle in common, and numbers of shingles that a near pair can have."""
        if not len(self._rare):
            return
        at = np.searchsorted(self._rare, shingles)
        found = self._rare[np.minimum(at, len(self._rare) - 1)] == shingles
        at, mine = at[found], owner[found]
        counts = self._first[at + 1] - self._first[at]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        mine, given = np.repeat(mine, counts), self._owners[np.repeat(self._first[at], counts) + within]
        # what two near texts share is among the known shingles of the one, and all of these are its own
        least, most = self._jaccard * self._sizes[given] - _ROUNDING, self._sizes[given] / self._jaccard + _ROUNDING
        fits = (n_known[mine] >= least) & (n_known[mine] <= most)
        pairs = np.unique(mine[fits] * len(self._sizes) + given[fits])
        yield from zip((pairs // len(self._sizes)).tolist(), (pairs % len(self._sizes)).tolist(), strict=True)


def _flat(texts: Iterable[Words], numbers: Callable[[Words], Iterable[int]]) -> tuple[Ints, Ints]:
    """The numbers of the words of all texts, with 0 after each text; how many those of a text are, with its 0."""
    flat, lengths = array("q"), array("q")
    for words in texts:
        flat.extend(numbers(words))
        flat.append(0)
        lengths.append(len(words) + 1)
    return np.array(flat, dtype=np.int64), np.array(lengths, dtype=np.int64)


def _distinct(owner: Ints, shingles: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((shingles, owner))
    owner, shingles = owner[order], shingles[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (owner[1:] != owner[:-1]) | (shingles[1:] != shingles[:-1])
    return owner[new], shingles[new]


def _inverted(shingles: Ints, owners: Ints) -> tuple[Ints, Ints, Ints]:
    """The different shingles in order, where the places of each begin, and one more for the end; the places."""
    order = np.lexsort((owners, shingles))
    different, first = np.unique(shingles[order], return_index=True)
    return different, np.append(first, len(order)), owners[order]
