"""Any table of ratings is a task: what its episodes show, what a name may say, who is held out, what a build writes down."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError, RunError, UsageError
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.simulate import Population, simulate
from pluralign.suite import draw, evaluation, read, source, source_of, task
from pluralign.suite.build import build
from pluralign.suite.check import check_episodes
from pluralign.suite.ratings_name import is_ratings_name, portable_name, ratings_file, table_name
from pluralign.suite.ratings_task import Wordings, default_wordings, part_of, raters_task, ratings_source
from pluralign.suite.reading import is_available, missing_files
from pluralign.suite.sampler import draw_episodes

CSV = """item,text,user,label,age,town
q1,"Süß, or
sour?",u2,3,40,Bern
q1,"Süß, or
sour?",u1,1,,
q2,Fine,u1,2,,
q3,,u1,3,,
q2,Fine,u2,2,40,Bern
q3,,u2,1,40,Bern
q1,"Süß, or
sour?",u3,2,,Graz
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a place" / "My Votes (v2).csv"
    path.parent.mkdir()
    path.write_text(CSV)
    return path


def _drawn(name: str, **more: int) -> dict[str | None, Episode]:
    return {episode.unit: episode for episode in draw(name, description_share=1.0, **more)}  # type: ignore[arg-type]


def _pairs(episode: Episode) -> dict[str | None, str]:
    return {example.input: example.output for example in episode.examples}


# episodes


def test_each_rater_is_a_strand(file: Path) -> None:
    drawn = _drawn(f"ratings:{file}?rater=user&rating=label")
    assert list(drawn) == ["u1", "u2", "u3"]
    assert {episode.task for episode in drawn.values()} == {"ratings_my_votes_v2"}
    # q3 has no text: its id
    assert _pairs(drawn["u1"]) == {"Süß, or\nsour?": "1", "Fine": "2", "q3": "3"}
    assert _pairs(drawn["u3"]) == {"Süß, or\nsour?": "2"}
    assert all(episode.options == ("1", "2", "3") for episode in drawn.values())
    assert [dict(episode.attributes) for episode in drawn.values()] == [{}, {"age": "40", "town": "Bern"}, {"town": "Graz"}]


def test_wordings_tell_the_options_and_show_attributes_where_there_are_any(file: Path) -> None:
    seen: dict[str | None, set[str]] = {}
    for seed in range(30):
        for unit, episode in _drawn(f"ratings:{file}?rater=user&rating=label", seed=seed).items():
            seen.setdefault(unit, set()).add(str(episode.description))
    assert {unit: len(texts) for unit, texts in seen.items()} == {"u1": 3, "u2": 5, "u3": 5}
    assert all('The possible answers, in this order: ["1", "2", "3"].' in text for texts in seen.values() for text in texts)
    told = {text.split(": ", 2)[-1] for text in seen["u3"] if text.endswith("}")}
    assert len([text for text in seen["u3"] if text.endswith("}")]) == 2
    assert all(text.endswith('{"town": "Graz"}') for text in told)
    assert not any(text.endswith("}") for text in seen["u1"])


def test_several_texts_are_one_object(tmp_path: Path) -> None:
    path = tmp_path / "nli.csv"
    path.write_text(
        "item,premise,hypothesis,rater,rating\na,It rains,It is wet,r1,yes\na,It rains,It is wet,r2,no\nb,Sun,,r1,no\n"
    )
    drawn = _drawn(f"ratings:{path}?text=premise&text=hypothesis")
    assert _pairs(drawn["r1"]) == {'{"premise": "It rains", "hypothesis": "It is wet"}': "yes", '{"premise": "Sun"}': "no"}
    assert drawn["r1"].options == ("no", "yes")


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (Scale("nominal", ("no", "yés")), 'The possible answers, in no particular order: ["no", "yés"].'),
        (Scale("ordinal", ("low", "high")), 'The possible answers, in this order: ["low", "high"].'),
        (Scale("interval", ("0", "2.5", "100")), "Each answer is a number from 0 to 100."),
    ],
)
def test_wordings_say_what_kind_the_scale_is(scale: Scale, said: str) -> None:
    wordings = default_wordings(scale)
    assert len(wordings.bare) == 3
    assert len(wordings.described) == 2
    assert all(said in text for text in wordings.bare + wordings.described)
    assert wordings.of({}) == wordings.bare
    assert wordings.of({"age": 3})[-1] == f'{wordings.described[-1]} {{"age": 3}}'


