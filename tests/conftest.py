"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub: no test asks the network


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real ratings; tests that need it skip where it is missing."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PLURALIGN_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real ratings not found in {folder}; set PLURALIGN_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch with one thread: small products are quicker so, beside other tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
