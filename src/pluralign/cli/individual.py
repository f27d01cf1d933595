"""Commands for one person's ratings: adapt, predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from pluralign.cli.asking import opened_cache, run_folder
from pluralign.cli.flags import A_PLACE, OutputFlags, ReadFlags, RunFlags
from pluralign.cli.model_flags import THE_MODEL, AskingFlags, EngineFlags, ModelFlagsBesideFile
from pluralign.cli.printing import print_found, print_plan, say
from pluralign.cli.tune_flags import LoraFlags, PlaceFlags
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.predicting import PredictSources
    from pluralign.raters.individual_layout import Layout
    from pluralign.raters.individual_results import PredictSettings
    from pluralign.raters.representations import RaterTexts
    from pluralign.tuning.settings import TuneSettings

__all__ = ["AdaptFlags", "PredictFlags", "PredictRunFlags", "adapt", "predict"]

_READ, _RUN, _LORA, _PLACE, _OUTPUT = ReadFlags(), RunFlags(), LoraFlags(), PlaceFlags(), OutputFlags()
_MANY = Parameter(consume_multiple=True, negative=())
_SWITCH = Parameter(negative=())
"""Named in annotations of the flags that are inherited, which are looked up here."""
_ASKED = Group("What is asked", sort_key=0)
_TOLD = Group("What is told and learned", sort_key=0)


@Parameter(name="*", group=Group("The run", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class PredictRunFlags(AskingFlags):
    """Those of all commands that ask a model."""

    limit: int | None = None
    """Ask about only so many pairs, by chance."""


@Parameter(name="*", group=_ASKED)
@dataclass(frozen=True, kw_only=True)
class PredictFlags:
    """What is asked, and how answers are found; the fields are those of `PredictSources` and `PredictSettings`."""

    ask: str | None = None
    """missing: every pair that nobody gave; or a table of pairs with the columns of item and rater, the text of new items
    and the attributes of new raters; or a file of LeWiDi-2025. Default: the pairs of --dev, else missing."""
    dev: Annotated[Place | None, A_PLACE] = None
    """Ratings that are held out: they are asked too, and predictions are judged by them."""
    representation: str | None = None
    """What a language model is told of the rater: nothing, or attributes, attribute:NAME, examples:N, profile, cluster, joined
    by +. Default: what the model was adapted on, else attributes+examples:all."""
    profiles: Path | None = None
    """A run folder or file of profiles, or a table with rater_id and profile; written from known ratings only."""
    groups: Path | None = None
    """Groups of raters: a run folder of `pluralign profile cluster`, the most groups of which are told, or a table with
    rater_id and cluster, the text of the rater's group."""
    stack: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """Pool the model with statistical ones: mixed, per-rater, per-item, text-logistic, marginal."""
    loss: Literal["mode", "median", "mean"] | None = None
    """Whether the answer is the least often wrong, the least far off, or that squared. Default: mode, median, mean on a
    nominal, ordinal, interval scale."""
    recalibrate: bool = True
    """Learn from known ratings which answers a language model favours, and whether it is too sure."""
    n_apart: int = 1000
    """Known ratings kept apart to learn that and the pool's weights from, at most, for each kind of pair."""
    most_tokens: int | None = None
    """Of a prompt; past ratings that find no room are left out. Default: what the model reads."""
    by: Literal["rater", "item"] = "rater"
    """What intervals resample."""

    def to_sources(self, ratings: Place, read: ReadFlags, limit: int | None) -> PredictSources:
        from pluralign.predicting import PredictSources

        return PredictSources(
            ratings,
            ask=self.ask,
            dev=self.dev,
            read=read.to_options(),
            profiles=self.profiles,
            groups=self.groups,
            limit=limit,
        )

    def to_settings(self, *, seed: int) -> PredictSettings:
        """Checked."""
        from pluralign.raters.individual_results import PredictSettings

        given = {} if self.representation is None else {"representation": self.representation}
        return PredictSettings(
            loss=self.loss,
            stack=self.stack,
            recalibrate=self.recalibrate,
            n_apart=self.n_apart,
            most_tokens=self.most_tokens,
            by=self.by,
            seed=seed,
            **given,
        )


_PREDICT, _MODEL, _WHERE, _PREDICT_RUN = PredictFlags(), ModelFlagsBesideFile(), EngineFlags(), PredictRunFlags()


