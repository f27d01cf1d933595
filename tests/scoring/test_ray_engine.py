"""The engine that asks elsewhere: what needs no cluster, then a cluster of three nodes on this machine (slow)."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import MissingExtraError, RunError, UsageError
from pluralign.evals.kinds import Setting
from pluralign.evaluating import evaluate
from pluralign.models import LanguageModel, ModelSettings, ScriptedModel, open_model
from pluralign.models.queries import queries_of
from pluralign.predicting import PredictSources, predict
from pluralign.raters.individual_results import PredictSettings
from pluralign.raters.profile_clusters_found import ClusterSettings
from pluralign.raters.profile_clusters_run import cluster_profiles
from pluralign.ratings.readers import read_ratings
from pluralign.runs import Run, RunConfig
from pluralign.scoring import job, ray_engine, score
from pluralign.scoring.ray_engine import RayEngine, opened_engine
from pluralign.scoring.ray_pool import Member, next_unit
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import Unit, held, run_units
from pluralign.values.episodes import sample_situations
from pluralign.values.setup import SystemSettings
from pluralign.values.system import surface

SCRIPTED = functools.partial(open_model, "scripted")


def _unit(name: str, begins: str = "") -> Unit:
    return Unit(name, functools.partial(_counted, name, "", 0.0), 1, begins)


def _counted(name: str, log: str, seconds: float, model: LanguageModel) -> pl.DataFrame:
    """Leaves a line for each time that it is worked on."""
    time.sleep(seconds)
    if log:
        with open(log, "a") as file:
            file.write(f"{name}\n")
    return pl.DataFrame({"name": [name], "model": [model.name]})


def _run(folder: Path) -> Run:
    return Run.open(folder, RunConfig(command="test"))


# which unit is next


def _taken(member: Member, others: Sequence[Member], units: list[Unit]) -> str | None:
    found = next_unit(member, [member, *others], deque(units))
    return None if found is None else found.name


def test_an_actor_goes_on_with_the_beginning_that_it_has_read() -> None:
    units = [_unit("a1", "a"), _unit("b1", "b"), _unit("a2", "a")]
    assert _taken(Member(None, begins="b"), [Member(None, begins="a")], units) == "b1"


def test_an_actor_takes_a_beginning_that_nobody_has_read_but_does_not_idle() -> None:
    units = [_unit("a1", "a"), _unit("b1", "b")]
    assert _taken(Member(None), [Member(None, begins="a")], units) == "b1"
    assert _taken(Member(None), [Member(None, begins="a")], units[:1]) == "a1"


def test_a_unit_is_tried_by_another_actor_first() -> None:
    failed, other = Member(None, failed={"a"}), Member(None)
    assert _taken(failed, [other], [_unit("a")]) is None
    assert _taken(failed, [other], [_unit("a"), _unit("b")]) == "b"
    assert _taken(failed, [], [_unit("a")]) == "a"


def test_questions_behind_one_prompt_land_in_one_unit(tmp_path: Path) -> None:
    file = tmp_path / "coins.jsonl"
    same = tuple(Example(side) for side in ("heads", "tails", "heads", "tails"))
    write_episodes(file, (Episode("coin", same, f"Coin {n}.", ("heads", "tails")) for n in range(300)))
    questions = job.as_questions(file, at="all", need_options=True)
    seen: list[Unit] = []

    class Listening:
        def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
            seen.extend(units)

    with _run(tmp_path / "run") as run:
        job.run_parts(run, questions, ScriptedModel(), _no_table, engine=Listening())
    episodes_of = [{asked.row for asked in unit.compute.args[1]} for unit in seen]  # type: ignore[attr-defined]
    split = [a & b for a, b in itertools.pairwise(episodes_of)]
    for n, shared in enumerate(split):
        assert (seen[n].begins == seen[n + 1].begins) == bool(shared)
    assert sum(map(len, split)) < len(seen), "at most one prompt at each edge, and then the units are marked as one beginning"
    assert len(queries_of(questions.episodes[0], at="all")) == 4


def _no_table(model: LanguageModel, asked: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame({"n": [len(asked)]})


# what is refused


def test_an_open_model_cannot_be_opened_elsewhere() -> None:
    model = ScriptedModel()
    with pytest.raises(UsageError, match="open already: pass the name"), held(RayEngine(), model, model, SCRIPTED):
        pass
    with held(RayEngine(opening=SCRIPTED), model, model, SCRIPTED) as at_work:
        assert at_work is not None


def test_tokens_of_several_processes_are_not_watched_over() -> None:
    settings = ModelSettings(max_tokens_total=10)
    with (
        pytest.raises(UsageError, match="--max-tokens-total"),
        held(RayEngine(), "scripted", ScriptedModel(), SCRIPTED, settings),
    ):
        pass


def test_a_model_is_opened_as_precise_as_here() -> None:
    opened: list[str] = []

    def opening(settings: ModelSettings) -> Any:
        opened.append(settings.dtype)
        return SimpleNamespace(name="hf/x", fingerprint=lambda: "float32" if settings.dtype == "auto" else settings.dtype)

    assert job.opened_alike(opening, None, "bfloat16").fingerprint() == "bfloat16"
    assert job.opened_alike(opening, None, "float32").fingerprint() == "float32"
    assert job.opened_alike(opening, ModelSettings(dtype="float32"), "bfloat16").fingerprint() == "float32"
    assert opened == ["auto", "float32", "bfloat16", "auto", "float32"]


def test_flags_that_mean_nothing() -> None:
    for engine, n, gpus, what in (("local", 2, 0.0, "--actors"), ("ray", 0, 0.0, "--actors 0"), ("ray", 1, 1.5, "--gpus-each")):
        with pytest.raises(UsageError, match=what):
            opened_engine(engine, n_actors=n, gpus_each=gpus)
    with pytest.raises(UsageError, match="pass --out"):
        surface(["Biking"], "embedded", engine=RayEngine())


def test_without_ray_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pluralign\[ray\]"):
        RayEngine().check()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host.invalid:10001", "here:port"])
def test_an_address_where_nobody_answers(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    engine = RayEngine(opening=SCRIPTED, address=address)
    with _run(tmp_path / "run") as run, pytest.raises(RunError, match=f"no cluster answers at {address}.*ray start --head"):
        run_units(run, [_unit("a")], ScriptedModel(), engine=engine)


def test_a_client_needs_more_than_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'grpcio'.*pluralign\[ray\]"):
        ray_engine._check_answers("ray://head:10001")


def test_a_run_that_is_finished_needs_no_cluster(tmp_path: Path) -> None:
    with _run(tmp_path / "run") as run:
        run_units(run, [_unit("a")], ScriptedModel())
        run_units(run, [_unit("a")], ScriptedModel(), engine=RayEngine(opening=SCRIPTED, address="127.0.0.1:1"))


# a cluster


def _ray_processes() -> set[int]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"raylet" in line or b"gcs_server" in line or line.startswith(b"ray::"):
            found.add(int(folder.name))
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = _ray_processes()
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()
    deadline = time.monotonic() + 30
    while (left := _ray_processes() - before) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left, "processes of the cluster are still there"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestCluster:
    """Three nodes with a processor each."""

    def test_scores(self, cluster: Any, tmp_path: Path) -> None:
        file = tmp_path / "coins.jsonl"
        examples = tuple(Example(side) for side in ("heads", "tails", "heads"))
        write_episodes(file, (Episode("coin", examples, f"Coin {n}.", ("heads", "tails")) for n in range(600)))
        told: list[int] = []
        here = score(file, tmp_path / "here", model="embedded", ask="options")
        there = score(
            file,
            tmp_path / "there",
            model="embedded",
            ask="options",
            engine=RayEngine(address=cluster.address, cpus_each=1),
            on_progress=lambda what, done, total, note="": told.append(done),
        )
        _assert_same(tmp_path)
        assert told[0] == 0
        assert 600 in told
        assert there.totals.usage == here.totals.usage, "summed over the actors"

    def test_evaluations(self, cluster: Any, tmp_path: Path) -> None:
        for name, engine in (("here", None), ("there", RayEngine(address=cluster.address, cpus_each=1))):
            tasks = ["urn", "coinflip", "prime_numbers"]
            evaluate("scripted", tmp_path / name, tasks=tasks, setting=Setting(limit=20), engine=engine)
        _assert_same(tmp_path)

    def test_predictions(self, cluster: Any, tmp_path: Path) -> None:
        file = _ratings(tmp_path)
        for name, engine in (("here", None), ("there", RayEngine(address=cluster.address, cpus_each=1))):
            settings = PredictSettings(representation="examples:4:informative")
            predict(PredictSources(file), tmp_path / name, model="scripted", settings=settings, engine=engine)
        _assert_same(tmp_path)

    def test_the_table_of_raters_and_candidates(self, cluster: Any, tmp_path: Path) -> None:
        ratings = read_ratings(_ratings(tmp_path))
        profiles = {rater: f"Rater {rater} likes cats." for rater in ratings.rater_ids}
        for name, engine in (("here", None), ("there", RayEngine(address=cluster.address, cpus_each=1))):
            settings = ClusterSettings(k=(2, 3), n_candidates=10)
            cluster_profiles(ratings, profiles, tmp_path / name, model="scripted", settings=settings, engine=engine)
        _assert_same(tmp_path)

    def test_values(self, cluster: Any, tmp_path: Path) -> None:
        situations = sample_situations(70, seed=0)
        for name, engine in (("here", None), ("there", RayEngine(address=cluster.address, cpus_each=1))):
            settings = SystemSettings(n=6, explain=False)
            surface(situations, "embedded", settings, out=tmp_path / name, engine=engine)
        _assert_same(tmp_path)

    def test_a_node_that_is_lost_costs_what_it_had_in_hand(self, cluster: Any, tmp_path: Path) -> None:
        node = cluster.add_node(num_cpus=1)
        engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=4)
        log, done = tmp_path / "log", Counter[str]()

        def tell(what: str, n: int, total: int, note: str = "") -> None:
            done["told"] += 1
            if n == 8 and done["killed"] == 0:
                done["killed"] = 1
                cluster.remove_node(node)

        units = [Unit(f"part-{n}", functools.partial(_counted, f"part-{n}", str(log), 0.4), 1) for n in range(32)]
        with _run(tmp_path / "run") as run:
            found = run_units(run, units, ScriptedModel(), engine=engine, tell=tell)
        assert [one.table["name"][0] for one in found] == [unit.name for unit in units]
        times = Counter(log.read_text().split())
        assert set(times) == {unit.name for unit in units}
        assert done["killed"] == 1
        assert engine.lost > 0
        assert sum(times.values()) - len(units) <= engine.lost <= 2

    def test_a_driver_that_is_killed_goes_on(self, cluster: Any, tmp_path: Path) -> None:
        log, steps = tmp_path / "log", tmp_path / "run" / "steps"
        command = [sys.executable, str(Path(__file__).with_name("driven.py")), cluster.address, str(tmp_path / "run"), str(log)]
        with subprocess.Popen(command) as driver:
            deadline = time.monotonic() + 120
            while len(list(steps.glob("part-*.usage.json"))) < 6 and time.monotonic() < deadline:
                time.sleep(0.05)
            driver.send_signal(signal.SIGKILL)
        finished = {path.stem for path in steps.glob("part-*.parquet")}
        assert 6 <= len(finished) < 30
        subprocess.run(command, check=True, timeout=120)
        tables = sorted(path.stem for path in steps.glob("part-*.parquet"))
        assert len(tables) == 30
        times = Counter(log.read_text().split())
        assert set(times) == set(tables)
        assert all(times[name] == 1 for name in finished), "what was finished is not computed again"
        assert sum(times.values()) <= 30 + 2 * 3, "of each of 3 actors two units were under way"

    def test_a_unit_that_ends_its_process_is_put_aside(self, cluster: Any, tmp_path: Path) -> None:
        units = [_unit("part-0"), Unit("part-1", _exits, 1), _unit("part-2"), _unit("part-3")]
        engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=2)
        with _run(tmp_path / "run") as run:
            with pytest.raises(RunError, match=r"1 of 4 units failed 3 times.*part-1: the process that worked on it died"):
                run_units(run, units, ScriptedModel(), engine=engine)
            assert {"part-0", "part-2", "part-3"} <= set(run.finished_steps())

    def test_a_full_disk_on_one_node_is_left_to_the_others(self, cluster: Any, tmp_path: Path) -> None:
        head = cluster.head_node.node_id
        units = [Unit(f"part-{n}", functools.partial(_full_on, head, n), 1) for n in range(9)]
        engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=3)
        with _run(tmp_path / "run") as run:
            found = run_units(run, units, ScriptedModel(), engine=engine)
        assert [one.table["n"][0] for one in found] == list(range(9))
        assert engine.counts.n_failed > 0

    def test_a_full_disk_here_ends_the_run(self, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=1)
        with _run(tmp_path / "run") as run:
            monkeypatch.setattr(os, "fsync", full)
            with pytest.raises(RunError, match="cannot be written: No space left on device"):
                run_units(run, [_unit("part-0")], ScriptedModel(), engine=engine)
            assert run.finished_steps() == []

    def test_other_packages_or_another_model(self, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=1)
        with _run(tmp_path / "run") as run:
            for opening, what in (
                (SCRIPTED, "has another model"),
                (_opening_fails, "could not open the model: OSError: no folder"),
            ):
                with engine.holding(opening, "other") as at_work, pytest.raises(RunError, match=what):
                    run_units(run, [_unit("a")], ScriptedModel(), engine=at_work)
            there = ray_engine._versions()
            monkeypatch.setattr(ray_engine, "_versions", lambda: {**there, "polars": "0.1"})
            with pytest.raises(RunError, match=rf"other packages.*polars {there['polars']} \(here 0.1\); install the same"):
                run_units(run, [_unit("a")], ScriptedModel(), engine=engine)

    def test_no_room_and_nothing_to_send(self, cluster: Any, tmp_path: Path) -> None:
        with _run(tmp_path / "run") as run:
            engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, gpus_each=0.5)
            with pytest.raises(RunError, match=r"no node of the cluster has the 1 CPU and 0.5 GPU.*they have 1 CPU, 0 GPU"):
                run_units(run, [_unit("a")], ScriptedModel(), engine=engine)
            engine = RayEngine(opening=SCRIPTED, address=cluster.address, cpus_each=1, n_actors=1)
            with (tmp_path / "open").open("w") as file:
                unit = Unit("part-x", functools.partial(_exits, file), 1)
                with pytest.raises(RunError, match="part-x cannot be sent to another process"):
                    run_units(run, [unit], ScriptedModel(), engine=engine)


def _opening_fails() -> LanguageModel:
    raise OSError("no folder of this name")


def _exits(*_: Any) -> pl.DataFrame:
    os._exit(1)


def _full_on(node: str, n: int, model: LanguageModel) -> pl.DataFrame:
    import ray

    if ray.get_runtime_context().get_node_id() == node:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return pl.DataFrame({"n": [n]})


def _ratings(folder: Path) -> Path:
    """Sixty raters of 40 items, a third of the ratings missing."""
    rows = [
        {"item": f"i{i}", "item_text": f"Item {i}.", "rater": f"r{r:02d}", "rating": str((i * r + i // 3) % 3)}
        for r in range(60)
        for i in range(40)
        if (i + 2 * r) % 3
    ]
    file = folder / "ratings.csv"
    pl.DataFrame(rows).write_csv(file)
    return file


def _assert_same(folder: Path) -> None:
    """All tables of the two runs, byte by byte."""
    here, there = ({p.name: p.read_bytes() for p in (folder / name).glob("*.parquet")} for name in ("here", "there"))
    assert here
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    steps = [sorted(p.name for p in (folder / name / "steps").iterdir()) for name in ("here", "there")]
    assert steps[0] == steps[1]
    assert sum(name.endswith(".usage.json") for name in steps[0]) > 2, "there were several units"
