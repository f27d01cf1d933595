"""Claims: the table of raters x candidate profiles is computed at least 5 times as fast through shared beginnings as one
question at a time; a tenth of its questions choose clusters within 1 %; clusters over profiles find the planted groups.

    python benchmarks/profile_clusters.py                              small, under two minutes on one core
    python benchmarks/profile_clusters.py --full                       the sizes of the claims; the embedded model takes an hour
    python benchmarks/profile_clusters.py --full --case prefixes --case pruned

prefixes    p(rating | item, profile) for some candidates by `asking_model`, beside one question at a time to the same model: a
            llama of random weights, profiles of about 200 tokens (`profile write` asks for 150 words), items of about 30.
            Probabilities are compared before times,
            which are those of the processor, since other work on the machine must not be measured.
pruned      `choose_pruned`, all its questions counted, those that assign raters too, beside the whole table: losses of both
            on the whole table, the worst of several seeds. Tables: profiles of simulated people decoded by Bayes' rule and by
            the embedded model; random ones, where nothing tells of anything.
archetypes  adjusted Rand index of 4 clusters chosen among 100 true profiles, decoded by the embedded model, with the
            archetypes; beside it that of the archetype which is most probable by Bayes' rule, given the same ratings: the
            ceiling. The embedded world's own people, and people of its archetypes who differ less from one another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import adjusted_rand_score

from pluralign.models import Query, open_model, open_template
from pluralign.models.loading import load_model
from pluralign.models.local import LocalModel
from pluralign.raters.baselines import Marginal
from pluralign.raters.profile_clusters import Answered, Ask, CandidateAnswers, Candidates, asking_model
from pluralign.raters.profile_clusters_chosen import PruneSettings, choose_from_all, choose_pruned, features_of_items
from pluralign.raters.representations import RaterTexts, Representation, rater_queries
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.simulate import Simulation, World, draw_world, simulate
from pluralign.ratings.simulated_bayes import Known, _evidence
from pluralign.ratings.simulated_posterior import _chunks, _padded, _weighted_draws
from pluralign.ratings.simulated_profile_bayes import facts_of, profile_predict
from pluralign.ratings.splits import split_fit_eval
from pluralign.suite.embedded_world import FIRST_HELD_OUT, WORLD_SEED, embedded_population
from pluralign.suite.simulated_worlds import profile
from scoring import SIZES, make_folder

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
OPTIONS = ("1", "2", "3", "4", "5")
N_CANDIDATES = 100
PROFILE_TOKENS = 200
"""And letters: the tokenizer of the random models has a token for nearly each."""
LARGER = {"vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8}
K = (2, 4, 8)


@dataclass(frozen=True)
class Row:
    case: str
    ours: float
    peer: float
    unit: str
    target: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, object]:
        own = {"case": self.case, "ours": self.ours, "peer": self.peer, "ratio": self.peer / self.ours}
        return {**own, "unit": self.unit, "target": self.target}


# prefixes


def prefix_rows(size: str, n_candidates: int, n_items: int, *, target: float | None) -> Iterator[Row]:
    rng = np.random.default_rng(0)

    def words(n_letters: int) -> str:
        return "".join(rng.choice(list("abcdefghij "), n_letters))

    rows = {"item_id": [f"i{n:03}" for n in range(n_items)], "item_text": [words(30) for _ in range(n_items)]}
    table = pl.DataFrame({**rows, "rater_id": "r", "rating": "1"})
    ratings = Ratings.from_long(table, Scale("interval", OPTIONS))
    texts = {f"c{n}": words(PROFILE_TOKENS) for n in range(n_candidates)}
    candidates = Candidates(ids=tuple(texts), texts=tuple(texts.values()))
    with tempfile.TemporaryDirectory() as name:
        tokenizer = make_folder(size, name)  # type: ignore[arg-type]
        model = LocalModel(load_model(name, dtype="float32"), open_template("spectrum", tokenizer), name=f"hf/{name}")
        ask, items = asking_model(model, ratings, candidates), np.arange(n_items)
        ask(np.zeros(2, dtype=np.int64), items[:2])
        answers = _answers(ask, n_candidates, ratings)
        start = time.process_time()
        answers.ask(np.arange(n_candidates), items)
        ours_s = time.process_time() - start
        people = replace(
            ratings,
            raters=pl.DataFrame({"rater_id": list(texts)}),
            item_index=np.tile(items, n_candidates),
            rater_index=np.repeat(np.arange(n_candidates), n_items),
            rating_index=np.zeros(n_items * n_candidates, dtype=np.int64),
        )
        queries = rater_queries(people, None, Representation(profile=True), texts=RaterTexts(profiles=texts))
        some = queries[:: max(1, len(queries) // 100)]
        start = time.process_time()
        theirs = np.stack([_alone(model, query) for query in some])
        peer_s = (time.process_time() - start) * len(queries) / len(some)
    mine = answers.probabilities.reshape(-1, len(OPTIONS))[:: max(1, len(queries) // 100)]
    if (difference := float(np.abs(mine - theirs).max())) > 1e-4:
        raise SystemExit(f"prefixes, {size}: probabilities differ by {difference:.2g}; nothing was timed")
    note = f"{len(queries):,} questions, one by one timed on {len(some)}; differ by {difference:.0e}"
    yield Row(f"{n_candidates} candidates x {n_items} items, {size}", ours_s, peer_s, "s", target, note)


def _alone(model: LocalModel, query: Query) -> FloatArray:
    return model.option_logprobs([query])[0].probabilities


def _answers(ask: Ask, n_candidates: int, ratings: Ratings) -> CandidateAnswers:
    return CandidateAnswers(ask, n_candidates=n_candidates, n_items=ratings.n_items, n_options=ratings.n_options)


# tables of simulated people


def people(n_raters: int, n_items: int, *, sigma: float | None = None) -> Simulation:
    """Held-out people of the embedded world, who rate the first so many of a draw of its situations."""
    population = replace(embedded_population(n_raters), n_items=n_items)
    population = population if sigma is None else replace(population, sigma=sigma)
    return simulate(population, seed=WORLD_SEED, first_rater=FIRST_HELD_OUT)


def _chosen(simulation: Simulation) -> IntArray:
    n = simulation.ratings.n_raters
    return np.random.default_rng(0).choice(n, min(N_CANDIDATES, n), replace=False)


def bayes_table(simulation: Simulation, world: World, *, n_draws: int) -> FloatArray:
    """[candidates, items, options] of true profiles, by the world that readers of profiles know."""
    own = _chosen(simulation)
    facts = [facts_of(simulation.theta[n], float(simulation.shift[n]), float(simulation.log_spread[n])) for n in own.tolist()]
    n_items = simulation.ratings.n_items
    items, of = np.tile(np.arange(n_items), len(own)), np.repeat(np.arange(len(own)), n_items)
    return profile_predict(world, facts, items, of, n_draws=n_draws).reshape(len(own), n_items, -1)


def embedded_table(simulation: Simulation) -> FloatArray:
    """The same as the embedded model reads them."""
    own = _chosen(simulation).tolist()
    texts = tuple(profile(simulation, n) for n in own)
    candidates = Candidates(ids=tuple(f"c{n}" for n in own), texts=texts)
    ratings = simulation.ratings
    answers = _answers(asking_model(open_model("embedded"), ratings, candidates), len(own), ratings)
    answers.ask(np.arange(len(own)), np.arange(ratings.n_items))
    return answers.probabilities.astype(np.float64)


def random_table(n_raters: int, n_items: int) -> tuple[FloatArray, Ratings]:
    """Ratings and probabilities that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.choice(n_items, 20, replace=False) for _ in range(n_raters)])
    rater, rating = np.repeat(np.arange(n_raters), 20), rng.integers(0, 5, len(item))
    table = pl.DataFrame(
        {
            "item_id": [f"i{n:05}" for n in item.tolist()],
            "rater_id": [f"r{n:05}" for n in rater.tolist()],
            "rating": [OPTIONS[n] for n in rating.tolist()],
        }
    )
    ratings = Ratings.from_long(table, Scale("interval", OPTIONS))
    return rng.dirichlet(np.ones(5), (N_CANDIDATES, ratings.n_items)), ratings


