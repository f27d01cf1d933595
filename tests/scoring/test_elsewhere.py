"""Every loop that asks a model can be done elsewhere: units go through pickle, backwards, to a model opened anew."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest

from pluralign import commands, profiling
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import UsageError
from pluralign.evals.kinds import Setting
from pluralign.evaluating import evaluate
from pluralign.models import SamplingSettings, ScriptedModel
from pluralign.predicting import PredictSources, predict
from pluralign.raters.individual_results import PredictSettings
from pluralign.raters.language_study import ask_language_model
from pluralign.raters.profile_clusters_found import ClusterSettings
from pluralign.raters.profile_clusters_run import cluster_profiles
from pluralign.raters.profiles import ProfileSettings
from pluralign.ratings.readers import read_ratings
from pluralign.runs import Run, RunConfig
from pluralign.scoring import sample, score
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import Engine, Opening, Unit, keep_unit, measured_part
from pluralign.values.prism import PrismSettings, make_prism
from pluralign.values.setup import SystemSettings
from pluralign.values.system import surface


class Posted:
    """An engine in this process that gets everything as bytes."""

    opening: Opening | None = None

    def __init__(self) -> None:
        self.n_units = 0
        self.n_models = 0

    @contextlib.contextmanager
    def holding(self, opening: Opening, fingerprint: str) -> Iterator[Engine]:
        self.model = pickle.loads(pickle.dumps(opening))()
        self.n_models += 1
        assert self.model.fingerprint() == fingerprint
        yield self

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        for unit in reversed(units):
            compute = pickle.loads(pickle.dumps(unit.compute))
            table, took = measured_part(self.model, lambda compute=compute: compute(self.model))
            keep_unit(run, unit.name, table, took)
            on_unit(unit, took)
            self.n_units += 1


Both = Callable[[Callable[[Path, Posted | None], object]], Posted]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """Does it here and by `Posted`, and compares all tables of the two runs."""

    def compare(work: Callable[[Path, Posted | None], object]) -> Posted:
        engine = Posted()
        work(tmp_path / "here", None)
        work(tmp_path / "there", engine)
        here, there = ({p.name: p.read_bytes() for p in (tmp_path / name).glob("*.parquet")} for name in ("here", "there"))
        assert here
        assert here.keys() == there.keys()
        assert [name for name in here if here[name] != there[name]] == []
        steps = [{p.name for p in (tmp_path / name / "steps").iterdir()} for name in ("here", "there")]
        assert steps[0] == steps[1]
        assert engine.n_units == sum(name.endswith(".usage.json") for name in steps[0]), "nothing was done here"
        return engine

    return compare


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """Thirty raters of 24 items, a third of the ratings missing."""
    rows = [
        {"item": f"i{i}", "item_text": f"Item {i}.", "rater": f"r{r:02d}", "rating": str((i * r + i // 3) % 3)}
        for r in range(30)
        for i in range(24)
        if (i + 2 * r) % 3
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "ratings.csv")
    return tmp_path / "ratings.csv"


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    sides = tuple(Example(side) for side in ("heads", "tails", "heads"))
    write_episodes(tmp_path / "coins.jsonl", (Episode("coin", sides, f"Coin {n}.", ("heads", "tails")) for n in range(300)))
    return tmp_path / "coins.jsonl"


def test_scores(both: Both, episodes: Path) -> None:
    assert both(lambda out, engine: score(episodes, out, model="scripted", ask="options", engine=engine)).n_units == 2


def test_samples(both: Both, episodes: Path) -> None:
    drawing = SamplingSettings(n=2)
    assert both(lambda out, engine: sample(episodes, out, model="scripted", sampling=drawing, engine=engine)).n_units == 3


def test_evaluations(both: Both) -> None:
    tasks, setting = ["urn", "rng_1_10"], Setting(limit=8)
    both(lambda out, engine: evaluate("scripted", out, tasks=tasks, setting=setting, engine=engine))


@pytest.mark.parametrize("representation", ["examples:4", "attributes+examples:4:informative"])
def test_predictions(both: Both, ratings: Path, representation: str) -> None:
    settings, sources = PredictSettings(representation=representation), PredictSources(ratings)
    both(lambda out, engine: predict(sources, out, model="scripted", settings=settings, engine=engine))


def test_a_statistical_model_has_no_engine(ratings: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="per-item is a statistical one"):
        predict(PredictSources(ratings), tmp_path / "run", model="per-item", engine=Posted())


@pytest.mark.parametrize("saving", [None, 2.0])
def test_the_table_of_raters_and_candidates(both: Both, ratings: Path, saving: float | None) -> None:
    table, settings = read_ratings(ratings), ClusterSettings(k=(2, 3), n_candidates=8, saving=saving)
    profiles = {rater: f"Rater {rater} likes cats." for rater in table.rater_ids}
    both(lambda out, engine: cluster_profiles(table, profiles, out, model="scripted", settings=settings, engine=engine))


@pytest.mark.parametrize(
    ("decoder", "n_models"), [(None, 1), ("scripted", 1), pytest.param("embedded", 2, marks=pytest.mark.slow)]
)
def test_profiles_and_their_scores(both: Both, ratings: Path, decoder: str | None, n_models: int) -> None:
    settings, limit = ProfileSettings(n_drafts=2, most_scored=2), 4 if decoder == "embedded" else None
    engine = both(
        lambda out, engine: profiling.write(
            ratings, out, model="scripted", decoder=decoder, settings=settings, given="all", limit=limit, engine=engine
        )
    )
    assert engine.n_models == n_models


def test_what_a_study_asks(both: Both, ratings: Path) -> None:
    table = read_ratings(ratings)

    def study(out: Path, engine: Posted | None) -> None:
        representations = ("examples:2", "examples:2:informative")
        beside = commands.language_study("scripted", n_raters=10, representations=representations, engine=engine)
        with Run.open(out, RunConfig(command="test")) as run:
            run.write_records(ask_language_model(table, beside, run, seed=0).records)

    both(study)


def test_values(both: Both) -> None:
    settings = SystemSettings(n=4)
    both(lambda out, engine: surface([f"Biking {n}" for n in range(70)], "scripted", settings, out=out, engine=engine))


def _says_values() -> ScriptedModel:
    """Lists one value of every situation."""
    return ScriptedModel(lambda _: {"Value: health | Supports | Moving is good.": 1.0}, revision="1")


def test_data_of_values_by_an_opening_of_its_own(both: Both) -> None:
    settings, situations = PrismSettings(way="prompt"), [f"Biking {n}" for n in range(70)]

    def made(out: Path, engine: Posted | None) -> None:
        if engine is not None:
            engine.opening = _says_values
        make_prism(situations, _says_values(), out, settings=settings, engine=engine)

    assert both(made).n_units == 2


def test_an_open_model_is_refused(episodes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="open already: pass the name"):
        score(episodes, tmp_path / "run", model=ScriptedModel(), engine=Posted())
