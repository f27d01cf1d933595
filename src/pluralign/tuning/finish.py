"""The end of a run: the tuned model as a folder that others load; of shards, gathered by the first process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from pluralign import __version__
from pluralign.models import open_tokenizer
from pluralign.tuning.export import export_adapter, export_model
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.start import opened_model

__all__ = ["write_model"]


def write_model(
    out: Path, name: str, revision: str | None, trained: Any, settings: TuneSettings, ranks: Ranks, products: torch.dtype
) -> list[str]:
    """out/model, with adapters merged in, and out/adapter where there are any; the faults of out/model, which is there anyway.

    Every process calls it, the first one writes.
    """
    trained.zero_grad(set_to_none=True)
    whole = _whole(name, revision, trained, settings, ranks, products)
    faults: list[str] = []
    if ranks.is_first:
        tokenizer = open_tokenizer(name, revision)
        if settings.lora is not None:
            export_adapter(whole, out / "adapter", name, overwrite=True)
        has_turns = settings.format == "spectrum"
        card = _card(name, revision, settings, has_turns=has_turns)
        faults += export_model(whole, tokenizer, out / "model", card=card, chat=has_turns, overwrite=True).faults
    ranks.wait()
    return faults


def _whole(
    name: str, revision: str | None, trained: nn.Module, settings: TuneSettings, ranks: Ranks, products: torch.dtype
) -> nn.Module | None:
    """The model with whole weights; None on other processes than the first where they were in shards."""
    if not any(isinstance(parameter, DTensor) for parameter in trained.parameters()):
        return trained
    gathered = get_model_state_dict(trained, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if not ranks.is_first:
        return None
    fresh: nn.Module = opened_model(name, settings, products, revision)
    fresh.load_state_dict(gathered)
    return fresh


def _card(name: str, revision: str | None, settings: TuneSettings, *, has_turns: bool) -> str:
    lora = "all weights" if settings.lora is None else f"LoRA, rank {settings.lora.rank}, alpha {settings.lora.alpha}"
    at = "" if revision is None else f" at {revision}"
    return "\n".join(
        [
            "# A model tuned by pluralign",
            "",
            f"Base: `{name}`{at}. Method: {settings.method}, loss on {settings.supervised}, format {settings.format}; {lora}; "
            f"learning rate {settings.lr:g}, {settings.sequences_a_step:,} sequences a step, {settings.max_tokens:,} tokens a "
            "sequence.",
            "",
            "Its chat template has the roles description, input and output. It gives distributions of outputs rather than "
            "advice: read how probable an answer is, or draw many."
            if has_turns
            else "It was trained on plain text: Description, Input and Output as labelled paragraphs, no turns.",
            "",
            f"pluralign {__version__}; Spectrum Tuning is from Sorensen et al. 2025 (arXiv 2510.06084).",
            "",
        ]
    )
