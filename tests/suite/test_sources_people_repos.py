"""Four sources of people's judgments that lie in repositories: polis, popquorn, generativesocialchoice, dices."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.ratings.readers import read_ratings
from pluralign.suite import draw, source, task
from pluralign.suite.check import check_episodes
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.sources import dices, generativesocialchoice, polis, popquorn
from pluralign.suite.task import Strand
from suite.samples import write_csv, write_sample
from suite.samples.dices import TALKS
from suite.samples.polis import BENCHES, BUS, COMMENTS
from suite.samples.popquorn import ANN, EMAILS


def _strands(wanted: str, name: str, data_dir: Path, seed: int = 0) -> dict[str, Strand]:
    """Unit to strand; fails where a unit comes twice."""
    found = source(name)
    made = list(next(one for one in found.tasks if one.name == wanted).strands(found.load(found.folder(data_dir)), seed))
    strands = {strand.unit: strand for strand in made}
    assert len(strands) == len(made)
    return strands


def _pairs(strand: Strand) -> list[tuple[str | None, str]]:
    assert not callable(strand.examples)
    return [(example.input, example.output) for example in strand.examples]


def _change(path: Path, row: int, column: str, value: str) -> None:
    """Writes a cell of a table anew; rows count from 1."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[row - 1][column] = value
    write_csv(path, rows)


