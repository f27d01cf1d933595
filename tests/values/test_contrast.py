"""Minimal pairs: kinds and sizes by hand, the truth against itself, the embedded model; entropy and disagreement."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from pluralign.errors import DataError, UsageError
from pluralign.ratings import Ratings
from pluralign.ratings.scale import Scale
from pluralign.ratings.simulate import Population, simulate
from pluralign.values.considerations import Consideration
from pluralign.values.contrast import contrast, contrast_svg
from pluralign.values.contrast_truth import (
    entropy_and_disagreement,
    score_contrasts,
    simulated_considerations,
    simulated_pairs,
)
from pluralign.values.decision import decide
from values.fake_values_model import FakeValuesModel

CARE, TRUTH, REST, FAME, ORDER = (Consideration("Value", text) for text in ("care", "truth", "rest", "fame", "order"))
SAID = {
    ("a", "care"): (0.2, 1, 0, 0),
    ("b", "care"): (0.9, 1, 0, 0),  # enters by 0.7
    ("a", "truth"): (0.5, 1, 0, 0),  # at the threshold: relevant
    ("b", "truth"): (0.4, 0, 1, 0),  # leaves: |.5-.6| + |.5-0| + |0-.4|, halved
    ("a", "rest"): (1.0, 0.6, 0.4, 0),
    ("b", "rest"): (1.0, 0.4, 0.6, 0),  # flips by 0.2
    ("a", "fame"): (0.9, 1, 0, 0),
    ("b", "fame"): (0.8, 1, 0, 0),  # stays
    ("a", "order"): (math.nan, 1, 0, 0),
    ("b", "order"): (0.8, 1, 0, 0),
}


def _said(situation: str, one: Consideration) -> Sequence[float]:
    return SAID[situation, one.text]


def test_by_hand() -> None:
    model = FakeValuesModel(_said)
    found = contrast(model, [("a", "b")], considerations=[CARE, TRUTH, REST, FAME, ORDER, CARE])
    rows = {row["text"]: row for row in found.table.iter_rows(named=True)}
    assert {text: row["change"] for text, row in rows.items()} == {
        **{"care": "enters", "truth": "leaves", "rest": "flips", "fame": "stays", "order": "unknown"}
    }
    sizes = {text: row["size"] for text, row in rows.items()}
    assert sizes == pytest.approx({"care": 0.7, "truth": 0.5, "rest": 0.2, "fame": 0.1, "order": math.nan}, nan_ok=True)
    assert found.table["text"].to_list() == ["care", "truth", "rest", "fame", "order"]  # largest change first
    assert rows["rest"]["valence_before"] == "Supports"
    assert rows["rest"]["valence_after"] == "Opposes"
    assert found.changed(0).height == 3
    assert model.n_asked == 10
    assert "not a verdict" in found.notice


def test_what_either_version_brings_up_is_judged_in_both() -> None:
    model = FakeValuesModel(_said, {"a": [CARE, FAME], "b": [TRUTH, CARE]})
    found = contrast(model, [("a", "b"), ("b", "a")], n=4)
    assert set(found.table.filter(pl.col("pair") == 0)["text"]) == {"care", "fame", "truth"}
    assert found.table.filter((pl.col("pair") == 1) & (pl.col("text") == "care"))["change"].to_list() == ["leaves"]
    shares = found.shares()
    assert shares["enters"].value == pytest.approx(2 / 6)
    assert shares["enters"].unit == "pair"
    assert sum(one.value for one in shares.values()) == pytest.approx(1)


def test_the_picture_escapes_what_it_shows() -> None:
    odd = Consideration("Value", 'a "<b>" & \u202e\x07')
    found = contrast(FakeValuesModel(lambda s, _: (0.1 if s == "<a>" else 0.9, 1, 0, 0)), [("<a>", "b")], considerations=[odd])
    picture = contrast_svg(found, 0)
    root = ET.fromstring(picture)
    assert "<b>" not in picture
    assert "\u202e" not in "".join(root.itertext())
    assert "enters" in "".join(root.itertext())
    with pytest.raises(UsageError, match="pair 1"):
        contrast_svg(found, 1)


def test_truth_scores_itself() -> None:
    from pluralign.suite.embedded_values import BEARINGS, relevance_probabilities, valence_probabilities
    from pluralign.suite.embedded_world import embedded_world, situation_texts

    items = {text: n for n, text in enumerate(situation_texts())}
    places = {(one.kind, one.text): n for n, one in enumerate(BEARINGS)}
    relevance, valence = (f(embedded_world().features) for f in (relevance_probabilities, valence_probabilities))

    def truth(situation: str, one: Consideration) -> list[float]:
        at = items[situation], places[one.vrd, one.text]
        return [relevance[at], *valence[at]]

    pairs = simulated_pairs(30, seed=0)
    assert all(modified.startswith(bare.removesuffix(".")) for bare, modified in pairs)
    found = contrast(FakeValuesModel(truth), pairs, considerations=simulated_considerations())
    scores = score_contrasts(found)
    assert scores.right_is_flagged.value == scores.right_is_largest.value == 1.0
    assert scores.change_correlation.value == pytest.approx(1.0)
    assert scores.flagged_share.value < 0.2
    # A model that says the same of both versions flags nothing.
    blind = contrast(FakeValuesModel(lambda s, one: truth(pairs[0][0], one)), pairs, considerations=simulated_considerations())
    assert score_contrasts(blind).right_is_flagged.value == 0.0
    other = contrast(FakeValuesModel(lambda *_: (1, 1, 0, 0)), [("a", "b")], considerations=[CARE])
    with pytest.raises(DataError, match="simulated world"):
        score_contrasts(other)


def test_the_embedded_model_changes_the_right_value() -> None:
    pytest.importorskip("torch")
    from pluralign.models import ModelSettings
    from pluralign.values.kaleido import open_values_model

    model = open_values_model("embedded", ModelSettings(dtype="float32"))
    found = contrast(model, simulated_pairs(24, seed=5), considerations=simulated_considerations())
    scores = score_contrasts(found)
    assert scores.right_is_flagged.value >= 0.8
    assert scores.right_is_largest.value >= 0.8
    assert scores.right_is_flagged.low > 3 * scores.flagged_share.high


def _ratings(n_items: int, seed: int) -> tuple[Ratings, dict[str, float]]:
    """Item i is answered 1 or 2 by twenty people, the more evenly the larger its entropy is said to be."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0, 0.5, n_items)
    rows = [(f"i{i}", f"r{r}", "2" if r < 20 * share[i] else "1", f"text {i}") for i in range(n_items) for r in range(20)]
    table = pl.DataFrame(rows, schema=["item_id", "rater_id", "rating", "item_text"], orient="row")
    return Ratings.from_long(table, Scale("ordinal", ("1", "2"))), {f"text  {i}": float(share[i]) for i in range(n_items)}


