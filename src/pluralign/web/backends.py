"""The explorer over real models: the values system, and a rating decoder that reads profiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pluralign.web.backend import Rater
from pluralign.web.shapes import (
    Bearing,
    Change,
    Comparison,
    Predicted,
    PredictionAnswer,
    PredictionRequest,
    SituationPair,
    Surfaced,
)

if TYPE_CHECKING:
    import polars as pl

    from pluralign.models import LanguageModel
    from pluralign.ratings import Ratings
    from pluralign.values.kaleido import ValuesModel
    from pluralign.values.setup import SystemSettings

__all__ = ["ModelBackend"]

Q = TypeVar("Q")
A = TypeVar("A")

MOST_REMEMBERED = 1_000
"""Answers of each kind; the same question gets the same answer."""
N_ITEMS = 8
"""On which predictions are shown."""


@dataclass(eq=False, kw_only=True)
class ModelBackend:
    """`values` sees considerations, `decoder` predicts ratings of the items of `ratings`; without these the tab stays empty."""

    values: ValuesModel
    settings: SystemSettings
    decoder: LanguageModel | None = None
    ratings: Ratings | None = None
    raters: Sequence[Rater] = ()
    examples: Sequence[str] = ()
    _answers: dict[str, OrderedDict[Any, Any]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        from pluralign.values.notice import notice

        self.model_name = self.values.name
        self.notice = notice(self.values.name)

    def surface(self, situations: Sequence[str]) -> list[Surfaced]:
        """All that are new in one go."""
        return self._remembered("surface", situations, self._surfaced)

    def compare(self, pairs: Sequence[SituationPair]) -> list[Comparison]:
        """Both versions are judged on what was found in either."""
        self.surface(list(dict.fromkeys(text for pair in pairs for text in (pair.situation, pair.other))))
        return self._remembered("compare", [(pair.situation, pair.other) for pair in pairs], self._compared)

    def predict(self, asked: Sequence[PredictionRequest]) -> list[PredictionAnswer]:
        """The items that move most; where nothing moves, some of them."""
        return [self._predicted(one) for one in asked]

    def _remembered(self, kind: str, questions: Sequence[Q], ask: Callable[[list[Q]], Sequence[A]]) -> list[A]:
        known = self._answers.setdefault(kind, OrderedDict())
        new = [one for one in dict.fromkeys(questions) if one not in known]
        found = {one: known[one] for one in questions if one in known}
        if new:
            found |= dict(zip(new, ask(new), strict=True))
        for one in found:
            known[one] = found[one]
            known.move_to_end(one)
        while len(known) > MOST_REMEMBERED:
            known.popitem(last=False)
        return [found[one] for one in questions]

    def _surfaced(self, situations: list[str]) -> list[Surfaced]:
        from pluralign.values.system import surface

        found = surface(situations, self.values, self.settings)
        decided = {row["action"]: row for row in found.situations.collect().iter_rows(named=True)}
        kept = found.considerations.collect()
        return [self._shown(text, decided[text], kept) for text in situations]

    def _shown(self, situation: str, decided: dict[str, Any], kept: pl.DataFrame) -> Surfaced:
        import polars as pl

        rows = kept.filter(pl.col("action") == situation).iter_rows(named=True)
        return Surfaced(
            situation=situation,
            outcome=decided["outcome"],
            considerations=[_bearing(row) for row in rows if row["supports"] is not None],
            supports=decided["supports"],
            opposes=decided["opposes"],
            either=decided["either"],
            entropy_nats=decided["entropy_nats"],
            model=self.model_name,
            notice=self.notice,
        )

    def _compared(self, pairs: list[tuple[str, str]]) -> list[Comparison]:
        import numpy as np

        from pluralign.values.considerations import Consideration
        from pluralign.values.contrast import change_kinds, change_sizes, judged_pairs
        from pluralign.values.setup import set_up

        found = []
        threshold = max(set_up(self.settings, self.values).relevance.values())
        for texts in pairs:
            first, second = self.surface(texts)
            both = [(one.vrd, one.text) for one in (*first.considerations, *second.considerations)]
            listed = [Consideration(vrd, text) for vrd, text in dict.fromkeys(both)]
            before, after = (judged_pairs(self.values, [(text, one) for one in listed]) for text in texts)
            kinds = change_kinds(before, after, threshold)
            size = np.nan_to_num(change_sizes(before, after), nan=-1.0)
            order = sorted(range(len(listed)), key=lambda n: (_ORDER.index(kinds[n]), -size[n]))
            changes = [
                Change(
                    vrd=listed[n].vrd,
                    text=listed[n].text,
                    change=kinds[n],
                    before=_judged(listed[n], before[n].tolist()),
                    after=_judged(listed[n], after[n].tolist()),
                )
                for n in order
            ]
            found.append(Comparison(situation=first, other=second, changes=changes))
        return found

    def _predicted(self, asked: PredictionRequest) -> PredictionAnswer:
        from pluralign.raters.profile_effects import profile_shifts

        own = next((one.profile for one in self.raters if one.rater_id == asked.rater), "")
        items = []
        if self.decoder is not None and self.ratings is not None:
            shifts = profile_shifts(self.decoder, self.ratings, before=own or None, after=asked.profile, n=N_ITEMS)
            options = list(self.ratings.scale.options)
            items = [
                Predicted(item=one.text, options=options, before=_list(one.before), after=_list(one.after)) for one in shifts
            ]
        return PredictionAnswer(
            rater=asked.rater,
            own_profile=own,
            profile=asked.profile,
            items=items,
            model=self.model_name if self.decoder is None else self.decoder.name,
            notice=self.notice,
        )


_ORDER = ("flips", "enters", "leaves", "stays", "unknown")


def _bearing(row: dict[str, Any]) -> Bearing:
    return Bearing(
        vrd=row["vrd"],
        text=row["text"],
        relevant=row["relevant"],
        supports=row["supports"],
        opposes=row["opposes"],
        either=row["either"],
        label=str(row["label"]).casefold(),  # type: ignore[arg-type]
        explanation=row["explanation"],
    )


def _judged(one: Any, values: list[float]) -> Bearing | None:
    """Relevance, then valence; None without an answer."""
    if any(value != value for value in values):
        return None
    relevant, supports, opposes, either = values
    shares: dict[Any, float] = {"supports": supports, "opposes": opposes, "either": either}
    label = max(shares, key=lambda name: shares[name])
    return Bearing(
        vrd=one.vrd, text=one.text, relevant=relevant, supports=supports, opposes=opposes, either=either, label=label
    )


def _list(shares: Sequence[float] | None) -> list[float] | None:
    return None if shares is None else list(shares)
