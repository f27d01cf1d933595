"""Makes the embedded model's tokenizer: python recipes/embedded_tokenizer.py FOLDER

A byte-level BPE of 1,024 tokens at most that writes any text. What the embedded model reads again and again is one token each:
the parts of situations, the names of values, rights and duties, the fixed wordings, so that a situation is three tokens and an
example of a situation and its rating is eight:

    <|turn|>input  Saving half of every wage | at a university | , just for the fun of it.  <|end|> <|turn|>output 4 <|end|>

Those tokens are added ones that are not special: they are content, and what comes of the text around them does not depend on
them. The beginning of a turn and its role are one control token, so a text rendered with the chat template and then tokenised
as a whole has the same ids as its parts. There is no token for the beginning of a text. Numbers are cut into pairs of digits
from the left.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.ratings.simulate import ATTRIBUTES
from pluralign.ratings.situations import BASIC_VALUES
from pluralign.suite.embedded_episodes import (
    ATTRIBUTES_TOLD,
    GROUP_TOLD,
    PROFILE_TASK,
    RATINGS_TOLD,
    population_description,
)
from pluralign.suite.embedded_mixture import sample_texts
from pluralign.suite.embedded_values import BEARINGS, RELEVANCE, VALENCE, ValuesKind, kaleido_input, values_description
from pluralign.suite.embedded_world import sentence_parts, situation_texts
from pluralign.suite.simulated_worlds import profile_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["PAD", "TURN_END", "TURN_START", "make_tokenizer", "whole_tokens"]

VOCABULARY = 1024
PAD, TURN_START, TURN_END = "<|pad|>", "<|turn|>", "<|end|>"
ROLES = ("description", "input", "output")
TEMPLATE = (
    "{%- set roles = {'system': 'description', 'user': 'input', 'assistant': 'output'} -%}"
    "{%- for message in messages -%}"
    f"{{{{- '{TURN_START}' + roles.get(message['role'], message['role']) + message['content'] + '{TURN_END}' -}}}}"
    "{%- endfor -%}"
    f"{{%- if add_generation_prompt -%}}{{{{- '{TURN_START}output' -}}}}{{%- endif -%}}"
)
"""Takes the roles of episodes, and those of chats in their place."""
SAMPLED_EPISODES = 200
"""Of each family, from which merges are learned."""


def whole_tokens() -> list[str]:
    """Every text that is one token beside what merges make; no two are equal."""
    kinds: tuple[ValuesKind, ...] = ("generate", "relevance", "valence", "list")
    names = [*BASIC_VALUES, *(one.text for one in BEARINGS if one.kind != "Value")]
    levels = [level for levels in ATTRIBUTES.values() for level in levels]
    texts = [
        *sentence_parts(),
        *names,
        *(f" {value}" for value in BASIC_VALUES),
        *levels,
        *_attribute_frames(),
        *_profile_wordings(),
        *(f"{before}{kind}: " for kind in ("Value", "Right", "Duty") for before in ("", "\t")),
        *(kaleido_input(kind, "") for kind in kinds),
        *map(values_description, kinds),
        *('[{"value": "', '", "valence": "serves"}', '", "valence": "goes against"}', ', {"value": "'),
        *RELEVANCE,
        *VALENCE,
        *("Heads", "Tails", ": "),
        *(
            RATINGS_TOLD,
            f" {ATTRIBUTES_TOLD} ",
            f" {GROUP_TOLD} ",
            PROFILE_TASK,
            population_description(0).removesuffix(situation_texts()[0]),
        ),
    ]
    return list(dict.fromkeys(texts))


def _attribute_frames() -> list[str]:
    """What stands around the levels of attributes in a JSON object."""
    names = [name.removeprefix("rater_") for name in ATTRIBUTES]
    return [f'{{"{names[0]}": "', *(f'", "{name}": "' for name in names[1:]), '"}']


def _profile_wordings() -> list[str]:
    """The sentences of profiles, cut around the names of values."""
    import numpy as np

    found: list[str] = []
    for size in (1.0, -1.0):
        said = profile_text(("power",), np.array([size]), shift=size, log_spread=size)
        found += re.findall(r" ?[^.:]+[.:]", said.replace(" power.", ""))
    return found


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; the same every time."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    whole = whole_tokens()
    controls = (PAD, TURN_START, TURN_END, *(TURN_START + role for role in ROLES))
    n_more = VOCABULARY - len(whole) - len(controls)
    backend = _trained(_pieces(sample_texts(SAMPLED_EPISODES), whole), n_more)
    backend.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in controls])
    backend.add_tokens([AddedToken(text, normalized=False) for text in whole])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=TURN_END,
        additional_special_tokens=[text for text in controls if text not in (PAD, TURN_END)],
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _trained(texts: Iterable[str], n_tokens: int) -> Tokenizer:
    """A byte-level BPE of so many tokens in which every pair of digits is one."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\d{1,2}"), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=[]
    )
    pairs = [f"{number:02}" for number in range(100)]
    backend.train_from_iterator([*texts, *(pair for pair in pairs for _ in range(100_000))], trainer)
    if missing := [pair for pair in pairs if backend.token_to_id(pair) is None]:
        raise AssertionError(f"no token of its own: {missing}")
    return backend


def _pieces(texts: Iterable[str], whole: Iterable[str]) -> Iterator[str]:
    """The texts without what is a token of its own anyway."""
    pattern = re.compile("|".join(map(re.escape, sorted(whole, key=len, reverse=True))))
    for text in texts:
        yield from filter(None, pattern.split(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    print(json.dumps({"folder": str(folder), "tokens": len(tokenizer)}))


if __name__ == "__main__":
    main()
