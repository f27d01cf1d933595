from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pluralign.ratings.keyed import id_codes, keyed_normals, keyed_uniforms, keyed_words
from reference.keyed import keyed_word, splitmix64


def test_reference_is_the_published_generator() -> None:
    # First outputs for the state 1234567, as printed with the generator's public test vectors.
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_words_equal_the_slow_generator() -> None:
    ours = keyed_words(3, "theta", np.arange(6)[:, None], np.arange(4))
    assert ours.tolist() == [[keyed_word(3, "theta", [i, j]) for j in range(4)] for i in range(6)]


def test_no_code_is_one_number_of_the_stream() -> None:
    assert keyed_words(0, "a").shape == ()
    assert keyed_words(0, "a") != keyed_words(0, "b")
    assert keyed_words(0, "a") != keyed_words(1, "a")


def test_ids_have_stable_codes() -> None:
    # printf r0000017 | b2sum -l 64 gives 410c4cf80e06d4d2, read as a little-endian number.
    assert id_codes(["r0000017"]).tolist() == [15191774104392567873]
    assert id_codes([]).shape == (0,)


@pytest.mark.parametrize("stream", ["theta", "rating"])
def test_uniforms_are_uniform_and_independent_along_both_codes(stream: str) -> None:
    u = keyed_uniforms(0, stream, np.arange(1000)[:, None], np.arange(200))
    assert 0 < u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    counts = np.bincount((u.ravel() * 100).astype(int), minlength=100)
    assert stats.chisquare(counts).pvalue > 1e-3
    for one, other in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u, keyed_uniforms(0, "other", np.arange(1000)[:, None], 0))):
        joint = np.histogram2d(one.ravel(), np.broadcast_to(other, one.shape).ravel(), bins=10)[0]
        correlation = np.corrcoef(one.ravel(), np.broadcast_to(other, one.shape).ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(one.size)
        assert joint.min() > 0
    pairs = np.histogram2d(u[:, 1:].ravel(), u[:, :-1].ravel(), bins=10)[0].ravel()
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_text_codes_give_uniforms_too() -> None:
    u = keyed_uniforms(0, "fold", id_codes(f"r{i}" for i in range(20_000)))
    assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_normals_are_normal() -> None:
    assert stats.kstest(keyed_normals(0, "theta", np.arange(20_000)), "norm").pvalue > 1e-3
