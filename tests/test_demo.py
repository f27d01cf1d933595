"""The demo: its questions and limits, what it measures, the run folder, the page, the command.

Models here are fakes whose losses are known, and one random Llama; what the embedded weights know is asked of them alone, in
the last test, which is skipped where they are not there.
"""

from __future__ import annotations

import dataclasses
import html.parser
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import tiny
from pluralign import cli
from pluralign.demo import people as people_part
from pluralign.demo.asking import Questions
from pluralign.demo.findings import DemoFindings
from pluralign.demo.laws import KS, categorical_questions, coin_questions
from pluralign.demo.lines import demo_lines
from pluralign.demo.measure import calibration, ratio
from pluralign.demo.people import KNOWN, TARGETS, draw_people, limits, people_questions
from pluralign.demo.person import person_questions, shown_person
from pluralign.demo.run import DemoSettings, demo
from pluralign.demo.situation import KINDS, drawn_pair, pair_questions, values_questions
from pluralign.demo.written import read_profile
from pluralign.errors import ModelError, RunError, UsageError
from pluralign.models import OptionLogprobs, Query, Sample, SamplingSettings, ScriptedModel
from pluralign.report.demo_words import about_comparison
from pluralign.suite.embedded_episodes import RATING_OPTIONS
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED
from pluralign.suite.embedded_values import BEARINGS
from pluralign.suite.embedded_world import FIRST_HELD_OUT

FEW = 4
COVERED = 0.9
HOSTILE = "<script>alert(1)</script> & \x07 Matters"


class Fake(ScriptedModel):
    """Probabilities of a function; draws nothing but one text, and takes the mode where it is asked for."""

    text = "Matters to this person: power. What this person turns away from: tradition."

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        self.usage.requests += len(queries)
        text = BEARINGS[0].written if settings.n > 1 else self.text
        return [[Sample(text, "stop")] * settings.n for _ in queries]


def _uniform(query: Query) -> dict[str, float]:
    options = query.asked_options
    return dict.fromkeys(options, COVERED / len(options))


def _settings(tuned: ScriptedModel, base: ScriptedModel, *, seed: int = 0) -> DemoSettings:
    return DemoSettings(seed=seed, limit=FEW, model=tuned, base=base)


def _uniform_model(name: str = "fake", **given: Any) -> Fake:
    return Fake(_uniform, revision="uniform", name=name, **given)


class Knower(Fake):
    """Answers as the best possible predictor; where that is not known, as one who knows nothing."""

    def __init__(self, asked: Sequence[Questions]) -> None:
        super().__init__(_uniform, revision="knower", name="knower")
        self.known = {
            repr(query): limit
            for one in asked
            for query, limit in zip(one.queries, one.limit, strict=True)
            if not np.isnan(limit).any()
        }

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        with np.errstate(divide="ignore"):
            return [
                OptionLogprobs(q.asked_options, np.log(self.known[repr(q)])) if repr(q) in self.known else found
                for q, found in zip(queries, super().option_logprobs(queries), strict=True)
            ]


@pytest.fixture(scope="module")
def few() -> people_part.People:
    return draw_people(FEW, seed=0)


@pytest.fixture(scope="module")
def asked(few: people_part.People) -> Questions:
    bare = people_questions(few)
    return dataclasses.replace(bare, limit=limits(few, bare))


@pytest.fixture(scope="module")
def found(few: people_part.People, asked: Questions, tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoFindings, Path]:
    """A tuned model that is the limit itself, beside one that gives every option the same."""
    pair = drawn_pair(0)
    everything = [
        *(coin_questions(FEW, seed=0), categorical_questions(FEW, seed=0), asked),
        person_questions(few, shown_person(few), [Fake.text] * FEW),
        *(values_questions(kind, FEW, seed=0) for kind in KINDS),
        *(pair_questions(kind, pair) for kind in KINDS),
    ]
    out = tmp_path_factory.mktemp("demo") / "out"
    return demo(out, _settings(Knower(everything), _uniform_model())), out


# questions


def test_people_coins_and_laws_are_held_out_and_those_of_the_seed(few: people_part.People) -> None:
    assert few.numbers.start >= FIRST_HELD_OUT
    assert draw_people(FEW, seed=0).numbers == few.numbers != draw_people(FEW, seed=1).numbers
    assert draw_people(FEW + 3, seed=0).numbers[:FEW] == few.numbers
    for asked_law in (coin_questions(3, seed=0), categorical_questions(3, seed=0)):
        seeds = [int(query.episode.unit.split("/")[0]) for query in asked_law.queries if query.episode.unit]
        assert len(seeds) == 3 * len(KS)
        assert min(seeds) >= FIRST_HELD_OUT_SEED


