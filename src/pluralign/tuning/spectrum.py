"""Spectrum Tuning: cross-entropy on the outputs of episodes, nothing else. One flat script, from files to a model's folder.

    files -> tokens, once -> steps of sequences -> batches of packed rows -> hidden states -> loss at supervised tokens -> AdamW

    RUN/config.json      what was asked, and hashes of what it was asked of
    RUN/metrics.jsonl    a line for each step, and for each measure on held-out data
    RUN/checkpoints/     the last two; the same command goes on from the newest that is whole
    RUN/model/           the tuned model, for transformers, vLLM and the rest; RUN/adapter/ beside it for LoRA
    RUN/results.json     where it ended; there only when all else is

A plain loop on torch, rather than a trainer: the loss never makes logits of tokens that carry none, a step's mean runs over all
ranks, and what a step sees follows from seed and step alone, none of which a trainer's loop lets be. Several processes are
started by torchrun and need no other command.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084).
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralign.files import read_json
from pluralign.models import Template
from pluralign.runs import Run, RunConfig
from pluralign.tuning.attention import segment_attention
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from pluralign.tuning.finish import write_model
from pluralign.tuning.held_out import chosen_sequences, held_out_measures
from pluralign.tuning.loss import open_loss
from pluralign.tuning.optimizers import open_optimizer
from pluralign.tuning.ranks import Ranks, open_ranks
from pluralign.tuning.run_log import RunLog, Tracker, TrackerName, last_measure, open_tracker
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.sources import TrainingFiles, find_files
from pluralign.tuning.start import (
    Spread,
    check_transformers,
    folder_or_id,
    opened_model,
    opened_template,
    products_dtype,
    spread_out,
)
from pluralign.tuning.steps import Schedule, open_schedule, share_of_lr
from pluralign.tuning.store import EncodedStore, default_encoded_path, encode_once
from pluralign.tuning.work import StepWork

__all__ = ["TunePlaces", "tune"]

Tell = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePlaces:
    """Where a run takes things from and computes: nothing of it changes what it computes, but for rounding."""

    revision: str | None = None
    """Of the model's hub id; pin it, so that it can be repeated."""
    device: str = "auto"
    spread: Spread = "auto"
    cache: Path | None = None
    """Where encoded data are kept for other runs; default in the user's cache folder."""
    tracker: TrackerName | None = None


