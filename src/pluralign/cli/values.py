"""The command over situations: values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import opened_cache, run_folder
from pluralign.cli.flags import A_PLACE, OutputFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, EngineFlags, ModelFlags
from pluralign.cli.printing import print_json, say
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.values.kaleido import Decoding
    from pluralign.values.setup import SystemSettings

__all__ = ["ValuesFlags", "values"]

_SITUATIONS = Group("The situations", sort_key=0)
_SWITCH = Parameter(negative=())
MOST_SHOWN = 10


@Parameter(name="*", group=Group("The system", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class ValuesFlags:
    """What is generated and what is kept; the fields are those of `SystemSettings` and `Decoding`."""

    n: int = 100
    """Candidates that are generated for a situation."""
    decoding: Literal["beams", "samples"] | None = None
    """Default: beams for an encoder-decoder, samples for all other models, which have no beams."""
    max_new_tokens: int = 30
    """Of a candidate; a longer one is counted, not read."""
    max_input_tokens: int = 128
    """Encoder-decoders: longer situations are cut, and counted."""
    relevance_threshold: float | None = None
    """Keep what is at least so relevant. Default of this and the next three: the checkpoint's own, else .5, .5, .9 and no."""
    ngram_threshold: float | None = None
    """Drop what shares more words (ROUGE-L, stemmed) with something more relevant; 1 switches it off."""
    embed_threshold: float | None = None
    """Drop what has a higher cosine with something more relevant; 1 switches it off."""
    dedup_across_vrd: Annotated[bool, _SWITCH] = False
    """Compare values, rights and duties with one another too."""
    embedding: str | None = None
    """Vectors for the cosine: encoder, tfidf, none, or hf/NAME. Default: encoder for an encoder-decoder, else tfidf."""
    explain: bool = True
    """Ask why each of what is kept bears on the situation."""

    def to_decoding(self) -> Decoding:
        """The same as `Decoding`."""
        from pluralign.values.kaleido import Decoding

        return Decoding(way=self.decoding, max_new_tokens=self.max_new_tokens, max_input_tokens=self.max_input_tokens)

    def to_settings(self, *, seed: int) -> SystemSettings:
        """The same as `SystemSettings`."""
        from pluralign.values.setup import SystemSettings

        return SystemSettings(
            n=self.n,
            relevance_threshold=self.relevance_threshold,
            ngram_threshold=self.ngram_threshold,
            embed_threshold=self.embed_threshold,
            dedup_across_vrd=self.dedup_across_vrd or None,
            embedding=self.embedding,
            explain=self.explain,
            seed=seed,
        )


_MODEL, _WHERE, _RUN, _VALUES, _OUTPUT = ModelFlags(), EngineFlags(), AskingFlags(), ValuesFlags(), OutputFlags()


def values(
    *situations: Annotated[str, Parameter(group=_SITUATIONS)],
    input: Annotated[Place | None, A_PLACE, Parameter(group=_SITUATIONS)] = None,
    column: Annotated[str | None, Parameter(group=_SITUATIONS)] = None,
    sample: Annotated[int | None, Parameter(group=_SITUATIONS)] = None,
    model: Annotated[str, Parameter(group=THE_MODEL)] = "embedded",
    asked: ValuesFlags = _VALUES,
    opened: ModelFlags = _MODEL,
    where: EngineFlags = _WHERE,
    run: AskingFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Which values, rights and duties a model sees in situations, and whether they support or oppose what is done.

    A model's suggestions, not a verdict. The embedded model knows the situations of its simulated world only: of any other one
    it says so, and the command ends with exit code 1.

    Parameters
    ----------
    situations
        "Biking to work instead of driving"; several are several situations.
    input
        Situations from a file: .txt with one a line; .csv, .jsonl or .parquet. They go to a run folder.
    column
        The column of the situations in the file. Default: situation, action or text.
    sample
        Draw so many situations of the simulated world.
    model
        hf/FOLDER_OR_ID (an encoder-decoder with the published templates, or any causal model), openai/NAME, vllm/FOLDER_OR_ID
        or embedded.
    """
    from pluralign.progress import progress_bars
    from pluralign.values.lines import situation_dicts, situation_lines, surfaced_lines
    from pluralign.values.system import surface

    texts = _texts(situations, input, column, sample, limit=run.limit, seed=run.seed)
    out = run.out if input is None or run.out is not None else run_folder(input, "values", model, unnamed="situations")
    if run.dry_run:
        _show_plan(texts, model, asked, out, output=output)
        return
    with opened_cache(run) as cache, progress_bars(is_quiet=out is None) as tell:
        found = surface(
            texts,
            model,
            asked.to_settings(seed=run.seed),
            out=out,
            decoding=asked.to_decoding(),
            model_settings=opened.to_settings(),
            cache=cache,
            prices=run.prices(),
            engine=where.opened(),
            on_progress=tell,
        )
    tell_people = say if output.json else print
    if output.json:
        document = {**found.to_dict(), "situations": situation_dicts(found)} if out is None else found.to_dict()
        print_json(document)
    tell_people("\n".join([*situation_lines(found, most=MOST_SHOWN), *surfaced_lines(found)]))
    if out is not None:
        tell_people(f"\nWritten to {out}: values.parquet, situations.parquet, records.parquet, results.json")


def _texts(
    situations: tuple[str, ...], file: Place | None, column: str | None, sample: int | None, *, limit: int | None, seed: int
) -> list[str]:
    """Those of one of three places."""
    from pluralign.errors import UsageError
    from pluralign.values.episodes import sample_situations
    from pluralign.values.situations import checked_situations, read_situation_file

    if sum((bool(situations), file is not None, sample is not None)) != 1:
        raise UsageError('give situations in one way: as arguments ("Biking to work"), with --input FILE, or with --sample 3.')
    if column is not None and file is None:
        raise UsageError("--column names a column of --input FILE; there is no file.")
    if file is not None:
        return read_situation_file(file, column=column, limit=limit)
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of situations, at least 1.")
    texts = list(situations) if sample is None else sample_situations(sample, seed=seed)
    return checked_situations(texts[:limit])


def _show_plan(texts: list[str], model: str, asked: ValuesFlags, out: Place | None, *, output: OutputFlags) -> None:
    most = len(texts) * asked.n
    plan = {
        "n_situations": len(texts),
        "n_generated": most,
        "n_relevance_at_most": most,
        "model": model,
        "out": out and str(out),
    }
    if output.json:
        print_json(plan)
        return
    print(
        f"{len(texts):,} situations to {model}: {most:,} outputs, and of each different one relevance; of those that are kept"
    )
    print("valence" + (" and an explanation" if asked.explain else "") + ".")
    print(f"would write to {out}" if out is not None else "would write nothing: no --out")
    print("Nothing was asked and nothing was written (--dry-run).")
