"""What a run has to have before its first step: a model that fits the tokenizer, in the precision asked for, on its device."""

from __future__ import annotations

from typing import Any, Literal

import torch
import transformers
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from pluralign.errors import ModelError, UsageError
from pluralign.models import Template, open_template, open_tokenizer
from pluralign.models.embedded import embedded_folder
from pluralign.models.loading import check_folder, from_pretrained, quick_dtype
from pluralign.tuning.loss import SparseLoss
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.settings import Precision, TuneSettings

__all__ = [
    "Spread",
    "check_transformers",
    "folder_or_id",
    "opened_model",
    "opened_template",
    "products_dtype",
    "spread_out",
]

TRANSFORMERS = 5
"""The major version whose attention, masks and positions this package knows."""
Spread = Literal["auto", "copies", "shards"]
"""Over several processes: a copy of the model in each (DDP), or its weights in shards (FSDP2)."""


def check_transformers() -> None:
    """Raises ModelError for another major version: how masks and positions reach attention changes between them."""
    if int(transformers.__version__.split(".")[0]) != TRANSFORMERS:
        raise ModelError(
            f"transformers {transformers.__version__} is installed; training is written for {TRANSFORMERS}.x, where packed "
            f"sequences are known to stay apart. Run: pip install 'transformers=={TRANSFORMERS}.*'"
        )


def folder_or_id(name: str) -> str:
    """Where a model's weights are: `hf/` in front, as other commands write it, is taken off; `embedded` is the package's own.

    >>> folder_or_id("hf/organisation/model")
    'organisation/model'
    """
    kind, _, rest = name.partition("/")
    if kind == "embedded":
        return str(embedded_folder(rest))
    return rest if kind == "hf" and rest else name


def opened_template(name: str, settings: TuneSettings, revision: str | None) -> Template:
    """The format of the run, with the model's own tokenizer. Raises UsageError where it has no turn tokens."""
    check_folder(name)
    tokenizer = open_tokenizer(name, revision)
    try:
        return open_template(settings.format, tokenizer)
    except UsageError as error:
        if settings.format != "spectrum":
            raise
        raise UsageError(
            f"{name}: {error} Or give it the turn tokens of its sibling for chat: "
            f"pluralign transplant {name} --from SIBLING --out DIR"
        ) from error


def products_dtype(dtype: Precision, device: torch.device) -> torch.dtype:
    """What products are computed in; "auto" is bfloat16 on accelerators, on a CPU the quicker of the two."""
    return quick_dtype(device) if dtype == "auto" else {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]


def opened_model(name: str, settings: TuneSettings, products: torch.dtype, revision: str | None) -> Any:
    """Weights that are trained in float32; those that LoRA leaves as they are in the precision of products.

    Raises ModelError where it cannot be loaded, or its embeddings have no row for some of the tokenizer's ids; UsageError where
    sequences may be longer than it takes.
    """
    model = from_pretrained(name, torch.float32 if settings.lora is None else products, revision)
    model.config.use_cache = False
    config = model.config.get_text_config()
    most = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if most is not None and settings.max_tokens > most:
        raise UsageError(f"{name}: takes {most:,} tokens, and sequences may have {settings.max_tokens:,}: --max-tokens {most}.")
    n_rows, n_ids = model.get_input_embeddings().weight.shape[0], len(open_tokenizer(name, revision))
    if n_ids > n_rows:
        raise ModelError(
            f"{name}: the tokenizer has {n_ids:,} ids, the embeddings {n_rows:,} rows; they are of different models."
        )
    if settings.lora is not None:
        from pluralign.tuning.lora import add_lora

        model = add_lora(model, settings.lora, seed=settings.seed)
    if settings.gradient_checkpointing:
        # newer versions have another name for it, and warn of the old one
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return model.train()


def spread_out(loss: SparseLoss, how: Spread, ranks: Ranks, products: torch.dtype) -> nn.Module:
    """The loss as this process calls it; gradients are averaged over ranks. "auto" is a copy in each."""
    if ranks.n_ranks == 1:
        return loss
    if how != "shards":
        return DistributedDataParallel(loss, device_ids=[ranks.device] if ranks.device.type == "cuda" else None)
    policy = MixedPrecisionPolicy(param_dtype=products, reduce_dtype=torch.float32)
    names = set(getattr(loss.model, "_no_split_modules", None) or ())
    layers = [module for module in loss.modules() if type(module).__name__ in names]
    if not layers:
        raise ModelError(f"{type(loss.model).__name__} does not name the layers that its shards are made of; use copies.")
    for layer in layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(loss, mp_policy=policy)
    return loss
