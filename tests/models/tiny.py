"""Tokenizers of a few hundred pieces, trained on made-up lines: one of each kind that templates have to get right."""

from __future__ import annotations

import functools
import json
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

LINES = [
    "How warm is the water today? It is very warm, 31 degrees.",
    "yes no maybe heads tails agree disagree 1 2 3 10 100",
    "description input output user assistant model system",
    "The rater liked the second answer; the first one was too long.",
    "Say what you would pay for a bridge, a bus or a library.",
    "<| <| <| <| <| </ </ </ </ </",  # so that control tokens' names have pieces of several characters
] * 4
TURNS = {
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
}
CONTROL_TEXTS = [*(token for tokens in TURNS.values() for token in tokens), "<bos>", "<eos>", "<|begin_of_text|>", "<pad>"]

# Written from the table of text formats of the published Spectrum checkpoints; roles are description, input and output.
SPECTRUM_TEMPLATES = {
    "gemma": (
        "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + m['role'] + '\n' + m['content'] + '<end_of_turn>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>output\n' }}{% endif %}"
    ),
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>output\n' }}{% endif %}"
    ),
    "llama": (
        "{{ bos_token }}{% for m in messages %}"
        "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] + '<|eot_id|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>output<|end_header_id|>\n\n' }}{% endif %}"
    ),
}

# Instruct models' templates in miniature, with what real ones do: refuse a system prompt, rename a role, trim, add thoughts.
GEMMA_CHAT = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
CHATML_CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
LLAMA_CHAT = SPECTRUM_TEMPLATES["llama"].replace("output", "assistant")


def _special(text: str) -> AddedToken:
    return AddedToken(text, special=True, normalized=False)


def _fast(tokenizer: Tokenizer, template: str | None = None, **names: str) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = template
    return fast


def _byte_level(*, vocab_size: int = 420) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _with_bytes(tokenizer: Tokenizer, **model: Any) -> Tokenizer:
    """Characters outside the vocabulary become their bytes, as in SentencePiece's models."""
    fields = json.loads(tokenizer.to_str())
    vocab = fields["model"]["vocab"]
    for text in ["<unk>", "<bos>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256))]:
        vocab.setdefault(text, len(vocab))
    fields["model"] |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True, **model}
    return Tokenizer.from_str(json.dumps(fields))


def _blanks_as_pieces() -> Tokenizer:
    """Trained with blanks as ▁ and lines apart."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Metaspace(prepend_scheme="never")]
    )
    trainer = trainers.BpeTrainer(vocab_size=200, show_progress=False, initial_alphabet=["\n"])
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def gemma(template: str | None = None) -> PreTrainedTokenizerFast:
    """Blanks as ▁, bytes for unknown characters, a BOS that the tokenizer puts in front, line breaks as added tokens."""
    tokenizer = _with_bytes(_blanks_as_pieces())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<table>", normalized=False)])
    tokenizer.add_special_tokens([_special(text) for text in ("<unk>", "<bos>", "<eos>", "<pad>", *TURNS["gemma"])])
    bos = tokenizer.token_to_id("<bos>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    return _fast(tokenizer, template, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>")


def chatml(template: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level, no BOS; thoughts are added tokens that are not marked as special."""
    tokenizer = _byte_level()
    tokenizer.add_special_tokens([_special(text) for text in ("<|endoftext|>", *TURNS["chatml"])])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    return _fast(tokenizer, template, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def llama(template: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level, whole words of the vocabulary taken as they are, a BOS that the tokenizer puts in front."""
    fields = json.loads(_byte_level().to_str())
    fields["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    tokenizer.add_special_tokens([_special(text) for text in ("<|begin_of_text|>", "<|end_of_text|>", *TURNS["llama"])])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)]
    )
    return _fast(tokenizer, template, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")


def plain() -> PreTrainedTokenizerFast:
    """A pretrained model's, byte-level, no turn tokens; its one special token is declared for everything."""
    tokenizer = _byte_level()
    tokenizer.add_special_tokens([_special("<|endoftext|>")])
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    return _fast(tokenizer, **names)


def blank_in_front(scheme: str) -> PreTrainedTokenizerFast:
    """Puts a blank in front of a text: "first" or "always" (Metaspace), or "prepend" (a normaliser, as of Llama 2)."""
    tokenizer = _with_bytes(_blanks_as_pieces())
    if scheme == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = None
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        byte_decoders = [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]
        tokenizer.decoder = decoders.Sequence([*byte_decoders, decoders.Fuse()])
    tokenizer.add_special_tokens([_special(text) for text in ("<unk>", "<bos>", "<eos>", *TURNS["chatml"])])
    return _fast(tokenizer, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def unigram() -> PreTrainedTokenizerFast:
    """Has its end of text as an ordinary piece too, which makes it out of plain text."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((c, -3.0) for c in "▁\nabcdefghijklmnopqrstuvwxyz<>/s:DIO.?")]
    tokenizer = Tokenizer(models.Unigram(list(dict(pieces).items()), unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([_special("</s>")])
    return _fast(tokenizer, eos_token="</s>", unk_token="<unk>")


@functools.cache
def spectrum_checkpoint(family: str) -> PreTrainedTokenizerFast:
    return {"gemma": gemma, "chatml": chatml, "llama": llama}[family](SPECTRUM_TEMPLATES[family])


@functools.cache
def instruct(family: str) -> PreTrainedTokenizerFast:
    made, template = {"gemma": (gemma, GEMMA_CHAT), "chatml": (chatml, CHATML_CHAT), "llama": (llama, LLAMA_CHAT)}[family]
    return made(template)
