"""Random episodes, and every kind of tokenizer with every format it can be written in."""

from __future__ import annotations

from hypothesis import strategies as st

from models import tiny
from pluralign.episodes import Episode, Example
from pluralign.models import Template, open_template

MAKERS = {
    **{f"spectrum-{family}": ("spectrum", lambda family=family: tiny.spectrum_checkpoint(family)) for family in tiny.TURNS},
    **{f"colon-{family}": ("colon", lambda family=family: tiny.spectrum_checkpoint(family)) for family in tiny.TURNS},
    **{f"chat-{family}": ("chat", lambda family=family: tiny.instruct(family)) for family in tiny.TURNS},
    "colon-plain": ("colon", tiny.plain),
    "spectrum-first": ("spectrum", lambda: tiny.blank_in_front("first")),
    "spectrum-always": ("spectrum", lambda: tiny.blank_in_front("always")),
    "spectrum-prepend": ("spectrum", lambda: tiny.blank_in_front("prepend")),
    "colon-prepend": ("colon", lambda: tiny.blank_in_front("prepend")),
}
_OPENED: dict[str, Template] = {}


def template(case: str) -> Template:
    if case not in _OPENED:
        name, make = MAKERS[case]
        _OPENED[case] = open_template(name, make())
    return _OPENED[case]


# ▁ is how SentencePiece writes a blank: its models cannot tell the two apart
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0▁")
plain_texts = st.text(_characters, min_size=1, max_size=12) | st.sampled_from(["yes", "no", "1", "10", "How warm is it?"])
texts = plain_texts | st.lists(plain_texts | st.sampled_from(tiny.CONTROL_TEXTS), min_size=1, max_size=4).map("".join)


def episodes(content: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Episode]:
    examples = st.builds(Example, content, st.none() | content)
    return st.builds(Episode, st.just("task"), st.lists(examples, max_size=4).map(tuple), st.none() | content)
