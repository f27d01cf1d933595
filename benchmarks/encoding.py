"""Claim: a built suite becomes sequences of tokens, ready to be packed, far quicker than by one tokenizer call per segment.

    python benchmarks/encoding.py            four tasks, a small vocabulary, some seconds
    python benchmarks/encoding.py --full     the 16 synthetic tasks at published sizes; some minutes

The peer tokenises every segment (opening, text, end of turn) by a call of its own through `transformers`, one process, as the
published implementation does. It gets exactly the examples that fit the window, already in memory; ours reads the parquet files
and finds out what fits. All ids and loss flags are compared before anything is reported. Whole episodes are a second case:
there the peer is timed on a part, every so many episodes of each file, and scaled by tokens. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pluralign.episodes import Episode, iter_episodes
from pluralign.models import FlatEncoded, Template, open_template
from pluralign.suite.build import build
from pluralign.tuning import encode_files
from suite import ALL, FEW, write_judged, write_lists, write_names
from templates import call_per_segment, sentences, train, words

TARGET_RATIO = 20.0
WINDOW = 1024
PART = 12
"""With whole episodes, the peer gets every so many."""


def ours(files: list[Path], template: Template, max_tokens: int | None) -> tuple[list[FlatEncoded], float]:
    start = time.perf_counter()
    found = [cut.sequences for cut in encode_files(files, template, max_tokens=max_tokens)]
    return found, time.perf_counter() - start


def kept_episodes(files: list[Path], sequences: list[FlatEncoded]) -> Iterator[tuple[Episode, np.ndarray, np.ndarray]]:
    """Each episode with the examples that are in its sequence, and the sequence's ids and loss flags."""
    every = (episode for file in files for episode in iter_episodes(file))
    for part in sequences:
        for a, b in zip(part.starts[:-1], part.starts[1:], strict=True):
            episode = next(every)
            n = int(part.example_index[b - 1]) + 1 if b > a else 0
            shown = Episode(episode.task, episode.examples[:n], episode.description)
            yield shown, part.ids[a:b], part.is_loss[a:b]


def check(template: Template, episode: Episode, ids: np.ndarray, is_loss: np.ndarray, theirs: list[int]) -> None:
    if ids.tolist() != theirs:
        raise SystemExit("ids differ from those of one call per segment; nothing is reported.")
    if is_loss.tolist() != template.encode([episode])[0].is_loss.tolist():
        raise SystemExit("loss flags differ from those of one episode alone; nothing is reported.")


def row(
    case: str, files: list[Path], tokenizer: object, max_tokens: int | None, part: int, target: float | None
) -> dict[str, object]:
    seconds = []
    for _ in range(3):  # each time with a template that remembers no text
        template = open_template("spectrum", tokenizer)  # type: ignore[arg-type]
        sequences, took = ours(files, template, max_tokens)
        seconds.append(took)
    n_tokens = sum(len(one.ids) for one in sequences)
    n_compared, peer = 0, 0.0
    for number, (episode, ids, is_loss) in enumerate(kept_episodes(files, sequences)):
        if number % part or not len(ids):
            continue
        start = time.perf_counter()
        [theirs] = call_per_segment([episode], lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])  # type: ignore[operator]
        peer += time.perf_counter() - start
        check(template, episode, ids, is_loss, theirs)
        n_compared += len(ids)
    peer *= n_tokens / n_compared
    took = sorted(seconds)[1]
    case += f", {n_tokens:,} tokens" + (f"; the peer on {n_compared:,} of them" if part > 1 else "")
    print(f"{case}\n  ours {took:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), peer {peer:.1f} s, ratio {peer / took:.1f}")
    return {"case": case, "ours": took, "peer": peer, "ratio": peer / took, "unit": "s", "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description="A built suite to sequences of tokens, beside one tokenizer call per segment.")
    parser.add_argument("--full", action="store_true", help="the 16 synthetic tasks at published sizes (about five minutes)")
    full = parser.parse_args().full
    tokenizer = train(
        [*sentences(20_000 if full else 1_000, words(20_000 if full else 1_000, seed=1), seed=2)], 32_000 if full else 2_000
    )
    with tempfile.TemporaryDirectory() as place:
        data, out, rng = Path(place) / "data", Path(place) / "suite", np.random.default_rng(0)
        data.mkdir()
        write_judged(data / "helpsteer", 10_000 if full else 100, rng)
        if full:
            write_names(data / "babynames", 7000, rng)
            write_lists(data / "diffuse_distributions", rng)
        names = ALL if full else FEW
        manifest = build(names, out, data_dir=data)
        files = [out / part["file"] for entry in manifest["tasks"].values() for part in entry["parts"]]
        case = f"{len(names)} tasks"
        rows = [row(f"{case}, windows of {WINDOW}", files, tokenizer, WINDOW, 1, TARGET_RATIO if full else None)]
        rows.append(row(f"{case}, whole episodes", files, tokenizer, None, PART, None))
    print(json.dumps({"benchmark": "encoding", "rows": rows}))


if __name__ == "__main__":
    main()
