"""Saves that end badly, each in a process of its own: `python -m tuning.checkpoint_faults FOLDER` prints as JSON what was left.

A forked child saves and is killed by -9 before a line of the package's code whose number was chosen, so that a kill can come
between any two; or it may not make files above a size, so that the system refuses a write.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

import pluralign
from pluralign.errors import RunError
from pluralign.files import UNFINISHED
from pluralign.tuning.checkpoint_files import checkpoint_folders, find_fault
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from tuning.checkpoint_cases import Small, adamw, copies, same, train
from tuning.kills import child, traced

N_KILLS = 20
"""Anywhere in a save; and one before each line of these, where folders get other names, and every third of a removal."""
RENAMING = ("finish", "prune", "discard")
COUNTED = (str(Path(pluralign.__file__).parent), shutil.__file__)


class Trial:
    """A folder with step 1 in it, and a model that has done a second step, which is to be saved as step `step`."""

    def __init__(self, folder: Path, step: int) -> None:
        self.start, self.root, self.step = folder / "start", folder / "root", step
        self.model = Small()
        self.optimizer = adamw(self.model)
        train(self.model, self.optimizer, [0])
        save_checkpoint(self.start, 1, self.model, self.optimizer, {"second": False})
        self.states = {False: copies(self.model)}
        train(self.model, self.optimizer, [1])
        self.states[True] = copies(self.model)

    def again(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.start, self.root)

    def save(self, step: int | None = None, note: str = "") -> None:
        state = {"second": True, "note": note}
        save_checkpoint(self.root, step or self.step, self.model, self.optimizer, state, keep=1)

    def killed(self, at: int) -> dict[str, Any]:
        """What is there after a kill, and after the next save."""
        self.again()
        end = child(lambda: traced(self.save, COUNTED, at).clear())
        told: list[str] = []
        found = latest_checkpoint(self.root, tell=told.append)
        assert found is not None
        model = Small()
        found.restore(model, adamw(model))
        damaged = [path.name for step, path in checkpoint_folders(self.root) if find_fault(path, step) is not None]
        unfinished = len(list(self.root.glob(UNFINISHED)))
        self.save(3)
        return {
            "end": end,
            "taken": found.folder.name,
            "second": found.state["second"],
            "as saved": same(copies(model), self.states[found.state["second"]]),
            "told": told,
            "damaged": damaged,
            "unfinished": unfinished,
            "left": sorted(path.name for path in self.root.iterdir()),
        }

    def refused(self, n_bytes: int, note: str = "") -> dict[str, Any]:
        """What is said, and there, where no file may be larger."""
        self.again()
        said = self.start.with_name("said")

        def work() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
            try:
                self.save(note=note)
            except RunError as error:
                said.write_text(str(error))

        end = child(work)
        return {"end": end, "said": said.read_text(), "left": sorted(path.name for path in self.root.iterdir())}


def main(folder: Path) -> None:
    found: dict[str, Any] = {}
    for step in (1, 2):
        trial = Trial(folder / str(step), step)
        trial.again()
        names = traced(trial.save, COUNTED)
        places = {n for n, name in enumerate(names) if name in RENAMING}
        places |= {n for n, name in enumerate(names) if name.startswith("_rmtree") and n % 3 == 0}
        places |= {*random.Random(step).sample(range(len(names)), N_KILLS)}
        found[f"kills at step {step}"] = [trial.killed(at) for at in sorted(places)]
    found["small disk"] = [trial.refused(2000), trial.refused(4500), trial.refused(20_000, note="x" * 30_000)]
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # waits for the disk; a kill loses nothing that the system was given
    main(Path(sys.argv[1]))
