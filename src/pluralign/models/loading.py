"""Opens a causal model's weights: safetensors only, no code from the model's folder, in the precision that suits the device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pluralign.errors import ModelError, UsageError
from pluralign.models.attention import NAME
from pluralign.models.forward import Forward, PlainForward, TreeForward, register_attention
from pluralign.models.plan import Limits
from pluralign.models.scorer import TokenScorer

__all__ = [
    "Loaded",
    "check_folder",
    "from_pretrained",
    "load_model",
    "opened_device",
    "prepare",
    "quick_dtype",
    "suitable_limits",
    "without_bars",
]

WeightsKind = Literal["causal model", "encoder-decoder model", "sequence classifier"]
_OPENED_BY: Mapping[WeightsKind, str] = {
    "causal model": "AutoModelForCausalLM",
    "encoder-decoder model": "AutoModelForSeq2SeqLM",
    "sequence classifier": "AutoModelForSequenceClassification",
}
"""The class of transformers that opens weights of this kind."""
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.2}
"""Nats by which the two ways of running a model may differ on the probe."""
KNOWN_LAYERS = {"full_attention", "sliding_attention"}
"""The probe is too short to tell other kinds apart, such as attention within chunks of thousands of tokens."""
CPU_MEMORY_GIB = 0.75
ROW_TOKENS, ROW_TOKENS_ON_DEVICE = 256, 1536
MOST_BATCH_TOKENS, MOST_BATCH_TOKENS_ON_DEVICE = 2048, 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model that is ready to score."""

    forward: Forward
    limits: Limits
    model: Any
    dtype: torch.dtype
    note: str | None
    """Why the model is run the plain way; None where prefixes are shared."""

    @property
    def most_tokens(self) -> int | None:
        """The longest sequence that the model takes; None where it does not say."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)

    @property
    def n_ids(self) -> int:
        """Ids that the model has an embedding for: 0..n_ids - 1."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def end_of_text_ids(self) -> frozenset[int]:
        """What the model ends a text with, as its configuration says."""
        found: set[int] = set()
        for config in (self.model.generation_config, self.model.config.get_text_config()):
            ids = getattr(config, "eos_token_id", None)
            found |= {ids} if isinstance(ids, int) else set(ids or ())
        return frozenset(found)


def load_model(
    name: str,
    *,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    revision: str | None = None,
    memory_gib: float | None = None,
) -> Loaded:
    """The model in this folder or under this hub id; about `memory_gib` are taken beside its weights.

    Not given, it is 0.75 on a CPU and half of what is free on an accelerator. Raises ModelError where it cannot be loaded, or
    not all of it; UsageError for a device that this machine does not have.
    """
    place = opened_device(device)
    precision = quick_dtype(place) if dtype == "auto" else getattr(torch, dtype)
    model = from_pretrained(name, precision, revision).to(place).eval()
    return prepare(model, precision, memory_gib=memory_gib)


def check_folder(name: str) -> None:
    """Raises ModelError for what looks like a folder but is none."""
    if not Path(name).is_dir() and (name.startswith(("/", ".", "~")) or name.count("/") > 1):
        raise ModelError(f"{name}: there is no such folder; give one, or a hub id such as organisation/model.")


def prepare(model: Any, dtype: torch.dtype, *, memory_gib: float | None = None) -> Loaded:
    """A model that is in memory, made ready: runs it with shared prefixes if a probe finds that this changes nothing."""
    plain = PlainForward(model)
    note = _why_plain(model, plain, dtype)
    forward: Forward = plain if note else TreeForward(model)
    return Loaded(forward, suitable_limits(model, forward, memory_gib), model, dtype, note)


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on accelerators; on a CPU too if its products are there at least 1.5 times as quick as float32's."""
    if device.type != "cpu":
        return torch.bfloat16
    seconds = {precision: _seconds(precision) for precision in (torch.float32, torch.bfloat16)}
    return torch.bfloat16 if seconds[torch.float32] > 1.5 * seconds[torch.bfloat16] else torch.float32


