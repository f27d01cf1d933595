"""What is known about a source before it is read: where it comes from, whose it is, how large, what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pluralign.suite.evaluation import Evaluation
from pluralign.suite.task import Task

__all__ = ["Access", "Card", "Hub", "Local", "Manual", "OnRequest", "Repository", "Simulated", "Source", "Url"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """Drawn from a law; there is nothing to read."""

    files: tuple[str, ...] = ()

    def how(self, file: str) -> str:
        return "nowhere: it is simulated"


@dataclass(frozen=True, slots=True)
class Hub:
    """Data files of a data set of the Hugging Face hub, never its scripts. `suite.hub` fetches them."""

    repo: str
    files: tuple[str, ...]
    revision: str | None
    """A commit. Where none could be looked up, a branch, or None for `main`: a build records what it got."""
    gated: bool = False
    """Its terms have to be accepted there first."""

    def how(self, file: str) -> str:
        terms = " (accept its terms there first)" if self.gated else ""
        revision = quote(self.revision or "main", safe="")  # a branch such as refs/convert/parquet is one part of the address
        return f"https://huggingface.co/datasets/{self.repo}/resolve/{revision}/{quote(file)}{terms}"


@dataclass(frozen=True, slots=True)
class Repository:
    """Files of a git repository, at one commit; a folder stands for what lies in it."""

    url: str
    commit: str | None
    """None where it could not be looked up."""
    files: tuple[str, ...]
    below: Mapping[str, str] = field(default_factory=dict)
    """File to its path in the repository, where that is another one."""

    def how(self, file: str) -> str:
        commit = f", commit {self.commit}" if self.commit else ""
        path = f", as {self.below[file]}" if file in self.below else ""
        return f"the repository {self.url}{commit}{path}"


@dataclass(frozen=True, slots=True)
class Url:
    """Files that can be fetched as they are: one address."""

    address: str
    files: tuple[str, ...]

    def how(self, file: str) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Manual:
    """Files behind a form, a login or a page that people have to click through."""

    files: tuple[str, ...]
    instructions: str

    def how(self, file: str) -> str:
        return self.instructions


@dataclass(frozen=True, slots=True)
class OnRequest:
    """Files that their authors give out when asked."""

    files: tuple[str, ...]
    instructions: str

    def how(self, file: str) -> str:
        return self.instructions


@dataclass(frozen=True, slots=True)
class Local:
    """Files of the user's own, wherever they lie: a data folder has no say in it."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    """What a file is called, without its folder, to where it is."""

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.paths)

    def how(self, file: str) -> str:
        return "nowhere else: it is a file of your own"


Access = Simulated | Hub | Repository | Url | Manual | OnRequest | Local
"""`files`: paths below the source's folder; `how(file)`: where to get one of them, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A source, as far as it can be known without reading it."""

    name: str
    what: str
    """One or two sentences."""
    citation: str
    licence: str
    access: Access
    ran_on_real_file: bool
    """False where the loader has met only made-up rows of the documented shape. True too where there is nothing to read."""
    rows: int | None = None
    """Of the files, where known."""
    units: int | None = None
    """People, lists, parameter draws that episodes belong to, where known."""
    unit: str = "person"
    chance: Mapping[str, float] = field(default_factory=dict)
    """Task to the share of right answers of uniform guessing; only where the answers are a closed set of equal standing."""
    problems: tuple[str, ...] = ()
    """What a user should know: faults of the data, overlaps, departures."""
    folder: str | None = None
    """Below the data folder; the source's name if not given."""
    each_alone: bool = False
    """Each file can be used without the others: what is there is drawn from, and a build names what is missing."""

    @property
    def place(self) -> str:
        """The source's folder below the data folder."""
        return self.folder or self.name

    @property
    def standing(self) -> str:
        """How far the loader has been tried: one phrase."""
        if isinstance(self.access, Simulated):
            return "simulated: there is nothing to read"
        if isinstance(self.access, Local):
            return "a file of your own"
        return "run on the real file" if self.ran_on_real_file else "not run on the real file"


@dataclass(frozen=True, slots=True)
class Source:
    """A card, how its rows are read, and the tasks that are made of them."""

    card: Card
    load: Callable[[Path | None], Any]
    """From the source's folder; the tasks' `strands` take what it gives. Called only when episodes are asked for."""
    tasks: tuple[Task, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    """Questions with a known distribution of answers, and requests with a validator: see `suite.evaluation`."""

    def folder(self, data_dir: Path | None) -> Path | None:
        """The source's folder below this one."""
        return None if data_dir is None else data_dir / self.card.place

    def files(self, task: Task | Evaluation | None = None) -> tuple[str, ...]:
        """Those that this task needs, or all of the source."""
        return self.card.access.files if task is None or task.files is None else task.files
