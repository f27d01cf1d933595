"""Commands over the answers that are remembered: cache stats, cache clear."""

from __future__ import annotations

import time
from dataclasses import asdict

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_json

__all__ = ["clear", "stats"]

_OUTPUT = OutputFlags()


def stats(*, output: OutputFlags = _OUTPUT) -> None:
    """Show how many answers are remembered, of which models, how old they are, and where."""
    from pluralign.models.cache import ResponseCache
    from pluralign.terminal import printable

    with ResponseCache() as cache:
        found = cache.stats()
    if output.json:
        print_json(asdict(found))
        return
    print(f"{found.path}: {found.entries:,} answers, {found.bytes / 1e6:,.1f} MB")
    for one in found.models:
        name, size = printable(one.model) or "(no name)", one.bytes / 1e6
        ages = f"the newest {_age(one.newest)} old, the oldest {_age(one.oldest)}"
        print(f"  {name}: {one.entries:,} answers, {size:,.1f} MB, {ages}")


def clear(*, model: str | None = None, output: OutputFlags = _OUTPUT) -> None:
    """Forget the answers of one model, or all. What they cost is paid again when they are asked for again.

    Parameters
    ----------
    model
        Forget only this model's, named as in `pluralign cache stats`.
    """
    from pluralign.models.cache import ResponseCache

    with ResponseCache() as cache:
        n = cache.clear(model)
        path = str(cache.path)
    if output.json:
        print_json({"path": path, "model": model, "removed": n})
    else:
        print(f"{path}: {n:,} answers removed")


def _age(then: float) -> str:
    seconds = max(0.0, time.time() - then)
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
