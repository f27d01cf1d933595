from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from pluralign.raters.group_tables import GroupTable, group_tables_from_frame, group_tables_to_frame


def made_up(representation: str, raters: list[int], n_groups: int) -> GroupTable:
    rng = np.random.default_rng(len(raters))
    return GroupTable(
        representation=representation,
        rater=np.array(raters, dtype=np.int64),
        group=rng.integers(0, n_groups, size=len(raters)),
        losses=rng.gamma(2.0, size=(len(raters), n_groups)),
    )


def test_there_and_back_through_a_file(tmp_path: Path) -> None:
    tables = [made_up("clusters:4", [3, 1, 9], 4), made_up("attribute:age", [0, 2], 2), made_up("attribute:sex", [], 3)]
    group_tables_to_frame(tables).write_parquet(tmp_path / "groups.parquet")
    back = group_tables_from_frame(pl.read_parquet(tmp_path / "groups.parquet"), seed=2, fold=1)
    assert [t.representation for t in back] == ["clusters:4", "attribute:age"]  # in order; a table without raters is left out
    for ours, theirs in zip(back, tables[:2], strict=True):
        assert (ours.seed, ours.fold) == (2, 1)
        np.testing.assert_array_equal(ours.rater, theirs.rater)
        np.testing.assert_array_equal(ours.group, theirs.group)
        np.testing.assert_array_equal(ours.losses, theirs.losses)


def test_no_tables_is_an_empty_frame_of_the_same_columns() -> None:
    frame = group_tables_to_frame([])
    assert frame.schema == group_tables_to_frame([made_up("clusters:2", [1], 2)]).schema
    assert group_tables_from_frame(frame, seed=0, fold=0) == []
