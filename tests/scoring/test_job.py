from __future__ import annotations

from pathlib import Path

import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.models import Query, Usage
from pluralign.scoring.job import Asked, _parts, as_questions
from pluralign.scoring.totals import Prices, Totals, totals_lines
from scoring.made_episodes import coins, written


def _asked(episodes: list[Episode]) -> list[Asked]:
    return [Asked(n, episode, Query(episode)) for n, episode in enumerate(episodes)]


def test_parts_have_so_many_requests() -> None:
    asked = _asked(coins(600))
    assert _parts(asked, 1) == [(0, 256), (256, 512), (512, 600)]
    assert _parts(asked[:7], 100) == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert _parts(asked[:3], 1000) == [(0, 1), (1, 2), (2, 3)]


def test_text_that_requests_share_counts_once() -> None:
    """150,000 characters each: two do not fit together, unless the second has them in common with the first."""
    long = "x" * 150_000
    own = [Episode("t", (Example(str(n) + long),)) for n in range(3)]
    assert _parts(_asked(own), 1) == [(0, 1), (1, 2), (2, 3)]
    smaller = [Episode("t", (Example(str(n) + long[:90_000]),)) for n in range(5)]
    assert _parts(_asked(smaller), 1) == [(0, 2), (2, 4), (4, 5)]
    shared = [Episode("t", (Example(str(n)),), description=long) for n in range(50)]
    assert _parts(_asked(shared), 1) == [(0, 50)]


def test_what_is_left_out_is_counted_once(tmp_path: Path) -> None:
    one = (Example("a"),)
    episodes = [Episode("t", one), Episode("t", one, options=("a",)), Episode("t", one * 2), *coins(2)]
    found = as_questions(written(tmp_path, episodes), at="last", need_options=True)
    assert (found.n_nothing_scored, found.n_without_options, [asked.row for asked in found.asked]) == (1, 2, [3, 4])
    free = as_questions(tmp_path / "coins.jsonl", at="last")
    assert (free.n_nothing_scored, free.n_without_options, [asked.row for asked in free.asked]) == (2, 0, [2, 3, 4])
    assert len(as_questions(tmp_path / "coins.jsonl", at="next", limit=3).asked) == 3


def test_costs_by_hand_and_when_they_are_not_known() -> None:
    """2,000,000 tokens in at 3 and 500,000 out at 8: 6 + 4."""
    prices = Prices(3.0, 8.0)
    served = Totals(Usage(prompt_tokens=2_000_000, output_tokens=500_000, requests=7, retries=2), seconds=100.0)
    assert served.cost(prices) == 10.0
    assert served.cost(None) is None
    assert served.tokens_per_second == 25_000
    assert "7 requests, 2 of them sent again" in totals_lines(served, prices)[0]
    assert totals_lines(served, prices)[-1].endswith("10.0000")
    local = Totals(Usage(tokens_needed=100, tokens_computed=120, output_tokens=30), seconds=2.0)
    assert local.cost(prices) is None
    assert local.tokens_per_second == 50
    assert "not known" in totals_lines(local, prices)[-1]
    assert "120 tokens computed for 100 needed (1.20)" in totals_lines(local, prices)[0]
    remembered = Totals(Usage(cached=5), seconds=0.1)
    assert remembered.cost(prices) == 0.0  # nothing was sent
    assert remembered.tokens_per_second is None
    assert Totals(Usage(cached=5, tokens_needed=9, tokens_computed=9)).cost(prices) is None


def test_totals_add_up_and_survive_the_run_folder() -> None:
    a, b = Totals(Usage(requests=1, cached=2), 1.5), Totals(Usage(requests=10), 0.5, 1)
    assert a + b == Totals(Usage(requests=11, cached=2), 2.0, 1)
    assert Totals.from_step(a.to_step()) == a
    assert Totals.from_step(None) == Totals(n_unmeasured=1)
    assert "1 parts took is not known" in totals_lines(b, None)[-1]


@pytest.mark.parametrize("price", [-0.1, float("inf"), float("nan")])
def test_prices_are_checked(price: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        Prices(price, 1.0)
