"""Memory beside the weights, measured in a process of its own: a vocabulary of 131,072, the default budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MIB = 1024
SCRIPT = """
import gc
import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from pluralign.models.loading import prepare
from pluralign.models.scorer import TokenScorer

def mib(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field)) / 1024

n_ids = 131_072
config = LlamaConfig(vocab_size=n_ids, hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=4)
loaded = prepare(AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval(), torch.float32)
generator = np.random.default_rng(0)

def ids(size):
    return generator.integers(3, n_ids, size).astype(np.int32)

options = [ids(3) for _ in range(7)]
prompts = [ids(1000) for _ in range(3)]
shared = [np.concatenate([prompts[0], ids(20)]) for _ in range(30)]
episodes = [ids(2000), ids(2000)]
cases = {
    "episodes": (episodes, [np.arange(2000) % 5 == 4 for _ in episodes]),
    "prompts": ([np.concatenate([p, o]) for p in prompts for o in options], [np.arange(1003) >= 1000] * 21),
    "shared": ([np.concatenate([p, o]) for p in shared for o in options], [np.arange(1023) >= 1020] * 210),
}
for name, (sequences, is_read) in cases.items():
    gc.collect()
    before = mib("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
    scores = TokenScorer(loaded.forward, loaded.limits).score(sequences, is_read)
    assert all(np.isfinite(one.logprobs).all() for one in scores)
    print(name, round(mib("VmHWM") - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read as Linux shows it")
def test_scoring_takes_less_than_a_gibibyte_beside_the_weights() -> None:
    """Episodes of 2,000 tokens with hundreds of reads; seven options behind prompts of their own, and behind a shared one."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    peaks = dict(line.split() for line in done.stdout.splitlines())
    assert set(peaks) == {"episodes", "prompts", "shared"}
    # the logits of an episode's 2,000 places alone would be 1,000 MiB; a later case may do with what an earlier one has left
    assert all(0 <= int(peak) < MOST_MIB for peak in peaks.values()), peaks
    assert int(peaks["episodes"]) > 0, "something was measured"
