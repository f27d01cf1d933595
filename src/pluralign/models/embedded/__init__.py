"""The embedded model: a small Llama in the package, whose world is simulated and therefore known. See tuned/README.md.

`tuned` is what `--model embedded` opens; `base` is the same architecture trained on the plain text of the same sources.
"""

from __future__ import annotations

from pathlib import Path

from pluralign.errors import ModelError, UsageError, nearest_name

__all__ = ["EMBEDDED", "embedded_folder"]

EMBEDDED = ("tuned", "base")


def embedded_folder(name: str = "") -> Path:
    """Folder of the embedded model; of the tuned one if nothing is named.

    Raises UsageError for another name, ModelError where this checkout lacks its weights.
    """
    if (name or EMBEDDED[0]) not in EMBEDDED:
        raise UsageError(f"embedded/{name}: {nearest_name(name, EMBEDDED)}")
    folder = Path(__file__).parent / (name or EMBEDDED[0])
    if not (folder / "model.safetensors").exists():
        raise ModelError(f"the embedded model's weights are not in {folder}; train them anew: make embedded")
    return folder
