"""Training an encoder-decoder on the four tasks: from a table of considerations to a checkpoint in the published form.

    values-data's run folder, a table in the published columns, or a hub id
        -> rows of the four tasks, by split
        -> inputs by the checkpoint's own templates, or the published ones; answers as targets
        -> `tuning.encoder_decoder`
        -> a folder whose config.json says the templates (`task_specific_params`), for `values` and for the published code

Validation is what is measured during training; the test split is not touched. Causal models are trained on the episodes of the
same rows, by `tune`.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pluralign.errors import DataError
from pluralign.models.content import IdArray
from pluralign.tuning.encoder_decoder import RECIPE, tune_pairs
from pluralign.tuning.pairs import Pairs
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces
from pluralign.values.considerations import TASKS
from pluralign.values.inputs import InputEncoder, Rendered, TaskTemplate, read_templates
from pluralign.values.prism_data import SPLITS, Split, TaskRow, load_prism, relevance_rows, splits_of, task_rows

__all__ = ["pairs_of", "training_rows", "tune_values"]

_RUN_FILES = ("prism.parquet", "relevance.parquet", "splits.parquet")
_NO_LIMIT = 1 << 30


def tune_values(
    model: str,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: TuneSettings = RECIPE,
    places: TunePlaces | None = None,
    per_task: int | None = None,
    on_progress: Callable[..., None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Trains an encoder-decoder, a folder or hub id, into the run folder `out`; what results.json says.

    `data` is a run folder of `values-data`, a table in the published columns (file or folder), or a hub id. `per_task` keeps so
    many rows of each task, by chance. Measured are rows of the split validation: nats and accuracy of each task, situations
    resampled. Raises what `load_prism` and `tune_pairs` raise; DataError where no situation is in the split train.
    """
    rows = training_rows(data, per_task=per_task, seed=settings.seed)
    files = [name for name in _RUN_FILES if (Path(data) / name).is_file()]
    inputs = {f"data/{name}": str(Path(data) / name) for name in files} or ({"data": str(data)} if Path(data).is_file() else {})

    def made(split: Split, tokenizer: Any, config: Any) -> Pairs:
        templates = read_templates(getattr(config, "task_specific_params", None), where=model)
        return pairs_of(rows[split], tokenizer, templates, max_tokens=settings.max_tokens)

    def config(opened: Any) -> dict[str, Any]:
        given = getattr(opened, "task_specific_params", None)
        written = {
            task: {"template": one.template, "args": list(one.args)} for task, one in read_templates(given, where=model).items()
        }
        return {"task_specific_params": {**(given or {}), **written}}

    return tune_pairs(
        model,
        functools.partial(made, "train"),
        Path(out),
        held_out=functools.partial(made, "validation") if rows["validation"] else None,
        settings=settings,
        places=places,
        inputs=inputs,
        arguments={"per_task": per_task, **({} if inputs else {"data": str(data)})},
        config=config,
        about="Four tasks over a situation: values, rights and duties to list, their relevance, valence and an explanation. "
        "What it lists are a model's suggestions, and follow the data that it learned from.",
        on_progress=on_progress,
        tell=tell,
    )


def training_rows(data: str | os.PathLike[str], *, per_task: int | None, seed: int) -> dict[Split, list[TaskRow]]:
    """Rows of the four tasks, by split. A run folder's splits are its own; other tables are split by the seed."""
    folder = Path(data)
    if all((folder / name).is_file() for name in _RUN_FILES):
        table, relevance, split_table = (pl.read_parquet(folder / name) for name in _RUN_FILES)
        splits = dict(split_table.select("situation", "split").iter_rows())
    else:
        table = load_prism(data)
        splits = splits_of(table["situation"].unique(maintain_order=True).to_list(), seed=seed)
        relevance = relevance_rows(table, splits, seed=seed)
    table = table.with_columns(split=pl.col("situation").replace_strict(splits, default=None, return_dtype=pl.String))
    found: dict[Split, list[TaskRow]] = {}
    for split in SPLITS:
        part, of_part = table.filter(pl.col("split") == split), relevance.filter(pl.col("split") == split)
        found[split] = list(task_rows(part, of_part, per_task=per_task, seed=seed))
    if not found["train"]:
        raise DataError(os.fspath(data), f"none of its {table['situation'].n_unique():,} situations is in the split train")
    return found


def pairs_of(rows: Sequence[TaskRow], tokenizer: Any, templates: Mapping[Any, TaskTemplate], *, max_tokens: int) -> Pairs:
    """Token ids of inputs and targets. A situation that makes an input too long loses its end, and is counted; so are rows that
    are left out since their target is too long: cut off, it would teach to stop in the middle."""
    reader, writer = (InputEncoder(tokenizer, max_tokens=most) for most in (max_tokens, _NO_LIMIT))
    rendered = [
        templates[row.task].render(row.situation, *([] if row.consideration is None else [row.consideration])) for row in rows
    ]
    inputs, is_cut = reader.encode(rendered)
    written, _ = writer.encode([Rendered(row.answer, (0, len(row.answer))) for row in rows])
    end = int(tokenizer.eos_token_id)
    targets: list[IdArray] = [ids if len(ids) and ids[-1] == end else np.append(ids, np.int32(end)) for ids in written]
    kept = [n for n, ids in enumerate(targets) if len(ids) <= max_tokens]
    numbers: dict[str, int] = {}
    units = [numbers.setdefault(rows[n].situation, len(numbers)) for n in kept]
    return Pairs(
        inputs=[inputs[n] for n in kept],
        targets=[targets[n] for n in kept],
        task_of=np.array([TASKS.index(rows[n].task) for n in kept], dtype=np.int64),
        unit_of=np.array(units, dtype=np.int64),
        tasks=TASKS,
        counts={
            "pairs": len(kept),
            "situations": len(numbers),
            "situation_cut": sum(is_cut[n] for n in kept),
            "left_out_since_target_is_too_long": len(rows) - len(kept),
        },
    )
