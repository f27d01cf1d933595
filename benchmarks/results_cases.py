"""The data sets of `results.py`: how each is read, what of it is new, what its task measures, and what others published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.metrics import lewidi, total_variation_distance, wasserstein1_distance
from pluralign.raters.decisions import median_options, mode_options, soft_labels
from pluralign.raters.stacking import NewUnit
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.splits import split_fit_eval, split_items, split_raters

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
TEST_SHARE = 0.2
VEN_LABELS = ("contradiction", "entailment", "neutral")


@dataclass(frozen=True)
class Parts:
    """What is learned from, what is known of the raters who are asked, and what is asked."""

    train: Ratings
    given: Ratings
    asked: Ratings


@dataclass(frozen=True)
class Measure:
    """A task's own two numbers, one an item, 0 best."""

    point: str
    """Its words: how far the point answer for each rater is off."""
    soft: str
    of_points: Callable[[FloatArray, Ratings], FloatArray]
    """[queries, options] probabilities and what was asked -> [items], NaN for items without a rater."""
    of_shares: Callable[[FloatArray, Ratings], FloatArray]


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    folder: str
    """Under the data folder; all of its files count as input."""
    new: NewUnit
    read: Callable[[Path], Ratings]
    measure: Callable[[Scale], Measure]
    n_seeds: int = 1
    """Splits in a full run."""
    dev: str | None = None
    """The file of the published dev part, where that is what is asked; else the split is drawn."""
    note: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    """Who -> the task's own point measure on its test part."""

    @property
    def key(self) -> str:
        return f"{self.name}.{self.new}"

    def parts(self, ratings: Ratings, seed: int, data_dir: Path) -> Parts:
        if self.dev is not None:
            is_dev = np.isin(ratings.item_ids, _dev_ids(ratings, data_dir / self.folder / self.dev))[ratings.item_index]
            train = ratings.take(~is_dev)
            return Parts(train, train, ratings.take(is_dev))
        if self.new == "items":
            split = split_items(ratings, test_share=TEST_SHARE, seed=seed)
            train = ratings.take(split.train)
            return Parts(train, train, ratings.take(split.test))
        split = split_raters(ratings, seed=seed)
        tested = ratings.take(split.test)
        halves = split_fit_eval(tested, seed=seed)
        return Parts(ratings.take(split.train), tested.take(halves.is_fit), tested.take(halves.is_eval))

    @property
    def how(self) -> str:
        """How it was split, in words."""
        if self.dev is not None:
            return "train part learned from, dev part asked: known raters, new items"
        if self.new == "items":
            return f"known raters, new items: {TEST_SHARE:.0%} of the items are asked about; given are a rater's other ratings"
        return "new raters: half of the raters; of each some ratings are given (2 to n - 2), the others asked"


def _dev_ids(ratings: Ratings, path: Path) -> list[str]:
    """Ids of the dev file's items as they are called where train and dev were read together."""
    alone = read_ratings(path).item_ids
    there = set(ratings.item_ids)
    return [i if f"dev-{i}" not in there else f"dev-{i}" for i in alone]


# measures


def _observed(asked: Ratings) -> FloatArray:
    return soft_labels(np.eye(asked.n_options)[asked.rating_index], asked.item_index, n_items=asked.n_items)


def _shares_measure(
    distance: Callable[[FloatArray, FloatArray], FloatArray],
) -> Callable[[FloatArray, Ratings], FloatArray]:
    """Distance of the mean of the raters' distributions from the observed shares, where an item has been asked about."""

    def of_shares(p: FloatArray, asked: Ratings) -> FloatArray:
        rated = np.unique(asked.item_index)
        out = np.full(asked.n_items, np.nan)
        predicted = soft_labels(p, asked.item_index, n_items=asked.n_items)
        out[rated] = distance(predicted[rated], _observed(asked)[rated])
        return out

    return of_shares


def _point_measure(
    decide: Callable[[FloatArray, Scale], IntArray], loss: Callable[..., FloatArray], *, as_values: bool
) -> Callable[[FloatArray, Ratings], FloatArray]:
    def of_points(p: FloatArray, asked: Ratings) -> FloatArray:
        options = decide(p, asked.scale)
        answers = asked.scale.values if as_values else np.arange(asked.n_options)
        predicted, given = answers[options].astype(np.int64), answers[asked.rating_index].astype(np.int64)
        return loss(predicted, given, asked.item_index, n_items=asked.n_items)

    return of_points