def _after(description: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(description[description.index("{") :])
    return found


def _checked(name: str, loaded: Any) -> list[Episode]:
    """All episodes of a task, of what its source has loaded."""
    drawn = task(name)
    episodes = list(draw_episodes(drawn, drawn.strands(loaded, 0), seed=0, description_share=1.0))
    checked = check_episodes(name, episodes)
    assert not checked.faults, checked.lines()
    return episodes


# polis


def test_the_last_vote_counts_and_empty_and_test_comments_are_none(tmp_path: Path) -> None:
    write_sample("polis", tmp_path)
    strands = _strands("polis_vote", "polis", tmp_path)
    # voter 12 of the benches has three votes on comments that count, voter 3 of the bus one
    assert list(strands) == [f"{BENCHES}/11", f"{BENCHES}/13", f"{BUS}/1", f"{BUS}/2"]
    assert dict(_pairs(strands[f"{BENCHES}/11"])) == {
        COMMENTS["0"]: "Agree",  # at first -1; the later vote stands first in the file
        COMMENTS["1"]: "Disagree",
        COMMENTS["2"]: "Pass",
        COMMENTS["4"]: "Agree",  # taken out by moderators
        COMMENTS["6"]: "Agree",
    }
    assert dict(_pairs(strands[f"{BENCHES}/13"]))["Protest now"] == "Disagree"
    assert _pairs(strands[f"{BUS}/1"]) == [
        ("Bus 0, at night", "Agree"),
        ("Bus 1, at night", "Pass"),
        ("Bus 2, at night", "Disagree"),
        ("Bus 4, at night", "Agree"),
    ]
    assert {strand.options for strand in strands.values()} == {("Agree", "Disagree", "Pass")}
    assert all(strand.n_outputs is None and strand.n_episodes == 1 and not strand.attributes for strand in strands.values())


def test_comments_come_once_each_in_episodes_of_a_conversation(tmp_path: Path) -> None:
    write_sample("polis", tmp_path)
    outputs: dict[str, Counter[str]] = {BENCHES: Counter(), BUS: Counter()}
    for episode in draw("polis_comment", data_dir=tmp_path):
        assert all(example.input is None for example in episode.examples)
        outputs[str(episode.unit)].update(example.output for example in episode.examples)
    wanted = [text for comment, text in COMMENTS.items() if comment not in ("3", "5")]
    assert outputs == {BENCHES: Counter(wanted), BUS: Counter(f"Bus {n}, at night" for n in range(5))}


@pytest.mark.parametrize(("name", "n_wordings"), [("polis_vote", 4), ("polis_comment", 7)])
def test_wordings_come_with_topic_and_description_in_each_order(tmp_path: Path, name: str, n_wordings: int) -> None:
    write_sample("polis", tmp_path)
    strands = _strands(name, "polis", tmp_path)
    topic = "Topic: Benches in the park"
    about = "About the conversation: Should there be more of them, or fewer?\n\nTell us."
    with_both = next(strand.descriptions for unit, strand in strands.items() if unit.startswith(BENCHES))
    assert len(with_both) == n_wordings * 5 * 2
    assert len(set(with_both)) == n_wordings * (1 + 4 * 2)  # alone, before and after are the same
    first = with_both[:10]
    alone = first[0]
    assert sorted(first) == sorted(
        text
        for prefix in ([], [topic], [about], [topic, about], [about, topic])
        for text in ("\n".join([*prefix, alone]), "\n".join([alone, *prefix]))
    )
    without = next(strand.descriptions for unit, strand in strands.items() if unit.startswith(BUS))
    assert len(without) == n_wordings * 2 * 2
    assert without[:4] == (alone, alone, f"Topic: A night bus\n{alone}", f"{alone}\nTopic: A night bus")
    if name == "polis_vote":
        assert all(re.search("Agree.*Disagree.*Pass", text) for text in with_both)


def test_voters_are_drawn_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("polis", tmp_path)
    monkeypatch.setattr(polis, "N_VOTERS", 1)
    drawn = Counter(unit for seed in range(20) for unit in _strands("polis_vote", "polis", tmp_path, seed))
    assert sum(drawn.values()) == 40
    assert set(drawn) == {f"{BENCHES}/11", f"{BENCHES}/13", f"{BUS}/1", f"{BUS}/2"}


def test_a_conversation_can_be_used_alone_but_not_without_its_votes(tmp_path: Path) -> None:
    folder = write_sample("polis", tmp_path)
    shutil.rmtree(folder / BUS)
    assert set(_strands("polis_comment", "polis", tmp_path)) == {BENCHES}
    (folder / BENCHES / "votes.csv").unlink()
    with pytest.raises(DataError, match=rf"polis: {BENCHES}/votes\.csv: no such file; get it from .*openData, commit 0bc2ce0"):
        next(draw("polis_comment", data_dir=tmp_path))


@pytest.mark.parametrize(
    ("file", "row", "column", "value", "message"),
    [
        (f"{BENCHES}/votes.csv", 3, "vote", "2", "row 3: vote must be -1, 0 or 1, not '2'"),
        (f"{BENCHES}/votes.csv", 3, "timestamp", "then", "row 3: timestamp must be a whole number, not 'then'"),
        (f"{BENCHES}/votes.csv", 3, "voter-id", "", "row 3: voter-id is missing"),
        (f"{BENCHES}/votes.csv", 4, "comment-id", "", "row 4: comment-id is missing"),
        (f"{BENCHES}/comments.csv", 2, "comment-id", "0", "row 2: comment-id '0': it has two texts"),
        (f"{BENCHES}/comments.csv", 2, "comment-id", "", "row 2: comment-id None: it is missing"),
        (f"{BUS}/participants-votes.csv", 2, "3", "yes", "row 2, column 3: a vote must be -1, 0 or 1, not 'yes'"),
        (f"{BUS}/participants-votes.csv", 2, "participant", "", "row 2: participant is missing"),
    ],
)
def test_votes_and_comments_that_cannot_be_are_named(
    tmp_path: Path, file: str, row: int, column: str, value: str, message: str
) -> None:
    _change(write_sample("polis", tmp_path) / file, row, column, value)
    with pytest.raises(DataError, match=re.escape(f"polis: {file}: {message}")):
        next(draw("polis_vote", data_dir=tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("topic,", "subject,"), "there is no row 'topic'"),
        (lambda text: text.replace("conversation-description", "about"), "there is no row 'conversation-description'"),
        (lambda text: text.replace("Benches in", "Benches, in"), "row 3: 3 fields, where 2 are needed"),
    ],
)
def test_a_summary_needs_its_rows(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = write_sample("polis", tmp_path) / BENCHES / "summary.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=rf"polis: {BENCHES}/summary\.csv: (?s:.*){message}"):
        next(draw("polis_vote", data_dir=tmp_path))


@pytest.fixture(scope="module")
def conversations(data_dir: Path) -> dict[str, polis.Conversation]:
    return polis.load(data_dir / "polis")


@pytest.mark.data
def test_polis_on_six_real_conversations(conversations: dict[str, polis.Conversation]) -> None:
    """Voters with four votes, at most 500 of a conversation."""
    episodes = _checked("polis_vote", conversations)
    per_conversation = Counter(str(episode.unit).rsplit("/", 1)[0] for episode in episodes)
    assert per_conversation == {
        "15-per-hour-seattle": 188,
        "american-assembly.bowling-green": 500,
        "brexit-consensus": 194,
        "london.youth.policing": 24,
        "scoop-hivemind.taxes": 304,
        "scoop-hivemind.ubi": 185,
    }
    comments = _checked("polis_comment", conversations)
    assert sum(len(episode.examples) for episode in comments) == 54 + 896 + 50 + 39 + 148 + 71
    assert len({episode.unit for episode in comments}) == 6


@pytest.mark.data
def test_votes_are_those_of_the_readers_of_ratings(data_dir: Path, conversations: dict[str, polis.Conversation]) -> None:
    """None of the six has an empty or a test comment, so nothing is left out."""
    for name, found in conversations.items():
        long = read_ratings(data_dir / "polis" / name).to_long()
        theirs = {(rater, item): polis.VOTES[vote] for item, rater, vote in long["item_id", "rater_id", "rating"].rows()}
        ours = {(voter, comment): vote for voter, votes in found.votes.items() for comment, vote in votes.items()}
        assert ours == theirs, name


@pytest.mark.data
def test_agree_is_what_polis_counts_as_agreement(data_dir: Path, conversations: dict[str, polis.Conversation]) -> None:
    """The counts that the export has of itself, which lag a little."""
    votes = conversations["brexit-consensus"].votes
    counts = Counter((comment, vote) for mine in votes.values() for comment, vote in mine.items())
    with (data_dir / "polis/brexit-consensus/comments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column, vote in (("agrees", "Agree"), ("disagrees", "Disagree")):
        assert all(abs(counts[row["comment-id"], vote] - int(row[column])) <= 2 for row in rows), column


# popquorn


def test_users_of_six_rows_are_shown_with_what_they_told(tmp_path: Path) -> None:
    """User 3 has five rows, and rows without an id are nobody's."""
    write_sample("popquorn", tmp_path)
    strands = _strands("popquorn_individual", "popquorn", tmp_path)
    by_subset = Counter(unit.split("/")[0] for unit in strands)
    assert by_subset == {"email_rewriting": 3, "offensiveness": 3, "politeness_rating": 3, "question_answering": 2}
    ann, bo, nobody = (strands[f"email_rewriting/{user}"] for user in "012")
    assert _pairs(ann) == [(email, f"Dear all, {email}") for email in EMAILS]
    assert ann.attributes == ANN
    assert bo.attributes == {"gender": "Man", "race": "Asian", "education": "Other"}
    assert nobody.attributes == {}
    assert [len(strand.descriptions) for strand in (ann, bo, nobody)] == [3, 3, 2]
    assert [text for text in bo.descriptions if "{" in text] == [bo.descriptions[2]]
    assert _after(bo.descriptions[2]) == bo.attributes
    assert ann.options is None


@pytest.mark.parametrize("subset", ["offensiveness", "politeness_rating"])
def test_ratings_are_whole_numbers(tmp_path: Path, subset: str) -> None:
    write_sample("popquorn", tmp_path)
    ann = _strands("popquorn_individual", "popquorn", tmp_path)[f"{subset}/0"]
    column = subset.removesuffix("_rating")
    assert _pairs(ann) == [(f"{column}, item {n}", str(n % 5 + 1)) for n in range(6)]
    assert ann.options == ("1", "2", "3", "4", "5")
    assert len(ann.descriptions) == 2
    assert "{" not in ann.descriptions[0]
    assert _after(ann.descriptions[1]) == ANN


def test_those_who_answer_questions_are_known_by_what_they_told(tmp_path: Path) -> None:
    """Eleven rows, of two people with six and five, are one unit; two people who told nothing are none."""
    write_sample("popquorn", tmp_path)
    strands = {u: s for u, s in _strands("popquorn_individual", "popquorn", tmp_path).items() if u.startswith("question")}
    assert [len(strand.examples) for strand in strands.values()] == [11, 6]  # type: ignore[arg-type]
    ann, bo = strands.values()
    assert ann.attributes == ANN
    assert "occupation" not in bo.attributes
    assert all("one person, or several" in text for strand in strands.values() for text in strand.descriptions if "{" in text)
    assert [len(strand.descriptions) for strand in strands.values()] == [2, 2]
    pairs = [(json.loads(str(given)), json.loads(answer)) for given, answer in _pairs(bo)]
    assert pairs[0] == (
        {"passage": "Passage 0: cranes fly south.", "question": "Where do cranes fly?"},
        {"groundtruth": "south", "answer": "2.0", "difficulty": "2"},  # an answer's text is left as it is
    )
    assert pairs[5][1] == {"answer": "south", "difficulty": "2"}


def test_items_are_texts_once_each(tmp_path: Path) -> None:
    write_sample("popquorn", tmp_path)
    strands = _strands("popquorn_og_categorical", "popquorn", tmp_path)
    assert list(strands) == list(popquorn.SUBSETS)
    assert [output for _, output in _pairs(strands["email_rewriting"])] == EMAILS
    assert _pairs(strands["question_answering"])[0][1] == "Passage 0: cranes fly south."
    assert all(unit in strand.descriptions[0] and strand.n_episodes == 20 for unit, strand in strands.items())
    assert len(list(draw("popquorn_og_categorical", data_dir=tmp_path))) == 80


def test_attributes_that_a_users_rows_do_not_agree_about_are_not_shown(tmp_path: Path) -> None:
    _change(write_sample("popquorn", tmp_path) / "offensiveness_raw_data.csv", 2, "gender", "Man")
    ann = _strands("popquorn_individual", "popquorn", tmp_path)["offensiveness/0"]
    assert ann.attributes == {name: value for name, value in ANN.items() if name != "gender"}


def test_users_are_drawn_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("popquorn", tmp_path)
    monkeypatch.setattr(popquorn, "N_USERS", 1)
    drawn = [set(_strands("popquorn_individual", "popquorn", tmp_path, seed)) for seed in range(20)]
    assert {len(units) for units in drawn} == {4}
    assert len(set().union(*drawn)) == 11


@pytest.mark.parametrize("value", ["6.0", "0", "", "2.5", "many"])
def test_ratings_that_cannot_be_are_named(tmp_path: Path, value: str) -> None:
    _change(write_sample("popquorn", tmp_path) / "politeness_rating_raw_data.csv", 4, "politeness", value)
    with pytest.raises(DataError, match=r"politeness_rating_raw_data\.csv: row 4: politeness must be 1 to 5, not "):
        next(draw("popquorn_og_categorical", data_dir=tmp_path))


def test_one_table_is_enough(tmp_path: Path) -> None:
    folder = write_sample("popquorn", tmp_path)
    for name in popquorn.SUBSETS:
        if name != "offensiveness":
            (folder / f"{name}_raw_data.csv").unlink()
    assert set(_strands("popquorn_og_categorical", "popquorn", tmp_path)) == {"offensiveness"}
    (folder / "offensiveness_raw_data.csv").unlink()
    with pytest.raises(DataError, match=r"email_rewriting_raw_data\.csv: no such file; .* as dataset/email_rewriting/raw_data"):
        next(draw("popquorn_individual", data_dir=tmp_path))


@pytest.mark.data
def test_popquorn_on_the_real_offensiveness_ratings(data_dir: Path) -> None:
    loaded = popquorn.load(data_dir / "popquorn")
    rows = loaded["offensiveness"]
    assert (len(rows), len({row["user_id"] for row in rows})) == (13_036, 262)
    episodes = _checked("popquorn_individual", loaded)
    assert len(episodes) == 100
    assert all(40 <= len(episode.examples) <= 50 for episode in episodes)
    telling = [episode for episode in episodes if "{" in str(episode.description)]
    assert 30 <= len(telling) <= 70
    assert all(_after(str(episode.description)) == episode.attributes for episode in telling)
    assert not any("disclose" in str(value) for episode in episodes for value in episode.attributes.values())
    items = _checked("popquorn_og_categorical", loaded)
    assert len(items) == 20
    assert len({example.output for episode in items for example in episode.examples}) > 1000


# generativesocialchoice


def test_ratings_are_a_choice_with_its_reason(tmp_path: Path) -> None:
    write_sample("generativesocialchoice", tmp_path)
    strands = _strands("generativesocialchoice_validation", "generativesocialchoice", tmp_path)
    surveys = ("abortion", "chatbot_personalization")
    assert list(strands) == [f"{survey}/{user}" for survey in surveys for user in ("generation1", "validation1")]
    for survey in surveys:  # one file has Python's lists, the other JSON
        assert _pairs(strands[f"{survey}/validation1"]) == [
            (
                '{"question_text": "Is it one?", "json_choices": ["poorly", "well", "very well"]}',
                '{"choice": "poorly"}',
            ),
            (
                '{"question_text": "Is it two?", "json_choices": ["poorly", "well", "very well"]}',
                '{"choice": "very well", "response_text": "None"}',
            ),
        ]
    [said] = {strand.descriptions for strand in strands.values()}
    assert all(name in text for text in said for name in ("question_text", "json_choices", "choice", "response_text"))


def test_free_answers_without_text_are_left_out(tmp_path: Path) -> None:
    write_sample("generativesocialchoice", tmp_path)
    strands = _strands("generativesocialchoice_freetext", "generativesocialchoice", tmp_path)
    assert len(strands) == 4
    assert _pairs(strands["abortion/generation1"]) == [("What do you think, and why?", 'I "think", mostly.\nThat is all')]
    assert _pairs(strands["chatbot_personalization/generation2"]) == [("What do you think, and why?", "Nothing")]


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (1, "question_type", "game", "row 1: question_type must be one of multiple choice + text, text, reading, not 'game'"),
        (2, "user_id", "", "row 2: user_id is missing"),
        (4, "question_text", "", "row 4: question_text is missing"),
        (4, "choice", "badly", "row 4: choice must be one of json_choices, not 'badly'"),
        (4, "choice", "", "row 4: choice must be one of json_choices, not None"),
        (4, "json_choices", "__import__('os')", "row 4: json_choices must be a list of texts"),
        (4, "json_choices", "[1, 2]", "row 4: json_choices must be a list of texts"),
    ],
)
def test_answers_that_cannot_be_are_named(tmp_path: Path, row: int, column: str, value: str, message: str) -> None:
    _change(write_sample("generativesocialchoice", tmp_path) / "abortion_survey.csv", row, column, value)
    with pytest.raises(DataError, match=re.escape(f"abortion_survey.csv: {message}")):
        next(draw("generativesocialchoice_freetext", data_dir=tmp_path))


