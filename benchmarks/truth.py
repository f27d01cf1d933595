"""Estimates of a study beside the truth, on simulated people.

    python benchmarks/truth.py          400 raters, 1 seed
    python benchmarks/truth.py --full   2,000 raters with 40 ratings each, 3 seeds
    python benchmarks/truth.py --full --coverage 10   the intervals of 10 seeds, and nothing else

Three claims. (a) Each estimate of usable information has the Monte-Carlo truth of its model family in its 95 % interval
(`raters.truth`: the same fold with fresh raters, scored on many). Two coverages: how many intervals hold their truth, each for
itself, and in how many seeds the joint intervals all do. (b) With feature vectors given and 32 past ratings the
mixed-effects model loses at most 0.05 nats a rating more than Bayes' rule that knows the world. (c) Where archetypes are
separable (sigma = 0.05) the clusters are the archetypes: adjusted Rand index >= 0.9; beside it the index that Bayes' rule
reaches with the true predictions of every archetype.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace

import numpy as np
import polars as pl

from pluralign.metrics import log_loss_nats
from pluralign.raters.evidence import StudySettings
from pluralign.raters.features import GivenFeatures
from pluralign.raters.findings import Findings, InformationRow
from pluralign.raters.mixed import MixedModel
from pluralign.raters.study import run_study
from pluralign.raters.truth import family_information
from pluralign.ratings.simulate import Population, Simulation, simulate
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from pluralign.ratings.splits import rater_folds, split_fit_eval

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes of the claims")
    parser.add_argument("--coverage", type=int, metavar="SEEDS", help="only (a), for this many seeds")
    arguments = parser.parse_args()
    full, n_seeds = arguments.full, arguments.coverage or (3 if arguments.full else 1)
    population = Population() if full else Population(n_raters=400, n_items=100)
    rows: list[Row] = []
    held: list[list[InformationRow]] = []
    for seed in range(n_seeds):
        held.append(_information(population, seed, n_truths=6 if full else 1))
        rows += [_shown(row, seed) for row in held[-1]]
        if arguments.coverage is None:
            rows.append(_against_bayes(population, seed))
            rows.append(_archetypes(replace(population, sigma=0.05), seed))
    rows += _coverages(held)
    print(f"{'case':44} {'ours':>8} {'peer':>8}  target")
    for row in rows:
        print(f"{row['case']:44} {row['ours']:>8} {row['peer']:>8}  {row['target']}")
    print(json.dumps({"benchmark": "truth", "rows": rows}))


def _information(population: Population, seed: int, *, n_truths: int) -> list[InformationRow]:
    """The rows of a study that have a truth, with it."""
    settings = StudySettings(seed=seed)
    found = _studied(simulate(population, seed=seed), settings)
    truth = family_information(population, settings, n_scored=8000 if n_truths > 1 else 2000, n_repeats=n_truths)
    rows = {row.representation: row for row in found.information.rows}
    return [replace(rows[name], truth_nats=value) for name, value in truth.items()]


def _studied(simulation: Simulation, settings: StudySettings) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        return run_study(simulation.ratings, f"{folder}/run", settings, true_groups=simulation.archetype)


def _shown(row: InformationRow, seed: int) -> Row:
    estimate, truth = row.information_nats, row.truth_nats
    assert truth is not None
    ends = f"{estimate.low:.4f}..{estimate.high:.4f}: {'inside' if row.holds_truth else 'OUTSIDE'}"
    jointly = f"{row.joint_low:.4f}..{row.joint_high:.4f}: {'inside' if row.holds_truth_jointly else 'OUTSIDE'}"
    return {
        "case": f"seed {seed} {row.representation}: information, truth",
        "ours": round(estimate.value, 4),
        "peer": round(truth, 4),
        "ratio": round(estimate.value / truth, 3),
        "unit": "nats",
        "target": f"truth in {ends}; jointly in {jointly}",
    }


def _coverages(held: list[list[InformationRow]]) -> list[Row]:
    alone = [bool(row.holds_truth) for rows in held for row in rows]
    together = [all(row.holds_truth_jointly for row in rows) for rows in held]
    of = {"intervals that hold their truth": alone, "seeds whose joint intervals all do": together}
    return [
        {
            "case": case,
            "ours": sum(found),
            "peer": len(found),
            "ratio": round(sum(found) / len(found), 3),
            "unit": "share",
            "target": "about 0.95",
        }
        for case, found in of.items()
    ]


def _against_bayes(population: Population, seed: int) -> Row:
    simulation = simulate(population, seed=seed)
    ratings = simulation.ratings
    columns = {f"phi{j}": simulation.features[:, j] for j in range(simulation.features.shape[1])}
    features = GivenFeatures(pl.DataFrame({"item_id": ratings.item_ids, **columns}))
    in_train = (rater_folds(ratings, seed=seed) == 0)[ratings.rater_index]
    place = split_fit_eval(ratings, seed=seed)
    # 32 of the 40 ratings are given, whatever the split's own number: its random order serves for the choice
    order = np.lexsort((np.where(place.is_fit, place.fit_position, 10**6), ratings.rater_index))
    rank = np.empty(len(ratings), dtype=np.int64)
    rank[order] = np.arange(len(ratings)) % population.ratings_per_rater
    given, queries = ratings.take(~in_train & (rank < 32)), ratings.take(~in_train & (rank >= 32))
    model = MixedModel(features=features, seed=seed).fit(ratings.take(in_train))
    ours = log_loss_nats(model.predict_proba(queries, given=given), queries.rating_index).mean()
    best = bayes_predict(simulation, queries.item_index, queries.rater_index, known=Known(examples=given), seed=seed)
    limit = log_loss_nats(best.probabilities, queries.rating_index).mean()
    return {
        "case": f"seed {seed} loss with 32 past ratings, Bayes limit",
        "ours": round(float(ours), 4),
        "peer": round(float(limit), 4),
        "ratio": round(float(ours / limit), 4),
        "unit": "nats",
        "target": f"gap <= 0.05: {ours - limit:.4f}",
    }


def _archetypes(population: Population, seed: int) -> Row:
    simulation = simulate(population, seed=seed)
    settings = StudySettings(seed=seed, cluster_counts=(population.n_archetypes,))
    found = _studied(simulation, settings)
    ours = found.clusterings[0].truth_adjusted_rand
    assert ours is not None
    return {
        "case": f"seed {seed} adjusted Rand index, Bayes",
        "ours": round(ours, 3),
        "peer": round(_bayes_rand(simulation), 3),
        "ratio": None,
        "unit": "index",
        "target": ">= 0.9",
    }


def _bayes_rand(simulation: Simulation) -> float:
    """Every rater to the archetype whose true predictions fit her ratings best."""
    from sklearn.metrics import adjusted_rand_score

    ratings = simulation.ratings
    losses = []
    for archetype in range(simulation.world.population.n_archetypes):
        as_if = replace(simulation, archetype=np.full(ratings.n_raters, archetype))
        known = bayes_predict(as_if, ratings.item_index, ratings.rater_index, known=Known(archetype=True))
        row_losses = log_loss_nats(known.probabilities, ratings.rating_index)
        losses.append(np.bincount(ratings.rater_index, row_losses, ratings.n_raters))
    return float(adjusted_rand_score(simulation.archetype, np.argmin(losses, axis=0)))


if __name__ == "__main__":
    main()
