"""Does a sentence entail a viewpoint? By models of natural language inference.

    response ──> sentences ─┐
                            ├──> P(entail) [sentences, viewpoints] ──> max over sentences: is the viewpoint presented?
    viewpoints ─────────────┘                                     └──> max over viewpoints: does the sentence present any?

Text is tokenised with control tokens off, so that "[SEP]" in a response is five characters and no border between sentences.

Source: Modular Pluralism (Feng et al. 2024, arXiv 2406.15951) and VITAL (arXiv 2502.13775): mean over values of the largest
P(entail), and the share above 0.33.
Departures: nothing is cut off: a pair that is longer than the model can take is NaN, not judged by its beginning.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.evals.presence import Presence, Written, sentences_of
from pluralign.models.protocol import Usage

__all__ = ["Entailment", "EntailmentScorer", "TransformersEntailment", "open_entailment"]

FloatArray = npt.NDArray[np.float64]

THRESHOLD = 0.33
LABEL = "entailment"
BATCH_TOKENS = 4096


class Entailment(Protocol):
    """Tells how probable it is that a premise entails a hypothesis."""

    @property
    def name(self) -> str:
        """As it was opened."""
        ...

    @property
    def usage(self) -> Usage:
        """What this object has been asked for so far."""
        ...

    def fingerprint(self) -> str:
        """Equal for two models only if they say the same of the same pair."""
        ...

    def p_entail(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatArray:
        """[pairs] of two lists of one length, 0..1; NaN for a pair that it cannot read."""
        ...


@dataclass(frozen=True, slots=True)
class EntailmentScorer:
    """A viewpoint is presented as far as some sentence entails it."""

    entailment: Entailment
    threshold: float = THRESHOLD

    @property
    def name(self) -> str:
        """The model's."""
        return self.entailment.name

    def presence(self, cases: Sequence[Written]) -> list[Presence]:
        """See `PresenceScorer`; equal pairs are asked once. A viewpoint is NaN where one of its pairs is."""
        split = [sentences_of(case.response) for case in cases]
        pairs = [(s, v) for case, some in zip(cases, split, strict=True) for s in some for v in case.viewpoints]
        unique = list(dict.fromkeys(pairs))
        found = self.entailment.p_entail([s for s, _ in unique], [v for _, v in unique]) if unique else np.zeros(0)
        known = dict(zip(unique, found.tolist(), strict=True))
        return [_presence(case, some, known) for case, some in zip(cases, split, strict=True)]


