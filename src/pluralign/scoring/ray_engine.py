"""Units on other processes and machines, by Ray (extra `ray`): a pool of actors that each hold the model.

    --engine ray                    a cluster on this machine, or the one that RAY_ADDRESS names
    --engine ray://HOST:10001       a cluster that runs, by Ray's client server

Only the process that was started writes: an actor gives a unit's table back, which is kept at once. So a lost actor or node
costs the units it had in hand, which others take over, and a killed driver costs those that were under way; nothing is lost or
kept twice. A unit that fails is tried a few times, by another actor if there is one, and then put aside; all others are
finished first. An actor has two units in hand at most, and what waits stays here, so nothing piles up anywhere.

Versions of packages and the model's fingerprint are compared before an actor gets work, and it has as many threads as there
are here, so that records are the same to the last digit, as far as the nodes' processors are of one kind. The model is opened
here too, to be compared, and by its name in each actor, so a folder has to be there on every node. Actors have no cache of
answers: it is a file of one machine; the run folder remembers what is finished.

Ray pickles what it sends between the cluster's own processes; nothing that is read from a file is ever unpickled here.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from pluralign import __version__
from pluralign.errors import MissingExtraError, RunError, UsageError
from pluralign.runs import Run
from pluralign.scoring.ray_pool import ATTEMPTS, Counts, Pool, Wanted
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import AnyModel, Engine, Opening, Unit, measured_part

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["RayEngine", "opened_engine"]

CONNECT_S = 10.0
"""Until a cluster counts as not there."""


@dataclass(kw_only=True)
class RayEngine:
    """See the module, and `units.ModelEngine`."""

    opening: Opening | None = None
    """Makes the model in each actor, in place of the name of the model that is asked."""
    address: str | None = None
    """HOST:PORT, or ray://HOST:PORT of the client server; else a cluster of this machine."""
    n_actors: int | None = None
    """Default: as many as the cluster has processors (or GPUs) for."""
    cpus_each: float | None = None
    """Default: as many as this process has threads for a model, or fewer where otherwise not all actors would find room."""
    gpus_each: float = 0.0
    """May be a fraction, so that small models share a device."""
    counts: Counts = field(default_factory=Counts, init=False, compare=False)
    """What happened."""

    def __post_init__(self) -> None:
        if self.n_actors is not None and self.n_actors < 1:
            raise UsageError(f"--actors {self.n_actors}: it is a number of processes, at least 1.")
        if (self.cpus_each or 0) < 0 or self.gpus_each < 0 or (self.gpus_each > 1 and self.gpus_each % 1):
            raise UsageError(f"--gpus-each {self.gpus_each:g}: it is a part of a GPU, such as 0.25, or a whole number.")

    def check(self) -> None:
        """Raises MissingExtraError without Ray."""
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError("ray", extra="ray")

    @property
    def lost(self) -> int:
        """Units that were started again since an actor was lost."""
        return self.counts.n_lost

    @contextlib.contextmanager
    def holding(self, opening: Opening, fingerprint: str | None = None) -> Iterator[Engine]:
        """See `units.ModelEngine`; connects when there is something to do."""
        with contextlib.ExitStack() as stack:
            yield _AtWork(self, opening, fingerprint, stack)

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        """See `units.Engine`; the actors are there for these units only."""
        if self.opening is None:
            raise UsageError("this engine has no opening of a model: give it one, or use `units.held`.")
        with self.holding(self.opening) as at_work:
            at_work.finish(run, units, on_unit)


class _AtWork:
    """An engine whose actors stay until it is left."""

    def __init__(self, engine: RayEngine, opening: Opening, fingerprint: str | None, stack: contextlib.ExitStack) -> None:
        self.engine, self.stack = engine, stack
        self.wanted = Wanted(
            opening, _versions(), fingerprint, engine.n_actors, engine.cpus_each, engine.gpus_each, threads=_threads()
        )
        self.pool: Pool | None = None

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        """See `units.Engine`."""
        if not units:
            return
        if self.pool is None:
            ray = self.stack.enter_context(_connected(self.engine.address))
            self.pool = Pool(ray, _ModelActor, self.wanted, self.engine.counts)
            self.stack.callback(self.pool.close)
        faults = self.pool.work(run, units, on_unit)
        if faults:
            shown = "; ".join(f"{name}: {said}" for name, said in list(faults.items())[:3])
            raise RunError(
                f"{len(faults)} of {len(units)} units failed {ATTEMPTS} times each and were put aside, the others are "
                f"finished and kept; the same command tries those again. {shown}"
            )


class _ModelActor:
    """Holds a model in a process of its own. What fails comes back as text: not every error can be sent."""

    model: AnyModel

    def about(self) -> tuple[str, dict[str, str]]:
        """Its machine, and what has to be the same on all of them."""
        return platform.node(), _versions()

    def open(self, opening: Opening) -> tuple[str, str]:
        """The model's fingerprint, and what went wrong."""
        try:
            self.model = opening()
            return self.model.fingerprint(), ""
        except Exception as error:
            return "", _said(error)

    def work(self, function: Callable[..., pl.DataFrame], *args: Any) -> tuple[pl.DataFrame, Totals] | str:
        try:
            return measured_part(self.model, lambda: function(*args, self.model))
        except Exception as error:
            return _said(error)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _threads() -> int | None:
    """Of a local model here; None where none is open. Sums come out differently in the last digit with another number."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _versions() -> dict[str, str]:
    """Of what may change a number, or how it is sent; empty where it is not installed."""
    found = {"python": platform.python_version(), "pluralign": __version__, "polars": pl.__version__}
    for name in ("numpy", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[ModuleType]:
    """Ray, at this cluster; as it is if it is connected already."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that is started here: else all other work goes first
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), extra="ray") from error
    if ray.is_initialized():
        yield ray
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(where)
    dashboard = False if where == "local" else None
    try:
        ray.init(address=where, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise RunError(f"--engine ray: the cluster at {where} cannot be used: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(where: str) -> None:
    """Ray itself tries for a minute, and some of its versions then end the process."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host:
        return
    if where.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise MissingExtraError("grpcio", extra="ray")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RunError(
            f"--engine ray: no cluster answers at {where}: {error}. Start one with `ray start --head` (its client server "
            "listens on port 10001), or write --engine ray for this machine alone."
        ) from error


def opened_engine(
    name: str | None, opening: Opening | None = None, *, n_actors: int | None = None, gpus_each: float = 0.0
) -> RayEngine | None:
    """The engine of this name; None for none. Raises UsageError for an unknown one.

    >>> opened_engine("ray", n_actors=2).n_actors
    2
    """
    if name is None or name == "local":
        if n_actors is not None or gpus_each:
            raise UsageError("--actors and --gpus-each are of --engine ray; without it there is one process.")
        return None
    if name != "ray" and not name.startswith("ray://"):
        raise UsageError(f"--engine {name!r}: write local, ray, or ray://HOST:PORT.")
    return RayEngine(opening=opening, address=None if name == "ray" else name, n_actors=n_actors, gpus_each=gpus_each)
