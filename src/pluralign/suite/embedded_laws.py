"""Episodes of known laws for the embedded model: the suite's own synthetic sources, many times over, cut short.

The sources, their parameters and their descriptions are those of the suite; here each seed draws all their strands anew, and an
episode shows fewer outputs, as much as a small model's window holds. Seeds below `FIRST_HELD_OUT_SEED` are for training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.suite.registry import read, strands_of, task
from pluralign.suite.sampler import draw_episodes

__all__ = ["DESCRIPTION_SHARE", "FIRST_HELD_OUT_SEED", "LAWS", "OTHER_LAWS", "law_episodes"]

FIRST_HELD_OUT_SEED = 5_000_000
LAWS = {"coinflip": 80, "categorical": 80}
"""Those that are measured, with the number of outputs in an episode."""
OTHER_LAWS = {
    "binomial": 24,
    "geometric": 32,
    "hypergeometric": 24,
    "multinomial": 12,
    "poisson": 32,
    "zipfian": 32,
}
"""Those of which the model sees a little."""
DESCRIPTION_SHARE = 0.5
"""Lower than the suite's: where a description states the chances, nothing is to be told from examples."""


def law_episodes(name: str, seeds: range, *, description_share: float = DESCRIPTION_SHARE) -> Iterator[Episode]:
    """One episode of each strand of this source's task for each seed. Raises UsageError for a name that is none of these."""
    if name not in LAWS | OTHER_LAWS:
        raise UsageError(f"law {nearest_name(name, LAWS | OTHER_LAWS)}")
    drawn = task(name)
    n_outputs = (LAWS | OTHER_LAWS)[name]
    loaded = read(name)
    for seed in seeds:
        strands = (dataclasses.replace(one, n_outputs=n_outputs) for one in strands_of(drawn, loaded, seed))
        for episode in draw_episodes(drawn, strands, seed=seed, description_share=description_share):
            yield dataclasses.replace(episode, task=f"embedded_{name}", unit=f"{seed}/{episode.unit}")