def test_columns_computed_from_the_ratings_are_no_attributes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item,rater,rating,group-id,age\na,r1,1,0,30\nb,r1,2,0,30\na,r2,2,1,50\nb,r2,2,1,50\n")
    drawn = _drawn(f"ratings:{path}")
    assert [dict(episode.attributes) for episode in drawn.values()] == [{"age": "30"}, {"age": "50"}]
    with pytest.raises(DataError, match="would leak"):
        _drawn(f"ratings:{path}?attributes=group-id")


def test_a_table_in_memory_is_a_source() -> None:
    ratings = simulate(Population(n_raters=6, n_items=12, ratings_per_rater=5), seed=0).ratings
    found = ratings_source(
        ratings, name="mine", about="a rating", wordings=Wordings(bare=("Mine.",)), split="test", n_outputs=3
    )
    [made] = found.tasks
    assert (made.name, made.kind, made.split, made.about) == ("mine", "individual", "test", "a rating")
    assert (found.card.chance, found.card.standing, found.files()) == ({"mine": 1 / 5}, "a file of your own", ())
    drawn = list(draw_episodes(made, made.strands(found.load(None), 0), seed=0))
    assert len(drawn) == 6
    assert check_episodes("mine", drawn).lines() == []
    given = set(ratings.to_long().select("rater_id", "item_text", "rating").rows())
    for episode in drawn:
        assert (episode.description, len(episode.examples)) == ("Mine.", 3)
        assert {(episode.unit, e.input, e.output) for e in episode.examples} <= given


def test_most_and_fewest_choose_raters() -> None:
    ratings = simulate(Population(n_raters=30, n_items=12, ratings_per_rater=5), seed=0).ratings
    long = ratings.to_long()
    gone = long.with_row_index().filter(pl.col("rater_id") == "r0000004").head(3)["index"]
    fewer = Ratings.from_long(long.with_row_index().filter(~pl.col("index").is_in(gone.implode())).drop("index"), ratings.scale)
    made = raters_task("some", fewest=5, most=10)
    units = [strand.unit for strand in made.strands(fewer, 0)]
    assert len(units) == 10
    assert units != sorted(ratings.rater_ids)[:10]
    assert units == sorted(units)
    everybody = [strand.unit for strand in raters_task("some", fewest=5).strands(fewer, 0)]
    assert sorted(set(ratings.rater_ids) - set(everybody)) == ["r0000004"]


# names


def test_names() -> None:
    assert is_ratings_name("ratings:a.csv")
    assert not is_ratings_name("ratings_a")
    assert not is_ratings_name("simulated_ratings")
    assert portable_name("ratings:x/y/a%20b.csv?rater_meta=p%2Fq.csv&where=a%3Db") == (
        "ratings:a%20b.csv?rater_meta=q.csv&where=a%3Db"
    )


def test_flags_of_questions_are_no_part_of_the_table() -> None:
    name = "ratings:x/a%20b.csv?rater=user&by=rater_age&where=by%3D1&fewest=10"
    asked = ratings_file(name)
    assert (asked.by, asked.fewest, asked.task) == ("rater_age", 10, "ratings_a_20b")
    assert table_name(name) == "ratings:x/a%20b.csv?rater=user&where=by%3D1"
    assert table_name("ratings:a.csv") == table_name("ratings:a.csv?b%79=age") == "ratings:a.csv"
    assert portable_name(name) == "ratings:a%20b.csv?rater=user&by=rater_age&where=by%3D1&fewest=10"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("data/offensiveness.csv", "ratings_offensiveness"),
        ("My Votes (v2).csv.gz", "ratings_my_votes_v2"),
        ("a/b/..", "ratings_a"),
        ("x/" + "long" * 50 + ".csv", "ratings_" + "long" * 20),
        ("folder/", "ratings_folder"),
    ],
)
def test_the_task_is_named_by_the_file_alone(file: str, name: str) -> None:
    assert ratings_file(f"ratings:{file}").task == name
    assert ratings_file(f"ratings:{file}?held_out=.5&part=test").task == f"{name}_test"


def test_a_file_without_latin_letters_has_a_safe_name_of_its_own() -> None:
    names = {ratings_file(f"ratings:{stem}.csv").task for stem in ("評価", "голоса", "---")}
    assert len(names) == 3
    assert all(name.isascii() and name.removeprefix("ratings_").isalnum() for name in names)


