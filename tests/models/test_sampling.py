"""Drawn outputs: the right distribution, the same outputs whatever they are drawn with, and why each ended."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import AddedToken

from models import tiny, tiny_models
from models.scarce import SHORTAGES, Scarce
from models.tiny_models import BETWEEN_KERNELS, VOCAB
from pluralign.episodes import Episode, Example
from pluralign.errors import ModelError
from pluralign.models import Query, Sample, SamplingSettings, Template, open_template
from pluralign.models.forward import Forward
from pluralign.models.loading import prepare
from pluralign.models.local import LocalModel
from pluralign.models.plan import Limits
from pluralign.models.sampling import FEW, choose, draw_outputs, truncated
from pluralign.models.scorer import TokenScorer
from reference.plain_scoring import plain_logprobs, plain_next

KINDS = pytest.mark.parametrize("kind", ["llama", "gemma2", "mistral", "gpt2", "gpt_oss", "bloom"])
ROOMY = Limits(row_tokens=256, batch_tokens=2048, cache_tokens=10**6)
END, LIKELY = 2, (2, 11, 12, 13)


class IdTemplate:
    """Outputs as their ids, ended by one of them."""

    def has_ended(self, ids: Sequence[int], stop_ids: Collection[int] = ()) -> bool:
        return ids[-1] == END or ids[-1] in stop_ids

    def read_output(self, ids: Sequence[int], stop_ids: Collection[int] = ()) -> str:
        return " ".join(map(str, ids))


@functools.cache
def _forward(kind: str) -> Forward:
    return prepare(tiny_models.talkative(kind, LIKELY), torch.float32).forward


@functools.cache
def _plain(kind: str) -> Any:
    """The same weights with the model's own attention."""
    return tiny_models.talkative(kind, LIKELY)


def _draw(
    forward: Forward,
    prompts: Sequence[np.ndarray],
    *,
    limits: Limits = ROOMY,
    stop_ids: Collection[int] = (),
    scorer: TokenScorer | None = None,
    **settings: Any,
) -> list[list[Sample]]:
    template: Any = IdTemplate()
    scorer = scorer or TokenScorer(forward, limits)
    return draw_outputs(scorer, template, prompts, SamplingSettings(**settings), stop_ids=frozenset(stop_ids))


def _prompts(*, n: int = 5) -> list[np.ndarray]:
    """Of different lengths; the first three share a beginning, and the second is how the third begins."""
    generator = np.random.default_rng(8)
    ids = [generator.integers(3, VOCAB, size).astype(np.int32) for size in (20, 5, 9, 31, 2)]
    first = np.concatenate([ids[0], ids[1]])
    return [first, ids[0], np.concatenate([ids[0], ids[2]]), ids[3], ids[4]][:n]


# choosing an id


def test_choose_by_hand() -> None:
    """p = 0, 1/4, 0, 1/2, 1/4, 0: sums 0, 1/4, 1/4, 3/4, 1, 1; the id is the first whose sum is above u."""
    p = torch.tensor([[0, 0.25, 0, 0.5, 0.25, 0]])
    below = float(np.nextafter(1, 0))
    cases = {0.0: 1, 0.2499: 1, 0.25: 3, 0.7499: 3, 0.75: 4, 0.9999: 4, below: 4}
    found = choose(p.expand(len(cases), -1), torch.tensor(list(cases), dtype=torch.float64))
    assert found.tolist() == list(cases.values())


