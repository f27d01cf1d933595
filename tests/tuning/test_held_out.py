"""Measures on held-out sequences: k*, nats and accuracy of outputs, calibration; beside slow versions and a plain forward."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pluralign.metrics.calibration import expected_calibration_error
from pluralign.tuning.attention import segment_attention
from pluralign.tuning.held_out import chosen_sequences, held_out_measures, k_star
from pluralign.tuning.loss import Measures, open_loss
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.sources import DataFile, TrainingFiles
from pluralign.tuning.start import opened_model, opened_template
from pluralign.tuning.store import EncodedStore, encode_once
from pluralign.tuning.work import StepWork
from tuning.tune_runs import WIDTH, make_file, make_model, small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("held_out")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return make_model(folder / "model", num_hidden_layers=2)


@pytest.fixture(scope="module")
def store(folder: Path, model: str) -> EncodedStore:
    files = [make_file(folder / f"{seed}.parquet", 14, seed=seed) for seed in (0, 1)]
    return encode_once(files, opened_template(model, small(), None), max_tokens=WIDTH, cache=folder / "cache")


def slow_k_star(n_outputs: list[int]) -> int:
    """The first k with the most at stake."""
    best, at_stake = 0, 0
    for k in range(max(n_outputs, default=0)):
        if k * sum(n >= k + 1 for n in n_outputs) > at_stake:
            best, at_stake = k, k * sum(n >= k + 1 for n in n_outputs)
    return best


def test_k_star_by_hand_and_beside_a_slow_version() -> None:
    assert k_star(np.array([4, 4, 1])) == 3  # 3 x 2 outputs against 2 x 2 and 1 x 2
    assert k_star(np.array([9, 2, 2, 2, 2, 2, 2, 2, 2])) == 1  # 1 x 9 against 8 x 1
    assert k_star(np.array([1, 1])) == k_star(np.zeros(0, dtype=np.int64)) == 0
    rng = np.random.default_rng(0)
    for _ in range(50):
        n_outputs = rng.integers(0, 12, rng.integers(1, 20))
        assert k_star(n_outputs) == slow_k_star(n_outputs.tolist())


def test_sequences_are_drawn_by_the_seed_up_to_a_number_of_each_task() -> None:
    task_of = np.repeat([0, 1, 2], [50, 5, 20])
    usable = np.flatnonzero(np.arange(75) % 2)  # 25, 2 or 3, and 10 of them
    found = chosen_sequences(task_of, usable, 8, seed=3)
    assert np.bincount(task_of[found]).tolist() == [8, int((task_of[usable] == 1).sum()), 8]
    assert set(found.tolist()) <= set(usable.tolist())
    assert found.tolist() == sorted(set(found.tolist()))
    assert found.tolist() == chosen_sequences(task_of, usable, 8, seed=3).tolist()
    assert found.tolist() != chosen_sequences(task_of, usable, 8, seed=4).tolist()
    assert chosen_sequences(task_of, usable, 1000, seed=3).tolist() == usable.tolist()


def work_on(trained: Any, store: EncodedStore, *, way: Any = None, micro_tokens: int = 256) -> StepWork:
    loss = open_loss(trained, chunk_bytes=4 * 413 * 7)
    return StepWork(
        settings=small(micro_tokens=micro_tokens),
        store=store,
        files=TrainingFiles((), (DataFile(Path("0.parquet"), "zero"), DataFile(Path("1.parquet"), "one"))),
        attention=segment_attention(trained, torch.device("cpu"), longest=WIDTH, ways=way),
        wrapped=loss,
        products=torch.float32,
        ranks=Ranks(0, 1, torch.device("cpu")),
    )


def plainly(trained: Any, store: EncodedStore, number: int) -> list[tuple[int, float, float, bool]]:
    """Of each supervised token: its example, nats, probability of the likeliest token, whether that is it."""
    one = store.sequence(number)
    ids = torch.from_numpy(one.ids).long()
    with torch.no_grad():
        probabilities = trained(input_ids=ids[None], use_cache=False).logits[0].double().softmax(1)
    return [
        (
            int(one.example_index[t]),
            -float(probabilities[t - 1, ids[t]].log()),
            float(probabilities[t - 1].max()),
            int(probabilities[t - 1].argmax()) == int(ids[t]),
        )
        for t in np.flatnonzero(one.is_loss)
    ]


@pytest.mark.parametrize("way", [("loop",), ("padded",)], ids=["packed", "padded"])
def test_measures_are_those_of_a_plain_forward(store: EncodedStore, model: str, way: Any) -> None:
    trained = opened_model(model, small(), torch.float32, None).eval()
    with torch.no_grad():
        trained.lm_head.weight[:].mul_(3.0)  # some tokens become likely
    trained.set_attn_implementation("eager")
    chosen = np.arange(len(store))[::2]
    tokens = {int(n): plainly(trained, store, int(n)) for n in chosen}
    task_of = np.where(store.file_of == 0, 0, 1)
    work = work_on(trained, store, way=way)
    batches = work.maker(store, alone=True).batches(chosen)
    assert len(batches) > 1
    found = held_out_measures(batches, work.measures, ["zero", "one"], task_of, seed=0)
    assert list(found) == ["zero", "one"]
    for number, name in enumerate(("zero", "one")):
        mine = {n: rows for n, rows in tokens.items() if task_of[n] == number and rows}
        n_outputs = {n: max(row[0] for row in rows) + 1 for n, rows in mine.items()}
        k = slow_k_star(list(n_outputs.values()))
        nats, right = [], []
        for n, rows in mine.items():
            if n_outputs[n] < k + 1:
                continue
            for example, group in itertools.groupby(rows, key=lambda row: row[0]):
                several = list(group)
                if 1 <= example <= k:
                    nats.append(sum(row[1] for row in several))
                    right.append(all(row[3] for row in several))
        assert k > 0
        assert found[name]["k_star"] == k
        assert found[name]["nats"]["value"] == pytest.approx(np.mean(nats), rel=1e-5)
        assert found[name]["accuracy"]["value"] == pytest.approx(np.mean(right), abs=1e-9)
        assert found[name]["nats"]["low"] < found[name]["nats"]["value"] < found[name]["nats"]["high"]
        assert found[name]["n_sequences"] == len(mine)
        flat = [row for rows in mine.values() for row in rows]
        ece = expected_calibration_error(np.array([row[2] for row in flat]), np.array([row[3] for row in flat]))
        assert found[name]["token_ece"] == pytest.approx(ece, abs=1e-4)


def test_an_output_is_right_where_all_its_tokens_are_and_costs_what_they_cost_together(store: EncodedStore, model: str) -> None:
    """Nats of 1 a token and one wrong token in each sequence, the end of output 1: that output alone is wrong."""
    work = work_on(opened_model(model, small(), torch.float32, None), store)
    chosen = np.flatnonzero(store.n_loss > 0)
    batches = work.maker(store, alone=True).batches(chosen)

    def measure(batch: Any) -> Any:
        n = len(batch.target_ids)
        key = batch.target_segment.astype(np.int64) * 1000 + batch.target_example
        is_end = np.append(np.diff(key) != 0, True)
        return np.ones(n), np.full(n, 0.5), ~(is_end & (batch.target_example == 1))

    found = held_out_measures(batches, measure, ["all"], np.zeros(len(store), dtype=np.int64), seed=0)["all"]
    k = found["k_star"]
    assert found["accuracy"]["value"] == pytest.approx((k - 1) / k)
    sizes = [
        int((one.is_loss & (one.example_index == e)).sum())
        for one in (store.sequence(int(n)) for n in chosen)
        if one.example_index.max() >= k
        for e in range(1, k + 1)
    ]
    assert found["nats"]["value"] == pytest.approx(np.mean(sizes))


def test_where_no_sequence_has_two_outputs_the_estimates_say_so(store: EncodedStore, model: str) -> None:
    work = work_on(opened_model(model, small(), torch.float32, None), store)
    batches = work.maker(store, alone=True).batches(np.flatnonzero(store.n_loss > 0)[:3])
    for batch in batches:
        batch.target_example[:] = 0
    found = held_out_measures(batches, work.measures, ["all"], np.zeros(len(store), dtype=np.int64), seed=0)["all"]
    assert found["k_star"] == 0
    assert found["nats"]["value"] is None
    assert found["nats"]["why_undefined"]


def test_measuring_leaves_gradients_alone_and_says_what_the_loss_says(store: EncodedStore, model: str) -> None:
    trained = opened_model(model, small(), torch.float32, None)
    work = work_on(trained, store)
    for parameter in trained.parameters():
        parameter.grad = torch.ones_like(parameter)
    modes = [module.training for module in work.wrapped.modules()]
    [batch, *_] = work.maker(store, alone=True).batches(np.flatnonzero(store.n_loss > 0))
    nats, top, is_top = work.measures(batch)
    assert [module.training for module in work.wrapped.modules()] == modes
    assert all(p.grad is not None and bool((p.grad == 1).all()) for p in trained.parameters())
    assert nats.dtype == top.dtype == np.float64
    assert is_top.dtype == np.bool_
    assert len(nats) == len(top) == len(is_top) == len(batch.target_ids)
    trained_on = work._call(batch, torch.ones(len(nats)))
    assert not isinstance(trained_on, Measures)
    assert nats == pytest.approx(trained_on.of_token.numpy(), abs=1e-6)
    assert (nats[is_top] == pytest.approx(-np.log(top[is_top]), abs=1e-5)) or not is_top.any()
    assert (np.exp(-nats) <= top + 1e-6).all()