def test_a_coin_is_asked_after_each_number_of_tosses_with_laplace_as_the_limit() -> None:
    coins = coin_questions(2, seed=3)
    seen = [[example.output for example in query.episode.examples] for query in coins.queries]
    assert [len(one) for one in seen] == [*KS, *KS]
    for tosses, longer in itertools.pairwise(seen[: len(KS)]):
        assert longer[: len(tosses)] == tosses
    for tosses, limit in zip(seen, coins.limit, strict=True):
        assert limit[0] == pytest.approx((tosses.count("Heads") + 1) / (len(tosses) + 2), abs=1e-15)
    described = [query.episode.description for query in coins.queries]
    assert [told is not None for told in described] == [k == 0 for k in KS] * 2
    assert "0." not in str(described[0])


def test_a_law_has_the_chances_it_was_drawn_with_and_a_limit_that_sums_to_1() -> None:
    laws = categorical_questions(3, seed=0)
    assert laws.truth is not None
    assert np.allclose(laws.truth.sum(axis=1), 1, atol=1e-12)
    assert np.allclose(laws.limit.sum(axis=1), 1, atol=1e-9)
    assert laws.outcomes is not None
    assert (laws.truth[np.arange(len(laws.outcomes)), laws.outcomes] > 0).all()


def test_what_is_asked_of_a_person_is_never_among_what_is_shown(asked: Questions) -> None:
    for query in asked.queries:
        assert query.input not in [example.input for example in query.episode.examples]
    assert len(asked.queries) == FEW * len(TARGETS) * len(KNOWN)
    for known in KNOWN:
        rows = np.flatnonzero(asked.known == known)
        assert [asked.queries[row].input for row in rows] == [q.input for q in asked.queries[: FEW * len(TARGETS)]]
        told = {asked.queries[row].episode.description for row in rows}
        assert len(told) == (1 if known.startswith("examples") else FEW)
    assert [len(asked.queries[np.flatnonzero(asked.known == f"examples:{k}")[0]].episode.examples) for k in KS] == list(KS)


def test_limits_fall_as_more_is_known(asked: Questions, few: people_part.People) -> None:
    """On average over people, by the truth: nothing > attributes > 32 ratings, and everything is below all."""
    rows = [(person, place) for person in range(FEW) for place in TARGETS]
    everything = people_part.questions_about(few, "x", people_part.EVERYTHING, rows)
    truth = limits(few, everything)

    def loss(known: str) -> float:
        return float(-(truth * np.log(asked.limit[asked.known == known])).sum(axis=1).mean())

    floor = float(-(truth * np.log(truth)).sum(axis=1).mean())
    assert loss("examples:0") > loss("examples:16") > floor
    assert loss("profile") > floor


def test_every_true_profile_is_read_back() -> None:
    people = draw_people(300, seed=5)
    assert [read_profile(people.profile(person)) for person in range(300)] == people.facts


@pytest.mark.parametrize(
    "text",
    ["", "Matters to this person: .", "Matters to this person: power, power.", "Matters to this person: love.", HOSTILE],
)
def test_other_texts_are_no_profiles(text: str) -> None:
    assert read_profile(text) is None


# what is measured


def test_the_best_possible_predictor_loses_nothing_beyond_the_limit(found: tuple[DemoFindings, Path]) -> None:
    findings, _ = found
    for row in [*findings.laws[0].rows, *findings.laws[1].rows, *(findings.row(known) for known in KNOWN)]:
        assert row.tuned is not None
        assert row.limit is not None
        assert row.tuned_excess is not None
        assert row.tuned.value == pytest.approx(row.limit.value, abs=1e-9), row.known
        assert abs(row.tuned_excess.value) < 1e-9
    share = findings.row("profile").tuned_share
    assert share is not None
    assert share.value == pytest.approx(1, abs=1e-9)
    assert all(row.tuned_off.value < 1e-9 for row in findings.values)
    assert findings.checks["tuned"].covered["ratings"].value == pytest.approx(1, abs=1e-9)


def test_a_model_that_gives_every_option_the_same_loses_what_that_costs(found: tuple[DemoFindings, Path]) -> None:
    """-log(0.9 / options) for each output, however much is known."""
    findings, _ = found
    for rows, n_options in ((findings.laws[0].rows, 2), (findings.laws[1].rows, 64), (findings.people, len(RATING_OPTIONS))):
        for row in rows:
            if row.known != "everything":
                assert row.base is not None
                assert row.base.value == pytest.approx(math.log(n_options / COVERED), abs=1e-9)
    for one in findings.checks["base"].covered.values():
        assert one.value == pytest.approx(COVERED, abs=1e-12)
    gap = findings.row("examples:32").base_minus_tuned
    assert gap is not None
    assert gap.value > 0
    assert [step.base for step in findings.coin_steps] == [pytest.approx(0.5)] * len(KS)


