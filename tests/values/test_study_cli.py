"""The commands of a study with people: exported from a run, answered by made-up people, read back into a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralign.cli import main

TABLE = pl.DataFrame(
    [(f"Situation {n}", "Value", f"value {k}") for n in range(6) for k in range(3)],
    schema=["action", "vrd", "text"],
    orient="row",
)


def _answer(study: Path, n: int) -> None:
    """What Potato keeps: the old find something missing far more often; of three nothing is known."""
    items = json.loads((study / "study.json").read_text())["items"]
    rng = np.random.default_rng(0)
    lines = ["rater_id,age"]
    for person in range(n):
        name, age = f"p{person}", ("old", "young")[person % 2]
        lines += [f"{name},{age}"] if person >= 3 else []
        for kind in ("considerations", "situations"):
            given = {}
            for item in (one for one in items if one["kind"] == kind):
                missing = "yes" if rng.random() < (0.8 if age == "old" else 0.2) else "no"
                said = {"missing": missing} if kind == "situations" else {"relevance": "yes", "valence": "Supports"}
                given[item["id"]] = [[{"schema": schema, "name": answer}, answer] for schema, answer in said.items()]
            folder = study / "potato" / kind / "annotation_output" / name
            folder.mkdir(parents=True)
            (folder / "user_state.json").write_text(json.dumps({"user_id": name, "instance_id_to_label_to_value": given}))
    (study / "raters.csv").write_text("\n".join(lines) + "\n")


def test_out_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, study = tmp_path / "values.parquet", tmp_path / "study"
    TABLE.write_parquet(table)
    export = ["values-study", "export", str(table), "--out", str(study), "--attributes", "age", "--per-situation", "2"]
    assert main(export) == 2
    assert "--model" in capsys.readouterr().err
    assert main([*export, "--model", "hf/kaleido"]) == 0
    printed = capsys.readouterr().out
    assert "12 considerations and 6 whole lists" in printed
    assert (study / "raters.csv").read_text() == "rater_id,age\n"
    assert main([*export, "--model", "hf/kaleido"]) == 1  # answers may be there
    assert main(["values-study", "results", str(study)]) == 1
    assert "nobody has answered yet" in capsys.readouterr().err
    _answer(study, 47)
    assert main(["values-study", "results", str(study), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found == {k: v for k, v in json.loads((study / "results" / "results.json").read_text()).items() if k in found}
    rows = {row["level"]: row for row in found["groups"] if row["measure"] == "missing_share"}
    assert rows["old"]["difference"]["low"] > 0.3
    assert rows["old"]["p_holm"] < 0.05
    assert found["n_answers"] == {"relevance": 47 * 12, "valence": 47 * 12, "missing": 47 * 6}
    assert "not a verdict" in said.err
    assert "what this sample can and cannot show" in said.err
    assert main(["values-study", "results", str(study), "--fewest", "30", "--out", str(tmp_path / "few")]) == 0
    assert "old (22), young (22) are not reported" in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "few" / "report.html").read_text()
    assert "No group is large enough to be reported." in page
    # Without the form nothing is known of the people.
    (study / "raters.csv").write_text("rater_id,age\n")
    assert main(["values-study", "results", str(study)]) == 0
    assert "nothing can be said of groups" in " ".join(capsys.readouterr().out.split())


def test_a_run_says_whose_lists_they_are(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, model = tmp_path / "run", f"hf/{checkpoint}"
    asked = ["Saving half of every wage", "--out", str(run), "--n", "6", "--no-explain", "--no-cache", "--model", model]
    assert main(["values", *asked]) == 0
    assert main(["values-study", "export", str(run), "--out", str(tmp_path / "study"), "--json"]) == 0
    assert json.loads((tmp_path / "study" / "study.json").read_text())["model"] == model