def test_flags_become_options() -> None:
    name = (
        "ratings:t.csv?item=a&item=b&rater=w+id&rating=l&text=t1&item-columns=t2&where=x%3D1&where=y=2&options=no&options=yes%26"
        "&scale=ordinal&duplicates=first&attributes=age&rating_columns=q*&rows=items&encoding=latin-1&rater_meta=m/r.csv"
    )
    options = ratings_file(name).options
    assert (options.item, options.rater, options.rating) == (("a", "b"), "w id", "l")
    assert options.item_columns == ("t1", "t2")
    assert options.where == ("x=1", "y=2")
    assert options.options == ("no", "yes&")
    assert (options.scale, options.duplicates, options.rows, options.encoding) == ("ordinal", "first", "items", "latin-1")
    assert (options.attributes, options.rating_columns) == (("age",), ("q*",))
    assert list(ratings_file(name).paths) == ["t.csv", "rater_meta/r.csv"]
    assert source(name).card.chance == {"ratings_t": 0.5}
    binned = ratings_file("ratings:t.csv?item=i&bins=4&bin-range=0&bin-range=1e2").options
    assert (binned.item, binned.bins, binned.bin_range) == ("i", 4, (0.0, 100.0))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ratng=l", "'ratng' is unknown; did you mean 'rating'[?] Known: attributes, bin-range"),
        ("rating", "after [?] come NAME=VALUE, joined by &"),
        ("rating=a&rating=b", "rating is given 2 times; it takes one value"),
        ("bins=few", "bins must be a whole number, not 'few'"),
        ("bin_range=0&bin_range=x", "bin_range must be a number, not 'x'"),
        ("scale=ordnal", "did you mean 'ordinal'"),
        ("held_out=.2", "held_out=SHARE and part=train or part=test go together, each once"),
        ("part=train", "go together"),
        ("held_out=1&part=train", "held_out is 1; it must lie between 0 and 1"),
        ("held_out=.2&part=tset", "part: 'tset' is unknown; did you mean 'test'"),
        ("held-out=half&part=test", "held_out must be a number, not 'half'"),
        ("by=age", "by and fewest are for questions of `evaluate`"),
        ("fewest=3", "by and fewest are for questions of `evaluate`"),
        ("by=age&by=town", "by is given 2 times"),
        ("by=", "by is given 1 times or without a value"),
        ("fewest=0", "fewest is 0; it must be at least 1"),
        ("fewest=some", "fewest must be a whole number, not 'some'"),
    ],
)
def test_names_that_say_nothing_sensible(query: str, message: str) -> None:
    for ask in (source, source_of, task, draw, read):
        with pytest.raises(UsageError, match=message):
            ask(f"ratings:t.csv?{query}")  # type: ignore[operator]


def test_other_faults_of_a_name(file: Path) -> None:
    with pytest.raises(UsageError, match="no file is named"):
        source("ratings:?rating=l")
    with pytest.raises(UsageError, match="is a task of episodes, not an evaluation"):
        evaluation(f"ratings:{file}")
    with pytest.raises(DataError, match=r"My Votes \(v2\).csv: several columns|My Votes|no column"):
        list(draw(f"ratings:{file}?rating=lable"))


def test_advice_to_pass_a_flag_says_how(tmp_path: Path) -> None:
    """The readers speak of the command's flags, which a name has in another form."""
    odd = tmp_path / "odd.csv"
    odd.write_text("item,rater,mood\na,r,1\nb,r,2\n")
    with pytest.raises(DataError, match=r"(?s)name it with --rating.*written as FLAG=VALUE: ratings:FILE\?rating="):
        draw(f"ratings:{odd}")
    assert len(list(draw(f"ratings:{odd}?rating=mood"))) == 1
    twice = tmp_path / "twice.csv"
    twice.write_text("item,rater,rating\na,r,1\nb,r,2\na,r,2\n")
    with pytest.raises(DataError, match=r"(?s)--duplicates last.*written as FLAG=VALUE"):
        draw(f"ratings:{twice}")
    assert len(list(draw(f"ratings:{twice}?duplicates=first"))) == 1


def test_a_missing_file_is_named_by_its_place(tmp_path: Path) -> None:
    name = f"ratings:{tmp_path}/none.csv?item_meta={tmp_path}/texts.csv"
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=rf"ratings_none: none.csv: no such file; its place is {tmp_path}/none.csv"):
            draw(name, data_dir=data_dir)
    (tmp_path / "none.csv").write_text("item,rater,rating\na,r,1\nb,r,2\n")
    assert missing_files(source(name), None) == ["ratings_none/item_meta/texts.csv"]
    assert not is_available(source(name), None)
    with pytest.raises(DataError, match=rf"item_meta/texts.csv: no such file; its place is {tmp_path}/texts.csv"):
        draw(name)
    (tmp_path / "none.csv").write_text("")
    with pytest.raises(DataError, match="it is empty"):
        draw(name)


def test_a_data_folder_has_no_say(file: Path, tmp_path: Path) -> None:
    name = f"ratings:{file}?rater=user&rating=label"
    assert list(draw(name, data_dir=tmp_path / "elsewhere")) == list(draw(name))
    assert task(name).name == source_of(name).tasks[0].name == source(name).card.name == "ratings_my_votes_v2"
    assert isinstance(read(name), Ratings)