def _mode(p: FloatArray, scale: Scale) -> IntArray:
    return mode_options(p)


def _median(p: FloatArray, scale: Scale) -> IntArray:
    return median_options(p, scale.values)


def _mp(scale: Scale) -> Measure:
    return Measure(
        "error rate",
        "Manhattan distance",
        _point_measure(_mode, lewidi.mp_perspectivist_loss, as_values=True),
        _shares_measure(lewidi.mp_soft_distance),
    )


def _csc(scale: Scale) -> Measure:
    return Measure(
        "|t - p| / 6",
        "Wasserstein-1",
        _point_measure(_median, lewidi.csc_perspectivist_loss, as_values=True),
        _shares_measure(lewidi.csc_soft_distance),
    )


def _par(scale: Scale) -> Measure:
    return Measure(
        "|t - p| / 11",
        "Wasserstein-1",
        _point_measure(_median, lewidi.par_perspectivist_loss, as_values=True),
        _shares_measure(lewidi.par_soft_distance),
    )


def _ven(scale: Scale) -> Measure:
    """A set of labels is one option; each label's probability is that of the sets with it."""
    member = np.array([[label in option.split(",") for label in VEN_LABELS] for option in scale.options], dtype=np.float64)

    def of_points(p: FloatArray, asked: Ratings) -> FloatArray:
        predicted, given = (p @ member > 0.5).astype(np.int64), member[asked.rating_index].astype(np.int64)
        return lewidi.ven_perspectivist_loss(predicted, given, asked.item_index, n_items=asked.n_items)

    def distance(predicted: FloatArray, observed: FloatArray) -> FloatArray:
        both = [np.clip(shares @ member, 0, 1) for shares in (predicted, observed)]
        return lewidi.ven_soft_distance(*(np.stack([1 - present, present], axis=2) for present in both))

    return Measure("error of 3 labels", "Manhattan, mean of labels", of_points, _shares_measure(distance))


def _by_scale(scale: Scale) -> Measure:
    """For data without a published measure: error and Manhattan of two options, else distances in units of the scale."""
    if len(scale) == 2:
        return Measure(
            "error rate",
            "Manhattan distance",
            _point_measure(_mode, lewidi.mp_perspectivist_loss, as_values=False),
            _shares_measure(lambda p, q: 2 * total_variation_distance(p, q)),
        )

    def apart(predicted: IntArray, given: IntArray, item_index: IntArray, *, n_items: int) -> FloatArray:
        counts = np.bincount(item_index, minlength=n_items)
        sums = np.bincount(item_index, np.abs(predicted - given), n_items)
        return np.divide(sums, counts, out=np.full(n_items, np.nan), where=counts > 0)

    return Measure(
        "|t - p|",
        "Wasserstein-1",
        _point_measure(_median, apart, as_values=True),
        _shares_measure(lambda p, q: wasserstein1_distance(p, q, scale.values)),
    )


# data


def _read(path: str, **options: object) -> Callable[[Path], Ratings]:
    """`item_meta` lies in the data folder too."""

    def read(data_dir: Path) -> Ratings:
        beside = {"item_meta": data_dir / str(options["item_meta"])} if "item_meta" in options else {}
        return read_ratings(data_dir / path, ReadOptions(**{**options, **beside}))  # type: ignore[arg-type]

    return read


def made_up(data_dir: Path | None = None, *, n_items: int = 80, n_raters: int = 24, seed: int = 0) -> Ratings:
    """Answers 1, 2, 3 to lines of words of which some are liked; raters lean to one side, the old down."""
    rng = np.random.default_rng(seed)
    liked, plain = ("lovely", "kind", "warm"), ("table", "river", "window", "garden", "paper", "street")
    lean = rng.normal(0, 1, n_raters) - np.arange(n_raters) % 2
    rows = []
    for i in range(n_items):
        is_liked = int(rng.integers(0, 2))
        text = " ".join([*rng.choice(liked if is_liked else plain, 2), *rng.choice(plain, 3)])
        for r in rng.choice(n_raters, 8, replace=False):
            score = 2 * is_liked - 0.5 + lean[r] + rng.logistic()
            rows.append((f"i{i}", f"r{r}", str(1 + int(score > -0.7) + int(score > 0.7)), text, "old" if r % 2 else "young"))
    schema = ["item_id", "rater_id", "rating", "item_text", "rater_age"]
    return Ratings.from_long(pl.DataFrame(rows, schema=schema, orient="row"), Scale("ordinal", ("1", "2", "3")))


