"""What a run of `profile cluster` tells of each rater."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.errors import RunError, UsageError
from pluralign.raters.profile_groups import read_group_texts


@pytest.fixture
def run(tmp_path: Path) -> Path:
    both = [{"k": k, "clusters": [{"profile": f"Of {k}: {n}."} for n in range(k)]} for k in (2, 3)]
    (tmp_path / "results.json").write_text(json.dumps({"clusterings": both}))
    table = {
        "rater_id": ["a", "b", "c"],
        "part": ["training", "training", "new"],
        "cluster_2": [0, 1, None],
        "cluster_3": [2, 0, 1],
    }
    pl.DataFrame(table).write_parquet(tmp_path / "clusters.parquet")
    return tmp_path


def test_the_largest_number_of_groups_unless_said(run: Path) -> None:
    assert read_group_texts(run) == {"a": "Of 3: 2.", "b": "Of 3: 0.", "c": "Of 3: 1."}
    assert read_group_texts(run, k=2) == {"a": "Of 2: 0.", "b": "Of 2: 1."}


def test_a_table_says_each_raters_text(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("rater_id,cluster\na,Likes rest.\nb,\n")
    assert read_group_texts(tmp_path / "groups.csv") == {"a": "Likes rest."}


def test_what_is_not_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="K = 2, 3, not 4"):
        read_group_texts(run, k=4)
    with pytest.raises(RunError, match="profile cluster"):
        read_group_texts(tmp_path / "nowhere")
    (run / "results.json").write_text("{}")
    with pytest.raises(RunError, match="clusterings"):
        read_group_texts(run)