@pytest.mark.parametrize("n_ids", [1, 7, 1023, 1024, 1025, 3000, 4096])
def test_choose_over_several_blocks(n_ids: int) -> None:
    """Beside numpy's search in the cumulative sums, with most ids of no probability; never one that has none."""
    generator = np.random.default_rng(n_ids)
    p = generator.random((50, n_ids)) * (generator.random((50, n_ids)) < 0.2)
    p[:, generator.integers(n_ids)] = 0.3
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    uniform = generator.random(50)
    uniform[:2] = 0, np.nextafter(1, 0)
    found = choose(torch.from_numpy(p), torch.from_numpy(uniform)).numpy()
    assert (p[np.arange(50), found] > 0).all()
    sums = p.astype(np.float64).cumsum(1)
    expected = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(sums, uniform, strict=True)]
    assert found[2:].tolist() == expected[2:]
    assert found[0] == np.flatnonzero(p[0])[0]
    assert found[1] == np.flatnonzero(p[1])[-1]


def test_choose_where_all_lies_in_the_last_block() -> None:
    p = torch.zeros(2, 2050)
    p[:, 2049] = 1.0
    assert choose(p, torch.tensor([0.0, 0.99])).tolist() == [2049, 2049]


# temperature and truncation


def _truncated(p: Sequence[float], **settings: Any) -> list[float]:
    logits = torch.tensor([p]).log() + 3.0  # a constant changes nothing
    return truncated(logits, SamplingSettings(**settings)).exp()[0].tolist()


def test_truncation_by_hand() -> None:
    p = [0.1, 0.4, 0.2, 0.3]
    assert _truncated(p) == pytest.approx(p)
    assert _truncated(p, top_k=2) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert _truncated(p, top_k=4) == _truncated(p, top_k=9) == pytest.approx(p)
    assert _truncated(p, top_k=1) == pytest.approx([0, 1, 0, 0])
    # the smallest set of at least that mass: .4 + .3 = .7; a little more takes the .2 too
    assert _truncated(p, top_p=0.69) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert _truncated(p, top_p=0.71) == pytest.approx([0, 4 / 9, 2 / 9, 3 / 9])
    assert _truncated(p, top_p=0.01) == pytest.approx([0, 1, 0, 0])
    # temperature 1/2 squares: .01, .16, .04, .09 of .30
    assert _truncated(p, temperature=0.5) == pytest.approx([1 / 30, 16 / 30, 4 / 30, 9 / 30], rel=1e-5)
    # temperature first: then the first two hold 25/30
    assert _truncated(p, temperature=0.5, top_p=0.8) == pytest.approx([0, 16 / 25, 0, 9 / 25], rel=1e-5)
    # then top k, then top p of what it left: 4/9 + 3/9 = .78
    assert _truncated(p, top_k=3, top_p=0.75) == pytest.approx([0, 4 / 7, 0, 3 / 7])


@pytest.mark.parametrize("truncation", [{"top_k": 2}, {"top_p": 0.5}, {"temperature": 0.3}])
def test_truncation_reaches_what_is_drawn(truncation: dict[str, Any]) -> None:
    """And the log-probability of a sample is that under what it was drawn from."""
    prompt = _prompts()[0]
    [drawn] = _draw(_forward("llama"), [prompt], n=400, max_tokens=1, **truncation)
    logits = torch.from_numpy(np.log(plain_next(_plain("llama"), prompt)))[None]
    logprobs = truncated(logits, SamplingSettings(**truncation))[0].numpy()
    ids = [int(one.text) for one in drawn]
    assert [one.logprob for one in drawn] == pytest.approx(logprobs[ids].tolist(), abs=BETWEEN_KERNELS)
    assert set(ids) == set(np.flatnonzero(np.exp(logprobs) > 0.02)) | set(ids)


# the distribution


def _p_value(counts: Sequence[int], probabilities: Sequence[float]) -> float:
    """Chi-square; what is expected fewer than 5 times is one category."""
    expected = np.array(probabilities) * sum(counts)
    assert sum(probabilities) == pytest.approx(1)
    rare = expected < 5
    observed, expected = (np.append(np.asarray(x)[~rare], np.asarray(x)[rare].sum()) for x in (counts, expected))
    return float(stats.chisquare(observed[expected > 0], expected[expected > 0], sum_check=False).pvalue)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "bloom"])