def suitable_limits(model: Any, forward: Forward, memory_gib: float | None) -> Limits:
    """Half of the memory for a call's activations or the rows that are drawn; the rest for the prefix, scores and logits."""
    config, on_cpu = model.config.get_text_config(), forward.device.type == "cpu"
    if memory_gib is None:
        on_cuda = forward.device.type == "cuda"
        memory_gib = torch.cuda.mem_get_info(forward.device)[0] / 2**31 if on_cuda else CPU_MEMORY_GIB
    half = memory_gib * 2**30 / 2
    width = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or 4 * width
    numbers = 8 * width + 3 * inner + (0 if forward.shares_prefixes else 2 * config.vocab_size)
    fits = int(half / (numbers * model.dtype.itemsize))
    n_heads = getattr(config, "num_attention_heads", None) or 1  # models without attention have none
    heads = getattr(config, "num_key_value_heads", None) or n_heads
    per_head = getattr(config, "head_dim", None) or width // n_heads
    kept = int(half / (2 * config.num_hidden_layers * heads * per_head * model.dtype.itemsize))
    most = MOST_BATCH_TOKENS if on_cpu else MOST_BATCH_TOKENS_ON_DEVICE
    rows = ROW_TOKENS if on_cpu else ROW_TOKENS_ON_DEVICE
    return Limits(row_tokens=rows, batch_tokens=max(64, min(fits, most)), cache_tokens=max(64, kept))


def opened_device(name: str) -> torch.device:
    """The device of this name; "auto" is the first accelerator, else the CPU. Raises UsageError where it cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device '{name}' cannot be used here: {str(error).splitlines()[0]}; try 'cpu' or 'auto'.") from error
    return device


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Without the bars that transformers draws while it reads or writes weights, beside our own lines."""
    from transformers.utils import logging

    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if had_bars:
            logging.enable_progress_bar()


def from_pretrained(name: str, dtype: torch.dtype, revision: str | None, *, kind: WeightsKind = "causal model") -> Any:
    """The weights of a folder or hub id, in memory. Raises ModelError where they cannot be loaded, or not all of them."""
    import transformers
    from safetensors import SafetensorError

    try:
        with without_bars():
            model, found = getattr(transformers, _OPENED_BY[kind]).from_pretrained(
                name, dtype=dtype, revision=revision, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{name}: no {kind} can be loaded: {error}\n"
            "Give a folder or hub id with config.json and weights as safetensors; code that comes with a model is never run. "
            "A checkpoint that has only pytorch_model.bin is converted once, with transformers' save_pretrained, by whoever "
            "trusts the file."
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"{name}: {len(missing)} of the model's weights are in none of its files, e.g. {', '.join(missing[:3])}; they "
            f"would be random. Give a complete checkpoint, trained as a {kind}."
        )
    return model


def _why_plain(model: Any, plain: PlainForward, dtype: torch.dtype) -> str | None:
    """Why this model's prefixes cannot be shared; None if they can, in which case its attention is now ours."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    if any(kind in str(rope) for kind in ("'dynamic'", "'longrope'")):
        return "its positions are scaled by the length of the sequence"
    if unknown := set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - KNOWN_LAYERS:
        return f"it has layers of another kind: {', '.join(sorted(unknown))}"
    expected = _probe(plain)
    own = model.config._attn_implementation
    try:
        register_attention()
        model.set_attn_implementation(NAME)
        if model.config._attn_implementation != NAME:
            return f"{type(model).__name__} has an attention of its own"
        tree = TreeForward(model)
        difference = float(np.abs(_probe(tree) - expected).max())
        why = f"results would differ by {difference:.2g} nats"
        if difference <= PROBE_TOLERANCE[dtype]:
            if not _unnamed_windows(model.config.get_text_config(), tree.windows):
                return None
            why = "its layers do not say how far back they look"
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        why = f"{type(error).__name__}: {error}"
    model.set_attn_implementation(own)
    return why


def _unnamed_windows(config: Any, named: set[int]) -> bool:
    """Whether the configuration has a sliding window that no layer named, which a window longer than the probe would hide."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if window is None or getattr(config, "use_sliding_window", None) is False or (kinds and "sliding_attention" not in kinds):
        return False
    longest = getattr(config, "max_position_embeddings", None)
    return window not in named and (longest is None or window < longest)


def _probe(forward: Forward) -> npt.NDArray[np.float64]:
    """Log-probabilities in a small tree that takes every path of the plan."""
    n_ids = forward.model.config.get_text_config().vocab_size
    ids = (np.arange(40) * 7919 % (n_ids - 3) + 2).astype(np.int32)
    sequences = [
        np.concatenate([ids[:cut], ids[end - 3 : end]]) for cut, end in ((20, 30), (20, 35), (24, 33), (36, 40), (2, 9))
    ]
    is_read = [np.arange(len(one)) > 1 for one in sequences]
    scorer = TokenScorer(forward, Limits(row_tokens=8, batch_tokens=32))
    return np.concatenate([one.logprobs for one in scorer.score(sequences, is_read)])


def _seconds(dtype: torch.dtype) -> float:
    """Of a product, the best of five."""
    a, b = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return min(times)
