"""Nine battles of three models before three judges; one reply is blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources import chatbotarena
from suite.samples import write_parquet


def battle(judge: str, models: str, winner: str, prompt: str, replies: tuple[str, str]) -> dict[str, Any]:
    talks = {
        f"conversation_{side}": [{"content": prompt, "role": "user"}, {"content": reply, "role": "assistant"}]
        for side, reply in zip("ab", replies, strict=True)
    }
    named = {f"model_{side}": f"model-{model}" for side, model in zip("ab", models, strict=True)}
    return {"question_id": "q", **named, "winner": winner, "judge": judge, **talks, "turn": 1, "language": "English"}


BATTLES = [
    battle("j1", "xy", "model_a", "Tell a joke", ("Ha", "Ho")),
    battle("j1", "yx", "model_b", "Tell a joke", ("Ho, ho", "Ha, ha")),
    battle("j1", "xz", "tie", "Schreibe ein Gedicht über Äpfel", ("Rot\nund rund", "Apfel")),
    battle("j1", "zx", "tie (bothbad)", "2 + 2", ("5", "3")),
    battle("j1", "yz", "model_a", "2 + 3", ("5", " ")),
    battle("j2", "yz", "model_a", "Hello", ("Hello!", "Hi, you")),
    battle("j2", "xy", "tie", "Name a hill", ("One", "Two")),
    battle("j2", "zy", "tie", "Name a hut", ("Three", "Four")),
    battle("j3", "xz", "model_b", "  ", ("What?", "Yes?")),
]


def write(folder: Path) -> None:
    write_parquet(folder / chatbotarena.FILE, BATTLES)
