"""Claim: on real ratings the statistical models predict single people better than the best simple models, and by how much.

    python benchmarks/results.py                              made-up ratings, some seconds
    python benchmarks/results.py --data-dir DATA              three published data sets, one split each
    python benchmarks/results.py --data-dir DATA --full       all of them; writes docs/results.md; about an hour on one core
    ... --encoder FOLDER                                      with vectors of sentences (all-MiniLM-L6-v2, say); an hour more

Every model learns from the same training ratings, is given the same ratings of each rater, and is asked about the same held-out
ones. The peer is a tuned logistic regression on words with an offset for each rater (`TextLogistic`). With --work FOLDER every
prediction of a (data set, split, model) is kept as it is made, and a run that was killed goes on; remove a piece's file after
a change to its model. To add a model (a language model, say), add a line to `MODELS`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, estimate_mean, estimate_mean_difference, undefined
from pluralign.files import write_text_atomic
from pluralign.models import open_model
from pluralign.models.sentences import SentenceEncoder
from pluralign.raters.attributes import code_attributes
from pluralign.raters.baselines import Marginal, PerItem, PerRater, RatingModel, Uniform
from pluralign.raters.features import NoFeatures, SentenceFeatures
from pluralign.raters.language_decoder import DecoderSettings, LanguageModelDecoder
from pluralign.raters.mixed import MixedModel
from pluralign.raters.stacking import CrossFitted, cross_fitted, fit_pool
from pluralign.raters.text_logistic import TextLogistic, TextLogisticSettings
from pluralign.raters.text_logistic_features import TextLogisticFeatures
from pluralign.ratings import Ratings
from pluralign.runs import Run, RunConfig
from results_cases import CASES, MADE_UP, QUICK, Case, Measure, Parts
from results_page import PEER, RATER_MODE, Found, Row, page

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
STACK = "stack"
MOST_ENCODED = 4_000
N_FOLDS = 3
"""In which the stack's members are fitted again."""


class RaterMode:
    """Each rater's most frequent given answer, the first of several; for a stranger that of all. No probabilities: 0 and 1."""

    def fit(self, ratings: Ratings) -> RaterMode:
        self.shares_ = Marginal().fit(ratings).shares_
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        counts = np.zeros((queries.n_raters, queries.n_options))
        if given is not None:
            np.add.at(counts, (given.rater_index, given.rating_index), 1.0)
        counts[counts.sum(axis=1) == 0] = self.shares_
        return np.eye(queries.n_options)[counts.argmax(axis=1)][queries.rater_index]


class WithAttributes:
    """A mixed model that also knows what is told of the raters."""

    def __init__(self, model: MixedModel) -> None:
        self.model = model

    def fit(self, ratings: Ratings) -> WithAttributes:
        self.model.fit(ratings)
        self.names_ = _usable(ratings)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        return self.model.predict_proba(queries, given=given, attributes=self.names_)


class SharedLogistic:
    """The peer without attributes on the last training parts: the same fit serves it and the learned text features."""

    def __init__(self, settings: TextLogisticSettings) -> None:
        self.settings = settings

    def fit(self, ratings: Ratings) -> SharedLogistic:
        self.model_ = self.fitted(ratings)
        return self

    def fitted(self, ratings: Ratings) -> TextLogistic:
        ids = (ratings.item_index, ratings.rater_index, ratings.rating_index)
        key = hashlib.blake2b(b"".join(x.tobytes() for x in ids) + repr(self.settings).encode()).hexdigest()
        if key not in _FITTED:
            while len(_FITTED) > N_FOLDS:
                _FITTED.pop(next(iter(_FITTED)))
            _FITTED[key] = TextLogistic(self.settings).fit(ratings)
        return _FITTED[key]

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        return self.model_.predict_proba(queries, given=given)


_FITTED: dict[str, TextLogistic] = {}


@dataclass(frozen=True)
class Model:
    label: str
    make: Callable[[Parts, Case], RatingModel]
    in_stack: bool = False
    needs_attributes: bool = False
    has_probabilities: bool = True
    most_asked: int | None = None
    """Left out where more is asked, since it is slow."""
    needs_encoder: bool = False
    """Left out without --encoder, and where there are more than `MOST_ENCODED` items."""


def _with_attributes(parts: Parts, case: Case) -> TextLogistic:
    return TextLogistic(TextLogisticSettings(new=case.new, attributes=tuple(_usable(parts.train))))


def _embedded(parts: Parts, case: Case) -> LanguageModelDecoder:
    settings = DecoderSettings(n_recalibration=500)
    return LanguageModelDecoder(open_model("embedded"), "examples:4", settings=settings)


def _learned(parts: Parts, case: Case) -> MixedModel:
    return MixedModel(features=TextLogisticFeatures(logistic=SharedLogistic(TextLogisticSettings()).fitted))


_SENTENCES: dict[str, SentenceFeatures] = {}
"""By the encoder's folder: a text is encoded once for all folds and splits."""


