"""The parts of the story: each asks both models and says what was found. What takes time is a step of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pluralign.demo import measure
from pluralign.demo.asking import WHICH, Asker, Questions, Which
from pluralign.demo.findings import (
    CoinStep,
    LawFindings,
    LossesRow,
    PairFindings,
    PersonFindings,
    PersonSituation,
    ShownBearing,
    ShownDistribution,
    ValuesRow,
)
from pluralign.demo.laws import KS
from pluralign.demo.people import EVERYTHING, N_GIVEN, TARGETS, People, limits, questions_about
from pluralign.demo.person import SHOWN_KNOWN, person_questions, shown_person
from pluralign.demo.situation import KINDS, N_DRAWS, generated, pair_questions, values_questions
from pluralign.models.protocol import renormalised
from pluralign.ratings.situations import BASIC_VALUES, MinimalPair
from pluralign.suite.embedded_episodes import RATING_OPTIONS
from pluralign.suite.embedded_values import BEARINGS
from pluralign.suite.embedded_world import situation_texts
from pluralign.suite.simulated_worlds import known_of

__all__ = ["coin_steps", "find_law", "find_pair", "find_people", "find_person", "find_values", "shown_of"]

FloatArray = npt.NDArray[np.float64]
Answered = Mapping[str, FloatArray]
Written = Mapping[Which, Sequence[str]]


def find_law(asked: Questions, answered: Answered, *, seed: int) -> LawFindings:
    """Losses by the number of outputs seen."""
    return LawFindings(name=asked.part, rows=measure.losses_rows(asked, answered, seed=seed))


def coin_steps(asked: Questions, answered: Answered) -> list[CoinStep]:
    """The first coin from near by: what is said of heads after each number of tosses."""
    heads = {which: renormalised(logprobs)[:, 0] for which, logprobs in answered.items()}
    return [
        CoinStep(
            k=k,
            n_heads=sum(example.output == asked.options[0] for example in asked.queries[row].episode.examples),
            tuned=float(heads["tuned"][row]),
            base=float(heads["base"][row]),
            limit=float(asked.limit[row, 0]),
        )
        for row, k in enumerate(KS)
    ]


def find_people(asker: Asker, people: People, asked: Questions, answered: Answered, written: Written) -> list[LossesRow]:
    """Losses by what is known of a person, the models' own written profiles, and, of the limit alone, everything."""
    rows = [(person, place) for person in range(len(people.numbers)) for place in TARGETS]
    everything = questions_about(people, "everything", EVERYTHING, rows)
    everything = asker.with_limits(everything, lambda: limits(people, everything))
    truth = everything.limit
    everything = replace(everything, truth=truth)
    asked = replace(asked, truth=np.tile(truth, (len(asked.queries) // len(truth), 1)))  # each known has the same questions
    own = {
        which: replace(questions_about(people, "written", "written", rows, written=written[which]), truth=truth)
        for which in WHICH
    }
    of_own: dict[str, FloatArray] = {which: asker.ask_one(own[which], which) for which in WHICH}
    found = measure.losses_rows(asked, answered, seed=asker.seed)
    found += measure.losses_rows(own["tuned"], of_own, seed=asker.seed)
    found += measure.losses_rows(everything, {}, seed=asker.seed)
    whole = measure.lost(asked, answered)
    losses = {
        known: {which: values[asked.known == known] for which, values in whole.items()}
        for known in dict.fromkeys(asked.known.tolist())
    }
    losses |= {"written": measure.lost(own["tuned"], of_own), EVERYTHING: measure.lost(everything, {})}
    limit_as = {"written": f"examples:{N_GIVEN}"}
    return measure.with_shares(found, losses, everything.units, limit_as=limit_as, seed=asker.seed)


def find_person(asker: Asker, people: People, written: Written) -> PersonFindings:
    """One person from near by."""
    person = shown_person(people)
    asked = {which: person_questions(people, person, written[which]) for which in WHICH}
    shares = {which: renormalised(asker.ask_one(asked[which], which)) for which in WHICH}
    one, simulation = asked["tuned"], people.simulation
    outcomes = one.outcomes if one.outcomes is not None else np.empty(0, dtype=np.int64)
    n = len(one.queries) // len(SHOWN_KNOWN)
    situations = [
        PersonSituation(
            text=one.queries[s].input or "",
            answer=RATING_OPTIONS[outcomes[s]],
            predictions=[
                ShownDistribution(
                    known=known,
                    tuned=shares["tuned"][row].tolist(),
                    base=shares["base"][row].tolist(),
                    limit=None if np.isnan(one.limit[row]).any() else one.limit[row].tolist(),
                )
                for known, row in zip(SHOWN_KNOWN, range(s, len(one.queries), n), strict=True)
            ],
        )
        for s in range(n)
    ]
    return PersonFindings(
        number=people.numbers[person],
        attributes=known_of(simulation, person),
        values=dict(zip(BASIC_VALUES, simulation.theta[person].tolist(), strict=True)),
        shift=float(simulation.shift[person]),
        log_spread=float(simulation.log_spread[person]),
        true_profile=people.profile(person),
        tuned_profile=written["tuned"][person],
        base_profile=written["base"][person],
        n_given=N_GIVEN,
        situations=situations,
    )


def find_values(asker: Asker, n: int) -> tuple[list[ValuesRow], dict[str, tuple[Questions, dict[str, FloatArray]]]]:
    """How near relevance, valence and generation are to the truth, and what was asked and answered, by kind."""
    found = {}
    for kind in KINDS:
        asked = values_questions(kind, n, seed=asker.seed)
        found[str(kind)] = asked, asker.ask(asked)
    return [measure.values_row(asked, answered, seed=asker.seed) for asked, answered in found.values()], found


def find_pair(asker: Asker, pair: MinimalPair) -> PairFindings:
    """The two sentences from near by."""
    shares: dict[str, dict[str, FloatArray]] = {}
    for kind in KINDS:
        asked = pair_questions(kind, pair)
        by_model = {which: np.exp(logprobs) for which, logprobs in asker.ask(asked).items()} | {"true": asked.limit}
        shape = (2, len(BEARINGS)) if kind == "generate" else (2, len(BEARINGS), len(asked.options))
        shares[kind] = {which: values.reshape(shape) for which, values in by_model.items()}
    drawn = {which: generated(asker, which, pair) for which in WHICH}
    valid = {which: [[text for text in some if text in _WRITTEN] for some in sides] for which, sides in drawn.items()}
    return PairFindings(
        texts=[situation_texts()[pair.without], situation_texts()[pair.modified]],
        modifier=pair.modifier_text,
        bearings=[_bearing(n, shares) for n in range(len(BEARINGS))],
        n_draws=N_DRAWS,
        **{f"{which}_valid": [len(some) for some in sides] for which, sides in valid.items()},
        **{f"{which}_distinct": [len(set(some)) for some in sides] for which, sides in valid.items()},
    )


def _bearing(n: int, shares: Mapping[str, Mapping[str, FloatArray]]) -> ShownBearing:
    """Relevance and valence as shares of their options; generation with what lies outside the options left out."""
    names = {"tuned": "", "base": "_base", "true": "_true"}

    def among(values: FloatArray) -> FloatArray:
        return np.asarray(values / values.sum(axis=-1, keepdims=True))

    return ShownBearing(
        text=BEARINGS[n].written,
        **{f"generated{end}": shares["generate"][which][:, n].tolist() for which, end in names.items()},
        **{f"relevance{end}": among(shares["relevance"][which][:, n])[:, 0].tolist() for which, end in names.items()},
        **{f"valence{end}": among(shares["valence"][which][:, n]).tolist() for which, end in names.items()},
    )


def shown_of(pair: PairFindings, n: int) -> list[ShownBearing]:
    """The n values, rights and duties whose true relevance or valence the modifier changes most, most changed first."""

    def change(one: ShownBearing) -> float:
        valence = sum(abs(a - b) for a, b in zip(*one.valence_true, strict=True)) / 2
        return float(abs(one.relevance_true[0] - one.relevance_true[1]) + max(one.relevance_true) * valence)

    return sorted(pair.bearings, key=change, reverse=True)[:n]


_WRITTEN = {one.written for one in BEARINGS}
