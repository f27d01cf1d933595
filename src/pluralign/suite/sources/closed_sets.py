"""Requests with many right answers that need no file: numbers, primes, states, weekdays, addresses, telephone numbers.

Departures: the published one- or two-letter codes of the weekdays are not known to us; here they are M, Tu, W, Th, F, Sa, Su.
Primes are decided by a proof below a limit of 25 digits, beyond which no number counts; a request says in what form the answer
is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable

from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.lists import STATES, WEEKDAY_CODES, WEEKDAYS, in_three_cases
from pluralign.suite.validators import (
    Validator,
    is_email,
    is_international_phone_number,
    is_prime,
    is_prime_number,
    is_professional_email,
    is_us_phone_number,
    one_of,
    whole_number,
)

__all__ = ["SOURCE"]

Texts = tuple[str, ...]

_SHORT = tuple(form for day in WEEKDAYS for form in (day[:3], f"{day[:3]}.", day[:3].upper()))
_FULL = tuple(form for day in WEEKDAYS for form in in_three_cases(day))
CARD = Card(
    name="closed_sets",
    what="Requests with many valid answers, which a list or a rule tells from the others.",
    citation="Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084)",
    licence="none needed: made here",
    access=Simulated(),
    ran_on_real_file=True,
    unit="request",
    problems=(
        "weekdays, primes below 100 and the integers to 10 and to 100 are also lists of the training task diffuse_distribution",
        "an address or telephone number that is valid here need not exist",
    ),
)


def _task(
    name: str,
    about: str,
    description: str,
    examples: tuple[str, str, str],
    max_tokens: int,
    *,
    closed: Iterable[str] | None = None,
    rule: Validator | None = None,
) -> CoverageTask:
    """The answers are all of `closed`, or else those that obey the rule."""
    listed = None if closed is None else tuple(closed)
    is_valid = rule or one_of(listed or ())
    coverage = Coverage(description=description, examples=examples, is_valid=is_valid, closed=listed)
    return CoverageTask(name=name, about=about, make=lambda loaded: coverage, max_tokens=max_tokens)


_NUMBERS = (
    _task(
        "rng_1_10",
        "a whole number from 1 to 10",
        "A whole number from 1 to 10, picked at random. Only the number, in digits.",
        ("3", "7", "10"),
        4,
        closed=map(str, range(1, 11)),
    ),
    _task(
        "rng_1_100",
        "a whole number from 1 to 100",
        "A whole number from 1 to 100, picked at random. Only the number, in digits.",
        ("35", "94", "71"),
        4,
        closed=map(str, range(1, 101)),
    ),
    _task(
        "random_seed",
        "a seed for a random generator",
        "A seed for a random number generator: a whole number, at least 0 and below 2^32. Only the number, in digits.",
        ("15", "420", "8392013"),
        4,
        rule=whole_number(0, 2**32 - 1),
    ),
    _task(
        "prime_numbers",
        "a prime number",
        "A prime number. Only the number, in digits without separators.",
        ("617", "13", "47"),
        10,
        rule=is_prime_number,
    ),
    _task(
        "small_prime_numbers",
        "a prime number below 100",
        "A prime number below 100. Only the number, in digits.",
        ("29", "5", "97"),
        5,
        closed=(str(n) for n in range(100) if is_prime(n)),
    ),
)
_NAMES = (
    _task(
        "us_states_full_names",
        "a state of the United States",
        "A state of the United States. Only its full name.",
        ("Oregon", "New Mexico", "Vermont"),
        15,
        closed=STATES,
    ),
    _task(
        "us_states_abbreviations",
        "the two letters of a state of the United States",
        "A state of the United States. Only its postal abbreviation, two capital letters.",
        ("OR", "NM", "VT"),
        5,
        closed=STATES.values(),
    ),
    _task(
        "us_states_any_format",
        "a state of the United States, as a name or two letters",
        "A state of the United States: its full name or its two-letter postal abbreviation, nothing else.",
        ("Oregon", "NM", "Vermont"),
        15,
        closed=(*STATES, *STATES.values()),
    ),
    _task(
        "weekdays_full",
        "a day of the week",
        "A day of the week: its full name, nothing else.",
        ("Thursday", "monday", "SUNDAY"),
        10,
        closed=_FULL,
    ),
    _task(
        "weekdays_abbreviated",
        "a day of the week in three letters",
        "A day of the week: its abbreviation to three letters, nothing else.",
        ("Thu", "Wed.", "SUN"),
        5,
        closed=_SHORT,
    ),
    _task(
        "weekdays_any_format",
        "a day of the week, whole or abbreviated",
        "A day of the week: its full name or an abbreviation, nothing else.",
        ("Thursday", "Wed.", "Su"),
        10,
        closed=(*_FULL, *_SHORT, *WEEKDAY_CODES),
    ),
)
_CONTACTS = (
    _task(
        "basic_emails",
        "an email address",
        "An invented email address. Only the address.",
        ("lena.moor@posteo.net", "kite_flyer77@mail.co.uk", "j+news@river-valley.org"),
        40,
        rule=is_email,
    ),
    _task(
        "professional_emails",
        "an email address for work",
        "An invented email address of someone at work, with a domain that ends in .com, .org, .edu or .gov. Only the address.",
        ("r.okafor@hartmann-tools.com", "admissions@lakeside.edu", "maria.lind@seedbank.org"),
        40,
        rule=is_professional_email,
    ),
    _task(
        "us_phone_numbers",
        "a telephone number of the United States",
        "An invented telephone number of the United States: ten digits, without a country code. Only the number.",
        ("503-555-0142", "(212) 555-0187", "312 555 0119"),
        20,
        rule=is_us_phone_number,
    ),
    _task(
        "international_phone_numbers",
        "a telephone number with its country code",
        "An invented telephone number of any country, with + and the country code first. Only the number.",
        ("+44 20 7946 0958", "+1-503-555-0142", "+493055501234"),
        25,
        rule=is_international_phone_number,
    ),
)

SOURCE = Source(CARD, lambda folder: None, evaluations=(*_NUMBERS, *_NAMES, *_CONTACTS))
