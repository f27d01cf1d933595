from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.ratings.situations import (
    BASIC_VALUES,
    MAX_VARIANTS,
    N_SCENES,
    Situation,
    draw_situations,
    impacts,
    minimal_pairs,
    modifier_impacts,
)


@pytest.fixture(scope="module")
def all_situations() -> tuple[Situation, ...]:
    return draw_situations(N_SCENES * MAX_VARIANTS, seed=0, variants=MAX_VARIANTS)


def test_several_thousand_different_sentences(all_situations: tuple[Situation, ...]) -> None:
    assert len({situation.text for situation in all_situations}) == len(all_situations) == 3744


def test_a_modifier_adds_its_vector_and_nothing_else(all_situations: tuple[Situation, ...]) -> None:
    phi, added = impacts(all_situations), modifier_impacts()
    pairs = minimal_pairs(all_situations)
    assert len(pairs) == N_SCENES * (MAX_VARIANTS - 1)
    for pair in pairs:
        np.testing.assert_allclose(phi[pair.modified] - phi[pair.without], added[pair.modifier], atol=1e-12)
        stem = all_situations[pair.without].text.removesuffix(".")
        assert all_situations[pair.modified].text == f"{stem}, {pair.modifier_text}."


def test_every_modifier_and_every_value_counts() -> None:
    added = modifier_impacts()
    assert added.shape == (12, 10)
    assert (np.abs(added).sum(axis=1) > 0).all()
    # Each value is served by some situations and opposed by others.
    phi = impacts(draw_situations(N_SCENES, seed=0, variants=1))
    assert (phi.min(axis=0) < 0).all()
    assert (phi.max(axis=0) > 0).all()


def test_vectors_have_the_stated_length(all_situations: tuple[Situation, ...]) -> None:
    # Mean squared length = number of values, over all sentences.
    for values in (BASIC_VALUES, ("power", "tradition"), ("hedonism",)):
        phi = impacts(all_situations, values)
        np.testing.assert_allclose((phi**2).sum(axis=1).mean(), len(values), atol=1e-9)


def test_fewer_situations_are_the_first_of_more() -> None:
    assert draw_situations(50, seed=1, variants=4)[:7] == draw_situations(7, seed=1, variants=4)
    assert draw_situations(50, seed=1, variants=4) != draw_situations(50, seed=2, variants=4)


def test_every_scene_comes_with_its_bare_sentence() -> None:
    situations = draw_situations(40, seed=0, variants=4)
    assert len(minimal_pairs(situations)) == 30


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"1\.\.1,152"):
        draw_situations(2000, seed=0, variants=4)
    with pytest.raises(UsageError, match="variants is 14"):
        draw_situations(1, seed=0, variants=14)
    with pytest.raises(UsageError, match="did you mean 'power'"):
        impacts([Situation(0, 0)], ("powr",))