@pytest.mark.data
def test_generative_social_choice_on_its_real_files(data_dir: Path) -> None:
    loaded = generativesocialchoice.load(data_dir / "gsc_survey")
    assert {survey: len(rows) for survey, rows in loaded.items()} == {"abortion": 2800, "chatbot_personalization": 3000}
    ratings = _checked("generativesocialchoice_validation", loaded)
    assert len(ratings) == 400
    # abortion: 100 people rate 10 and 100 rate 5; chatbots: 100 rate 5 and 100 rate 6
    assert Counter(len(episode.examples) for episode in ratings) == {10: 100, 5: 200, 6: 100}
    answers = _checked("generativesocialchoice_freetext", loaded)
    # 100 people with 5 and 100 with 8, one of whom left one blank
    assert Counter(len(episode.examples) for episode in answers) == {5: 100, 8: 99, 7: 1}


# dices


def test_raters_answer_about_the_conversations_they_saw(tmp_path: Path) -> None:
    """Rater 7 of one set is not rater 7 of the other."""
    write_sample("dices", tmp_path)
    strands = _strands("dices", "dices", tmp_path)
    assert list(strands) == ["990/7", "990/8", "990/9", "350/7", "350/5"]
    assert _pairs(strands["990/7"]) == [
        (json.dumps({"context": context, "response": response}, ensure_ascii=False), answer)
        for (context, response), answer in zip(TALKS, ("Yes", "No", "Unsure"), strict=True)
    ]
    assert [answer for _, answer in _pairs(strands["350/7"])] == ["No", "Yes", "No"]
    assert {(strand.options, strand.n_outputs) for strand in strands.values()} == {(("Yes", "No", "Unsure"), 100)}


