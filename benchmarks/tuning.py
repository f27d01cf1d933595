"""Claim: training is at least 3 times as fast as with padded rows and whole logits, and 1.3 times as by TRL at its best.

    python benchmarks/tuning.py                   tiny models, under a minute
    python benchmarks/tuning.py --full            4.7M parameters beside embeddings, vocabularies of 4k and 131k; 10 minutes
    python benchmarks/tuning.py --only growth     one part of speed, lora, memory, data, growth, ranks, suite
    python benchmarks/tuning.py --full --only speed --search     TRL's other settings too

Forward, backward and AdamW's step on a Llama of random weights; every way trains on the same episodes, a pass over them a step.
Before anything is timed, in float32, each has to find the loss and the gradient of a plain reference (one sequence at a time,
whole logits, torch's cross-entropy). Ways take turns, each in a process of its own (`tuning_peers.py`), where its peak of
memory is measured beside what it has with the model loaded. Figures are useful tokens a second, medians over rounds.

    recipe    TRL's trainer as the published scripts set it: one sequence at a time, which then needs no padding, whole logits,
              bfloat16 autocast, and activations computed again (that trainer's default)
    padded    whole logits, 8 rows in random order, padded to the longest
    trl       batches of 8 of like lengths, logits of supervised tokens in chunks (1.14 is the last version with
              `chunked_nll`; 1.15 and later compute logits at all positions where there is no Triton). Packed, its rows are kept
              apart by a mask of tokens x tokens on a CPU, which is slower.
    lora      the published adapters, on q, v, embeddings and output layer; TRL refuses chunked_nll there, so whole logits

`--cpu-time` takes processor time instead of time, for a machine that does other work too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig

import tuning_runs
from tuning_peers import LONGEST, Episodes, Spec, episodes, in_turns, opened, trained
from tuning_runs import Row

HERE = Path(__file__).parent
SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2, "num_attention_heads": 4},
    "small": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8},
}
TARGETS = {"padded": 3.0, "trl": 1.3}
"""Speed of ours beside each; of LoRA too."""
MEMORY_TARGET, LARGE_VOCABULARY = 2.0, 131_072
"""The published recipe's memory beside ours, at that vocabulary."""
MOST_DIFFERENCE = 1e-4
"""Of losses in float32, and of gradients by norm."""
PARTS = ("speed", "lora", "memory", "data", "growth", "ranks", "suite")
QUICK_PARTS = ("speed", "growth")


@dataclass(frozen=True)
class Case:
    """Sizes of a comparison."""

    vocabulary: int
    size: str
    n_groups: int
    """Of 16 sequences of like lengths."""
    n_checked: int
    """Sequences that the check in float32 gets."""
    rounds: int
    n_longest: int = 0
    """Instead of the groups: sequences of 1024 tokens."""


FULL = (Case(4096, "small", 5, 12, 3), Case(LARGE_VOCABULARY, "small", 2, 6, 3))
QUICK = (Case(4096, "tiny", 1, 4, 1),)
FULL_MEMORY = Case(LARGE_VOCABULARY, "small", 0, 1, 1, n_longest=8)
QUICK_MEMORY = Case(32_768, "tiny", 0, 1, 1, n_longest=2)


def write_case(folder: Path, case: Case) -> Episodes:
    """The model, all episodes, and some for the check."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=case.vocabulary,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        **SIZES[case.size],
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    if case.n_longest:
        made = in_turns(np.full(case.n_longest, LONGEST), case.vocabulary, np.random.default_rng(0))
    else:
        made = episodes(case.n_groups, case.vocabulary)
    made.save(folder / "episodes.npz")
    chosen = np.sort(np.random.default_rng(1).choice(len(made.lengths), size=case.n_checked, replace=False))
    Episodes(made.gather(chosen)).save(folder / "check.npz")
    return made


def plain(spec: Spec) -> tuple[float, dict[str, torch.Tensor]]:
    """The reference: mean loss in nats, and its gradient."""
    model = opened(spec, torch.float32)
    found = Episodes.load(Path(spec.folder) / "check.npz")
    n, total = int(found.n_loss.sum()), 0.0
    for number in range(len(found.lengths)):
        one = found.gather(np.array([number]))
        ids = torch.from_numpy(one.ids.astype(np.int64))[None]
        labels = torch.where(torch.from_numpy(one.is_loss), ids[0], -100)
        loss = F.cross_entropy(model(input_ids=ids).logits[0, :-1].float(), labels[1:], ignore_index=-100, reduction="sum") / n
        loss.backward()
        total += loss.item()
    return total, {name: p.grad for name, p in trained(model).items() if p.grad is not None}


def difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Of the whole gradient, relative to its norm."""
    if found.keys() != expected.keys():
        raise SystemExit(f"gradients of other parameters: {sorted(found.keys() ^ expected.keys())}")
    apart = sum(float((found[name] - expected[name]).double().square().sum()) for name in expected)
    return float((apart / sum(float(g.double().square().sum()) for g in expected.values())) ** 0.5)


