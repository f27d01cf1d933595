"""The folder of a model that is written whole or not at all: the base's files, with what a transplant changes of them.

It is made beside its place under another name, its config.json last, and renamed at the end: what a full disk or a kill leaves
is removed, or is a hidden folder whose name says that it is not finished.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pluralign.errors import RunError
from pluralign.files import UNFINISHED, read_json, sync_folder
from pluralign.tuning.transplant_source import Source

__all__ = [
    "RECORD",
    "check_place",
    "check_room",
    "copy_files",
    "new_folder",
    "write_generation_config",
    "write_json",
    "write_tokenizer",
]

RECORD = "transplant.json"
"""What was copied, in the folder itself; a folder without it is never replaced."""
_TOKENIZER = (
    *("tokenizer.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "spiece.model"),
    *("sentencepiece.bpe.model", "vocab.json", "merges.txt", "vocab.txt"),
)
_SETTINGS = "tokenizer_config.json"


def check_place(out: Path, sources: Sequence[Source], *, overwrite: bool) -> None:
    """Raises RunError for a place that is taken."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; give a folder that is new or empty.")
    if any(out == Path(one.name).resolve() for one in sources if one.commit is None):
        raise RunError(f"{out}: is a model to be read; give another folder.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / RECORD).is_file():
            raise RunError(f"{out}: is not empty and not what a transplant made; give a folder that is new or empty.")
        if not overwrite:
            raise RunError(f"{out}: holds a transplant already; give a new folder, or replace it with --overwrite.")


def check_room(out: Path, n_bytes: int) -> None:
    """Raises RunError where the disk has less room than this."""
    there = next(folder for folder in out.parents if folder.is_dir())
    if (free := shutil.disk_usage(there).free) < n_bytes:
        raise RunError(
            f"{out}: needs {n_bytes / 1e9:,.2f} GB, its disk has {free / 1e9:,.2f} GB left; make room or go elsewhere."
        )


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when the block ends. Raises RunError where the disk refuses."""
    made = _beside(out)
    try:
        made.mkdir(parents=True)
        yield made
        for path in made.iterdir():
            sync_folder(path)
        sync_folder(made)
        _put(made, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}; nothing was put there.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def copy_files(source: Source, folder: Path, names: Sequence[str]) -> None:
    """Those of these names that there are, byte by byte, and writable whatever they were."""
    for name in names:
        if (found := source.find(name)) is not None:
            shutil.copyfile(found, folder / name)


def write_json(path: Path, value: Any) -> None:
    """In a folder that is not there yet, so that nothing need be atomic."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_tokenizer(source: Source, folder: Path, chat_template: str) -> None:
    """The source's tokenizer as it is, with this chat template in place of any other."""
    copy_files(source, folder, _TOKENIZER)
    if (settings := source.find(_SETTINGS)) is not None:
        write_json(folder / _SETTINGS, {k: v for k, v in read_json(settings).items() if k != "chat_template"})
    (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")


def write_generation_config(base: Source, folder: Path, end_id: int) -> tuple[int, ...]:
    """The base's, with the end of a turn before what else ends a text; these ids."""
    found = base.find("generation_config.json")
    settings = read_json(found) if found else {}
    ends = settings.get("eos_token_id", _end_of_text(read_json(base.get("config.json"))))
    ids = tuple(dict.fromkeys([end_id, *([ends] if isinstance(ends, int) else ends or [])]))
    # else some versions of transformers would make it anew of config.json, without our end
    kept = {name: value for name, value in settings.items() if name != "_from_model_config"}
    write_json(folder / "generation_config.json", kept | {"eos_token_id": list(ids)})
    return ids


def _end_of_text(config: dict[str, Any]) -> Any:
    return config.get("eos_token_id", (config.get("text_config") or {}).get("eos_token_id"))


def _put(made: Path, out: Path) -> None:
    """What was at the place goes only when the new is there."""
    if not out.exists():
        os.rename(made, out)
    elif not any(out.iterdir()):
        out.rmdir()
        os.rename(made, out)
    else:
        old = _beside(out)
        os.rename(out, old)
        try:
            os.rename(made, out)
        except OSError:
            os.rename(old, out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(out.parent)


def _beside(out: Path) -> Path:
    return out.with_name(UNFINISHED.replace("*", secrets.token_hex(6)))
