"""Whole runs of `tune` for `tuning.py`: what waits for data, how cost grows, one process beside two, a large suite.

python tuning_runs.py run SPEC     one run of `tune` in a process of its own (or in each process of torchrun)
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.models import open_template
from pluralign.tuning import encode_files
from pluralign.tuning.ranks import open_ranks
from pluralign.tuning.run_log import read_log
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, tune
from templates import episodes as rated
from templates import sentences, words
from templates import train as tokenizer_of
from tuning_peers import Episodes, Spec, episodes, opened, our_work, schedule_of, trained

Row = dict[str, Any]
OPTIONS = ("1", "2", "3", "4", "5")
MOST_LOSS_DIFFERENCE = 1e-4
"""Of the loss of 50 steps in float32, relative, between one process and two."""
GIB, MEMORY_TARGET_GIB = 2**30, 2.0


def row(case: str, ours: float, peer: float | None, unit: str, target: Any, ratio: float | None = None) -> Row:
    return {"case": case, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit, "target": target}


def write_model(folder: Path, tokenizer: Any, **size: int) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64, max_position_embeddings=2048, tie_word_embeddings=True, eos_token_id=1, **size
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def small(hidden: int, layers: int) -> dict[str, int]:
    heads = max(1, hidden // 32)
    return {
        "hidden_size": hidden,
        "intermediate_size": hidden * 8 // 3 // 4 * 4,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


def run(spec: Row) -> Row:
    """In a process of its own: a run of `tune`, and its peaks of memory."""
    torch.set_num_threads(spec["threads"])
    peaks = {"VmRSS": 0, "RssAnon": 0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            for name in peaks:
                peaks[name] = max(peaks[name], *(int(x.split()[1]) * 1024 for x in lines if x.startswith(f"{name}:")))

    watching = threading.Thread(target=watch, daemon=True)
    if Path("/proc/self/status").exists():
        watching.start()
    began = time.perf_counter()
    places = TunePlaces(device="cpu", cache=Path(spec["cache"]))
    found = tune(spec["model"], spec["data"], spec["out"], settings=TuneSettings(**spec["settings"]), places=places)
    done.set()
    return {"seconds": time.perf_counter() - began, "peaks": peaks, "counts": found["counts"]}


def started(spec: Row, n_processes: int = 1) -> Row:
    """What `run` found; of two processes, started by torchrun, nothing."""
    command = [sys.executable, __file__, "run", json.dumps(spec)]
    if n_processes > 1:
        command[1:1] = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(spec["threads"])})
    if done.returncode:
        raise SystemExit(f"a run of tune stopped:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]) if n_processes == 1 else {}


def data_of(place: Path, n_episodes: int, vocab: int, **size: int) -> tuple[str, str]:
    """A model's folder and a file of episodes of raters."""
    items = sentences(n_episodes * 20, words(2_000, seed=1), seed=2)
    tokenizer = tokenizer_of(items[:5_000], vocab)
    write_model(place / "model", tokenizer, **size)
    write_episodes(place / "rated.parquet", rated(n_episodes, 20, items, shared=True, seed=3))
    return str(place / "model"), str(place / "rated.parquet")


def waiting(*, full: bool, threads: int) -> list[Row]:
    """The share of a run's time that waits for its next batches; tokens a second of encoding beside those of training."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        size = small(256, 6) if full else small(64, 2)
        model, data = data_of(place, 2_000 if full else 200, 4_000 if full else 1_000, **size)
        steps = 6 if full else 4
        settings = {"max_steps": steps, "sequences_a_step": 64 if full else 16, "epochs": 10.0}
        started(
            {
                "model": model,
                "data": [data],
                "out": f"{name}/out",
                "cache": f"{name}/cache",
                "settings": settings,
                "threads": threads,
            }
        )
        lines = [line for line in read_log(place / "out" / "metrics.jsonl") if "waited_for_data" in line]
        began = time.perf_counter()
        from transformers import AutoTokenizer

        template = open_template("spectrum", AutoTokenizer.from_pretrained(model))
        n = sum(len(cut.sequences.ids) for cut in encode_files([Path(data)], template, max_tokens=1024))
        encoding = n / (time.perf_counter() - began)
    share = statistics.mean(line["waited_for_data"] for line in lines[1:])  # the first step's are made before any other
    training = statistics.median(line["tokens_per_second"] for line in lines[1:])
    return [
        row(f"share of a run's time that waits for data, steps 2 to {steps}", share, None, "share", None),
        row(f"encoding, {n:,} tokens; the peer is training", encoding, training, "tokens/s", None, encoding / training),
    ]


def growth(*, full: bool, threads: int) -> list[Row]:
    """Seconds of one run up to several numbers of tokens, and b of seconds = a x tokens^b; a very small model."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    unit = 1_000_000 if full else 20_000
    with tempfile.TemporaryDirectory() as name, open_ranks("cpu") as ranks:
        several = [episodes(50, 512, seed=seed) for seed in range(2)]
        flats = [one.flat for one in several]
        made = Episodes(replace_flat(flats))
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=512, max_position_embeddings=4096, tie_word_embeddings=True, eos_token_id=1, **small(32, 1)
        )
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(name)
        spec = Spec(name="ours", folder=name, ours=True, threads=threads)
        model = opened(spec, torch.bfloat16)
        work = our_work(spec, model, made, torch.bfloat16, ranks, clip=1.0)
        optimizer = torch.optim.AdamW(trained(model).values(), lr=3e-6, fused=True)
        schedule = replace(schedule_of(made), a_step=128 if full else 16)
        marks = [unit * 2**k for k in range(5 if full else 3)]
        work.step(0, work.prepared(schedule, 0), optimizer)
        at, tokens, began, step = [], 0, time.perf_counter(), int(rng.integers(1, 4))
        while len(at) < len(marks):
            tokens += work.step(step, work.prepared(schedule, step), optimizer)["tokens"]
            step += 1
            if tokens >= marks[len(at)]:
                at.append((tokens, time.perf_counter() - began))
    sizes, seconds = np.array(at).T
    power = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    for n, took in at:
        print(f"  {n:12,} tokens {took:8.1f} s {took / n * 1e6:7.2f} s a million")
    case = f"seconds of steps for {sizes[0]:,.0f} tokens, the peer is {sizes[-1]:,.0f}; power of tokens {power:.3f}"
    return [row(case, seconds[0], seconds[-1], "s", "power .95 to 1.05" if full else None, power)]


