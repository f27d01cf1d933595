"""The answers of a study read back, and what they say: agreement, what is missing, relevance, by groups of people.

People are what is resampled in every interval but that of agreement (items). A group is compared with all others of whom the
attribute is known; its p-value deals people to groups anew, and Holm's method adjusts over all comparisons of the study. Groups
with fewer people than `fewest` are named and counted, and not reported: their numbers would say more of single people than of
a group.

Each comparison has the smallest difference that a study of this size would have found with a probability of 80 %, about 2.8
standard errors: where it is large, "no difference was found" says little.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779), its human study; Holm 1979; Phipson & Smyth 2010.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, estimate_ratio, holm, undefined, unit_sums
from pluralign.files import read_json
from pluralign.metrics import krippendorff_alpha_estimate
from pluralign.metrics.information import permutation_p_value
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.table import Note
from pluralign.streams import stream
from pluralign.values.notice import notice
from pluralign.values.study import QUESTIONS, STUDY_FILE, STUDY_VERSION, StudyKind

__all__ = ["GroupRow", "SmallGroup", "StudyFindings", "StudyResults", "read_study", "study_findings"]

FloatArray = npt.NDArray[np.float64]
N_PERMUTATIONS = 2000
FEWEST = 20
"""People of a group that is reported."""
_DETECTABLE = 1.96 + 0.84
"""Standard errors: the 97.5 % and the 80 % point of a normal distribution."""
Measure = Literal["relevant_share", "missing_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResults:
    """What people answered; None where nothing was answered, or not asked."""

    model: str
    relevance: Ratings | None
    valence: Ratings | None
    missing: Ratings | None
    n_items: Mapping[str, int]
    """Of the study, by kind of item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group beside all others of whom the attribute is known."""

    measure: Measure
    attribute: str
    level: str
    n_raters: int
    share: Estimate
    difference: Estimate
    """The group's share minus that of the others."""
    p_value: float
    p_holm: float
    detectable: float | None
    """The smallest difference that would have been found with a probability of 80 %; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallGroup:
    """A group with too few people to be reported."""

    measure: Measure
    attribute: str
    level: str
    n_raters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFindings:
    """What the answers say, and what they cannot say."""

    model: str
    notice: str
    """What the lists are that people judged."""
    relevant_share: Estimate
    """Of answers about a consideration, those other than "no"."""
    missing_share: Estimate
    """Of answers about a situation, those that something is missing."""
    agreement: Mapping[str, Estimate]
    """Krippendorff's alpha of each question, items resampled."""
    n_answers: Mapping[str, int]
    """Of each question."""
    n_items: Mapping[str, int]
    """Of the study, by kind of item."""
    groups: tuple[GroupRow, ...]
    too_small: tuple[SmallGroup, ...]
    fewest: int
    limits: tuple[str, ...]
    """Sentences: what this sample can and cannot show."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "model": self.model,
            "notice": self.notice,
            "n_answers": dict(self.n_answers),
            "n_items": dict(self.n_items),
            "relevant_share": self.relevant_share.to_dict(),
            "missing_share": self.missing_share.to_dict(),
            "agreement": {name: one.to_dict() for name, one in self.agreement.items()},
            "groups": [_row_dict(row) for row in self.groups],
            "too_small": [{name: getattr(one, name) for name in SmallGroup.__slots__} for one in self.too_small],
            "fewest": self.fewest,
            "limits": list(self.limits),
        }


def read_study(
    study: str | os.PathLike[str],
    *,
    considerations: str | os.PathLike[str] | None = None,
    situations: str | os.PathLike[str] | None = None,
    raters: str | os.PathLike[str] | None = None,
) -> StudyResults:
    """The answers to an exported study.

    Without paths those of Potato in the study's own folder are read; else a Potato project or output folder, or an export of
    Label Studio (JSON). `raters` is the filled raters.csv. Raises DataError for answers to items that are not of this study.
    """
    folder = Path(study)
    manifest = _manifest(folder)
    known = {str(item["id"]): item for item in manifest["items"]}
    meta = Path(raters) if raters is not None else None
    given: dict[StudyKind, Path | None] = {
        "considerations": Path(considerations) if considerations is not None else _potato_output(folder, "considerations"),
        "situations": Path(situations) if situations is not None else _potato_output(folder, "situations"),
    }
    found = {
        question.name: None if path is None else _answers(path, kind, question.name, question.answers, known, meta)
        for kind, path in given.items()
        for question in QUESTIONS[kind]
        if question.answers
    }
    if not any(found.values()):
        raise DataError(str(folder), "nobody has answered yet; give the answers' files as `considerations` and `situations`.")
    kinds = [str(item["kind"]) for item in known.values()]
    return StudyResults(
        model=str(manifest["model"]),
        relevance=found["relevance"],
        valence=found["valence"],
        missing=found["missing"],
        n_items={kind: kinds.count(kind) for kind in QUESTIONS},
    )


def study_findings(results: StudyResults, *, fewest: int = FEWEST, seed: int = 0) -> StudyFindings:
    """What the answers say, by every attribute that is known of people. Raises UsageError for groups of fewer than 2."""
    if fewest < 2:
        raise UsageError(f"fewest is {fewest}; a group has at least 2 people, and should have many more.")
    shares: dict[Measure, tuple[Ratings | None, str]] = {
        "relevant_share": (results.relevance, "nobody was asked about relevance"),
        "missing_share": (results.missing, "nobody was asked what is missing"),
    }
    rows: list[GroupRow] = []
    small: list[SmallGroup] = []
    whole: dict[Measure, Estimate] = {}
    for measure, (ratings, why) in shares.items():
        if ratings is None:
            whole[measure] = undefined(why, seed=seed)
            continue
        sums, counts = _by_rater(ratings)
        whole[measure] = _share(sums, counts, seed)
        found, left = _groups(measure, ratings, sums, counts, fewest, seed)
        rows += found
        small += left
    adjusted = holm([row.p_value for row in rows])
    rows = [replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=True)]
    return StudyFindings(
        model=results.model,
        notice=notice(results.model),
        n_answers={name: 0 if one is None else len(one.rating_index) for name, one in _by_question(results).items()},
        n_items=dict(results.n_items),
        relevant_share=whole["relevant_share"],
        missing_share=whole["missing_share"],
        agreement=_agreement(results, seed),
        groups=tuple(rows),
        too_small=tuple(small),
        fewest=fewest,
        limits=tuple(_limits(results, whole, rows, small, fewest)),
    )


# reading


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / STUDY_FILE
    if not path.is_file():
        raise DataError(str(folder), f"there is no {STUDY_FILE}; give the folder that the study was exported to.")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("study_version") != STUDY_VERSION:
        raise DataError(str(path), f"this is not a study of version {STUDY_VERSION}")
    return content


def _potato_output(folder: Path, kind: StudyKind) -> Path | None:
    output = folder / "potato" / kind / "annotation_output"
    return output if output.is_dir() else None


def _answers(
    path: Path, kind: StudyKind, name: str, answers: tuple[str, ...], known: Mapping[str, Any], meta: Path | None
) -> Ratings:
    """One question's answers, items as the study names them."""
    options = ReadOptions(rating=name, options=answers, scale="nominal" if name == "valence" else "ordinal", rater_meta=meta)
    ratings = read_ratings(path, options)
    table = ratings.to_long()
    if "item_study_item" in table.columns:  # Label Studio numbers tasks by itself
        table = table.with_columns(item_id=pl.col("item_study_item"))
    strange = sorted({str(one) for one in table["item_id"].to_list() if known.get(str(one), {}).get("kind") != kind})
    if strange:
        raise DataError(str(path), f"{len(strange):,} items are no {kind} of this study, such as {strange[0]!r}")
    table = table.drop([name for name in table.columns if name.startswith("item_") and name != "item_id"])
    texts = pl.DataFrame(
        [
            (id_, item["situation"], "\n".join(f"{one['vrd']}: {one['text']}" for one in item["considerations"]))
            for id_, item in known.items()
        ],
        schema=["item_id", "item_situation", "item_considerations"],
        orient="row",
    )
    note = Note(str(path), "items are named as in the study", len(set(table["item_id"].to_list())))
    joined = table.join(texts, on="item_id", how="left")
    return Ratings.from_long(joined, ratings.scale, name=f"{name} of {kind}", notes=(*ratings.notes, note))


