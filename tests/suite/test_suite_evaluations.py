"""Diverse-and-valid and distributional tasks: every request and question by hand, on made-up rows, and on the real files."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from pluralign.errors import DataError
from pluralign.suite import all_evaluations, evaluation, read, source
from pluralign.suite.evaluation import Coverage, CoverageTask, Target, TargetTask
from pluralign.suite.lists import STATES, WEEKDAYS
from pluralign.suite.sources import elements, mpi, nyt_books, rotten_tomatoes, us_car_models, verb_forms
from suite.samples import write_csv, write_json, write_sample, write_text
from suite.samples.elements import write as write_elements
from suite.samples.mpi import STATEMENTS, answers
from suite.samples.nyt_books import BOOKS, book
from suite.samples.verb_forms import line
from suite.test_every_source import whole_coverage, whole_targets

MAX_TOKENS = {
    **{"rng_1_10": 4, "rng_1_100": 4, "random_seed": 4, "prime_numbers": 10, "small_prime_numbers": 5},
    **{"us_states_full_names": 15, "us_states_abbreviations": 5, "us_states_any_format": 15},
    **{"weekdays_full": 10, "weekdays_abbreviated": 5, "weekdays_any_format": 10},
    **{"element_symbols": 5, "element_names": 15, "color_normal_ex": 8, "color_interesting_ex": 8, "claude_gerunds": 4},
    **{"car_brand": 8, "car_make_model": 16, "basic_emails": 40, "professional_emails": 40},
    **{"us_phone_numbers": 20, "international_phone_numbers": 25},
}
"""Section 4 of the suite's table."""
CLOSED = {
    **{"rng_1_10": 10, "us_states_full_names": 50, "us_states_abbreviations": 50, "us_states_any_format": 100},
    **{"weekdays_full": 21, "weekdays_abbreviated": 21, "weekdays_any_format": 49},
    **{"rng_1_100": 100, "small_prime_numbers": 25},
}
"""The seven of the paper, and two more."""


def _coverage(name: str, data_dir: Path | None = None) -> Coverage:
    asked = evaluation(name)
    assert isinstance(asked, CoverageTask)
    return asked.make(read(name, data_dir))


def _targets(name: str, data_dir: Path | None = None, *, seed: int = 0) -> list[Target]:
    asked = evaluation(name)
    assert isinstance(asked, TargetTask)
    return list(asked.rows(read(name, data_dir), seed))


# diverse and valid


def test_the_22_requests_have_the_budgets_of_the_table() -> None:
    found = {name: one.max_tokens for name, one in all_evaluations().items() if isinstance(one, CoverageTask)}
    assert found == MAX_TOKENS


@pytest.mark.parametrize("asked", source("closed_sets").evaluations, ids=lambda one: one.name)
def test_requests_without_a_file_are_whole(asked: CoverageTask) -> None:
    spec = asked.make(None)
    whole_coverage(spec)
    assert spec.description.endswith((".", "else."))
    assert (len(spec.closed) if spec.closed else None) == CLOSED.get(asked.name)


def test_what_is_closed_holds_every_valid_answer_and_no_other() -> None:
    """Whatever is near a member of one of the lists is valid exactly where it is in the list itself."""
    specs = [_coverage(name) for name in CLOSED]
    texts = {text for spec in specs for text in spec.closed or ()}
    near = {
        change(text) for text in texts for change in (str, str.lower, str.upper, str.title, lambda t: t[:-1], lambda t: f"{t}.")
    }
    for spec in specs:
        assert spec.closed is not None
        assert {text for text in near if spec.is_valid(text)} == set(spec.closed)


def test_lists_that_are_finite() -> None:
    assert len(STATES) == len(set(STATES.values())) == 50
    assert list(STATES) == sorted(STATES)
    assert all(len(code) == 2 and code.isupper() and code[0] == name[0] for name, code in STATES.items())
    assert _coverage("us_states_any_format").closed == (*STATES, *STATES.values())
    primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
    assert _coverage("small_prime_numbers").closed == tuple(map(str, primes))
    full, short, any_format = (_coverage(f"weekdays_{name}").closed for name in ("full", "abbreviated", "any_format"))
    assert full is not None
    assert short is not None
    assert full[:3] == ("Monday", "monday", "MONDAY")
    assert short[-3:] == ("Sun", "Sun.", "SUN")
    assert any_format == (*full, *short, "M", "Tu", "W", "Th", "F", "Sa", "Su")
    assert [day[:3] for day in full[::3]] == list(short[::3]) == [day[:3] for day in WEEKDAYS]