class Child:
    """A way of training in its own process."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        own = {"OMP_NUM_THREADS": str(spec.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "tuning_peers.py"), json.dumps(asdict(spec))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | own,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise SystemExit(f"{self.spec.name} stopped:\n{self.errors.read()[-3000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    def tell(self, what: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def check(children: Sequence[Child]) -> None:
    """Stops where a way has another loss or gradient than the reference."""
    expected_loss, expected = plain(children[0].spec)
    for child in children:
        loss = child.tell("step")["loss"]
        apart = abs(loss - expected_loss) / expected_loss
        gradient = difference(load_file(Path(child.spec.folder) / f"{child.spec.name}.safetensors"), expected)
        print(f"  {child.spec.name:20} loss {loss:.6f}, {apart:.1e} from plain, gradient {gradient:.1e}", flush=True)
        if not max(apart, gradient) <= MOST_DIFFERENCE:
            raise SystemExit(f"{child.spec.name} computes something else; nothing is timed.")


def measured(specs: Sequence[Spec], rounds: int, clock: str) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Of each way, seconds of each round, and bytes at the peak beside the model."""
    children = [Child(spec) for spec in specs]
    for child in children:
        child.hear()
    check(children)
    for child in children:
        child.tell("step")  # the model is open
    seconds: dict[str, list[float]] = {spec.name: [] for spec in specs}
    for number in range(rounds + 1):
        for child in children:
            took = child.tell("step")[clock]
            if number:
                seconds[child.spec.name].append(took)
    memory = {}
    for child in children:
        found = child.tell("end")
        memory[child.spec.name] = float(found["peak"] - found["idle"])
        child.close()
    return seconds, memory


def ways(base: Spec, *, search: bool) -> list[Spec]:
    """Ours first."""
    if base.lora:
        found = [replace(base, name="ours", ours=True), replace(base, name="trl", loss="nll")]
        others = [replace(base, name=f"trl nll x {n}", loss="nll", batch=n) for n in (1, 4, 16)]
    else:
        found = [
            replace(base, name="ours", ours=True),
            replace(base, name="recipe", loss="nll", batch=1, order="random", checkpointing=True),
            replace(base, name="padded", loss="nll", order="random"),
            replace(base, name="trl"),
        ]
        others = [replace(base, name=f"trl x {n}", batch=n) for n in (1, 2, 4, 16)]
        others += [
            replace(base, name=f"trl packed {n} x {b}", batch=b, row_tokens=n) for n, b in ((1024, 1), (2048, 1), (1024, 4))
        ]
        others += [replace(base, name="recipe, kept", loss="nll", batch=1, order="random")]
    return found + (others if search else [])


def speed(args: argparse.Namespace, *, lora: bool) -> list[Row]:
    rows: list[Row] = []
    for case in FULL if args.full else QUICK:
        with tempfile.TemporaryDirectory() as place:
            made = write_case(Path(place), case)
            n, share = int(made.lengths.sum()), made.n_loss.sum() / made.lengths.sum()
            about = f"{'LoRA, ' if lora else ''}{case.size} model, vocabulary {case.vocabulary:,}, {n:,} tokens"
            about += f", {share:.0%} supervised"
            print(about, flush=True)
            specs = ways(Spec(name="", folder=place, lora=lora, threads=args.threads), search=args.search)
            seconds, memory = measured(specs, args.rounds or case.rounds, "cpu_seconds" if args.cpu_time else "seconds")
        middle = {name: n / statistics.median(took) for name, took in seconds.items()}
        for name, took in seconds.items():
            print(
                f"  {name:20} {middle[name]:9,.0f} tokens/s ({n / max(took):,.0f} to {n / min(took):,.0f}), "
                f"{memory[name] / 2**20:7,.0f} MiB beside the model; ours is {middle['ours'] / middle[name]:.2f} x as fast, "
                f"takes {memory['ours'] / memory[name]:.2f} of the memory",
                flush=True,
            )
            if name == "ours":
                continue
            target = TARGETS.get(name) if args.full else None
            rows.append(
                tuning_runs.row(
                    f"{about}; {name}", middle["ours"], middle[name], "tokens/s", target, middle["ours"] / middle[name]
                )
            )
    return rows