def _of(table: FloatArray) -> CandidateAnswers:
    def ask(candidate: IntArray, item: IntArray) -> Answered:
        return Answered(table[candidate, item], ["ok"] * len(item))

    n, n_items, n_options = table.shape
    return CandidateAnswers(ask, n_candidates=n, n_items=n_items, n_options=n_options)


# pruned


def pruned_rows(
    name: str, table: FloatArray, given: Ratings, *, saving: float, n_seeds: int, is_claimed: bool
) -> Iterator[Row]:
    """Two rows a K: questions, fewest times fewer of all seeds, and losses per rating, the worst of all seeds."""
    shares, features = Marginal().fit(given).shares_, features_of_items(given)
    for k in K:
        whole = choose_from_all(_of(table), given, k, unanswered=shares)
        settings = [PruneSettings(saving=saving, seed=seed) for seed in range(n_seeds)]
        found = [choose_pruned(_of(table), given, k, unanswered=shares, features=features, settings=s) for s in settings]
        excess = np.array([one.loss / whole.loss - 1 for one in found])
        unexplained = np.mean([one.rounds[-1].unexplained for one in found])
        n_asked = max(one.n_asked for one in found)
        worse = f"mean {100 * excess.mean():.2f} %, worst {100 * excess.max():.2f} %"
        note = f"within 1 % {(excess <= 0.01).sum()} of {n_seeds}; {worse}"
        where = f"{name}, K = {k}, saving {saving:g}"
        yield Row(f"{where}: questions", n_asked, whole.n_full, "questions", 10.0 if is_claimed else None)
        ours, peer = (sum_ / len(given) for sum_ in (max(one.loss for one in found), whole.loss))
        target = 1 / 1.01 if is_claimed else None
        yield Row(f"{where}: loss", ours, peer, "nats", target, f"{note}; unexplained {unexplained:.2f}")


