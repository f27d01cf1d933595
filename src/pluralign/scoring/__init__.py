"""The verbs over episodes and language models: score, sample, show; each with the same arguments as on the command line."""

from pluralign.scoring.drawn import Samples, sample
from pluralign.scoring.lines import samples_lines, scores_lines
from pluralign.scoring.plans import AskingPlan, plan_sample, plan_score
from pluralign.scoring.scored import Scores, score
from pluralign.scoring.shown import ShownEpisode, show
from pluralign.scoring.totals import Prices, Totals

__all__ = [
    "AskingPlan",
    "Prices",
    "Samples",
    "Scores",
    "ShownEpisode",
    "Totals",
    "plan_sample",
    "plan_score",
    "sample",
    "samples_lines",
    "score",
    "scores_lines",
    "show",
]
