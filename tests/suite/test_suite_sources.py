"""The synthetic tasks that are made of files, on made-up rows in the sources' own shapes; one of them on its real files too."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.suite import draw, source
from pluralign.suite.sources import babynames, diffuse_distribution, helpsteer
from suite.samples import write_sample
from suite.samples.babynames import write as write_names
from suite.samples.helpsteer import RATED


def _outputs(episode: Episode) -> list[str]:
    return [example.output for example in episode.examples]


# diffuse_distribution


def test_every_list_comes_ten_times_in_ten_orders(tmp_path: Path) -> None:
    write_sample("diffuse_distribution", tmp_path)
    drawn = list(draw("diffuse_distribution", data_dir=tmp_path, description_share=1.0, keep_overlap=True))
    assert Counter(Counter(episode.unit for episode in drawn).values()) == {10: 27}
    numbers = [_outputs(episode) for episode in drawn if episode.unit == "numbers/rng-0"]
    assert all(sorted(outputs) == ["one", "three", "two"] for outputs in numbers)
    assert len({tuple(outputs) for outputs in numbers}) > 2
    [said] = {episode.description for episode in drawn if episode.unit == "numbers/rng-0"}
    assert said == 'Pick from "rng-0", at random. Nothing comes twice: drawn without replacement.'


def test_fields_of_a_record_stay_apart(tmp_path: Path) -> None:
    """Braces, line ends and zero-width spaces were all deleted, so that "Moor" and "Female" became one word."""
    write_sample("diffuse_distribution", tmp_path)
    people = next(e for e in draw("diffuse_distribution", data_dir=tmp_path) if e.unit and e.unit.startswith("fict"))
    assert sorted(_outputs(people)) == ["Ada Moor; Female; May 2, 1931", "Jo Lind; Male; June 7, 1950"]


@pytest.mark.parametrize(
    "record", [[], {"request": "Pick."}, {"request": "Pick.", "targets": []}, {"request": 1, "targets": ["a"]}]
)
def test_a_list_of_another_shape_is_refused(tmp_path: Path, record: object) -> None:
    folder = write_sample("diffuse_distribution", tmp_path)
    (folder / "prompts/fruits/fruit-1.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"fruit-1\.json: an object with a text 'request'.*commit 7170ab0"):
        list(draw("diffuse_distribution", data_dir=tmp_path))


@pytest.mark.data
def test_the_real_lists_have_the_published_lengths(data_dir: Path) -> None:
    loaded = diffuse_distribution.load(data_dir / "diffuse_distributions")
    sizes = Counter(len(elements) for _, elements in loaded.values())
    countries = {54: 1, 49: 1, 45: 1, 22: 1, 16: 2, 13: 1}  # one of the 16 are occupations with an M
    assert sizes == {200: 2, 7: 2, 31: 2, 30: 2, 210: 1, 81: 2, 5: 2, 50: 2, 15: 1, 25: 1, 10: 1, 100: 1, 18: 1, **countries}
    drawn = list(draw("diffuse_distribution", data_dir=data_dir, description_share=1.0, keep_overlap=True))
    assert len(drawn) == 270
    assert len(list(draw("diffuse_distribution", data_dir=data_dir))) == 210, "without the answers of six evaluations"
    for episode in drawn:
        assert not re.search(r"[{}\n\u200b]", "".join(_outputs(episode)) + str(episode.description))
        assert len(set(_outputs(episode))) == len(episode.examples)


# babynames


def test_the_first_line_of_a_year_is_a_name(tmp_path: Path) -> None:
    """Fault 9: a header was assumed, so that each year lost its most frequent girl's name."""
    write_sample("babynames", tmp_path)
    loaded = babynames.load(tmp_path / "babynames")
    assert list(loaded) == list(babynames.YEARS)
    assert loaded[1880] == {"F": {"Mary": 50, "Anna": 30, "Lee": 10}, "M": {"John": 60, "Lee": 20}}


def test_names_are_drawn_without_replacement_from_as_many_as_are_said(tmp_path: Path) -> None:
    write_sample("babynames", tmp_path)
    drawn = list(draw("babynames", data_dir=tmp_path, description_share=1.0))
    assert len(drawn) == 500
    for episode in drawn:
        outputs, said = _outputs(episode), str(episode.description)
        assert len(set(outputs)) == len(outputs) == int(said.split()[1])
        girls, boys = {"Mary", "Anna", "Lee"}, {"John", "Lee"}
        whose = girls | boys if "girls and boys" in said else girls if "girls" in said else boys
        assert set(outputs) == whose
    years = Counter(re.search(r"of all years|of the year \d+", str(e.description)).group() for e in drawn)  # type: ignore[union-attr]
    recent = sum(n for when, n in years.items() if when == "of all years" or int(when[-4:]) >= 1952)
    # the first 73 of 145 periods with weights 145, 144, ..., 73: 7,957 of 10,585
    assert stats.binomtest(recent, 500, 7957 / 10_585).pvalue > 1e-4


