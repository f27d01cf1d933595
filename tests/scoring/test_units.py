"""Units of work: once each, in their order, here or elsewhere, and the same records whoever does them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import ModelError, RunError, UsageError
from pluralign.models import LanguageModel, Query, ScriptedModel, open_model
from pluralign.runs import Run, RunConfig
from pluralign.scoring import score
from pluralign.scoring.ray_engine import RayEngine, opened_engine
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import Unit, keep_unit, measured_part, run_units

QUERY = Query(Episode("coin", (), "A coin.", ("heads", "tails")))


def _asked(number: int, model: LanguageModel) -> pl.DataFrame:
    if number == 3:
        raise ModelError("this unit always fails")
    (found,) = model.option_logprobs([QUERY])
    return pl.DataFrame({"number": [number], "logprob": [float(found.logprobs[0])]})


def _units(numbers: Sequence[int]) -> list[Unit]:
    return [Unit(f"part-{n}", functools.partial(_asked, n), 1) for n in numbers]


def _run(folder: Path) -> Run:
    return Run.open(folder, RunConfig(command="test"))


class Backwards:
    """An engine that works from the last to the first."""

    def __init__(self) -> None:
        self.model = ScriptedModel()

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        for unit in reversed(units):
            table, took = measured_part(self.model, functools.partial(unit.compute, self.model))
            keep_unit(run, unit.name, table, took)
            on_unit(unit, took)


def test_tables_come_in_order_whoever_made_them(tmp_path: Path) -> None:
    with _run(tmp_path / "here") as here, _run(tmp_path / "there") as there:
        local = run_units(here, _units([0, 1, 2]), ScriptedModel())
        other = run_units(there, _units([0, 1, 2]), ScriptedModel(), engine=Backwards())
    assert [one.table.to_dicts() for one in local] == [one.table.to_dicts() for one in other]
    assert [one.table["number"][0] for one in other] == [0, 1, 2]
    assert all(one.is_new for one in other)


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    with _run(tmp_path / "run") as run:
        run_units(run, _units([0, 1]), ScriptedModel())
        engine, here = Backwards(), ScriptedModel()
        found = run_units(run, _units([0, 1, 2]), here, engine=engine)
    assert engine.model.usage.requests == 1
    assert here.usage.requests == 0
    assert [one.is_new for one in found] == [False, False, True]


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with _run(tmp_path / "run") as run:
        run_units(run, _units([0, 1]), ScriptedModel(), tell=lambda what, done, total, note="": told.append((done, total)))
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)


def test_names_of_engines() -> None:
    opening = functools.partial(open_model, "scripted")
    assert opened_engine(None, opening) is None
    assert opened_engine("local", opening) is None
    assert opened_engine("ray://head:10001", opening, n_actors=2) == RayEngine(
        opening=opening, address="ray://head:10001", n_actors=2
    )
    with pytest.raises(UsageError, match="ray://HOST"):
        opened_engine("spark", opening)


@pytest.mark.slow
class TestRay:
    """On a cluster of this machine; needs the extra `ray`."""

    @pytest.fixture(autouse=True)
    def _needs_ray(self) -> None:
        pytest.importorskip("ray")

    @pytest.mark.filterwarnings("ignore")
    def test_records_are_the_same_byte_by_byte(self, tmp_path: Path) -> None:
        file = tmp_path / "coins.jsonl"
        examples = tuple(Example(side) for side in ("heads", "tails", "heads"))
        write_episodes(file, (Episode("coin", examples, f"Coin {n}.", ("heads", "tails")) for n in range(700)))
        score(file, tmp_path / "here", model="scripted")
        score(
            file, tmp_path / "there", model="scripted", engine=opened_engine("ray", functools.partial(open_model, "scripted"))
        )
        first, second = ((tmp_path / name / "records.parquet").read_bytes() for name in ("here", "there"))
        assert first == second

    @pytest.mark.filterwarnings("ignore")
    def test_a_unit_that_always_fails_is_put_aside_and_the_rest_finishes(self, tmp_path: Path) -> None:
        engine = RayEngine(opening=functools.partial(open_model, "scripted"), n_actors=2)
        with _run(tmp_path / "run") as run:
            with pytest.raises(RunError, match=r"1 of 5 units failed 3 times.*this unit always fails"):
                run_units(run, _units([0, 1, 2, 3, 4]), ScriptedModel(), engine=engine)
            assert [name for name in run.finished_steps() if not name.endswith(".usage")] == [
                "part-0",
                "part-1",
                "part-2",
                "part-4",
            ]
