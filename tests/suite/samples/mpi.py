"""120 invented statements, every second one against its facet, and ten people, of whom two left something unanswered."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

N = 120
STATEMENTS = [
    {
        "label_raw": f"Facet {n % 30}",
        "text": f"Keep {n} made-up habits",
        "label_ocean": "NEOAC"[n % 5],
        "key": 1 if n % 2 else -1,
    }
    for n in range(N)
]


def answers(person: int) -> list[str | None]:
    """1 to 5 by turns; the second person gave no answer to the first statement, the third has an empty cell there."""
    given: list[str | None] = [str((person + n) % 5 + 1) for n in range(N)]
    if person in (1, 2):
        given[0] = "0" if person == 1 else None
    return given


def write(folder: Path) -> None:
    write_csv(folder / "mpi_questions.csv", STATEMENTS, delimiter="\t")
    people = [
        {"CASE": person, "COUNTRY": "Nowhere, Isle of", **{f"I{n}": answer for n, answer in enumerate(answers(person), 1)}}
        for person in range(10)
    ]
    write_csv(folder / "mpi_human_resp.csv", people)
