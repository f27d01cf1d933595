"""A T5 of some thousand weights that has learned a few considerations by heart, as a folder like a published checkpoint's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from pluralign.values.considerations import Consideration

SITUATIONS = (
    "Biking to work instead of driving",
    "Telling a friend an unwelcome truth",
    "Saving half of every wage",
    "Feeding birds in the park",
)
CONSIDERATIONS = (
    Consideration("Value", "health"),
    Consideration("Value", "honesty"),
    Consideration("Right", "Right to be safe"),
    Consideration("Right", "Right to enjoy life"),
    Consideration("Duty", "Duty to help a friend"),
    Consideration("Duty", "Duty to care for nature"),
)
SYSTEM_PARAMS: dict[str, Any] = {
    "relevance_threshold": 0.3,
    "ngram_threshold": 0.5,
    "embed_threshold": {"Value": 0.999, "Right": 0.999, "Duty": 0.99},
    "dedup_across_vrd": False,
}
TASK_PARAMS: dict[str, Any] = {
    "generate": {"template": "[Generate]:\tSituation: ACTION", "args": ["ACTION"]},
    **{
        task: {"template": f"[{task.capitalize()}]:\tSituation: ACTION\tVRD: VALUE", "args": ["ACTION", "VRD", "VALUE"]}
        for task in ("relevance", "valence", "explanation")
    },
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Pieces of words, "▁" for blanks, an end of text behind every text, tabs as blanks: as T5's. "Opposes" is two pieces."""
    words = [*SITUATIONS, *(one.written for one in CONSIDERATIONS), "[Generate]: [Relevance]: [Valence]: [Explanation]:"]
    words += ["Situation: Yes No Supports Either because it is so ."]
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Replace("\t", " ")
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    letters = sorted(set("".join([*words, "Opposes<>/s_0123456789-,;'\"x"])))
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], initial_alphabet=letters, show_progress=False
    )
    made.train_from_iterator(words * 4, trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def config(vocab_size: int, **more: Any) -> T5Config:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0, **more}
    return T5Config(
        vocab_size=vocab_size,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        task_specific_params=TASK_PARAMS,
        system_params=SYSTEM_PARAMS,
        **sizes,
    )


def random_model(vocab_size: int, *, seed: int = 3, **more: Any) -> T5ForConditionalGeneration:
    """Weights large enough that an input matters."""
    torch.manual_seed(seed)
    made = T5ForConditionalGeneration(config(vocab_size, **more)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    return made


def examples() -> list[tuple[str, str]]:
    """Inputs and outputs: each situation has three considerations of its own."""
    pairs = []
    for i, situation in enumerate(SITUATIONS):
        for j, one in enumerate(CONSIDERATIONS):
            about = f"Situation: {situation}\t{one.written}"
            if is_relevant(i, j):
                pairs.append((f"[Generate]:\tSituation: {situation}", one.written))
            pairs.append((f"[Relevance]:\t{about}", "Yes" if is_relevant(i, j) else "No"))
            pairs.append((f"[Valence]:\t{about}", ("Supports", "Opposes", "Either")[(i + j) % 3]))
            pairs.append((f"[Explanation]:\t{about}", "because it is so ."))
    return pairs


def is_relevant(situation: int, consideration: int) -> bool:
    return (situation + consideration) % 2 == 0


def trained_model(words: PreTrainedTokenizerFast, *, steps: int = 60) -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    made = T5ForConditionalGeneration(config(len(words), num_layers=1))
    pairs = examples()
    inputs = words([a for a, _ in pairs], padding=True, return_tensors="pt")
    labels = words([b for _, b in pairs], padding=True, return_tensors="pt").input_ids
    labels = labels.masked_fill(labels == 0, -100)
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    made.train()
    for _ in range(steps):
        loss = made(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval()


def write_checkpoint(folder: Path, made: T5ForConditionalGeneration, words: PreTrainedTokenizerFast) -> Path:
    made.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def all_pairs() -> list[tuple[str, Consideration]]:
    return list(itertools.product(SITUATIONS, CONSIDERATIONS))
