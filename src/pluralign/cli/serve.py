"""The command that serves the explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from pluralign.cli.flags import ReadFlags
from pluralign.cli.model_flags import THE_MODEL, ModelFlagsBesideFile
from pluralign.cli.printing import say

__all__ = ["serve"]

_MODEL, _READ = ModelFlagsBesideFile(), ReadFlags()
_SHOWN = Group("What is shown", sort_key=0)
_SERVICE = Group("The service", sort_key=2)


def serve(
    *,
    model: Annotated[str, Parameter(group=THE_MODEL)] = "embedded",
    decoder: Annotated[str | None, Parameter(group=THE_MODEL)] = None,
    ratings: Annotated[Path | None, Parameter(group=_SHOWN)] = None,
    profiles: Annotated[Path | None, Parameter(group=_SHOWN)] = None,
    runs: Annotated[Path | None, Parameter(group=_SHOWN)] = None,
    n: Annotated[int, Parameter(group=_SHOWN)] = 100,
    host: Annotated[str, Parameter(group=_SERVICE)] = "127.0.0.1",
    port: Annotated[int, Parameter(group=_SERVICE)] = 8000,
    most_waiting: Annotated[int, Parameter(group=_SERVICE)] = 64,
    opened: ModelFlagsBesideFile = _MODEL,
    read: ReadFlags = _READ,
) -> None:
    """Explore in a browser: values, rights and duties of a situation, value profiles, reports. On this machine alone.

    Parameters
    ----------
    model
        hf/FOLDER_OR_ID (an encoder-decoder such as a Kaleido checkpoint, or any causal model), openai/NAME, vllm/..., embedded.
    decoder
        The model that predicts ratings from profiles. Default: the model itself, if it is no encoder-decoder.
    ratings
        A table of ratings, for the tab with profiles. The embedded model has raters of its own world.
    profiles
        The raters' profiles: a file or run folder of `pluralign profile write`.
    runs
        Folder with run folders, whose reports are shown.
    n
        Candidates that are generated for a situation.
    host
        Address to listen on. Anything but loopback lets others in: there is no password.
    port
        0 takes a free one.
    most_waiting
        Questions that may wait; beyond it the answer is 503.
    """
    from pluralign import serving
    from pluralign.values.setup import SystemSettings

    def started(address: str) -> None:
        say(f"Serving {model} at {address} (stop with Ctrl-C)")

    if host not in ("127.0.0.1", "localhost", "::1"):
        say(f"warning: {host} is not loopback: whoever reaches this machine can ask the model; there is no password.")
    serving.serve(
        model,
        decoder=decoder,
        ratings=ratings,
        read=read.to_options(),
        profiles=profiles,
        runs=runs,
        host=host,
        port=port,
        most_waiting=most_waiting,
        settings=opened.to_settings(),
        system=SystemSettings(n=n, explain=model.partition("/")[0] != "embedded"),
        on_start=started,
    )
