"""The published pipeline read plainly: one candidate after the other, one option after the other, one situation at a time.

Every option of every candidate is a call of the whole model, every pair of candidates is compared, nothing is batched or
remembered. Beams are those of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pluralign.values.considerations import Consideration
from pluralign.values.dedup import stemmed_words
from reference.dedup import plain_cosine, plain_rouge, plain_walk

Row = dict[str, Any]


def filled(task: Mapping[str, Any], *texts: str) -> str:
    """A template with its arguments, one after the other."""
    text = str(task["template"])
    for arg, replacement in zip(task["args"], texts, strict=True):
        text = text.replace(arg, replacement)
    return text


def generations(model: Any, tokenizer: Any, text: str, *, n: int) -> list[str]:
    """What a beam search finds, finished outputs only, best first."""
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=128).input_ids
    with torch.no_grad():
        found = model.generate(
            ids,
            num_beams=n,
            num_return_sequences=n,
            max_new_tokens=30,
            do_sample=False,
            early_stopping=False,
            length_penalty=1.0,
        )
    end = model.config.eos_token_id
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in found if end in row[1:].tolist()]


def option_logprob(model: Any, tokenizer: Any, text: str, option: str) -> float:
    """log p(option and its end | text), nats."""
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=128).input_ids
    labels = tokenizer(option, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(input_ids=ids, labels=labels).logits[0].float()
    total = 0.0
    for position, token in enumerate(labels[0].tolist()):
        total += float(logits[position].log_softmax(0)[token])
    return total


def shares(logprobs: Sequence[float]) -> list[float]:
    weights = [math.exp(value) for value in logprobs]
    return [weight / sum(weights) for weight in weights]


def vector(model: Any, tokenizer: Any, text: str) -> np.ndarray[Any, Any]:
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        return np.asarray(model.get_encoder()(input_ids=ids).last_hidden_state[0].double().mean(0).numpy())


def plain_rows(model: Any, tokenizer: Any, situation: str, texts: Sequence[str]) -> list[Row]:
    """Relevance and valence of each different consideration among the texts."""
    tasks = model.config.task_specific_params
    rows: list[Row] = []
    for text in dict.fromkeys(texts):
        one = Consideration.parse(text)
        if one is None:
            continue
        about = [filled(tasks[task], situation, one.vrd, one.text) for task in ("relevance", "valence")]
        yes, _ = shares([option_logprob(model, tokenizer, about[0], option) for option in ("Yes", "No")])
        valence = shares([option_logprob(model, tokenizer, about[1], option) for option in ("Supports", "Opposes", "Either")])
        rows.append({"vrd": one.vrd, "text": one.text, "relevant": yes, "valence": valence})
    return rows


def plain_kept(model: Any, tokenizer: Any, rows: Sequence[Row]) -> list[Row]:
    """Those at least as relevant as the threshold that survive both walks, most relevant first."""
    params = model.config.system_params
    left = [row for row in rows if row["relevant"] >= params["relevance_threshold"]]

    def same_words(kept: int, candidate: int) -> bool:
        a, b = (stemmed_words(left[i]["text"]) for i in (kept, candidate))
        return any(plain_rouge(a, b, None, score) > params["ngram_threshold"] for score in ("precision", "recall", "f"))

    walked = plain_walk([row["vrd"] for row in left], [row["relevant"] for row in left], same_words)
    left = [left[i] for i in walked]
    vectors = [vector(model, tokenizer, row["text"]) for row in left]

    def same_meaning(kept: int, candidate: int) -> bool:
        return plain_cosine(vectors[kept], vectors[candidate]) > params["embed_threshold"][left[candidate]["vrd"]]

    walked = plain_walk([row["vrd"] for row in left], [row["relevant"] for row in left], same_meaning)
    return [left[i] for i in walked]


def plain_decision(kept: Sequence[Row]) -> list[float] | None:
    """Shares of supports, opposes, either; None where nothing is kept."""
    sums = [0.0, 0.0, 0.0]
    for row in kept:
        for i in range(3):
            sums[i] += row["relevant"] * row["valence"][i]
    return [value / sum(sums) for value in sums] if kept else None
