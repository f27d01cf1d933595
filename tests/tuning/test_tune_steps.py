"""Steps: which sequences they see, what carries loss and how much, and gradients beside one padded sequence at a time."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from pluralign.errors import DataError, RunError
from pluralign.models import FlatEncoded
from pluralign.tuning.attention import segment_attention
from pluralign.tuning.batches import Batch
from pluralign.tuning.loss import open_loss
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.settings import LoraSettings, LossOn, TuneSettings
from pluralign.tuning.sources import DataFile, TrainingFiles
from pluralign.tuning.start import opened_model, opened_template
from pluralign.tuning.steps import BatchMaker, Schedule, open_schedule, supervised_on, target_weights
from pluralign.tuning.store import EncodedStore, encode_once
from pluralign.tuning.work import StepWork
from reference.plain_loss import gradients, plain_nats
from tuning.loss_cases import worst_difference
from tuning.tune_runs import WIDTH, make_file, make_model, small

TOLERANCE = 1e-5
"""Relative, float32."""
MODES: tuple[LossOn, ...] = get_args(LossOn)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return make_model(folder / "model")


@pytest.fixture(scope="module")
def store(folder: Path, model: str) -> EncodedStore:
    """Of two files."""
    files = [make_file(folder / f"{seed}.parquet", 18, seed=seed) for seed in (0, 1)]
    return encode_once(files, opened_template(model, small(), None), max_tokens=WIDTH, cache=folder / "cache")


FILES = TrainingFiles((DataFile(Path("0.parquet"), "zero"), DataFile(Path("1.parquet"), "one")), ())


# which sequences


def numbers(schedule: Schedule) -> list[int]:
    return [n for step in range(schedule.n_steps) for n in schedule.numbers(step).tolist()]


def test_an_epoch_has_every_sequence_that_carries_loss_once_and_each_is_in_another_order(store: EncodedStore) -> None:
    usable = np.flatnonzero(store.n_loss > 0).tolist()
    schedule = open_schedule(store, small(epochs=3, max_steps=None, sequences_a_step=7))
    seen = numbers(schedule)
    n = len(usable)
    assert schedule.n_steps == -(-3 * n // 7)
    epochs = [seen[at : at + n] for at in range(0, 3 * n, n)]
    assert all(sorted(epoch) == usable for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_order_follows_from_the_seed_alone(store: EncodedStore) -> None:
    def order(**settings: Any) -> list[int]:
        return numbers(open_schedule(store, small(max_steps=None, **settings)))

    whole = order(sequences_a_step=7)
    assert order(sequences_a_step=5, lr=1.0, weigh="outputs", pack="padded", micro_tokens=99) == whole
    assert order(sequences_a_step=7, epochs=0.5) == whole[: len(whole) // 2]
    assert order(sequences_a_step=7, epochs=2)[: len(whole)] == whole
    assert order(sequences_a_step=7, seed=1) != whole


@pytest.mark.parametrize("epochs", [0.25, 1.0, 1.5, 2.25])
def test_epochs_may_be_fractions(store: EncodedStore, epochs: float) -> None:
    n = int((store.n_loss > 0).sum())
    seen = numbers(open_schedule(store, small(epochs=epochs, max_steps=None)))
    assert len(seen) == round(epochs * n)
    times = Counter(seen).values()
    assert max(times) - (min(times) if len(times) == n else 0) == 1 or epochs == 1.0


@pytest.mark.parametrize("share", [0.001, 0.3, 1.0, 1.0001, 2.0, 2.7])
def test_a_budget_ends_with_the_sequence_that_reaches_it(store: EncodedStore, share: float) -> None:
    lengths = np.where(store.n_loss > 0, store.lengths, 0)
    budget = max(1, round(share * int(lengths.sum())))
    seen = numbers(open_schedule(store, small(budget_tokens=budget, max_steps=None, epochs=7)))
    assert lengths[seen].sum() >= budget
    assert lengths[seen[:-1]].sum() < budget


def test_steps_may_be_capped(store: EncodedStore) -> None:
    schedule = open_schedule(store, small(max_steps=3, sequences_a_step=5, budget_tokens=10**6))
    assert schedule.n_steps == 3
    assert len(numbers(schedule)) == 15


def test_sequences_without_a_scored_output_carry_loss_where_all_tokens_do(store: EncodedStore) -> None:
    bare = dataclasses.replace(store, n_loss=np.where(np.arange(len(store)) % 3 == 0, 0, store.n_loss))
    outputs = open_schedule(bare, small(max_steps=None))
    assert not (bare.n_loss[numbers(outputs)] == 0).any()
    assert len(open_schedule(bare, small(max_steps=None, loss_on="all")).usable) == len(store)
    none = dataclasses.replace(store, n_loss=np.zeros_like(store.n_loss))
    with pytest.raises(DataError, match="no sequence carries loss"):
        open_schedule(none, small())


@pytest.mark.parametrize("row_tokens", [None, 256, WIDTH, 10], ids=["padded", "long rows", "rows of one", "rows too short"])
@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_the_ranks_batches_together_are_the_steps_sequences_once(
    store: EncodedStore, row_tokens: int | None, n_ranks: int
) -> None:
    chosen = open_schedule(store, small(sequences_a_step=17)).numbers(0)
    of_ranks = [
        BatchMaker(store=store, loss_on="outputs", micro_tokens=256, row_tokens=row_tokens, rank=rank, n_ranks=n_ranks).batches(
            chosen
        )
        for rank in range(n_ranks)
    ]
    assert len({len(batches) for batches in of_ranks}) == 1
    real = [batch for batches in of_ranks for batch in batches if len(batch.target_ids)]
    assert sorted(n for batch in real for n in batch.sequences.tolist()) == sorted(chosen.tolist())
    assert sum(batch.n_tokens for batch in real) == store.lengths[chosen].sum()
    assert sum(len(batch.target_ids) for batch in real) == store.n_loss[chosen].sum()
    assert all(batch.input_ids.size <= 256 for batch in real)
    assert any(batch.is_packed for batch in real) == (row_tokens is not None)
    idle = [batch for batches in of_ranks for batch in batches if not len(batch.target_ids)]
    assert len(idle) == len(of_ranks[0]) * n_ranks - len(real) < n_ranks


# what carries loss, and its weight


def flags_of(one: Any, loss_on: str) -> list[bool]:
    """Slowly, token by token."""
    examples = sorted({int(e) for e, is_loss in zip(one.example_index, one.is_loss, strict=True) if is_loss})
    chosen = {"outputs": examples, "first": examples[:1], "last": examples[-1:]}
    if loss_on == "all":
        return [True] * len(one.ids)
    return [bool(f) and int(e) in chosen[loss_on] for e, f in zip(one.example_index, one.is_loss, strict=True)]


@pytest.mark.parametrize("loss_on", MODES)
def test_flags_are_exactly_those_asked_for(store: EncodedStore, loss_on: LossOn) -> None:
    several = store.gather(range(len(store)))
    found = supervised_on(several, loss_on)
    expected = [flag for n in range(len(store)) for flag in flags_of(store.sequence(n), loss_on)]
    assert found.is_loss.tolist() == expected
    assert found.ids.tolist() == several.ids.tolist()
    assert found.starts.tolist() == several.starts.tolist()


def test_flags_of_sequences_of_which_some_have_none() -> None:
    """The first has outputs 1 and 2 supervised, the second none, the third only output 0, in two tokens."""
    example = np.array([0, 1, 1, 2, 0, 0, 1, 0, 0, 0], dtype=np.int32)
    is_loss = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1], dtype=np.bool_)
    several = FlatEncoded(np.arange(10, dtype=np.int32), is_loss, example, np.array([0, 4, 7, 10]))
    assert np.flatnonzero(supervised_on(several, "first").is_loss).tolist() == [2, 8, 9]
    assert np.flatnonzero(supervised_on(several, "last").is_loss).tolist() == [3, 8, 9]


def batch_of(segments: Sequence[int], examples: Sequence[int], sequences: Sequence[int]) -> Batch:
    """Only with what weights are made of."""
    none, n = np.zeros((1, 1), dtype=np.int64), np.arange(len(segments))
    target_segment, target_example = np.array(segments, dtype=np.int32), np.array(examples, dtype=np.int32)
    return Batch(none, none, none.astype(np.int32), np.array(sequences), n, n, target_segment, target_example)


def test_weights_by_hand() -> None:
    """Outputs of 2, 1, 3 tokens, the third one in another sequence; and of -1, what is before the first example."""
    batch = batch_of([0, 0, 0, 1, 1, 1, 1], [1, 1, 2, 1, 1, 1, -1], [5, 2])
    task_of = np.array([0, 0, 1, 0, 0, 0])
    by_output = [1 / 2, 1 / 2, 1, 1 / 3, 1 / 3, 1 / 3, 1]
    for weigh, expected in (("tokens", [1.0] * 7), ("outputs", by_output)):
        found = target_weights(batch, task_of, small(weigh=weigh), {})
        assert found.tolist() == pytest.approx(expected)
        assert found.dtype == np.float32
        weighted = [w * (4.0 if n > 2 else 1.0) for n, w in enumerate(expected)]
        assert target_weights(batch, task_of, small(weigh=weigh), {1: 4.0}).tolist() == pytest.approx(weighted)
    assert target_weights(batch_of([], [], [5]), task_of, small(weigh="outputs"), {0: 2.0}).shape == (0,)


# a step beside the reference


class Recorder(torch.optim.SGD):
    """Keeps the gradients that it would step by, and does not step."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        super().__init__(self.named.values(), lr=1.0)
        self.found: list[dict[str, torch.Tensor]] = []

    def step(self, closure: Any = None) -> None:
        self.found.append({name: p.grad.clone() for name, p in self.named.items() if p.grad is not None})


