"""The explorer as one public function: a small service on this machine, over models that are opened by their names.

>>> from pluralign.serving import serve
>>> serve("embedded", port=8000)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.errors import DataError, UsageError
from pluralign.models import ModelSettings, open_model

if TYPE_CHECKING:
    from pluralign.models.cache import ResponseCache
    from pluralign.ratings import Ratings
    from pluralign.ratings.readers import ReadOptions
    from pluralign.values.setup import SystemSettings
    from pluralign.web.backend import Rater
    from pluralign.web.backends import ModelBackend

__all__ = ["model_backend", "serve"]

N_EMBEDDED_RATERS = 20
N_EXAMPLES = 6


def serve(
    model: str = "embedded",
    *,
    decoder: str | None = None,
    ratings: str | os.PathLike[str] | None = None,
    read: ReadOptions | None = None,
    profiles: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    most_waiting: int = 64,
    settings: ModelSettings | None = None,
    system: SystemSettings | None = None,
    cache: ResponseCache | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serves the explorer until it is interrupted; `on_start` is told the address.

    `decoder` reads value profiles, `model` itself if it is a causal model and none is named. `runs` is a folder whose run
    folders' reports are shown. It listens on loopback unless another `host` is named. Raises UsageError for an address that
    cannot be had, MissingExtraError without the extra `serve`, and what opening models and reading files raises.
    """
    from pluralign.web.app import explorer
    from pluralign.web.serve import bound_socket, server_of

    made = bound_socket(host, port)
    try:
        backend = model_backend(
            model, decoder=decoder, ratings=ratings, read=read, profiles=profiles, settings=settings, system=system, cache=cache
        )
        address, taken = made.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        hosts = sorted({"127.0.0.1", "localhost", "[::1]", shown, host} - {"0.0.0.0", "[::]"})
        names = ["*"] if address in ("0.0.0.0", "::") else hosts
        app = explorer(backend, runs=None if runs is None else Path(runs), hosts=names, most_waiting=most_waiting)
        if on_start is not None:
            on_start(f"http://{shown}:{taken}")
        server_of(app).run(sockets=[made])
    finally:
        made.close()


def model_backend(
    model: str,
    *,
    decoder: str | None = None,
    ratings: str | os.PathLike[str] | None = None,
    read: ReadOptions | None = None,
    profiles: str | os.PathLike[str] | None = None,
    settings: ModelSettings | None = None,
    system: SystemSettings | None = None,
    cache: ResponseCache | None = None,
) -> ModelBackend:
    """What the explorer asks. The embedded model comes with raters of its own world unless `ratings` are given."""
    from pluralign.values.episodes import EpisodeKaleido
    from pluralign.values.kaleido import open_values_model
    from pluralign.values.setup import SystemSettings
    from pluralign.web.backends import ModelBackend

    if profiles is not None and ratings is None:
        raise UsageError("--profiles needs --ratings, for the items that are predicted.")
    is_embedded = model.partition("/")[0] == "embedded"
    opened = open_values_model(model, settings, cache)
    table, raters = _raters(ratings, read, profiles, is_embedded=is_embedded and ratings is None)
    reader = opened.model if isinstance(opened, EpisodeKaleido) else None
    if decoder is not None and decoder != model:
        reader = open_model(decoder, settings)
    return ModelBackend(
        values=opened,
        settings=system or SystemSettings(explain=not is_embedded),
        decoder=None if table is None else reader,
        ratings=table,
        raters=raters,
        examples=_examples() if is_embedded else (),
    )


def _raters(
    ratings: str | os.PathLike[str] | None,
    read: ReadOptions | None,
    profiles: str | os.PathLike[str] | None,
    *,
    is_embedded: bool,
) -> tuple[Ratings | None, Sequence[Rater]]:
    from pluralign.web.backend import Rater

    if is_embedded:
        from pluralign.suite.embedded_world import FIRST_HELD_OUT, simulate_people
        from pluralign.suite.simulated_worlds import profile

        people = simulate_people(FIRST_HELD_OUT, N_EMBEDDED_RATERS)
        ids = people.ratings.rater_ids
        return people.ratings, [Rater(name, profile(people, n)) for n, name in enumerate(ids)]
    if ratings is None:
        return None, ()
    from pluralign.raters.profile_files import read_profiles
    from pluralign.ratings.readers import ReadOptions, read_ratings

    table = read_ratings(Path(ratings), read or ReadOptions())
    texts = {} if profiles is None else {one.rater_id: one.profile or "" for one in read_profiles(profiles, edited=True)}
    known = set(table.rater_ids)
    if unknown := [name for name in texts if name not in known]:
        raise DataError(
            os.fspath(profiles or ""),
            f"{len(unknown)} profiles are of raters that the ratings do not have, e.g. {unknown[0]!r}",
        )
    return table, [Rater(name, texts.get(name, "")) for name in (texts or table.rater_ids)]


def _examples() -> Sequence[str]:
    from pluralign.values.episodes import sample_situations

    return sample_situations(N_EXAMPLES, seed=0)
