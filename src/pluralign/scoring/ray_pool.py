"""The actors of `ray_engine`, the units they have in hand, and those that wait.

An actor says which packages it has, opens the model, and only then gets work; so one that the cluster has no room for holds
nothing back. It gets a second unit while it works on its first, as long as there are enough for everybody.

Which unit is next: one that begins with the text that this actor read last (a server or engine that remembers beginnings has
it still); else one whose beginning no other actor has read last; else the first that waits, so that nobody idles.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from pluralign.errors import RunError
from pluralign.runs import Run
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import Opening, Unit, keep_unit

__all__ = ["ATTEMPTS", "Counts", "Member", "Pool", "Wanted", "next_unit"]

ATTEMPTS = 3
"""Of a unit whose work fails."""
IN_HAND = 2
"""Units an actor has: one that it works on and one that waits; more would only be lost together."""
LOOK_AHEAD = 64
"""Waiting units among which the next one is chosen."""
ROOM_S = 300.0
"""Until a cluster in which no actor starts counts as full."""
_WAIT_S = 5.0


@dataclass(slots=True)
class Counts:
    """What happened."""

    n_actors: int = 0
    """Started, in place of lost ones too."""
    n_lost: int = 0
    """Units that were started again since an actor was lost."""
    n_failed: int = 0
    """Attempts at units that failed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of each actor."""

    opening: Opening
    versions: Mapping[str, str]
    fingerprint: str | None
    """Of the model; None: not compared."""
    n: int | None
    cpus: float | None
    """None: one for each thread, or fewer where otherwise not all would find room."""
    gpus: float
    threads: int | None
    """None: as Ray has it."""


@dataclass(eq=False, slots=True)
class Member:
    """An actor."""

    handle: Any
    state: Literal["starting", "opening", "ready"] = "starting"
    in_hand: list[Unit] = field(default_factory=list)
    """In the order of its work."""
    failed: set[str] = field(default_factory=set)
    """Names of units that failed here."""
    begins: str = ""
    """Of the unit that it was given last."""
    host: str = ""
    """Name of its machine."""


@dataclass(eq=False, slots=True)
class _Job:
    """Units that are to be finished."""

    run: Run
    waiting: deque[Unit]
    on_unit: Callable[[Unit, Totals], None]
    n_left: int
    attempts: Counter[str] = field(default_factory=Counter)
    """That failed."""
    faults: dict[str, str] = field(default_factory=dict)
    """Of units that were put aside."""

    def keep(self, unit: Unit, table: pl.DataFrame, took: Totals) -> None:
        keep_unit(self.run, unit.name, table, took)
        self.n_left -= 1
        self.on_unit(unit, took)

    def again(self, unit: Unit, why: str, *, is_first: bool) -> None:
        """Unless that was the last attempt."""
        self.attempts[unit.name] += 1
        if self.attempts[unit.name] >= ATTEMPTS:
            self.faults[unit.name] = why
            self.n_left -= 1
        elif is_first:
            self.waiting.appendleft(unit)
        else:
            self.waiting.append(unit)


class Pool:
    """See the module. `ray` is the package, connected."""

    def __init__(self, ray: Any, actor: type, wanted: Wanted, counts: Counts) -> None:
        self.ray, self.wanted, self.counts = ray, wanted, counts
        cpus, room = self._cpus_and_room()
        variables = {} if wanted.threads is None else {"env_vars": {"OMP_NUM_THREADS": str(wanted.threads)}}
        self.remote = ray.remote(num_cpus=cpus, num_gpus=wanted.gpus, max_restarts=0, runtime_env=variables)(actor)
        self.n = wanted.n or room
        self.members: list[Member] = []
        self.pending: dict[Any, tuple[Member, Unit | None]] = {}
        """What will come: about the member itself where there is no unit."""
        self.n_bad_starts = 0
        self.heard = time.monotonic()

    def work(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> dict[str, str]:
        """What was put aside, and why."""
        job, shared = _Job(run, deque(units), on_unit, len(units)), _Shared(self.ray, units)
        self.heard = time.monotonic()
        while job.n_left:
            self._hire(min(self.n, job.n_left))
            self._hand_out(job.waiting, shared)
            came = self._next()
            if came is not None:
                self._settle(job, *came)
        return job.faults

    def close(self) -> None:
        for member in self.members:
            self._kill(member)

    def _cpus_and_room(self) -> tuple[float, int]:
        """Of each actor, and actors that there is room for. Raises RunError for none."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        cpus = self.wanted.cpus if self.wanted.cpus is not None else float(self.wanted.threads or 1)
        room = self._room(nodes, cpus)
        if self.wanted.cpus is None and room < (self.wanted.n or 1):
            share = sum(have.get("CPU", 0) for have in nodes) / (self.wanted.n or 1)
            cpus = min(cpus, max(have.get("CPU", 0) for have in nodes), share)
            cpus = math.floor(cpus) if cpus >= 1 else math.floor(100 * cpus) / 100
            room = self._room(nodes, cpus)
        if room < 1:
            each = {"CPU": cpus, "GPU": self.wanted.gpus}
            asked = " and ".join(f"{n:g} {kind}" for kind, n in each.items() if n)
            most = "; ".join(", ".join(f"{have.get(kind, 0):g} {kind}" for kind in each) for have in nodes)
            raise RunError(f"--engine ray: no node of the cluster has the {asked} that a process is to have; they have {most}.")
        return cpus, room

    def _room(self, nodes: Sequence[Mapping[str, float]], cpus: float) -> int:
        each = [(kind, n) for kind, n in (("CPU", cpus), ("GPU", self.wanted.gpus)) if n]
        return sum(int(min((have.get(kind, 0) / n for kind, n in each), default=1)) for have in nodes)

    def _hire(self, n: int) -> None:
        while len(self.members) < n:
            member = Member(self.remote.remote())
            self.members.append(member)
            self.pending[member.handle.about.remote()] = (member, None)
            self.counts.n_actors += 1

    def _next(self) -> tuple[Member, Unit | None, Any] | None:
        """What came: of which member, about which unit; None where nothing came for a while."""
        ready, _ = self.ray.wait(list(self.pending), num_returns=1, timeout=_WAIT_S)
        if ready:
            self.heard = time.monotonic()
            member, unit = self.pending.pop(ready[0])
            try:
                return member, unit, self.ray.get(ready[0])
            except self.ray.exceptions.RayError as error:
                return member, unit, error
        if all(member.state == "starting" for member in self.members) and time.monotonic() - self.heard > ROOM_S:
            raise RunError(
                f"--engine ray: no process could start for {ROOM_S:.0f} s; the cluster has no room: wait for other work on it, "
                "or ask for fewer or smaller processes (--actors, --gpus-each)."
            )
        return None

    def _settle(self, job: _Job, member: Member, unit: Unit | None, came: Any) -> None:
        if isinstance(came, self.ray.exceptions.RayActorError):
            lost = self._lose(member, came)
            job.waiting.extendleft(reversed(lost[1:]))
            if lost:
                job.again(lost[0], f"the process that worked on it died: {_last_line(came)}", is_first=True)
        elif unit is None:
            self._start(member, came)
        else:
            member.in_hand.remove(unit)
            if isinstance(came, tuple):
                job.keep(unit, *came)
                return
            self.counts.n_failed += 1
            member.failed.add(unit.name)
            job.again(unit, came if isinstance(came, str) else _last_line(came), is_first=False)

    def _start(self, member: Member, came: Any) -> None:
        """Takes what a new member said of itself. Raises RunError where it cannot be used."""
        if isinstance(came, BaseException):
            raise RunError(f"--engine ray: a process cannot work: {_last_line(came)}") from came
        if member.state == "starting":
            member.host, there = came
            here = self.wanted.versions
            pairs = [(name, there.get(name, "missing"), here.get(name, "missing")) for name in sorted({*here, *there})]
            if other := ", ".join(f"{name} {theirs} (here {ours})" for name, theirs, ours in pairs if theirs != ours):
                raise RunError(
                    f"--engine ray: node {member.host} has other packages than this machine: {other}; install the same."
                )
            member.state = "opening"
            self.pending[member.handle.open.remote(self.wanted.opening)] = (member, None)
            return
        fingerprint, fault = came
        if fault:
            raise RunError(f"--engine ray: node {member.host} could not open the model: {fault}")
        if self.wanted.fingerprint not in (None, fingerprint):
            raise RunError(
                f"--engine ray: node {member.host} has another model than this machine: other weights, precision or kind of "
                "device; pass --revision, --dtype and --device, and --gpus-each where it is to be a GPU."
            )
        member.state = "ready"

    def _lose(self, member: Member, why: BaseException) -> list[Unit]:
        """A lost actor's units, the one that it worked on first. Raises RunError where none can be started."""
        if member not in self.members:
            return []
        self.members.remove(member)
        self.pending = {ref: (one, unit) for ref, (one, unit) in self.pending.items() if one is not member}
        self._kill(member)
        self.n_bad_starts = 0 if member.state == "ready" else self.n_bad_starts + 1
        if self.n_bad_starts >= ATTEMPTS:
            raise RunError(
                f"--engine ray: {ATTEMPTS} processes one after the other died as they started: {_last_line(why)}"
            ) from why
        self.counts.n_lost += len(member.in_hand)
        return member.in_hand

    def _kill(self, member: Member) -> None:
        with contextlib.suppress(Exception):  # it may be gone, or the cluster with it
            self.ray.kill(member.handle)

    def _hand_out(self, waiting: deque[Unit], shared: _Shared) -> None:
        ready = [member for member in self.members if member.state == "ready"]
        for n_in_hand in range(IN_HAND):
            for member in ready:
                if len(member.in_hand) > n_in_hand or (n_in_hand and len(waiting) < len(ready)):
                    continue
                unit = next_unit(member, ready, waiting)
                if unit is not None:
                    self._give(member, unit, shared)

    def _give(self, member: Member, unit: Unit, shared: _Shared) -> None:
        try:
            self.pending[member.handle.work.remote(*shared.call(unit))] = (member, unit)
        except Exception as error:  # whatever an object says that cannot be sent
            raise RunError(f"--engine ray: {unit.name} cannot be sent to another process: {error}") from error
        member.in_hand.append(unit)
        member.begins = unit.begins