def test_outputs_are_drawn_as_probable_as_they_are(kind: str) -> None:
    """Whole outputs of up to three tokens with their end, and all others together."""
    [prompt, *_] = _prompts()
    outputs = [*itertools.chain(*(itertools.product(LIKELY[1:], repeat=n) for n in range(3)))]
    sequences = [np.concatenate([prompt, output, [END]]).astype(np.int32) for output in outputs]
    plain = [plain_logprobs(_plain(kind), ids)[0][len(prompt) - 1 :].sum() for ids in sequences]
    [drawn] = _draw(_forward(kind), [prompt], n=2000, max_tokens=3, seed=1)
    counts = Counter(one.text for one in drawn)
    observed = [counts[" ".join(map(str, (*output, END)))] for output in outputs]
    observed, p = [*observed, 2000 - sum(observed)], np.exp(plain)
    assert 0.05 < p.sum() < 0.999
    assert _p_value(observed, [*p, 1 - p.sum()]) > 1e-3
    without_first = np.array([*p[1:], p[0], 1 - p.sum()])  # another distribution is seen
    assert _p_value(observed, without_first.tolist()) < 1e-6


# the same outputs, whatever they are drawn with


def _texts(drawn: list[list[Sample]]) -> list[list[str]]:
    return [[one.text for one in outputs] for outputs in drawn]


@KINDS
def test_an_output_depends_on_its_seed_prompt_and_number_only(kind: str) -> None:
    """Few samples of many prompts, many of one, one after the other, in another order, cut off sooner."""
    forward, prompts = _forward(kind), _prompts()
    alone = [_texts(_draw(forward, [prompt], n=6, max_tokens=8))[0] for prompt in prompts]
    assert len({text for texts in alone for text in texts}) > 15
    assert _texts(_draw(forward, prompts, n=6, max_tokens=8)) == alone
    few = [texts[:3] for texts in alone]
    assert FEW >= 3
    assert _texts(_draw(forward, prompts, n=3, max_tokens=8)) == few
    assert _texts(_draw(forward, prompts[::-1], n=3, max_tokens=8)) == few[::-1]
    assert _texts(_draw(forward, prompts[2:4], n=1, max_tokens=8)) == [texts[:1] for texts in few[2:4]]
    sooner = [[" ".join(text.split()[:3]) for text in texts] for texts in few]
    assert _texts(_draw(forward, prompts, n=3, max_tokens=3)) == sooner
    assert _texts(_draw(forward, prompts, n=3, max_tokens=8, seed=1)) != few


@pytest.mark.parametrize("n", [2, 7])
def test_equal_prompts_get_equal_outputs(n: int) -> None:
    prompt = _prompts()[0]
    one, other = _texts(_draw(_forward("llama"), [prompt, prompt.copy()], n=n, max_tokens=5))
    assert one == other
    assert len(set(one)) > 1


@pytest.mark.parametrize("kind", ["llama", "mistral", "bloom"])
@pytest.mark.parametrize("n", [3, 9])
def test_limits_change_no_output(kind: str, n: int) -> None:
    expected = _texts(_draw(_forward(kind), _prompts(), n=n, max_tokens=6))
    for limits in (
        Limits(row_tokens=8, batch_tokens=1, cache_tokens=1),
        Limits(row_tokens=8, batch_tokens=40, cache_tokens=50),
    ):
        assert _texts(_draw(_forward(kind), _prompts(), n=n, max_tokens=6, limits=limits)) == expected


@KINDS
@pytest.mark.parametrize("n", [2, 6])
def test_the_logprob_of_a_sample_is_its_score(kind: str, n: int) -> None:
    prompts = _prompts()
    for prompt, outputs in zip(prompts, _draw(_forward(kind), prompts, n=n, max_tokens=9, seed=4), strict=True):
        for one in outputs:
            ids = np.concatenate([prompt, np.array(one.text.split(), dtype=np.int32)])
            logprob = plain_logprobs(_plain(kind), ids)[0][len(prompt) - 1 :].sum()
            assert one.logprob == pytest.approx(logprob, abs=BETWEEN_KERNELS)


