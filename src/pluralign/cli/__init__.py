"""The command line: parses, calls one public function, prints.

Exit codes: 0 done, 1 a stated error, 2 wrong usage, 130 interrupted. With `--json` stdout holds one JSON document and
nothing else. What a command needs is imported when it runs, so that `--help` is quick.
"""

from pluralign.cli.app import build_app, main
from pluralign.cli.flags import OutputFlags, ReadFlags, RunFlags, StudyFlags
from pluralign.cli.model_flags import AskingFlags, ModelFlags, SamplingFlags, TemplateFlags

__all__ = [
    "AskingFlags",
    "ModelFlags",
    "OutputFlags",
    "ReadFlags",
    "RunFlags",
    "SamplingFlags",
    "StudyFlags",
    "TemplateFlags",
    "build_app",
    "main",
]
