"""When should abortion be legal? Seven yes-or-no questions of the General Social Survey, 1972 to 2018, person by person.

People who answered fewer than four are left out (most were asked none or all), and of the others 2,000 are drawn by chance.
Religious activity is left out of what is known of a person, since its eleven steps are not named in the file, and so is the
detailed code of Hispanic origin. Not a task of the published suite.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.ratings_task import Wordings, checked_ratings, raters_task
from pluralign.suite.reading import read_parquet, unusable

if TYPE_CHECKING:
    from pluralign.ratings.table import Ratings

__all__ = ["SOURCE", "load"]

FILE = "stevedata-gss_abortion.parquet"
N_PEOPLE = 2000
FEWEST = 4
QUESTIONS = {
    "abany": "Should abortion be legal if the woman wants it, whatever the reason?",
    "abdefect": "Should abortion be legal if the fetus has a serious defect?",
    "abnomore": "Should abortion be legal if the woman wants no more children?",
    "abhlth": "Should abortion be legal if the pregnancy endangers the woman's health?",
    "abpoor": "Should abortion be legal if the woman is poor and cannot afford more children?",
    "abrape": "Should abortion be legal if the woman became pregnant because of a rape?",
    "absingle": "Should abortion be legal if the woman is single and does not want to marry the man?",
}
LABELS = {"0": "No", "1": "Yes"}
ATTRIBUTES = {
    "year": "year of the interview",
    "age": "age",
    "race": "race",
    "sex": "sex",
    "hispanic": "Hispanic",
    "educ": "years of schooling",
    "partyid": "party",
}
CODES = {
    "hispanic": {"0": "no", "1": "yes"},
    "partyid": {
        "Strong Democrat": "strong Democrat",
        "Not Str Democrat": "not so strong Democrat",
        "Ind,Near Dem": "independent, near Democrat",
        "Independent": "independent",
        "Ind,Near Rep": "independent, near Republican",
        "Not Str Republican": "not so strong Republican",
        "Strong Republican": "strong Republican",
        "Other Party": "other party",
    },
}
CARD = Card(
    name="gss_abortion",
    what="Answers of 45,599 people to up to seven questions on when abortion should be legal, with the year and demographics.",
    citation="Smith et al., General Social Surveys 1972-2018; as gss_abortion in Miller, stevedata (package of R)",
    licence="GSS public data; the package's licence for the packaging",
    access=Repository("https://github.com/vincentarelbundock/Rdatasets", "1dcc2bf5f955cc1224a3e1307256e1fe86b68dae", (FILE,)),
    ran_on_real_file=True,
    rows=301_343,
    units=45_599,
    chance={"gss_abortion": 0.5},
    problems=("beyond the published suite", "an episode has seven outputs at most"),
    folder="rdatasets",
)
WORDINGS = Wordings(
    bare=(
        "One person's answers, Yes or No, to questions on when abortion should be legal.",
        "A respondent to the General Social Survey of the United States says in which cases abortion should be legal: Yes or "
        "No.",
    ),
    described=(
        "One person's answers, Yes or No, to questions on when abortion should be legal. The person:",
        "A respondent to the General Social Survey of the United States says in which cases abortion should be legal: Yes or "
        "No. What is known of the respondent:",
    ),
)


def load(folder: Path | None) -> Ratings:
    """All answers, a missing one being none."""
    import polars as pl

    people = read_parquet(CARD, folder, FILE, ["rownames", *QUESTIONS, *ATTRIBUTES]).with_columns(pl.all().cast(pl.String))
    known = people.with_columns(pl.col(pl.String).replace("", None))
    faults = [
        f"{column}: unknown codes {', '.join(map(repr, unknown))}; known are {', '.join(map(repr, codes))}"
        for column, codes in CODES.items()
        if (unknown := sorted(set(known[column].drop_nulls().unique()) - set(codes)))
    ]
    if faults:
        raise unusable(CARD, folder, FILE, faults)
    known = known.with_columns(pl.col(column).replace(codes) for column, codes in CODES.items())
    known = known.rename({column: f"rater_{name}" for column, name in ATTRIBUTES.items()} | {"rownames": "rater_id"})
    table = known.with_row_index("row", offset=1).unpivot(
        list(QUESTIONS),
        index=["row", *[c for c in known.columns if c.startswith("rater_")]],
        variable_name="item_id",
        value_name="rating",
    )
    table = table.drop_nulls("rating").with_columns(pl.col("item_id").replace_strict(QUESTIONS).alias("item_text"))
    return checked_ratings(CARD, folder, FILE, table, LABELS, kind="nominal")


SOURCE = Source(
    CARD,
    load,
    (raters_task(CARD.name, WORDINGS, about="whether abortion should be legal in a case", most=N_PEOPLE, fewest=FEWEST),),
)
