"""Episodes: the one currency between data, tuning and evaluation; in memory, as chat messages and in files."""

from pluralign.episodes.columns import EpisodeColumns, columns_of, read_columns
from pluralign.episodes.episode import Attribute, Episode, Example, from_messages, to_messages
from pluralign.episodes.files import iter_episodes, read_episodes, write_episodes

__all__ = [
    "Attribute",
    "Episode",
    "EpisodeColumns",
    "Example",
    "columns_of",
    "from_messages",
    "iter_episodes",
    "read_columns",
    "read_episodes",
    "to_messages",
    "write_episodes",
]
