"""The command line as a value, and its exit codes: 0 done, 1 a stated error, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import itertools
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cyclopts.config
from cyclopts import App, ArgumentCollection, CycloptsError

from pluralign import __version__
from pluralign.cli import (
    asking,
    cache,
    evaluating,
    individual,
    profile_clusters,
    profiles,
    suite,
    tuning,
    values_data,
    values_study,
    values_tune,
)
from pluralign.cli.demo import demo
from pluralign.cli.printing import say
from pluralign.cli.serve import serve
from pluralign.cli.study import inspect, study
from pluralign.cli.values import values
from pluralign.cli.values_contrast import contrast
from pluralign.cli.values_thresholds import thresholds
from pluralign.errors import PluralignError, UsageError
from pluralign.stores import folder_here, is_store
from pluralign.terminal import printable

__all__ = ["build_app", "main"]

_IN_STORES = (
    "study",
    "ratings",
    "score",
    "sample",
    "show",
    "predict",
    "evaluate",
    "compare",
    "rescore",
    "values",
    "values-data",
    "demo",
    "profile",
)
"""Commands whose data or run folder may be URLs of a store."""
_NOT_STORES = ("http", "https", "ray")
_HELP = """Measure, model and train language models for human variation: how probable is this answer, from this person,
given what is known about them?"""


def build_app(settings: Mapping[str, Any] | None = None, *, source: str = "") -> App:
    """The command line as a value; `settings` are what flags take that are not given, `source` is where they are from."""

    def config(within: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """The settings as those of the command at hand; kept flat, `cache` would be taken for the command of this name."""
        nested = _without_negatives(settings or {})
        for command in reversed(commands):
            nested = {command: nested}
        cyclopts.config.Dict(nested, source=source)(within, commands, arguments)

    app = App(
        "pluralign",
        help=_HELP,
        version=__version__,
        config=config,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    app.command(study)
    app.command(demo)
    ratings = App("ratings", help="Look at tables of ratings.")
    ratings.command(inspect)
    app.command(ratings)
    app.command(asking.score)
    app.command(asking.sample)
    app.command(asking.show)
    tasks = App("suite", help="Tasks to train and evaluate on: list them, show one, build them into files, check them.")
    tasks.command(suite.list_tasks, name="list")
    tasks.command(suite.show)
    tasks.command(suite.build)
    tasks.command(suite.check)
    app.command(tasks)
    app.command(tuning.tune)
    app.command(tuning.transplant)
    written = App("profile", help="Write the values behind people's ratings in words, show them, change them by hand.")
    written.command(profiles.write)
    written.command(profiles.show)
    written.command(profiles.edit)
    written.command(profile_clusters.cluster)
    app.command(written)
    app.command(individual.adapt)
    app.command(individual.predict)
    app.command(evaluating.evaluate)
    app.command(evaluating.compare)
    app.command(evaluating.rescore)
    app.command(evaluating.export)
    _add_values(app)
    app.command(serve)
    remembered = App("cache", help="Look at the answers of models that are remembered, or forget them.")
    remembered.command(cache.stats)
    remembered.command(cache.clear)
    app.command(remembered)
    return app


def _add_values(app: App) -> None:
    app.command(values)
    app.command(contrast, name="values-contrast")
    app.command(values_data.prism, name="values-data")
    app.command(values_data.quality, name="values-quality")
    app.command(thresholds, name="values-thresholds")
    app.command(values_tune.tune, name="values-tune")
    people = App("values-study", help="Ask people about lists of values, rights and duties, and read what they answered.")
    people.command(values_study.export)
    people.command(values_study.results)
    app.command(people)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. `arguments` are those of the process if not given."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings, source = _settings(tokens)
        _refuse_stores(tokens, settings)
        code = build_app(settings, source=source)(tokens, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError) as error:
        _say_error(error)
        say(f"See: pluralign {''.join(_verbs(tokens))}--help")
        return 2
    except PluralignError as error:
        _say_error(error)
        return 1
    except KeyboardInterrupt:
        say("interrupted. Finished steps are kept: the same command with the same --out goes on from there.")
        return 130
    return code or 0


def _refuse_stores(tokens: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Commands that keep many files, or open them where they lie, need a folder on this machine. Raises UsageError."""
    if not tokens or tokens[0] in _IN_STORES:
        return
    for value in (*(token.rpartition("=")[2] for token in tokens), *settings.values()):
        if isinstance(value, str) and value.partition("://")[0] not in _NOT_STORES and is_store(value):
            folder_here(value, f"pluralign {tokens[0]}")


def _without_negatives(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`no_cache = true` is `cache = false`; the parser would take it for its opposite."""
    plain = dict(settings)
    for name in ("no_cache", "no-cache"):
        if isinstance(plain.get(name), bool):
            plain["cache"] = not plain.pop(name)
    return plain


def _say_error(error: Exception) -> None:
    """Messages quote data, which must not steer the terminal."""
    text = printable(str(error), keep="\n")
    say(f"error: {text}")


def _settings(tokens: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The content of the --config file, and its path. Read before the flags are, since it is what they default to."""
    path = ""
    for token, following in itertools.pairwise([*tokens, ""]):
        if token == "--config":
            path = following
        elif token.startswith("--config="):
            path = token.removeprefix("--config=")
    if not path:
        return {}, ""
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if Path(path).suffix not in readers:
        raise UsageError(f"--config {path}: its name has to end in .toml or .json")
    try:
        content = readers[Path(path).suffix](Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: need names and values, as in seed = 1; got {type(content).__name__}")
    return content, path


def _verbs(tokens: Sequence[str]) -> list[str]:
    """The commands at the start, each with a space after it."""
    known: dict[str, tuple[str, ...]] = {
        **dict.fromkeys(("study", "demo", "score", "sample", "show", "tune", "transplant", "adapt", "predict"), ()),
        **dict.fromkeys(("evaluate", "compare", "rescore", "export", "values", "values-data"), ()),
        **dict.fromkeys(("values-contrast", "values-quality", "values-thresholds", "values-tune"), ()),
        "values-study": ("export", "results"),
        "ratings": ("inspect",),
        "suite": ("list", "show", "build", "check"),
        "cache": ("stats", "clear"),
        "profile": ("write", "show", "edit", "cluster"),
    }
    if not tokens or tokens[0] not in known:
        return []
    return [f"{token} " for token in tokens[:2] if token in known or token in known[tokens[0]]]