def test_raters_are_shown_with_what_is_known(tmp_path: Path) -> None:
    """Fault 1: the published suite never did."""
    write_sample("dices", tmp_path)
    strands = _strands("dices", "dices", tmp_path)
    assert {unit: strand.attributes for unit, strand in strands.items()} == {
        "990/7": {
            "gender": "Woman",
            "locale": "IN",
            "race": "Indian, Goan",  # as the rater put it
            "age": "millennial",
            "education": "College degree or higher",
        },
        "990/8": {"locale": "US", "race": "White", "age": "generation Z"},
        "990/9": {},
        "350/7": {"gender": "Man", "race": "White", "age": "generation X or older", "education": "Other"},
        "350/5": {"gender": "Nonbinary", "race": "Multiracial", "age": "generation Z", "education": "Other"},
    }
    for unit, strand in strands.items():
        assert "{" not in strand.descriptions[0]
        assert len(strand.descriptions) == (1 if unit == "990/9" else 2)
        assert all(_after(text) == strand.attributes for text in strand.descriptions[1:])
    shown = [str(e.description) for s in range(20) for e in draw("dices", seed=s, data_dir=tmp_path) if e.description]
    share = sum("The rater: {" in text for text in shown) / len(shown)
    assert 0.25 < share < 0.55  # of 100 episodes, 0.8 are described; of the five raters four in half of the cases


