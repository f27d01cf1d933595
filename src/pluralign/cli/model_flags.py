"""Flags of the commands that ask a language model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.cli.flags import A_PLACE
from pluralign.stores import Place

if TYPE_CHECKING:
    from pluralign.models import ModelSettings, SamplingSettings
    from pluralign.scoring import Prices
    from pluralign.scoring.units import ModelEngine

__all__ = ["THE_MODEL", "AskingFlags", "EngineFlags", "ModelFlags", "ModelFlagsBesideFile", "SamplingFlags", "TemplateFlags"]

THE_MODEL = Group("The model", sort_key=1)
_SWITCH = Parameter(negative=())


@Parameter(name="*", group=THE_MODEL)
@dataclass(frozen=True, kw_only=True)
class TemplateFlags:
    """How episodes are written; the fields are those of `ModelSettings` and `ChatStyle`, which must not load for `--help`."""

    format: Literal["spectrum", "colon", "chat"] | None = None
    """How episodes are written. Default: spectrum; chat for a server whose tokenizer is not given."""
    revision: str | None = None
    """Revision of a hub id; pin it, so that a run can be repeated."""
    tokenizer: str | None = None
    """Folder or hub id of a server's tokenizer, so that token ids are sent."""
    system_prompt: str | None = None
    """Format chat: what comes first; empty for none."""
    request: str | None = None
    """Format chat: the user's turn where an example has no input."""
    examples_in_prompt: Annotated[bool, _SWITCH] = False
    """Format chat: all examples so far in one user turn, in place of a dialogue."""

    def to_settings(self) -> ModelSettings:
        """The same as `ModelSettings`; what was not given is left to it."""
        from pluralign.models import ChatStyle, ModelSettings

        styles = {f.name for f in fields(ChatStyle)}
        given = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        chat = ChatStyle(**{name: given.pop(name) for name in styles & set(given)})
        return ModelSettings(chat=chat, **given)


@Parameter(name="*", group=THE_MODEL)
@dataclass(frozen=True, kw_only=True)
class ModelFlags(TemplateFlags):
    """How a model is opened and asked; the defaults are those of `ModelSettings`."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of a local model."""
    device: str = "auto"
    """Of a local model: cpu, cuda, cuda:1, ..."""
    memory_gib: float | None = None
    """Memory that a local model takes beside its weights. Default: 0.75 on a CPU, half of what is free on an accelerator."""
    base_url: str | None = None
    """Root of an OpenAI-compatible server's API."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """Which of a server's two interfaces is asked."""
    elicit: Literal["logprobs", "sampling", "verbalised"] = "logprobs"
    """Where a server's distributions come from."""
    n_elicit: int = 30
    """Samples behind a distribution that is elicited by sampling."""
    concurrency: int = 16
    """Requests under way at once at a server."""
    timeout_s: float = 120.0
    """Seconds until a server's reply counts as missing."""
    max_retries: int = 6
    """How often a request to a server is sent again."""
    max_tokens_total: int | None = None
    """Stop before a server has been asked for more tokens than this, in and out."""


@Parameter(name="*", group=THE_MODEL)
@dataclass(frozen=True, kw_only=True)
class ModelFlagsBesideFile(ModelFlags):
    """Those of all commands that ask a model, beside `ReadFlags`, whose --format is that of the file of ratings."""

    format: Annotated[Literal["spectrum", "colon", "chat"] | None, Parameter(name="--model-format")] = None
    """How episodes are written. Default: spectrum; chat for a server whose tokenizer is not given."""


@Parameter(name="*", group=Group("The run", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class AskingFlags:
    """The words that commands with a run folder share, where questions are put to a model."""

    out: Annotated[Place | None, A_PLACE] = None
    """Run folder, or its URL (s3://BUCKET/NAME); made if missing, resumed if it holds this very run. Default:
    runs/FILE-COMMAND-MODEL."""
    seed: int = 0
    """Every random choice follows from it."""
    limit: int | None = None
    """Use only the first so many episodes."""
    cache: bool = True
    """Take answers that are remembered, and remember new ones (see `pluralign cache`)."""
    price_in: float | None = None
    """What a million tokens sent to the model cost, in any currency."""
    price_out: float | None = None
    """What a million tokens from the model cost."""
    dry_run: Annotated[bool, _SWITCH] = False
    """Say what would be asked and what it costs at most, and stop."""

    def prices(self) -> Prices | None:
        """None where none was given. Raises UsageError for one without the other."""
        from pluralign.errors import UsageError
        from pluralign.scoring import Prices

        if self.price_in is None and self.price_out is None:
            return None
        if self.price_in is None or self.price_out is None:
            raise UsageError("--price-in and --price-out go together; 0 is a price too.")
        return Prices(self.price_in, self.price_out)


@Parameter(name="*", group=Group("Where the model is asked", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class EngineFlags:
    """Of commands whose units of work can be done by other processes; none of these changes a record."""

    engine: str = "local"
    """local: by this process. ray: by processes of this machine, or of the cluster that RAY_ADDRESS names. ray://HOST:PORT: by
    a cluster's (extra ray). Remembered answers are then neither used nor kept; what is finished is, in the run folder."""
    actors: int | None = None
    """Ray: processes that each hold the model, with as many threads as this one. Default: as many as there is room for."""
    gpus_each: float = 0.0
    """Ray: GPUs of each process; 0.25 puts four on one."""

    def opened(self) -> ModelEngine | None:
        """None for this process. Raises UsageError for an unknown one, MissingExtraError without Ray."""
        from pluralign.scoring.ray_engine import opened_engine

        found = opened_engine(self.engine, n_actors=self.actors, gpus_each=self.gpus_each)
        if found is not None:
            found.check()
        return found


@Parameter(name="*", group=Group("The outputs", sort_key=0))
@dataclass(frozen=True, kw_only=True)
class SamplingFlags:
    """How outputs are drawn; the defaults are those of `SamplingSettings`."""

    n: int = 1
    """Outputs for each query."""
    max_tokens: int = 256
    """Tokens after which an output is cut off."""
    temperature: float = 1.0
    """1 draws from the model's own distribution."""
    top_p: float = 1.0
    """Draw only from the most probable tokens that have this much probability together."""
    top_k: int | None = None
    """Draw only from so many most probable tokens."""

    def to_sampling(self, *, seed: int) -> SamplingSettings:
        """The same as `SamplingSettings`, which checks them."""
        from pluralign.models import SamplingSettings

        return SamplingSettings(seed=seed, **{f.name: getattr(self, f.name) for f in fields(self)})
