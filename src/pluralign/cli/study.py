"""Commands over tables of ratings: study, ratings inspect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from pluralign.cli.asking import opened_cache
from pluralign.cli.flags import A_PLACE, THE_STUDY, OutputFlags, ReadFlags, RunFlags, StudyFlags
from pluralign.cli.model_flags import AskingFlags, EngineFlags, ModelFlagsBesideFile
from pluralign.cli.printing import print_found, print_json, print_plan
from pluralign.errors import UsageError
from pluralign.stores import Place, place

if TYPE_CHECKING:
    from pluralign.raters.evidence import StudySettings
    from pluralign.raters.findings import Findings
    from pluralign.raters.language_study import LanguageStudy

__all__ = ["LanguageFlags", "inspect", "study"]

_READ, _RUN, _STUDY, _MODEL, _OUTPUT = ReadFlags(), RunFlags(), StudyFlags(), ModelFlagsBesideFile(), OutputFlags()
_MANY = Parameter(consume_multiple=True, negative=(), show_default=False)
_LANGUAGE = Group("A language model beside", sort_key=4)
_SIMULATED: Literal["simulated"] = "simulated"


def _simulated_or_place(_: Any, tokens: Sequence[Token]) -> Literal["simulated"] | Place:
    return _SIMULATED if tokens[0].value == _SIMULATED else place(tokens[0].value)


@Parameter(name="*", group=_LANGUAGE)
@dataclass(frozen=True, kw_only=True)
class LanguageFlags:
    """What a language model is asked beside the study."""

    model: str | None = None
    """Ask a language model too: hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted."""
    profiles: Path | None = None
    """The raters' value profiles: a file or run folder of `pluralign profile write` with the same --seed."""
    groups: Path | None = None
    """Groups of raters: a run folder of `pluralign profile cluster` with the same --seed, the most groups of which are told,
    or a table with rater_id and cluster, the text of the rater's group."""
    told: Annotated[tuple[str, ...], _MANY] = ()
    """What the model is told of a rater: nothing, attributes, attribute:NAME, examples:N, profile, cluster, or several with +.
    Default: all that there is."""
    asked_raters: int = 100
    """About whom the model is asked, at most."""
    asked_ratings: int = 16
    """Held-out ratings of each of them, at most."""
    cache: bool = True
    """Take answers that are remembered, and remember new ones."""

    @contextlib.contextmanager
    def opened(self, flags: ModelFlagsBesideFile, where: EngineFlags) -> Iterator[LanguageStudy | None]:
        """The study with its model and cache; None where no model is named."""
        from pluralign import commands

        if self.model is None:
            if self.profiles is not None or self.groups is not None or self.told:
                raise UsageError("--profiles, --groups and --told are what a language model is told; name one with --model.")
            if where != EngineFlags():
                raise UsageError("--engine, --actors and --gpus-each are for a language model; name one with --model.")
            yield None
            return
        with opened_cache(AskingFlags(cache=self.cache)) as answers:
            yield commands.language_study(
                self.model,
                profiles=self.profiles,
                groups=self.groups,
                representations=self.told,
                n_raters=self.asked_raters,
                n_ratings_each=self.asked_ratings,
                settings=flags.to_settings(),
                cache=answers,
                engine=where.opened(),
            )


_BESIDE, _WHERE = LanguageFlags(), EngineFlags()


def study(
    file: Annotated[Literal["simulated"] | Place, A_PLACE, Parameter(converter=_simulated_or_place, show_choices=False)],
    /,
    *,
    read: ReadFlags = _READ,
    run: RunFlags = _RUN,
    features: Annotated[Path | None, Parameter(group=THE_STUDY)] = None,
    asked: StudyFlags = _STUDY,
    beside: LanguageFlags = _BESIDE,
    opened: ModelFlagsBesideFile = _MODEL,
    where: EngineFlags = _WHERE,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Study a table of ratings: who disagrees, about what, and what knowing the rater tells.

    Parameters
    ----------
    file
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values. The
        word simulated, in its place, studies simulated people whose truth is known, and shows how much of it the study finds;
        a file of that name is ./simulated.
    features
        Numbers about the items in place of their texts, such as an embedding: CSV or parquet, item_id and columns of
        numbers.
    """
    from pluralign import commands
    from pluralign.progress import progress_bars

    settings = asked.to_settings(seed=run.seed)
    if isinstance(file, str):
        if beside != LanguageFlags() or where != EngineFlags():
            raise UsageError("study simulated asks no language model; give it a table of ratings.")
        _study_simulated(run, settings, read=read, features=features, output=output)
        return
    out = run.out or Path("runs") / (file.resolve().stem or "study")
    with beside.opened(opened, where) as language:
        if run.dry_run:
            plan = commands.plan(
                file, out, read=read.to_options(), features=features, settings=settings, limit=run.limit, language=language
            )
            print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
            return
        with progress_bars() as tell:
            found = commands.study(
                file,
                out,
                read=read.to_options(),
                features=features,
                settings=settings,
                limit=run.limit,
                language=language,
                on_progress=tell,
            )
    _finish(found, out, output=output)


def inspect(file: Annotated[Place, A_PLACE], /, *, read: ReadFlags = _READ, output: OutputFlags = _OUTPUT) -> int:
    """Show how a file of ratings is understood: format, columns, scale, counts, and everything that was left out.

    Exits with 1 when the file cannot be read, after printing all its faults.

    Parameters
    ----------
    file
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    """
    from pluralign.ratings.inspect import inspect_ratings

    found = inspect_ratings(file, read.to_options())
    if output.json:
        print_json(found.to_dict())
    else:
        print("\n".join(found.lines()))
    return 0 if found.is_readable else 1


def _study_simulated(
    run: RunFlags, settings: StudySettings, *, read: ReadFlags, features: Path | None, output: OutputFlags
) -> None:
    from pluralign import commands
    from pluralign.progress import progress_bars

    if read != ReadFlags() or features is not None:
        raise UsageError(
            "study simulated reads no file, so --features and the flags on reading the file mean nothing to it; leave them "
            "out, or write ./simulated for a file of that name."
        )
    out = run.out or Path("runs/simulated")
    if run.dry_run:
        plan = commands.plan_simulated(out, settings=settings, limit=run.limit)
        print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
        return
    with progress_bars() as tell:
        found = commands.study_simulated(out, settings=settings, limit=run.limit, on_progress=tell)
    _finish(found, out, output=output)


def _finish(found: Findings, out: Place, *, output: OutputFlags) -> None:
    from pluralign import commands
    from pluralign.summaries import summary

    written = f"{out}: results.json, records.parquet, and the page: {out / commands.PAGE}"
    print_found(found.to_dict(), summary(found), written, as_json=output.json)
