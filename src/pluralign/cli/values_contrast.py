"""The command over minimal pairs: values-contrast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import opened_cache, run_folder
from pluralign.cli.flags import OutputFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, ModelFlags
from pluralign.cli.printing import print_found, print_plan

if TYPE_CHECKING:
    from pluralign.values.contrast_run import ContrastRun, ContrastSettings, TextPair
    from pluralign.values.kaleido import Decoding

__all__ = ["ContrastFlags", "contrast"]

_PAIRS = Group("The pairs", sort_key=0)
_MANY = Parameter(consume_multiple=True, negative=(), show_default=False)
MOST_SHOWN = 10


@Parameter(name="*", group=Group("What is judged", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class ContrastFlags:
    """What is judged in both versions; the fields are those of `ContrastSettings` and `Decoding`."""

    n: int = 30
    """Candidates that are generated for each version; all of them are judged in both."""
    consideration: Annotated[tuple[str, ...], _MANY] = ()
    """In place of generated ones, given ones: "Value: honesty" "Duty: Duty to keep promises"."""
    threshold: float | None = None
    """Of relevance, above which one counts as relevant. Default: the checkpoint's own, else .5."""
    decoding: Literal["beams", "samples"] | None = None
    """Default: beams for an encoder-decoder, samples for all other models, which have no beams."""

    def to_decoding(self) -> Decoding | None:
        """None where nothing was given."""
        from pluralign.values.kaleido import Decoding

        return None if self.decoding is None else Decoding(way=self.decoding)

    def to_settings(self, *, seed: int, is_simulated: bool) -> ContrastSettings:
        """The same as `ContrastSettings`, which checks them."""
        from pluralign.values.contrast_run import ContrastSettings, read_considerations

        return ContrastSettings(
            n=self.n,
            threshold=self.threshold,
            considerations=read_considerations(self.consideration),
            is_simulated=is_simulated,
            seed=seed,
        )


_MODEL, _RUN, _JUDGED, _OUTPUT = ModelFlags(), AskingFlags(), ContrastFlags(), OutputFlags()


def contrast(
    before: Annotated[str | None, Parameter(group=_PAIRS)] = None,
    after: Annotated[str | None, Parameter(group=_PAIRS)] = None,
    /,
    *,
    input: Annotated[Path | None, Parameter(group=_PAIRS)] = None,
    columns: Annotated[tuple[str, ...], _MANY, Parameter(group=_PAIRS)] = (),
    sample: Annotated[int | None, Parameter(group=_PAIRS)] = None,
    model: Annotated[str, Parameter(group=THE_MODEL)] = "embedded",
    judged: ContrastFlags = _JUDGED,
    opened: ModelFlags = _MODEL,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Which values, rights and duties enter, leave or turn round when a situation changes.

    A model's suggestions, not a verdict. The embedded model knows the situations of its simulated world only.

    Parameters
    ----------
    before
        The situation: "Telling a friend the truth".
    after
        The situation changed: "Telling a friend the truth in front of others".
    input
        Pairs from a file, one a row: .csv, .jsonl or .parquet. They go to a run folder.
    columns
        Two columns of the file. Default: before and after.
    sample
        Draw so many pairs of the simulated world; what the model shows is scored against what truly changes there.
    model
        hf/FOLDER_OR_ID (an encoder-decoder with the published templates, or any causal model), openai/NAME, vllm/FOLDER_OR_ID
        or embedded.
    """
    from pluralign import valuing
    from pluralign.progress import progress_bars

    pairs = _pairs(before, after, input, columns, sample, limit=run.limit, seed=run.seed)
    settings = judged.to_settings(seed=run.seed, is_simulated=sample is not None)
    out = run.out if input is None or run.out is not None else run_folder(input, "contrast", model, unnamed="pairs")
    if run.dry_run:
        plan, lines = _plan(pairs, model, settings, None if out is None else str(out))
        print_plan(plan, lines, as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars(is_quiet=out is None) as tell:
        done = valuing.contrast_situations(
            pairs,
            model,
            settings,
            out=out,
            decoding=judged.to_decoding(),
            model_settings=opened.to_settings(),
            cache=cache,
            prices=run.prices(),
            on_progress=tell,
        )
    _show(done, None if out is None else f"{out}: {', '.join(valuing.CONTRAST_FILES)}", output=output)


def _show(done: ContrastRun, written: str | None, *, output: OutputFlags) -> None:
    from pluralign.values.contrast_lines import contrast_lines, pair_dicts, pair_lines

    document = done.to_dict() if written is not None else {**done.to_dict(), "pairs": pair_dicts(done.found)}
    lines = [*pair_lines(done.found, most=MOST_SHOWN), *contrast_lines(done)]
    print_found(document, lines, written, as_json=output.json)


def _pairs(
    before: str | None,
    after: str | None,
    file: Path | None,
    columns: tuple[str, ...],
    sample: int | None,
    *,
    limit: int | None,
    seed: int,
) -> list[TextPair]:
    """Those of one of three places."""
    from pluralign.errors import UsageError
    from pluralign.values.contrast_run import read_pair_file
    from pluralign.values.contrast_truth import simulated_pairs

    if sum((before is not None, file is not None, sample is not None)) != 1 or (before is None) != (after is None):
        raise UsageError(
            'give pairs in one way: two texts ("Telling a friend the truth" "Telling a friend the truth in front of others"), '
            "--input FILE, or --sample 3."
        )
    if columns and (file is None or len(columns) != 2):
        raise UsageError("--columns names two columns of --input FILE.")
    if file is not None:
        return read_pair_file(file, columns=columns, limit=limit)
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of pairs, at least 1.")
    pairs = [(before or "", after or "")] if sample is None else simulated_pairs(sample, seed=seed)
    return pairs[:limit]


def _plan(
    pairs: list[TextPair], model: str, settings: ContrastSettings, out: str | None
) -> tuple[dict[str, object], list[str]]:
    """The same as a document and as lines."""
    n = len(pairs)
    generated = 0 if settings.asked else 2 * n * settings.n
    most = 2 * n * (len(settings.asked) or 2 * settings.n)
    plan = {"n_pairs": n, "n_generated": generated, "n_judged_at_most": most, "model": model, "out": out}
    first = f"{n:,} {'pair' if n == 1 else 'pairs'} to {model}: " + (f"{generated:,} outputs, then " if generated else "")
    return plan, [
        f"{first}at most {most:,} questions about relevance, and as many about valence",
        "would write nothing: no --out" if out is None else f"would write to {out}",
        "Nothing was asked and nothing was written (--dry-run).",
    ]