def work_on(trained: Any, settings: TuneSettings, store: EncodedStore, **changes: Any) -> StepWork:
    loss = open_loss(trained)
    ways: Any = {"auto": None, "packed": ("loop",), "mask": ("mask",), "padded": ("padded",)}[changes.pop("way", "auto")]
    attention = segment_attention(trained, torch.device("cpu"), longest=WIDTH, ways=ways)
    parts: dict[str, Any] = {
        "settings": settings,
        "store": store,
        "files": FILES,
        "attention": attention,
        "wrapped": loss,
        "products": torch.float32,
        "ranks": Ranks(0, 1, torch.device("cpu")),
    }
    return StepWork(**(parts | changes))


def expected_gradients(trained: Any, settings: TuneSettings, store: EncodedStore, chosen: Sequence[int]) -> tuple[Any, float]:
    """Of the weighted mean, one sequence at a time; and the unweighted mean nats."""
    ids, flags, weights = [], [], []
    for n in chosen:
        one = store.sequence(int(n))
        is_loss = torch.tensor(flags_of(one, settings.supervised))
        is_loss[0] = False
        weight = torch.ones(len(one))
        if settings.weigh == "outputs":
            counts = Counter(one.example_index[is_loss.numpy()].tolist())
            weight = torch.tensor([1.0 / counts.get(int(e), 1) for e in one.example_index])
        weight *= settings.task_weights.get(FILES.train[int(store.file_of[n])].task, 1.0)
        ids.append(torch.from_numpy(one.ids).long())
        flags.append(is_loss)
        weights.append(weight)
    total = sum(float(w[f].sum()) for w, f in zip(weights, flags, strict=True))
    with torch.no_grad():
        nats = float(plain_nats(trained, ids, flags, [torch.ones_like(w) for w in weights]))
    return gradients(trained, plain_nats(trained, ids, flags, weights) / total), nats / sum(int(f.sum()) for f in flags)