# measures


def _by_rater(ratings: Ratings) -> tuple[FloatArray, FloatArray]:
    """Answers other than the first option ("no"), and all answers, of each rater [raters]."""
    return unit_sums((ratings.rating_index > 0).astype(np.float64), ratings.rater_index, ratings.n_raters)


def _share(sums: FloatArray, counts: FloatArray, seed: int) -> Estimate:
    """Over those who answered anything."""
    used = counts > 0
    return estimate_ratio(sums[used], counts[used], unit="rater", seed=seed)


def _groups(
    measure: Measure, ratings: Ratings, sums: FloatArray, counts: FloatArray, fewest: int, seed: int
) -> tuple[list[GroupRow], list[SmallGroup]]:
    rows: list[GroupRow] = []
    small: list[SmallGroup] = []
    for attribute in ratings.attributes:
        levels = ratings.raters[attribute].cast(pl.String)
        known = (~levels.is_null().to_numpy()) & (counts > 0)
        names = sorted({str(level) for level, is_known in zip(levels, known, strict=True) if is_known})
        for level in names:
            inside = (levels == level).fill_null(False).to_numpy() & known
            n = int(inside.sum())
            name = attribute.removeprefix("rater_")
            if n < fewest or int(known.sum()) - n < fewest:
                small.append(SmallGroup(measure=measure, attribute=name, level=level, n_raters=n))
                continue
            rows.append(_group_row(measure, name, level, inside[known], sums[known], counts[known], seed))
    return rows, small


