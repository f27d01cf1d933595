"""What filling in ratings is told, and what it gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from pluralign.errors import UsageError, nearest_name
from pluralign.raters.individual_models import STATISTICAL, Privacy
from pluralign.raters.individual_scores import Judged
from pluralign.raters.recalibration import Recalibration
from pluralign.raters.representations import Representation
from pluralign.raters.stacking import Pool
from pluralign.ratings import Scale
from pluralign.scoring.totals import Prices, Totals

__all__ = ["POOLED", "PointLoss", "PredictSettings", "Predicted", "default_loss"]

PointLoss = Literal["mode", "median", "mean"]
POOLED = "pooled"
"""What the pool of all models is called in results."""
_LOSS: Mapping[str, PointLoss] = {"nominal": "mode", "ordinal": "median", "interval": "mean"}


def default_loss(scale: Scale) -> PointLoss:
    """What point answers are, where it is not said: mode, median, mean on a nominal, ordinal, interval scale."""
    return _LOSS[scale.kind]


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """How ratings are filled in."""

    representation: str = "attributes+examples:all"
    """What a language model is told of the rater."""
    loss: PointLoss | None = None
    """Default: by the scale (`default_loss`)."""
    stack: tuple[str, ...] = ()
    """Statistical models that are pooled with the model."""
    recalibrate: bool = True
    """Of a language model: learn from ratings kept apart which answers it favours, and how sure it is too much."""
    n_apart: int = 1000
    """Known ratings of each kind that are kept apart, at most."""
    most_tokens: int | None = None
    """Of a prompt and its answer. Default: what the model reads."""
    by: Literal["rater", "item"] = "rater"
    """What intervals resample."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss is not None and self.loss not in get_args(PointLoss):
            raise UsageError(f"loss: {nearest_name(self.loss, get_args(PointLoss))}")
        for name in self.stack:
            if name not in STATISTICAL:
                raise UsageError(f"--stack: {nearest_name(name, STATISTICAL)}")
        if len(set(self.stack)) < len(self.stack):
            raise UsageError(f"--stack names a model twice: {', '.join(self.stack)}")
        if self.n_apart < 1 or (self.most_tokens is not None and self.most_tokens < 1):
            raise UsageError(f"n_apart is {self.n_apart}, most_tokens {self.most_tokens}; lowest is 1.")
        Representation.parse(self.representation)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What was filled in, and how good it is as far as that is known."""

    model: str
    representation: str | None
    """None for a statistical model, which is told all past ratings."""
    loss: PointLoss
    table: pl.DataFrame
    """item_id, rater_id, kind, outcome, n_shown, n_left_out, answer, mean (of an ordered scale), true, p_OPTION."""
    items: pl.DataFrame
    """Soft labels: item_id, n_raters, p_OPTION."""
    pools: Mapping[str, Pool]
    """Kind to the pool of the models in the order of `members`."""
    members: Sequence[str]
    recalibrations: Mapping[str, Recalibration]
    apart: Mapping[str, Judged]
    """"MODEL: KIND" to how well it predicts ratings kept apart that nothing was learned from."""
    scores: Mapping[str, Judged]
    """Model to how well it predicts the true ratings, where some are given."""
    privacy: Privacy | None
    notes: Sequence[str]
    totals: Totals
    prices: Prices | None = None

    @property
    def outcomes(self) -> dict[str, int]:
        """How often each outcome is there; whatever is not "ok" has the marginal."""
        return dict(Counter(self.table["outcome"].to_list()).most_common())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the tables are files of their own."""
        return {
            "model": self.model,
            "representation": self.representation,
            "loss": self.loss,
            "members": list(self.members),
            "n_asked": self.table.height,
            "kinds": dict(Counter(self.table["kind"].to_list()).most_common()),
            "outcomes": self.outcomes,
            "n_shown_mean": float(np.mean(self.table["n_shown"].to_numpy())),
            "n_left_out": int(self.table["n_left_out"].sum()),
            "pools": {
                kind: {"kind": p.kind, "weights": p.weights.tolist(), "temperature": p.temperature, "n": p.n}
                for kind, p in self.pools.items()
            },
            "recalibrations": {
                kind: {"temperature": r.temperature, "weights": r.weights.tolist(), "n": r.n}
                for kind, r in self.recalibrations.items()
            },
            "apart": {name: one.to_dict() for name, one in self.apart.items()},
            "scores": {name: one.to_dict() for name, one in self.scores.items()},
            "privacy": None if self.privacy is None else asdict(self.privacy),
            "notes": list(self.notes),
            **self.totals.to_dict(self.prices),
        }
