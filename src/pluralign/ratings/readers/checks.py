"""JSON from outside against the shape that a format has: every fault at once, each with the place where it stands."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pluralign.ratings.readers.files import raise_faults

__all__ = ["checked"]

T = TypeVar("T")


def checked(shape: TypeAdapter[T], data: Any, where: str) -> T:
    """The data in this shape. Raises DataError that lists every place where they differ."""
    try:
        return shape.validate_python(data)
    except ValidationError as error:
        raise_faults(
            where, (_sentence(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors(include_url=False))
        )
        raise  # not reached: an error has at least one fault


def _sentence(place: tuple[int | str, ...], message: str, value: object) -> str:
    steps = " > ".join(f"number {step + 1}" if isinstance(step, int) else repr(step) for step in place) or "the whole"
    got = repr(value)
    return f"{steps}: {message}, got {got if len(got) <= 60 else got[:57] + '...'}"
