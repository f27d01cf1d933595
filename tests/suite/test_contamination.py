"""The contamination check: planted duplicates are found, all of them and nothing else; answer sets; the known overlap."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.suite import all_evaluations, all_tasks, draw, read, source, source_of, task
from pluralign.suite.card import Simulated
from pluralign.suite.contamination import (
    KNOWN,
    Evaluated,
    EvaluationIndex,
    Limits,
    Overlap,
    check_overlap,
    drop_overlapping,
    evaluation_texts,
    is_left_out,
    overlap_lines,
)
from pluralign.suite.evaluated import telling_texts
from pluralign.suite.evaluation import CoverageTask
from pluralign.suite.reading import is_available
from pluralign.suite.registry import SOURCES
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.shingles import NearIndex, plain_words
from suite.samples import write_sample

LONG = "one two three four five six seven eight nine ten " * 2 + "red green blue grey pink black white brown amber gold"
"""Thirty words."""
PLAIN = "The ferry leaves the old harbour at noon, and nobody knows when it is back."
SETS = {
    "weekdays": Evaluated(sets=(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),)),
    "to_ten": Evaluated(sets=(tuple(str(n) for n in range(1, 11)),)),
    "to_hundred": Evaluated(sets=(tuple(str(n) for n in range(1, 101)),)),
}


def _episode(*outputs: str, unit: str | None = "u", options: Sequence[str] | None = None, asked: str | None = None) -> Episode:
    return Episode.checked("made", [Example(output, asked) for output in outputs], unit=unit, options=options)


def _found(outputs: Sequence[str], *texts: str, limits: Limits | None = None) -> list[Overlap]:
    return check_overlap({"train": [_episode(*outputs)]}, EvaluationIndex({"test": Evaluated(texts)}, limits))


def _kinds(overlaps: Sequence[Overlap]) -> dict[str, tuple[int, int]]:
    return {one.kind: (one.n_train, one.n_eval) for one in overlaps}


# texts


@pytest.mark.parametrize(
    "variant",
    [
        PLAIN,
        PLAIN.upper(),
        "  " + PLAIN.replace(" ", "\n\t") + "\n",
        PLAIN.replace(",", "").replace(".", "!!"),
        PLAIN.replace("ferry", "ｆｅｒｒｙ"),
        PLAIN.replace("old", "\u201cold\u201d"),
    ],
)
def test_variants_of_a_text_are_exact_duplicates(variant: str) -> None:
    assert _kinds(_found([variant, "Something else is said here, and it is said at length."], PLAIN)) == {"exact": (1, 1)}


def test_one_word_of_thirty_is_near_by_hand() -> None:
    """30 words have 28 places, at 8 of which (those that begin with "one" to "eight") an earlier shingle comes again: 20."""
    words = plain_words(LONG)
    shingles = {tuple(words[i : i + 3]) for i in range(28)}
    assert (len(words), len(shingles)) == (30, 20)
    changed = " ".join(["last" if word == "gold" else word for word in words])  # one shingle is another: 19 / 21
    assert _kinds(_found([changed], LONG)) == {"near": (1, 1)}
    assert _kinds(_found([changed], LONG, limits=Limits(jaccard=19 / 21))) == {"near": (1, 1)}
    assert _found([changed], LONG, limits=Limits(jaccard=19 / 21 + 1e-6)) == []


def test_one_word_in_the_middle_of_thirty_different_ones_is_near_and_of_twenty_is_not() -> None:
    """25 of 31 shingles are common to both: 0.806; 15 of 21: 0.714."""
    for n, kinds in ((30, {"near": (1, 1)}), (20, {})):
        words = [f"word{i}" for i in range(n)]
        text, words[n // 2] = " ".join(words), "other"
        assert _kinds(_found([" ".join(words)], text)) == kinds


def test_short_texts_labels_and_descriptions_tell_nothing() -> None:
    short = "United Kingdom of Great Britain"  # 27 letters
    assert _found(["Yes", "3", short[:25]], "Yes", "3", short[:25]) == []
    assert _kinds(_found([short], short)) == {"exact": (1, 1)}
    assert _found([short], short, limits=Limits(characters=28)) == []
    index = EvaluationIndex({"test": Evaluated((PLAIN,))})
    labels = _episode(PLAIN, options=[PLAIN, "No"])
    described = Episode.checked("made", [Example("x")], description=PLAIN)
    assert check_overlap({"train": [labels, described]}, index) == []
    assert _kinds(check_overlap({"train": [_episode("Yes", options=["Yes"], asked=PLAIN)]}, index)) == {"exact": (1, 1)}


def test_parts_of_json_and_the_question_above_lettered_options_are_texts() -> None:
    packed = json.dumps({"prompt": PLAIN, "reply": ["No.", {"score": 3}]})
    assert _kinds(_found([packed], PLAIN)) == {"exact": (1, 1)}
    assert _kinds(_found([f"{PLAIN}\nA: Yes\nB: No"], PLAIN)) == {"exact": (1, 1)}
    assert _kinds(_found([f"{PLAIN}\nA: Yes\nB: No"], f"{PLAIN}\nA: Never\nB: Always")) == {"exact": (1, 1)}
    pieces = '{"a": "a few words", "b": "and a few more", "c": 7}'
    assert [" ".join(text.words) for text in telling_texts(pieces, 20)] == ["a few words and a few more 7"]
    assert [text.shown for text in telling_texts("{this only looks like an object", 20)] == ["{this only looks like an object"]
    assert [text.shown for text in telling_texts('{"a": "a few words"}', 9)] == ["a few words"]


def test_what_an_overlap_says() -> None:
    other = "Quite another text, which stands in the evaluation and nowhere else at all."
    changed = PLAIN.replace("back", "gone")
    index = EvaluationIndex({"test": Evaluated((PLAIN, other, PLAIN.lower(), "Yes")), "second": Evaluated((PLAIN,))})
    found = check_overlap({"b": [_episode(PLAIN, PLAIN + "!", changed)], "a": [_episode(changed, unit=None)]}, index)
    assert [(one.train, one.evaluation, one.kind, one.n_train, one.n_eval) for one in found] == [
        ("a", "second", "near", 1, 1),
        ("a", "test", "near", 1, 1),
        ("b", "second", "exact", 1, 1),
        ("b", "second", "near", 1, 1),
        ("b", "test", "exact", 1, 1),
        ("b", "test", "near", 1, 1),
    ]
    assert [one.share_of_evaluation for one in found if one.evaluation == "test"] == [1 / 2] * 3  # the short one does not count
    assert found[0].examples == ((changed, PLAIN),)
    assert json.loads(json.dumps(found[0].to_dict()))["kind"] == "near"
    assert overlap_lines(found[-2:-1]) == [
        "b / test: exact: 1 text like 1 of its texts (50 %)",
        f"    {PLAIN!r} / {PLAIN!r}",
    ]


def test_texts_without_spaces_are_compared_by_character() -> None:
    text = "船は正午に古い港を出て、いつ戻ってくるのかは誰も知らない。だから私たちは待っている。"
    assert _kinds(_found([text.replace("正", "昼")], text)) == {"near": (1, 1)}
    assert plain_words("AI模型 ok") == ["ai", "模", "型", "ok"]


# nothing near is missed, nothing else is taken


def _jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    x, y = ({tuple(words[i : i + 3]) for i in range(len(words) - 2)} for words in (a, b))
    return len(x & y) / len(x | y) if x | y else 0.0


WORDS = st.lists(st.sampled_from("abcdef"), max_size=9)


@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=8), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
@settings(max_examples=150, deadline=None)
def test_near_pairs_are_those_of_all_pairs_compared(texts: list[list[str]], given: list[list[str]], jaccard: float) -> None:
    pairs = itertools.product(range(len(texts)), range(len(given)))
    expected = [(i, j) for i, j in pairs if _jaccard(texts[i], given[j]) >= jaccard - 1e-9 and len(texts[i]) >= 3]
    assert list(NearIndex(given, jaccard=jaccard).near(texts)) == expected


def _texts(rng: np.random.Generator, n: int, n_words: int) -> list[list[str]]:
    """Words as frequent as in a language, about."""
    p = 1 / np.arange(1, 2001)
    return [[f"w{i}" for i in rng.choice(2000, size=n_words, p=p / p.sum())] for _ in range(n)]


def test_planted_near_duplicates_are_all_found() -> None:
    rng = np.random.default_rng(0)
    evaluated = _texts(rng, 300, 60)
    train = _texts(rng, 2000, 60)
    planted = {}
    for i in range(300):
        words = list(evaluated[i])
        for place in rng.choice(60, size=int(rng.integers(1, 4)), replace=False):
            words[place] = "new"
        if _jaccard(words, evaluated[i]) >= 0.85:
            planted[len(train)] = i
        train.append(words)
    assert len(planted) > 80
    found = list(NearIndex(evaluated, jaccard=0.8).near(train))
    assert set(planted.items()) <= set(found)
    assert all(_jaccard(train[i], evaluated[j]) >= 0.8 for i, j in found)
    n_near = sum(_jaccard(train[i + 2000], evaluated[i]) >= 0.8 for i in range(300))
    assert len(found) == n_near, "unrelated texts are not near"


def test_empty_sides_have_no_overlap() -> None:
    assert check_overlap({}, EvaluationIndex({})) == []
    assert check_overlap({"train": [_episode(PLAIN)]}, EvaluationIndex({})) == []
    assert check_overlap({"train": []}, EvaluationIndex({"test": Evaluated((PLAIN,))} | SETS)) == []
    assert list(NearIndex([["a", "b"]], jaccard=0.8).near([["a", "b"]])) == [], "two words have no three in a row"


def test_neither_the_order_of_episodes_nor_batches_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    evaluated = [" ".join(words) for words in _texts(rng, 60, 30)]
    outputs = [*evaluated[:20], *(text + " more" for text in evaluated[10:40]), *(" ".join(w) for w in _texts(rng, 200, 30))]
    episodes = [_episode(*outputs[i::10], unit=str(i)) for i in range(10)]
    index = EvaluationIndex({"x": Evaluated(evaluated[:30]), "y": Evaluated(evaluated[20:])} | SETS)
    found = check_overlap({"train": episodes}, index)
    assert {(one.evaluation, one.kind): one.n_eval for one in found} == {
        ("x", "exact"): 20,
        ("x", "near"): 20,
        ("y", "near"): 20,
    }
    assert check_overlap({"train": reversed([*episodes, *episodes])}, index) == found
    monkeypatch.setattr("pluralign.suite.contamination._BATCH_WORDS", 50)
    monkeypatch.setattr("pluralign.suite.contamination._MOST_SEEN", 3)
    assert check_overlap({"train": episodes}, index) == found


# answer sets


def _sets(*episodes: Episode) -> dict[tuple[str, str], tuple[int, int, float]]:
    found = check_overlap({"train": episodes}, EvaluationIndex(SETS))
    return {(one.evaluation, one.kind): (one.n_train, one.n_eval, one.share_of_evaluation) for one in found}


def test_a_list_of_the_answers_is_found_whatever_their_case() -> None:
    days = ["monday", "TUESDAY", " Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    assert _sets(_episode(*days)) == {("weekdays", "answers"): (1, 7, 1.0)}
    assert _sets(_episode(*days[:3]), _episode(*days[2:4])) == {("weekdays", "answers"): (1, 4, 4 / 7)}, "of one unit together"
    assert _sets(_episode(*days[:3]), _episode(*days[3:6], unit="v")) == {}, "3 / 7 are less than half"
    assert _sets(_episode(*days[:3], unit=None), _episode(*days[3:6], unit=None)) == {}
    assert _sets(*(_episode(*days[:4], unit=str(n)) for n in range(5))) == {("weekdays", "answers"): (5, 4, 4 / 7)}
    assert _sets(_episode(*days * 3)) == {("weekdays", "answers"): (1, 7, 1.0)}, "words are no numerals: they may repeat"


def test_answers_to_an_input_and_answers_among_many_others_are_none() -> None:
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    assert _sets(_episode(*days, asked="Which day was it?")) == {}
    assert _sets(_episode(*days, *(f"word {n}" for n in range(7)))) == {("weekdays", "answers"): (1, 7, 1.0)}
    assert _sets(_episode(*days, *(f"word {n}" for n in range(8)))) == {}, "7 / 15"
    assert _sets(_episode(*days, *(f"word {n}" for n in range(5000)))) == {}


def test_whole_numbers_count_only_as_a_list_of_just_them() -> None:
    numbers = [str(n) for n in range(101)]
    assert _sets(_episode(*numbers[1:11])) == {("to_ten", "answers"): (1, 10, 1.0)}
    assert _sets(_episode(*numbers[1:])) == {("to_hundred", "answers"): (1, 100, 1.0)}
    assert _sets(_episode(*numbers[0:12])) == {("to_ten", "numerals"): (1, 10, 1.0)}, "10 / 12"
    assert _sets(_episode(*numbers[1:11], "7")) == {("to_ten", "numerals"): (1, 10, 1.0)}, "drawn, not listed"
    assert _sets(_episode(*numbers[2:101:2])) == {("to_hundred", "numerals"): (1, 50, 0.5)}, "the even ones"
    assert _sets(_episode(*numbers[1:5])) == {}


def test_laws_that_print_numbers_are_no_contamination() -> None:
    index = EvaluationIndex(SETS)
    for name in ("categorical", "poisson", "geometric", "hypergeometric", "coinflip", "cards"):
        found = check_overlap({name: itertools.islice(draw(name), 60)}, index)
        assert not [one for one in found if one.is_contamination], overlap_lines(found)
    assert {one.kind for one in check_overlap({"categorical": draw("categorical")}, index)} == {"numerals"}


# what is left out


def test_the_known_units_are_left_out_with_a_reason() -> None:
    for name, units in KNOWN.items():
        assert all_tasks()[name].split == "train"
        for unit in units:
            assert len(str(is_left_out(name, unit))) > 10
    assert is_left_out("diffuse_distribution", "numbers/even-1") is None
    assert is_left_out("diffuse_distribution", None) is None
    assert is_left_out("poisson", "numbers/rng-0") is None


def test_the_known_units_are_units_of_their_tasks(tmp_path: Path) -> None:
    write_sample("diffuse_distribution", tmp_path)
    units = {episode.unit for episode in _all_lists(tmp_path)}
    assert set(KNOWN["diffuse_distribution"]) < units


def test_overlapping_examples_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    index = EvaluationIndex({"test": Evaluated((PLAIN, LONG))})
    near = PLAIN.replace("back", "gone")
    kept = [Example("A text of some length that no evaluation has."), Example("short", "short")]
    episodes = [
        Episode.checked("made", [kept[0], Example(PLAIN.upper()), Example(near), kept[1]], unit="a", attributes={"age": 3}),
        _episode(LONG, unit="b"),
        _episode("Yes", asked=json.dumps({"prompt": near, "reply": "An answer that no evaluation has either."}), unit="c"),
        _episode("Yes", "No", unit="d", options=["Yes", "No"]),
    ]
    for n_words in (300_000, 1):
        monkeypatch.setattr("pluralign.suite.contamination._BATCH_WORDS", n_words)
        dropped: Counter[str] = Counter()
        left = list(drop_overlapping(iter(episodes), index, dropped))
        assert left == [Episode.checked("made", kept, unit="a", attributes={"age": 3}), episodes[3]]
        assert dropped == {"examples": 4, "episodes": 2}
        assert check_overlap({"train": left}, index) == []


def test_limits_out_of_range_are_refused() -> None:
    for bad in ({"jaccard": 0.0}, {"answers": 1.5}, {"numerals": -1.0}, {"characters": 0}):
        with pytest.raises(UsageError, match=next(iter(bad))):
            Limits(**bad)


# what the suite has


def test_evaluations_of_the_suite_give_texts_and_sets() -> None:
    texts = evaluation_texts(["flight"], limit=50)["flight"].texts
    assert len(texts) == len(set(texts)) == 50
    with pytest.raises(UsageError, match="training split"):
        evaluation_texts(["poisson"])
    with pytest.raises(UsageError, match="did you mean 'flight'"):
        evaluation_texts(["fligth"])


def test_lines_of_answer_sets() -> None:
    days = [_episode("Monday", "Friday", "Sunday", "Tuesday", unit=unit) for unit in "ab"]
    assert overlap_lines(check_overlap({"train": days}, EvaluationIndex(SETS))) == [
        "train / weekdays: answers: 2 units with up to 4 of its answers (57.1 %)",
        "    'a' / 'friday, monday, sunday, tuesday'",
    ]


def test_every_test_task_and_evaluation_can_be_asked_for(tmp_path: Path) -> None:
    for name in SOURCES:
        if not isinstance(source(name).card.access, Simulated):
            write_sample(name, tmp_path)
    held_out = [one.name for one in all_tasks().values() if one.split == "test"]
    found = evaluation_texts([*held_out, *all_evaluations()], tmp_path)
    assert all(found[name].texts for name in held_out)
    assert sum(bool(one.texts or one.sets) for one in found.values()) > len(held_out) + 10


def test_questions_pools_and_closed_lists_are_gathered(tmp_path: Path) -> None:
    """Of a pool all examples, also those that an episode does not draw; of questions their inputs, and lists of ten or more."""
    found = evaluation_texts(["states", "rng_1_10", "prime_numbers", "urn"], tmp_path)
    assert [len(answers) for answers in found["states"].sets] == [50]
    assert len(found["states"].texts) == 1
    assert found["rng_1_10"] == Evaluated(sets=(tuple(map(str, range(1, 11))),))
    assert found["prime_numbers"] == Evaluated(), "endless, and its request is ours"
    assert found["urn"].sets == (), "two to five colours are no set"
    write_sample("arc", tmp_path)
    strands = list(task("arc").strands(read("arc", tmp_path), 0))
    inputs = {example.input for strand in strands if not callable(strand.examples) for example in strand.examples}
    assert set(evaluation_texts(["arc"], tmp_path)["arc"].texts) == inputs


def _all_lists(data_dir: Path) -> list[Episode]:
    """Those left out by default too."""
    made = task("diffuse_distribution")
    return list(draw_episodes(made, made.strands(read(made.name, data_dir), 0), seed=0))


@pytest.mark.data
def test_the_lists_that_are_answer_sets_are_the_known_ones(data_dir: Path) -> None:
    """Beside them: primes to 50 are 15 of the 25 to 100, even or odd numbers the half of all; another request each."""
    names = [one.name for one in all_evaluations().values() if isinstance(one, CoverageTask)]
    there = [name for name in names if is_available(source_of(name), data_dir, all_evaluations()[name])]
    index = EvaluationIndex(evaluation_texts(there, data_dir))
    episodes = _all_lists(data_dir)
    found = check_overlap({"diffuse_distribution": episodes}, index)
    assert {(one.evaluation, one.kind): (one.n_train, one.n_eval) for one in found} == {
        ("weekdays_full", "answers"): (2, 7),
        ("rng_1_10", "answers"): (1, 10),
        ("rng_1_100", "answers"): (1, 100),
        ("small_prime_numbers", "answers"): (1, 25),
        ("small_prime_numbers", "numerals"): (1, 15),
        ("rng_1_10", "numerals"): (2, 5),
        ("rng_1_100", "numerals"): (2, 50),
    }
    left = [episode for episode in episodes if not is_left_out(episode.task, episode.unit)]
    assert len(left) == 210
    found = check_overlap({"diffuse_distribution": left}, index)
    assert not [one for one in found if one.is_contamination], overlap_lines(found)
