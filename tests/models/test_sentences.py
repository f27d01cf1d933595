"""The encoder of sentences beside its plain forward pass, one text at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from models.tiny import LINES, _byte_level
from pluralign.errors import ModelError, UsageError
from pluralign.models.sentences import SentenceEncoder

TEXTS = [*dict.fromkeys(LINES), "one", "", "the water " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sentences")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_byte_level(), pad_token="!", cls_token="a", sep_token="b")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **shape)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_vectors_are_means_over_the_tokens_of_each_text(folder: Path) -> None:
    encode = SentenceEncoder(str(folder), max_tokens=40)
    texts = [text for text in TEXTS if text] * 9  # several batches
    found = encode(texts)
    model = BertModel.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    for vector, text in zip(found[:8], texts[:8], strict=True):
        ids = tokenizer(text)["input_ids"][:40]
        with torch.inference_mode():
            states = model(torch.tensor([ids])).last_hidden_state[0]
        np.testing.assert_allclose(vector, states.mean(0).double().numpy(), atol=2e-6)
    np.testing.assert_allclose(found[:8], found[8:16], atol=2e-6)
    assert encode.n_cut_ == sum(len(tokenizer(text)["input_ids"]) > 40 for text in texts) > 0
    assert encode([]).shape == (0, 16)


def test_what_cannot_be_opened(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sentence encoder"):
        SentenceEncoder(str(tmp_path))
    with pytest.raises(UsageError, match="max_tokens is 2"):
        SentenceEncoder(str(folder), max_tokens=2)
