"""The last layer's products only where the loss looks: behind its keys and values each token is by itself.

    token            a  b  c  d  e        loss at c and e
    keys, values     x  x  x  x  x        every token is looked at by later ones
    query            .  .  x  .  x        \\
    attention's end  .  .  x  .  x         >  0 at the others, whose states nobody reads
    MLP              .  .  x  .  x        /

With a tenth of the tokens supervised that saves most of a layer. Which modules these are is told by the names that
architectures of transformers share; whether the states are the same is tried out before it is used (`loss.open_loss`). The
places come as an argument of the model's forward, which hands it on to its layers' attention: so it is there too when gradient
checkpointing computes a layer again, and a call without it computes everything.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ARGUMENT", "LastLayer", "open_last_layer"]

ARGUMENT = "pluralign_supervised"
"""Of the model's forward: different places in the rows laid end to end."""
MOST = 0.75
"""Of the tokens: where more are supervised, everything is computed."""
_ATTENTION = "self_attn"
_NAMES = (f"{_ATTENTION}.q_proj", f"{_ATTENTION}.o_proj", "mlp")


class LastLayer:
    """Hooks on a layer's attention, which is told the places, and on modules in or behind it that may leave tokens out."""

    def __init__(self, attention: nn.Module, modules: list[nn.Module]) -> None:
        self._places: Tensor | None = None
        self._shape: tuple[int, ...] = ()
        self._hooks = [
            attention.register_forward_pre_hook(self._begin, with_kwargs=True),
            *(module.register_forward_pre_hook(self._only_some) for module in modules),
            *(module.register_forward_hook(self._among_all) for module in modules),
        ]

    def arguments(self, places: Tensor, n_tokens: int) -> dict[str, Tensor]:
        """For the model's forward on so many tokens, where these places in the rows laid end to end are looked at."""
        if len(places) > MOST * n_tokens:
            return {}
        is_looked_at = torch.zeros(n_tokens, dtype=torch.bool, device=places.device).index_fill(0, places, True)
        return {ARGUMENT: is_looked_at.nonzero()[:, 0]}

    def remove(self) -> None:
        """The layer is as it was."""
        for hook in self._hooks:
            hook.remove()

    def _begin(self, _: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        self._places = kwargs.get(ARGUMENT)
        return args, {name: value for name, value in kwargs.items() if name != ARGUMENT}

    def _only_some(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._places is None:
            return None
        self._shape = tuple(args[0].shape[:2])
        return args[0].flatten(0, 1).index_select(0, self._places)[None], *args[1:]

    def _among_all(self, _: nn.Module, __: Any, found: Tensor) -> Tensor | None:
        if self._places is None:
            return None
        every = found.new_zeros(self._shape[0] * self._shape[1], found.shape[-1])
        return every.index_copy(0, self._places, found[0]).view(*self._shape, -1)


def open_last_layer(model: Any) -> LastLayer | None:
    """Of a causal model; None where its layers have other names. What it computes then is not looked at here."""
    layers = getattr(model.get_decoder(), "layers", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        return None
    named = dict(layers[-1].named_modules())
    modules = [named[name] for name in _NAMES if name in named]
    return LastLayer(named[_ATTENTION], modules) if modules and _ATTENTION in named else None