def replace_flat(flats: list[Any]) -> Any:
    """Several, one after another."""
    ends = np.cumsum([len(one.ids) for one in flats])
    starts = [one.starts[:-1] + end - len(one.ids) for one, end in zip(flats, ends, strict=True)]
    joined = {name: np.concatenate([getattr(one, name) for one in flats]) for name in ("ids", "is_loss", "example_index")}
    return replace(flats[0], **joined, starts=np.concatenate([*starts, ends[-1:]]))


def two_processes(*, full: bool) -> list[Row]:
    """The loss of every step, on one process and on two."""
    steps = 50 if full else 8
    with tempfile.TemporaryDirectory() as name:
        model, data = data_of(Path(name), 400 if full else 100, 1_000, **small(64, 2))
        settings = {
            "max_steps": steps,
            "sequences_a_step": 16,
            "epochs": 100.0,
            "dtype": "float32",
            "lr": 1e-3,
            "micro_tokens": 2048,
        }
        curves = []
        for n in (1, 2):
            out = f"{name}/{n}"
            started(
                {"model": model, "data": [data], "out": out, "cache": f"{name}/cache", "settings": settings, "threads": 1}, n
            )
            curves.append(np.array([line["loss"] for line in read_log(f"{out}/metrics.jsonl") if "loss" in line]))
    apart = float(np.abs(curves[0] / curves[1] - 1).max())
    if len(curves[0]) != steps or not apart <= MOST_LOSS_DIFFERENCE:
        raise SystemExit(f"one process and two differ by {apart:.2g}: {curves}")
    case = f"loss of {steps} steps in float32 ({curves[0][0]:.3f} to {curves[0][-1]:.3f} nats), one process beside two"
    return [row(case, apart, None, "largest relative difference", MOST_LOSS_DIFFERENCE)]


def long_episodes(n: int, seed: int) -> Iterator[Episode]:
    """Each of 400 texts that nothing can make much smaller, with a rating."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        text = rng.bytes(400 * 60).hex()
        texts = [text[i : i + 120] for i in range(0, len(text), 120)]
        yield Episode("long", tuple(Example(OPTIONS[number % 5], one) for one in texts), f"Rater {number}", OPTIONS)


def large_suite(*, gb: float, threads: int) -> list[Row]:
    """Encoding and some steps on files of so many gigabytes together, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if shutil.disk_usage(place).free < 1.6e9 * gb + 2e9:
            raise SystemExit(f"{gb} GB of episodes and what they are encoded to do not fit on the disk of {place}")
        model, _ = data_of(place, 50, 1_000, **small(64, 2))
        part, files = place / "0.parquet", []
        write_episodes(part, long_episodes(max(200, int(min(gb, 0.25) * 1e9 / 26_000)), seed=0))
        for number in range(max(1, round(gb * 1e9 / part.stat().st_size))):
            files.append(place / f"{number}.parquet")
            if number:
                shutil.copyfile(part, files[-1])
        total = sum(file.stat().st_size for file in files)
        spec = {"model": model, "data": [*map(str, files)], "out": f"{name}/out", "cache": f"{name}/cache", "threads": threads}
        found = started(spec | {"settings": {"max_steps": 3, "sequences_a_step": 32}})
    peaks = {kind: n / GIB for kind, n in found["peaks"].items()}
    tokens = found["counts"]["tokens"]
    case = f"{total / 1e9:.2f} GB of parquet in {len(files)} files, {tokens:,} tokens kept, encoding and 3 steps in "
    case += f"{found['seconds']:.0f} s"
    target = MEMORY_TARGET_GIB if gb >= 10 else None
    return [
        row(f"{case}: peak of anonymous memory", peaks["RssAnon"], None, "GiB", target),
        row("the same: peak of resident memory, pages of mapped files included", peaks["VmRSS"], None, "GiB", target),
    ]


def main() -> None:
    if len(sys.argv) < 2:
        print("tuning.py uses this; by itself it has nothing to do")
        return
    warnings.filterwarnings("ignore")
    print(json.dumps(run(json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