# why it ended


@KINDS
def test_finish_reasons(kind: str) -> None:
    [drawn] = _draw(_forward(kind), _prompts(n=1), n=60, max_tokens=4, stop_ids={13})
    reasons = set()
    for one in drawn:
        ids = [int(number) for number in one.text.split()]
        ended = ids[-1] in (END, 13)
        assert one.finish_reason == ("stop" if ended else "length")
        assert not {END, 13} & set(ids[:-1])
        assert one.n_tokens == len(ids)
        assert len(ids) == 4 or (ended and len(ids) < 4)
        reasons.add((one.finish_reason, ids[-1] if ended else None))
    assert {("stop", END), ("stop", 13), ("length", None)} <= reasons


# tokens


def test_each_token_is_computed_once() -> None:
    """Of prompts that share a beginning, and then each row's own; the last token of an output is never read."""
    prompts = _prompts(n=3)
    scorer = TokenScorer(_forward("llama"), ROOMY)
    drawn = _draw(scorer.forward, prompts, n=30, max_tokens=6, scorer=scorer)
    n_drawn = sum(one.n_tokens or 0 for outputs in drawn for one in outputs)
    assert scorer.usage.output_tokens == n_drawn
    assert scorer.usage.tokens_needed == 20 + 5 + 9 + n_drawn - 90
    # of a prompt that is how the one before it goes on, or ends in it, the last token is computed again
    assert scorer.usage.tokens_needed <= scorer.usage.tokens_computed <= scorer.usage.tokens_needed + 2


def test_counts_where_every_row_is_computed_from_its_beginning() -> None:
    prompts = _prompts(n=2)
    scorer = TokenScorer(_forward("bloom"), ROOMY)
    drawn = _draw(scorer.forward, prompts, n=3, max_tokens=4, scorer=scorer)
    lengths = [[one.n_tokens or 0 for one in outputs] for outputs in drawn]
    n_drawn = sum(map(sum, lengths))
    assert scorer.usage.output_tokens == n_drawn
    assert scorer.usage.tokens_needed == 20 + 5 + n_drawn - 6
    computed = sum(len(prompt) + k for prompt, ns in zip(prompts, lengths, strict=True) for n in ns for k in range(n))
    assert scorer.usage.tokens_computed == computed


# out of memory


@pytest.mark.parametrize(("n", "shortage"), [*((3, shortage) for shortage in SHORTAGES), (7, "device")])
def test_a_shortage_of_memory_changes_no_output(n: int, shortage: str) -> None:
    expected = _draw(_forward("llama"), _prompts(), n=n, max_tokens=6)
    for room in (40, 6, 3):
        forward = Scarce(_forward("llama"), room, SHORTAGES[shortage])
        scorer = TokenScorer(forward, ROOMY)
        for again in range(2):
            forward.failed.clear()
            drawn = _draw(forward, _prompts(), n=n, max_tokens=6, scorer=scorer)
            assert _texts(drawn) == _texts(expected)
            assert bool(forward.failed) == (not again) or room == 40  # limits stay shrunk
        assert scorer.usage.output_tokens == 2 * sum(one.n_tokens or 0 for outputs in expected for one in outputs)


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_when_not_even_one_output_fits_the_error_says_what_to_do(kind: str) -> None:
    forward = Scarce(_forward(kind), 0, SHORTAGES["machine"])
    message = "to draw one output of 6 tokens behind a prompt of 20 on cpu; lower max_tokens or shorten the episode"
    with pytest.raises(ModelError, match=message):
        _draw(forward, _prompts()[1:2], n=12, max_tokens=6)


