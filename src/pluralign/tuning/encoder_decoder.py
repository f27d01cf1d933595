"""Fine-tuning of an encoder-decoder (T5 and others) on pairs of texts: cross-entropy of what is written, its end included.

    pairs of token ids -> steps of pairs -> batches of neighbouring lengths -> nats of the targets' tokens -> AdamW

    RUN/config.json      what was asked, and a hash of the pairs
    RUN/metrics.jsonl    a line for each step, and for each measure on held-out pairs
    RUN/checkpoints/     the last two; the same run goes on from the newest that is whole
    RUN/model/           the tuned model; RUN/results.json where it ended

A step's loss is one mean over the tokens of all its targets, however they are dealt out to batches and processes. What a step
sees follows from seed and step alone. Padding is masked in the encoder and carries no loss in the decoder.

Source: the recipe of Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779): learning rate 3e-5, 32 pairs a step.
*Departures*: none known; its schedule and optimiser are not published, ours are AdamW and a linear fall to 0.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralign import __version__
from pluralign.errors import DataError, ModelError, UsageError
from pluralign.files import read_json
from pluralign.models import open_tokenizer
from pluralign.models.loading import check_folder, from_pretrained, without_bars
from pluralign.runs import RunConfig
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from pluralign.tuning.export_files import RECORD, check_export_place, write_ready_tokenizer
from pluralign.tuning.optimizers import open_optimizer
from pluralign.tuning.pairs import Pairs, PairWork
from pluralign.tuning.ranks import open_ranks
from pluralign.tuning.run_log import RunLog, last_measure
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces
from pluralign.tuning.start import check_transformers, folder_or_id, products_dtype
from pluralign.tuning.steps import Schedule, share_of_lr
from pluralign.tuning.transplant_folder import check_room, new_folder, write_json

__all__ = ["RECIPE", "tune_pairs"]

RECIPE = TuneSettings(lr=3e-5, sequences_a_step=32, max_tokens=128)
"""The published recipe; `max_tokens` is of an input and of a target each."""


def tune_pairs(
    model: str,
    train: Callable[[Any, Any], Pairs],
    out: Path,
    *,
    held_out: Callable[[Any, Any], Pairs] | None = None,
    settings: TuneSettings = RECIPE,
    places: TunePlaces | None = None,
    inputs: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    config: Callable[[Any], Mapping[str, Any]] | None = None,
    about: str = "",
    on_progress: Callable[..., None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Trains an encoder-decoder, a folder or hub id, into the run folder `out`; what results.json says.

    `train` and `held_out` make pairs of the model's tokenizer and configuration. `inputs` and `arguments` are kept in
    config.json beside the pairs' hash; what `config` makes of the model's configuration goes into its config.json, `about` into
    its README. Started
    again with the same arguments it goes on from the last checkpoint. Under torchrun every process calls it, each with a copy.

    Raises UsageError and ModelError for what cannot be trained, DataError where there is no pair, RunError for a disk that
    refuses, a folder that holds another run, and where a loss is no number.
    """
    places, on_progress, tell = places or TunePlaces(), on_progress or _silent, tell or _silent
    check_transformers()
    _check(settings, places)
    model = folder_or_id(model)
    check_folder(model)
    with open_ranks(places.device) as ranks, contextlib.ExitStack() as stack:
        tokenizer = open_tokenizer(model, places.revision)
        torch.manual_seed(settings.seed)
        trained = from_pretrained(model, torch.float32, places.revision, kind="encoder-decoder model").to(ranks.device).train()
        data, unseen = train(tokenizer, trained.config), held_out(tokenizer, trained.config) if held_out else None
        _check_pairs(data, unseen, trained, model)
        config_of_run = _config(model, data, unseen, settings, places, inputs, arguments)
        run = stack.enter_context(ranks.open_run(out, config_of_run))
        if (out / "results.json").exists() and (out / "model").is_dir():
            tell("this run has ended; what it found is in results.json")
            ended: dict[str, Any] = read_json(out / "results.json")
            return ended
        work = PairWork(trained, settings, ranks, products_dtype(settings.dtype, ranks.device))
        state = _steps(work, data, unseen, out, on_progress, tell)
        results = {**state, "products": str(work.products).removeprefix("torch."), "counts": dict(data.counts)}
        results["held_out"] = last_measure(out / "metrics.jsonl")
        if run is not None:
            _write_model(out / "model", model, trained, tokenizer, config, _card(model, places, settings, about))
            run.write_results(results)
        ranks.wait()
        return results