def test_the_limit_of_all_rows_is_the_same_whoever_is_asked(found: tuple[DemoFindings, Path]) -> None:
    everything = found[0].row("everything")
    assert everything.tuned is None
    assert everything.limit is not None
    values = [row.limit.value for row in found[0].people if row.limit is not None]
    assert min(values) == everything.limit.value


def test_written_profiles_are_judged_by_the_values_they_name(found: tuple[DemoFindings, Path], few: people_part.People) -> None:
    """Each fake profile names power on one side and tradition on the other."""
    written = found[0].written["tuned"]
    n_right = sum((4 in facts.cares) + (7 in facts.turns) for facts in few.facts)
    n_true = sum(len(facts.cares) + len(facts.turns) for facts in few.facts)
    assert written.readable.value == 1
    assert written.named_true.value == pytest.approx(n_right / (2 * FEW))
    assert written.true_named.value == pytest.approx(n_right / n_true)


def test_a_share_of_nothing_is_undefined_and_so_is_one_of_the_infinite() -> None:
    units = np.arange(3)
    assert ratio(np.ones(3), np.zeros(3), units, unit="rater", seed=0).why_undefined is not None
    assert ratio(np.array([1, 2, np.inf]), np.ones(3), units, unit="rater", seed=0).why_undefined is not None
    assert ratio(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]), units, unit="rater", seed=0).value == 0.5


def test_calibration_by_hand() -> None:
    """Two options, always 0.8 and 0.2, and the first happens in 3 of 4: each is off by 0.05."""
    questions = Questions(
        part="x",
        unit="rater",
        queries=[],
        known=np.array(["a"] * 4),
        units=np.array([0, 0, 1, 1]),
        limit=np.full((4, 2), np.nan),
        outcomes=np.array([0, 0, 0, 1]),
    )
    found = calibration(questions, np.log(np.tile([0.4, 0.1], (4, 1))), name="x", seed=0)
    assert found.ece.value == pytest.approx(0.05, abs=1e-12)
    assert [bin.observed.value for bin in found.bins] == [0.25, 0.75]


def test_the_sentence_on_two_models_goes_by_the_interval(found: tuple[DemoFindings, Path]) -> None:
    row = found[0].row("examples:32")
    gap = row.base_minus_tuned
    assert gap is not None
    said = {
        "the tuned model loses less": dataclasses.replace(gap, value=0.2, low=0.1, high=0.3),
        "the base model loses less than the tuned model: by 0.200 (0.100 to 0.300)": dataclasses.replace(
            gap, value=-0.2, low=-0.3, high=-0.1
        ),
        "cannot be told apart": dataclasses.replace(gap, value=0.2, low=-0.1, high=0.5),
    }
    for words, estimate in said.items():
        assert words in about_comparison(dataclasses.replace(row, base_minus_tuned=estimate), "So", "rating")


# the run folder


def test_results_say_all_and_the_same_demo_asks_nothing_again(found: tuple[DemoFindings, Path]) -> None:
    findings, out = found
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    page = (out / "report.html").read_bytes()
    tuned, base = Knower([]), _uniform_model()
    demo(out, _settings(tuned, base))
    assert tuned.usage.requests == base.usage.requests == 0
    assert (out / "report.html").read_bytes() == page
    with pytest.raises(RunError, match="seed: there 0, asked 1"):
        demo(out, _settings(tuned, base, seed=1))


