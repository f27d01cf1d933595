"""Units on other processes and machines, by Ray (extra `ray`): a pool of actors that each hold the model.

    --engine ray                    a local cluster, or the one that RAY_ADDRESS names
    --engine ray://HOST:10001       a cluster that runs

Only the process that was started writes: an actor gives a unit's table back, which is kept at once. So a lost actor or node
costs the units it had in hand, which others take over, and a killed driver costs those that were under way; nothing is lost or
kept twice. A unit whose work itself fails is tried a few times and then put aside; all others are finished first.

Ray pickles what it sends between the cluster's own processes; nothing that is read from a file is ever unpickled here. Actors
hold the model as it is opened by its name, so a folder has to be there on every node.
"""

from __future__ import annotations

import contextlib
import logging
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from pluralign import __version__
from pluralign.errors import MissingExtraError, RunError, UsageError
from pluralign.models import LanguageModel
from pluralign.runs import Run
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import Compute, Unit, keep_unit, measured_part

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["RayEngine", "opened_engine"]

Opening = Callable[[], LanguageModel]

ATTEMPTS = 3
"""Of a unit whose work fails."""
IN_HAND = 2
"""Units an actor has: one that it works on and one that waits; more would only be lost together."""
_COMPARED = ("python", "pluralign", "polars", "numpy")


@dataclass(kw_only=True)
class RayEngine:
    """`opening` makes the model in each actor."""

    opening: Opening
    address: str | None = None
    n_actors: int | None = None
    """Default: as many as the cluster has processors (or GPUs) for."""
    cpus_each: float = 1.0
    gpus_each: float = 0.0
    """May be a fraction, so that small models share a device."""
    lost: int = field(default=0, init=False)
    """Units that were started again since an actor was lost."""

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        """See `units.Engine`."""
        if not units:
            return
        with self._connected() as ray:
            pool = _Pool(ray, self)
            try:
                faults = pool.work(run, units, on_unit)
            finally:
                pool.close()
        if faults:
            shown = "; ".join(f"{name}: {said}" for name, said in list(faults.items())[:3])
            raise RunError(
                f"{len(faults)} of {len(units)} units failed {ATTEMPTS} times each and were put aside, the others are "
                f"finished and kept; the same command tries those again. {shown}"
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[ModuleType]:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), extra="ray") from error
        was_up = ray.is_initialized()
        if not was_up:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                raise RunError(f"--engine ray: no cluster answers at {self.address or 'this machine'}: {error}") from error
        try:
            yield ray
        finally:
            if not was_up:
                ray.shutdown()


class _ModelActor:
    """Holds a model in a process of its own."""

    def __init__(self, opening: Opening) -> None:
        self.model = opening()

    def about(self) -> dict[str, str]:
        """What has to be the same everywhere."""
        return {**_versions(), "model": self.model.fingerprint()}

    def work(self, compute: Compute) -> tuple[pl.DataFrame, Totals]:
        return measured_part(self.model, lambda: compute(self.model))


class _Pool:
    """Actors, the units they have in hand, and those that wait."""

    def __init__(self, ray: Any, engine: RayEngine) -> None:
        self.ray, self.engine = ray, engine
        self.remote = ray.remote(num_cpus=engine.cpus_each, num_gpus=engine.gpus_each, max_restarts=0)(_ModelActor)
        self.n = engine.n_actors or self._room()
        self.actors: dict[int, Any] = {}
        self.pending: dict[Any, tuple[int, Unit]] = {}
        self.next_number = 0

    def work(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> dict[str, str]:
        """What was put aside, and why."""
        waiting, failed, faults = deque(units), dict.fromkeys((unit.name for unit in units), 0), {}
        for _ in range(min(self.n, len(units))):
            self._hire()
        self._check_versions()
        while waiting or self.pending:
            self._hand_out(waiting)
            ready, _ = self.ray.wait(list(self.pending), num_returns=1)
            for one in ready:
                if one not in self.pending:
                    continue
                number, unit = self.pending.pop(one)
                try:
                    table, took = self.ray.get(one)
                except self.ray.exceptions.RayActorError:
                    self._replace(number, waiting, unit)
                except self.ray.exceptions.RayTaskError as error:
                    failed[unit.name] += 1
                    if failed[unit.name] < ATTEMPTS:
                        waiting.append(unit)
                    else:
                        faults[unit.name] = _last_line(error)
                else:
                    keep_unit(run, unit.name, table, took)
                    on_unit(unit, took)
        return faults

    def close(self) -> None:
        for actor in self.actors.values():
            with contextlib.suppress(Exception):  # it may be gone, or the cluster with it
                self.ray.kill(actor)

    def _room(self) -> int:
        have = self.ray.cluster_resources()
        kind, each = ("GPU", self.engine.gpus_each) if self.engine.gpus_each else ("CPU", self.engine.cpus_each)
        return max(1, int(have.get(kind, 1) // each))

    def _hire(self) -> None:
        self.actors[self.next_number] = self.remote.remote(self.engine.opening)
        self.next_number += 1

    def _hand_out(self, waiting: deque[Unit]) -> None:
        """The actor with the fewest units gets the next ones."""
        load = dict.fromkeys(self.actors, 0)
        for number, _ in self.pending.values():
            load[number] += 1
        while waiting and (number := min(load, key=lambda one: load[one])) is not None and load[number] < IN_HAND:
            unit = waiting.popleft()
            self.pending[self.actors[number].work.remote(unit.compute)] = (number, unit)
            load[number] += 1

    def _replace(self, number: int, waiting: deque[Unit], unit: Unit) -> None:
        """A lost actor's units go back to the front of the queue, and another one is hired."""
        lost = [unit, *(other for n, other in self.pending.values() if n == number)]
        self.pending = {one: pair for one, pair in self.pending.items() if pair[0] != number}
        waiting.extendleft(reversed(lost))
        self.engine.lost += len(lost)
        if self.actors.pop(number, None) is not None:
            self._hire()

    def _check_versions(self) -> None:
        here = _versions()
        for number, actor in list(self.actors.items()):
            try:
                there = self.ray.get(actor.about.remote())
            except self.ray.exceptions.RayActorError as error:
                raise RunError(f"--engine ray: actor {number + 1} could not open the model: {_last_line(error)}") from error
            other = [f"{name} {there[name]} (here {here[name]})" for name in _COMPARED if there[name] != here[name]]
            if other:
                raise RunError(
                    f"--engine ray: a node has other packages than this machine: {', '.join(other)}; install the same."
                )


def _versions() -> dict[str, str]:
    import numpy as np

    return {
        "python": platform.python_version(),
        "pluralign": __version__,
        "polars": pl.__version__,
        "numpy": np.__version__,
    }


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def opened_engine(
    name: str | None, opening: Opening, *, n_actors: int | None = None, gpus_each: float = 0.0
) -> RayEngine | None:
    """The engine of this name; None for none. Raises UsageError for an unknown one."""
    if name is None or name == "local":
        return None
    if name != "ray" and not name.startswith("ray://"):
        raise UsageError(f"--engine {name!r}: write local, ray, or ray://HOST:PORT.")
    return RayEngine(opening=opening, address=None if name == "ray" else name, n_actors=n_actors, gpus_each=gpus_each)
