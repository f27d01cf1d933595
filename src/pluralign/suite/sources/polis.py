"""Public conversations on Polis: comments that participants wrote, and who agreed, disagreed or passed on which.

Of several votes of a voter on a comment the last one counts. Single votes (`votes.csv`) are taken where they are there, else
the table of the last ones (`participants-votes.csv`). Left out: comments without text, comments of fewer than three words that
say "test", votes on either or on a comment that `comments.csv` lacks, voters with fewer than four votes on what is left.
Comments that moderators took out are kept, with their votes.

Departure: 500 voters of a conversation are drawn by chance, not the first ones.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import files_there, read_csv, read_text, unusable
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task

__all__ = ["CONVERSATIONS", "SOURCE", "Conversation", "load"]

CONVERSATIONS = (
    "15-per-hour-seattle",
    "american-assembly.bowling-green",
    "austria-climate.2vkxcncppn.2022-07-07",
    "austria-climate.5twd2jsnkf.2022-08-08",
    "austria-climate.5tzfrp5eaa.2022-07-07",
    "austria-climate.7z7ejpbmv5.2022-08-08",
    "austria-climate.9xnndurbfm.2022-07-07",
    "bg2050-volunteers",
    "brexit-consensus",
    "canadian-electoral-reform",
    "football-concussions",
    "london.youth.policing",
    "march-on.operation-marchin-orders",
    "scoop-hivemind.affordable-housing",
    "scoop-hivemind.biodiversity",
    "scoop-hivemind.freshwater",
    "scoop-hivemind.taxes",
    "scoop-hivemind.ubi",
    "ssis.land-bank-farmland.2rumnecbeh.2021-08-01",
    "vtaiwan.uberx",
)
"""Folders, each with comments.csv, summary.csv and votes.csv or participants-votes.csv."""
VOTES = {"-1": "Disagree", "0": "Pass", "1": "Agree"}
N_VOTERS = 500
"""Of a conversation, at most."""
LEAST_VOTES = 4
CARD = Card(
    name="polis",
    what="20 public conversations on Polis with their comments and votes, in several languages.",
    citation="The Computational Democracy Project, openData; Small et al. 2021, Polis: Scaling Deliberation",
    licence="CC BY 4.0",
    access=Repository("https://github.com/compdemocracy/openData", "0bc2ce0f32c673f68da20b57bce15c457aa787b5", CONVERSATIONS),
    ran_on_real_file=True,
    unit="voter",
    chance={"polis_vote": 1 / 3},
    problems=(
        "six of the 20 conversations were read for real",
        "comments that moderators took out are kept, with their votes",
        "as a rule authors agree with their own comments: Polis enters that vote for them",
    ),
    each_alone=True,
)
_OTHERS = ("participant", "xid", "group-id", "n-comments", "n-votes", "n-agree", "n-disagree")
"""Columns of participants-votes.csv that are no comment's."""
_VOTE_WORDINGS = (
    "How one participant in an online conversation voted on each comment: Agree, Disagree or Pass.",
    "The same person votes on every comment. Possible votes: Agree, Disagree, Pass.",
    "One person's votes. For each comment the answer is Agree, Disagree or Pass, where Pass means neither of the other two.",
    "Would this voter agree? All votes are one person's: Agree / Disagree / Pass",
)
_COMMENT_WORDINGS = (
    "Comments that participants in an online conversation wrote.",
    "Statements from an online town hall.",
    "Comments as people make them at a town-hall meeting; these were written in an online conversation.",
    "Short statements that were put to the participants in an online conversation, who could agree, disagree or pass.",
    "What people had to say in a public conversation.",
    "Town-hall comments, each by someone who takes part.",
    "Statements for others to vote on, one at a time.",
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One of them; topic and description are None where its hosts wrote none."""

    topic: str | None
    description: str | None
    comments: dict[str, str]
    """Comment id to text."""
    votes: dict[str, dict[str, str]]
    """Voter id to comment id to Agree, Disagree or Pass."""


def load(folder: Path | None) -> dict[str, Conversation]:
    """Folder name to conversation, of those that are there."""
    return {name: _conversation(folder, name) for name in files_there(CARD, folder)}


def _conversation(folder: Path | None, name: str) -> Conversation:
    topic, description = _summary(folder, f"{name}/summary.csv")
    comments = _comments(folder, f"{name}/comments.csv")
    single, last = f"{name}/votes.csv", f"{name}/participants-votes.csv"
    only_last = folder is not None and (folder / last).exists() and not (folder / single).exists()
    cells = _last_votes(folder, last) if only_last else _single_votes(folder, single)
    votes: dict[str, dict[str, str]] = {}
    for voter, comment, vote in cells:
        if comment in comments:
            votes.setdefault(voter, {})[comment] = VOTES[vote]
    return Conversation(topic, description, comments, votes)


def _summary(folder: Path | None, file: str) -> tuple[str | None, str | None]:
    """Topic and description, from a table without a header: each row a name and a value."""
    try:
        rows = list(csv.reader(io.StringIO(read_text(CARD, folder, file), newline=""), strict=True))
    except csv.Error as error:
        raise unusable(CARD, folder, file, f"it cannot be read as CSV: {error}") from error
    said = {row[0]: row[1].strip() for row in rows if len(row) == 2}
    faults = [f"row {n}: {len(row)} fields, where 2 are needed" for n, row in enumerate(rows, 1) if len(row) not in (0, 2)]
    faults += [f"there is no row {key!r}" for key in ("topic", "conversation-description") if key not in said]
    if faults:
        raise unusable(CARD, folder, file, faults)
    return said["topic"] or None, said["conversation-description"] or None


def _comments(folder: Path | None, file: str) -> dict[str, str]:
    rows = read_csv(CARD, folder, file, ["comment-id", "comment-body"]).rows()
    texts: dict[str, str] = {}
    faults = []
    for n, (comment, text) in enumerate(rows, 1):
        if comment is None or texts.get(comment, text) != text:
            faults.append(f"row {n}: comment-id {comment!r}: " + ("it is missing" if comment is None else "it has two texts"))
        texts[comment] = text
    if faults:
        raise unusable(CARD, folder, file, faults)
    return {comment: text for comment, text in texts.items() if text and text.strip() and not _is_test(text)}


def _is_test(text: str) -> bool:
    return len(text.split()) < 3 and re.search(r"\btest", text, re.IGNORECASE) is not None


def _single_votes(folder: Path | None, file: str) -> Iterable[tuple[str, str, str]]:
    """Voter, comment and vote in the order of time."""
    rows = read_csv(CARD, folder, file, ["timestamp", "voter-id", "comment-id", "vote"]).rows()
    faults = [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _vote_faults(*row)]
    if faults:
        raise unusable(CARD, folder, file, faults)
    return [row[1:] for row in sorted(rows, key=lambda row: int(row[0]))]


def _vote_faults(time: str | None, voter: str | None, comment: str | None, vote: str | None) -> list[str]:
    faults = [] if time and time.isdecimal() else [f"timestamp must be a whole number, not {time!r}"]
    faults += [f"{name} is missing" for name, value in (("voter-id", voter), ("comment-id", comment)) if value is None]
    return faults if vote in VOTES else [*faults, f"vote must be -1, 0 or 1, not {vote!r}"]


def _last_votes(folder: Path | None, file: str) -> list[tuple[str, str, str]]:
    """The same, from one row a voter and one column a comment."""
    header = next(csv.reader([read_text(CARD, folder, file).split("\n", 1)[0].rstrip("\r")]))
    comments = [column for column in header if column.isdecimal()]
    if odd := [column for column in header if column not in _OTHERS and column not in comments]:
        raise unusable(CARD, folder, file, [f"column {column!r} is neither a comment's number nor known" for column in odd])
    cells, faults = [], []
    for n, (voter, *votes) in enumerate(read_csv(CARD, folder, file, ["participant", *comments]).rows(), 1):
        faults += [f"row {n}: participant is missing"] if voter is None else []
        for comment, vote in zip(comments, votes, strict=True):
            if vote is not None:
                faults += [] if vote in VOTES else [f"row {n}, column {comment}: a vote must be -1, 0 or 1, not {vote!r}"]
                cells.append((voter, comment, vote))
    if faults:
        raise unusable(CARD, folder, file, faults)
    return cells


def _descriptions(wordings: Sequence[str], found: Conversation) -> tuple[str, ...]:
    """Each wording alone, with the topic, with the hosts' description, with both in either order; these come before or after.

    A wording alone comes twice, so that it has the share of the others.
    """
    said = [f"Topic: {found.topic}"] if found.topic else []
    said += [f"About the conversation: {found.description}"] if found.description else []
    prefixes = [(), *((one,) for one in said), *(itertools.permutations(said) if len(said) == 2 else [])]
    parts = [p for wording in wordings for prefix in prefixes for p in ((*prefix, wording), (wording, *prefix))]
    return tuple("\n".join(lines) for lines in parts)


def _vote_strands(data: dict[str, Conversation], seed: int) -> Iterator[Strand]:
    for name, found in data.items():
        descriptions = _descriptions(_VOTE_WORDINGS, found)
        voters = {f"{name}/{voter}": votes for voter, votes in found.votes.items() if len(votes) >= LEAST_VOTES}
        for unit, votes in chosen_units(seed, "polis_vote", voters, N_VOTERS).items():
            yield Strand(
                unit=unit,
                examples=[Example(vote, found.comments[comment]) for comment, vote in votes.items()],
                descriptions=descriptions,
                options=("Agree", "Disagree", "Pass"),
            )


def _comment_strands(data: dict[str, Conversation], seed: int) -> Iterator[Strand]:
    for name, found in data.items():
        yield Strand(
            unit=name,
            examples=[Example(text) for text in found.comments.values()],
            descriptions=_descriptions(_COMMENT_WORDINGS, found),
            n_outputs=Around(64),
            n_episodes=None,
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(name="polis_vote", kind="individual", split="train", strands=_vote_strands, about="a vote on a comment"),
        Task(name="polis_comment", kind="text", split="train", strands=_comment_strands, about="a comment"),
    ),
)
