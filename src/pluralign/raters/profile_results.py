"""What writing and changing profiles found, as numbers, as JSON and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, estimate_mean
from pluralign.raters.individual_models import Privacy
from pluralign.raters.profile_effects import ItemShift
from pluralign.raters.profile_files import PROFILES
from pluralign.raters.profile_leaks import RUN_WORDS
from pluralign.raters.profiles import USABLE, RaterProfile
from pluralign.scoring.totals import Prices, Totals, totals_lines
from pluralign.terminal import printable

__all__ = ["Edited", "Given", "ProfilePlan", "Written", "measured_profiles"]

Given = Literal["fit", "all"]
"""fit: what `split_fit_eval` gives at the run's seed, so that the rest can be asked; all: every rating."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write` found; the profiles are in profiles.jsonl, every draft in records.parquet."""

    name: str
    model: str
    decoder: str | None
    """Who scored the drafts; None where nobody did."""
    prompt_version: str
    given: Given
    profiles: Sequence[RaterProfile]
    outcomes: Mapping[str, int]
    """Of raters: how often each is there. Those other than ok and length have no profile."""
    draft_outcomes: Mapping[str, int]
    n_unscored: int
    """Raters with several drafts of which none could be scored: the first usable one was taken."""
    longest_copied: Estimate
    """Words of the longest run that a profile shares with an item that its writer was shown; mean over raters."""
    copied_share: Estimate
    """Share of a profile's words in shared runs of 8; mean over raters."""
    with_copied_run: Estimate
    """Share of profiles that share a run of 8 words."""
    loss_first: Estimate
    """Nats a rating of the first draft on given ratings; mean over raters. Optimistic: drafts were written from these."""
    loss_chosen: Estimate
    """The same of the chosen draft: optimistic twice, since it was chosen by these."""
    privacy: Mapping[str, Privacy]
    """What is told of raters, more and more of it, to how many are alone with it."""
    notes: Sequence[str]
    totals: Totals
    decoder_totals: Totals
    prices: Prices | None = None

    @property
    def n_without(self) -> int:
        """Raters without a profile."""
        return sum(one.profile is None for one in self.profiles)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the profiles are a file of their own."""
        measures = ("longest_copied", "copied_share", "with_copied_run", "loss_first", "loss_chosen")
        return {
            "name": self.name,
            "model": self.model,
            "decoder": self.decoder,
            "prompt_version": self.prompt_version,
            "given": self.given,
            "n_raters": len(self.profiles),
            "n_without_profile": self.n_without,
            "outcomes": dict(self.outcomes),
            "draft_outcomes": dict(self.draft_outcomes),
            "n_unscored": self.n_unscored,
            "estimates": {name: getattr(self, name).to_dict() for name in measures},
            "privacy": {name: asdict(one) for name, one in self.privacy.items()},
            "notes": list(self.notes),
            "usage": self.totals.to_dict(self.prices),
            "decoder_usage": self.decoder_totals.to_dict(self.prices if self.decoder == self.model else None),
        }

    def lines(self) -> list[str]:
        """For people."""
        n = len(self.profiles)
        lines = [
            f"{printable(self.name)}: {n - self.n_without:,} profiles of {n:,} raters, written by {printable(self.model)} "
            f"(prompt {self.prompt_version}) from {'given' if self.given == 'fit' else 'all'} ratings",
            f"raters: {_counts(self.outcomes)}",
            f"drafts: {_counts(self.draft_outcomes)}",
        ]
        if self.decoder is not None:
            lines += [
                f"drafts scored by {printable(self.decoder)} on the ratings that they were written from (optimistic), nats a "
                f"rating: first {self.loss_first}, chosen {self.loss_chosen}",
            ]
        if self.n_unscored:
            lines.append(f"{self.n_unscored:,} raters have no draft that could be scored: their first usable one was taken")
        lines += [
            f"copied from items: longest run {self.longest_copied} words; share of words in runs of {RUN_WORDS} "
            f"{self.copied_share}; profiles with such a run {self.with_copied_run}",
            *(f"told {printable(name)}: {privacy}" for name, privacy in self.privacy.items()),
            *(printable(note) for note in self.notes),
            *totals_lines(self.totals, self.prices),
        ]
        if self.decoder is not None:
            prices = self.prices if self.decoder == self.model else None
            lines += [f"scoring drafts: {line}" for line in totals_lines(self.decoder_totals, prices)]
        return lines


@dataclass(frozen=True, kw_only=True)
class ProfilePlan:
    """What `write` would ask."""

    name: str
    out: str
    model: str
    decoder: str | None
    prompt_version: str
    n_raters: int
    n_without_ratings: int
    n_drafts: int
    """Texts that the model would write."""
    n_scored: int
    """Ratings that the decoder would predict, at most: equal drafts are asked about once."""
    max_tokens: int
    """Of a draft."""
    privacy: Mapping[str, Privacy]
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            f"{printable(self.name)}: {self.n_raters:,} raters, {self.n_without_ratings:,} of them without a given rating",
            f"would ask {printable(self.model)} for {self.n_drafts:,} drafts of at most {self.max_tokens:,} tokens (prompt "
            f"{self.prompt_version})",
        ]
        if self.decoder is not None:
            lines.append(f"would ask {printable(self.decoder)} about at most {self.n_scored:,} ratings, to score the drafts")
        lines += [f"told {printable(name)}: {privacy}" for name, privacy in self.privacy.items()]
        lines += [printable(note) for note in self.notes]
        return [
            *lines,
            f"would write to {printable(self.out)}: {PROFILES}, records.parquet, results.json",
            "Nothing was asked and nothing was written (--dry-run).",
        ]


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A profile that a person changed, and what it does."""

    file: str
    """Where it was written."""
    profile: RaterProfile
    before: str | None
    """The text until now."""
    model: str
    options: tuple[str, ...]
    shifts: Sequence[ItemShift]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "file": self.file,
            "rater_id": self.profile.rater_id,
            "before": self.before,
            "after": self.profile.profile,
            "edited_from": self.profile.edited_from,
            "model": self.model,
            "options": list(self.options),
            "items": [one.to_dict() for one in self.shifts],
        }

    def lines(self) -> list[str]:
        """For people: the two texts, and each item's distribution before and after."""
        lines = [
            f"rater {printable(self.profile.rater_id)}",
            f"  before: {printable(self.before) if self.before is not None else '(no profile)'}",
            f"  after:  {printable(self.profile.profile or '')}",
            "",
            f"predicted by {printable(self.model)}, not recalibrated; options {', '.join(map(printable, self.options))}",
        ]
        for one in self.shifts:
            moved = "-" if one.total_variation is None else f"{one.total_variation:.3f}"
            lines += [
                f"{printable(one.item_id)}: {printable(one.text)}",
                f"  before {_shares(one.before, one.outcome_before)}",
                f"  after  {_shares(one.after, one.outcome_after)}   moved {moved} (total variation)",
            ]
        return lines


