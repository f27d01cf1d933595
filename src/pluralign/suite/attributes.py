"""What is known of a person, from fields that many leave empty; several sources of the hub mark that in the same ways."""

from __future__ import annotations

from typing import TypeGuard

from pluralign.episodes import Attribute

__all__ = ["EMPTY", "is_text", "known_attributes"]

EMPTY = "EMPTY STRING"
"""What some files hold where there is no text."""
_NOT_TOLD = ("prefer not to say", "prefer not to answer")


def is_text(value: object) -> TypeGuard[str]:
    """A text with something in it.

    >>> is_text("Hm?"), is_text("  "), is_text("EMPTY STRING"), is_text(None)
    (True, False, False, False)
    """
    return isinstance(value, str) and bool(value.strip()) and value.strip() != EMPTY


def known_attributes(**fields: object) -> dict[str, Attribute]:
    """Those of the fields that tell something: not missing, not blank, not "Prefer not to say".

    >>> known_attributes(age="18-24", gender="Prefer not to say", country=None)
    {'age': '18-24'}
    """
    return {name: value for name, value in fields.items() if is_text(value) and value.strip().lower() not in _NOT_TOLD}
