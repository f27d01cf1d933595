"""Eight verbs with 24 forms each, most of them empty, below a notice; one has no participle, two share one."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_text

VERBS = ("run", "running"), ("whisper", "whispering"), ("bake", "baking"), ("må", ""), ("dye", "dyeing"), ("dye2", "dyeing")


def line(base: str, participle: str) -> str:
    return ",".join([base, "", "", f"{base}s", "", participle, *[""] * 18])


def write(folder: Path) -> None:
    text = "\n".join([";;; A notice, with commas, in three lines", ";;;", "", *(line(*verb) for verb in VERBS)])
    write_text(folder / "en-verbs.txt", text + "\n")
