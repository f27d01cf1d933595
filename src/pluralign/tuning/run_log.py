"""metrics.jsonl of a run, one line a step or measure, and beside it a tracker that is installed: trackio or wandb."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pluralign.errors import RunError, UsageError
from pluralign.files import write_text_atomic

__all__ = ["RunLog", "Tracker", "TrackerName", "last_measure", "open_tracker", "read_log"]

TrackerName = Literal["trackio", "wandb"]


class Tracker(Protocol):
    """What trackio and wandb have in common."""

    def log(self, values: dict[str, Any], step: int | None = None) -> None: ...

    def finish(self) -> None: ...


class RunLog:
    """Lines of numbers. What a killed run wrote beyond its checkpoint is dropped when it goes on."""

    def __init__(self, path: Path | None, *, from_step: int, tracker: Tracker | None = None) -> None:
        """Without a path nothing is written: one process of several does it."""
        self._path = path
        self._tracker = tracker
        if path is None:
            return
        # a run that begins anew measures before its first step again
        kept = [line for line in read_log(path) if line["step"] <= from_step] if from_step else []
        write_text_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """One line, in the file before this returns. Raises RunError where the disk refuses."""
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise RunError(
                f"{self._path}: step {step} cannot be written: {error.strerror or error}; checkpoints are kept, make room and "
                "start the same command again."
            ) from error
        if self._tracker is not None:
            self._tracker.log(_flat(values), step=step)

    def close(self) -> None:
        """Ends the tracker's run."""
        if self._tracker is not None:
            self._tracker.finish()


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Lines of a metrics.jsonl, in order; a last line that was cut short is left out. Empty where there is no file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from error
    lines = text.split("\n")
    try:
        return [json.loads(line) for line in lines[:-1]]
    except ValueError as error:
        raise RunError(f"{path}: this is no list of JSON lines: {error}; move it away.") from error


def last_measure(path: str | os.PathLike[str]) -> Any:
    """The newest on held-out data in a metrics.jsonl; None where there is none."""
    measures = [line["held_out"] for line in read_log(path) if "held_out" in line]
    return measures[-1] if measures else None


def open_tracker(name: TrackerName, *, project: str, run: str, settings: Mapping[str, Any]) -> Tracker:
    """A run of this tracker. Raises UsageError where it is not installed, and for another name."""
    if name not in ("trackio", "wandb"):
        raise UsageError(f"tracker {name!r}: trackio and wandb are known.")
    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"tracker '{name}' is not installed; run: pip install {name}") from error
    module.init(project=project, name=run, config=dict(settings))
    tracker: Tracker = module
    return tracker


def _flat(values: Mapping[str, Any], front: str = "") -> dict[str, Any]:
    """Nested names joined by a slash; numbers only."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{front}{name}/")
        elif isinstance(value, int | float):
            flat[front + name] = value
    return flat