def tune(
    model: str,
    data: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    settings: TuneSettings | None = None,
    held_out: Sequence[str | os.PathLike[str]] = (),
    places: TunePlaces | None = None,
    on_progress: Tell | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Trains a causal model, a folder or hub id or "embedded", on episodes into the run folder `out`; what results.json says.

    `data` and `held_out` are files of episodes or suites' folders (`sources.find_files`). Started again with the same arguments
    it goes on from the last checkpoint, with the same steps. Under torchrun every process calls it.

    Raises UsageError, DataError and ModelError for what cannot be trained, before anything is; RunError for a disk that
    refuses, a checkpoint that does not fit, and where a loss is no number: then the batch is named.
    """
    settings, places = settings or TuneSettings(), places or TunePlaces()
    on_progress, tell = on_progress or _silent, tell or _silent
    check_transformers()
    model = folder_or_id(model)
    with open_ranks(places.device) as ranks, contextlib.ExitStack() as stack:
        # what is trained on, as tokens
        template = opened_template(model, settings, places.revision)
        cache = places.cache or default_encoded_path()
        files = find_files(data, held_out, cache=cache)
        files.check_tasks(settings.task_weights)
        run = stack.enter_context(ranks.open_run(Path(out), _config(model, files, settings, places)))
        if (Path(out) / "results.json").exists() and (Path(out) / "model").is_dir():
            tell("this run has ended; what it found is in results.json")
            ended: dict[str, Any] = read_json(Path(out) / "results.json")
            return ended
        encode = functools.partial(_encoded, template=template, settings=settings, cache=cache, ranks=ranks, tell=on_progress)
        store = encode([file.path for file in files.train])
        held_out_store = encode([file.path for file in files.held_out]) if files.held_out else None
        schedule = open_schedule(store, settings)
        products = _products(run, settings, ranks)

        # the model, its loss, and how sequences of one batch are kept apart
        torch.manual_seed(settings.seed)
        trained = opened_model(model, settings, products, places.revision).to(ranks.device)
        loss = open_loss(trained)
        attention = segment_attention(
            trained, ranks.device, longest=int(store.lengths.max()), dtype=products, ways=_ways(settings, ranks.device)
        )
        for note in (*attention.notes, *([loss.note] if loss.note else [])):
            tell(note)
        wrapped = spread_out(loss, places.spread, ranks, products)
        optimizer = open_optimizer(wrapped, settings)
        work = StepWork(
            settings=settings,
            store=store,
            files=files,
            attention=attention,
            wrapped=wrapped,
            products=products,
            ranks=ranks,
        )

        # from the last checkpoint, if there is one
        checkpoints = Path(out) / "checkpoints"
        found = latest_checkpoint(checkpoints, tell=tell if ranks.is_first else _silent)
        state: dict[str, Any] = {"step": 0, "tokens": 0, "loss_tokens": 0, "seconds": 0.0}
        if found is not None:
            found.restore(wrapped, optimizer, rank=ranks.rank)
            state = found.state
            tell(f"going on behind step {found.step:,} of {schedule.n_steps:,}")
        log = _opened_log(Path(out), int(state["step"]), places, settings, ranks, stack)

        # step by step; the next step's batches are made in the meantime
        measure_every, save_every = settings.steps_between(schedule.n_steps)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        measure = functools.partial(_measured, work, files)
        if state["step"] == 0 and held_out_store is not None:
            log.write(0, {"held_out": measure(held_out_store)})
        coming = pool.submit(work.prepared, schedule, int(state["step"]))
        for step in range(int(state["step"]), schedule.n_steps):
            began = time.perf_counter()
            batches = coming.result()
            waited = time.perf_counter() - began
            if step + 1 < schedule.n_steps:
                coming = pool.submit(work.prepared, schedule, step + 1)
            torch.manual_seed(settings.seed * 1_000_003 + step)  # of dropout, where a model has some
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * share_of_lr(step, schedule.n_steps, settings.warmup_steps)
            line = work.step(step, batches, optimizer)
            seconds = time.perf_counter() - began
            state = {
                "step": step + 1,
                "tokens": state["tokens"] + line["tokens"],
                "loss_tokens": state["loss_tokens"] + line["loss_tokens"],
                "seconds": state["seconds"] + seconds,
            }
            speed = {"tokens_per_second": line["tokens"] / seconds, "waited_for_data": waited / seconds}
            log.write(step + 1, {**line, **speed, "lr": optimizer.param_groups[0]["lr"]})
            on_progress("training", step + 1, schedule.n_steps, _note(line, state, schedule))
            is_last = step + 1 == schedule.n_steps
            if held_out_store is not None and (is_last or (step + 1) % measure_every == 0):
                log.write(step + 1, {"held_out": measure(held_out_store)})
            if is_last or (step + 1) % save_every == 0:
                save_checkpoint(
                    checkpoints,
                    step + 1,
                    wrapped,
                    optimizer,
                    state,
                    rank=ranks.rank,
                    n_ranks=ranks.n_ranks,
                    sharded=places.spread == "shards" and ranks.n_ranks > 1,
                )

        # a folder that others can load
        results = {
            **state,
            "attention": attention.how,
            "products": str(products).removeprefix("torch."),
            "counts": store.counts,
        }
        results["held_out"] = last_measure(Path(out) / "metrics.jsonl") if ranks.is_first else None
        results["faults"] = write_model(Path(out), model, places.revision, trained, settings, ranks, products)
        for fault in results["faults"]:
            tell(f"{out}/model: {fault}")
        if run is not None:
            run.write_results(results)
        ranks.wait()
        return results


def _silent(*_: Any) -> None:
    """Tells nobody."""


def _config(model: str, files: TrainingFiles, settings: TuneSettings, places: TunePlaces) -> RunConfig:
    inputs = {f"train/{n:04}": str(file.path) for n, file in enumerate(files.train)}
    inputs |= {f"held out/{n:04}": str(file.path) for n, file in enumerate(files.held_out)}
    if Path(model).is_dir():
        inputs["model"] = model
    arguments = {"settings": settings.to_dict(), "revision": places.revision}
    if "model" not in inputs:
        arguments["model"] = model
    return RunConfig(command="tune", arguments=arguments, seed=settings.seed, inputs=inputs)


def _encoded(
    files: Sequence[Path], *, template: Template, settings: TuneSettings, cache: Path, ranks: Ranks, tell: Tell
) -> EncodedStore:
    """Made by the first process, opened by the others."""
    make = functools.partial(encode_once, files, template, max_tokens=settings.max_tokens, cache=cache)
    store = make(tell=tell) if ranks.is_first else None
    ranks.wait()
    return make() if store is None else store


def _products(run: Run | None, settings: TuneSettings, ranks: Ranks) -> torch.dtype:
    """Measured once: a run that goes on computes as it did."""
    found = products_dtype(settings.dtype, ranks.device)
    if run is not None:
        name = run.step("precision", lambda: {"products": str(found).removeprefix("torch.")})["products"]
        found = torch.bfloat16 if name == "bfloat16" else torch.float32
    is_half = ranks.total(torch.tensor(float(ranks.is_first and found == torch.bfloat16), device=ranks.device))
    return torch.bfloat16 if is_half.item() else torch.float32


def _ways(settings: TuneSettings, device: torch.device) -> Any:
    quick = "loop" if device.type == "cpu" else "varlen"
    return {"auto": None, "packed": (quick, "mask"), "padded": ("padded",)}[settings.pack]


def _opened_log(
    out: Path, step: int, places: TunePlaces, settings: TuneSettings, ranks: Ranks, stack: contextlib.ExitStack
) -> RunLog:
    tracker: Tracker | None = None
    if places.tracker is not None and ranks.is_first:
        tracker = open_tracker(places.tracker, project="pluralign", run=out.name, settings=settings.to_dict())
    log = RunLog(out / "metrics.jsonl" if ranks.is_first else None, from_step=step, tracker=tracker)
    stack.callback(log.close)
    return log


def _note(line: Mapping[str, Any], state: Mapping[str, Any], schedule: Schedule) -> str:
    left = state["seconds"] / state["step"] * (schedule.n_steps - state["step"])
    share = line["loss_tokens"] / line["tokens"]
    speed = state["tokens"] / state["seconds"]
    return f"{line['loss']:.3f} nats a token, {speed:,.0f} tokens/s, {share:.0%} supervised, {_time(left)} left"


def _time(seconds: float) -> str:
    """For people.

    >>> _time(42), _time(754), _time(7500)
    ('42 s', '13 min', '2 h 5 min')
    """
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _measured(work: StepWork, files: TrainingFiles, store: EncodedStore) -> dict[str, Any]:
    """On every process the same, since shards have to be gathered by all."""
    names = list(dict.fromkeys(file.task for file in files.held_out))
    task_of = np.array([names.index(file.task) for file in files.held_out])[store.file_of]
    chosen = chosen_sequences(task_of, np.flatnonzero(store.n_loss > 0), work.settings.max_held_out, work.settings.seed)
    batches = work.maker(store, alone=True).batches(chosen)
    work.wrapped.eval()
    try:
        with torch.no_grad():
            return held_out_measures(batches, work.measures, names, task_of, seed=work.settings.seed)
    finally:
        work.wrapped.train()