def test_elements(tmp_path: Path) -> None:
    write_sample("elements", tmp_path)
    symbols, names = _coverage("element_symbols", tmp_path), _coverage("element_names", tmp_path)
    assert symbols.closed == ("H", "He", "C", "O", "Ne", "K", "Fe", "Au", "Nh", "Og")
    assert not any(map(symbols.is_valid, ("he", "HE", "Helium", " He", "Xx")))
    assert all(map(names.is_valid, ("oganesson", "Oganesson", "OGANESSON")))
    assert not any(map(names.is_valid, ("Og", "Oganesson ", "\u212arypton")))
    assert names.closed is None, "in any case: too many to list"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("119,  , Unnamed, 300,,", "row 11: a symbol and a name are needed"),
        ("119, Xx ,, 300,,", "row 11: a symbol and a name are needed"),
        ("119, He , Other, 300,,", "row 11: its symbol has come before"),
        ("119, Xx , HELIUM, 300,,", "row 11: its name has come before"),
    ],
)
def test_elements_that_cannot_be_told_apart_are_refused(tmp_path: Path, more: str, message: str) -> None:
    write_elements(write_sample("elements", tmp_path), more)
    with pytest.raises(DataError, match=message):
        elements.load(tmp_path / "elements")


def test_colours_are_in_any_case_and_both_requests_are_the_same(tmp_path: Path) -> None:
    write_sample("color_names", tmp_path)
    plain, fancy = _coverage("color_normal_ex", tmp_path), _coverage("color_interesting_ex", tmp_path)
    assert plain.description == fancy.description
    assert plain.examples == ("Red", "Blue", "Green")
    assert all(map(plain.is_valid, ("kettle grey", "wet, very wet slate", "ÜBERSEE", *fancy.examples)))
    assert not any(map(plain.is_valid, ("kettle", "Kettle Grey.", "#000000", "x")))
    write_csv(tmp_path / "color_names" / "colornames.csv", [{"name": "Red", "hex": "#f00"}, {"name": " ", "hex": "#0f0"}])
    with pytest.raises(DataError, match="row 2: a name is needed"):
        _coverage("color_normal_ex", tmp_path)


def test_participles(tmp_path: Path) -> None:
    folder = write_sample("verb_forms", tmp_path)
    spec = _coverage("claude_gerunds", tmp_path)
    assert spec.closed == ("running", "whispering", "baking", "dyeing")
    assert not any(map(spec.is_valid, ("Running", "running.", "run", "be running", "thing")))
    write_text(folder / "en-verbs.txt", f";\n{line('run', 'running')}\nrun,,,runs,,running\n")
    with pytest.raises(DataError, match="line 3: 24 forms are needed, some of them empty, not 6"):
        verb_forms.load(folder)
    write_text(folder / "en-verbs.txt", f";\n{line('run', '')}\n")
    with pytest.raises(DataError, match="it holds no present participle"):
        verb_forms.load(folder)


def test_cars_of_the_years_that_are_there(tmp_path: Path) -> None:
    folder = write_sample("us_car_models", tmp_path)
    makes, cars = _coverage("car_brand", tmp_path), _coverage("car_make_model", tmp_path)
    assert makes.closed == ("Ford", "Honda", "NOVIA", "Novia", "Toyota", "Volvo")
    assert not any(map(makes.is_valid, ("ford", "Ford Mustang", "Fjäll")))
    assert all(
        map(
            cars.is_valid,
            ("FORD MUSTANG", "a 1999 Ford Mustang!", "Volvo Fjäll, Wagon", "Novia Via", "novia 7", "Novia Grande 7"),
        )
    )
    assert not any(map(cars.is_valid, ("Ford Corolla", "Mustang", "Novia", "Volvo")))
    (folder / "2012.csv").unlink()
    assert _coverage("car_brand", tmp_path).closed == ("Ford", "Honda", "Novia", "Toyota")
    write_csv(folder / "1999.csv", [{"make": "Ford", "model": "Mustang"}, {"make": "Ford", "model": None}])
    with pytest.raises(DataError, match=r"1999\.csv: row 2: a make and a model are needed"):
        us_car_models.load(folder)