def test_the_more_frequent_name_tends_to_come_first_only_where_that_is_said(tmp_path: Path) -> None:
    """Of boys John has 60 of 80; else both are as likely."""
    write_sample("babynames", tmp_path)
    first: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for seed in range(3):
        for episode in draw("babynames", seed=seed, data_dir=tmp_path, description_share=1.0):
            if "for boys;" in str(episode.description):
                first["more frequent" in str(episode.description)][_outputs(episode)[0]] += 1
    for by_frequency, share in ((True, 60 / 80), (False, 1 / 2)):
        seen = first[by_frequency]
        assert stats.binomtest(seen["John"], seen.total(), share).pvalue > 1e-4
        assert seen.total() > 150


def test_girls_and_boys_have_half_of_the_whole_each() -> None:
    counts = {"F": Counter(Mary=50, Anna=30, Lee=20), "M": Counter(John=60, Lee=20)}
    pool = babynames._pool(counts, "FM", 10, by_frequency=True)
    # girls 50, 30, 20 of 100; boys 60, 20 of 80; Lee 20/100 + 20/80
    wanted = {"Mary": 0.5, "Anna": 0.3, "Lee": 0.45, "John": 0.75}
    assert {name: round(share, 12) for name, share in pool.items()} == wanted
    assert list(babynames._pool(counts, "FM", 2, by_frequency=False)) == ["Mary", "John"]


def test_lines_of_another_shape_are_named(tmp_path: Path) -> None:
    write_names(write_sample("babynames", tmp_path), first="name,sex,count")
    with pytest.raises(DataError, match=r"yob1880\.txt, line 1: name, F or M, count are needed, not 'name,sex,count'"):
        next(draw("babynames", data_dir=tmp_path))


# helpsteer


def test_judges_prefer_the_larger_sum(tmp_path: Path) -> None:
    """By hand for every judge and pair: sum of weight x rating; the second where they are equal."""
    write_sample("helpsteer", tmp_path)
    n_ties = 0
    for episode in draw("helpsteer", data_dir=tmp_path):
        weights = [round(100 * float(episode.attributes[f"weight_{q}"])) for q in helpsteer.QUALITIES]  # type: ignore[arg-type]
        assert len(episode.examples) == 5
        for example in episode.examples:
            asked = json.loads(str(example.input))
            assert list(asked) == ["prompt", "response1", "response2"]
            a, b = (
                sum(w * r for w, r in zip(weights, ratings, strict=True))
                for key in ("response1", "response2")
                for prompt, response, ratings in RATED
                if (prompt, response) == (asked["prompt"], asked[key])
            )
            n_ties += a == b
            assert example.output == ("1" if a > b else "2")
    assert n_ties >= 500, "each judge has the two cities"


def test_weights_are_told_in_one_wording_of_three(tmp_path: Path) -> None:
    """Fault 1: reseeding made every published description show the hidden weights."""
    write_sample("helpsteer", tmp_path)
    drawn = list(draw("helpsteer", data_dir=tmp_path, description_share=1.0))
    telling = [episode for episode in drawn if "{" in str(episode.description)]
    assert stats.binomtest(len(telling), 500, 1 / 3).pvalue > 1e-4
    for episode in telling:
        said = str(episode.description)
        weights = json.loads(said[said.index("{") :])
        assert {f"weight_{name}": value for name, value in weights.items()} == dict(episode.attributes)
        assert re.search(r"weights?:", said)
    assert not any("weight" in str(e.description) or "0." in str(e.description) for e in drawn if e not in telling)
    every = np.array([list(e.attributes.values()) for e in drawn], dtype=float)
    assert len({tuple(row) for row in every}) == 500
    assert every.min(axis=0).round(2).tolist() == [-0.05, -0.05, -0.05, -0.5, -0.5]
    assert every.max(axis=0).round(2).tolist() == [0.95, 0.95, 0.95, 0.5, 0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"helpfulness": 5}, "row 3: helpfulness must be 0 to 4, not 5"),
        ({"verbosity": None}, "row 3: verbosity must be 0 to 4, not None"),
        ({"prompt": "Else?"}, "row 4: its prompt is not that of the row before"),
        ({"response": 7}, "row 3: response must be text"),
    ],
)
def test_rows_that_cannot_be_judged_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = write_sample("helpsteer", tmp_path)
    rows = [json.loads(line) for line in gzip.decompress((folder / helpsteer.FILE).read_bytes()).splitlines()]
    rows[2] |= change
    (folder / helpsteer.FILE).write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    with pytest.raises(DataError, match=re.escape(message)):
        next(draw("helpsteer", data_dir=tmp_path))


def test_sources_that_have_met_no_real_file_say_so() -> None:
    assert source("helpsteer").card.standing == source("babynames").card.standing == "not run on the real file"
    assert source("diffuse_distribution").card.standing == "run on the real file"
    assert source("poisson").card.standing == "simulated: there is nothing to read"
