"""Models of values, rights and duties that are made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

import tiny_kaleido
from pluralign.values.encoder_decoder import EncoderDecoderKaleido


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    return tiny_kaleido.tokenizer()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, words: PreTrainedTokenizerFast) -> Path:
    """A folder with a T5 that knows the considerations of four situations."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    try:
        folder = tmp_path_factory.mktemp("kaleido")
        return tiny_kaleido.write_checkpoint(folder, tiny_kaleido.trained_model(words), words)
    finally:
        logging.enable_progress_bar()
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def random_kaleido(words: PreTrainedTokenizerFast) -> EncoderDecoderKaleido:
    """A T5 that knows nothing, in memory."""
    return EncoderDecoderKaleido(tiny_kaleido.random_model(len(words)), words, name="hf/random", weights="random")
