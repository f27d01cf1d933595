"""Whether a text is one of the many right answers to a request, such as a prime, a state, a telephone number.

A validator takes any text at all, lone surrogates and megabytes too, says yes or no, never raises, and takes time in proportion
to the text at most. It is strict: nothing before or after the answer, digits 0 to 9 and no other script's, no sign, no leading
zero. A text is as long as it is: lengths are looked at before a pattern is, and no pattern has two ways to match one text.

Departures from the published suite: what its number and telephone patterns took from other scripts, and "+7" for 7, is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "LONGEST",
    "PRIMES_BELOW",
    "SMALL_PRIMES",
    "Validator",
    "is_email",
    "is_international_phone_number",
    "is_prime",
    "is_prime_number",
    "is_professional_email",
    "is_us_phone_number",
    "make_and_model",
    "one_of",
    "one_of_in_any_case",
    "whole_number",
]

Validator = Callable[[str], bool]

LONGEST = 1000
"""Characters; no longer text is any of these answers."""
PRIMES_BELOW = 3_317_044_064_679_887_385_961_981
"""Primality is decided, with proof, below this number; no number from it on is taken for a prime."""
SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)

_NUMBER = re.compile("0|[1-9][0-9]*")
_EMAIL = re.compile(r"([A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*)@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})")
_US_PHONE = re.compile(r"[0-9]{3}-[0-9]{3}-[0-9]{4}|\([0-9]{3}\) [0-9]{3}-[0-9]{4}|[0-9]{3} [0-9]{3} [0-9]{4}")
_PHONE = re.compile(r"\+(?:[0-9]+|[0-9]{1,3}(?:[ -][0-9]+){1,6})")
_PROFESSIONAL = (".com", ".org", ".edu", ".gov")


def one_of(texts: Iterable[str]) -> Validator:
    """Exactly one of these."""
    return frozenset(texts).__contains__


def one_of_in_any_case(texts: Iterable[str]) -> Validator:
    """One of these, whatever the case of its letters; look-alikes of letters, such as the sign of kelvin, are not letters."""
    known = frozenset(unicodedata.normalize("NFC", text).lower() for text in texts)
    return lambda text: _lower(text) in known


def make_and_model(models: Mapping[str, Sequence[str]]) -> Validator:
    """A text that holds a make and one of its models, whatever their case, with anything before, between and after.

    Departure: where a model's name is a part of the make's (Infiniti had an "I"), it has to come outside of the make's.
    """
    known = [(make.lower(), [model.lower() for model in of]) for make, of in models.items()]

    def is_valid(text: str) -> bool:
        low = _lower(text) or ""
        return any(make in low and _has_model(low, make, of) for make, of in known)

    return is_valid


def _has_model(text: str, make: str, models: Sequence[str]) -> bool:
    rest = text.replace(make, "\n", 1)
    return any(model in (rest if model in make else text) for model in models)


def _lower(text: str) -> str | None:
    """In lower case; None for what is too long, or holds characters that stand for others."""
    return text.lower() if len(text) <= LONGEST and unicodedata.is_normalized("NFC", text) else None


def whole_number(low: int, high: int) -> Validator:
    """A whole number of this range, of which `low` is not negative.

    >>> [text for text in ("7", "07", "+7", "7.0", " 7", "٧", "11") if whole_number(1, 10)(text)]
    ['7']
    """
    longest = len(str(high))
    return lambda text: len(text) <= longest and _NUMBER.fullmatch(text) is not None and low <= int(text) <= high


_BELOW_LIMIT = whole_number(2, PRIMES_BELOW - 1)


def is_prime_number(text: str) -> bool:
    """A prime below `PRIMES_BELOW`."""
    return _BELOW_LIMIT(text) and is_prime(int(text))


def is_prime(n: int) -> bool:
    """Whether n, which is below `PRIMES_BELOW`, is prime: Miller and Rabin's test with 13 bases, which decides it.

    Source: Sorenson & Webster 2015, Strong pseudoprimes to twelve prime bases (arXiv 1509.00864): `PRIMES_BELOW` is the least
    composite number that passes with the first 13 primes. Raises ValueError from there on.
    """
    if n >= PRIMES_BELOW:
        raise ValueError(f"{n} is not below {PRIMES_BELOW}")
    if n < 2 or any(n % p == 0 for p in SMALL_PRIMES):
        return n in SMALL_PRIMES
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    return all(_passes(n, base, twos) for base in SMALL_PRIMES)


def _passes(n: int, base: int, twos: int) -> bool:
    """No witness that n, with n - 1 = odd * 2 ** twos, is composite."""
    power = pow(base, (n - 1) >> twos, n)
    if power in (1, n - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % n
        if power == n - 1:
            return True
    return False


def is_email(text: str) -> bool:
    """local@domain.tld: at most 64 characters before the sign, 255 after it; no dot first, last or beside another."""
    found = _EMAIL.fullmatch(text) if len(text) <= LONGEST else None
    return found is not None and len(found.group(1)) <= 64 and len(found.group(2)) <= 255


def is_professional_email(text: str) -> bool:
    """An address whose domain ends in .com, .org, .edu or .gov."""
    return is_email(text) and text.lower().endswith(_PROFESSIONAL)


def is_us_phone_number(text: str) -> bool:
    """ddd-ddd-dddd, (ddd) ddd-dddd or ddd ddd dddd."""
    return len(text) <= LONGEST and _US_PHONE.fullmatch(text) is not None


def is_international_phone_number(text: str) -> bool:
    """+ and 7 to 15 digits, with at most six single spaces or hyphens; the first of them, if any, after 1 to 3 digits."""
    if len(text) > LONGEST or _PHONE.fullmatch(text) is None:
        return False
    return 7 <= sum(character.isdigit() for character in text) <= 15
