"""Three raters of 990, who see three conversations, and two of 350; of one nothing is known, of one some."""

from __future__ import annotations

from pathlib import Path

from suite.samples import Row, write_csv

Who = dict[str, str | None]
TALKS = [("USER: Hi\nBOT: Hello, you", "Who are you?"), ("USER: ☀?", "It's sunny, I hope"), ('USER: "No"', "Why not?")]
WHO_990: dict[str, Who] = {
    "7": {
        "rater_gender": "Woman",
        "rater_locale": "IN",
        "rater_race": "Other",
        "rater_race_raw": "Indian, Goan",
        "rater_age": "millenial",
        "phase": "Phase1",
        "rater_education": "College degree or higher",
    },
    "8": {
        "rater_gender": "Self-describe (below)",
        "rater_locale": "US",
        "rater_race": "White",
        "rater_race_raw": None,
        "rater_age": "gen z",
        "phase": "Phase1",
        "rater_education": None,
    },
    "9": dict.fromkeys(
        ("rater_gender", "rater_locale", "rater_race", "rater_race_raw", "rater_age", "phase", "rater_education")
    ),
}
WHO_350: dict[str, Who] = {
    rater: {"rater_gender": gender, "rater_race": race, "rater_raw_race": race, "rater_age": age, "rater_education": "Other"}
    for rater, gender, race, age in (("7", "Man", "White", "gen x+"), ("5", "Nonbinary", "Multiracial", "gen z"))
}


def _rows(raters: dict[str, Who], answers: str) -> list[Row]:
    kinds = {"y": "Yes", "n": "No", "u": "Unsure"}
    pairs = [(rater, talk) for rater in raters for talk in range(len(TALKS))]
    return [
        {
            "id": n,
            "rater_id": rater,
            **raters[rater],
            "item_id": talk,
            "context": TALKS[talk][0],
            "response": TALKS[talk][1],
            "degree_of_harm": None,
            "Q_overall": kinds[answer],
        }
        for n, ((rater, talk), answer) in enumerate(zip(pairs, answers, strict=True))
    ]


def write(folder: Path) -> None:
    write_csv(folder / "990/diverse_safety_adversarial_dialog_990.csv", _rows(WHO_990, "ynunnnyyn"))
    write_csv(folder / "350/diverse_safety_adversarial_dialog_350.csv", _rows(WHO_350, "nynunu"))