def _sentences(parts: Parts, case: Case) -> MixedModel:
    return MixedModel(features=next(iter(_SENTENCES.values())))


MODELS: dict[str, Model] = {
    "uniform": Model("every option alike", lambda p, c: Uniform()),
    "marginal": Model("the options' shares", lambda p, c: Marginal()),
    "item": Model("the item's shares", lambda p, c: PerItem(), in_stack=True),
    RATER_MODE: Model("the rater's most frequent answer", lambda p, c: RaterMode(), has_probabilities=False),
    "rater": Model("the rater's shares", lambda p, c: PerRater(), in_stack=True),
    PEER: Model(
        "peer: logistic on words and raters", lambda p, c: SharedLogistic(TextLogisticSettings(new=c.new)), in_stack=True
    ),
    "logistic-attributes": Model("peer with attributes", _with_attributes, needs_attributes=True),
    "mixed-no-text": Model("mixed model, no text", lambda p, c: MixedModel(features=NoFeatures())),
    "mixed": Model("mixed model", lambda p, c: MixedModel(), in_stack=True),
    "mixed-attributes": Model("mixed model with attributes", lambda p, c: WithAttributes(MixedModel()), needs_attributes=True),
    "mixed-learned": Model("mixed model, learned text features", _learned, in_stack=True),
    "mixed-sentences": Model("mixed model, vectors of sentences", _sentences, in_stack=True, needs_encoder=True),
    "embedded": Model("the embedded language model, 4 past ratings", _embedded, most_asked=4_000),
}
"""Name (of its pieces, a-z and -) -> model. A language model's decoder fits in: `lambda p, c: LanguageModelDecoder(...)`."""


def _usable(ratings: Ratings) -> list[str]:
    return [f"rater_{a.name}" for a in code_attributes(ratings)[0]]


@dataclass(frozen=True)
class Predicted:
    """One split: what was asked, and every model's probabilities [asked, options]."""

    asked: Ratings
    by_model: dict[str, FloatArray]
    weights: dict[str, float]
    kind: str
    n_train: int


def predict(case: Case, ratings: Ratings, seed: int, data_dir: Path, work: Path) -> Predicted:
    """Every model's predictions for one split; pieces that are there are read."""
    parts = case.parts(ratings, seed, data_dir)
    inputs = {"data": str(data_dir / case.folder)} if case.folder else {}
    config = RunConfig(command="results", arguments={"case": case.key, "n_folds": N_FOLDS}, seed=seed, inputs=inputs)
    by_model, out_of_fold = {}, {}
    with Run.open(work / f"{case.key}.{seed}", config) as run:
        for name, model in MODELS.items():
            if model.needs_attributes and not _usable(parts.train):
                continue
            if model.needs_encoder and (not _SENTENCES or ratings.n_items > MOST_ENCODED):
                continue
            if model.most_asked is not None and len(parts.asked) > model.most_asked:
                continue
            began, n_there = time.perf_counter(), len(run.finished_steps())
            table = run.step_table(name, lambda m=model: _as_table(_fitted(m, parts, case)))
            by_model[name] = _as_array(table)
            if model.in_stack:
                kept = run.step_table(f"{name}.folds", lambda m=model: _folds_table(m, parts, case))
                out_of_fold[name] = CrossFitted(kept["row"].to_numpy().astype(np.int64), _as_array(kept))
            if len(run.finished_steps()) > n_there:
                print(f"{case.key} {seed}: {name}, {time.perf_counter() - began:.0f} s", flush=True)
    rows = next(iter(out_of_fold.values())).rows
    pool = fit_pool([one.probabilities for one in out_of_fold.values()], parts.train.rating_index[rows])
    by_model[STACK] = pool.combine([by_model[name] for name in out_of_fold])
    weights = dict(zip(out_of_fold, pool.weights.tolist(), strict=True))
    return Predicted(parts.asked, by_model, weights, pool.kind, len(parts.train))


def _fitted(model: Model, parts: Parts, case: Case) -> FloatArray:
    return model.make(parts, case).fit(parts.train).predict_proba(parts.asked, given=parts.given)


def _folds_table(model: Model, parts: Parts, case: Case) -> pl.DataFrame:
    found = cross_fitted(model.make(parts, case), parts.train, new=case.new, n_folds=N_FOLDS)
    return _as_table(found.probabilities).with_columns(row=pl.Series(found.rows, dtype=pl.UInt32))


def _as_table(probabilities: FloatArray) -> pl.DataFrame:
    return pl.DataFrame({"p": pl.Series(probabilities, dtype=pl.Array(pl.Float64, probabilities.shape[1]))})


def _as_array(table: pl.DataFrame) -> FloatArray:
    return np.asarray(table["p"].to_numpy(), dtype=np.float64)


# from predictions to numbers


