"""Units of training tasks that are an evaluation's own answers, left out of what is drawn for training unless asked for."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KNOWN", "is_left_out"]

_WEEKDAYS = "lists the days of the week, which weekdays_full and weekdays_any_format ask for"
_PRIMES = "lists prime numbers, which small_prime_numbers and prime_numbers ask for"
_TEN = "lists the whole numbers from 1 to 10, which rng_1_10 asks for"
_HUNDRED = "lists the whole numbers from 1 to 100, which rng_1_100 asks for"

KNOWN: Mapping[str, Mapping[str, str]] = {
    "diffuse_distribution": {
        "day-date/day-0": _WEEKDAYS,
        "day-date/day-1": _WEEKDAYS,
        "numbers/prime-0": _PRIMES,
        "numbers/prime-1": _PRIMES,
        "numbers/rng-0": _TEN,
        "numbers/rng-1": _HUNDRED,
    },
}
"""Training task to its units that are left out, and why. Lists of even or odd numbers are another request, and stay."""


def is_left_out(task: str, unit: str | None) -> str | None:
    """Why a unit of a training task is left out by default; None for all that stay.

    >>> is_left_out("diffuse_distribution", "numbers/rng-0")
    'lists the whole numbers from 1 to 10, which rng_1_10 asks for'
    >>> is_left_out("diffuse_distribution", "fruits/fruit-0") is None
    True
    """
    return None if unit is None else KNOWN.get(task, {}).get(unit)
