"""Made-up jurors whose ratings are known: women like what is long, men what is short, everybody the better the older."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.models import Query, ScriptedModel

SCALE = ("1", "2", "3", "4", "5")
WORTH = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def people(n: int = 8) -> list[Episode]:
    """Half of them women; past ratings are of another prompt."""
    past = (Example("4", json.dumps({"prompt": "Before?", "response": "Yes."})),)
    return [
        Episode(
            "panel", past, options=SCALE, unit=f"p{k:02}", attributes={"gender": "woman" if k % 2 else "man", "age": 20 + k}
        )
        for k in range(n)
    ]


def law(person: Episode, response: str) -> np.ndarray:
    """Probabilities of the five ratings."""
    liking = min(len(response), 20) / 20
    if person.attributes["gender"] == "man":
        liking = 1 - liking
    liking = 0.8 * liking + 0.2 * (float(person.attributes["age"] or 0) - 20) / 40
    weights = np.exp(-((WORTH - liking) ** 2) / 0.1)
    return np.asarray(weights / weights.sum())


def utility(person: Episode, response: str) -> float:
    return float(law(person, response) @ WORTH)


def knowing(query: Query) -> Mapping[str, float]:
    """All that there is to know about a juror's rating; of a request for a letter or a text, see `answering`."""
    response = json.loads(query.input or "{}")["response"]
    return dict(zip(SCALE, 0.9 * law(query.episode, response), strict=True))


def certain(query: Query) -> Mapping[str, float]:
    """The most probable rating, with certainty."""
    shares = dict(knowing(query))
    top = max(shares, key=lambda option: shares[option])
    return {option: float(option == top) for option in shares}


def judge(distribution: Any = knowing, **more: Any) -> ScriptedModel:
    return ScriptedModel(distribution, revision=distribution.__name__, **more)


def write_questions(path: Path, questions: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path


def write_people(path: Path, some: Sequence[Episode] | None = None) -> Path:
    write_episodes(path, people() if some is None else some)
    return path


RESPONSES = {"short": "No.", "middle": "Rather not.", "long": "No, and here is why not."}
PROMPTS = ("Shall we?", "Must we?", "Can we?")


def questions(*, named: bool = True, given: bool = True, some: Sequence[Episode] | None = None) -> list[dict[str, Any]]:
    """Three prompts; responses grow with the prompt's number, so that the prompts differ."""
    jurors = people() if some is None else some
    found = []
    for n, prompt in enumerate(PROMPTS):
        texts = {name: text + "!" * n for name, text in RESPONSES.items()}
        one: dict[str, Any] = {"id": f"q{n}", "prompt": prompt, "responses": texts if named else list(texts.values())}
        if given:
            one["utilities"] = {str(p.unit): [utility(p, text) for text in texts.values()] for p in jurors}
        found.append(one)
    return found
