"""Where a model's files are, and which tensors of them have a row for each token: the embedding and the output layer.

What these are called is asked of the model's own class, built without weights; a file may put other words in front of a name
than the class does. Only safetensors are read, and no code that comes with a model is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.tuning.transplant_rows import Tensor, read_header, same_content

__all__ = ["INDEX", "SINGLE", "Layers", "Source", "Weights", "open_source", "read_layers", "read_weights"]

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Source:
    """A model in a folder or on the hub, of which files are asked one by one."""

    name: str
    commit: str | None
    """Of the hub; None for a folder."""

    @property
    def public_name(self) -> str:
        """The hub id; of a folder its own name, without where it is on this machine."""
        return self.name if self.commit else Path(self.name).resolve().name

    def find(self, file: str) -> Path | None:
        """Where the file is, fetched from the hub if it has to be; None if there is none of this name.

        Of a model of the hub that is read offline, a file that is not in the cache counts as none.
        """
        if Path(self.name).is_dir():
            path = Path(self.name) / file
            return path if path.is_file() else None
        from huggingface_hub import errors, hf_hub_download

        try:
            return Path(hf_hub_download(self.name, file, revision=self.commit))
        except Exception as error:  # of its own, of hf_xet and of the HTTP library, which pass through it
            is_offline = isinstance(error.__cause__, errors.OfflineModeIsEnabled)
            is_known = isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError)
            if is_offline or is_known:
                return None
            raise ModelError(f"{self.name}: {file} cannot be had from the hub: {str(error).strip() or repr(error)}") from error

    def get(self, file: str) -> Path:
        """The same of a file that has to be there."""
        if (found := self.find(file)) is None:
            raise ModelError(f"{self.name}: the file {file} is missing; give a complete checkpoint.")
        return found


@dataclass(frozen=True, slots=True)
class Layers:
    """What the class of a model says of its embedding and its output layer."""

    input: str
    """Name of the embedding's weights; likewise below."""
    output: str
    bias: str | None
    """Of the output layer; most have none."""
    is_tied: bool
    """The output layer is the embedding."""
    n_rows: int
    width: int


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors with a row for each token."""

    input: Tensor
    output: Tensor | None
    """None where the output layer is the embedding and is not in the files once more."""
    bias: Tensor | None
    others: tuple[str, ...]
    """What else has rows for tokens, in the files that were looked at."""
    paths: tuple[Path, ...]
    """Of the files that were looked at."""


def open_source(name: str, revision: str | None) -> Source:
    """Raises ModelError where there is no model; a branch is pinned to its present commit."""
    try:
        from pluralign.models.loading import check_folder
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), extra="local") from error
    check_folder(name)
    is_folder = Path(name).is_dir()
    if is_folder and revision is not None:
        raise UsageError(f"{name} is a folder, which has no revision '{revision}'; revisions are of hub ids.")
    asked = Source(name, revision)
    config = asked.find("config.json")
    if config is None:
        is_adapter = asked.find("adapter_config.json") is not None
        what = "this is an adapter; merge it into its model first." if is_adapter else f"no config.json{_asked_where(name)}."
        raise ModelError(f"{name}: {what}")
    return Source(name, None if is_folder else config.parent.name)


def read_layers(source: Source) -> Layers:
    """Raises ModelError for a model that transformers has no class for, or whose layers it does not name."""
    try:
        model = _without_weights(source)
        into, out = model.get_input_embeddings(), model.get_output_embeddings()
        named = list(model.named_parameters(remove_duplicate=False))
        first = next(name for name, one in named if one is into.weight)
        last = next(name for name, one in reversed(named) if one is out.weight)  # of tied ones, the name of its own
        bias = next((name for name, one in named if one is getattr(out, "bias", None)), None)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError, StopIteration) as error:
        raise ModelError(
            f"{source.name}: its embedding and output layer cannot be told: {error or type(error).__name__}\n"
            "Give a causal language model that transformers knows; code that comes with a model is never run."
        ) from error
    return Layers(first, last, bias, into.weight is out.weight, *map(int, into.weight.shape))


def read_weights(source: Source, layers: Layers, *, whole: bool) -> Weights:
    """Where the rows are; every file is fetched and looked through if `whole`, else only those that hold them.

    Raises ModelError for files that are broken, missing, or do not hold what the configuration says.
    """
    files = _tensor_files(source)
    into = _named(files, layers.input)
    out, bias = _named(files, layers.output), layers.bias and _named(files, layers.bias)
    wanted = [name for name in (into, out, bias) if name]
    if into is None or (out is None and not layers.is_tied) or (bias is None and layers.bias):
        missing = layers.input if into is None else layers.output if out is None else layers.bias
        raise ModelError(f"{source.name}: no tensor of its files is {missing}, or several are; e.g. {_some(files)}.")
    paths = [source.get(file) for file in sorted(set(files.values()) if whole else {files[name] for name in wanted})]
    tensors = {name: tensor for path in paths for name, tensor in read_header(path).items()}
    if lost := sorted((set(files) if whole else set(wanted)) - set(tensors)):
        raise ModelError(f"{source.name}: {INDEX} names tensors that its files do not hold, e.g. {_some(lost)}; get it again.")
    found = {name: tensors[name] for name in wanted}
    _check_shapes(source, layers, list(found.values()))
    if layers.is_tied and out in found and not same_content(found[into], found[out]):
        raise ModelError(
            f"{source.name}: {out} is said to be {into}, yet the files hold two different ones; repair config.json."
        )
    others = tuple(name for name in tensors if name not in found and _is_per_token(tensors[name], layers))
    return Weights(found[into], found.get(out or ""), found.get(bias or ""), others, tuple(paths))


def _without_weights(source: Source) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(source.name, revision=source.commit, trust_remote_code=False)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager", trust_remote_code=False)


def _tensor_files(source: Source) -> dict[str, str]:
    """Tensor -> the file that holds it; the choice of files is that of transformers."""
    single = source.find(SINGLE)
    if single is not None:
        return dict.fromkeys(read_header(single), SINGLE)
    index = source.find(INDEX)
    if index is None:
        raise ModelError(
            f"{source.name}: no weights as safetensors ({SINGLE}, or {INDEX}); others are never read. Convert them."
        )
    try:
        found = {str(name): str(file) for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source.name}: {INDEX} does not say which file holds which tensor; get it again.") from error
    if outside := [file for file in found.values() if Path(file).name != file or not file.endswith(".safetensors")]:
        raise ModelError(f"{source.name}: {INDEX} names the file {outside[0]!r}; allowed are names that end in .safetensors.")
    return found


def _named(names: Iterable[str], parameter: str) -> str | None:
    """The tensor of this parameter: of its very name, or the only one that ends in the same last two words."""
    if parameter in names:
        return parameter
    last = ".".join(parameter.split(".")[-2:])
    found = [name for name in names if name == last or name.endswith(f".{last}")]
    return found[0] if len(found) == 1 else None


def _check_shapes(source: Source, layers: Layers, found: list[Tensor]) -> None:
    for one in found:
        if one.shape not in ((layers.n_rows, layers.width), (layers.n_rows,)):
            raise ModelError(
                f"{source.name}: {one.name} is {_times(one.shape)} in {one.path.name} but {layers.n_rows:,} x {layers.width:,} "
                "by config.json; get a checkpoint whose files go together."
            )


def _is_per_token(tensor: Tensor, layers: Layers) -> bool:
    """Such as embeddings for every layer, or those of heads that guess several tokens ahead."""
    is_matrix = len(tensor.shape) == 2
    return is_matrix and (tensor.n_rows == layers.n_rows or tensor.name.split(".")[-2:][0].startswith("embed_tokens"))


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3])


def _asked_where(name: str) -> str:
    from huggingface_hub import constants

    is_cache_only = constants.HF_HUB_OFFLINE and not Path(name).is_dir()
    return " in the hub's cache, and HF_HUB_OFFLINE keeps the hub from being asked" if is_cache_only else "; give a model"