# urn and states


def test_urns_are_those_of_the_law_and_tell_what_they_hold() -> None:
    rows = _targets("urn")
    assert len(rows) == 1000
    assert len({(row.description, row.input) for row in rows}) == 1000
    assert len({frozenset(row.attributes.items()) for row in rows}) == 1000, "nor does one come in another order"
    for row in rows:
        assert row.description is not None
        held = row.description.removeprefix("An urn holds ").removesuffix(".").replace(" and ", ", ").split(", ")
        counts = {words.split()[1]: int(words.split()[0]) for words in held}
        assert all(words.endswith("balls" if int(words.split()[0]) > 1 else " ball") for words in held)
        assert list(counts) == list(row.options)
        assert counts == dict(row.attributes)
        assert set(counts) < {"red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white"}
        assert row.shares == tuple(n / sum(counts.values()) for n in counts.values())
    sizes = Counter(len(row.options) for row in rows)
    assert set(sizes) == {2, 3, 4, 5}
    assert stats.chisquare(list(sizes.values())).pvalue > 1e-4
    # a count of 1: the mean of 1/c over c = 1..10 is 7381/25200 = 0.293; of 10: 1/100
    counts_of_all = Counter(n for row in rows for n in row.attributes.values())
    wanted = [sum(1 / c for c in range(n, 11)) / 10 * counts_of_all.total() for n in range(1, 11)]
    assert stats.chisquare([counts_of_all[n] for n in range(1, 11)], wanted).pvalue > 1e-4
    colours = Counter(colour for row in rows for colour in row.options)
    assert stats.chisquare(list(colours.values())).pvalue > 1e-4


def test_urns_are_keyed_by_the_seed() -> None:
    asked = evaluation("urn")
    assert isinstance(asked, TargetTask)
    first = [row.description for row in itertools.islice(asked.rows(None, 0), 20)]
    assert first == [row.description for row in _targets("urn")[:20]]
    assert not set(first) & {row.description for row in itertools.islice(asked.rows(None, 1), 20)}
    whole_targets(asked, None)


def test_states_are_one_question() -> None:
    [row] = _targets("states")
    assert row.description is None
    assert row.options == tuple(STATES) == _coverage("us_states_full_names").closed
    assert row.shares == (0.02,) * 50
    whole_targets(evaluation("states"), None)


# nytimes


def test_a_book_is_asked_of_each_group_with_its_people(tmp_path: Path) -> None:
    write_sample("nyt_books", tmp_path)
    rows = _targets("nytimes", tmp_path)
    first = rows[0]
    assert first.input.splitlines() == [
        *("How likely is the person to read this book?", "Title: The Lamp By Ada Moor", "Genre: Fiction"),
        *("Summary: A lighthouse is sold.", "1: Very unlikely", "2: Somewhat unlikely", "3: Somewhat likely", "4: Very likely"),
    ]
    assert (first.options, first.shares, first.n) == (("1", "2", "3", "4"), (0.1, 0.2, 0.3, 0.4), 10)
    assert first.description == (
        "One person, picked at random from the Democrats who took part in a survey about books, says how likely they are to "
        "read a book. The answer is a number from 1 to 4."
    )
    assert {str(row.description).split("from the ")[1].split(" who ")[0] for row in rows} == {
        "Democrats",
        "Republicans",
        "men",
        "women",
    }
    [man] = [row for row in rows if row.unit == "Grüne Wege By I. Nemo" and row.attributes == {"group": "Male"}]
    assert man.shares == (0.75, 0, 0.25, 0), "a level without a count was not chosen"