def test_a_demo_that_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model goes away in the middle; what was finished is not asked again, and the end is the same."""
    monkeypatch.setattr("pluralign.demo.run.demo_page", lambda findings: "a page")  # drawing takes most of the time
    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(ModelError, match="gone"):
        demo(out, _settings(_uniform_model(fail_after=100), _uniform_model("other")))
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "steps").iterdir()}
    assert "coinflip-tuned.parquet" in kept
    assert not (out / "results.json").exists()
    demo(out, _settings(_uniform_model(), _uniform_model("other")))
    assert {name: (out / "steps" / name).stat().st_mtime_ns for name in kept} == kept
    demo(whole, _settings(_uniform_model(), _uniform_model("other")))
    assert (out / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(UsageError, match="--seed -1"):
        DemoSettings(seed=-1)


@pytest.mark.parametrize("limit", [0, 1, -3])
def test_fewer_than_two_people_are_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="at least 2"):
        DemoSettings(limit=limit)


# the page and the terminal


class _Page(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_shows_every_part(found: tuple[DemoFindings, Path]) -> None:
    findings, out = found
    page = _Page((out / "report.html").read_text())
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert page.handlers == []
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert page.tags.count("svg") == 2 + 2 + 2 + 2 + 3 * (5 * 3 - 1) + 6 * 4 + 2
    for shown in (findings.person.true_profile, Fake.text, *findings.pair.texts, *(s.text for s in findings.person.situations)):
        assert shown in page.text
    assert "not a" not in page.text.lower().partition("what this is, and is not")[0]


def test_what_a_model_writes_shows_as_text_and_what_is_undefined_says_why(tmp_path: Path) -> None:
    class Hostile(Fake):
        text = HOSTILE

        def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
            """The last option is impossible."""
            return [
                OptionLogprobs(q.asked_options, np.log([*[1.0] * (len(q.asked_options) - 1), 1e-300]) - 3)
                if n % 2
                else _last(q)
                for n, q in enumerate(queries)
            ]

    def _last(query: Query) -> OptionLogprobs:
        n = len(query.asked_options)
        return OptionLogprobs(query.asked_options, np.array([math.log(1 / n)] * (n - 1) + [-math.inf]))

    findings = demo(tmp_path, _settings(Hostile(_uniform, revision="hostile"), _uniform_model()))
    row = findings.row("examples:4")
    assert row.tuned is not None
    assert "no probability at all" in str(row.tuned.why_undefined)
    page = _Page((tmp_path / "report.html").read_text())
    assert "script" not in page.tags
    assert "<script>alert(1)</script> & \ufffd Matters" in page.text
    assert "no value: " in page.text
    json.loads((tmp_path / "results.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    lines = demo_lines(findings)
    assert not any("\x07" in line or "nan" in line for line in lines)


def test_the_terminal_gets_at_most_35_lines(found: tuple[DemoFindings, Path]) -> None:
    lines = demo_lines(found[0])
    assert len(lines) <= 33  # and two on where it was written
    assert max(map(len, lines)) <= 100
    rows = {line[:24].strip(): line for line in lines}
    limit = found[0].row("attributes").limit
    assert limit is not None
    assert rows["attributes"].split()[1:4] == [f"{limit.value:.3f}", f"{math.log(5 / COVERED):.3f}", f"{limit.value:.3f}"]


# the command


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Llama with turn tokens whose tokens are pieces of words; its name."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny.chatml(tiny.SPECTRUM_TEMPLATES["chatml"])
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2},
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"hf/{folder}"


def test_the_command_runs_two_local_models_from_end_to_end(
    llama: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["demo", "--model", llama, "--base", llama, "--limit", "2", "--out", str(tmp_path / "out")]
    assert cli.main([*flags, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "2 held-out people" in planned
    assert "Nothing was asked" in planned
    assert not (tmp_path / "out").exists()
    assert cli.main([*flags, "--json"]) == 0
    printed = capsys.readouterr()
    results = json.loads(printed.out)
    assert results == json.loads((tmp_path / "out/results.json").read_text())
    assert str(tmp_path / "out/report.html") in printed.err
    rows = {row["known"]: row for row in results["people"]}
    assert rows["examples:8"]["tuned_excess"]["value"] > 0
    assert rows["examples:8"]["tuned"]["value"] != rows["examples:8"]["base"]["value"]  # turns and plain text are read apart


def test_without_torch_the_install_line_comes_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("pluralign.models.opening.importlib.import_module", missing)
    for flags in ([], ["--dry-run"]):
        assert cli.main(["demo", "--out", str(tmp_path / "out"), *flags]) == 1
        assert "pip install 'pluralign[local]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_person_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--limit", "1"]) == 2
    assert "at least 2" in capsys.readouterr().err


# the embedded weights


def test_the_embedded_model_is_near_the_limit_and_steers(tmp_path: Path) -> None:
    findings = demo(tmp_path, DemoSettings(limit=24))
    coin, ratings = findings.laws[0].rows[-1], findings.row("examples:16")
    assert coin.tuned_excess is not None
    assert coin.tuned_excess.value < 0.02
    assert ratings.tuned is not None
    nothing = findings.row("examples:0").tuned
    assert nothing is not None
    assert ratings.tuned.value < nothing.value
    assert findings.checks["tuned"].covered["ratings"].value > 0.98
    assert findings.written["tuned"].readable.value > 0.9
