"""Where Inspect finds our scorers and metrics by name: the package's entry point of its group `inspect_ai`.

Inspect imports this module when a name begins with `pluralign/`, and expects that importing registers. Nothing else imports it.
Source: https://inspect.aisi.org.uk/extensions.html
"""

from __future__ import annotations

from importlib.util import find_spec

from pluralign.evals.inspect_scorers import register

__all__: list[str] = []

if find_spec("inspect_ai") is not None:
    register()
