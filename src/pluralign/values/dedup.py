"""Which considerations say what another one already says: two walks down a list by relevance.

The most relevant consideration is kept; each further one is kept unless it is too similar to one that is kept already. By
default only those of the same kind (Value, Right, Duty) are compared. Two similarities, each with a walk of its own:

    rouge_keep    overlap of words: ROUGE-L (longest common subsequence) or ROUGE-N (shared n-grams), of stemmed words,
                  after a leading "Right to" or "Duty to" is taken away
    cosine_keep   cosine of embedding vectors

An item is dropped where the similarity lies *over* the threshold, so at 1 nothing is dropped. In ROUGE's terms the candidate is
the prediction and the kept item the reference: precision is the share of the candidate's words that the kept item has, recall
the share of the kept item's words that the candidate has.

Both work on many pairs at once. Shared n-grams are one product of sparse matrices, which also bounds the subsequence, so that
the dynamic programme runs for those pairs only that could lie over the threshold, all of them together.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779), the system's steps 4 and 5; Lin 2004, ROUGE.
Departures from the package rouge-score: words of any script count, not ASCII ones alone; the stemmer is Snowball's Porter, not
NLTK's variant of it. Unknown from the source: which of the two texts is the reference; stated above.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, MissingExtraError, UsageError, nearest_name

if TYPE_CHECKING:
    from pluralign.values.considerations import Consideration

__all__ = ["ROUGE_SCORES", "RougeScore", "cosine_keep", "rouge_keep", "same_wording", "stemmed_words"]

RougeScore = Literal["precision", "recall", "f"]
ROUGE_SCORES: tuple[RougeScore, ...] = get_args(RougeScore)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Pairs = tuple[IntArray, IntArray]

_CELLS = 4_000_000
"""Pairs, or cells of the dynamic programme, that are worked on at once."""
_BLOCK = 256
"""Ranks that are compared with all later ones at once."""
_WORD = re.compile(r"[^\W_]+")
_LEADING = re.compile(r"^\s*(?:right|duty)\s+to\b", re.IGNORECASE)
_SHORT = 3
"""Letters of a word that is left as it is, as rouge-score does."""


def rouge_keep(
    considerations: Sequence[Consideration],
    relevance: npt.NDArray[Any],
    *,
    threshold: float | Mapping[RougeScore, float],
    n_gram: int | None = None,
    score: RougeScore = "f",
    across_vrd: bool = False,
) -> IntArray:
    """Positions that survive the walk by overlap of words, most relevant first; equal ones in the order given.

    `relevance` [considerations]; `n_gram` None is ROUGE-L, 1 and 2 are ROUGE-1 and ROUGE-2. With a threshold for each of
    several scores, in place of `score`, it is enough that one of them lies over its own. Texts without a word are never
    dropped. Raises UsageError for a threshold outside 0..1, MissingExtraError without the stemmer.
    """
    limits = _score_limits(threshold, score)
    if n_gram is not None and n_gram < 1:
        raise UsageError(f"n_gram is {n_gram}: 1 for ROUGE-1, 2 for ROUGE-2, None for ROUGE-L.")
    order = _order(relevance, len(considerations))
    kinds = [considerations[i].vrd for i in order]
    words = [stemmed_words(considerations[i].text) for i in order]
    grams = words if n_gram in (None, 1) else [tuple(zip(*(ws[k:] for k in range(n_gram or 1)), strict=False)) for ws in words]
    counts, lengths = _gram_matrix(grams), np.array([len(gram) for gram in grams], dtype=np.int64)
    padded = _padded(words) if n_gram is None else None

    def similar(rows: IntArray, later: IntArray) -> Pairs:
        product = (counts[rows] @ counts[later].T).tocoo()
        first, second, overlap = rows[product.row], later[product.col], product.data.astype(np.int64)
        over = (first < second) & _is_over(overlap, lengths[first], lengths[second], limits)
        first, second = first[over], second[over]
        if padded is None:
            return first, second
        longest = _common_subsequences(padded, lengths, first, second)
        over = _is_over(longest, lengths[first], lengths[second], limits)
        return first[over], second[over]

    return order[_survivors(_groups(kinds, across_vrd=across_vrd), similar)]


def cosine_keep(
    vectors: npt.NDArray[Any],
    considerations: Sequence[Consideration],
    relevance: npt.NDArray[Any],
    *,
    threshold: float | Mapping[str, float],
    across_vrd: bool = False,
) -> IntArray:
    """Positions that survive the walk by cosine of `vectors` [considerations, dimensions]; most relevant first.

    `threshold` is a number or one for each of Value, Right, Duty; a pair is judged by that of the less relevant one. Raises
    DataError for a vector without a direction (zeros, NaN).
    """
    order = _order(relevance, len(considerations))
    kinds = [considerations[i].vrd for i in order]
    limits = _limits(threshold, kinds)
    units = _directions(np.asarray(vectors, dtype=np.float64), len(order))[order]

    quick = units.astype(np.float32)
    unsure = 2 * units.shape[1] * float(np.finfo(np.float32).eps)  # twice what rounding can do to a product

    def similar(rows: IntArray, later: IntArray) -> Pairs:
        cosine = quick[rows] @ quick[later].T
        first, second = np.nonzero(cosine > (limits[later] - unsure).astype(np.float32))
        is_pair = rows[first] < later[second]
        one, other = rows[first[is_pair]], later[second[is_pair]]
        close = np.flatnonzero(cosine[first[is_pair], second[is_pair]] < limits[other] + unsure)
        exact = np.minimum(np.einsum("ij,ij->i", units[one[close]], units[other[close]]), 1.0)
        is_over = np.ones(len(one), dtype=np.bool_)
        is_over[close] = exact > limits[other[close]]
        return one[is_over], other[is_over]

    return order[_survivors(_groups(kinds, across_vrd=across_vrd), similar)]


def stemmed_words(text: str) -> tuple[str, ...]:
    """The words that are compared: without a leading "Right to" or "Duty to", in small letters, stemmed if longer than 3.

    >>> stemmed_words("Right to having one's dreams")
    ('have', 'one', 's', 'dream')
    """
    return tuple(_stem(word) for word in _WORD.findall(_LEADING.sub("", text)))


def same_wording(consideration: Consideration) -> tuple[str, tuple[str, ...]]:
    """Equal for two considerations that count as one: of one kind, with the same stemmed words; a text without words is itself.

    >>> from pluralign.values.considerations import Consideration
    >>> same_wording(Consideration("Duty", "Duty to help")) == same_wording(Consideration("Duty", "Helping"))
    True
    """
    return consideration.vrd, stemmed_words(consideration.text) or (consideration.text,)


@functools.lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    word = word.lower()
    return word if len(word) <= _SHORT else str(_stemmer().stemWord(word))


@functools.cache
def _stemmer() -> Any:
    try:
        import snowballstemmer  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtraError("snowballstemmer", extra="values") from error
    return snowballstemmer.stemmer("porter")


def _order(relevance: npt.NDArray[Any], n: int) -> IntArray:
    """Positions by falling relevance, equal ones as they stand."""
    given = np.asarray(relevance, dtype=np.float64)
    if given.shape != (n,):
        raise UsageError(f"relevance must be one number for each of {n} considerations, not an array of shape {given.shape}.")
    if np.isnan(given).any():
        bad = int(np.flatnonzero(np.isnan(given))[0])
        raise DataError(f"consideration {bad + 1}", "its relevance is NaN; leave out what has not been scored.")
    return np.argsort(-given, kind="stable")


def _groups(kinds: Sequence[str], *, across_vrd: bool) -> list[IntArray]:
    """Ranks that are compared with one another, rising."""
    if across_vrd:
        return [np.arange(len(kinds))]
    return [np.array([rank for rank, one in enumerate(kinds) if one == kind], dtype=np.int64) for kind in dict.fromkeys(kinds)]


def _survivors(groups: Sequence[IntArray], similar: Callable[[IntArray, IntArray], Pairs]) -> IntArray:
    """Ranks that survive, rising. `similar`: the pairs (earlier, later) too alike, of these ranks with those; both rising.

    Blocks of ranks, one after the other: those that fell earlier are compared with nothing any more.
    """
    alive = np.ones(sum(map(len, groups)), dtype=np.bool_)
    for ranks in groups:
        block = max(1, min(_BLOCK, _CELLS // max(len(ranks), 1)))
        for start in range(0, len(ranks), block):
            later = ranks[start:]
            later = later[alive[later]]
            rows = later[: np.searchsorted(later, ranks[min(start + block, len(ranks)) - 1], side="right")]
            if len(rows):
                _drop(alive, rows, *similar(rows, later))
    return np.flatnonzero(alive)


def _drop(alive: npt.NDArray[np.bool_], rows: IntArray, first: IntArray, second: IntArray) -> None:
    """Each row that is alive when its turn comes takes down those it is paired with."""
    by_first = np.argsort(first, kind="stable")
    second, ends = second[by_first], np.searchsorted(first[by_first], rows, side="right")
    begin = 0
    for row, end in zip(rows.tolist(), ends.tolist(), strict=True):
        if end > begin and alive[row]:
            alive[second[begin:end]] = False
        begin = end


# words


def _gram_matrix(grams: Sequence[Sequence[Any]]) -> Any:
    """Sparse 0/1 matrix [texts, features] whose products of rows are numbers of shared n-grams.

    A feature is an n-gram together with how often it has occurred before in its text, so that n repeats meet m in min(n, m).
    """
    from scipy.sparse import csr_array

    features: dict[tuple[Any, int], int] = {}
    columns: list[int] = []
    starts = [0]
    for text in grams:
        seen: dict[Any, int] = {}
        for gram in text:
            seen[gram] = seen.get(gram, 0) + 1
            columns.append(features.setdefault((gram, seen[gram]), len(features)))
        starts.append(len(columns))
    ones = np.ones(len(columns), dtype=np.int32)
    return csr_array((ones, np.array(columns, dtype=np.int32), np.array(starts)), shape=(len(grams), max(1, len(features))))


def _padded(words: Sequence[Sequence[str]]) -> IntArray:
    """Numbers of the words [texts, longest]; -1 behind the last."""
    numbers: dict[str, int] = {}
    table = np.full((len(words), max((len(text) for text in words), default=0)), -1, dtype=np.int64)
    for row, text in zip(table, words, strict=True):
        row[: len(text)] = [numbers.setdefault(word, len(numbers)) for word in text]
    return table


def _common_subsequences(words: IntArray, lengths: IntArray, first: IntArray, second: IntArray) -> IntArray:
    """Length of the longest common subsequence of each pair [pairs].

    A row of the usual table is rising, so that a new one is a running maximum of the old one and its matches plus one.
    """
    found = np.zeros(len(first), dtype=np.int64)
    longest = np.maximum(lengths[first], lengths[second])
    order = np.argsort(longest, kind="stable")  # long texts together, so that few tables are wide
    start = 0
    while start < len(order):
        stop = start + max(1, _CELLS // (1 + int(longest[order[min(start + 50_000, len(order)) - 1]])))
        part = order[start : min(stop, start + 50_000)]
        width = int(longest[part].max())
        a, b = words[first[part], :width], words[second[part], :width].copy()
        b[b < 0] = -2  # what stands behind one text's end matches nothing
        table = np.zeros((len(part), width + 1), dtype=np.int32)
        for column in range(width):
            step = np.where(a == b[:, column : column + 1], table[:, :-1] + 1, table[:, 1:])
            table[:, 1:] = np.maximum.accumulate(step, axis=1)
        found[part] = table[:, -1]
        start += len(part)
    return found


def _is_over(
    overlap: IntArray, reference: IntArray, prediction: IntArray, limits: Mapping[RougeScore, float]
) -> npt.NDArray[np.bool_]:
    """Whether any score is over its limit [pairs], of shared and own numbers of n-grams; all are 0 where nothing is shared."""
    shared = overlap > 0
    precision = np.divide(overlap, prediction, out=np.zeros(len(overlap)), where=shared)
    recall = np.divide(overlap, reference, out=np.zeros(len(overlap)), where=shared)
    over = np.zeros(len(overlap), dtype=np.bool_)
    for score, limit in limits.items():
        if score == "f":
            f = np.divide(2 * precision * recall, precision + recall, out=np.zeros(len(overlap)), where=shared)
            over |= f > limit
        else:
            over |= (precision if score == "precision" else recall) > limit
    return over


def _score_limits(threshold: float | Mapping[RougeScore, float], score: RougeScore) -> Mapping[RougeScore, float]:
    limits = threshold if isinstance(threshold, Mapping) else {score: threshold}
    for name, limit in limits.items():
        if name not in ROUGE_SCORES:
            raise UsageError(f"score: {nearest_name(str(name), ROUGE_SCORES)}")
        _check_threshold(limit)
    return limits


# vectors


def _directions(vectors: FloatArray, n: int) -> FloatArray:
    if vectors.ndim != 2 or len(vectors) != n:
        raise UsageError(f"vectors must be [{n} considerations, dimensions], not an array of shape {vectors.shape}.")
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise DataError(
            "vectors",
            f"{len(bad):,} have no direction (all 0, or not finite), the first is that of consideration {int(bad[0]) + 1}.",
        )
    return np.asarray(vectors / lengths[:, None])


def _limits(threshold: float | Mapping[str, float], kinds: Sequence[str]) -> FloatArray:
    if not isinstance(threshold, Mapping):
        _check_threshold(threshold, lowest=-1.0)
        return np.full(len(kinds), float(threshold))
    if lacking := sorted(set(kinds) - set(threshold)):
        raise UsageError(f"threshold: none is given for {', '.join(lacking)}; there are {', '.join(sorted(threshold))}.")
    for value in threshold.values():
        _check_threshold(value, lowest=-1.0)
    return np.array([threshold[kind] for kind in kinds], dtype=np.float64)


def _check_threshold(threshold: float, *, lowest: float = 0.0) -> None:
    if not lowest <= threshold <= 1:
        raise UsageError(f"threshold is {threshold}; it lies in {lowest:g}..1, and at 1 nothing is dropped.")
