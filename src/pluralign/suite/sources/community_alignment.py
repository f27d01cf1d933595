"""Conversations with four replies to choose from, by annotators of five countries: four tasks.

Departures: version 1.1 is read, the one whose commit is known, all of whose rows are in one file; the published suite read the
split `filtered` of an earlier one. In place of its first 10,000 rows come those of whole annotators, chosen by chance, until
there are as many: a choice of rows would leave three to each. Of a person is known what all of their rows agree on; "Prefer not
to say" and "EMPTY STRING" are missing. Outputs of several fields are JSON.
Left out: from each task the rows that lack a text it needs (a second turn, one of the four replies, a preference), and from the
individual ones people with fewer than four such rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralign.episodes import Attribute, Example
from pluralign.streams import stream
from pluralign.suite.attributes import EMPTY, known_attributes
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import grouped
from pluralign.suite.task import Around, Kind, Strand, Task, json_text

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COLUMNS", "FILE", "LANGUAGES", "SOURCE", "load"]

FILE = "community_alignment.csv"
N_ROWS = 10_000
FEWEST_ROWS = 4
"""Of a person, to be one of the individuals."""
LANGUAGES = {"en": "English", "fr": "French", "hi": "Hindi", "it": "Italian", "pt": "Portuguese"}
REPLIES = tuple(f"response_{letter}" for letter in "abcd")
TOLD = {
    "age": "annotator_age",
    "gender": "annotator_gender",
    "education": "annotator_education_level",
    "politics": "annotator_political",
    "ethnicity": "annotator_ethnicity",
    "country": "annotator_country",
}
COLUMNS = (
    "annotator_id",
    "assigned_lang",
    "first_turn_prompt",
    *(f"first_turn_{reply}" for reply in REPLIES),
    "first_turn_preferred_response",
    "first_turn_feedback",
    "second_turn_prompt",
    *TOLD.values(),
)
Row = dict[str, Any]

CARD = Card(
    name="community_alignment",
    what="Conversations with a language model in five languages; at each turn an annotator prefers one of four replies.",
    citation="Zhang et al. 2025, Cultivating Pluralism in Algorithmic Monoculture (arXiv 2507.09650)",
    licence="CC BY 4.0",
    access=Hub("facebook/community-alignment-dataset", (FILE,), revision="97343c7f6399fcbea430ed0f37c1768281a78d56"),
    ran_on_real_file=False,
    rows=90_256,
    problems=(
        "the language is the one that was assigned; some annotators wrote in another",
        "most first prompts were given to the annotators, not written by them",
        "the file is large, and is read whole",
    ),
)


def load(folder: Path | None) -> pl.DataFrame:
    """The columns that the tasks need, without texts that are none; raises DataError for unknown codes."""
    import polars as pl

    raw = read_csv(CARD, folder, FILE, COLUMNS)
    table = raw.with_columns(
        pl.when(pl.col(name).str.strip_chars().is_in(["", EMPTY])).then(None).otherwise(pl.col(name)).alias(name)
        for name in COLUMNS
    )
    faults = [f"row {n}: annotator_id is missing" for n, person in enumerate(table["annotator_id"], 1) if person is None]
    faults += _unknown(table["assigned_lang"], list(LANGUAGES))
    faults += _unknown(table["first_turn_preferred_response"].fill_null(REPLIES[0]), REPLIES)
    if faults or table.is_empty():
        raise unusable(CARD, folder, FILE, faults or "it holds no row")
    return table


def _unknown(column: pl.Series, allowed: Sequence[str]) -> list[str]:
    what = f"{column.name} must be one of {', '.join(allowed)}"
    return [f"row {n}: {what}, not {value!r}" for n, value in enumerate(column, 1) if value not in allowed]


def _chosen(table: pl.DataFrame, seed: int) -> dict[str, list[Row]]:
    """Annotator to rows: annotators by chance, whole, until there are N_ROWS rows; the same ones for all tasks."""
    import polars as pl

    sizes = dict(table.group_by("annotator_id", maintain_order=True).len().iter_rows())
    kept, n_rows = set(), 0
    for person in sorted(sizes, key=lambda one: (stream(seed, CARD.name, one, "chosen").random(), one)):
        if n_rows >= N_ROWS:
            break
        kept.add(person)
        n_rows += sizes[person]
    rows = table.filter(pl.col("annotator_id").is_in(list(kept))).iter_rows(named=True)
    return grouped(rows, key=lambda row: str(row["annotator_id"]))


def _attributes(rows: list[Row]) -> dict[str, Attribute]:
    agreed: dict[str, object] = {}
    for name, column in TOLD.items():
        values = {row[column] for row in rows if row[column] is not None}
        agreed[name] = values.pop() if len(values) == 1 else None
    return known_attributes(**agreed)


def _whole(row: Row) -> bool:
    """It has a prompt and its four replies."""
    return all(row[f"first_turn_{name}"] is not None for name in ("prompt", *REPLIES))


def _reply(row: Row) -> Example | None:
    preferred = row["first_turn_preferred_response"]
    answer = None if preferred is None else row[f"first_turn_{preferred}"]
    if row["first_turn_prompt"] is None or answer is None or row["second_turn_prompt"] is None:
        return None
    return Example(row["second_turn_prompt"], json_text(prompt=row["first_turn_prompt"], model_response=answer))


def _preference(row: Row) -> Example | None:
    if not _whole(row) or row["first_turn_preferred_response"] is None:
        return None
    return Example(
        json_text(preferred_response=row["first_turn_preferred_response"], justification=row["first_turn_feedback"]),
        json_text(prompt=row["first_turn_prompt"], **{reply: row[f"first_turn_{reply}"] for reply in REPLIES}),
    )


def _individual_strands(
    data: pl.DataFrame, seed: int, example: Callable[[Row], Example | None], plain: str, *, always_told: bool
) -> Iterator[Strand]:
    for person, rows in _chosen(data, seed).items():
        examples = [made for made in map(example, rows) if made is not None]
        if len(examples) < FEWEST_ROWS:
            continue
        attributes = _attributes(rows)
        told = f"{plain} The person: {json_text(**attributes)}"
        yield Strand(
            unit=person,
            examples=examples,
            descriptions=((told,) if always_told else (plain, told)) if attributes else (plain,),
            n_outputs=Around(25),
            n_episodes=None,
            attributes=attributes,
        )


def _reply_strands(data: pl.DataFrame, seed: int) -> Iterator[Strand]:
    plain = "One person talks with a language model: given their prompt and its response, what they say next."
    return _individual_strands(data, seed, _reply, plain, always_told=True)


def _preference_strands(data: pl.DataFrame, seed: int) -> Iterator[Strand]:
    plain = (
        "Which of four responses to a prompt one person likes best, as a JSON object; "
        "where the person gave a reason, it is there as the justification."
    )
    return _individual_strands(data, seed, _preference, plain, always_told=False)


def _by_language(data: pl.DataFrame, seed: int) -> Iterator[tuple[str, dict[str, Row]]]:
    """Language code, and its different prompts with the first row of each that is whole, or else the first."""
    rows = [row for of_person in _chosen(data, seed).values() for row in of_person if row["first_turn_prompt"] is not None]
    for code, of_language in sorted(grouped(rows, key=lambda row: str(row["assigned_lang"])).items()):
        prompts = grouped(of_language, key=lambda row: str(row["first_turn_prompt"]))
        yield code, {prompt: next(filter(_whole, same), same[0]) for prompt, same in prompts.items()}


def _prompt_strands(data: pl.DataFrame, seed: int) -> Iterator[Strand]:
    for code, prompts in _by_language(data, seed):
        yield Strand(
            unit=code,
            examples=[Example(prompt) for prompt in prompts],
            descriptions=(
                f"The opening message of a conversation with a language model that was to be held in {LANGUAGES[code]}.",
            ),
            n_outputs=Around(32),
            n_episodes=None,
        )


def _response_strands(data: pl.DataFrame, seed: int) -> Iterator[Strand]:
    for code, prompts in _by_language(data, seed):
        examples = []
        for prompt, row in prompts.items():
            if _whole(row):
                order = stream(seed, "community_alignment_response", code, prompt, "order").permutation(len(REPLIES))
                replies = [row[f"first_turn_{REPLIES[i]}"] for i in order]
                examples.append(Example(json.dumps(replies, ensure_ascii=False), prompt))
        if examples:
            yield Strand(
                unit=code,
                examples=examples,
                descriptions=("Four responses to the prompt, meant to be unlike one another, as a JSON list.",),
                n_outputs=5,
                n_episodes=None,
            )


def _task(name: str, kind: Kind, strands: Callable[[pl.DataFrame, int], Iterator[Strand]], about: str) -> Task:
    return Task(name=f"{CARD.name}_{name}", kind=kind, split="train", strands=strands, about=about)


SOURCE = Source(
    CARD,
    load,
    (
        _task(
            "individual_reply", "individual", _reply_strands, "what a person says to a language model after its first response"
        ),
        _task("individual_preferences", "individual", _preference_strands, "which of four responses a person prefers, and why"),
        _task("initial_prompt", "text", _prompt_strands, "the opening message of a conversation"),
        _task("response", "text", _response_strands, "four responses to a prompt"),
    ),
)