def peaks(args: argparse.Namespace) -> list[Row]:
    """Memory beside the model, in steps whose sequences all have 1024 tokens, which every long run has somewhere."""
    case = FULL_MEMORY if args.full else QUICK_MEMORY
    with tempfile.TemporaryDirectory() as place:
        made = write_case(Path(place), case)
        about = f"{case.size} model, vocabulary {case.vocabulary:,}, {case.n_longest} sequences of {LONGEST} tokens"
        print(about, flush=True)
        base = Spec(name="", folder=place, threads=args.threads, batch=case.n_longest)
        specs = [one for one in ways(base, search=False) if one.name != "padded"]
        if args.search:
            specs += [replace(specs[0], name=f"ours, micro_tokens {n:,}", micro_tokens=n) for n in (2048, 1024)]
        seconds, memory = measured(specs, args.rounds or case.rounds, "cpu_seconds" if args.cpu_time else "seconds")
    n = int(made.lengths.sum())
    rows = []
    for name, peak in memory.items():
        mib, speed = (memory["ours"] / 2**20, peak / 2**20), n / statistics.median(seconds[name])
        print(f"  {name:24} {mib[1]:7,.0f} MiB, ours takes {mib[0] / mib[1]:.2f} of it; {speed:,.0f} tokens/s", flush=True)
        target = MEMORY_TARGET if args.full and name == "recipe" else None
        if name != "ours":
            rows.append(tuning_runs.row(f"memory beside the {about}; {name}", *mib, "MiB", target, mib[1] / mib[0]))
    return rows


def markdown(row: Row, command: str) -> str:
    """A row of benchmarks/README.md without its date."""
    values = [row[key] for key in ("ours", "peer", "ratio", "target")]
    cells = ["-" if x is None else x if isinstance(x, str) else f"{x:,.4g}" for x in values]
    return f"| {row['case']} ({row['unit']}) | {' | '.join(cells)} | `{command}` |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of training, beside the published recipe and TRL.")
    parser.add_argument(
        "--full", action="store_true", help="the sizes of the claims (about ten minutes for speed, lora and data)"
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be given several times")
    parser.add_argument("--search", action="store_true", help="TRL at other settings too")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--threads", type=int, default=None, help="of every way alike; default all cores at full size, else 1")
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of time")
    parser.add_argument("--suite-gb", type=float, default=None, help="of the large suite; default 10 at full size, else 0.02")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    args.threads = args.threads or (cores if args.full else 1)
    own = {"full": args.full, "threads": args.threads}
    gb = args.suite_gb or (10.0 if args.full else 0.02)
    parts: dict[str, Callable[[], list[Row]]] = {
        "speed": lambda: speed(args, lora=False),
        "lora": lambda: speed(args, lora=True),
        "memory": lambda: peaks(args),
        "data": lambda: tuning_runs.waiting(**own),
        "growth": lambda: tuning_runs.growth(**own),
        "ranks": lambda: tuning_runs.two_processes(full=args.full),
        "suite": lambda: tuning_runs.large_suite(gb=gb, threads=args.threads),
    }
    rows = []
    for name in args.only or (PARTS[:4] if args.full else QUICK_PARTS):
        print(f"{name} ({args.threads} threads)", flush=True)
        rows += parts[name]()
    command = " ".join([Path(__file__).name, *sys.argv[1:]])
    print("\n".join(markdown(row, command) for row in rows))
    print(json.dumps({"benchmark": "tuning", "rows": rows}))


if __name__ == "__main__":
    main()
