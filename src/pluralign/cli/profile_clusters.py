"""The command that finds groups of raters over value profiles: profile cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import opened_cache, run_folder
from pluralign.cli.flags import A_PLACE, OutputFlags, ReadFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, EngineFlags, ModelFlagsBesideFile
from pluralign.cli.printing import print_found, print_plan
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.raters.individual_pairs import ToldTexts
    from pluralign.raters.profile_clusters_found import ClusterSettings
    from pluralign.ratings import Ratings

__all__ = ["ClusterFlags", "ClusterRunFlags", "cluster"]

_MANY = Parameter(consume_multiple=True, negative=())
_SWITCH = Parameter(negative=())
"""Named in annotations of the flags that are inherited, which are looked up here."""
_CLUSTERS = Group("The clusters", sort_key=0)


@Parameter(name="*", group=Group("The run", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class ClusterRunFlags(AskingFlags):
    """Those of all commands that ask a model."""

    out: Annotated[Place | None, A_PLACE] = None
    """Run folder, or its URL (s3://BUCKET/NAME); made if missing, resumed if it holds this very run. Default:
    runs/FILE-clusters-MODEL."""
    seed: int = 0
    """Every random choice follows from it; that under which the profiles were written."""
    limit: int | None = None
    """Use only so many raters, drawn by the seed."""


@Parameter(name="*", group=_CLUSTERS)
@dataclass(frozen=True, kw_only=True)
class ClusterFlags:
    """Which clusters; the fields are those of `ClusterSettings`."""

    k: Annotated[tuple[int, ...], _MANY] = (2, 4, 8)
    """Numbers of clusters."""
    candidates: int = 100
    """Profiles that clusters may be described by, drawn by the seed."""
    by: Literal["swaps", "sweeps"] = "swaps"
    """How they are chosen: sweeps is the published algorithm, swaps is never worse."""
    saving: float | None = None
    """Ask so many times fewer questions, 10 say, and leave out candidates that look worse. Default: ask all."""

    def to_settings(self, *, seed: int) -> ClusterSettings:
        """Checked."""
        from pluralign.raters.profile_clusters_found import ClusterSettings

        k = tuple(sorted(set(self.k)))
        return ClusterSettings(k=k, n_candidates=self.candidates, by=self.by, saving=self.saving, seed=seed)


_READ, _MODEL, _RUN, _FLAGS, _OUTPUT = ReadFlags(), ModelFlagsBesideFile(), ClusterRunFlags(), ClusterFlags(), OutputFlags()
_WHERE = EngineFlags()


def cluster(
    profiles: Path,
    /,
    *,
    ratings: Annotated[Path, Parameter(group=_CLUSTERS)],
    model: Annotated[str, Parameter(group=THE_MODEL)],
    asked: ClusterFlags = _FLAGS,
    read: ReadFlags = _READ,
    opened: ModelFlagsBesideFile = _MODEL,
    where: EngineFlags = _WHERE,
    run: ClusterRunFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Find groups of raters, each described by the profile of one of them, and what the groups tell of new raters.

    Parameters
    ----------
    profiles
        Run folder or file of `pluralign profile write`, or a table with rater_id and profile; written at the same seed from
        what it gives of the raters.
    ratings
        The ratings: a file, or a folder where the format is one.
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted; it reads the profiles and predicts ratings.
    """
    from pluralign.progress import progress_bars
    from pluralign.raters.profile_clusters_found import clustering_lines
    from pluralign.raters.profile_clusters_run import cluster_plan, cluster_profiles

    settings = asked.to_settings(seed=run.seed)
    table, told = _inputs(ratings, profiles, read, run)
    out = run.out or run_folder(profiles, "clusters", model, unnamed="profiles")
    if run.dry_run:
        plan = cluster_plan(table, told.texts.profiles, settings)
        print_plan(plan.to_dict(), plan.lines(str(out)), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = cluster_profiles(
            table,
            told.texts.profiles,
            out,
            model=model,
            settings=settings,
            written_from=told.written_from,
            model_settings=opened.to_settings(),
            cache=cache,
            prices=run.prices(),
            engine=where.opened(),
            on_progress=tell,
        )
    written = f"{out}: clusters.parquet, records.parquet, results.json"
    print_found(found.to_dict(), clustering_lines(found), written, as_json=output.json)


def _inputs(ratings: Path, profiles: Path, read: ReadFlags, run: ClusterRunFlags) -> tuple[Ratings, ToldTexts]:
    from pluralign.commands import limited
    from pluralign.raters.individual_pairs import read_told_texts
    from pluralign.ratings.readers import read_ratings

    return limited(read_ratings(ratings, read.to_options()), run.limit, seed=run.seed), read_told_texts(profiles, None)
