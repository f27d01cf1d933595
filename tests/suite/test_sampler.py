"""The sampler, and the faults of the published one that it does not repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from pluralign.episodes import Episode, Example
from pluralign.suite.sampler import MOST_OUTPUTS, chosen_units, draw_episodes
from pluralign.suite.task import Around, Strand, Task, json_text

POOL = [Example(str(n)) for n in range(40)]


def _task(strands: Iterable[Strand], share: float = 0.8) -> Task:
    made = list(strands)
    return Task(name="t", kind="text", split="train", strands=lambda data, seed: made, description_share=share)


def _draw(*strands: Strand, seed: int = 0, share: float | None = None) -> list[Episode]:
    return list(draw_episodes(_task(strands), strands, seed=seed, description_share=share))


def _outputs(episode: Episode) -> list[str]:
    return [example.output for example in episode.examples]


def test_a_pool_is_drawn_without_replacement() -> None:
    [episode] = _draw(Strand(unit="u", examples=POOL))
    assert sorted(_outputs(episode), key=int) == [e.output for e in POOL]
    assert _outputs(episode) != [e.output for e in POOL]
    [few] = _draw(Strand(unit="u", examples=POOL, n_outputs=7))
    assert len(set(_outputs(few))) == 7


def test_no_two_strands_or_episodes_share_their_draws() -> None:
    """Fault 1: 499 of 500 published sequences were the same, since each reseeded one global generator."""

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        return [Example(str(value)) for value in rng.poisson(1000, n)]

    strands = [Strand(unit=str(n), examples=law, n_outputs=20, n_episodes=2) for n in range(250)]
    drawn = {tuple(_outputs(episode)) for episode in _draw(*strands)}
    assert len(drawn) == 500


def test_what_is_drawn_depends_on_nothing_else() -> None:
    a, b = (Strand(unit=name, examples=POOL, n_outputs=Around(6), descriptions=("x", "y"), n_episodes=3) for name in "ab")
    assert _draw(a, b)[3:] == _draw(b) == _draw(b, a)[:3]
    assert _draw(a) != _draw(a, seed=1)
    longer = Strand(unit="a", examples=POOL, n_outputs=Around(6), descriptions=("x", "y"), n_episodes=5)
    assert _draw(longer)[:3] == _draw(a)


def test_everything_is_used_once_in_each_permutation() -> None:
    strand = Strand(unit="u", examples=POOL, n_outputs=Around(6), n_episodes=None, n_permutations=3)
    drawn = [output for episode in _draw(strand) for output in _outputs(episode)]
    for start in (0, 40, 80):
        assert sorted(drawn[start : start + 40], key=int) == [e.output for e in POOL]
    assert drawn[:40] != drawn[40:80]
    capped = Strand(unit="u", examples=POOL, n_outputs=Around(6), n_episodes=None, n_permutations=3, max_total=50)
    assert sum(len(episode.examples) for episode in _draw(capped)) == 50


def test_descriptions_are_shown_with_the_tasks_share() -> None:
    """Fault 2: a misspelt keyword left them at 0.6. 3,000 episodes at .8: within four standard errors."""
    strand = Strand(unit="u", examples=POOL, n_outputs=1, descriptions=("x", "y", "z"), n_episodes=3000)
    shown = Counter(episode.description for episode in _draw(strand))
    assert abs(1 - shown[None] / 3000 - 0.8) < 4 * (0.16 / 3000) ** 0.5
    assert all(abs(shown[text] / 3000 - 0.8 / 3) < 0.033 for text in "xyz")
    assert None not in {episode.description for episode in _draw(strand, share=1.0)}


def test_weighted_draws_have_the_law_of_draws_without_replacement() -> None:
    """Weights 1, 2, 5: first 5/8 of the time the last; then, if it was, the second twice as often as the first."""
    pool = [Example(text) for text in "abc"]
    strand = Strand(unit="u", examples=pool, weights=np.array([1.0, 2.0, 5.0]), n_outputs=2, n_episodes=8000)
    orders = Counter("".join(_outputs(episode)) for episode in _draw(strand))
    for order, share in {"cb": 5 / 8 * 2 / 3, "ca": 5 / 8 / 3, "bc": 2 / 8 * 5 / 6, "ab": 1 / 8 * 2 / 7}.items():
        assert abs(orders[order] / 8000 - share) < 4 * (share * (1 - share) / 8000) ** 0.5


def test_lengths_have_the_stated_mean_and_an_end() -> None:
    """Geometric(2 / m) + Poisson(m / 2): mean m, variance (1 - p) / p^2 + m / 2 with p = 2 / m."""
    rng = np.random.default_rng(0)
    drawn = np.array([Around(64).draw(rng) for _ in range(20_000)])
    variance = (1 - 1 / 32) * 32**2 + 32
    assert abs(drawn.mean() - 64) < 4 * (variance / 20_000) ** 0.5
    assert drawn.min() >= 1
    many = Strand(unit="u", examples=lambda rng, n: [Example("x")] * n)
    assert len(_draw(many)[0].examples) == MOST_OUTPUTS


def test_people_are_chosen_at_random_and_for_good() -> None:
    people = {f"p{n}": n for n in range(1000)}
    chosen = chosen_units(0, "t", people, 100)
    assert len(chosen) == 100
    assert np.mean(list(chosen.values())) > 300, "not the first hundred of the file"
    assert list(chosen.values()) == sorted(chosen.values()), "in the order of the file"
    fewer = {unit: n for unit, n in people.items() if n % 2}
    assert set(chosen) & set(fewer) <= set(chosen_units(0, "t", fewer, 100)), "who is left has the same chance as before"
    assert chosen_units(0, "t", people, 5000) == people


def test_numbers_and_missing_values_are_plain_text() -> None:
    """Fault 9: np.int64(3), nan and None in the text."""
    assert json_text(a=3, b=None, c=float("nan"), d="é") == '{"a": 3, "d": "é"}'
