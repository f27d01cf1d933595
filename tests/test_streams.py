from __future__ import annotations

import numpy as np

from pluralign.streams import stream


def test_a_stream_is_its_seed_and_key_and_nothing_else() -> None:
    first = stream(3, "task", "r1", 0).random(5)
    stream(3, "task", "r2", 0).random(100)
    assert np.array_equal(stream(3, "task", "r1", 0).random(5), first)


def test_different_keys_give_different_numbers() -> None:
    keys = [("a",), ("a", ""), ("", "a"), ("a", 0), ("a", "0"), ("a", b"0"), ("ab",), ("a", "b"), (0, 0), (0,), ()]
    drawn = {stream(0, *key).random() for key in keys}
    drawn |= {stream(seed, "a").random() for seed in (1, -1, 10, 2**70)}
    assert len(drawn) == len(keys) + 4


def test_streams_of_neighbouring_keys_are_independent() -> None:
    """2,000 uniform numbers, one a stream: mean 1/2 within four standard errors, no correlation of neighbours."""
    drawn = np.array([stream(0, "coin", n).random() for n in range(2000)])
    assert abs(drawn.mean() - 0.5) < 4 * (1 / 12 / 2000) ** 0.5
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 4 / 2000**0.5
