"""Every exception that pluralign raises on purpose.

    PluralignError               a stated error: the command line prints it and exits 1
    ├── DataError                what came in cannot be used: a file, a table, a rating, a scale
    ├── UsageError               a call that cannot be right whatever the data are: an unknown name, a value out of range
    ├── NotFittedError           predictions asked of a model that has not been fitted
    ├── ModelError               a model or a server cannot do what was asked of it
    ├── MissingExtraError        an optional dependency is needed; the message prints the install line
    └── RunError                 a run folder cannot be used: another configuration, a file it did not write

A message says where, what came, what is allowed and what to do. `DataError` can carry many faults, because a file's
faults are reported all at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "DataError",
    "MissingExtraError",
    "ModelError",
    "NotFittedError",
    "PluralignError",
    "RunError",
    "UsageError",
    "nearest_name",
]


class PluralignError(Exception):
    """Base of all stated errors."""


class DataError(PluralignError):
    """Data that cannot be used; `faults` holds one sentence for each thing that is wrong.

    >>> print(DataError("votes.csv", ["no column 'rating'", "row 7: no rater"]))
    votes.csv: 2 faults
      - no column 'rating'
      - row 7: no rater
    >>> print(DataError("votes.csv", ["no column 'rating'"]))
    votes.csv: no column 'rating'
    """

    def __init__(self, where: str, faults: Sequence[str] | str) -> None:
        self.where = where
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        if len(self.faults) == 1:
            message = f"{where}: {self.faults[0]}"
        else:
            message = "\n".join([f"{where}: {len(self.faults)} faults", *(f"  - {fault}" for fault in self.faults)])
        super().__init__(message)


class UsageError(PluralignError):
    """A call that cannot be right, whatever the data are."""


class NotFittedError(PluralignError):
    """`fit` has to come before predictions."""


class ModelError(PluralignError):
    """A model that cannot be opened, or that cannot do what was asked; the message names the way round."""


class MissingExtraError(PluralignError):
    """An optional dependency is missing; the message prints the line that installs it.

    >>> print(MissingExtraError("torch", extra="local"))
    this needs the package 'torch', which is not installed; run: pip install 'pluralign[local]'
    """

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"this needs the package '{package}', which is not installed; run: pip install 'pluralign[{extra}]'")


class RunError(PluralignError):
    """A run folder that cannot be written to or resumed."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the nearest known one, and all that are allowed.

    >>> nearest_name("popqorn", ["popquorn", "polis"])
    "'popqorn' is unknown; did you mean 'popquorn'? Known: polis, popquorn"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean '{close[0]}'?" if close else "."
    return f"'{name}' is unknown{guess} Known: {', '.join(names)}"
