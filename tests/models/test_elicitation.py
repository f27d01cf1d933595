"""Distributions by counting samples, and as a model writes them down."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.models.elicitation import (
    Malformed,
    counted,
    output_room,
    parse_verbalised,
    stated,
    verbalised_messages,
    verbalised_room,
)
from pluralign.models.protocol import Sample

OPTIONS = ("yes", "no", "never")


def _samples(*texts: str) -> list[Sample]:
    return [Sample(text, "stop") for text in texts]


def test_shares_are_of_all_samples_and_what_matches_none_is_counted() -> None:
    found = counted(OPTIONS, _samples("yes", " yes\n", "no", "Yes", "yes."))
    assert found.counts is not None
    assert found.counts.tolist() == [2, 1, 0]
    assert found.n_samples == 5
    # 2/5, 1/5, 0/5; "Yes" and "yes." are neither
    np.testing.assert_allclose(found.logprobs[:2], np.log([2 / 5, 1 / 5]), atol=1e-12)
    assert found.logprobs[2] == -math.inf
    assert found.outside_mass == pytest.approx(2 / 5, abs=1e-12)
    assert found.elicitation == "sampling"
    assert found.detail == "2 matched no option"


def test_a_sample_that_was_cut_off_is_no_option() -> None:
    found = counted(OPTIONS, [Sample("no", "length"), Sample("no", "stop")])
    assert found.counts is not None
    assert found.counts.tolist() == [0, 1, 0]


def test_refusals_are_outside_unless_all_are() -> None:
    refused = Sample("", "refusal", detail="content_filter")
    some = counted(OPTIONS, [refused, *_samples("yes", "yes", "no")])
    assert some.outcome == "ok"
    assert some.detail == "1 were refused"
    assert some.covered_mass == pytest.approx(3 / 4, abs=1e-12)
    every = counted(OPTIONS, [refused, refused])
    assert every.outcome == "refusal"
    assert np.isnan(every.logprobs).all()


def test_a_sample_that_never_came_leaves_no_distribution() -> None:
    found = counted(OPTIONS, [*_samples("yes"), Sample("", "failed", detail="status 500")])
    assert found.outcome == "failed"
    assert np.isnan(found.logprobs).all()
    assert found.detail == "1 of 2 samples never came: status 500"


def test_stated_probabilities_in_the_order_of_the_options() -> None:
    assert parse_verbalised('{"never": 0, "yes": 0.25, "no": 0.75}', OPTIONS) == [0.25, 0.75, 0.0]
    assert parse_verbalised('\n```json\n{"yes": 0.5, "no": 0.5, "never": 0}\n```\n', OPTIONS) == [0.5, 0.5, 0.0]
    # rounded: they sum to 0.99 and are divided by it
    assert parse_verbalised('{"yes": 0.33, "no": 0.33, "never": 0.33}', OPTIONS) == pytest.approx([1 / 3] * 3, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("I think yes", "not JSON"),
        ('Sure: {"yes": 1, "no": 0, "never": 0}', "not JSON"),
        ('{"yes": 1, "no": 0, "never": 0} ok?', "not JSON"),
        ('{"yes": NaN, "no": 0, "never": 1}', "NaN is no probability"),
        ('{"yes": 1e999, "no": 0, "never": 0}', "not an object of probabilities"),
        ('{"yes": 0.5, "yes": 0.5, "no": 0, "never": 0}', "a key is there twice"),
        ('{"yes": "0.5", "no": 0.5, "never": 0}', "not an object of probabilities"),
        ('{"yes": true, "no": 0, "never": 0}', "not an object of probabilities"),
        ('{"yes": -0.5, "no": 1.5, "never": 0}', "not an object of probabilities"),
        ("[0.5, 0.5, 0]", "not an object of probabilities"),
        ('{"yes": 0.5, "no": 0.5}', "1 missing"),
        ('{"yes": 0.5, "no": 0.5, "never": 0, "maybe": 0}', "unknown"),
        ('{"Yes": 0.5, "no": 0.5, "never": 0}', "keys are not the options"),
        ('{"yes": 50, "no": 50, "never": 0}', "sum to 100"),
        ('{"yes": 0.5, "no": 0.47, "never": 0}', "sum to 0.97"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_anything_else_is_malformed(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_verbalised(text, OPTIONS)


def test_what_is_stated_has_no_mass_outside() -> None:
    found = stated(OPTIONS, [0.25, 0.75, 0.0])
    assert found.elicitation == "verbalised"
    assert found.covered_mass == pytest.approx(1.0, abs=1e-12)
    assert found.logprobs[2] == -math.inf


def test_the_request_names_every_option_and_changes_no_message_before_it() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": 'How "warm"?'}]
    asked = verbalised_messages(messages, ('very "warm"', "no"))
    assert asked[0] == messages[0]
    assert asked[1]["content"].startswith('How "warm"?\n\n---\n')
    assert r'["very \"warm\"", "no"]' in asked[1]["content"]


def test_rooms_hold_the_options() -> None:
    """A token is a byte at least."""
    assert output_room(("a" * 40, "b")) > 40
    assert output_room(("ä" * 40,)) > 80
    assert verbalised_room(("a" * 40, "b")) > len('{"": 0.5, "": 0.5}') + 2 * 41
