"""How well made data find what is true of simulated situations, where relevance and valence are known by formula.

True of a situation are the considerations with P(Yes) of at least 1/2 and, of each, the most probable valence
(`suite.embedded_values`); precision and recall are over them, valence over what was found and is true.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pluralign.errors import DataError
from pluralign.estimates import Estimate, estimate_ratio
from pluralign.values.considerations import VALENCES, Consideration

__all__ = ["score_simulated", "true_table"]


def true_table(situations: list[str]) -> pl.DataFrame:
    """What is true of these situations of the simulated world: situation, vrd, text, valence. Raises DataError for others."""
    from pluralign.suite.embedded_values import BEARINGS, relevance_probabilities, valence_probabilities
    from pluralign.suite.embedded_world import embedded_world, situation_texts

    places = {text: n for n, text in enumerate(situation_texts())}
    if strange := [text for text in situations if text not in places]:
        raise DataError("situations", f"{len(strange):,} are not of the simulated world, such as {strange[0]!r:.80}")
    features = embedded_world().features[[places[text] for text in situations]]
    relevant = relevance_probabilities(features) >= 0.5
    valence = valence_probabilities(features).argmax(axis=-1)
    rows = [
        (situations[s], BEARINGS[b].kind, BEARINGS[b].text, VALENCES[valence[s, b]]) for s, b in np.argwhere(relevant).tolist()
    ]
    return pl.DataFrame(rows, schema=["situation", "vrd", "text", "valence"], orient="row")


def score_simulated(table: pl.DataFrame, situations: list[str], *, seed: int = 0) -> dict[str, Estimate]:
    """precision, recall and valence_accuracy of a table in the published columns, situations resampled.

    `situations` are all that were asked, with those of which nothing could be read.
    """
    truth = {
        text: {Consideration(vrd, name): valence for vrd, name, valence in part.select("vrd", "text", "valence").iter_rows()}
        for (text,), part in true_table(situations).group_by("situation")
    }
    found: dict[str, dict[Consideration, str]] = {text: {} for text in situations}
    for text, vrd, name, valence in table.select("situation", "vrd", "text", "valence").iter_rows():
        found.setdefault(text, {})[Consideration(vrd, name)] = valence
    counts = []
    for text in situations:
        true, here = truth.get(text, {}), found[text]
        hits = true.keys() & here.keys()
        counts.append((len(hits), len(here), len(true), sum(true[one] == here[one] for one in hits)))
    hits_, n_found, n_true, right = np.array(counts, dtype=np.float64).reshape(-1, 4).T
    return {
        "precision": estimate_ratio(hits_, n_found, why="nothing was found", unit="situation", seed=seed),
        "recall": estimate_ratio(hits_, n_true, why="nothing is true of these situations", unit="situation", seed=seed),
        "valence_accuracy": estimate_ratio(right, hits_, why="nothing that was found is true", unit="situation", seed=seed),
    }
