"""A log of Inspect written one sample at a time.

Inspect's `write_eval_log` holds all samples until the end and looks through them for each new one: its time grows with their
square. What evaluations themselves write with, the recorder, may be emptied in between; and of the rest of the time, a third
goes into twelve threads that are started to compress each sample, however small it is.

Neither the recorder nor the number of threads is of Inspect's public interface. Where an installed version has no such names,
the log is written by `write_eval_log`, slowly. Either way Inspect writes the file, and reads the same back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

__all__ = ["MOST_HELD", "write_log"]

MOST_HELD = 200
"""Samples in memory at a time. Each time that they are written, so is the file so far."""


def write_log(header: EvalLog, samples: Iterable[EvalSample], path: Path) -> None:
    """Writes a log with these samples, which hold no events, to `path`, a new file that ends in `.eval`."""
    try:
        from inspect_ai._util._async import run_coroutine
        from inspect_ai._util.zipfile import _ZSTD_THREADS  # noqa: F401
        from inspect_ai.log._recorders import create_recorder_for_location
    except ImportError:
        from inspect_ai.log import write_eval_log

        write_eval_log(header.model_copy(update={"samples": list(samples)}), path)
        return
    recorder = create_recorder_for_location(path.as_posix(), path.parent.as_posix())
    with _compressing_without_threads():
        run_coroutine(_recorded(recorder, header, samples, path))


async def _recorded(recorder: Any, header: EvalLog, samples: Iterable[EvalSample], path: Path) -> None:
    await recorder.log_init(header.eval, path.as_posix(), clean=True)
    await recorder.log_start(header.eval, header.plan)
    for n, sample in enumerate(samples, start=1):
        await recorder.log_sample(header.eval, sample)
        if n % MOST_HELD == 0:
            await recorder.flush(header.eval)
    await recorder.log_finish(header.eval, header.status, header.stats, header.results, header.reductions)


@contextmanager
def _compressing_without_threads() -> Iterator[None]:
    import inspect_ai._util.zipfile as inspects

    before = inspects._ZSTD_THREADS
    inspects._ZSTD_THREADS = 0
    try:
        yield
    finally:
        inspects._ZSTD_THREADS = before
