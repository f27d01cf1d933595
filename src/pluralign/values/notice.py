"""What every answer with values, rights and duties says of itself."""

from __future__ import annotations

from pluralign.terminal import printable

__all__ = ["notice"]

_NO_VERDICT = "These values, rights and duties are a model's suggestions, not a verdict and not a poll."


def notice(model_name: str) -> str:
    """That the list is a model's suggestion, and whose data the model learned from, in two or three sentences.

    >>> notice("embedded").startswith("These values, rights and duties are a model's suggestions, not a verdict")
    True
    """
    kind = model_name.partition("/")[0]
    name = printable(model_name)
    if kind == "embedded":
        learned = f"{name} learned a formula about made-up situations of a simulated world: it holds nobody's opinion."
    elif kind == "scripted":
        learned = f"{name} learned nothing: it answers from a table, for tests."
    else:
        learned = (
            f"What {name} lists follows the texts that it learned from; its card says whose they are. The published Kaleido "
            "models learned from ValuePrism, where GPT-4 wrote the considerations for situations that English speakers wrote. "
            "Perspectives that such data lack are missing here too."
        )
    return f"{_NO_VERDICT} {learned}"