def next_unit(member: Member, ready: Sequence[Member], waiting: deque[Unit]) -> Unit | None:
    """The one that this actor is given, taken out of those that wait; None for none. See the module."""
    others = [one for one in ready if one is not member]
    theirs = {one.begins for one in others}
    ahead = list(itertools.islice(waiting, LOOK_AHEAD))
    free = [
        n for n, unit in enumerate(ahead) if unit.name not in member.failed or all(unit.name in one.failed for one in others)
    ]
    mine = (n for n in free if ahead[n].begins and ahead[n].begins == member.begins)
    nobodys = (n for n in free if not ahead[n].begins or ahead[n].begins not in theirs)
    chosen = next(itertools.chain(mine, nobodys, free), None)
    if chosen is None:
        return None
    del waiting[chosen]
    return ahead[chosen]


class _Shared:
    """Arguments that several units have, such as a table of ratings, are sent to each node once."""

    def __init__(self, ray: Any, units: Sequence[Unit]) -> None:
        self.ray = ray
        calls = [unit.compute for unit in units if isinstance(unit.compute, functools.partial)]
        times = Counter(id(arg) for call in calls for arg in call.args if not isinstance(arg, str | int | float | None))
        self.ids = {key for key, n in times.items() if n > 1}
        self.sent: dict[int, Any] = {}

    def call(self, unit: Unit) -> tuple[Any, ...]:
        """A function and its arguments but the model."""
        compute = unit.compute
        if not isinstance(compute, functools.partial) or compute.keywords:
            return (compute,)
        return (compute.func, *(self._of(arg) for arg in compute.args))

    def _of(self, arg: Any) -> Any:
        if id(arg) not in self.ids:
            return arg
        if id(arg) not in self.sent:
            self.sent[id(arg)] = self.ray.put(arg)
        return self.sent[id(arg)]


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