def test_entropy_goes_with_disagreement_where_it_does() -> None:
    ratings, entropy = _ratings(60, 0)
    found = entropy_and_disagreement(entropy, ratings)
    assert found.correlation.value > 0.97
    assert found.correlation.low > 0.9
    assert (found.n_items, found.correlation.unit) == (60, "item")
    shuffled = dict(zip(entropy, np.random.default_rng(1).permutation(list(entropy.values())).tolist(), strict=True))
    assert not entropy_and_disagreement(shuffled, ratings).correlation.excludes(0)
    del entropy["text  3"]
    entropy["text  4"] = math.nan
    assert entropy_and_disagreement(entropy, ratings).n_without_decision == 2
    assert entropy_and_disagreement(entropy, ratings, fewest=21).correlation.why_undefined is not None
    table = pl.DataFrame({"action": list(entropy), "entropy_nats": list(entropy.values())})
    assert entropy_and_disagreement(table, ratings).n_items == 58


def test_entropy_of_simulated_decisions() -> None:
    """The value is scipy's, over the simulated population's ratings; the truth's decisions stand in for a model's."""
    from pluralign.suite.embedded_values import relevance_probabilities, valence_probabilities

    simulation = simulate(Population(n_raters=300, n_items=120, ratings_per_rater=40), seed=0)
    phi = simulation.features
    decisions = [decide(r, v) for r, v in zip(relevance_probabilities(phi), valence_probabilities(phi), strict=True)]
    texts = simulation.ratings.items["item_text"].to_list()
    entropy = {text: one.entropy_nats for text, one in zip(texts, decisions, strict=True) if one is not None}
    found = entropy_and_disagreement(entropy, simulation.ratings, measure="polarisation")
    from pluralign.metrics import item_option_counts, polarisation

    ratings = simulation.ratings
    counts = item_option_counts(ratings.item_index, ratings.rating_index, n_items=120, n_options=5)
    expected = spearmanr([entropy[text] for text in texts], polarisation(counts, ratings.scale.values)).statistic
    assert found.correlation.value == pytest.approx(expected, abs=1e-12)
    assert found.correlation.low < found.correlation.value < found.correlation.high
    assert found.n_items == 120
