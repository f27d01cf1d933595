"""The command line: parses, calls one public function, prints.

Exit codes: 0 done, 1 a stated error, 2 wrong usage, 130 interrupted. With `--json` stdout holds one JSON document and
nothing else. What a command needs is imported when it runs, so that `--help` is quick.
"""

from pluralign.cli.app import build_app, main
from pluralign.cli.flags import OutputFlags, ReadFlags, RunFlags, StudyFlags

__all__ = ["OutputFlags", "ReadFlags", "RunFlags", "StudyFlags", "build_app", "main"]
