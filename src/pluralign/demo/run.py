"""The demo as one function: both models, part by part, into a run folder that ends in one page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pluralign import __version__
from pluralign.demo import measure, parts
from pluralign.demo.asking import WHICH, Asker, Questions, Which
from pluralign.demo.findings import DemoFindings, ModelCheck
from pluralign.demo.laws import KS, categorical_questions, coin_questions, shown_coin
from pluralign.demo.people import KNOWN, TARGETS, draw_people, limits, people_questions
from pluralign.demo.situation import drawn_pair
from pluralign.demo.written import profile_quality, write_profiles
from pluralign.errors import UsageError
from pluralign.models import LanguageModel, ModelSettings, open_model
from pluralign.progress import Tell
from pluralign.report.demo_page import demo_page
from pluralign.runs import Run, RunConfig

__all__ = ["PAGE", "DemoPlan", "DemoSettings", "demo", "plan_demo"]

PAGE = "report.html"
"""Name of the page in a run folder."""
FORMATS: dict[Which, str] = {"tuned": "spectrum", "base": "colon"}
"""The tuned model reads turns; its base has read plain text only."""


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """How much is asked, of whom, and of which models."""

    seed: int = 0
    """Draws people, coins, laws and situations, all of them held out, and resamples them for the intervals."""
    limit: int | None = None
    """People, coins, laws and situations, at most so many of each; at least 2, since intervals resample them."""
    model: str | LanguageModel = "embedded"
    base: str | LanguageModel = "embedded/base"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: it must be 0 or more.")
        if self.limit is not None and self.limit < 2:
            raise UsageError(f"--limit {self.limit}: it is a number of people, at least 2, so that there are intervals.")

    @property
    def n_people(self) -> int:
        return self.limit or 160

    @property
    def n_coins(self) -> int:
        return min(160, self.limit or 160)

    @property
    def n_laws(self) -> int:
        """Fewer: each question has 64 options."""
        return min(48, self.limit or 48)

    @property
    def n_situations(self) -> int:
        return min(100, self.limit or 100)

    @property
    def sizes(self) -> dict[str, int]:
        """How much of everything, by name."""
        return {name: getattr(self, name) for name in ("n_people", "n_coins", "n_laws", "n_situations")}


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """What a demo would ask."""

    out: str
    model: str
    base: str
    n_people: int
    n_coins: int
    n_laws: int
    n_situations: int
    questions: dict[str, int]
    """By part, of each model."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        asked = ", ".join(f"{n:,} {part}" for part, n in self.questions.items())
        return [
            f"would ask {self.model} and {self.base} about {self.n_people:,} held-out people, {self.n_coins:,} coins, "
            f"{self.n_laws:,} categorical laws, and {self.n_situations:,} situations",
            f"questions to each: {asked}",
            f"would write to {self.out}: {PAGE}, results.json, and the answers as finished steps",
            "Nothing was asked and nothing was written (--dry-run).",
        ]


def plan_demo(out: str | os.PathLike[str], settings: DemoSettings | None = None) -> DemoPlan:
    """What `demo` would do. Opens both models, so that what is missing comes out now."""
    settings = settings or DemoSettings()
    models = _opened(settings)
    return DemoPlan(
        out=os.fspath(out),
        model=_name(settings, models, "tuned"),
        base=_name(settings, models, "base"),
        n_people=settings.n_people,
        n_coins=settings.n_coins,
        n_laws=settings.n_laws,
        n_situations=settings.n_situations,
        questions={
            "coinflip": len(KS) * settings.n_coins,
            "categorical": len(KS) * settings.n_laws,
            "ratings": (len(KNOWN) + 1) * len(TARGETS) * settings.n_people,
            "profiles to write": settings.n_people,
        },
    )


def demo(out: str | os.PathLike[str], settings: DemoSettings | None = None, *, tell: Tell | None = None) -> DemoFindings:
    """The whole story on the embedded model into the run folder `out`: results.json and report.html.

    Started again with the same settings it goes on where it stopped. Raises MissingExtraError without torch, before anything
    is computed; RunError where the folder holds another run.
    """
    settings = settings or DemoSettings()
    models = _opened(settings)
    arguments = {
        **settings.sizes,
        **{f"{which}_model": _name(settings, models, which) for which in WHICH},
        **{f"{which}_fingerprint": models[which].fingerprint() for which in WHICH},
    }
    with Run.open(out, RunConfig(command="demo", arguments=arguments, seed=settings.seed)) as run:
        asker = Asker(run=run, models=models, seed=settings.seed, tell=tell or _silent)
        findings = _find(asker, settings)
        run.write_results(findings.to_dict())
        asker.tell("drawing the page", 0, 1)
        run.write_text(PAGE, demo_page(findings))
    return findings


def _find(asker: Asker, settings: DemoSettings) -> DemoFindings:
    seed = settings.seed
    coins = coin_questions(settings.n_coins, seed=seed)
    laws = categorical_questions(settings.n_laws, seed=seed)
    of_coins, of_laws = asker.ask(coins), asker.ask(laws)
    people = draw_people(settings.n_people, seed=seed)
    asked = people_questions(people)
    asked = asker.with_limits(asked, lambda: limits(people, asked))
    answered = asker.ask(asked)
    written = {which: write_profiles(asker, which, people) for which in WHICH}
    values, asked_values = parts.find_values(asker, settings.n_situations)
    p_heads, tosses = shown_coin(coins)
    return DemoFindings(
        seed=seed,
        pluralign_version=__version__,
        model=_name(settings, asker.models, "tuned"),
        base_model=_name(settings, asker.models, "base"),
        n_people=settings.n_people,
        n_coins=settings.n_coins,
        n_laws=settings.n_laws,
        n_situations=settings.n_situations,
        n_targets=len(TARGETS),
        laws=[parts.find_law(coins, of_coins, seed=seed), parts.find_law(laws, of_laws, seed=seed)],
        coin_p_heads=p_heads,
        coin_tosses=tosses,
        coin_steps=parts.coin_steps(coins, of_coins),
        people=parts.find_people(asker, people, asked, answered, written),
        written={which: profile_quality(written[which], people, seed=seed) for which in WHICH},
        person=parts.find_person(asker, people, written),
        pair=parts.find_pair(asker, drawn_pair(seed)),
        values=values,
        checks={
            which: _check(
                which,
                {"coinflip": (coins, of_coins), "categorical": (laws, of_laws), "ratings": (asked, answered), **asked_values},
                seed,
            )
            for which in WHICH
        },
    )


def _check(which: Which, everything: dict[str, tuple[Questions, dict[str, Any]]], seed: int) -> ModelCheck:
    asked, answered = everything["ratings"]
    return ModelCheck(
        calibration=measure.calibration(asked, answered[which], name=which, seed=seed),
        covered={part: measure.covered_mass(one, found[which], seed=seed) for part, (one, found) in everything.items()},
    )


def _opened(settings: DemoSettings) -> dict[Which, LanguageModel]:
    """Both models, in float32: what is measured is finer than what bfloat16 tells apart."""
    given: dict[Which, str | LanguageModel] = {"tuned": settings.model, "base": settings.base}
    return {
        which: open_model(one, ModelSettings(format=FORMATS[which], dtype="float32")) if isinstance(one, str) else one
        for which, one in given.items()
    }


def _name(settings: DemoSettings, models: Mapping[Which, LanguageModel], which: Which) -> str:
    """As it was asked for, not where it lies."""
    one = settings.model if which == "tuned" else settings.base
    return one if isinstance(one, str) else models[which].name


def _silent(what: str, done: int, total: int, note: str = "") -> None:
    """Says nothing."""
