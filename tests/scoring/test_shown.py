"""`pluralign show`. The golden pages (tests/golden/show*.txt) are made again with PLURALIGN_WRITE_GOLDEN=1."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from models import tiny
from pluralign.cli.shown import print_shown
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError
from pluralign.models import ChatStyle, ModelSettings
from pluralign.scoring import ShownEpisode, show
from scoring.made_episodes import HOSTILE, coins, written

GOLDEN = Path(__file__).parents[1] / "golden"
WARMTH = Episode(
    "warmth",
    (Example("yes", "How warm is ☕?"), Example("no\nnot at all"), Example("😀")),
    "A rater of waters.",
    unit="r\x1b[1m1",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny.spectrum_checkpoint("chatml").save_pretrained(folder)
    return f"hf/{folder}"


def _printed(shown: list[ShownEpisode], *, encoding: str = "utf-8", **console: object) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="\n", write_through=True) as file:
        settings = {"color_system": None, "width": 100, "highlight": False, "markup": False, "soft_wrap": True, **console}
        print_shown(shown, file=file, console=Console(file=file, legacy_windows=False, **settings))  # type: ignore[arg-type]
        return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("name", "console"),
    [("show", {}), ("show-colour", {"color_system": "standard", "force_terminal": True, "no_color": False})],
)
def test_what_is_printed_is_as_agreed(model: str, tmp_path: Path, name: str, console: dict[str, object]) -> None:
    path = written(tmp_path, [coins(2)[0], WARMTH])
    page = "".join(
        _printed(show(path, model=model, n=2, settings=ModelSettings(format=style)), **console)
        for style in ("spectrum", "colon")
    )
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("PLURALIGN_WRITE_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()


def test_tokens_kinds_and_counts(model: str, tmp_path: Path) -> None:
    [one] = show(written(tmp_path, coins(3)), model=model, start=2)
    assert (one.row, one.task, one.unit, one.format) == (2, "coin", "u2", "spectrum")
    assert one.n_tokens == len(one.ids) == len(one.is_loss) == len(one.example_index)
    assert one.loss_tokens_of_example[0] == 0  # no description
    assert sum(one.loss_tokens_of_example) == one.n_loss_tokens > 0
    loss = "".join(text for text, kind in one.pieces if kind == "loss")
    assert loss == "".join(f"{e.output}<|im_end|>" for e in coins(3)[2].examples[1:])
    assert json.loads(json.dumps(one.to_dict()))["pieces"][0] == {"text": "<|im_start|>", "kind": "control"}


def test_formats_and_styles_are_taken(model: str, tmp_path: Path) -> None:
    path = written(tmp_path, [WARMTH])
    [colon] = show(path, model=model, settings=ModelSettings(format="colon"))
    assert "".join(text for text, _ in colon.pieces).startswith("Description: A rater")
    folder = tmp_path / "instruct"
    tiny.instruct("chatml").save_pretrained(folder)
    style = ChatStyle(system_prompt="Be short.", examples_in_prompt=True)
    [chat] = show(path, model="openai/some", settings=ModelSettings(format="chat", tokenizer=str(folder), chat=style))
    text = "".join(text for text, _ in chat.pieces)
    assert "Be short.\n\nA rater of waters." in text
    assert [n > 0 for n in chat.loss_tokens_of_example] == [False, False, True]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("colour", [None, "truecolor"])
def test_nothing_from_data_steers_the_terminal(model: str, tmp_path: Path, encoding: str, colour: str | None) -> None:
    """All that is left of it are the escapes of our own colours."""
    shouted = "\x07\x08\x1b]0;title\x07\x9b31m\u2028\u2066"
    hostile = Episode(HOSTILE, (Example(f"a\r{shouted}"), Example(HOSTILE + shouted)), HOSTILE, unit=shouted)
    shown = show(written(tmp_path, [hostile]), model=model)
    text = _printed(shown, encoding=encoding, color_system=colour, force_terminal=bool(colour))
    ours = text.replace("\x1b[", "") if colour else text
    assert not set(ours) & set("\x00\x07\x08\x1b\r\x9b\u2028\u2066\u202e")
    assert "\\x1b[31mred\\u202e" in text if colour is None else "\\u202e" in text
    if colour:  # sequences that set a colour, nothing else
        assert all(part.partition("m")[0].replace(";", "").isdigit() for part in text.split("\x1b[")[1:])


def test_it_needs_neither_weights_nor_torch(model: str, tmp_path: Path) -> None:
    """There are no weights in the folder, and torch cannot be imported (transformers does where it can, whatever is asked)."""
    path = written(tmp_path, coins(1))
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom pluralign.cli import main\n"
        f"sys.exit(main(['show', {str(path)!r}, '--model', {model!r}]))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert "⟦<|im_end|>⟧" in done.stdout.decode()


def test_what_cannot_be_shown(model: str, tmp_path: Path) -> None:
    path = written(tmp_path, coins(3))
    for name in ("scripted", "openai/some"):
        with pytest.raises(UsageError, match="its tokenizer is not known"):
            show(path, model=name)
    with pytest.raises(UsageError, match="has 3 episodes, numbered from 0"):
        show(path, model=model, start=3)
    with pytest.raises(UsageError, match="n must be at least 1"):
        show(path, model=model, n=0)
    with pytest.raises(DataError, match="no episodes"):
        show(written(tmp_path, [], "empty.jsonl"), model=model)
    [empty] = show(written(tmp_path, [Episode("none", ())], "none.jsonl"), model=model)
    assert (empty.n_loss_tokens, empty.loss_tokens_of_example) == (0, [])
