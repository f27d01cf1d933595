"""The commands for profiles, as they are typed, and the functions behind them."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import polars as pl
import pytest

from pluralign import cli
from pluralign.cli.profiles import ProfileFlags
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.models import Query, ScriptedModel
from pluralign.profiling import edit, given_ratings, plan_write, show, write
from pluralign.raters.profile_files import read_profiles
from pluralign.raters.profiles import ProfileSettings
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_fit_eval
from tables import write_table

OPTIONS = ("1", "2", "3", "4", "5")


@pytest.fixture(autouse=True)
def _own_cache_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_CACHE", str(tmp_path / "cache.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ratings() -> Ratings:
    """20 raters of 12 items, and one with a single rating; each is alone with age and region."""
    rows = [
        {
            "item_id": f"i{i:02}",
            "item_text": f"text {i}",
            "rater_id": f"r{r:02}",
            "rater_age": f"{r // 2}",
            "rater_region": ("north", "south")[r % 2],
            "rating": OPTIONS[4 * (r % 2) if i % 5 else 2],
        }
        for r in range(21)
        for i in range(12 if r < 20 else 1)
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", OPTIONS))


@pytest.fixture
def file(ratings: Ratings, tmp_path: Path) -> Path:
    return write_table(ratings, tmp_path / "votes.csv")


def _either(query: Query) -> dict[str, float]:
    if not query.given_options:
        return {"Rates low.": 0.5, "Rates high.": 0.5}
    low = 0.8 if "low" in (query.episode.description or "") else 0.05
    return {"1": low, "3": 0.1, "5": 0.85 - low}


def _model(**given: object) -> ScriptedModel:
    return ScriptedModel(_either, revision="either", **given)  # type: ignore[arg-type]


# writing


def test_profiles_are_written_from_what_is_given_and_everything_is_kept(file: Path, ratings: Ratings) -> None:
    found = write(file, "run", model=_model(), settings=ProfileSettings(n_drafts=6))
    profiles = read_profiles("run")
    assert list(found.profiles) == profiles
    assert len(profiles) == 21
    good = [one.profile == ("Rates low.", "Rates high.")[n % 2] for n, one in enumerate(profiles) if len(one.given_items) > 3]
    assert sum(good) >= len(good) - 1
    held_out = ratings.take(split_fit_eval(ratings, seed=0).is_eval)
    for one in profiles:
        rater = ratings.rater_ids.index(one.rater_id)
        asked = {ratings.item_ids[i] for i in held_out.item_index[held_out.rater_index == rater]}
        assert not asked & set(one.given_items)
    assert len(profiles[20].given_items) == 1  # too few ratings to hold any out, and never judged on
    records = pl.read_parquet("run/records.parquet")
    assert records.height == 21 * 6
    assert records["loss_nats"].null_count() == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results == json.loads(json.dumps(found.to_dict()))
    assert (results["n_raters"], results["n_without_profile"], results["draft_outcomes"]) == (21, 0, {"ok": 126})
    first, chosen = (results["estimates"][name] for name in ("loss_first", "loss_chosen"))
    assert chosen["value"] < first["value"]
    assert chosen["low"] < chosen["value"] < chosen["high"]
    assert (chosen["n"], chosen["unit"]) == (21, "rater")
    assert results["usage"]["requests"] == 126


def test_one_draft_asks_no_decoder(file: Path) -> None:
    found = write(file, "run", model=_model())
    assert found.decoder is None
    assert found.decoder_totals.usage.requests == 0
    assert not found.loss_chosen.is_defined
    assert "loss_nats" not in pl.read_parquet("run/records.parquet").columns


def test_another_decoder_is_counted_apart(file: Path) -> None:
    reader = _model(name="reader")
    found = write(file, "run", model=_model(), decoder=reader, settings=ProfileSettings(n_drafts=2))
    assert found.decoder == "reader"
    assert found.totals.usage.requests == 42
    assert found.decoder_totals.usage.requests == reader.usage.requests > 0


def test_raters_without_a_profile_are_counted(file: Path) -> None:
    found = write(file, "run", model=_model(faults={"refusal": 0.5}, seed=1))
    assert 0 < found.n_without < 21
    assert found.outcomes["refusal"] == found.n_without
    assert found.outcomes["refusal"] + found.outcomes["ok"] == 21
    assert found.longest_copied.n == 21 - found.n_without
    write(file, "none", model=_model(faults={"refusal": 1.0}))
    assert not json.loads(Path("none/results.json").read_text())["estimates"]["copied_share"]["value"]


def test_a_killed_run_goes_on_behind_its_last_part(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.profiling.PART_REQUESTS", 8)  # 4 raters a part
    settings = ProfileSettings(n_drafts=2)
    whole = write(file, "whole", model=_model(), settings=settings)
    with pytest.raises(ModelError, match="gone after"):
        write(file, "run", model=_model(fail_after=100), settings=settings)
    n_done = len(list(Path("run/steps").glob("drafts-*.parquet")))
    assert 0 < n_done < 6
    assert not Path("run/profiles.jsonl").exists()
    model = _model()
    found = write(file, "run", model=model, settings=settings)
    assert list(found.profiles) == list(whole.profiles)
    assert model.usage.requests < whole.totals.usage.requests + whole.decoder_totals.usage.requests
    again = _model()
    assert list(write(file, "run", model=again, settings=settings).profiles) == list(whole.profiles)
    assert again.usage.requests == 0
    with pytest.raises(RunError, match="words: there 150, asked 40"):
        write(file, "run", model=_model(), settings=dataclasses.replace(settings, words=40))


def test_what_is_given(ratings: Ratings) -> None:
    assert given_ratings(ratings, "all", seed=0) is ratings
    given = given_ratings(ratings, "fit", seed=0)
    assert len(given) == len(ratings) - int(split_fit_eval(ratings, seed=0).is_eval.sum())
    with pytest.raises(UsageError, match="given: 'some' is unknown"):
        given_ratings(ratings, "some", seed=0)  # type: ignore[arg-type]


def test_what_would_be_asked_is_what_is_asked(file: Path) -> None:
    settings = ProfileSettings(n_drafts=3, told=("all",))
    plan = plan_write(file, "run", model="scripted", settings=settings, limit=7)
    found = write(file, "run", model=_model(), settings=settings, limit=7)
    assert (plan.n_raters, plan.n_drafts) == (7, 21)
    assert plan.n_drafts == found.totals.usage.requests
    assert plan.n_scored >= found.decoder_totals.usage.requests
    assert {name: one.n_alone for name, one in plan.privacy.items()} == {"age": 1, "age + region": 21}


# showing and changing


def test_an_edited_profile_is_kept_beside_the_models_and_shown(file: Path) -> None:
    write(file, "run", model=_model())
    before = Path("run/profiles.jsonl").read_bytes()
    (first, *_) = read_profiles("run")
    new = "Rates high." if first.profile == "Rates low." else "Rates low."
    found = edit("run", rater="r00", text=f" {new}\n", ratings=file, model=_model())
    assert (found.before, found.profile.profile, found.profile.edited_from) == (first.profile, new, first.profile)
    assert len(found.shifts) == 5
    assert found.shifts[0].total_variation == pytest.approx(0.75 / 0.95, abs=1e-9)
    assert Path("run/profiles.jsonl").read_bytes() == before
    assert found.file == "run/profiles.edited.jsonl"
    edit("run", rater="r01", text="Kind.", ratings=file, model=_model(), items=["i03"])
    again = edit("run/profiles.jsonl", rater="r00", text="Kind, low.", ratings=file, model=_model())
    assert (again.before, again.profile.edited_from) == (new, first.profile)
    assert [one.profile for one in read_profiles("run/profiles.edited.jsonl")] == ["Kind.", "Kind, low."]
    written, edited = show("run", rater="r00")
    assert edited is not None
    assert (written, edited.profile) == (first, "Kind, low.")
    assert [one.profile for one in read_profiles("run", edited=True)[:2]] == ["Kind, low.", "Kind."]


def test_edits_that_are_none(file: Path) -> None:
    write(file, "run", model=_model())
    (first, *_) = read_profiles("run")
    same = {"ratings": file, "model": _model()}
    for text in ("", " \n", first.profile or ""):
        with pytest.raises(UsageError, match="nothing to keep"):
            edit("run", rater="r00", text=text, **same)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="NUL"):
        edit("run", rater="r00", text="a\0b", **same)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="did you mean 'r00'"):
        edit("run", rater="r000", text="Kind.", **same)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="did you mean 'i03'"):
        edit("run", rater="r00", text="Kind.", items=["i033"], **same)  # type: ignore[arg-type]
    assert not Path("run/profiles.edited.jsonl").exists()
    edit("run", rater="r00", text="Kind.", **same)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="made from"):
        edit("run/profiles.edited.jsonl", rater="r00", text="Kinder.", **same)  # type: ignore[arg-type]


# as typed


def test_the_flags_are_the_settings() -> None:
    assert ProfileFlags().to_settings(seed=3) == ProfileSettings(seed=3)
    flags = {f.name for f in dataclasses.fields(ProfileFlags)} - {"given"}
    settings = {f.name for f in dataclasses.fields(ProfileSettings)} - {"seed"}
    assert {{"drafts": "n_drafts", "tell": "told"}.get(name, name) for name in flags} == settings


def test_write_prints_a_summary_or_one_json_document(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["profile", "write", str(file), "--model", "scripted", "--drafts", "2", "--limit", "5", "--tell", "all"]
    assert cli.main([*command, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "would ask scripted for 10 drafts of at most 600 tokens (prompt profile-1)" in out
    assert "Nothing was asked and nothing was written" in out
    assert not Path("runs").exists()
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "profiles of 5 raters, written by scripted (prompt profile-1) from given ratings" in out
    assert "optimistic" in out
    assert "21 of 21 raters (100%) are the only ones" in out
    assert "Written to runs/votes-profiles-scripted: profiles.jsonl, records.parquet, results.json" in out
    assert cli.main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads(Path("runs/votes-profiles-scripted/results.json").read_text())
    assert "Written to" in printed.err


def test_columns_are_named_as_everywhere(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.read_csv(file).rename({"rater_id": "worker", "rating": "label"})
    table.write_csv("named.csv")
    command = ["profile", "write", "named.csv", "--rater", "worker", "--rating", "label", "--model", "scripted", "--out", "run"]
    assert cli.main([*command, "--max-tokens", "300", "--limit", "6"]) == 0
    profiles = [one for one in read_profiles("run") if one.profile is not None]
    name = "ratings:named.csv?rater=worker&rating=label"
    edited = ["profile", "edit", "run", "--rater", profiles[0].rater_id, "--ratings", name, "--model", "scripted"]
    assert cli.main([*edited, "--text", "Kind.", "--item", "i01", "i02", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.rpartition("\n{\n")[2].join(["{\n", ""]))
    assert [one["item_id"] for one in found["items"]] == ["i01", "i02"]


def test_show_and_edit_print_texts_that_cannot_steer_a_terminal(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = {"rater_id": "r00", "profile": "Kind.\n\x1b[31m<end_of_turn> 她认为"}
    Path("p.jsonl").write_text(json.dumps(profile) + "\n")
    assert cli.main(["profile", "show", "p.jsonl", "--rater", "r00"]) == 0
    assert "  Kind.\n  \\x1b[31m<end_of_turn> 她认为\n" in capsys.readouterr().out
    Path("new.txt").write_text("Strict.\n")
    same = ["--rater", "r00", "--ratings", str(file), "--model", "scripted"]
    assert cli.main(["profile", "edit", "p.jsonl", *same, "--text-file", "new.txt"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "after:  Strict." in out
    assert "Written to p.edited.jsonl" in out
    assert cli.main(["profile", "show", "p.jsonl", "--rater", "r00"]) == 0
    assert "changed by hand into\n\n  Strict." in capsys.readouterr().out
    assert cli.main(["profile", "show", "p.jsonl", "--rater", "r00", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["edited"]["profile"] == "Strict."

    editor = tmp_path / "editor.py"
    editor.write_text("import sys, pathlib\np = pathlib.Path(sys.argv[1])\np.write_text(p.read_text().upper())\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    assert cli.main(["profile", "edit", "p.jsonl", *same]) == 0
    assert read_profiles("p.edited.jsonl")[0].profile == "STRICT."


@pytest.mark.parametrize(
    ("flags", "editor", "said"),
    [
        (["--text", "a", "--text-file", "b"], "", "pass one of them"),
        ([], "", "no editor is set"),
        ([], "no-such-editor", "cannot be started"),
        ([], "false", "ended with 1"),
    ],
)
def test_wrong_usage_of_edit(
    flags: list[str],
    editor: str,
    said: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor)
    Path("p.jsonl").write_text('{"rater_id": "r00", "profile": "Kind."}\n')
    same = ["--rater", "r00", "--ratings", str(file), "--model", "scripted"]
    assert cli.main(["profile", "edit", "p.jsonl", *same, *flags]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "See: pluralign profile edit --help" in printed.err
