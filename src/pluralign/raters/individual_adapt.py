"""Tunes a model on raters: their ratings laid out rater by rater as episodes, loss on the ratings (Opt-ICL).

    stage 1   a spectrum-tuned model, such as `pluralign tune` makes
    stage 2   description (what the representation tells of the rater), then the rater's ratings in random order

    OUT/config.json, results.json    the layout, what was left out
    OUT/episodes/train.parquet       and held_out.parquet, of raters who are held out
    OUT/tuned/                       the run folder of `tune`; the model is OUT/tuned/model, opened as hf/OUT/tuned/model

Source: Sorensen & Choi 2025, Opt-ICL (arXiv 2510.07105); decoders of one representation: Sorensen et al. 2025, Value Profiles
(arXiv 2503.15484). Learning rate, batch and context of the first are unknown, those of the second (1 epoch, batch 4, 1e-7, clip
50) were chosen for other sizes of data; ours, `ADAPT_SETTINGS`, are a choice.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralign.episodes import write_episodes
from pluralign.errors import UsageError
from pluralign.models import Template
from pluralign.raters.individual_layout import LaidOut, Layout, keep_words, lay_out
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings
from pluralign.runs import Run, RunConfig
from pluralign.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from pluralign.tuning.spectrum import TunePlaces
    from pluralign.tuning.tune_plan import TunePlan

__all__ = ["ADAPT_SETTINGS", "AdaptPlan", "adapt_model", "plan_adapt_model"]

Tell = Callable[..., None]

ADAPT_SETTINGS = TuneSettings(lr=1e-5, sequences_a_step=16, epochs=2.0)
"""Where nothing else is said: smaller steps than in stage 1, since a table of ratings has hundreds of raters, not a million."""


@dataclass(frozen=True, kw_only=True)
class AdaptPlan:
    """What `adapt_model` would do."""

    laid_out: LaidOut
    tune: TunePlan

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**_described(self.laid_out), "tune": self.tune.to_dict()}

    def lines(self) -> list[str]:
        """For people."""
        return [*self.laid_out.lines(), "", *self.tune.lines()]


def adapt_model(
    ratings: Ratings,
    model: str,
    out: str | os.PathLike[str],
    *,
    layout: Layout | None = None,
    texts: RaterTexts | None = None,
    settings: TuneSettings | None = None,
    places: TunePlaces | None = None,
    on_progress: Tell | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Tunes `model` on the raters into the run folder `out`; what results.json says.

    The settings' seed and window are those of the layout. Started again with the same arguments it goes on where it stopped.
    Raises what `lay_out` and `tune` raise; UsageError under torchrun: there train on the episodes that it has written.
    """
    from pluralign.tuning.spectrum import tune

    folder, settings = Path(out), settings or ADAPT_SETTINGS
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "adapt lays ratings out in one process: start it without torchrun. To train in several, give the episodes that it "
            "has written, OUT/episodes/train.parquet, to pluralign tune."
        )
    laid_out = _laid_out(ratings, model, layout, texts, settings, places)
    if tell is not None:
        tell("\n".join(laid_out.lines()))
    arguments = {
        "model": model,
        "representation": laid_out.representation,
        "settings": settings.to_dict(),
        "episodes_sha256": _episodes_hash(laid_out),
    }
    with Run.open(folder, RunConfig(command="adapt", arguments=arguments, seed=settings.seed)) as run:
        train, held_out = _written(laid_out, folder / "episodes")
        tuned = tune(
            model,
            train,
            folder / "tuned",
            settings=settings,
            held_out=held_out,
            places=places,
            on_progress=on_progress,
            tell=tell,
        )
        keep_words(folder / "tuned" / "model", laid_out)
        results = {**_described(laid_out), "tune": tuned}
        run.write_results(results)
    return results


def plan_adapt_model(
    ratings: Ratings,
    model: str,
    *,
    layout: Layout | None = None,
    texts: RaterTexts | None = None,
    settings: TuneSettings | None = None,
    places: TunePlaces | None = None,
    on_progress: Tell | None = None,
) -> AdaptPlan:
    """What `adapt_model` with the same arguments would do; nothing is written but the cache of encoded data."""
    from pluralign.tuning.spectrum import TunePlaces
    from pluralign.tuning.tune_plan import plan_tune

    settings, places = settings or ADAPT_SETTINGS, places or TunePlaces()
    laid_out = _laid_out(ratings, model, layout, texts, settings, places)
    with tempfile.TemporaryDirectory() as folder:
        train, held_out = _written(laid_out, Path(folder))
        plan = plan_tune(
            model,
            train,
            settings=settings,
            held_out=held_out,
            revision=places.revision,
            device=places.device,
            cache=places.cache,
            on_progress=on_progress,
        )
    return AdaptPlan(laid_out=laid_out, tune=plan)


def _laid_out(
    ratings: Ratings,
    model: str,
    layout: Layout | None,
    texts: RaterTexts | None,
    settings: TuneSettings,
    places: TunePlaces | None,
) -> LaidOut:
    layout = replace(layout or Layout(), max_tokens=settings.max_tokens, seed=settings.seed)
    return lay_out(ratings, model, _template(model, settings, places), layout, texts=texts)


def _template(model: str, settings: TuneSettings, places: TunePlaces | None) -> Template:
    from pluralign.tuning.start import folder_or_id, opened_template

    return opened_template(folder_or_id(model), settings, None if places is None else places.revision)


def _described(laid_out: LaidOut) -> dict[str, Any]:
    return {
        "representation": laid_out.representation,
        "n_episodes": len(laid_out.train),
        "counts": dict(laid_out.counts),
        "privacy": None if laid_out.privacy is None else asdict(laid_out.privacy),
    }


def _written(laid_out: LaidOut, folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of both parts, written if they are not there; a part without episodes has none."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[list[Path]] = []
    for name, episodes in (("train", laid_out.train), ("held_out", laid_out.held_out)):
        path = folder / f"{name}.parquet"
        if episodes and not path.exists():
            write_episodes(path, episodes)
        found.append([path] if episodes else [])
    return found[0], found[1]


def _episodes_hash(laid_out: LaidOut) -> str:
    digest = hashlib.sha256()
    for episode in (*laid_out.train, *laid_out.held_out):
        digest.update(json.dumps(episode.to_dict(), sort_keys=True).encode() + b"\0")
    return digest.hexdigest()
