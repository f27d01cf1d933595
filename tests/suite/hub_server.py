"""What the client of the Hugging Face hub needs to download a file, served on 127.0.0.1, with the faults that it may meet."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

__all__ = ["Fault", "HubServer"]

_ADDRESS = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What a data set gives in place of its files."""

    status: int
    """0: it hangs up."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class HubServer:
    """Serves while its `with` block lasts."""

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    """By data set, commit and name."""
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    """Data set and branch to commit."""
    faults: dict[str, Fault] = field(default_factory=dict)
    """By data set."""
    cuts: list[int] = field(default_factory=list)
    """The next downloads end after so many bytes each; used up from the front."""
    held: threading.Event | None = None
    """Where set, a cut download stays open until this is."""
    requests: list[str] = field(default_factory=list)
    """Method, path and range of all that was asked."""

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def reset(self) -> None:
        """Nothing is there, nothing goes wrong, nothing was asked."""
        self.files, self.branches, self.faults, self.cuts, self.held, self.requests = {}, {}, {}, [], None, []

    def put(self, repo: str, commit: str, file: str, content: bytes) -> None:
        self.files[repo, commit, file] = content

    def downloads(self, file: str) -> list[str]:
        """The ranges of the requests for the file's content, "" for all of it."""
        return [
            asked.split(" ")[2] for asked in self.requests if asked.startswith("GET") and asked.split(" ")[1].endswith(file)
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, body: bytes | None) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
        found = _ADDRESS.fullmatch(self.path)
        if found is None:
            return self._head(404, {})
        repo, revision, file = map(unquote, found.groups())
        if fault := self.hub.faults.get(repo):
            return self._head(fault.status, fault.headers) if fault.status else None
        commit = self.hub.branches.get((repo, revision), revision)
        names = [name for where, at, name in self.hub.files if (where, at) == (repo, commit)]
        if file not in names:
            known = any(where == repo for where, _, _ in self.hub.files)
            code = "EntryNotFound" if names else "RevisionNotFound" if known else "RepoNotFound"
            return self._head(404, {"X-Error-Code": code} | ({"X-Repo-Commit": commit} if names else {}))
        content = self.hub.files[repo, commit, file]
        start = int(re.sub(r"bytes=(\d+)-", r"\1", self.headers.get("Range", "bytes=0-")))
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "Content-Length": str(len(content) - start),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, headers)
        self._send(content[start:] if body is None else body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, content: bytes) -> None:
        """The connection ends with it: that of a cut download too early."""
        if content and self.hub.cuts:
            content = content[: self.hub.cuts.pop(0)]
            self.wfile.write(content)
            if self.hub.held is not None:
                self.hub.held.wait(30)
        else:
            self.wfile.write(content)