def _group_row(
    measure: Measure, attribute: str, level: str, inside: npt.NDArray[np.bool_], sums: FloatArray, counts: FloatArray, seed: int
) -> GroupRow:
    parts = np.stack([inside, ~inside], axis=1).astype(np.float64)
    draws = bootstrap_ratios(sums[:, None] * parts, counts[:, None] * parts, seed=seed)
    value = _difference(parts.T, sums, counts)
    off = draws[:, 0] - draws[:, 1]
    n = len(inside)
    difference = estimate_from_draws(float(value[0]), off, n=n, unit="rater", seed=seed)
    rng = stream(seed, "values study groups", measure, attribute, level)
    dealt = np.stack([rng.permutation(inside) for _ in range(N_PERMUTATIONS)]).astype(np.float64)
    permuted = _difference(np.concatenate([dealt, 1 - dealt]), sums, counts)
    spread = float(np.nanstd(off))
    return GroupRow(
        measure=measure,
        attribute=attribute,
        level=level,
        n_raters=int(inside.sum()),
        share=_share(sums[inside], counts[inside], seed),
        difference=difference,
        p_value=permutation_p_value(abs(float(value[0])), np.abs(permuted)),
        p_holm=1.0,
        detectable=_DETECTABLE * spread if spread > 0 else None,
    )


def _difference(groups: FloatArray, sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Share of the first half of the groups minus that of the second [n], from memberships [2 n, raters]."""
    shares = (groups @ sums) / (groups @ counts)
    half = len(groups) // 2
    return np.asarray(shares[:half] - shares[half:])


def _agreement(results: StudyResults, seed: int) -> dict[str, Estimate]:
    found = {}
    for name, ratings in _by_question(results).items():
        if ratings is None:
            found[name] = undefined("not asked, or not answered", unit="item", seed=seed)
            continue
        found[name] = krippendorff_alpha_estimate(
            ratings.item_index,
            ratings.rater_index,
            ratings.rating_index,
            n_options=ratings.n_options,
            level="ordinal" if ratings.scale.is_ordered else "nominal",
            seed=seed,
        )
    return found


def _by_question(results: StudyResults) -> dict[str, Ratings | None]:
    return {"relevance": results.relevance, "valence": results.valence, "missing": results.missing}


def _limits(
    results: StudyResults, whole: Mapping[Measure, Estimate], rows: list[GroupRow], small: list[SmallGroup], fewest: int
) -> list[str]:
    """What this sample can and cannot show, in words."""
    n = max((one.n for one in whole.values()), default=0)
    said = [
        f"{n:,} people answered. Intervals say how far the numbers would move with other people who came in the same way; they "
        "say nothing of people who would not have come.",
    ]
    for kind, ratings in (("considerations", results.relevance), ("situations", results.missing)):
        if ratings is not None:
            answered = len(np.unique(ratings.item_index))
            said.append(f"{answered:,} of {results.n_items[kind]:,} {kind} were answered; the numbers are about these.")
    attributes = dict.fromkeys([*(row.attribute for row in rows), *(one.attribute for one in small)])
    if not attributes:
        said.append("Nothing is known of the people, so nothing can be said of groups; fill raters.csv.")
    for attribute in attributes:
        left = {one.level: one.n_raters for one in small if one.attribute == attribute}
        if left:
            named = ", ".join(f"{level} ({count})" for level, count in left.items())
            said.append(
                f"{attribute}: {named} are not reported, since they or all others together are fewer than {fewest} people."
            )
        sizes = [row.detectable for row in rows if row.attribute == attribute and row.detectable is not None]
        if sizes:
            said.append(
                f"{attribute}: differences below {100 * min(sizes):.0f} to {100 * max(sizes):.0f} points would often have been "
                "missed; that none was found does not show that there is none."
            )
    said.append("That somebody finds nothing missing does not show that nothing is: people judge what they think of.")
    return said


def _row_dict(row: GroupRow) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in GroupRow.__slots__}
    return {**plain, "share": row.share.to_dict(), "difference": row.difference.to_dict()}
