"""The commands that make data of values, rights and duties, and read back what people said of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import folder_word, opened_cache
from pluralign.cli.flags import OutputFlags
from pluralign.cli.model_flags import AskingFlags, EngineFlags, ModelFlags
from pluralign.cli.printing import print_found, print_json, say

if TYPE_CHECKING:
    from pluralign.estimates import Estimate
    from pluralign.values.prism import PrismMade, PrismSettings

__all__ = ["DataFlags", "prism", "quality"]

QUALITY_FILE = "quality.csv"
_MODEL, _WHERE, _RUN, _OUTPUT = ModelFlags(), EngineFlags(), AskingFlags(), OutputFlags()


@Parameter(name="*", group=Group("The data", sort_key=0))
@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """How data are made; the fields are those of `PrismSettings`, which this module must not load for `--help`."""

    way: Literal["prompt", "pieces"] | None = None
    """prompt: one reply lists all. pieces: drawn one by one, then judged. Default: prompt; pieces for the embedded model."""
    n_pieces: int = 20
    """Pieces: how many are drawn for a situation."""
    max_tokens: int = 1024
    """Prompt: tokens after which a reply is cut off, which counts as no reply."""
    dedup_threshold: float = 0.75
    """ROUGE-L over which one says what an earlier one of its kind says."""
    per_task: int | None = None
    """Episodes of each task and split, at most."""
    n_quality: int = 100
    """Rows in quality.csv for people to check."""

    def to_settings(self, *, seed: int) -> PrismSettings:
        """The same as `PrismSettings`, which checks them."""
        from pluralign.values.prism import PrismSettings

        return PrismSettings(seed=seed, **{f.name: getattr(self, f.name) for f in fields(self)})


_DATA = DataFlags()


def prism(
    situations: Path | None = None,
    /,
    *,
    model: str,
    sample: int | None = None,
    data: DataFlags = _DATA,
    opened: ModelFlags = _MODEL,
    where: EngineFlags = _WHERE,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Make data of values, rights and duties: ask a model about situations, check, split, and write episodes to train on.

    Parameters
    ----------
    situations
        A file: .txt with one a line, or .csv, .jsonl or .parquet with a column `situation`.
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded or scripted.
    sample
        In place of a file, so many situations of the simulated world; what is found is scored against what is true there.
    """
    from pluralign.errors import UsageError
    from pluralign.progress import progress_bars
    from pluralign.values.episodes import sample_situations
    from pluralign.values.prism import make_prism
    from pluralign.values.prism_truth import score_simulated
    from pluralign.values.situations import read_situation_file

    if (situations is None) == (sample is None):
        raise UsageError("give a file of situations, or --sample N of the simulated world; one of the two.")
    texts = sample_situations(sample, seed=run.seed) if sample is not None else read_situation_file(situations or Path())
    texts = list(dict.fromkeys(texts))[: run.limit]
    settings = data.to_settings(seed=run.seed)
    out = run.out or Path("runs") / f"values-data-{folder_word(model)}"
    if run.dry_run:
        _show_plan(len(texts), str(out), model, output)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        made = make_prism(
            texts,
            model,
            out,
            settings=settings,
            model_settings=opened.to_settings(),
            cache=cache,
            engine=where.opened(),
            on_progress=tell,
        )
    scores = score_simulated(made.table, texts, seed=run.seed) if sample is not None else {}
    if output.json:
        print_json({**made.to_dict(), "scores": {name: one.to_dict() for name, one in scores.items()}})
    write = say if output.json else print
    write("\n".join(_lines(made, scores)))
    write(
        f"\nWritten to {out}: prism.parquet, relevance.parquet, episodes-*.parquet, quality.csv, results.json, records.parquet"
    )


def quality(checked: Path, /, *, seed: int = 0, output: OutputFlags = _OUTPUT) -> None:
    """Read back quality.csv of values-data, which people filled with yes and no: the share of yes in each column.

    Parameters
    ----------
    checked
        The filled file, or the run folder that it lies in. A blank cell is no answer.
    seed
        Of the intervals, which resample situations.
    """
    from pluralign.values.prism_data import quality_of

    file = checked / QUALITY_FILE if checked.is_dir() else checked
    found = quality_of(file, seed=seed)
    lines = [f"{name.replace('_', ' ')}: yes in {one}" for name, one in found.items()]
    n = max((one.n for one in found.values()), default=0)
    lines.append(
        f"over {n:,} situations of {file}; rows were drawn by chance, so this is about all that was made, as judged there"
    )
    print_found({name: one.to_dict() for name, one in found.items()}, lines, None, as_json=output.json)


def _show_plan(n: int, out: str, model: str, output: OutputFlags) -> None:
    if output.json:
        print_json({"n_situations": n, "out": out, "model": model})
    else:
        print(
            f"would ask {model} about {n:,} situations, and write to {out}\nNothing was asked and nothing written (--dry-run)."
        )


def _lines(made: PrismMade, scores: dict[str, Estimate]) -> list[str]:
    from pluralign.terminal import printable
    from pluralign.values.notice import notice

    outcomes = ", ".join(f"{name} {n:,}" for name, n in made.outcomes.items())
    episodes = ", ".join(f"{name} {n:,}" for name, n in made.n_episodes.items())
    return [
        f"{made.n_situations:,} situations, {made.table.height:,} considerations; {made.n_dropped:,} said what another says",
        f"replies of {printable(made.model)}: {outcomes}; share that could be read {made.parsed}",
        f"situations without any: {made.n_without:,}; considerations without a valence: {made.n_without_valence:,}",
        f"episodes: {episodes}",
        *(f"{name.replace('_', ' ')}, against what is true: {one}" for name, one in scores.items()),
        notice(made.model),
    ]
