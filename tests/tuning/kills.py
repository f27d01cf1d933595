"""Work that is killed by -9 before a chosen line of its code, in a process of its own: a kill can come between any two."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def child(work: Callable[[], Any]) -> int:
    """How it ended: an exit status, or minus a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def traced(work: Callable[[], None], within: tuple[str, ...], kill_at: int | None = None) -> list[str]:
    """The function of each line that it runs of files below these paths; the process is killed before one of them."""
    names: list[str] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(within):
            return None
        if event == "line":
            if len(names) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            names.append(frame.f_code.co_name)
        return trace

    sys.settrace(trace)
    work()
    sys.settrace(None)
    return names