# people who are held out


def test_parts_are_of_people_and_leave_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    simulate(Population(n_raters=400, n_items=12, ratings_per_rater=3), seed=0).ratings.to_long().write_csv(path)
    asked = f"ratings:{path}?held_out=0.25&part="
    parts = {part: _drawn(asked + part) for part in ("train", "test")}
    everybody = _drawn(f"ratings:{path}")
    assert not set(parts["train"]) & set(parts["test"])
    assert set(parts["train"]) | set(parts["test"]) == set(everybody)
    assert 60 < len(parts["test"]) < 140, "binomial(400, 1/4): 100, sd 8.7"
    assert set(_drawn(asked + "test", seed=9)) == set(parts["test"]), "whatever the seed"
    assert set(parts["test"]) < set(_drawn(f"ratings:{path}?held_out=0.5&part=test")), "and more with a larger share"
    for unit, episode in parts["test"].items():
        assert sorted(_pairs(episode).items()) == sorted(_pairs(everybody[unit]).items()), "all that they rated"
    assert (task(asked + "train").split, task(asked + "test").split) == ("train", "test")
    few = tmp_path / "few.csv"
    pl.read_csv(path).filter(pl.col("rater_id") < "r0000100").write_csv(few)
    assert set(_drawn(f"ratings:{few}?held_out=0.25&part=test")) == {
        unit for unit in parts["test"] if str(unit) < "r0000100"
    }, "whoever else is in the file"


def test_held_out_people_always_have_their_description(file: Path) -> None:
    drawn = [e for seed in range(20) for e in draw(f"ratings:{file}?rater=user&rating=label&held_out=.7&part=test", seed=seed)]
    assert all(episode.description for episode in drawn)
    shown = [bool(e.description) for seed in range(40) for e in draw(f"ratings:{file}?rater=user&rating=label", seed=seed)]
    assert 70 < sum(shown) < 115, "binomial(120, 0.8): 96, sd 4.4"


def test_an_empty_part_is_refused() -> None:
    ratings = simulate(Population(n_raters=2, n_items=4, ratings_per_rater=2), seed=0).ratings
    with pytest.raises(DataError, match="part=test is empty: held_out=1e-06 of 2 raters; take another share"):
        part_of(ratings, held_out=1e-6, part="test")


# builds


def test_a_build_holds_no_path_and_hashes_the_file(file: Path, tmp_path: Path) -> None:
    name = f"ratings:{file}?rater=user&rating=label&held_out=.5&part="
    manifest = build([f"{name}train", "flight", f"{name}test"], tmp_path / "out")
    assert list(manifest["tasks"]) == ["ratings_my_votes_v2_train", "flight", "ratings_my_votes_v2_test"]
    entry = manifest["tasks"]["ratings_my_votes_v2_train"]
    assert (entry["kind"], entry["split"], entry["source"]) == ("individual", "train", "ratings_my_votes_v2_train")
    assert entry["episodes"] + manifest["tasks"]["ratings_my_votes_v2_test"]["episodes"] == 3
    assert str(file.parent) not in json.dumps(manifest)
    assert list(manifest["inputs_sha256"]) == [f"ratings_my_votes_v2_{part}/{file.name}" for part in ("test", "train")]
    assert json.loads((tmp_path / "out/config.json").read_text())["arguments"]["tasks"][0] == (
        "ratings:My Votes (v2).csv?rater=user&rating=label&held_out=.5&part=train"
    )


def test_a_build_goes_on_wherever_the_file_lies_and_refuses_another(file: Path, tmp_path: Path) -> None:
    first = build([f"ratings:{file}?rater=user&rating=label"], tmp_path / "out")
    moved = file.rename(tmp_path / file.name)
    name = f"ratings:{moved}?rater=user&rating=label"
    assert build([name], tmp_path / "out") == first
    moved.write_text(CSV.replace("u3,2", "u3,1"))
    with pytest.raises(RunError, match=r"My Votes"):
        build([name], tmp_path / "out")
    with pytest.raises(UsageError, match="each once"):
        build([name, f"{name}&scale=interval"], tmp_path / "other")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("popquorn/offensiveness_raw_data.csv?rating=offensiveness&rater=user_id", (262, 13_036)),
        ("ccai", (1002, 34_563)),
        ("lewidi2023?dataset=ArMIS", (3, 2394)),
    ],
)
def test_real_tables(data_dir: Path, name: str, counts: tuple[int, int]) -> None:
    checked = check_episodes(name, draw(f"ratings:{data_dir}/{name}", description_share=1.0))
    assert (checked.episodes, checked.outputs) == counts
    assert checked.lines() == []