# archetypes


def archetype_rows(name: str, simulation: Simulation, table: FloatArray, *, target: float | None) -> Iterator[Row]:
    ratings = simulation.ratings
    for what, given in (("given ratings", ratings.take(split_fit_eval(ratings, seed=0).is_fit)), ("all ratings", ratings)):
        shares = Marginal().fit(given).shares_
        found = choose_from_all(_of(table), given, 4, unanswered=shares)
        ceiling = archetype_posterior(simulation, given).argmax(axis=1)
        ours, peer = (adjusted_rand_score(simulation.archetype, one) for one in (found.assignment, ceiling))
        note = f"{len(given) / ratings.n_raters:.1f} ratings a person"
        yield Row(f"{name}, {what}", ours, peer, "adjusted Rand", target, note)


def archetype_posterior(simulation: Simulation, given: Ratings, *, n_draws: int = 256) -> FloatArray:
    """p(archetype | given ratings) of each person, [raters, archetypes], by importance sampling."""
    evidence = _evidence(simulation, Known(examples=given), given)
    found = np.zeros((simulation.ratings.n_raters, len(simulation.world.shares)))
    for raters, rows, real in _chunks(evidence, np.unique(given.rater_index), n_draws):
        draws = _weighted_draws(_padded(evidence, rows, real), evidence, raters, seed=0, n_draws=n_draws)
        found[raters] = draws.weights.sum(axis=2)
    return found


# all


def prefix_case(*, full: bool) -> Iterator[Row]:
    SIZES["27M"] = LARGER
    sizes = [("5M", 2, 200), ("5M", 2, 400), ("27M", 2, 100), ("27M", 1, 400)] if full else [("1M", 2, 40)]
    for size, n_candidates, n_items in sizes:
        yield from prefix_rows(size, n_candidates, n_items, target=5.0 if full else None)


def pruned_case(*, full: bool) -> Iterator[Row]:
    n_seeds = 10 if full else 2
    random, ratings = random_table(1000 if full else 300, 400)
    yield from pruned_rows("random", random, ratings, saving=10.0, n_seeds=n_seeds, is_claimed=False)
    for n_raters, n_items in [(1000, 400), (1000, 1000), (2000, 3744)] if full else [(200, 400)]:
        simulation = people(n_raters, n_items)
        table = bayes_table(simulation, simulation.world, n_draws=512 if full else 64)
        given = simulation.ratings.take(split_fit_eval(simulation.ratings, seed=0).is_fit)
        for saving in (10.0, 5.0):
            name, claimed = f"Bayes, {n_items} items", full and saving >= 10
            yield from pruned_rows(name, table, given, saving=saving, n_seeds=n_seeds, is_claimed=claimed)
    if full:
        simulation = people(1000, 1000)
        table = embedded_table(simulation)
        given = simulation.ratings.take(split_fit_eval(simulation.ratings, seed=0).is_fit)
        for saving in (10.0, 5.0):
            name = "embedded model, 1000 items"
            yield from pruned_rows(name, table, given, saving=saving, n_seeds=n_seeds, is_claimed=saving >= 10)


def archetype_case(*, full: bool) -> Iterator[Row]:
    n_raters, n_items = (1000, 300) if full else (100, 100)
    own, near = people(n_raters, n_items), people(n_raters, n_items, sigma=0.05)
    world = draw_world(own.world.population, seed=WORLD_SEED)
    for name, simulation, target in (("own people", own, None), ("people near their archetype, sigma 0.05", near, 0.8)):
        by_bayes = bayes_table(simulation, world, n_draws=256 if full else 64)
        yield from archetype_rows(f"{name}, read by Bayes", simulation, by_bayes, target=None)
        if full:
            yield from archetype_rows(
                f"{name}, read by the embedded model", simulation, embedded_table(simulation), target=target
            )


CASES: dict[str, Callable[..., Iterator[Row]]] = {
    "prefixes": prefix_case,
    "pruned": pruned_case,
    "archetypes": archetype_case,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the claims")
    parser.add_argument("--case", action="append", choices=CASES, help="default all")
    asked = parser.parse_args()
    rows = []
    for name in asked.case or CASES:
        for row in CASES[name](full=asked.full):
            print(f"{row.case:70} {row.ours:12.4g} {row.peer:12.4g} {row.peer / row.ours:8.3f}  {row.note}", flush=True)
            rows.append(row.to_dict())
    print(json.dumps({"benchmark": "profile_clusters", "rows": rows}))


if __name__ == "__main__":
    main()
