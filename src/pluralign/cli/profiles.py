"""Commands for value profiles: profile write, show, edit."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import opened_cache, run_folder
from pluralign.cli.flags import A_PLACE, OutputFlags, ReadFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, EngineFlags, ModelFlags, ModelFlagsBesideFile
from pluralign.cli.printing import print_found, print_json, print_plan
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.raters.profiles import ProfileSettings, RaterProfile

__all__ = ["ProfileFlags", "ProfileRunFlags", "edit", "show", "write"]

_MANY = Parameter(consume_multiple=True, negative=())
_SWITCH = Parameter(negative=())
"""Named in annotations of the flags that are inherited, which are looked up here."""
_PROFILES = Group("The profiles", sort_key=0)


@Parameter(name="*", group=Group("The run", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class ProfileRunFlags(AskingFlags):
    """Those of all commands that ask a model."""

    out: Annotated[Place | None, A_PLACE] = None
    """Run folder, or its URL (s3://BUCKET/NAME); made if missing, resumed if it holds this very run. Default:
    runs/FILE-profiles-MODEL."""
    seed: int = 0
    """Every random choice follows from it, and which ratings are held out."""
    limit: int | None = None
    """Use only so many raters, drawn by the seed."""
    dry_run: Annotated[bool, _SWITCH] = False
    """Say how much would be asked, and stop."""


@Parameter(name="*", group=_PROFILES)
@dataclass(frozen=True, kw_only=True)
class ProfileFlags:
    """How profiles are written; the fields are those of `ProfileSettings`."""

    drafts: int = 1
    """Texts that are written of each rater; with several the decoder chooses the one that fits the given ratings best."""
    words: int = 150
    """That the model is asked for, at most."""
    language: str | None = None
    """Of the profiles, as a word: French. Default: that of the items."""
    tell: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """Attributes that the writer is told, or all. Default: none."""
    temperature: float = 1.0
    """1 draws from the model's own distribution."""
    max_tokens: int | None = None
    """After which a draft is cut off. Default: 4 a word."""
    most_tokens: int | None = None
    """Of a prompt and its draft; ratings that find no room are left out. Default: what the model reads."""
    most_scored: int = 100
    """Given ratings of a rater that drafts are scored on, at most."""
    given: Literal["fit", "all"] = "fit"
    """From which ratings: fit, those that a study with this seed gives, so that it can be asked about the others; or all."""

    def to_settings(self, *, seed: int) -> ProfileSettings:
        """Checked."""
        from pluralign.raters.profiles import ProfileSettings

        return ProfileSettings(
            n_drafts=self.drafts,
            words=self.words,
            language=self.language,
            told=self.tell,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            most_tokens=self.most_tokens,
            most_scored=self.most_scored,
            seed=seed,
        )


_READ, _OUTPUT, _RUN, _FLAGS = ReadFlags(), OutputFlags(), ProfileRunFlags(), ProfileFlags()
_BESIDE_READING, _MODEL, _WHERE = ModelFlagsBesideFile(), ModelFlags(), EngineFlags()


def write(
    ratings: Annotated[Place, A_PLACE],
    /,
    *,
    model: Annotated[str, Parameter(group=THE_MODEL)],
    decoder: Annotated[str | None, Parameter(group=THE_MODEL)] = None,
    asked: ProfileFlags = _FLAGS,
    read: ReadFlags = _READ,
    opened: ModelFlagsBesideFile = _BESIDE_READING,
    where: EngineFlags = _WHERE,
    run: ProfileRunFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Write a profile of each rater: a language model says in words which values stand behind the given ratings.

    Parameters
    ----------
    ratings
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted; it writes.
    decoder
        The model that scores drafts, by how well it predicts the given ratings from each. Default: the one that writes.
    """
    from pluralign import profiling
    from pluralign.progress import progress_bars

    out = run.out or run_folder(ratings, "profiles", model, unnamed="ratings")
    settings, options = asked.to_settings(seed=run.seed), read.to_options()
    if run.dry_run:
        plan = profiling.plan_write(
            ratings, out, model=model, decoder=decoder, read=options, settings=settings, given=asked.given, limit=run.limit
        )
        print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = profiling.write(
            ratings,
            out,
            model=model,
            decoder=decoder,
            read=options,
            settings=settings,
            given=asked.given,
            limit=run.limit,
            model_settings=opened.to_settings(),
            cache=cache,
            prices=run.prices(),
            engine=where.opened(),
            on_progress=tell,
        )
    print_found(found.to_dict(), found.lines(), f"{out}: profiles.jsonl, records.parquet, results.json", as_json=output.json)


def show(
    profiles: Path,
    /,
    *,
    rater: Annotated[str, Parameter(group=_PROFILES)],
    output: OutputFlags = _OUTPUT,
) -> None:
    """Show a rater's profile, the drafts that it was chosen among, and how a person changed it.

    Parameters
    ----------
    profiles
        A run folder of profile write, or a file of profiles, .jsonl or .parquet.
    rater
        Id of the rater.
    """
    from dataclasses import asdict

    from pluralign import profiling

    written, edited = profiling.show(profiles, rater=rater)
    if output.json:
        print_json({"written": asdict(written), "edited": None if edited is None else asdict(edited)})
    else:
        print("\n".join(_shown(written, edited)))


def edit(
    profiles: Path,
    /,
    *,
    rater: Annotated[str, Parameter(group=_PROFILES)],
    ratings: Annotated[str, Parameter(group=_PROFILES)],
    model: Annotated[str, Parameter(group=THE_MODEL)],
    text: Annotated[str | None, Parameter(group=_PROFILES)] = None,
    text_file: Annotated[Path | None, Parameter(group=_PROFILES)] = None,
    item: Annotated[tuple[str, ...], _MANY, Parameter(group=_PROFILES, show_default=False)] = (),
    cache: bool = True,
    opened: ModelFlags = _MODEL,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Change a rater's profile by hand, and see what that does to the predicted ratings. The model's own text stays.

    Parameters
    ----------
    profiles
        A run folder of profile write, or a file of profiles; the new text goes into a file beside it, NAME.edited.jsonl.
    rater
        Id of the rater.
    ratings
        The ratings, for items and scale: a file, or with how it is read: ratings:FILE?rating=label&rater=worker.
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted; it reads the profile and predicts.
    text
        The new text. Without it and --text-file, the editor in $VISUAL or $EDITOR opens with the old one.
    text_file
        A file that holds the new text.
    item
        Ids of items to predict. Default: the 5 that move most.
    cache
        Take answers that are remembered, and remember new ones (see `pluralign cache`).
    """
    from pluralign import profiling

    written, edited = profiling.show(profiles, rater=rater)
    new = _new_text(text, text_file, (edited or written).profile or "")
    with opened_cache(AskingFlags(cache=cache)) as answers:
        found = profiling.edit(
            profiles,
            rater=rater,
            text=new,
            ratings=ratings,
            model=model,
            items=item,
            model_settings=opened.to_settings(),
            cache=answers,
        )
    where = f"{found.file}; the model's own profile stays where it was"
    print_found(found.to_dict(), found.lines(), where, as_json=output.json)


def _new_text(text: str | None, file: Path | None, old: str) -> str:
    from pluralign.errors import DataError, UsageError

    if text is not None and file is not None:
        raise UsageError("--text and --text-file: pass one of them.")
    if text is not None:
        return text
    if file is None:
        return _from_editor(old)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(str(file), f"cannot be read as UTF-8: {error}") from error


def _from_editor(old: str) -> str:
    from pluralign.errors import UsageError

    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise UsageError("no editor is set; pass --text or --text-file, or set the variable EDITOR.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.txt"
        path.write_text(old + "\n", encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(command), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"the editor {command!r} cannot be started: {error}") from error
        if done.returncode != 0:
            raise UsageError(f"the editor {command!r} ended with {done.returncode}; nothing was changed.")
        return path.read_text(encoding="utf-8")


def _shown(written: RaterProfile, edited: RaterProfile | None) -> list[str]:
    from pluralign.terminal import printable

    who = "people" if written.model is None else printable(written.model)
    lines = [f"rater {printable(written.rater_id)}, written by {who}" + _by_prompt(written), ""]
    lines.append(f"  ({written.outcome}: no profile)" if written.profile is None else f"  {_lines(written.profile)}")
    if written.outcome == "length":
        lines.append("  (cut off by the limit of tokens)")
    if edited is not None:
        lines += ["", "changed by hand into", "", f"  {_lines(edited.profile or '')}"]
    if len(written.drafts) > 1:
        scored = "" if written.decoder is None else f", with nats a given rating by {printable(written.decoder)} (optimistic)"
        lines += ["", f"{len(written.drafts)} drafts{scored}"]
        for draft in written.drafts:
            loss = "    -" if draft.loss_nats is None else f"{draft.loss_nats:.3f}"
            mark = "*" if draft.is_chosen else " "
            lines.append(f"{mark} {loss} {draft.outcome}: {printable(draft.text)}")
    return lines


def _lines(text: str) -> str:
    from pluralign.terminal import printable

    return printable(text, keep="\n").replace("\n", "\n  ")


def _by_prompt(written: RaterProfile) -> str:
    if written.prompt_version is None:
        return ""
    return f" (prompt {written.prompt_version}) from {written.n_shown:,} of {len(written.given_items):,} given ratings"