def predict(
    ratings: Annotated[Place, A_PLACE],
    /,
    *,
    model: Annotated[str, Parameter(group=THE_MODEL)],
    asked: PredictFlags = _PREDICT,
    read: ReadFlags = _READ,
    opened: ModelFlagsBesideFile = _MODEL,
    where: EngineFlags = _WHERE,
    run: PredictRunFlags = _PREDICT_RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Fill in ratings that nobody gave: each answer's probability for this rater, one answer, and soft labels of items.

    Parameters
    ----------
    ratings
        The known ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    model
        hf/FOLDER_OR_ID, openai/NAME, vllm/FOLDER_OR_ID, embedded, or a statistical one: mixed, text-logistic, per-rater,
        per-item, marginal.
    """
    from pluralign import predicting
    from pluralign.progress import progress_bars
    from pluralign.raters.individual_lines import predicted_lines

    out = run.out or run_folder(ratings, "predict", model, unnamed="ratings")
    sources = asked.to_sources(ratings, read, run.limit)
    shared: dict[str, Any] = {
        "model": model,
        "settings": asked.to_settings(seed=run.seed),
        "has_representation": asked.representation is not None,
        "model_settings": opened.to_settings(),
        "prices": run.prices(),
    }
    if run.dry_run:
        plan = predicting.plan_predict(sources, out, **shared)
        print_plan(plan.to_dict(), plan.lines(), as_json=output.json)
        return
    with opened_cache(run) as cache, progress_bars() as tell:
        found = predicting.predict(sources, out, **shared, cache=cache, engine=where.opened(), on_progress=tell)
    written = f"{out}: predictions.parquet, predictions.csv, items.parquet, items.csv, results.json"
    print_found(found.to_dict(), predicted_lines(found), written, as_json=output.json)


@Parameter(name="*", group=_TOLD)
@dataclass(frozen=True, kw_only=True)
class AdaptFlags:
    """How ratings become episodes, and how long a model is tuned on them."""

    representation: str = "attributes+examples:all"
    """What is told of the rater: attributes, attribute:NAME, examples:N, profile, cluster, joined by +."""
    profiles: Path | None = None
    """A run folder or file of profiles, or a table with rater_id and profile."""
    groups: Path | None = None
    """Groups of raters: a run folder of `pluralign profile cluster`, the most groups of which are told, or a table with
    rater_id and cluster, the text of the rater's group."""
    held_out: float = 0.0
    """Share of the raters who are not trained on but measured; who they are follows from their ids alone."""
    orders: int = 1
    """How often each rater's ratings are laid out, in another random order each time."""
    lr: float = 1e-5
    """Learning rate at its highest; it falls linearly to 0."""
    epochs: float = 2.0
    """Passes through the episodes."""
    sequences_a_step: int = 16
    """Episodes in a step."""
    max_tokens: int = 1024
    """Of an episode; a rater with more ratings than fit has several."""
    max_steps: int | None = None
    """At most so many."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises from 0."""
    save_every: int | None = None
    """Steps between checkpoints. Default: a twentieth of the run."""
    measure_every: int | None = None
    """Steps between measures on raters who are held out. Default: a tenth of the run."""

    def to_layout(self) -> Layout:
        from pluralign.raters.individual_layout import Layout

        return Layout(representation=self.representation, held_out=self.held_out, orders=self.orders)

    def to_texts(self) -> RaterTexts:
        from pluralign.raters.individual_pairs import read_told_texts

        return read_told_texts(self.profiles, self.groups).texts

    def to_settings(self, lora: LoraFlags, place: PlaceFlags, *, seed: int) -> TuneSettings:
        """All that decides what is computed, checked."""
        from pluralign.tuning.settings import TuneSettings

        return TuneSettings(
            lora=lora.to_settings(),
            lr=self.lr,
            warmup_steps=self.warmup_steps,
            max_tokens=self.max_tokens,
            sequences_a_step=self.sequences_a_step,
            epochs=self.epochs,
            max_steps=self.max_steps,
            pack=place.pack,
            micro_tokens=place.micro_tokens,
            dtype=place.dtype,
            gradient_checkpointing=place.gradient_checkpointing,
            seed=seed,
            save_every=self.save_every,
            measure_every=self.measure_every,
        )


_ADAPT = AdaptFlags()


def adapt(
    ratings: Annotated[Place, A_PLACE],
    /,
    *,
    model: Annotated[str, Parameter(group=THE_MODEL)],
    told: AdaptFlags = _ADAPT,
    read: ReadFlags = _READ,
    lora: LoraFlags = _LORA,
    place: PlaceFlags = _PLACE,
    run: RunFlags = _RUN,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Tune a model on the raters of a table: their attributes, then rating after rating, loss on ratings (Opt-ICL). Resumes.

    Parameters
    ----------
    ratings
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    model
        Folder or hub id of a spectrum-tuned model, with turn tokens (see transplant); `embedded` for the package's own.
    """
    from pluralign import predicting
    from pluralign.progress import progress_bars

    out = run.out or run_folder(ratings, "adapt", model, unnamed="ratings")
    shared: dict[str, Any] = {
        "model": model,
        "read": read.to_options(),
        "layout": told.to_layout(),
        "texts": told.to_texts(),
        "settings": told.to_settings(lora, place, seed=run.seed),
        "places": place.to_places(),
        "limit": run.limit,
    }
    with progress_bars() as tell:
        if run.dry_run:
            plan = predicting.plan_adapt(ratings, **shared, on_progress=tell)
        else:
            results = predicting.adapt(ratings, out, **shared, on_progress=tell, tell=say)
    if run.dry_run:
        lines = [*plan.lines(), f"would write to {out}", "Nothing was trained (--dry-run)."]
        print_plan(plan.to_dict(), lines, as_json=output.json)
        return
    written = f"{out}; ask it with --model hf/{out / 'tuned' / 'model'}"
    print_found(results, predicting.adapted_lines(results), written, as_json=output.json)