def shaken(trained: Any) -> Any:
    """Fresh adapters change nothing, and half of their gradients are 0."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return trained


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # the model's configuration, the run's settings
    "packed": ({}, {"pack": "packed"}),
    "mask": ({}, {"way": "mask"}),
    "padded": ({}, {"pack": "padded"}),
    "tied": ({"tie_word_embeddings": True}, {"pack": "packed"}),
    "lora": ({}, {"lora": LoraSettings(rank=4)}),
    "lora tied padded": ({"tie_word_embeddings": True}, {"lora": LoraSettings(rank=4), "pack": "padded"}),
    "first": ({}, {"loss_on": "first"}),
    "last": ({}, {"loss_on": "last", "pack": "padded"}),
    "all": ({}, {"loss_on": "all"}),
    "outputs weigh the same": ({}, {"weigh": "outputs"}),
    "tasks weigh differently": ({}, {"weigh": "outputs", "task_weights": {"one": 3.5}}),
    "checkpointing": ({}, {"gradient_checkpointing": True}),
    "checkpointing lora": ({}, {"gradient_checkpointing": True, "lora": LoraSettings(rank=4)}),
}


@pytest.mark.parametrize(("case", "micro_tokens"), [*((case, 120) for case in CASES), ("packed", 4096), ("padded", 4096)])
def test_gradients_are_those_of_one_sequence_at_a_time(
    store: EncodedStore, tmp_path: Path, case: str, micro_tokens: int
) -> None:
    config, changes = CASES[case]
    way = changes.get("way", changes.get("pack", "auto"))
    settings = small(
        micro_tokens=micro_tokens, clip=1e9, sequences_a_step=14, **{k: v for k, v in changes.items() if k != "way"}
    )
    trained = shaken(opened_model(make_model(tmp_path / "model", num_hidden_layers=2, **config), settings, torch.float32, None))
    schedule = open_schedule(store, settings)
    trained.set_attn_implementation("eager")
    expected, nats = expected_gradients(trained, settings, store, schedule.numbers(0).tolist())
    work = work_on(trained, settings, store, way=way)
    batches = work.prepared(schedule, 0)
    assert (len(batches) > 1) == (micro_tokens == 120)
    assert any(batch.is_packed for batch, _ in batches) == (way != "padded")
    optimizer = Recorder(trained)
    line = work.step(0, batches, optimizer)
    assert worst_difference(optimizer.found[0], expected) < TOLERANCE
    assert line["loss"] == pytest.approx(nats, rel=TOLERANCE)
    norm = torch.cat([one.flatten() for one in expected.values()]).norm().item()
    assert line["grad_norm"] == pytest.approx(norm, rel=TOLERANCE)
    assert all(p.grad is None for p in trained.parameters())


def test_the_norm_is_clipped_and_told_as_it_was(store: EncodedStore, model: str) -> None:
    norms = {}
    for clip in (1e9, 0.01):
        settings = small(clip=clip)
        trained = opened_model(model, settings, torch.float32, None)
        work, optimizer = work_on(trained, settings, store), Recorder(trained)
        line = work.step(0, work.prepared(open_schedule(store, settings), 0), optimizer)
        taken = torch.cat([one.flatten() for one in optimizer.found[0].values()]).norm().item()
        norms[clip] = line["grad_norm"], taken
    assert norms[1e9][0] == norms[0.01][0] == pytest.approx(norms[1e9][1], rel=1e-5)
    assert norms[0.01][1] == pytest.approx(0.01, rel=1e-4)


def test_a_loss_that_is_no_number_names_the_sequences_and_nothing_is_stepped(store: EncodedStore, model: str) -> None:
    settings = small(sequences_a_step=12, micro_tokens=200)
    trained = opened_model(model, settings, torch.float32, None)
    work = work_on(trained, settings, store)
    schedule = open_schedule(store, settings)
    batches = work.prepared(schedule, 0)
    assert len(batches) > 2
    before, optimizer = copy.deepcopy(trained.state_dict()), torch.optim.AdamW(trained.parameters(), lr=0.1)
    calls = itertools.count()

    def spoil(module: Any, inputs: Any, output: Any) -> Any:
        return output * (torch.nan if next(calls) == 1 else 1.0)

    handle = trained.get_decoder().norm.register_forward_hook(spoil)
    with pytest.raises(RunError) as error:
        work.step(4, batches, optimizer)
    handle.remove()
    said, bad = str(error.value), sorted(batches[1][0].sequences.tolist())
    assert said.startswith("step 5: the loss of a batch is no number")
    assert f"It holds {len(bad)} sequences, e.g. {', '.join(map(str, bad[:8]))}, of " in said
    assert {path.name for path in (FILES.train[int(n)].path for n in store.file_of[bad])} <= set(
        said.replace(",", "").replace(";", "").split()
    )
    assert "last checkpoint, which is kept" in said
    assert not optimizer.state
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


def test_a_gradient_that_is_no_number_is_told_as_such(store: EncodedStore, model: str) -> None:
    settings = small()
    trained = opened_model(model, settings, torch.float32, None)
    work = work_on(trained, settings, store)
    trained.lm_head.weight.register_hook(lambda slopes: slopes * torch.inf)
    with pytest.raises(RunError, match=r"step 1: the loss is a number here, its gradient is not.*lower lr"):
        work.step(0, work.prepared(open_schedule(store, settings), 0), torch.optim.AdamW(trained.parameters()))