def test_nobody_is_no_distribution(tmp_path: Path) -> None:
    """The published suite made it uniform."""
    write_sample("nyt_books", tmp_path)
    loaded = nyt_books.load(tmp_path / "nyt_books")
    assert loaded.unasked == [("Tides, Two By Jo Lind", "Republican")]
    rows = _targets("nytimes", tmp_path)
    assert len(rows) == 4 * 4 - 1
    assert not any(row.unit == "Tides, Two By Jo Lind" and row.attributes["group"] == "Republican" for row in rows)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "an object from titles to books is needed"),
        ({"A": []}, r"'A': an object is needed, not \[\]"),
        ({"A": book(MC_options=[1, 2, 3, 4])}, "'A': MC_options must be"),
        ({"A": book(genre=" ")}, "'A': genre must be text, not ' '"),
        ({"A": book(summary=None)}, "'A': summary must be text, not None"),
        ({"A": book(Male=None)}, "'A': Male must be an object from levels to counts, not None"),
        ({"A": book(Male={"5: Never": 1})}, "'A': Male: the level '5: Never' with the count 1 is not"),
        ({"A": book(Male={"1: Very unlikely": 1.5})}, "with the count 1.5 is not one of the four with a whole number"),
        ({"A": book(Male={"1: Very unlikely": -1})}, "with the count -1 is not"),
        ({"A": book(Male={"1: Very unlikely": True})}, "with the count True is not"),
    ],
)
def test_books_of_another_shape_are_refused(tmp_path: Path, document: Any, message: str) -> None:
    folder = write_sample("nyt_books", tmp_path)
    write_json(folder / "data.json", document)
    with pytest.raises(DataError, match=message):
        nyt_books.load(folder)


def test_every_fault_of_the_books_is_named(tmp_path: Path) -> None:
    folder = write_sample("nyt_books", tmp_path)
    write_json(folder / "data.json", {**BOOKS, "B": book(genre=1), "C": book(summary="", Female=[])})
    with pytest.raises(DataError, match=r"(?s)'B': genre.*'C': summary.*'C': Female") as caught:
        nyt_books.load(folder)
    assert len(caught.value.faults) == 4, "three faults and where to get the file"


# mpi


def test_answers_against_a_trait_are_turned_back(tmp_path: Path) -> None:
    """The sample's statements 0, 2, ... have the key -1: 5 in the file means "very inaccurate", which is 1."""
    write_sample("mpi", tmp_path)
    rows = _targets("mpi", tmp_path)
    assert len(rows) == 120
    for n, row in enumerate(rows):
        stored = Counter(int(answers(person)[n] or 0) for person in range(10))
        meant = stored if n % 2 else {level: stored[6 - level if level else 0] for level in range(6)}
        assert row.shares == tuple(meant[level] / 10 for level in range(6)), n
        assert row.n == 10
    # people answer 1 2 3 4 5 1 2 3 4 5 to the first; the second and the third gave no answer in place of 2 and 3
    assert [round(10 * share) for share in rows[0].shares] == [2, 2, 2, 1, 1, 2]
    assert rows[0].unit == "Facet 0"


def test_a_statement_is_put_to_the_person(tmp_path: Path) -> None:
    write_sample("mpi", tmp_path)
    first = _targets("mpi", tmp_path)[0]
    assert first.input.splitlines()[:4] == [
        *('Statement: "You keep 0 made-up habits."', "How accurate is it?", "0: no answer", "1: very inaccurate")
    ]
    assert first.options == ("0", "1", "2", "3", "4", "5")
    assert str(first.description).endswith("The answer is a number from 0 to 5; 0 means that the person gave none.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": 0}, r"row 120: a text, a label_raw and a key of 1 or -1 are needed"),
        ({"text": " "}, "row 120: a text, a label_raw"),
        ({"label_raw": None}, "row 120: a text, a label_raw"),
        (None, "119 statements, 120 are needed"),
    ],
)
def test_statements_that_cannot_be_matched_are_refused(tmp_path: Path, change: dict[str, Any] | None, message: str) -> None:
    folder = write_sample("mpi", tmp_path)
    last = [] if change is None else [{**STATEMENTS[-1], **change}]
    write_csv(folder / mpi.STATEMENTS, [*STATEMENTS[:-1], *last], delimiter="\t")
    with pytest.raises(DataError, match=rf"mpi_questions\.csv: {message}"):
        mpi.load(folder)


def test_answers_that_are_none_are_named_and_whole_numbers_may_have_a_point(tmp_path: Path) -> None:
    folder = write_sample("mpi", tmp_path)
    text = (folder / mpi.ANSWERS).read_text()
    *rows, last = text.strip().split("\n")
    write_text(folder / mpi.ANSWERS, "\n".join([*rows, f"{last[:-1]}{last[-1]}.0"]) + "\n")
    assert _targets("mpi", tmp_path)[-1].n == 10
    write_text(folder / mpi.ANSWERS, "\n".join([*rows, f"{last[:-1]}6"]) + "\n")
    with pytest.raises(DataError, match=r"column 'I120': an answer must be 0 to 5, not '6' \(1 times\)"):
        mpi.load(folder)
    write_csv(folder / mpi.ANSWERS, [{f"I{n}": "1" for n in range(119)}])
    with pytest.raises(DataError, match="120 columns of answers are needed, not 119"):
        mpi.load(folder)


