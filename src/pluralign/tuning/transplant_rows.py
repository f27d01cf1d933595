"""Rows of the tensors in safetensors files, read and written in place: no tensor is ever held whole.

    file     | 8 bytes: n | n bytes: header, as JSON | tensors, one behind the other |
    header   {name: {"dtype": "BF16", "shape": [rows, width], "data_offsets": [begin, end]}}, counted from the header's end

Source: the format's description, https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import ModelError

__all__ = ["Rows", "Tensor", "decode", "encode", "read_header", "read_rows", "same_content", "write_rows"]

Rows = npt.NDArray[np.uint8]
"""As they are in the file: [rows, bytes of a row]."""
Values = npt.NDArray[np.float64]

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Kinds of numbers that rows can be in; a bfloat16 is the upper half of a float32."""
_MOST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where in which file a tensor is. A vector counts as rows of one number each."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """First byte, from the beginning of the file."""
    n_bytes: int

    @property
    def n_rows(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        return self.n_bytes // self.n_rows


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of the file by name. Raises ModelError for what is no safetensors file, or not all of one."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            n = int.from_bytes(file.read(8), "little")
            if n > min(size, _MOST_HEADER):
                raise ValueError(n)
            fields = json.loads(file.read(n))
        found = {name: _tensor(path, name, 8 + n, of) for name, of in fields.items() if name != "__metadata__"}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: this is no safetensors file, or only a part of one; get it again.") from error
    end = max((one.begin + one.n_bytes for one in found.values()), default=8 + n)
    if end != size:
        raise ModelError(f"{path}: has {size:,} bytes where its header says {end:,}; get it again.")
    return found


def _tensor(path: Path, name: str, start: int, fields: dict[str, Any]) -> Tensor:
    shape = tuple(map(int, fields["shape"]))
    begin, end = map(int, fields["data_offsets"])
    dtype = str(fields["dtype"])
    if dtype in _NUMPY and end - begin != math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize:
        raise ValueError(name)
    return Tensor(path, name, dtype, shape, start + begin, end - begin)


def read_rows(tensor: Tensor, ids: Sequence[int]) -> Rows:
    """The rows of these numbers, which exist. Raises ModelError for a tensor whose rows are packed or of small numbers."""
    if tensor.dtype not in _NUMPY:
        raise ModelError(
            f"{tensor.path}: {tensor.name} is in {tensor.dtype}; rows are copied in {', '.join(_NUMPY)}. Give a "
            "checkpoint that is not quantised."
        )
    found = np.empty((len(ids), tensor.row_bytes), dtype=np.uint8)
    with tensor.path.open("rb") as file:
        for n, number in enumerate(ids):
            file.seek(tensor.begin + number * tensor.row_bytes)
            found[n] = np.frombuffer(file.read(tensor.row_bytes), dtype=np.uint8)
    return found


def write_rows(tensor: Tensor, ids: Sequence[int], rows: Rows) -> None:
    """Puts rows in place of those of these numbers; nothing else of the file changes."""
    with tensor.path.open("r+b") as file:
        for number, row in zip(ids, rows, strict=True):
            file.seek(tensor.begin + number * tensor.row_bytes)
            file.write(row.tobytes())


def decode(rows: Rows, dtype: str) -> Values:
    """[rows, width]"""
    numbers = np.ascontiguousarray(rows).view(_NUMPY[dtype])
    if dtype == "BF16":
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float64)


def encode(values: Values, dtype: str) -> Rows:
    """The inverse of `decode`, each number rounded to the nearest, ties to even; infinite where it is beyond the range."""
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32 if dtype == "BF16" else _NUMPY[dtype])
    if dtype == "BF16":
        bits = np.ascontiguousarray(numbers).view(np.uint32)
        numbers = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(_NUMPY[dtype])
    return np.ascontiguousarray(numbers).view(np.uint8)


def same_content(one: Tensor, other: Tensor) -> bool:
    """Whether the two hold the same bytes, read a block at a time."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    with one.path.open("rb") as first, other.path.open("rb") as second:
        first.seek(one.begin)
        second.seek(other.begin)
        for done in range(0, one.n_bytes, _BLOCK):
            n = min(_BLOCK, one.n_bytes - done)
            if first.read(n) != second.read(n):
                return False
    return True
