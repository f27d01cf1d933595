"""The page that `results.py` writes: every word of it is made here, every number comes from that run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluralign.estimates import Estimate
from results_cases import Case, Measure

PEER, RATER_MODE, STACK = "logistic", "rater-mode", "stack"
MIXED, LEARNED = "mixed", "mixed-learned"


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    log_loss: Estimate
    to_peer: Estimate
    """Log loss, less the peer's."""
    points: Estimate
    to_mode: Estimate
    """The task's own measure, less that of each rater's most frequent answer."""
    points_to_peer: Estimate
    shares: Estimate


@dataclass(frozen=True, kw_only=True)
class Found:
    case: Case
    measure: Measure
    rows: list[Row]
    n_ratings: int
    n_splits: int
    n_asked: list[int]
    n_train: list[int]
    weights: dict[str, list[float]]
    kinds: list[str]

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def line(self) -> str:
        """For the terminal."""
        parts = [f"{name} {self.row(name).log_loss.value:.4f}" for name in (PEER, MIXED, LEARNED, STACK)]
        return (
            f"{self.case.key}: log loss {', '.join(parts)}; stack - peer {_signed(self.row(STACK).to_peer)}; "
            f"{self.measure.point} stack - rater's mode {_signed(self.row(STACK).to_mode)}"
        )


def page(found: Sequence[Found]) -> str:
    """The whole page in Markdown."""
    lines = [_HEAD, *_overview(found)]
    for one in found:
        lines += ["", *_section(one)]
    return "\n".join([*lines, "", _TAIL, ""])


_HEAD = """# Results on real ratings

Written by one command; every number is from its run:

    python benchmarks/results.py --data-dir DATA --full --encoder sentence-transformers/all-MiniLM-L6-v2

**What is asked.** How probable is this answer, from this person? A model learns from training ratings, is given some ratings
of each rater, and is asked about ratings that neither it nor anything that tuned it has seen. *Known raters, new items*: given
are the rater's training ratings. *New raters*: the model has never met them; given are the ratings that `split_fit_eval` draws.

**Log loss** is in nats a rating, 0 best; ln(options) is knowing nothing. **The task's own measure** is the loss of one answer
for each rater, the one whose expected loss is least under the predicted distribution (mode for errors, median for absolute
distances). The **soft measure** compares the mean of the predicted distributions of an item's raters with what they answered.
Both are means over items, as in LeWiDi. Lower is better everywhere.

**The peer** is what most people would try first, done with care: multinomial logistic regression on TF-IDF of words, word
pairs and character n-grams of each text, an offset for each rater and, where raters are new, for each item; both penalties
chosen by cross-validation in the training part. The mixed model is the one of `pluralign study`; with *learned text features*
it also sees what the peer's words let expect of an item, out of fold; with *vectors of sentences* it sees 32 principal
components of those of all-MiniLM-L6-v2 in place of its own of TF-IDF (tables of up to 4,000 items). The stack pools those of
them that are named below each table, with weights fitted out of fold.

Intervals are 95 % bootstrap intervals over what was drawn as new (items, or raters; the task's own measures: items).
Differences are paired. They tell how far the result hangs on those items or raters, not on the draw of the training part;
where there are several splits, their held-out ratings are taken together. A difference is in bold where its interval
excludes 0."""

_TAIL = """## What these numbers are not

- Published numbers are on the test parts of their tasks, which are not here; ours are on the dev part (of MP and CSC a fifth of
  it, learned from the other four fifths, where the task has a train part beside it). They stand side by side to show
  the scale of things, not to rank.
- The only language model here is the embedded one, which cannot read these texts (it knows a few hundred words): its rows say
  what it gets, on tables that ask up to 4,000 ratings. The place for another is a line in `MODELS` of `benchmarks/results.py`.
- No weight was fitted to a held-out part. But that learned text features are offered, and with 8 components of the text, not
  32, was decided after looking at the first split of MP, CSC and POPQUORN: their rows may be kinder than those of new data."""


def _overview(found: Sequence[Found]) -> list[str]:
    head = ["data", "new", "peer", "mixed", "mixed, learned text", "stack", "mixed, learned − peer", "stack − peer"]
    rows = []
    for one in found:
        cells = [_number(one.row(name).log_loss.value) for name in (PEER, MIXED, LEARNED, STACK)]
        rows.append(
            [one.case.title, one.case.new, *cells, *(_signed(one.row(name).to_peer, bold=True) for name in (LEARNED, STACK))]
        )
    points = [
        "data",
        "new",
        "measure",
        "rater's most frequent answer",
        "peer",
        "mixed, learned text",
        "stack",
        "stack − most frequent",
    ]
    also = [
        [
            one.case.title,
            one.case.new,
            one.measure.point,
            *(_number(one.row(name).points.value) for name in (RATER_MODE, PEER, LEARNED, STACK)),
            _signed(one.row(STACK).to_mode, bold=True),
        ]
        for one in found
    ]
    below = sum(one.row(STACK).to_peer.high < 0 for one in found)
    above = sum(one.row(STACK).to_peer.low > 0 for one in found)
    words = (
        f"The stack's log loss is below the peer's in {below} of {len(found)} tables, above it in {above}; "
        f"in the other {len(found) - below - above} the interval holds 0."
    )
    return ["", "## At a glance", "", "Log loss, nats a rating:", "", *_table(head, rows), "", words, "",
            "The task's own measure:", "", *_table(points, also)]  # fmt: skip


def _section(one: Found) -> list[str]:
    head = ["model", "log loss", "− peer", one.measure.point, "− most frequent answer", f"soft: {one.measure.soft}"]
    rows = [
        [
            row.label,
            _interval(row.log_loss),
            "" if row.name == PEER else _signed(row.to_peer, bold=True),
            _interval(row.points),
            "" if row.name == RATER_MODE else _signed(row.to_mode, bold=True),
            _interval(row.shares),
        ]
        for row in one.rows
    ]
    published = [[f"*published:* {who}", "", "", value, "", ""] for who, value in one.case.published.items()]
    members = ", ".join(f"{name} {'/'.join(f'{w:.2f}' for w in weights)}" for name, weights in one.weights.items())
    n = f"{one.n_ratings:,} ratings; learned from {_range(one.n_train)}, asked {_range(one.n_asked)}"
    splits = "one split" if one.n_splits == 1 else f"{one.n_splits} splits"
    about = f"{one.case.how[0].upper()}{one.case.how[1:]}; {splits}. {n}.{f' {one.case.note}.' if one.case.note else ''}"
    pool = f"Weights of the stack ({', '.join(dict.fromkeys(one.kinds))}): {members}."
    return [f"## {one.case.title}: new {one.case.new}", "", about, "", *_table(head, [*rows, *published]), "", pool]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    safe = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in safe]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.is_defined else "–"


def _signed(estimate: Estimate, *, bold: bool = False) -> str:
    if not estimate.is_defined:
        return "–"
    text = f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]".replace("-", "−")
    return f"**{text}**" if bold and estimate.excludes(0.0) else text