def _steps(
    work: PairWork, data: Pairs, unseen: Pairs | None, out: Path, on_progress: Callable[..., None], tell: Callable[[str], None]
) -> dict[str, Any]:
    """All steps that are left; where the run ended."""
    settings, ranks, checkpoints = work.settings, work.ranks, out / "checkpoints"
    schedule, optimizer = _schedule(len(data), settings), open_optimizer(work.wrapped, settings)
    found = latest_checkpoint(checkpoints, tell=tell if ranks.is_first else _silent)
    state: dict[str, Any] = {"step": 0, "pairs": 0, "tokens": 0, "seconds": 0.0}
    if found is not None:
        found.restore(work.wrapped, optimizer, rank=ranks.rank)
        state = found.state
        tell(f"going on behind step {found.step:,} of {schedule.n_steps:,}")
    log = RunLog(out / "metrics.jsonl" if ranks.is_first else None, from_step=int(state["step"]))
    if state["step"] == 0 and unseen is not None:
        log.write(0, {"held_out": work.measured(unseen)})
    measure_every, save_every = settings.steps_between(schedule.n_steps)
    for step in range(int(state["step"]), schedule.n_steps):
        began = time.perf_counter()
        lr = settings.lr * share_of_lr(step, schedule.n_steps, settings.warmup_steps)
        numbers = schedule.numbers(step)
        line = work.step(step, data, numbers, optimizer, lr)
        seconds = time.perf_counter() - began
        state = {
            "step": step + 1,
            "pairs": state["pairs"] + len(numbers),
            "tokens": state["tokens"] + line["tokens"],
            "seconds": state["seconds"] + seconds,
        }
        log.write(step + 1, {**line, "tokens_per_second": line["tokens"] / seconds, "lr": lr})
        note = f"{line['loss']:.3f} nats a token, {state['pairs'] / state['seconds']:,.0f} pairs/s"
        on_progress("training", step + 1, schedule.n_steps, note)
        is_last = step + 1 == schedule.n_steps
        if unseen is not None and (is_last or (step + 1) % measure_every == 0):
            log.write(step + 1, {"held_out": work.measured(unseen)})
        if is_last or (step + 1) % save_every == 0:
            save_checkpoint(checkpoints, step + 1, work.wrapped, optimizer, state, rank=ranks.rank, n_ranks=ranks.n_ranks)
    return state


def _silent(*_: Any) -> None:
    """Tells nobody."""


def _check(settings: TuneSettings, places: TunePlaces) -> None:
    if settings.lora is not None or settings.method != "spectrum" or settings.budget_tokens is not None:
        raise UsageError("an encoder-decoder is trained with all its weights, on its targets, for epochs or steps.")
    if places.spread == "shards":
        raise UsageError("an encoder-decoder is trained with a copy of the model in each process; leave shards out.")
    if places.tracker is not None:
        raise UsageError("training an encoder-decoder writes metrics.jsonl and knows no tracker.")


def _check_pairs(data: Pairs, unseen: Pairs | None, model: Any, name: str) -> None:
    for pairs, what in ((data, "training data"), (unseen, "held-out data")):
        if pairs is None:
            continue
        if not len(pairs):
            raise DataError(what, "no pair is left to train on or to be measured")
        largest = max(int(ids.max()) for several in (pairs.inputs, pairs.targets) for ids in several)
        if largest >= (n_rows := int(model.get_input_embeddings().weight.shape[0])):
            raise ModelError(
                f"{name}: the tokenizer has ids up to {largest:,}, the embeddings {n_rows:,} rows; they are of different "
                "models."
            )


def _config(
    model: str,
    data: Pairs,
    unseen: Pairs | None,
    settings: TuneSettings,
    places: TunePlaces,
    inputs: Mapping[str, str] | None,
    more: Mapping[str, Any] | None,
) -> RunConfig:
    named = dict(inputs or {}) | ({"model": model} if Path(model).is_dir() else {})
    arguments: dict[str, Any] = {"settings": settings.to_dict(), "revision": places.revision, **(more or {})}
    arguments |= {"pairs": data.fingerprint(), "held_out": None if unseen is None else unseen.fingerprint()}
    if "model" not in named:
        arguments["model"] = model
    return RunConfig(command="values-tune", arguments=arguments, seed=settings.seed, inputs=named)


def _schedule(n: int, settings: TuneSettings) -> Schedule:
    positions = max(1, round(settings.epochs * n))
    if settings.max_steps is not None:
        positions = min(positions, settings.max_steps * settings.sequences_a_step)
    return Schedule(usable=np.arange(n), a_step=settings.sequences_a_step, n_positions=positions, seed=settings.seed)


def _write_model(
    place: Path, name: str, trained: Any, tokenizer: Any, config: Callable[[Any], Mapping[str, Any]] | None, card: str
) -> None:
    """A folder that transformers loads, in the precision of training, with these fields in its configuration."""
    check_export_place(place.resolve(), name, overwrite=True)
    trained.zero_grad(set_to_none=True)
    for key, value in (config(trained.config) if config else {}).items():
        setattr(trained.config, key, value)
    check_room(place.resolve(), sum(p.numel() * p.element_size() for p in trained.parameters()))
    with new_folder(place.resolve()) as made, without_bars():
        trained.save_pretrained(made)
        write_ready_tokenizer(tokenizer, made)
        (made / "README.md").write_text(card, encoding="utf-8")
        write_json(made / RECORD, {"pluralign": __version__, "base": name})


def _card(name: str, places: TunePlaces, settings: TuneSettings, about: str) -> str:
    at = "" if places.revision is None else f" at {places.revision}"
    lines = [
        "# An encoder-decoder tuned by pluralign",
        "",
        f"Base: `{name}`{at}. All weights; learning rate {settings.lr:g}, {settings.sequences_a_step:,} pairs a step, at most "
        f"{settings.max_tokens:,} tokens of an input and of a target.",
        "",
        *([about, ""] if about else []),
        f"pluralign {__version__}",
        "",
    ]
    return "\n".join(lines)