# rotten tomatoes


def test_critics_and_viewers_of_a_film(tmp_path: Path) -> None:
    write_sample("rotten_tomatoes", tmp_path)
    rows = _targets("rotten_tomatoes", tmp_path)
    assert [(row.unit, row.attributes["rater"], row.shares[0]) for row in rows] == [
        ("Harbour of Glass (Released Mar 12, 2005)", "critic", 0.85),
        ("Harbour of Glass (Released Mar 12, 2005)", "audience", 0.4),
        ("Stille Nächte (Released Jan 1, 1999)", "critic", 1.0),
        ("Stille Nächte (Released Jan 1, 1999)", "audience", 0.0),
        ("One, Two,\nThree (Streaming Feb 2, 2021)", "critic", 0.625),
        ("Undated", "audience", 0.71),
    ]
    assert rows[0].input == "Title: Harbour of Glass\nRelease date: Released Mar 12, 2005"
    assert rows[-1].input == "Title: Undated"
    assert rows[0].options == ("Good", "Bad")
    assert [row.description for row in rows[:2]] == [
        "A professional critic, picked at random from those who reviewed a film, rates it Good or Bad.",
        "A viewer, picked at random from those who rated a film, rates it Good or Bad.",
    ]
    assert all(row.n is None for row in rows), "the file does not tell"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": None}, "row 1: a title is needed"),
        ({"critic_score": "101%"}, "row 1: critic_score must be 0 to 100, not '101%'"),
        ({"critic_score": "-5"}, "row 1: critic_score must be 0 to 100, not '-5'"),
        ({"audience_score": "7/10"}, "row 1: audience_score must be 0 to 100, not '7/10'"),
        ({"audience_score": "nan"}, "row 1: audience_score must be 0 to 100, not 'nan'"),
    ],
)
def test_films_that_cannot_be_read_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_sample("rotten_tomatoes", tmp_path)
    row = {"title": "A", "release_date": "2001", "critic_score": "50", "audience_score": "50%", **change}
    write_csv(folder / rotten_tomatoes.FILE, [row])
    with pytest.raises(DataError, match=message):
        rotten_tomatoes.load(folder)


# real files


@pytest.mark.data
def test_the_real_books(data_dir: Path) -> None:
    loaded = nyt_books.load(data_dir / "nyt_books")
    assert len(loaded.books) == 235
    assert loaded.unasked == []
    rows = _targets("nytimes", data_dir)
    assert len(rows) == 940
    assert (min(row.n or 0 for row in rows), max(row.n or 0 for row in rows)) == (6, 31)
    assert sum(row.n or 0 for row in rows) == sum(
        sum(entry[group].values())
        for entry in json.loads((data_dir / "nyt_books" / "data.json").read_text()).values()
        for group in nyt_books.GROUPS
    )
    assert rows[0].shares == (9 / 20, 6 / 20, 3 / 20, 2 / 20)
    whole_targets(evaluation("nytimes"), loaded)


@pytest.mark.data
def test_the_real_statements(data_dir: Path) -> None:
    statements = mpi.load_statements(data_dir / "mpi")
    assert len({one.text for one in statements}) == 120
    assert Counter(Counter(one.facet for one in statements).values()) == {4: 30}
    assert sum(one.reverse for one in statements) == 55
    assert statements[0] == mpi.Statement("Worry about things", "Anxiety", False)
    assert next(one for one in statements if one.text == "Use others for your own ends").reverse


@pytest.mark.data
def test_the_real_cars(data_dir: Path) -> None:
    models = us_car_models.load(data_dir / "us_car_models")
    assert len(models) == 55
    assert sum(map(len, models.values())) == 727
    for name in ("car_brand", "car_make_model"):
        whole_coverage(_coverage(name, data_dir))
    cars = _coverage("car_make_model", data_dir)
    assert all(cars.is_valid(f"{make} {model}") for make, of in models.items() for model in of)
    alone = [make for make in models if cars.is_valid(make)]
    assert alone == [], "INFINITI holds its own model I"
