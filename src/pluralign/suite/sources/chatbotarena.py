"""Battles of two anonymous language models before a person who judges them: three tasks, all for testing.

Departures: a judge's prompt comes once however many battles it was used in; models have numbers of outputs of their own in each
episode, where the published ones shared theirs; people are chosen by chance, not the first ones.
Left out: battles whose first prompt or one of whose first replies is without text, from each task that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.attributes import is_text
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_parquet, unusable
from pluralign.suite.rows import grouped
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["COLUMNS", "FILE", "SOURCE", "VERDICTS", "Battle", "load"]

FILE = "data/train-00000-of-00001-cced8514c7ed782a.parquet"
COLUMNS = ("judge", "model_a", "model_b", "winner", "conversation_a", "conversation_b")
VERDICTS = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "bothbad"}
FEWEST_BATTLES = 4
MOST_JUDGES = 1000
N_PROMPTS = 100

CARD = Card(
    name="chatbotarena",
    what="33,000 conversations of two language models with the same person, who says which of them is better.",
    citation="Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena (arXiv 2306.05685)",
    licence="CC BY 4.0 (prompts), CC BY-NC 4.0 (replies)",
    access=Hub("lmsys/chatbot_arena_conversations", (FILE,), revision="1b6335d42a1d2c7e34870c905d03ab964f7f2bd8", gated=True),
    ran_on_real_file=False,
    rows=33_000,
    units=13_383,
    chance={"chatbotarena_individual_prefs": 0.25},
    problems=("unsafe conversations are in it on purpose", "prompts of Arena-Hard come from the same place"),
)


@dataclass(frozen=True, slots=True)
class Battle:
    """The first turn of a battle; None for what is without text."""

    judge: str
    models: tuple[str, str]
    verdict: str
    prompt: str | None
    replies: tuple[str | None, str | None]


def load(folder: Path | None) -> list[Battle]:
    """All battles; raises DataError for unknown verdicts and conversations of another shape."""
    table = read_parquet(CARD, folder, FILE, COLUMNS)
    battles, faults = [], []
    for number, row in enumerate(table.iter_rows(named=True), 1):
        of_row = [f"row {number}: {fault}" for fault in _faults(row)]
        faults += of_row
        if not of_row:
            battles.append(_battle(row))
    if faults or not battles:
        raise unusable(CARD, folder, FILE, faults or "it holds no row")
    return battles


def _faults(row: dict[str, Any]) -> Iterator[str]:
    for name in ("judge", "model_a", "model_b"):
        if not is_text(row[name]):
            yield f"{name} must be text, not {row[name]!r}"
    if row["winner"] not in VERDICTS:
        yield f"winner must be one of {', '.join(VERDICTS)}, not {row['winner']!r}"
    for name in ("conversation_a", "conversation_b"):
        turns = row[name]
        if not isinstance(turns, list) or not all(
            isinstance(turn, dict) and {"role", "content"} <= set(turn) for turn in turns
        ):
            yield f"{name} must be a list of objects with role and content"
        elif [turn["role"] for turn in turns[:2]] != ["user", "assistant"]:
            yield f"{name} must begin with user and assistant"


def _battle(row: dict[str, Any]) -> Battle:
    firsts = [
        [turn["content"] if is_text(turn["content"]) else None for turn in row[f"conversation_{side}"][:2]] for side in "ab"
    ]
    (prompt, reply_a), (_, reply_b) = firsts
    return Battle(row["judge"], (row["model_a"], row["model_b"]), VERDICTS[row["winner"]], prompt, (reply_a, reply_b))


def _preference(battle: Battle) -> Example:
    reply_a, reply_b = battle.replies
    return Example(battle.verdict, json_text(opening_prompt=battle.prompt, model_a_response=reply_a, model_b_response=reply_b))


def _preference_strands(data: list[Battle], seed: int) -> Iterator[Strand]:
    whole = [battle for battle in data if battle.prompt is not None and None not in battle.replies]
    judges = {judge: of_judge for judge, of_judge in grouped(whole, key=_judge).items() if len(of_judge) >= FEWEST_BATTLES}
    for judge, battles in chosen_units(seed, "chatbotarena_individual_prefs", judges, MOST_JUDGES).items():
        yield Strand(
            unit=judge,
            examples=[_preference(battle) for battle in battles],
            descriptions=(
                "One person compares the replies of two language models to a prompt. "
                "Verdicts: a (the first is better), b (the second is), tie (equally good), bothbad (neither is good).",
            ),
            options=tuple(VERDICTS.values()),
            n_outputs=Around(16),
            n_episodes=None,
        )


def _judge(battle: Battle) -> str:
    return battle.judge


def _prompt_strands(data: list[Battle], seed: int) -> Iterator[Strand]:
    judges = grouped([battle for battle in data if battle.prompt is not None], key=_judge)
    for judge, battles in chosen_units(seed, "chatbotarena_prompts", judges, MOST_JUDGES).items():
        prompts = dict.fromkeys(str(battle.prompt) for battle in battles)
        yield Strand(
            unit=judge,
            examples=[Example(prompt) for prompt in prompts],
            descriptions=("What one person writes to language models to try them out: the first message of a conversation.",),
            n_outputs=N_PROMPTS,
        )


def _reply_strands(data: list[Battle], seed: int) -> Iterator[Strand]:
    sides = (
        (model, battle.prompt, reply) for battle in data for model, reply in zip(battle.models, battle.replies, strict=True)
    )
    told = [(model, Example(reply, prompt)) for model, prompt, reply in sides if prompt is not None and reply is not None]
    for model, pairs in grouped(told, key=lambda pair: pair[0]).items():
        yield Strand(
            unit=model,
            examples=[example for _, example in pairs],
            descriptions=(
                "How one language model replies to the first message of a conversation; it is the same model throughout.",
                f"How the language model {model} replies to the first message of a conversation.",
            ),
            n_outputs=Around(32),
            n_episodes=None,
            attributes={"model": model},
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="chatbotarena_individual_prefs",
            kind="individual",
            split="test",
            strands=_preference_strands,
            about="a person's verdict on two replies",
        ),
        Task(
            name="chatbotarena_prompts",
            kind="text",
            split="test",
            strands=_prompt_strands,
            about="a person's first message to two language models",
        ),
        Task(
            name="chatbotarena_assistant",
            kind="text",
            split="test",
            strands=_reply_strands,
            about="a language model's reply to a first message",
        ),
    ),
)
