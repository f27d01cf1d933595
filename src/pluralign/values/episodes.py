"""Any language model as a model of values, rights and duties: each task is an episode of a description and one input.

The inputs are the published ones (`considerations`); a description says what the outputs are. Considerations are drawn, since
the protocol of language models has no beams; relevance and valence are the probabilities of whole options with their end. The
prompts of a situation's candidates begin alike, and a local model computes what they share once.

The embedded model is asked with the descriptions that it was trained on. It knows the situations of its simulated world and no
others, and it does not explain: `check` and the outcome "unsupported" say so.

Departures from the source: samples in place of beams; a description in front; inputs are never cut.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pluralign.episodes import Episode
from pluralign.errors import DataError, UsageError
from pluralign.models.protocol import LanguageModel, Query, Sample, SamplingSettings, Usage
from pluralign.values.considerations import (
    RELEVANCE,
    VALENCES,
    Consideration,
    ValuesTask,
    explanation_input,
    generate_input,
    one_line,
    relevance_input,
    valence_input,
)
from pluralign.values.kaleido import (
    Decoding,
    Explained,
    FloatArray,
    Generated,
    Judged,
    Pair,
    ValuesOutcome,
    generated,
)

__all__ = ["DESCRIPTIONS", "EpisodeKaleido", "sample_situations"]

DESCRIPTIONS: Mapping[ValuesTask, str] = {
    "generate": (
        "A value, right or duty that bears on the situation, in a few words. Each output begins with its kind: "
        '"Value: ", "Right: " or "Duty: ".'
    ),
    "relevance": "Whether the value, right or duty bears on the situation: Yes or No.",
    "valence": "Whether the value, right or duty Supports or Opposes what is done in the situation, or Either, as one sees it.",
    "explanation": "How the value, right or duty bears on the situation, in one or two sentences.",
}
"""What a model is told that is not the embedded one."""
_OUTCOMES: Mapping[str, ValuesOutcome] = {"stop": "ok", "length": "length", "refusal": "refusal", "failed": "failed"}
_N_LISTED = 5


class EpisodeKaleido:
    """Asks a language model by episodes. Raises UsageError for beams, which it does not have."""

    def __init__(self, model: LanguageModel, *, decoding: Decoding | None = None) -> None:
        self.model = model
        self.decoding = decoding or Decoding()
        if self.decoding.way == "beams":
            raise UsageError(f"{model.name} has no beams; leave out --decoding, or draw: --decoding samples.")
        self.is_embedded = model.name.partition("/")[0] == "embedded"
        self.descriptions = _embedded_descriptions() if self.is_embedded else DESCRIPTIONS
        self.system_params: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """The language model's."""
        return self.model.name

    @property
    def usage(self) -> Usage:
        """The language model's."""
        return self.model.usage

    def fingerprint(self) -> str:
        """The language model's, with what it is told."""
        parts = self.model.fingerprint(), sorted(self.descriptions.items()), self.decoding
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def check(self, situations: Sequence[str]) -> None:
        """Raises DataError where the embedded model is asked of a situation outside its world."""
        if not self.is_embedded:
            return
        from pluralign.suite.embedded_world import situation_texts

        known = set(situation_texts())
        strange = [(n, one_line(text)) for n, text in enumerate(situations, 1) if one_line(text) not in known]
        if strange:
            faults = [_unknown(n, text, len(situations)) for n, text in strange[:_N_LISTED]]
            faults += [f"and {len(strange) - _N_LISTED:,} more"] if len(strange) > _N_LISTED else []
            raise DataError(
                f"{self.name} knows the {len(known):,} situations of its simulated world and no other, so it has nothing to "
                "say here; draw some of them with --sample 3, or ask another model with --model hf/FOLDER",
                faults,
            )

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        """Drawn at temperature 1; those of a situation do not depend on what else is asked."""
        queries = [self._query("generate", generate_input(situation)) for situation in situations]
        drawn = self.model.sample(queries, SamplingSettings(n=n, max_tokens=self.decoding.max_new_tokens, seed=seed))
        return [[_read(sample) for sample in samples] for samples in drawn]

    def relevance(self, pairs: Sequence[Pair]) -> Judged:
        """P(Yes) / (P(Yes) + P(No)) [pairs]."""
        judged = self._judged("relevance", relevance_input, pairs, RELEVANCE)
        return Judged(judged.values[:, 0], judged.outcomes, judged.is_cut)

    def valence(self, pairs: Sequence[Pair]) -> Judged:
        """P over `VALENCES` [pairs, 3]."""
        return self._judged("valence", valence_input, pairs, VALENCES)

    def explain(self, pairs: Sequence[Pair]) -> list[Explained]:
        """One text each, drawn with a seed that is always the same; the embedded model has none."""
        if self.is_embedded:
            return [Explained(None, "unsupported") for _ in pairs]
        queries = [self._query("explanation", explanation_input(*pair)) for pair in pairs]
        drawn = self.model.sample(queries, SamplingSettings(max_tokens=self.decoding.max_explanation_tokens))
        return [_explained(sample) for (sample,) in drawn]

    def embed(self, texts: Sequence[str]) -> FloatArray | None:
        """None: the protocol of language models has no vectors."""
        return None

    def _query(self, task: ValuesTask, text: str, options: tuple[str, ...] | None = None) -> Query:
        return Query(Episode(f"values_{task}", (), description=self.descriptions[task], options=options), text)

    def _judged(
        self, task: ValuesTask, asked: Callable[[str, Consideration], str], pairs: Sequence[Pair], options: tuple[str, ...]
    ) -> Judged:
        answers = self.model.option_logprobs([self._query(task, asked(*pair), options) for pair in pairs]) if pairs else []
        shares = [one.probabilities if one.outcome == "ok" else np.full(len(options), np.nan) for one in answers]
        values = np.array(shares, dtype=np.float64).reshape(len(pairs), len(options))
        outcomes: list[ValuesOutcome] = [
            "malformed" if one.outcome == "ok" and np.isnan(row).any() else one.outcome
            for one, row in zip(answers, values, strict=True)
        ]
        return Judged(values, tuple(outcomes), np.zeros(len(pairs), dtype=np.bool_))


def sample_situations(n: int, *, seed: int) -> list[str]:
    """So many different situations of the embedded model's world, by chance. Raises UsageError where there are not so many."""
    from pluralign.streams import stream
    from pluralign.suite.embedded_world import situation_texts

    texts = situation_texts()
    if not 1 <= n <= len(texts):
        raise UsageError(f"--sample {n}: it is a number of situations, 1..{len(texts):,}.")
    return [texts[i] for i in stream(seed, "values sample").permutation(len(texts))[:n].tolist()]


def _embedded_descriptions() -> dict[ValuesTask, str]:
    from pluralign.suite.embedded_values import values_description

    return {
        "generate": values_description("generate"),
        "relevance": values_description("relevance"),
        "valence": values_description("valence"),
    }


def _unknown(n: int, text: str, n_asked: int) -> str:
    from pluralign.suite.embedded_world import situation_texts

    near = difflib.get_close_matches(text[:200], situation_texts(), n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{f'situation {n}: ' if n_asked > 1 else ''}{text[:100]!r} is not among them{hint}"


def _read(sample: Sample) -> Generated:
    return generated(sample.text, _OUTCOMES[sample.finish_reason], logprob=sample.logprob)


def _explained(sample: Sample) -> Explained:
    outcome = _OUTCOMES[sample.finish_reason]
    text = one_line(sample.text)
    return Explained(text or None, outcome if text or outcome != "ok" else "malformed")
