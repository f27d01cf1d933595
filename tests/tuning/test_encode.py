"""Files as sequences: the same tokens as one episode at a time, cut at whole examples and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.strategies import episodes, template
from pluralign.episodes import Episode, Example, columns_of, write_episodes
from pluralign.errors import UsageError
from pluralign.models import Encoded, Template
from pluralign.tuning import cut_to, encode_files

CASES = ["spectrum-chatml", "spectrum-llama", "colon-plain", "chat-gemma"]


def plainly_cut(opened: Template, episode: Episode, max_tokens: int) -> Encoded:
    """The slow and obvious way: as many examples as fit, encoded anew; nothing if none does."""
    for n in range(len(episode.examples), 0, -1):
        [encoded] = opened.encode([Episode("t", episode.examples[:n], episode.description)])
        if len(encoded) <= max_tokens:
            return encoded
    none = np.zeros(0, dtype=np.int32)
    return Encoded(none, none.astype(bool), none)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40, deadline=None)
@given(several=st.lists(episodes(), max_size=4), max_tokens=st.integers(1, 60))
def test_a_cut_is_that_of_the_episode_with_fewer_examples(case: str, several: list[Episode], max_tokens: int) -> None:
    opened = template(case)
    cut = cut_to(opened.encode_flat(columns_of(several)), max_tokens)
    wanted = [plainly_cut(opened, episode, max_tokens) for episode in several]
    assert np.diff(cut.sequences.starts).tolist() == [len(one) for one in wanted]
    for name in ("ids", "is_loss", "example_index"):
        assert getattr(cut.sequences, name).tolist() == [v for one in wanted for v in getattr(one, name).tolist()]
    assert cut.n_kept == sum(one.example_index.max() + 1 for one in wanted if len(one))
    assert cut.n_empty == sum(not len(one) for one in wanted)


@pytest.mark.parametrize("case", CASES)
def test_files_are_read_to_the_last_example_that_fits(case: str, tmp_path: Path) -> None:
    opened = template(case)
    several = [Episode("t", tuple(Example(str(i * k)) for k in range(30)), "numbers" if i % 2 else None) for i in range(9)]
    for number, part in enumerate((several[:4], several[4:])):
        write_episodes(tmp_path / f"{number}.parquet", part)
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for max_tokens in (1, 20, 50, 10_000, None):
        cuts = list(encode_files(files, opened, max_tokens=max_tokens))
        ids = [number for cut in cuts for number in cut.sequences.ids.tolist()]
        wanted = [plainly_cut(opened, episode, max_tokens or 10**9) for episode in several]
        assert ids == [number for one in wanted for number in one.ids.tolist()]
        assert sum(cut.n_examples for cut in cuts) == 270
        assert sum(cut.n_kept for cut in cuts) == sum(one.example_index.max() + 1 for one in wanted if len(one))


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="max_tokens is 0, lowest is 1"):
        cut_to(template("colon-plain").encode_flat(columns_of([])), 0)
