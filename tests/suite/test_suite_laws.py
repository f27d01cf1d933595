"""The outputs of each parametric task against the law that its strand's attributes name: 100,000 draws, fixed seeds."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from pluralign.suite import task
from pluralign.suite.numbers import SHARES
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.sources.flight import FEATURES
from pluralign.suite.task import Strand

N_DRAWS = 100_000
N_STRANDS = 3
LEAST_P = 1e-4
FloatArray = npt.NDArray[np.float64]


def _strands(name: str, n: int = N_STRANDS) -> list[Strand]:
    return list(itertools.islice(task(name).strands(None, 0), n))


def _outputs(strand: Strand, n: int = N_DRAWS, seed: int = 1) -> list[str]:
    assert callable(strand.examples)
    return [example.output for example in strand.examples(np.random.default_rng(seed), n)]


def _fit_p(counts: FloatArray, shares: FloatArray) -> float:
    """P-value of Pearson's chi-square; neighbours are taken together until ten draws are expected of each."""
    expected = shares * counts.sum()
    seen, wanted = [0.0], [0.0]
    for count, mean in zip(counts, expected, strict=True):
        seen[-1] += count
        wanted[-1] += mean
        if wanted[-1] >= 10:
            seen.append(0.0)
            wanted.append(0.0)
    if len(seen) > 1:
        seen[-2] += seen.pop()
        wanted[-2] += wanted.pop()
    if len(seen) == 1:
        return 1.0 if seen == wanted else 0.0
    wanted_all = np.array(wanted) * sum(seen) / sum(wanted)
    return float(stats.chisquare(seen, wanted_all).pvalue)


def _integer_p(values: npt.NDArray[np.int64], law: Any) -> float:
    """Of whole numbers against a distribution of scipy."""
    last = max(int(values.max()), int(law.ppf(1 - 1e-7)))
    grid = np.arange(last + 1)
    shares = law.pmf(grid)
    return _fit_p(np.bincount(values, minlength=last + 1).astype(float), np.append(shares[:-1], law.sf(last - 1)))


def _shares(attributes: Any) -> FloatArray:
    return np.array(list(json.loads(attributes["probabilities"]).values()))


INTEGER_LAWS: dict[str, Callable[[Any], Any]] = {
    "poisson": lambda a: stats.poisson(a["mean"]),
    "geometric": lambda a: stats.geom(a["p"]),
    "geometric_beta": lambda a: stats.geom(a["p"]),
    "binomial": lambda a: stats.binom(a["trials"], a["p"]),
    "negative_binomial": lambda a: stats.nbinom(a["r"], a["p"]),
    "hypergeometric": lambda a: stats.hypergeom(a["population"], a["successes"], a["drawn"]),
    "zipfian": lambda a: stats.zipfian(a["exponent"], a["last"]),
    "categorical": lambda a: stats.rv_discrete(values=(np.arange(len(_shares(a))), _shares(a))),
}


@pytest.mark.parametrize("name", INTEGER_LAWS)
def test_whole_numbers_have_their_law(name: str) -> None:
    for strand in _strands(name):
        values = np.array(_outputs(strand), dtype=np.int64)
        assert _integer_p(values, INTEGER_LAWS[name](strand.attributes)) > LEAST_P, strand.attributes


def test_the_test_of_a_law_can_fail() -> None:
    values = np.random.default_rng(0).poisson(20, N_DRAWS)
    assert _integer_p(values, stats.poisson(20)) > LEAST_P
    assert _integer_p(values, stats.poisson(20.2)) < 1e-6


class _EveryShare:
    """In place of a generator: each of the SHARES whole numbers once."""

    def integers(self, high: int, *, size: int) -> npt.NDArray[np.int64]:
        assert high == size == SHARES
        return np.arange(high)


def test_categories_have_exactly_the_shares_that_are_stated() -> None:
    for strand in _strands("categorical"):
        assert callable(strand.examples)
        seen = Counter(int(e.output) for e in strand.examples(_EveryShare(), SHARES))  # type: ignore[arg-type]
        stated = _shares(strand.attributes)
        assert [seen[k] / SHARES for k in range(len(stated))] == stated.tolist()


def test_coins_have_their_chance() -> None:
    for strand in _strands("coinflip", 5):
        seen = Counter(_outputs(strand))
        assert set(seen) == {"Heads", "Tails"}
        assert stats.binomtest(seen["Heads"], N_DRAWS, strand.attributes["p_heads"]).pvalue > LEAST_P


def test_normal_draws_have_their_law_and_their_decimals() -> None:
    wide = [s for s in _strands("normal", 40) if s.attributes["sd"] * 10 ** s.attributes["decimals"] > 10_000]
    assert len(wide) > 5
    for strand in wide[:5]:
        texts = _outputs(strand)
        assert {len(text.partition(".")[2]) for text in texts} == {strand.attributes["decimals"]}
        law = stats.norm(strand.attributes["mean"], strand.attributes["sd"])
        assert stats.kstest(np.array(texts, dtype=float), law.cdf).pvalue > LEAST_P


def test_multinomial_counts_have_their_law() -> None:
    """Each category alone, two together, and all draws pooled, which is a multinomial of n times as many."""
    for number, strand in enumerate(_strands("multinomial")):
        rows = [json.loads(text) for text in _outputs(strand, N_DRAWS if number == 0 else 5000)]
        counts = np.array([list(row.values()) if isinstance(row, dict) else row for row in rows], dtype=np.int64)
        shares, n = _shares(strand.attributes), strand.attributes["n"]
        assert set(counts.sum(axis=1)) == {n}
        assert _fit_p(counts.sum(axis=0).astype(float), shares) > LEAST_P
        a, b = np.argsort(shares)[-2:]
        assert _integer_p(counts[:, a], stats.binom(n, shares[a])) > LEAST_P
        assert _integer_p(counts[:, a] + counts[:, b], stats.binom(n, shares[a] + shares[b])) > LEAST_P


