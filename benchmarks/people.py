"""Claims: of simulated people the embedded model's representations keep the order of truth (past ratings >= the profile that
is written from them > attributes > nothing), and what a study of 200 people says is preserved is within .1 of its own truth.

    python benchmarks/people.py                             small, half a minute on one core
    python benchmarks/people.py --full --out FOLDER         the sizes of the claims: an hour of a core; a killed one goes on

People whom the model has never seen. 100 of them recalibrate (one temperature and a weight an option, on their held-out
ratings), all others are measured, on held-out ratings too; profiles are written from the given ratings, the best of 32 drafts
by the decoder's loss on these. Intervals resample people; differences are paired.

order       losses of the embedded model, beside those of Bayes' rule with the world's own parameters: the least there can be.
            A written profile is text of the model's own, for which there is no such rule.
preserved   I(profile -> rating) / I(16 past ratings -> rating) as 200 people give it, beside the same of all others, its
            Monte-Carlo truth. For the true profile also beside Bayes' rule.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate
from pluralign.metrics import information_preserved, usable_information
from pluralign.models import open_model
from pluralign.profiling import write
from pluralign.raters.language_decoder import LanguageModelDecoder
from pluralign.raters.profiles import ProfileSettings, profile_texts
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings
from pluralign.ratings.simulate import Simulation
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from pluralign.ratings.simulated_profile_bayes import facts_of, profile_predict
from pluralign.ratings.splits import random_positions, split_fit_eval
from pluralign.runs import Run, RunConfig
from pluralign.suite.embedded_world import FIRST_HELD_OUT, simulate_people
from pluralign.suite.simulated_worlds import profile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
N_EXAMPLES = 16
EXAMPLES = f"examples:{N_EXAMPLES}"
FIRST = FIRST_HELD_OUT + 100_000
"""Not those on whom anything was tried."""
ORDER = ((EXAMPLES, "written profile"), ("written profile", "attributes"), ("attributes", "nothing"))


@dataclass(frozen=True)
class Sizes:
    n_recalibration: int
    n_estimate: int
    n_truth: int
    n_drafts: int

    @property
    def n(self) -> int:
        return self.n_recalibration + self.n_estimate + self.n_truth


SMALL, FULL = Sizes(10, 12, 12, 2), Sizes(100, 200, 500, 32)


@dataclass(frozen=True)
class Losses:
    """Of held-out ratings, nats [asked]; rater of each."""

    rater: IntArray
    model: dict[str, FloatArray]
    bayes: dict[str, FloatArray]

    def of(self, raters: range) -> Losses:
        kept = np.flatnonzero((self.rater >= raters.start) & (self.rater < raters.stop))
        model, bayes = ({name: loss[kept] for name, loss in some.items()} for some in (self.model, self.bayes))
        return Losses(self.rater[kept], model, bayes)


def measured(sizes: Sizes, folder: Path) -> Losses:
    """Every representation's losses, kept in the folder piece by piece."""
    simulation = simulate_people(FIRST, sizes.n)
    ratings = simulation.ratings
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "people.csv"
    if not file.exists():
        ratings.to_long().write_csv(file)
    settings = ProfileSettings(n_drafts=sizes.n_drafts, words=30)
    profiles = write(file, folder / "profiles", model="embedded", settings=settings).profiles
    written = RaterTexts(profiles=profile_texts(profiles))
    true = RaterTexts(profiles={rater: profile(simulation, n) for n, rater in enumerate(ratings.rater_ids)})
    split = split_fit_eval(ratings, seed=0)
    asked, given = ratings.take(split.is_eval), ratings.take(split.is_fit)
    told = {
        "nothing": ("nothing", RaterTexts()),
        "attributes": ("attributes", RaterTexts()),
        EXAMPLES: (EXAMPLES, RaterTexts()),
        "true profile": ("profile", true),
        "written profile": ("profile", written),
    }
    training = ratings.take(ratings.rater_index < sizes.n_recalibration)
    with Run.open(folder / "losses", RunConfig(command="people", arguments={"n": sizes.n, "drafts": sizes.n_drafts})) as run:
        model = {
            name: np.array(run.step(_step(name), lambda t=t: _losses(training, asked, given, *t))) for name, t in told.items()
        }
        bayes = {
            name: np.array(run.step(f"bayes-{_step(name)}", lambda k=k: _bayes(simulation, asked, k)))
            for name, k in (
                ("nothing", Known()),
                ("attributes", Known(attributes=tuple(ratings.attributes))),
                (EXAMPLES, Known(examples=_first(given, N_EXAMPLES))),
                ("true profile", None),
            )
        }
    return Losses(asked.rater_index, model, bayes)


