"""The losses of held-out ratings under every representation, from a study's records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.raters.findings import RowKind

__all__ = ["HeldOutLosses", "labelled"]

FloatArray = npt.NDArray[np.float64]


def labelled(representation: str) -> tuple[str, RowKind]:
    """The words for people and the kind of a representation.

    >>> labelled("examples:1"), labelled("attribute:age")
    (('1 past rating', 'examples'), ('age', 'attribute'))
    """
    kind, _, detail = representation.partition(":")
    if kind == "examples":
        return (f"{detail} past rating{'s' if detail != '1' else ''}", "examples")
    if kind == "clusters":
        return (f"{detail} clusters", "clusters")
    if kind == "attribute":
        return (detail, "attribute")
    return ("all attributes", "attributes") if kind == "attributes" else ("nothing", "nothing")


class HeldOutLosses:
    """Held-out losses [evaluated] of every representation over the same rows, and whose they are.

    A representation that some fold could not form (more clusters than raters) has fewer rows: `incomplete` names it.
    """

    def __init__(self, records: pl.DataFrame) -> None:
        parts = {str(p["representation"][0]): p for p in records.partition_by("representation", maintain_order=True)}
        first = parts["nothing"]
        self.parts = {name: part for name, part in parts.items() if part.height == first.height}
        self.incomplete = [name for name in parts if name not in self.parts]
        self.rater = first["rater_index"].to_numpy().astype(np.int64)
        self.rating = first["rating_index"].to_numpy().astype(np.int64)
        self.nats: dict[str, FloatArray] = {}
        self.n_impossible: dict[str, int] = {}
        """Representation -> how many ratings it had called impossible: their loss, and its mean, are infinite."""
        for name in self.parts:
            given = self.probabilities(name)[np.arange(len(self.rating)), self.rating]
            with np.errstate(divide="ignore"):
                self.nats[name] = -np.log(given)
            if (given == 0).any():
                self.n_impossible[name] = int((given == 0).sum())

    def probabilities(self, representation: str) -> FloatArray:
        """[evaluated, options], as they were kept in float32."""
        return np.asarray(self.parts[representation]["probabilities"].to_numpy(), dtype=np.float64)