class TransformersEntailment:
    """A sequence classifier of transformers, one of whose labels is "entailment"."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str = "nli") -> None:
        """Raises ModelError for labels among which there is no one "entailment", UsageError for a slow tokenizer."""
        if not tokenizer.is_fast:
            raise UsageError(
                f"{name}: only fast tokenizers keep text apart from control tokens; this one has no tokenizer.json."
            )
        self.name, self.model, self.tokenizer = name, model.eval(), tokenizer
        self.label = _entailment_label(model.config.id2label, name)
        longest = getattr(model.config, "max_position_embeddings", None) or math.inf
        self.most_tokens = min(float(longest), float(tokenizer.model_max_length))
        self.usage = Usage()
        self._fingerprint: str | None = None
        self._controls = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def fingerprint(self) -> str:
        """Of the weights, the tokenizer, and which label is asked for."""
        if self._fingerprint is None:
            digest = hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode())
            digest.update(repr((self.label, self.most_tokens)).encode())
            for name, tensor in sorted(self.model.state_dict().items()):
                digest.update(name.encode() + tensor.detach().cpu().double().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def p_entail(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatArray:
        """[pairs] softmax probability of the label, 0..1. NaN for a pair that is too long, or that holds a control token."""
        import torch

        encoded = self._encoded(premises, hypotheses)
        out = np.full(len(premises), np.nan)
        usable = [n for n, one in enumerate(encoded) if self._is_usable(one)]
        usable.sort(key=lambda n: len(encoded[n]["input_ids"]))
        for batch in _batches(usable, [len(one["input_ids"]) for one in encoded]):
            fields = [{k: v for k, v in encoded[n].items() if k != "special_tokens_mask"} for n in batch]
            padded = self.tokenizer.pad(fields, return_tensors="pt").to(self.model.device)
            self.usage.tokens_needed += sum(len(one["input_ids"]) for one in fields)
            self.usage.tokens_computed += padded["input_ids"].numel()
            with torch.inference_mode():
                logits = self.model(**padded).logits.float()
            out[batch] = torch.softmax(logits, dim=-1)[:, self.label].double().cpu().numpy()
        return out

    def _encoded(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[dict[str, list[int]]]:
        if len(premises) != len(hypotheses):
            raise UsageError(f"premises and hypotheses are pairs; got {len(premises)} and {len(hypotheses)}.")
        if not premises:
            return []
        found = self.tokenizer(
            list(premises), list(hypotheses), split_special_tokens=True, return_special_tokens_mask=True, verbose=False
        )
        return [{name: values[n] for name, values in found.items()} for n in range(len(premises))]

    def _is_usable(self, one: dict[str, list[int]]) -> bool:
        """Whether it fits, and no id of its text is a control token, which vocabularies may hold as ordinary pieces."""
        ids = zip(one["input_ids"], one["special_tokens_mask"], strict=True)
        return len(one["input_ids"]) <= self.most_tokens and not any(
            i in self._controls for i, is_control in ids if not is_control
        )


def open_entailment(name: str, *, device: str = "auto", revision: str | None = None) -> TransformersEntailment:
    """The classifier hf/FOLDER_OR_ID, in float32.

    Raises UsageError for another form of name or without a fast tokenizer, MissingExtraError without torch and transformers,
    ModelError where it cannot be loaded whole or has no label "entailment".
    """
    kind, _, rest = name.partition("/")
    if kind != "hf" or not rest:
        raise UsageError(f"entailment model {name!r}: write hf/FOLDER_OR_ID, the folder or hub id of a sequence classifier.")
    try:
        import torch
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), extra="local") from error
    from pluralign.models.loading import check_folder, from_pretrained, opened_device
    from pluralign.models.turns import open_tokenizer

    check_folder(rest)
    model = from_pretrained(rest, torch.float32, revision, kind="sequence classifier")
    tokenizer = open_tokenizer(rest, revision)
    return TransformersEntailment(model.to(opened_device(device)), tokenizer, name=name)


def _entailment_label(labels: dict[int, str], name: str) -> int:
    found = [number for number, label in labels.items() if str(label).strip().casefold() == LABEL]
    if len(found) != 1:
        raise ModelError(
            f"{name}: its labels are {list(labels.values())}, of which {len(found)} are called '{LABEL}'; give a model of "
            "natural language inference whose config.json names its labels (id2label)."
        )
    return int(found[0])


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Consecutive pairs whose padded tokens stay below the limit; one pair may be above it."""
    batches: list[list[int]] = []
    for n in order:
        if batches and (len(batches[-1]) + 1) * lengths[n] <= BATCH_TOKENS:
            batches[-1].append(n)
        else:
            batches.append([n])
    return batches


def _presence(case: Written, sentences: Sequence[str], known: dict[tuple[str, str], float]) -> Presence:
    table = np.array([[known[sentence, view] for view in case.viewpoints] for sentence in sentences], dtype=np.float64)
    table = table.reshape(len(sentences), len(case.viewpoints))
    n_unknown = int(np.isnan(table).sum())
    return Presence(
        viewpoints=table.max(axis=0, initial=0.0),  # NaN wins
        sentences=table.max(axis=1, initial=0.0),
        detail=f"{n_unknown} of {table.size} pairs of sentence and viewpoint cannot be read by the model" if n_unknown else "",
    )
