from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from pluralign.errors import RunError
from pluralign.estimates import undefined
from pluralign.raters.findings import Findings
from report.made_up import bare_findings, est, findings


def leaves(value: Any) -> list[Any]:
    """Every number, text and None of a tree of dataclasses and lists, in order; NaN, which equals nothing, by name."""
    if dataclasses.is_dataclass(value):
        return [type(value).__name__] + [x for f in dataclasses.fields(value) for x in leaves(getattr(value, f.name))]
    if isinstance(value, list):
        return [len(value)] + [x for v in value for x in leaves(v)]
    return ["NaN" if isinstance(value, float) and math.isnan(value) else value]


@pytest.mark.parametrize("made", [findings(), findings(truth=False), bare_findings()], ids=["full", "no truth", "bare"])
def test_json_and_back_without_loss(made: Findings) -> None:
    text = json.dumps(made.to_dict(), allow_nan=False)
    back = Findings.from_dict(json.loads(text))
    assert leaves(back) == leaves(made)
    assert json.dumps(back.to_dict(), allow_nan=False) == text


def _without(fields: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(fields))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return dict(copy)


@pytest.mark.parametrize(
    "path", [("data",), ("data", "n_items"), ("information", "rows"), ("agreement", "pair_agreement", "n")]
)
def test_a_missing_field_is_a_stated_error(path: tuple[str, ...]) -> None:
    with pytest.raises(RunError, match="not the results of a study by this version"):
        Findings.from_dict(_without(findings().to_dict(), *path))


@pytest.mark.parametrize("fields", [{}, {"data": None}, {"data": 3}, {**findings().to_dict(), "clusterings": None}])
def test_other_json_is_a_stated_error(fields: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="not the results of a study"):
        Findings.from_dict(fields)


def test_whether_an_interval_holds_the_truth() -> None:
    row = replace(findings().information.rows[1], information_nats=est(0.5, 0.1), joint_low=0.3, joint_high=0.7)
    for truth, holds in ((None, (None, None)), (0.45, (True, True)), (0.65, (False, True)), (0.75, (False, False))):
        known = replace(row, truth_nats=truth)
        assert (known.holds_truth, known.holds_truth_jointly) == holds
    assert replace(row, truth_nats=0.5, joint_low=None).holds_truth_jointly is None
    assert replace(row, truth_nats=0.5, information_nats=undefined("too few")).holds_truth is None