def test_raters_are_drawn_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("dices", tmp_path)
    monkeypatch.setattr(dices, "N_RATERS", 1)
    drawn = Counter(unit for seed in range(20) for unit in _strands("dices", "dices", tmp_path, seed))
    assert sum(drawn.values()) == 40
    assert len(drawn) == 5


def test_an_attribute_that_changes_from_row_to_row_is_not_shown(tmp_path: Path) -> None:
    _change(write_sample("dices", tmp_path) / dices.CARD.access.files[0], 2, "rater_gender", "Man")
    assert "gender" not in _strands("dices", "dices", tmp_path)["990/7"].attributes


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("Q_overall", "Maybe", "row 2: Q_overall must be Yes, No or Unsure, not 'Maybe'"),
        ("Q_overall", "", "row 2: Q_overall must be Yes, No or Unsure, not None"),
        ("rater_id", "", "row 2: rater_id is missing"),
        ("context", "", "row 2: context is missing"),
        ("response", "", "row 2: response is missing"),
    ],
)
def test_ratings_of_safety_that_cannot_be_are_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    file = dices.CARD.access.files[1]
    _change(write_sample("dices", tmp_path) / file, 2, column, value)
    with pytest.raises(DataError, match=re.escape(f"dices: {file}: {message}")):
        next(draw("dices", data_dir=tmp_path))


@pytest.mark.parametrize("names", [("rater_raw_race", "rater_race_raw"), ("rater_race_raw", "rater_raw_race")])
def test_the_raw_race_has_either_name(tmp_path: Path, names: tuple[str, str]) -> None:
    """Which file has which, the source does not say."""
    folder = write_sample("dices", tmp_path)
    before = _strands("dices", "dices", tmp_path)
    for file, name in zip(dices.CARD.access.files, names, strict=True):
        text = (folder / file).read_text()
        (folder / file).write_text(re.sub("rater_raw_race|rater_race_raw", name, text))
    assert _strands("dices", "dices", tmp_path) == before


def test_what_has_met_a_real_file_says_so() -> None:
    standing = {name: source(name).card.standing for name in ("polis", "popquorn", "generativesocialchoice", "dices")}
    assert standing.pop("dices") == "not run on the real file"
    assert set(standing.values()) == {"run on the real file"}
