"""Random token sequences that share beginnings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Sequences = tuple[list[npt.NDArray[np.int32]], list[npt.NDArray[np.bool_]]]


@st.composite
def token_sequences(
    draw: st.DrawFn, *, n_ids: int, longest: int, first_id: int = 3, most: int = 10, trunk: int = 0
) -> Sequences:
    """Sequences that branch off from one another anywhere, with what is read of each: at least one token, never the first.

    They begin with up to `trunk` tokens of one beginning.
    """
    ids = st.integers(first_id, first_id + n_ids - 1)
    shared = draw(st.lists(ids, min_size=trunk // 2, max_size=trunk))
    sequences: list[list[int]] = []
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.sampled_from(sequences)) if sequences else shared
        kept = start[: draw(st.integers(0, len(start)))] if draw(st.booleans()) else start
        tail = draw(st.lists(ids, min_size=max(0, 2 - len(kept)), max_size=longest))
        sequences.append([*kept, *tail])
    arrays = [np.array(one, dtype=np.int32) for one in sequences]
    is_read = []
    for one in arrays:
        first = draw(st.integers(1, len(one) - 1))
        every = draw(st.sampled_from([1, 1, 3]))  # mostly all from some place on, as of an option behind its prompt
        is_read.append((np.arange(len(one)) >= first) & ((np.arange(len(one)) - first) % every == 0))
    return arrays, is_read
