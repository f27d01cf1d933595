"""The files of a checkpoint: tensors written one by one, and a state.json that vouches for the content of all of them.

    step-0000100/
        weights.safetensors     of a sharded run: weights-RANK-of-N.safetensors, one for each rank
        optimizer.safetensors   the same
        state.json              step, the caller's state, size and sha256 of each file, and a sha256 of all this

Departure from the library's `save_file`: that takes every tensor to the CPU before it writes the first.

Source: the format's description, https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pluralign.errors import RunError
from pluralign.files import UNFINISHED, hash_file

__all__ = [
    "DTYPES",
    "MANIFEST",
    "FileRecord",
    "Manifest",
    "checkpoint_folder",
    "checkpoint_folders",
    "discard",
    "file_names",
    "find_fault",
    "old_folder",
    "read_manifest",
    "write_json",
    "write_manifest",
    "write_tensors",
]

MANIFEST = "state.json"
FORMAT = 1
"""Version of what is described above."""
DTYPES = {
    **{torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"},
    **{torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"},
}
"""Kinds of numbers that can be saved, by the names that safetensors has for them."""
_NAME = re.compile(r"step-(\d{7,})(\.old)?")
_BLOCK = 16 << 20
"""Bytes that are hashed and written at a time."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file must be to count as whole."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What state.json says."""

    step: int
    state: dict[str, Any]
    """The caller's, JSON values."""
    sharded: bool
    n_ranks: int
    """Those that the checkpoint was saved by; where nothing is sharded, their number does not matter."""
    files: Mapping[str, FileRecord]


def file_names(rank: int, n_ranks: int, *, sharded: bool) -> tuple[str, str]:
    """Names of the files of weights and of the optimiser that this rank saves, or restores.

    >>> file_names(0, 2, sharded=True)
    ('weights-0-of-2.safetensors', 'optimizer-0-of-2.safetensors')
    """
    whose = f"-{rank}-of-{n_ranks}" if sharded else ""
    return f"weights{whose}.safetensors", f"optimizer{whose}.safetensors"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> FileRecord:
    """A new safetensors file that lies on the disk when this returns; one tensor at a time is copied to the CPU, if any.

    Raises OSError where the disk refuses, RunError for kinds of numbers that the format does not have.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
            raise RunError(
                f"{path.name}: {name} is {tensor.dtype}, {tensor.layout}; checkpoints hold dense tensors of "
                f"{', '.join(DTYPES.values())}. Train it in another type, or freeze it."
            )
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # wide numbers first: all are then aligned
    fields, end = {}, 0
    for name in names:
        begin, end = end, end + tensors[name].numel() * tensors[name].itemsize
        fields[name] = {"dtype": DTYPES[tensors[name].dtype], "shape": [*tensors[name].shape], "data_offsets": [begin, end]}
    header = json.dumps(fields, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    head = len(header).to_bytes(8, "little") + header
    return _write(path, itertools.chain([memoryview(head)], *(_blocks(tensors[name]) for name in names)))


def write_json(path: Path, value: Any) -> None:
    """In a folder that is not there yet, so that nothing need be atomic. Raises OSError where the disk refuses."""
    _write(path, [memoryview((json.dumps(value, allow_nan=False, indent=1) + "\n").encode())])


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """state.json, of a state that is JSON. Raises OSError where the disk refuses."""
    content = {"format": FORMAT, **asdict(manifest), "files": {name: asdict(one) for name, one in manifest.files.items()}}
    content = json.loads(json.dumps(content))  # keys are text from here on, as they are when it is read
    write_json(folder / MANIFEST, {**content, "sha256": _digest(content)})


def read_manifest(folder: Path) -> Manifest:
    """Raises RunError, whose message begins with the file's name, for one that is missing, altered or of another format."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        said = content.pop("sha256")
    except FileNotFoundError as error:
        raise RunError(f"{MANIFEST} is missing") from error
    except OSError as error:
        raise RunError(f"{MANIFEST} cannot be read ({error.strerror or error})") from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise RunError(f"{MANIFEST} is damaged: it is not the JSON that was written") from error
    if said != _digest(content):
        raise RunError(f"{MANIFEST} is damaged: its sha256 is not what was written")
    if content.pop("format") != FORMAT:
        raise RunError(f"{MANIFEST} is of another format than {FORMAT}, which this version reads")
    return Manifest(**{**content, "files": {name: FileRecord(**one) for name, one in content["files"].items()}})


def find_fault(folder: Path, step: int, *, content: bool = True) -> str | None:
    """Why a checkpoint is not whole; None if it is. Without `content` only sizes are looked at, which is quick."""
    try:
        manifest = read_manifest(folder)
        if manifest.step != step:
            return f"{MANIFEST} is of step {manifest.step}: the folder was renamed"
        for name, record in manifest.files.items():
            path = folder / name
            if (n_bytes := path.stat().st_size) != record.n_bytes:
                return f"{name} has {n_bytes:,} bytes where {record.n_bytes:,} were written"
            if content and hash_file(path) != record.sha256:
                return f"{name} is damaged: its sha256 is not what was written"
    except RunError as error:
        return str(error)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read ({error.strerror or error})"
    return None


def checkpoint_folder(root: Path, step: int) -> Path:
    """Where the checkpoint of this step is, or will be."""
    return root / f"step-{step:07d}"


def old_folder(root: Path, step: int) -> Path:
    """Where the checkpoint of this step is while another one of the same step takes its place."""
    return root / f"step-{step:07d}.old"


def checkpoint_folders(root: Path) -> list[tuple[int, Path]]:
    """Step and folder of each checkpoint, whole or not, the newest first."""
    found = [(match, path) for path in root.glob("step-*") if (match := _NAME.fullmatch(path.name))]
    found.sort(key=lambda one: (-int(one[0][1]), one[0][2] is not None))
    return [(int(match[1]), path) for match, path in found]


def discard(folder: Path) -> None:
    """Removes a checkpoint; renamed first, since a kill may come while its files are removed."""
    doomed = folder.with_name(UNFINISHED.replace("*", secrets.token_hex(6)))
    os.rename(folder, doomed)
    shutil.rmtree(doomed)


def _blocks(tensor: Tensor) -> Iterator[memoryview]:
    """A tensor's numbers as bytes; it is fetched from its device only when the first are asked for."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy()
    yield from (flat[at : at + _BLOCK].data for at in range(0, len(flat), _BLOCK))


def _write(path: Path, blocks: Iterable[memoryview]) -> FileRecord:
    digest, n_bytes = hashlib.sha256(), 0
    with path.open("xb") as file:
        for block in blocks:
            digest.update(block)
            n_bytes += file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return FileRecord(n_bytes, digest.hexdigest())


def _digest(content: Mapping[str, Any]) -> str:
    """Of the values, however they are laid out as text."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
