"""What a run took: tokens, requests, seconds, money."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from pluralign.errors import UsageError
from pluralign.models.protocol import Usage

__all__ = ["Prices", "Totals", "n_tokens", "rate", "totals_lines"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a million tokens, in any one currency."""

    input: float
    output: float

    def __post_init__(self) -> None:
        if not (0 <= self.input < float("inf") and 0 <= self.output < float("inf")):
            raise UsageError(f"prices of a million tokens must be 0 or more, not {self.input} and {self.output}.")

    def of(self, n_input: int, n_output: int) -> float:
        """What so many tokens cost."""
        return (n_input * self.input + n_output * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Totals:
    """What finished parts took together, whenever they were computed."""

    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    """Spent in the model, waiting included."""
    n_unmeasured: int = 0
    """Parts that were finished at the very moment their run was killed, so that nobody knows what they took."""

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.usage + other.usage, self.seconds + other.seconds, self.n_unmeasured + other.n_unmeasured)

    @property
    def tokens_per_second(self) -> float | None:
        """None where the model computed nothing: all was remembered, or it does not count tokens."""
        n = n_tokens(self.usage)
        return n / self.seconds if n and self.seconds > 0 else None

    def cost(self, prices: Prices | None) -> float | None:
        """None without prices, and where the model does not count the tokens that are paid for."""
        usage = self.usage
        nothing_sent = usage.cached > 0 and not (usage.requests or usage.tokens_computed)
        if prices is None or not (usage.prompt_tokens or nothing_sent):
            return None
        return prices.of(usage.prompt_tokens, usage.output_tokens)

    def to_step(self) -> dict[str, Any]:
        """As JSON, for the run folder."""
        return {"usage": dataclasses.asdict(self.usage), "seconds": self.seconds}

    @classmethod
    def from_step(cls, kept: dict[str, Any] | None) -> Totals:
        """What `to_step` wrote; None is a part of which nobody knows."""
        return cls(n_unmeasured=1) if kept is None else cls(Usage(**kept["usage"]), kept["seconds"])

    def to_dict(self, prices: Prices | None) -> dict[str, Any]:
        """For results.json; null where undefined."""
        return {
            **dataclasses.asdict(self.usage),
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "n_unmeasured_parts": self.n_unmeasured,
            "price_in": None if prices is None else prices.input,
            "price_out": None if prices is None else prices.output,
            "cost": self.cost(prices),
        }


def n_tokens(usage: Usage) -> int:
    """Useful tokens: of a local model the different ones that answers depend on, of a server those that it counts."""
    return usage.tokens_needed or usage.prompt_tokens + usage.output_tokens


def rate(totals: Totals) -> str:
    """Tokens per second, as a remark beside a bar; empty before there are any."""
    return "" if totals.tokens_per_second is None else f"{totals.tokens_per_second:,.0f} tokens/s"


def totals_lines(totals: Totals, prices: Prices | None) -> list[str]:
    """For people."""
    usage, parts = totals.usage, []
    if usage.tokens_needed:
        share = usage.tokens_computed / usage.tokens_needed
        parts.append(f"{usage.tokens_computed:,} tokens computed for {usage.tokens_needed:,} needed ({share:.2f})")
    elif usage.prompt_tokens or usage.output_tokens:
        parts.append(f"{usage.prompt_tokens:,} tokens in, {usage.output_tokens:,} out")
    if usage.requests:
        parts.append(f"{usage.requests:,} requests, {usage.retries:,} of them sent again")
    parts.append(f"{usage.cached:,} answers remembered")
    parts.append(f"{totals.seconds:,.1f} s" + (f", {rate(totals)}" if totals.tokens_per_second is not None else ""))
    lines = ["; ".join(parts)]
    if totals.n_unmeasured:
        lines.append(f"what {totals.n_unmeasured} parts took is not known: they were finished as the run was killed")
    if prices is not None:
        cost = totals.cost(prices)
        known = "not known: the model does not count the tokens it was sent" if cost is None else f"{cost:,.4f}"
        lines.append(f"cost at {prices.input:g} and {prices.output:g} a million tokens in and out: {known}")
    return lines