def measured_profiles(
    records: pl.DataFrame, losses: pl.DataFrame | None, profiles: Sequence[RaterProfile], *, seed: int
) -> dict[str, Any]:
    """The counts and estimates of `Written`, each rater once."""
    chosen = [(one.rater_id, n) for one in profiles for n, draft in enumerate(one.drafts) if draft.is_chosen]
    kept = pl.DataFrame(chosen, schema={"rater_id": pl.String, "draft": pl.Int64}, orient="row")
    leaks = kept.join(records, on=["rater_id", "draft"], how="left").drop_nulls("longest_copied")
    longest, share = leaks["longest_copied"].to_numpy().astype(np.float64), leaks["copied_share"].to_numpy()
    pairs = [
        (first[0].loss_nats, one.loss_nats)
        for profile in profiles
        if (first := [draft for draft in profile.drafts if draft.outcome in USABLE])
        for one in profile.drafts
        if one.is_chosen and one.loss_nats is not None
    ]
    both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    has_several = [one for one in profiles if one.profile is not None and losses is not None and len(one.drafts) > 1]
    return {
        "outcomes": dict(Counter(one.outcome for one in profiles).most_common()),
        "draft_outcomes": dict(Counter(records.filter(pl.col("draft").is_not_null())["outcome"].to_list()).most_common()),
        "n_unscored": sum(all(draft.loss_nats is None for draft in one.drafts) for one in has_several),
        "longest_copied": _mean(longest, seed),
        "copied_share": _mean(share, seed),
        "with_copied_run": _mean((longest >= RUN_WORDS).astype(np.float64), seed),
        "loss_first": _mean(both[:, 0], seed),
        "loss_chosen": _mean(both[:, 1], seed),
    }


def _mean(values: npt.NDArray[np.float64], seed: int) -> Estimate:
    return estimate_mean(values, np.arange(len(values)), unit="rater", seed=seed)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"


def _shares(shares: Sequence[float] | None, outcome: str) -> str:
    return f"({outcome})" if shares is None else "  ".join(f"{share:.2f}" for share in shares)