def test_other_errors_pass_through() -> None:
    forward = Scarce(_forward("llama"), 0, lambda: RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        _draw(forward, _prompts(), n=12, max_tokens=6)
    assert len(forward.failed) == 1


# with templates

RATER = Episode("t", (Example("no", "How warm is the water today?"), Example("agree")), "A rater.")
WORDS = ("no", "agree", "1", "2")


def _model(template: Template, *more: int) -> LocalModel:
    """Says the words, written as one token each, and the end."""
    words = template.content.encode([template._layout.output_text(word) for word in WORDS])
    assert all(len(ids) == 1 for ids in words)
    made = tiny_models.talkative("llama", [*(int(ids[0]) for ids in words), *template.end_ids, *more], vocab_size=480)
    return LocalModel(prepare(made, torch.float32), template, name="hf/tiny")


@pytest.mark.parametrize("family", tiny.TURNS)
@pytest.mark.parametrize("format", ["spectrum", "colon", "chat"])
def test_samples_are_as_probable_as_options(format: str, family: str) -> None:
    tokenizer = tiny.instruct(family) if format == "chat" else tiny.spectrum_checkpoint(family)
    model = _model(open_template(format, tokenizer))
    query = Query(RATER, "And now?", WORDS)
    [scored] = model.option_logprobs([query])
    [drawn] = model.sample([query], SamplingSettings(n=1500, max_tokens=5, seed=3))
    counts = Counter(one.text for one in drawn if one.finish_reason == "stop")
    observed = [counts[option] for option in WORDS]
    mass = np.exp(scored.logprobs)
    assert mass.sum() > 0.02
    assert _p_value([*observed, 1500 - sum(observed)], [*mass, 1 - mass.sum()]) > 1e-3
    of_option = dict(zip(WORDS, scored.logprobs.tolist(), strict=True))
    n_end = len(model.template.end_ids)
    whole = [one for one in drawn if one.text in WORDS and one.finish_reason == "stop" and one.n_tokens == 1 + n_end]
    assert whole
    assert [one.logprob for one in whole] == pytest.approx([of_option[one.text] for one in whole], abs=BETWEEN_KERNELS)
    assert all(one.n_tokens == 5 for one in drawn if one.finish_reason == "length")


def test_a_blank_line_inside_a_token_ends_an_output_of_colon() -> None:
    tokenizer = tiny.plain()
    tokenizer.add_tokens([AddedToken("2\n\nInput", normalized=False), AddedToken("\n\n\n", normalized=False)])
    merged, three = tokenizer.convert_tokens_to_ids(["2\n\nInput", "\n\n\n"])
    model = _model(open_template("colon", tokenizer), merged, three)
    [drawn] = model.sample([Query(RATER)], SamplingSettings(n=200, max_tokens=4, seed=1))
    assert all("\n\n" not in one.text and "Input" not in one.text for one in drawn)
    texts = Counter((one.text, one.n_tokens) for one in drawn if one.finish_reason == "stop")
    assert texts["2", 1]  # the merged token alone: what it says beyond the blank line is dropped
    assert texts[" no2", 2] or texts["no2", 2]
    assert all(one.n_tokens == 4 for one in drawn if one.finish_reason == "length")


def test_the_end_of_the_text_ends_an_output() -> None:
    """As the model's configuration names it: id 2, in the tokenizer a quotation mark."""
    model = _model(open_template("spectrum", tiny.spectrum_checkpoint("chatml")), 2)
    assert model.loaded.end_of_text_ids == {2}
    [drawn] = model.sample([Query(RATER)], SamplingSettings(n=200, max_tokens=3, seed=1))
    mark = model.template.content.decode([2])
    assert all(mark not in one.text for one in drawn)
    assert {one.n_tokens for one in drawn if one.finish_reason == "stop"} == {1, 2, 3}


def test_no_prompts() -> None:
    assert _draw(_forward("llama"), [], n=3, max_tokens=2) == []
