"""Sources beyond the published suite: by hand on made-up rows, and on the real files with their published counts."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.metrics.agreement import item_option_counts, krippendorff_alpha
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from pluralign.ratings.situations import BASIC_VALUES, Situation, impacts
from pluralign.suite import draw, evaluation, read, source
from pluralign.suite.check import check_episodes
from pluralign.suite.evaluation import TargetTask
from pluralign.suite.simulated_worlds import (
    N_PEOPLE,
    N_WORLDS,
    profile,
    profile_text,
    rated,
    value_list,
    whole_percents,
    worlds,
)
from pluralign.suite.sources import annotation_paradigms, gss_abortion, offtherails, opinionqa_groups, toxicity_perspective
from suite.samples import opinionqa_groups as oqa_sample
from suite.samples import write_sample


def _drawn(task: str, data_dir: Path | None, **more: Any) -> dict[str | None, Episode]:
    """By unit."""
    return {episode.unit: episode for episode in draw(task, data_dir=data_dir, description_share=1.0, **more)}


def _pairs(episode: Episode) -> dict[str | None, str]:
    return {example.input: example.output for example in episode.examples}


def _wordings(task: str, data_dir: Path | None) -> dict[str | None, set[str | None]]:
    """Of each unit all descriptions that some seed gives."""
    seen: dict[str | None, set[str | None]] = {}
    for seed in range(16):
        for unit, episode in _drawn(task, data_dir, seed=seed).items():
            seen.setdefault(unit, set()).add(episode.description)
    return seen


def _refused(task: str, data_dir: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(draw(task, data_dir=data_dir))
    return str(caught.value)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _alpha(ratings: Ratings, level: str) -> float:
    counts = item_option_counts(ratings.item_index, ratings.rating_index, n_items=ratings.n_items, n_options=ratings.n_options)
    return krippendorff_alpha(counts, level, ratings.scale.values)  # type: ignore[arg-type]


def _same_ratings(ours: Ratings, theirs: Ratings, labels: dict[str, str]) -> None:
    """The table as the readers have it, but for the names of the options."""
    columns = ["item_id", "rater_id", "rating"]
    a, b = ours.to_long().select(columns), theirs.to_long().select(columns)
    assert sorted(a.rows()) == sorted((item, rater, labels[rating]) for item, rater, rating in b.rows())


# toxicity_perspective


def test_toxicity_by_hand(tmp_path: Path) -> None:
    write_sample("toxicity_perspective", tmp_path)
    drawn = _drawn("toxicity_perspective", tmp_path)
    assert list(drawn) == ["wAa1", "wBb2", "wCc3"]
    assert _pairs(drawn["wBb2"]) == {
        "Grüße, neighbours": "not toxic",
        "Go home,\nall of you": "not toxic",
        "You fool": "toxic",
    }
    assert drawn["wBb2"].options == ("not toxic", "toxic")
    known = {"race": "American Indian or Alaska Native", "age": "61", "gender": "Male", "politics": "Independent"}
    assert dict(drawn["wBb2"].attributes) == known
    assert dict(drawn["wCc3"].attributes) == {"gender": "Male", "politics": "Republican"}


def test_toxicity_says_who_it_is_in_half_of_the_wordings(tmp_path: Path) -> None:
    write_sample("toxicity_perspective", tmp_path)
    seen = _wordings("toxicity_perspective", tmp_path)["wCc3"]
    assert len(seen) == 4
    told = [str(text) for text in seen if "{" in str(text)]
    assert len(told) == 2
    assert all(text.endswith('{"gender": "Male", "politics": "Republican"}') for text in told)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wBb2,1,-1", "wBb2,1,2", "row 6: one of -1, 1 is needed, not '2'"),
        ("wBb2,1,-1", "wBb2,1,", "row 6: one of -1, 1 is needed, not None"),
        ("wBb2,1,-1", ",1,-1", "row 6: no rater"),
        ("wBb2,1,-1", "wBb2,9,-1", "row 6: '9' has no text"),
        ("wBb2,1,-1", "wBb2,0,-1", "row 6: another rating of '0' by 'wBb2' came before"),
        ("wBb2,1,-1,American", "wBb2,1,-1,Asian", "'rater_race' differs between rows of the same rater_id"),
    ],
)
def test_toxicity_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = write_sample("toxicity_perspective", tmp_path)
    _replace(folder / toxicity_perspective.FILE, old, new)
    said = _refused("toxicity_perspective", tmp_path)
    assert message in said
    assert "put it at" in said
    assert "--" not in said, "no command reads this file with flags"


def test_a_comment_with_two_texts_is_named(tmp_path: Path) -> None:
    folder = write_sample("toxicity_perspective", tmp_path)
    path = folder / toxicity_perspective.COMMENTS
    before = _drawn("toxicity_perspective", tmp_path)
    rows = path.read_text()
    path.write_text(rows + "2,92,A fine day,0.5,0.25\n")
    assert _drawn("toxicity_perspective", tmp_path) == before, "the same text twice is one"
    path.write_text(rows + "2,92,A bad day,0.5,0.25\n")
    assert "comments.csv: comment '2' has several texts" in _refused("toxicity_perspective", tmp_path)


@pytest.mark.data
def test_toxicity_real(data_dir: Path) -> None:
    drawn = list(draw("toxicity_perspective", data_dir=data_dir, description_share=1.0))
    checked = check_episodes("toxicity_perspective", drawn)
    assert (checked.episodes, checked.outputs, checked.lines()) == (545, 13_080, [])
    ours = read("toxicity_perspective", data_dir)
    theirs = read_ratings(data_dir / "toxicity_perspective/pilot_annotations.csv", ReadOptions(item="comment"))
    _same_ratings(ours, theirs, toxicity_perspective.LABELS)
    assert _alpha(ours, "nominal") == pytest.approx(0.549, abs=5.1e-4)
    assert {race for episode in drawn if isinstance(race := episode.attributes["race"], str)} == {
        *("White", "Black", "Asian", "Hispanic", "Hawaiian", "American Indian or Alaska Native")
    }


# ccai


def test_ccai_by_hand(tmp_path: Path) -> None:
    write_sample("ccai", tmp_path)
    drawn = _drawn("ccai_vote", tmp_path)
    assert list(drawn) == ["3", "4", "8"], "9 has three votes"
    assert _pairs(drawn["3"]) == {
        "The AI should tell the truth.": "Agree",
        "The AI should be friendly,\nand brief.": "Agree",
        "Die KI sollte höflich sein.": "Pass",
        "The AI should never guess.": "Disagree",
    }
    assert all(episode.options == ("Disagree", "Pass", "Agree") for episode in drawn.values())


def test_ccai_groups_are_a_leak(tmp_path: Path) -> None:
    write_sample("ccai", tmp_path)
    assert all(not episode.attributes for episode in draw("ccai_vote", data_dir=tmp_path))
    assert not any("{" in str(text) for texts in _wordings("ccai_vote", tmp_path).values() for text in texts)


def test_ccai_faults(tmp_path: Path) -> None:
    folder = write_sample("ccai", tmp_path)
    _replace(folder / "clean_votes.csv", "-1.0", "0.5")
    assert "clean_votes.csv: row 1: one of -1.0, -1, 0.0, 0, 1.0, 1 is needed, not '0.5'" in _refused("ccai_vote", tmp_path)
    write_sample("ccai", tmp_path)
    _replace(folder / "clean_comments.csv", "Die KI sollte höflich sein.", " ")
    assert "row 1: '2' has no text" in _refused("ccai_vote", tmp_path)
    write_sample("ccai", tmp_path)
    _replace(folder / "clean_comments.csv", "\n7,", "\n5,")
    assert "clean_comments.csv: comment-id is missing or comes twice" in _refused("ccai_vote", tmp_path)


@pytest.mark.data
def test_ccai_real(data_dir: Path) -> None:
    checked = check_episodes("ccai_vote", draw("ccai_vote", data_dir=data_dir, description_share=1.0))
    assert (checked.episodes, checked.outputs, checked.lines()) == (1002, 34_563, [])
    ours = read("ccai_vote", data_dir)
    _same_ratings(ours, read_ratings(data_dir / "ccai"), {"-1": "Disagree", "0": "Pass", "1": "Agree"})
    assert _alpha(ours, "ordinal") == pytest.approx(0.125, abs=5.1e-4)
    assert ours.n_items == 275


# offtherails


def test_offtherails_first_experiment_by_hand(tmp_path: Path) -> None:
    write_sample("offtherails", tmp_path)
    drawn = _drawn("offtherails_exp1", tmp_path)
    assert list(drawn) == ["11", "12"]
    seen = {json.loads(str(asked))["event"]: rating for asked, rating in _pairs(drawn["11"]).items()}
    assert seen == {
        "Scenario 0: a mild harm (cc).": "2",
        "Scenario 0: a mild harm (coc).": "3",
        "Scenario 0: a severe good (cc).": "6",
        "Scenario 0: a severe good (coc).": "7",
    }
    assert '{"background": "Zoë has a plan, number 1.", "event": "Scenario 1: a mild harm (cc)."}' in _pairs(drawn["12"])
    assert drawn["11"].options == ("1", "2", "3", "4", "5", "6", "7")


def test_offtherails_second_experiment_by_hand(tmp_path: Path) -> None:
    write_sample("offtherails", tmp_path)
    drawn = _drawn("offtherails_exp2", tmp_path)
    story = "Context 0. A chance. Structure of {}. Evitable, or not. Zoë acts."
    told = {
        ("cc_evitable_action_yes", "What Zoë did is permissible."): "5",
        ("cc_evitable_action_yes", "Zoë meant the bad outcome."): "2",
        ("coc_inevitable_prevention_no", "What Zoë did is permissible."): "3",
        ("coc_inevitable_prevention_no", "Zoë meant the bad outcome."): "1",
    }
    assert _pairs(drawn["21"]) == {
        json.dumps({"story": story.format(condition), "statement": statement}, ensure_ascii=False): rating
        for (condition, statement), rating in told.items()
    }
    assert drawn["22"].options == ("1", "2", "3", "4", "5")


def test_offtherails_tasks_read_their_own_files_alone(tmp_path: Path) -> None:
    folder = write_sample("offtherails", tmp_path)
    for file in (offtherails.SECOND, *offtherails.SECOND_TEXTS):
        (folder / file).unlink()
    assert len(_drawn("offtherails_exp1", tmp_path)) == 2
    with pytest.raises(DataError, match="data_long_format"):
        read("offtherails_exp2", tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (offtherails.FIRST, "11,0,2,1", "11,0,9,1", "row 1: one of 1, 2, 3, 4, 5, 6, 7 is needed, not '9'"),
        (offtherails.FIRST, "11,0,2,1", "11,8,2,1", "row 1: '8/1/harm/mild' has no text"),
        (offtherails.SECOND, "0,21,0,5,2,1", "0,21,0,5,2,2", "row 1: '0/2/1/1/permissibility_rating' has no text"),
        ("exp1_batch_0.json", '"target"', '"aim"', "exp1_batch_0.json: entry 1: no text 'target'"),
        ("exp2_batch_1.json", "cc_evitable_action_yes", "cc", "exp2_batch_1.json: entry 1: condition 'cc' has fewer"),
        ("exp2_batch_1.json", '"scenario_id": 1', '"scenario_id": "1"', "entry 1: no text 'scenario_id'"),
    ],
)
def test_offtherails_faults(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    folder = write_sample("offtherails", tmp_path)
    path = folder / file
    text = path.read_text().replace("Structure of cc_evitable_action_yes", "Structure")
    path.write_text(text)
    _replace(path, old, new)
    task = "offtherails_exp1" if file in (offtherails.FIRST, *offtherails.FIRST_TEXTS) else "offtherails_exp2"
    assert message in _refused(task, tmp_path)


@pytest.mark.data
def test_offtherails_real(data_dir: Path) -> None:
    counts = {"offtherails_exp1": (80, 3200), "offtherails_exp2": (115, 2 * 1840)}
    for task, wanted in counts.items():
        checked = check_episodes(task, draw(task, data_dir=data_dir, description_share=1.0))
        assert ((checked.episodes, checked.outputs), checked.lines()) == (wanted, [])
    first = offtherails.events(data_dir / "offtherails")
    assert first.n_items == 80
    assert _alpha(first, "interval") == pytest.approx(0.690, abs=5.1e-4)
    assert offtherails.stories(data_dir / "offtherails").n_items == 160


@pytest.mark.data
def test_offtherails_codes_fit_the_texts(data_dir: Path) -> None:
    """Means: an event of the kind "good" is rated above one of the kind "harm", severe kinds further out than mild ones; and
    harm of the two texts whose means differ most goes to the text that tells of the worse one."""
    ratings = offtherails.events(data_dir / "offtherails")
    mean = np.bincount(ratings.item_index, ratings.values) / np.bincount(ratings.item_index)
    by_id = dict(zip(ratings.item_ids, mean.tolist(), strict=True))
    kinds = {kind: np.mean([m for i, m in by_id.items() if i.endswith(kind)]) for kind in ("harm/severe", "harm/mild")}
    kinds |= {kind: np.mean([m for i, m in by_id.items() if i.endswith(kind)]) for kind in ("good/mild", "good/severe")}
    assert sorted(kinds, key=lambda kind: kinds[kind]) == ["harm/severe", "harm/mild", "good/mild", "good/severe"]
    texts = dict(zip(ratings.item_ids, ratings.items["item_event"].to_list(), strict=True))
    worse, better = (next(i for i, text in texts.items() if word in text) for word in ("severe health", "current treatment"))
    assert (worse, better) == ("3/0/harm/severe", "3/1/harm/severe")
    assert by_id[worse] < by_id[better] - 1


# annotation_paradigms


def test_paradigms_by_hand(tmp_path: Path) -> None:
    write_sample("annotation_paradigms", tmp_path)
    drawn = _drawn("annotation_paradigms", tmp_path)
    assert Counter(str(unit).split("/")[0] for unit in drawn) == {"g1": 20, "g2": 20, "g3": 20}
    # person 10 finds hateful what has a number k with 10 > 6 k: the first post
    assert _pairs(drawn["g2/10"]) == {
        "Nobody likes your kind,\nyou know": "Hateful",
        "Süße Katze": "Non-hateful",
        "I hate rain": "Non-hateful",
    }
    # columns label_2_F of the first group, label_F_2 of the second, label_M_2 of the third
    assert [drawn[f"g{n}/2"].attributes["gender"] for n in (1, 2, 3)] == ["female", "female", "male"]
    assert drawn["g1/1"].options == ("Non-hateful", "Hateful")


def test_paradigms_say_what_is_asked(tmp_path: Path) -> None:
    """The guideline changes what is asked, so no wording of one serves another."""
    write_sample("annotation_paradigms", tmp_path)
    seen = _wordings("annotation_paradigms", tmp_path)
    by_group = {group: set().union(*(seen[f"{group}/{n}"] for n in range(1, 21))) for group in ("g1", "g2", "g3")}
    assert not by_group["g1"] & by_group["g2"]
    assert not by_group["g2"] & by_group["g3"]
    assert all(re.search("own feeling|personally", str(text)) for text in by_group["g1"])
    assert all(re.search("detailed rules|long guideline", str(text)) for text in by_group["g2"])
    assert all(re.search("short|brief", str(text)) for text in by_group["g3"])
    assert {text.rsplit(" ", 2)[-2:][0] for text in map(str, by_group["g1"]) if "{" in text} == {'{"gender":'}


def test_paradigms_faults(tmp_path: Path) -> None:
    folder = write_sample("annotation_paradigms", tmp_path)
    path = folder / "annotations_g2.csv"
    _replace(path, "Non-hateful", "Hatefull")
    assert "annotations_g2.csv: row 1: one of Non-hateful, Hateful is needed, not 'Hatefull'" in _refused(
        "annotation_paradigms", tmp_path
    )


@pytest.mark.data
def test_paradigms_real(data_dir: Path) -> None:
    checked = check_episodes("annotation_paradigms", draw("annotation_paradigms", data_dir=data_dir, description_share=1.0))
    assert (checked.episodes, checked.outputs, checked.lines()) == (60, 12_000, [])
    loaded = annotation_paradigms.load(data_dir / "annotation_paradigms")
    for (group, ratings), alpha in zip(loaded.items(), (0.198, 0.778, 0.148), strict=True):
        assert _alpha(ratings, "nominal") == pytest.approx(alpha, abs=5.1e-4), group


# opinionqa_groups


def test_opinionqa_groups_by_hand(tmp_path: Path) -> None:
    write_sample("opinionqa_groups", tmp_path)
    task = list(draw("opinionqa_groups", data_dir=tmp_path, description_share=1.0))
    assert {episode.unit for episode in task} == set(opinionqa_groups.GROUPS)
    men = {k: v for episode in task if episode.unit == "SEX/Male" for k, v in _pairs(episode).items()}
    # Q5: 10 + 5 said a lot, 2 x 8 a little (the group's name has 8 letters), nobody not at all, 3 refused: 15 and 16 of 31
    options = '["A lot", "A little, at most", "Not at all"]'
    asked = f'{{"question": "Of the library in Q5_W1: is the café good?", "options": {options}, "people": 31}}'
    assert men[asked] == '{"A lot": 48, "A little, at most": 52, "Not at all": 0}'
    assert not any("Refused" in str(asked) + answer for asked, answer in men.items())
    assert not any("Which 2" in str(asked) for asked in men), "a question that is listed twice"
    few = oqa_sample.text(oqa_sample.FEW)
    asked_of = {episode.unit for episode in task for asked in _pairs(episode) if json.loads(str(asked))["question"] == few}
    assert asked_of == set(opinionqa_groups.GROUPS) - {"RACE/Other"}, "only nine of them answered"


def test_questions_of_the_evaluation_are_not_drawn(tmp_path: Path) -> None:
    write_sample("opinionqa_groups", tmp_path)
    target = evaluation("opinionqa_groups_target")
    assert isinstance(target, TargetTask)
    rows = list(target.rows(read("opinionqa_groups_target", tmp_path), 0))
    held_out = {row.input.split("\n")[0] for row in rows}
    shown = {
        json.loads(str(asked))["question"]
        for seed in range(2)
        for e in draw("opinionqa_groups", seed=seed, data_dir=tmp_path)
        for asked in _pairs(e)
    }
    assert held_out
    assert shown
    assert not held_out & shown
    assert held_out | shown == {oqa_sample.text(key) for key in oqa_sample.KEYS}
    men = next(row for row in rows if row.attributes["group"] == "SEX/Male" and "Q4_W1" in row.input)
    assert men.input.split("\n") == [
        "Of the library in Q4_W1: is the café good?",
        "A: A lot",
        "B: A little, at most",
        "C: Not at all",
    ]
    assert (men.n, men.options, men.unit) == (30, ("A", "B", "C"), "Q4_W1")
    assert men.shares == pytest.approx((14 / 30, 16 / 30, 0), abs=1e-12)
    assert "how men answer" in str(men.description)


def test_opinionqa_groups_tells_the_group_in_two_of_three_wordings(tmp_path: Path) -> None:
    write_sample("opinionqa_groups", tmp_path)
    seen = _wordings("opinionqa_groups", tmp_path)["RACE/Mixed Race"]
    assert len(seen) == 3
    assert sum("people of mixed race" in str(text) for text in seen) == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("d500_SEX_data.json", '"A lot": 10.0', '"A lots": 10.0', "Q0_W1, Female: 'A lots' is no option of d500_info.csv"),
        ("d500_SEX_data.json", '"A lot": 10.0', '"A lot": 0.5', "Q0_W1, Female: 0.5 is no count"),
        ("d500_SEX_data.json", '"question_text"', '"text"', "Q0_W1: no text 'question_text'"),
        ("d500_RACE_data.json", '"Asian"', '"Asia"', "Q0_W1, Asian: there is no object of counts"),
        ("d500_info.csv", "['A lot'", "[A lot'", "row 1: a key and a list of references are needed, not 'Q0_W1'"),
        ("d500_info.csv", "Q0_W1,", ",", "row 1: a key and a list of references are needed, not None"),
    ],
)
def test_opinionqa_groups_faults(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    folder = write_sample("opinionqa_groups", tmp_path)
    _replace(folder / file, old, new)
    assert message in _refused("opinionqa_groups", tmp_path)


def test_percents_sum_to_a_hundred() -> None:
    # 1/3 each: the first gets the hundredth; 0.5 % of 200 loses as much as 99.5 %: the first of them
    assert opinionqa_groups.percents((1, 1, 1)) == [34, 33, 33]
    assert opinionqa_groups.percents((1, 199)) == [1, 99]
    assert opinionqa_groups.percents((0, 7)) == [0, 100]
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = tuple(rng.integers(0, 30, size=5).tolist())
        shares = 100 * np.array(counts) / sum(counts)
        assert sum(opinionqa_groups.percents(counts)) == 100
        assert np.abs(np.array(opinionqa_groups.percents(counts)) - shares).max() < 1


@pytest.mark.data
def test_opinionqa_groups_real(data_dir: Path) -> None:
    loaded = read("opinionqa_groups", data_dir)
    assert len(loaded) == 493
    assert all("," in option for q in loaded if q.key == "GUNTYPEOWNC_W26" for option in q.options), "cut in the counts' list"
    checked = check_episodes("opinionqa_groups", draw("opinionqa_groups", data_dir=data_dir, description_share=1.0))
    assert not checked.faults, checked.lines()
    rows = list(opinionqa_groups._targets(loaded, 0))
    n_cells = sum(sum(q.counts[group]) >= 20 for q in loaded for group in opinionqa_groups.GROUPS)
    assert checked.outputs + len(rows) == n_cells
    assert 0.15 < len(rows) / n_cells < 0.25
    women = next(q for q in loaded if q.key == "WORRYB_W26").counts["SEX/Female"]
    assert women == (119, 508, 402)


# gss_abortion


def test_gss_by_hand(tmp_path: Path) -> None:
    write_sample("gss_abortion", tmp_path)
    drawn = _drawn("gss_abortion", tmp_path)
    assert list(drawn) == ["1", "2", "5"], "3 answered three questions, 4 was asked none"
    asked = gss_abortion.QUESTIONS
    assert _pairs(drawn["5"]) == {
        asked["abdefect"]: "Yes",
        asked["abnomore"]: "No",
        asked["abhlth"]: "Yes",
        asked["abrape"]: "Yes",
        asked["absingle"]: "No",
    }
    assert drawn["5"].options == ("No", "Yes")
    assert json.dumps(dict(drawn["1"].attributes)) == (
        '{"year of the interview": "1972", "age": "23", "race": "White", "sex": "Female", "years of schooling": "16", '
        '"party": "independent, near Democrat"}'
    )
    assert set(drawn["2"].attributes) == {"year of the interview", "race", "sex", "Hispanic", "years of schooling"}


def test_gss_faults(tmp_path: Path) -> None:
    import polars as pl

    folder = write_sample("gss_abortion", tmp_path)
    path = folder / gss_abortion.FILE
    table = pl.read_parquet(path)
    table.with_columns(pl.col("partyid").replace("Independent", "Whig")).write_parquet(path)
    assert "partyid: unknown codes 'Whig'; known are 'Strong Democrat'" in _refused("gss_abortion", tmp_path)
    table.with_columns(pl.col("abpoor").replace(1, 2)).write_parquet(path)
    assert "row 1: one of 0, 1 is needed, not '2'" in _refused("gss_abortion", tmp_path)


@pytest.mark.data
def test_gss_real(data_dir: Path) -> None:
    drawn = list(draw("gss_abortion", data_dir=data_dir, description_share=1.0))
    checked = check_episodes("gss_abortion", drawn)
    # seven yes-or-no answers: a few of 2,000 people agree in order, answers and wording
    assert checked.faults.pop("an episode comes twice", 0) <= 10
    assert (checked.episodes, checked.lines()) == (2000, [])
    assert all(4 <= len(episode.examples) <= 7 for episode in drawn)
    ours = read("gss_abortion", data_dir)
    assert (ours.n_raters, ours.n_items, len(ours)) == (45_599, 7, 301_343)
    assert _alpha(ours, "nominal") == pytest.approx(0.1637, abs=5.1e-5)


# simulated_people


def test_simulated_tasks_have_no_fault_and_are_quick() -> None:
    start = time.perf_counter()
    counts = {
        "simulated_ratings": (500, 20_000),
        "simulated_profile": (100, 1000),
        "simulated_population": (50, 1600),
        "simulated_values": (50, 2000),
    }
    for task, wanted in counts.items():
        checked = check_episodes(task, draw(task, seed=3, description_share=1.0))
        assert ((checked.episodes, checked.outputs), checked.lines()) == (wanted, [])
    assert time.perf_counter() - start < 10


def test_simulated_episodes_follow_from_the_seed_alone() -> None:
    for task in ("simulated_ratings", "simulated_profile", "simulated_population", "simulated_values"):
        first, second = (next(draw(task, seed=1)) for _ in range(2))
        assert first == second
        assert first.examples != next(draw(task, seed=2)).examples


def test_a_profile_is_the_template_filled_from_the_values() -> None:
    theta = np.array([0.31, -0.3, 0.29, 1.2])
    values = ("power", "security", "hedonism", "benevolence")
    said = "Matters to this person: benevolence, power. What this person turns away from: security."
    assert profile_text(values, theta) == said
    assert profile_text(values, theta, shift=-0.5) == f"{said} Tends to high ratings."
    assert profile_text(values, theta, log_spread=0.6) == f"{said} Tends to the middle of the scale."
    assert profile_text(values, theta, log_spread=-0.6) == f"{said} Tends to the ends of the scale."
    assert profile_text(values, np.zeros(4)) == "No value matters much to this person."


def test_ratings_are_those_of_the_people_and_true_parameters_stay_out_of_prompts() -> None:
    worlds_of_seed = dict(worlds(4))
    assert len(worlds_of_seed) == N_WORLDS
    drawn = list(draw("simulated_ratings", seed=4, description_share=1.0))
    for episode in drawn[:: 3 * N_PEOPLE + 1]:
        world, person = str(episode.unit).split("/")
        simulation = worlds_of_seed[world]
        assert sorted(_pairs(episode).items()) == sorted(rated(simulation, int(person)))
        assert episode.options == simulation.ratings.scale.options
        assert episode.attributes["signal"] == simulation.world.population.signal
        theta = [episode.attributes[f"value_{name}"] for name in BASIC_VALUES]
        assert theta == pytest.approx(simulation.theta[int(person)].tolist(), abs=5.1e-5)
        assert not re.search(r"0\.\d|archetype|signal", str(episode.description))


def test_a_quarter_of_the_descriptions_has_the_profile() -> None:
    drawn = list(draw("simulated_ratings", seed=5, description_share=1.0))
    profiles = [episode for episode in drawn if re.search("Matters to|No value", str(episode.description))]
    told = [episode for episode in drawn if "{" in str(episode.description)]
    assert 85 < len(profiles) < 165, "binomial(500, 1/4): 125, sd 9.7"
    assert 85 < len(told) < 165
    known = json.loads(str(told[0].description).split(": ", 1)[1])
    assert list(known) == ["age", "region", "education", "religiosity"]


def _score(text: str, impact: np.ndarray[Any, Any]) -> float:
    """+1 for a value that the profile names as mattering, -1 for one that is turned away from, times the impact."""
    cares = re.search("Matters to this person: (.*?)\\.", text)
    turns = re.search("turns away from: (.*?)\\.", text)
    signs = np.zeros(len(BASIC_VALUES))
    for found, sign in ((cares, 1), (turns, -1)):
        for name in found.group(1).split(", ") if found else ():
            signs[BASIC_VALUES.index(name)] = sign
    return float(signs @ impact)


def test_the_profile_predicts_the_ratings_of_its_person_better_than_those_of_others() -> None:
    own, others = [], []
    for _, simulation in worlds(6):
        ratings = simulation.ratings
        texts = [profile(simulation, person) for person in range(N_PEOPLE)]
        scores = np.array([[_score(text, impact) for impact in simulation.features] for text in texts])
        values = ratings.values - ratings.values.mean()
        if values.std() == 0:
            continue
        items, raters = ratings.item_index, ratings.rater_index
        own.append(np.corrcoef(scores[raters, items], values)[0, 1])
        others.append(np.corrcoef(scores[(raters + 1) % N_PEOPLE, items], values)[0, 1])
    assert np.mean(own) > 0.5
    assert np.mean(own) > np.mean(others) + 0.1


def test_populations_are_those_of_many_simulated_people() -> None:
    """The closed form beside 4,000 people of the same world, whose ratings are drawn: within 4 standard errors + rounding."""
    from dataclasses import replace

    from pluralign.ratings.simulate import simulate

    world, simulation = next(worlds(7))
    episode = next(draw("simulated_population", seed=7))
    assert episode.unit == world
    population = replace(simulation.world.population, n_raters=4000)
    many = simulate(population, seed=simulation.world.seed, first_rater=1000).ratings
    counts = item_option_counts(many.item_index, many.rating_index, n_items=many.n_items, n_options=many.n_options)
    by_text = dict(zip(many.items["item_text"].to_list(), counts, strict=True))
    for asked, answer in _pairs(episode).items():
        told = json.loads(answer)
        assert list(told) == list(many.scale.options)
        assert sum(told.values()) == 100
        seen = by_text[str(asked)]
        shares = seen / seen.sum()
        error = np.abs(shares - np.array(list(told.values())) / 100)
        assert (error < 4 * np.sqrt(0.25 / seen.sum()) + 0.01).all(), (asked, shares, told)


def test_percentages_are_the_rounded_closed_form() -> None:
    _, simulation = next(worlds(7))
    items = np.arange(5)
    shares = bayes_predict(simulation, items, np.zeros(5, dtype=np.int64), known=Known()).probabilities
    for row in shares:
        parts = whole_percents(row)
        assert sum(parts) == 100
        assert np.abs(np.array(parts) - 100 * row).max() < 1
    assert whole_percents(np.array([0.125, 0.375, 0.5])) == [13, 37, 50], "of equal losses the first"
    assert whole_percents(np.array([0.29, 0.71])) == [29, 71], "0.29 is a little less than 29 hundredths"


def test_values_of_a_situation_by_hand() -> None:
    impact = np.array([0, 2, 0, -3, 0, 0, 1, 0, 0, 0.0])
    listed = json.loads(value_list(BASIC_VALUES, impact))
    assert listed == [
        {"value": "achievement", "valence": "goes against"},
        {"value": "stimulation", "valence": "serves"},
        {"value": "conformity", "valence": "serves"},
    ]
    assert json.loads(value_list(BASIC_VALUES, impact, 1)) == listed[:1]
    # Praying before a difficult task (tradition 3, security 1, stimulation -1) in a small village (tradition 1, conformity .5)
    scene = Situation(action=23, context=0)
    assert scene.text == "Praying before a difficult task in a small village."
    wanted = [("tradition", "serves"), ("stimulation", "goes against"), ("security", "serves"), ("conformity", "serves")]
    made = json.loads(value_list(BASIC_VALUES, impacts([scene])[0]))
    assert [(one["value"], one["valence"]) for one in made] == wanted


def test_values_in_episodes_are_those_of_the_situations() -> None:
    worlds_of_seed = dict(worlds(0))
    for episode in draw("simulated_values", seed=0):
        simulation = worlds_of_seed[str(episode.unit)]
        by_text = dict(zip(simulation.ratings.items["item_text"].to_list(), simulation.features, strict=True))
        for asked, answer in _pairs(episode).items():
            impact = by_text[str(asked)]
            listed = json.loads(answer)
            sizes = [impact[BASIC_VALUES.index(one["value"])] * (1 if one["valence"] == "serves" else -1) for one in listed]
            assert min(sizes) > 0
            assert len(sizes) == 1 or np.diff(sizes).max() < 1e-9, "most touched first"
            assert max(sizes) == pytest.approx(np.abs(impact).max(), abs=1e-12)


def test_how_many_values_are_listed_varies_by_strand_and_is_said() -> None:
    drawn = list(draw("simulated_values", seed=1, description_share=1.0))
    assert {episode.attributes["most"] for episode in drawn} == {1, 2, None}
    for episode in drawn:
        most = episode.attributes["most"]
        lengths = {len(json.loads(example.output)) for example in episode.examples}
        assert lengths <= {1, 2} if most else max(lengths) > 2
        assert most is None or max(lengths) == most
        said = str(episode.description)
        assert (
            said.startswith("Which basic values") or {1: "the one basic", 2: "the two basic", None: "every basic"}[most] in said
        )  # type: ignore[index]


def test_cards_say_that_seeds_must_differ() -> None:
    card = source("simulated_people").card
    assert card.standing == "simulated: there is nothing to read"
    assert any("different seeds" in problem for problem in card.problems)
