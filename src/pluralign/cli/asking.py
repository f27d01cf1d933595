"""Commands over episodes and language models: score, sample, show."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.flags import A_PLACE, OutputFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, EngineFlags, ModelFlags, SamplingFlags, TemplateFlags
from pluralign.cli.printing import print_found, print_json, print_plan
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.models.cache import ResponseCache

__all__ = ["folder_word", "opened_cache", "run_folder", "sample", "score", "show"]

_MODEL, _TEMPLATE, _RUN, _SAMPLING, _OUTPUT = ModelFlags(), TemplateFlags(), AskingFlags(), SamplingFlags(), OutputFlags()
_WHERE = EngineFlags()
_THE_QUESTION = Group("The question", sort_key=0)
_Model = Annotated[str, Parameter(group=THE_MODEL)]
_EPISODES = Group("The episodes", sort_key=0)


def score(
    episodes: Annotated[Place, A_PLACE],
    /,
    *,
    model: _Model,
    ask: Annotated[Literal["outputs", "options"], Parameter(group=_THE_QUESTION)] = "outputs",
    at: Annotated[Literal["last", "all"] | None, Parameter(group=_THE_QUESTION)] = None,
    opened: ModelFlags = _MODEL,
    where: EngineFlags = _WHERE,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Score episodes: how probable a language model finds their outputs, or each of their options.

    Parameters
    ----------
    episodes
        A file of episodes, .jsonl or .parquet, or a folder of such parts; on disk or in a store (s3://BUCKET/NAME).
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID or scripted.
    ask
        outputs: the log-probability of every output, given all before it. options: of each option of the closed set.
    at
        Each episode's last output only, or all outputs that are scored. Default: all outputs; options at the last one.
    """
    from pluralign import scoring
    from pluralign.progress import progress_bars

    out = run.out or run_folder(episodes, "score", model, unnamed="episodes")
    settings, prices = opened.to_settings(), run.prices()
    if run.dry_run:
        plan = scoring.plan_score(episodes, out, model=model, ask=ask, at=at, settings=settings, limit=run.limit, prices=prices)
        print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = scoring.score(
            episodes,
            out,
            model=model,
            ask=ask,
            at=at,
            settings=settings,
            cache=cache,
            limit=run.limit,
            prices=prices,
            seed=run.seed,
            engine=where.opened(),
            on_progress=tell,
        )
    written = f"{out}: results.json, records.parquet"
    print_found(found.to_dict(), scoring.scores_lines(found), written, as_json=output.json)


def sample(
    episodes: Annotated[Place, A_PLACE],
    /,
    *,
    model: _Model,
    at: Annotated[Literal["next", "last"], Parameter(group=_THE_QUESTION)] = "next",
    sampling: SamplingFlags = _SAMPLING,
    opened: ModelFlags = _MODEL,
    where: EngineFlags = _WHERE,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Draw outputs for episodes from a language model, each with the reason why it ended.

    Parameters
    ----------
    episodes
        A file of episodes, .jsonl or .parquet, or a folder of such parts; on disk or in a store (s3://BUCKET/NAME).
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID or scripted.
    at
        What would come next, or what might have come in place of each episode's last output.
    """
    from pluralign import scoring
    from pluralign.progress import progress_bars

    out = run.out or run_folder(episodes, "sample", model, unnamed="episodes")
    settings, prices = opened.to_settings(), run.prices()
    drawing = sampling.to_sampling(seed=run.seed)
    if run.dry_run:
        plan = scoring.plan_sample(
            episodes, out, model=model, sampling=drawing, at=at, settings=settings, limit=run.limit, prices=prices
        )
        print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = scoring.sample(
            episodes,
            out,
            model=model,
            sampling=drawing,
            at=at,
            settings=settings,
            cache=cache,
            limit=run.limit,
            prices=prices,
            engine=where.opened(),
            on_progress=tell,
        )
    written = f"{out}: results.json, records.parquet"
    print_found(found.to_dict(), scoring.samples_lines(found), written, as_json=output.json)


def show(
    episodes: Annotated[Place, A_PLACE],
    /,
    *,
    model: _Model,
    n: Annotated[int, Parameter(group=_EPISODES)] = 1,
    start: Annotated[int, Parameter(group=_EPISODES)] = 0,
    written: TemplateFlags = _TEMPLATE,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Show episodes as a model reads them, with the tokens that carry loss marked. Needs its tokenizer only.

    Parameters
    ----------
    episodes
        A file of episodes, .jsonl or .parquet, or a folder of such parts; on disk or in a store (s3://BUCKET/NAME).
    model
        hf/FOLDER_OR_ID; another with --tokenizer.
    n
        How many episodes.
    start
        Number of the first one in the file, from 0.
    """
    from pluralign import scoring
    from pluralign.cli.shown import print_shown

    shown = scoring.show(episodes, model=model, n=n, start=start, settings=written.to_settings())
    if output.json:
        print_json([one.to_dict() for one in shown])
    else:
        print_shown(shown)


@contextlib.contextmanager
def opened_cache(run: AskingFlags) -> Iterator[ResponseCache | None]:
    """The answers that are remembered; None where they are not to be used."""
    from pluralign.models.cache import ResponseCache

    if not run.cache:
        yield None
        return
    with ResponseCache() as cache:
        yield cache


def run_folder(file: Place, command: str, model: str, *, unnamed: str) -> Path:
    """Where a command writes if it is not told: runs/coins-score-scripted; `unnamed` stands for a file without a name."""
    return Path("runs") / "-".join([file.resolve().stem or unnamed, command, folder_word(model)])


def folder_word(model: str) -> str:
    """A model's name as part of a folder's; of a path only its last part."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model.rstrip("/").rpartition("/")[2])[:60].strip("-.") or "model"
