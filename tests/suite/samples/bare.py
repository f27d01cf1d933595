"""Six files of a few records each; one record of each has a text that is null or blank, one message an unknown newsgroup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_jsonl

ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [
        {"question": "Ida has 3 pens and buys 2.\nHow many?", "answer": "3 + 2 = <<3+2=5>>5 #### 5"},
        {"question": 'A tram holds 40. How many do two hold, "at most"?', "answer": "2 x 40 = 80 #### 80"},
        {"question": "Une crêpe coûte 2 €. Et trois ?", "answer": "#### 6"},
        {"question": "What is left?", "answer": None},
    ],
    "enron": [
        {"email": "Subject: lunch\nAt noon?", "label": 0},
        {"email": "Win a boat, now!", "label": 1},
        {"email": "Ça va ?", "label": "0"},
        {"email": " \n", "label": 1},
    ],
    "hotpot": [
        {"context": "Oslo is a city.\nIt lies by a fjord.", "question": "Where?", "reason": "It says so.", "answer": "a fjord"},
        {"context": "Lima is a city.", "question": "What is Lima?", "reason": "", "answer": "a city"},
        {"context": None, "question": "Who?", "reason": "?", "answer": "nobody"},
    ],
    "lcb": [
        {"question": "Add all numbers.", "test_input": "[1, 2]", "reasoning": "1 + 2", "answer": "3"},
        {"question": "Reverse a text.", "test_input": '"añb"', "reasoning": "b, ñ, a", "answer": '"bña"'},
        {"question": "Count.", "test_input": "", "reasoning": "", "answer": "0"},
    ],
    "newsgroups": [
        {"newsgroup": "sci.space", "message": "When is the launch?\n\n-- \nJ."},
        {"newsgroup": "rec.autos", "message": "Selling nothing, just “asking”."},
        {"newsgroup": "alt.kites", "message": "Is there wind?"},
    ],
    "pubmed": [
        {"context": "AIMS: To see.\nRESULTS: Seen.", "question": "Was it seen?", "reason": "Results.", "answer": "yes"},
        {"context": "AIMS: β-waves.", "question": "Were there any?", "reason": "None are named.", "answer": "maybe"},
        {"context": "AIMS: Rest.", "question": "", "reason": "", "answer": "no"},
    ],
}


def write(folder: Path) -> None:
    for name, rows in ROWS.items():
        write_jsonl(folder / f"{name}.jsonl", [row | {"id": n} for n, row in enumerate(rows)])