@dataclass(frozen=True)
class _Losses:
    """All splits of a case, one after the other; per rating and per item, with the unit that is new."""

    nats: FloatArray
    units: IntArray
    points: FloatArray
    shares: FloatArray
    items: IntArray


def _losses(name: str, splits: list[Predicted], case: Case, measure: Measure) -> _Losses:
    nats, units, points, shares, items = [], [], [], [], []
    for split in splits:
        p, asked = split.by_model[name], split.asked
        with np.errstate(divide="ignore"):
            nats.append(-np.log(p[np.arange(len(asked)), asked.rating_index]))
        units.append(asked.item_index if case.new == "items" else asked.rater_index)
        off = measure.of_points(p, asked)
        there = np.flatnonzero(~np.isnan(off))
        points.append(off[there])
        shares.append(measure.of_shares(p, asked)[there])
        items.append(there)
    return _Losses(*(np.concatenate(x) for x in (nats, units, points, shares, items)))


def find(case: Case, ratings: Ratings, splits: list[Predicted]) -> Found:
    """All estimates of a case. Log loss weighs ratings equally, the task's own measures items."""
    measure = case.measure(ratings.scale)
    names = [name for name in (*MODELS, STACK) if all(name in split.by_model for split in splits)]
    losses = {name: _losses(name, splits, case, measure) for name in names}
    peer, mode = losses[PEER], losses[RATER_MODE]
    unit = case.new.removesuffix("s")
    rows = []
    for name in names:
        one = losses[name]
        none = undefined("it gives no probabilities", unit=unit)
        has = MODELS[name].has_probabilities if name in MODELS else True
        rows.append(
            Row(
                name=name,
                label=MODELS[name].label if name in MODELS else "stack of these",
                log_loss=estimate_mean(one.nats, one.units, unit=unit) if has else none,
                to_peer=_difference(one.nats, peer.nats, one.units, unit) if has and name != PEER else none,
                points=estimate_mean(one.points, one.items, unit="item"),
                to_mode=_difference(one.points, mode.points, one.items, "item"),
                points_to_peer=_difference(one.points, peer.points, one.items, "item"),
                shares=estimate_mean(one.shares, one.items, unit="item"),
            )
        )
    n_asked = [len(split.asked) for split in splits]
    weights = {k: [split.weights[k] for split in splits] for k in splits[0].weights}
    return Found(
        case=case, measure=measure, rows=rows, n_ratings=len(ratings), n_splits=len(splits), n_asked=n_asked,
        n_train=[split.n_train for split in splits], weights=weights, kinds=[split.kind for split in splits],
    )  # fmt: skip


def _difference(ours: FloatArray, theirs: FloatArray, units: IntArray, unit: str) -> Estimate:
    return estimate_mean_difference(ours, theirs, units, unit=unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--work", type=Path, help="where predictions are kept, so that a run can go on")
    parser.add_argument("--page", type=Path, help="where the page goes; with --full docs/results.md")
    parser.add_argument("--seeds", type=int, help="splits of a data set at most; a later run with more goes on")
    parser.add_argument("--only", nargs="*", help="names of cases such as mp.items; the page then has these only")
    parser.add_argument("--encoder", help="folder or hub id of an encoder of sentences")
    asked = parser.parse_args()
    if asked.encoder:
        _SENTENCES[asked.encoder] = SentenceFeatures(SentenceEncoder(asked.encoder))
    if asked.full and asked.data_dir is None:
        parser.error("--full needs --data-dir")
    cases = MADE_UP if asked.data_dir is None else [c for c in CASES if asked.full or c.key in QUICK]
    cases = [c for c in cases if not asked.only or c.key in asked.only]
    with tempfile.TemporaryDirectory() as name:
        work, data_dir = asked.work or Path(name), asked.data_dir or Path(name)
        found = []
        for case in cases:
            ratings = case.read(data_dir)
            seeds = range(min(case.n_seeds, asked.seeds or case.n_seeds) if asked.full else 1)
            splits = [predict(case, ratings, seed, data_dir, work) for seed in seeds]
            found.append(find(case, ratings, splits))
            print(found[-1].line(), flush=True)
            to = asked.page or (Path(__file__).parents[1] / "docs" / "results.md" if asked.full else work / "results.md")
            write_text_atomic(to, page(found))
        print(f"{to}: {len(found)} tables")
    print(json.dumps({"benchmark": "results", "rows": [row for one in found for row in _json_rows(one)]}))


def _json_rows(found: Found) -> list[dict[str, object]]:
    peer = found.row(PEER).log_loss.value
    return [
        {
            "case": f"{found.case.key}, log loss of {row.label}",
            "ours": row.log_loss.to_dict(),
            "peer": peer,
            "ratio": None if math.isinf(row.log_loss.value) else peer / row.log_loss.value,
            "unit": "nats",
            "target": "below the peer" if row.name == STACK else None,
        }
        for row in found.rows
        if row.log_loss.is_defined and row.name != PEER
    ]


if __name__ == "__main__":
    main()