def _step(name: str) -> str:
    return name.replace(" ", "-").replace(":", "-")


def _losses(training: Ratings, asked: Ratings, given: Ratings, name: str, texts: RaterTexts) -> list[float]:
    decoder = LanguageModelDecoder(open_model("embedded"), name, texts=texts).fit(training)
    return _of_rating(decoder.predict_proba(asked, given=given), asked)


def _bayes(simulation: Simulation, asked: Ratings, known: Known | None) -> list[float]:
    if known is not None:
        found = bayes_predict(simulation, asked.item_index, asked.rater_index, known=known, n_draws=256)
        return _of_rating(found.probabilities, asked)
    people = range(asked.n_raters)
    own = [facts_of(simulation.theta[n], float(simulation.shift[n]), float(simulation.log_spread[n])) for n in people]
    return _of_rating(profile_predict(simulation.world, own, asked.item_index, asked.rater_index, n_draws=512), asked)


def _of_rating(probabilities: FloatArray, asked: Ratings) -> list[float]:
    return (-np.log(probabilities[np.arange(len(asked)), asked.rating_index])).tolist()


def _first(given: Ratings, n: int) -> Ratings:
    """The ratings that the decoder shows as `examples:N`."""
    rows = np.lexsort([random_positions(given, seed=0), given.rater_index])
    starts = np.searchsorted(given.rater_index[rows], np.arange(given.n_raters))
    place = np.arange(len(rows)) - starts[given.rater_index[rows]]
    return given.take(np.sort(rows[place < n]))


# what is claimed


def rows_of(losses: Losses, sizes: Sizes, *, is_claimed: bool) -> Iterator[dict[str, Any]]:
    first, end = sizes.n_recalibration, sizes.n
    all_of = losses.of(range(first, end))
    for name, own in all_of.model.items():
        least = float(all_of.bayes[name].mean()) if name in all_of.bayes else float("nan")
        information = usable_information(all_of.model["nothing"], own, all_of.rater)
        print(f"{name:18} loss {own.mean():.4f}  least {least:.4f}  information {information}")
    for better, worse in ORDER:
        difference = usable_information(all_of.model[worse], all_of.model[better], all_of.rater)
        own, other = (float(all_of.model[name].mean()) for name in (better, worse))
        row = _row(f"loss: {better} beside {worse}", own, other, "nats", 1.0 if is_claimed else None)
        yield {**row, "difference": difference.to_dict()}
        print(f"{worse} - {better}: {difference}")
    estimate, fresh = losses.of(range(first, first + sizes.n_estimate)), losses.of(range(first + sizes.n_estimate, end))
    for name in ("written profile", "true profile"):
        found, truth = (_preserved(one.model, name, one.rater) for one in (estimate, fresh))
        yield {**_row(f"preserved by the {name}: {sizes.n_estimate} people beside {sizes.n_truth}", found.value, truth.value,
                      "share", None), "estimate": found.to_dict(), "truth": truth.to_dict()}  # fmt: skip
        print(f"preserved, {name}: {found} of {sizes.n_estimate} people, truth {truth} of {sizes.n_truth}")
    ours, best = (_preserved(one, "true profile", all_of.rater) for one in (all_of.model, all_of.bayes))
    print(f"preserved, true profile, all people: {ours}, by Bayes' rule {best}")
    yield _row("preserved by the true profile, all people, beside Bayes' rule", ours.value, best.value, "share", None)


def _preserved(losses: dict[str, FloatArray], name: str, rater: IntArray) -> Estimate:
    return information_preserved(losses["nothing"], losses[name], losses[EXAMPLES], rater)


def _row(case: str, ours: float, peer: float, unit: str, target: float | None) -> dict[str, Any]:
    known = np.isfinite([ours, peer]).all()
    numbers = {"ours": ours, "peer": peer, "ratio": peer / ours} if known else dict.fromkeys(("ours", "peer", "ratio"))
    return {"case": case, **numbers, "unit": unit, "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the claims")
    parser.add_argument("--out", type=Path, help="folder of what is finished; default: a temporary one")
    asked = parser.parse_args()
    sizes = FULL if asked.full else SMALL
    with tempfile.TemporaryDirectory() as temporary:
        losses = measured(sizes, asked.out or Path(temporary))
    rows = list(rows_of(losses, sizes, is_claimed=asked.full))
    print(json.dumps({"benchmark": "people", "rows": rows}))


if __name__ == "__main__":
    main()
