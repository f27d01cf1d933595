from __future__ import annotations

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from pluralign import progress
from pluralign.progress import _Bars, progress_bars


def test_without_a_terminal_a_stage_is_a_line_and_a_remark_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_bars() as tell:
        for n, (seconds, note) in enumerate([(0, ""), (10, "5 a second"), (31, "6 a second"), (40, "7 a second"), (90, "")]):
            now[0] = 100.0 + seconds
            tell("asking", n, 2000, note)
        tell("done", 1, 1)
    assert capsys.readouterr().err.splitlines() == ["asking", "asking: 2 of 2,000, 6 a second", "done"]


def test_bars_show_the_remark_as_text() -> None:
    console = Console(width=80, force_terminal=True, record=True, file=None, quiet=False)
    bars = _Bars(Progress(TextColumn("{task.description}"), TextColumn("{task.fields[note]}"), console=console))
    bars.tell("asking", 1, 5, "[red]5[/red] a second")
    bars.tell("next", 1, 5)
    first, second = bars.progress.tasks
    assert (first.fields["note"], first.completed) == ("\\[red]5\\[/red] a second", 1)
    assert (second.description, second.fields["note"]) == ("next", "")