def test_both_forms_of_multinomial_counts_come() -> None:
    forms = Counter(type(json.loads(_outputs(strand, 1)[0])) for strand in _strands("multinomial", 500))
    assert set(forms) == {dict, list}
    assert stats.binomtest(forms[dict], 500, 0.5).pvalue > LEAST_P


def test_every_order_of_the_pack_is_as_likely() -> None:
    """Of 4,000 packs the place of one card, and which card lies on top."""
    [strand] = _strands("cards")
    assert len({example.output for example in strand.examples}) == 52  # type: ignore[union-attr]
    [strand] = [Strand(unit=strand.unit, examples=strand.examples, n_episodes=4000)]
    packs = [[e.output for e in episode.examples] for episode in draw_episodes(task("cards"), [strand], seed=3)]
    assert all(len(set(pack)) == 52 for pack in packs)
    top = Counter(pack[0] for pack in packs)
    places = Counter(pack.index("A♠") for pack in packs)
    for seen in (top, places):
        assert stats.chisquare(list(seen.values())).pvalue > LEAST_P
        assert len(seen) == 52


def test_travellers_take_the_flight_of_the_largest_sum() -> None:
    """From the text of the offers back to features: the choice is theirs wherever rounding to minutes leaves no doubt."""
    sure = 0
    for strand in _strands("flight", 20):
        weights = [strand.attributes[f"weight_{name}"] for name in FEATURES]
        assert callable(strand.examples)
        for example in strand.examples(np.random.default_rng(0), 50):
            sums = [float(np.dot(weights, _features(line))) for line in str(example.input).splitlines()]
            ranked = sorted(sums, reverse=True)
            if ranked[0] - ranked[1] > 0.02:
                sure += 1
                assert example.output == str(int(np.argmax(sums)) + 1)
    assert sure > 700


def _features(line: str) -> list[float]:
    _, leaves, takes, stops, price = line.replace(": departs", ",", 1).split(", ")
    clock, half = leaves.split()
    hour, minute = (int(part) for part in clock.split(":"))
    minutes = (hour % 12 + 12 * (half == "PM")) * 60 + minute
    hours, mins = int(takes.split()[1]), int(takes.split()[3])
    n_stops = 0 if stops == "nonstop" else int(stops.split()[0])
    return [
        ((minutes or 1440) - 300) / 1140,
        (hours * 60 + mins - 45) / 915,
        (int(price.removeprefix("$")) - 500) / 1450,
        n_stops / 2,
    ]


# parameters


def _uniform(low: float, high: float) -> Callable[[Any], Any]:
    return stats.uniform(low, high - low).cdf


PARAMETER_LAWS = {
    ("poisson", "mean"): stats.gamma(0.5, scale=2000).cdf,
    ("coinflip", "p_heads"): _uniform(0, 1),
    ("geometric", "p"): _uniform(0, 1),
    ("geometric_beta", "p"): _uniform(0, 1),
    ("binomial", "p"): _uniform(0, 1),
    ("negative_binomial", "r"): _uniform(0, 1),
    ("negative_binomial", "p"): _uniform(0, 1),
    ("zipfian", "exponent"): _uniform(1, 2.5),
}


@pytest.mark.parametrize(("name", "parameter"), PARAMETER_LAWS)
def test_parameters_have_their_law(name: str, parameter: str) -> None:
    values = np.array([strand.attributes[parameter] for strand in _strands(name, 1000)], dtype=float)
    assert stats.kstest(values, PARAMETER_LAWS[name, parameter]).pvalue > LEAST_P


def test_normal_parameters_come_from_three_ranges() -> None:
    """One in ten has a negative mean (a fifth gets a sign, half of them minus); widths span more than e^20."""
    strands = _strands("normal", 1000)
    negative = sum(strand.attributes["mean"] < 0 for strand in strands)
    assert stats.binomtest(negative, 1000, 0.1).pvalue > LEAST_P
    sizes = np.log([strand.attributes["sd"] for strand in strands if strand.attributes["sd"]])
    assert sizes.min() < -9
    assert sizes.max() > 11


def test_numbers_of_categories_and_populations_have_their_mean() -> None:
    """Around(m): variance (1 - 2/m) m^2 / 4 + m / 2; one category in 2,400 draws becomes two; four standard errors."""
    assert abs(np.mean([len(_shares(s.attributes)) for s in _strands("categorical", 500)]) - 12) < 4 * (36 / 500) ** 0.5
    assert abs(np.mean([s.attributes["population"] for s in _strands("hypergeometric", 500)]) - 128) < 4 * (4096 / 500) ** 0.5
    assert abs(np.mean([s.attributes["n"] for s in _strands("multinomial", 500)]) - 32) < 4 * (256 / 500) ** 0.5
    assert abs(np.mean([s.attributes["trials"] for s in _strands("binomial", 500)]) - 1024) < 4 * (262_144 / 500) ** 0.5


def test_weights_of_travellers_are_never_all_zero_and_never_one() -> None:
    values = Counter(tuple(strand.attributes.values()) for strand in _strands("flight", 200))
    assert (0, 0, 0, 0) not in values
    assert {weight for weights in values for weight in weights} == {-1, -0.5, 0, 0.5}