def _published(ours: str, best: str, mode: str, random: str) -> dict[str, str]:
    return {
        "Opt-ICL (overall winner)": ours,
        "best other team": best,
        "each rater's most frequent label": mode,
        "random": random,
    }


_2025, _2023 = "lewidi2025", "lewidi2023"
_MP, _CSC = "LeWiDi-2025 MP (irony)", "LeWiDi-2025 CSC (sarcasm)"
_MP_PUBLISHED = _published(".289", ".300", ".316", ".499")
_CSC_PUBLISHED = _published(".156", ".172", ".239", ".352")
_NO_TEST = "Only the dev part is here, so it is split"
_POPQUORN = _read("popquorn/offensiveness_raw_data.csv", rating="offensiveness")
_TOXICITY = _read(
    "toxicity_perspective/pilot_annotations.csv", item="comment", item_meta="toxicity_perspective/comments.csv",
    item_columns=(),
)  # fmt: skip


def _both(
    name: str, title: str, folder: str, read: Callable[[Path], Ratings], *, n_seeds: int = 1, note: str = ""
) -> list[Case]:
    kinds: tuple[Literal["items", "raters"], ...] = ("items", "raters")
    return [Case(name, title, folder, new, read, _by_scale, n_seeds=n_seeds, note=note) for new in kinds]


CASES: tuple[Case, ...] = (
    Case("mp", _MP, _2025, "items", _read("lewidi2025/MP_dev.json"), _mp, 2, note=_NO_TEST, published=_MP_PUBLISHED),
    Case("csc", _CSC, _2025, "items", _read("lewidi2025/CSC_dev.json"), _csc, 3,
         note=f"{_NO_TEST}; responses to one context may lie on both sides", published=_CSC_PUBLISHED),
    Case("par", "LeWiDi-2025 Par (paraphrase)", _2025, "items", _read("lewidi2025", dataset="Paraphrase"), _par,
         dev="Paraphrase_dev.json", published=_published(".119", ".080", ".362", ".367")),
    Case("ven", "LeWiDi-2025 VEN (inference)", _2025, "items", _read("lewidi2025", dataset="VariErrNLI"), _ven,
         dev="VariErrNLI_dev.json",
         note="A set of labels is one of six options; a label counts as predicted where the sets with it have more than half",
         published=_published(".270", ".124", ".345", ".497")),
    Case("mp", _MP, _2025, "raters", _read("lewidi2025/MP_dev.json"), _mp, 2, note=_NO_TEST),
    Case("csc", _CSC, _2025, "raters", _read("lewidi2025/CSC_dev.json"), _csc, 3, note=_NO_TEST),
    *(
        Case(name.lower(), f"LeWiDi-2023 {name}", _2023, "items", _read("lewidi2023", dataset=name), _by_scale,
             dev=f"{name}_dev.json")
        for name in ("HS-Brexit", "ArMIS", "ConvAbuse", "MD-Agreement")
    ),
    *_both("popquorn", "POPQUORN offensiveness", "popquorn", _POPQUORN, n_seeds=2),
    *_both("toxicity", "Toxicity, perspective study", "toxicity_perspective", _TOXICITY,
           note="Only 120 items: what is learned of new ones is little"),
    *_both("ccai", "Collective constitution (ccai)", "ccai", _read("ccai"), note="The group id is a leak and not used"),
    *_both("brexit", "Polis, Brexit", "polis/brexit-consensus", _read("polis/brexit-consensus"), n_seeds=2,
           note="The group id is a leak and not used"),
)  # fmt: skip
MADE_UP = tuple(Case("made-up", "Made-up lines", "", new, made_up, _by_scale) for new in ("items", "raters"))
QUICK = ("csc.items", "armis.items", "brexit.raters")
