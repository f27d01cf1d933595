"""A real HTTP server on loopback with the interface of OpenAI's, a model whose probabilities are known, and faults on demand.

What it served is in its own log, so that a test can compare what a client says with what was really sent. A fault comes at the
first attempts of some requests, chosen by the request's contents, so that runs are alike whatever the order.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TRANSIENT = (
    "429",
    "429 wait",
    "500",
    "503",
    "408",
    "409",
    "hang",
    "half-sent",
    "cut json",
    "reset",
    "wrong shape",
    "no logprobs",
    "not a number",
)
"""Faults behind which a later attempt brings the answer."""


def logprob(before: str, token: str) -> float:
    """The model: nats of a token behind the one before it. Between -1 and -3."""
    return -1.0 - zlib.crc32(f"{before}|{token}".encode()) % 1000 / 500


def rival(token: str) -> float:
    """By how much another token is more probable: one in four tokens is not the most probable."""
    return -1.0 if zlib.crc32(token.encode()) % 4 else 0.5


@dataclass(frozen=True)
class Served:
    """One request, as the server saw it."""

    digest: str
    kind: str
    """"ok", or the fault."""
    body: dict[str, Any]
    at: float


@dataclass
class FaultServer:
    """Answers in a thread between `with` and its end."""

    faults: tuple[str, ...] = ()
    share: float = 0.0
    """Of the requests that are faulty."""
    attempts: int = 1
    """How many of a faulty request's attempts are."""
    answers: dict[str, float] = field(default_factory=lambda: {"yes": 0.7, "no": 0.25, "perhaps so": 0.05})
    """Whole outputs and their probabilities, for samples and for a chat reply's first token."""
    pieces: str = r"\n\n| ?[^\s]+|\s"
    """Tokens of a text, as a regular expression."""
    bos: str = ""
    rejects: tuple[str, ...] = ()
    """Fields that it does not know."""
    drops: tuple[str, ...] = ()
    """"logprobs", "echo": fields that it takes and ignores; "usage": what it leaves out."""
    says: str | None = None
    """What a chat reply says, in place of an answer drawn."""
    always: str | None = None
    """A fault at every attempt of every request."""
    retry_after: str = "0.05"
    max_context: int = 1 << 30
    latency_s: float = 0.0
    hang_s: float = 2.0
    served: list[Served] = field(default_factory=list)
    """So far; `log` is the same once nothing is under way."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._lock, self._over, self._seen, self._now = threading.Lock(), threading.Event(), Counter[str](), 0
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Http(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def log(self) -> list[Served]:
        """All that was served; waits until what is under way has been, since a client is quicker than this list."""
        until = time.monotonic() + 5
        while self._now and time.monotonic() < until:
            time.sleep(0.002)
        return self.served

    def kinds(self) -> Counter[str]:
        return Counter(one.kind for one in self.log)

    def tokens(self, prompt: str | list[int]) -> list[str]:
        if isinstance(prompt, list):
            return [str(number) for number in prompt]
        return ([self.bos] if self.bos else []) + re.findall(self.pieces, prompt)

    def fault_of(self, digest: str, attempt: int) -> str | None:
        if self.always:
            return self.always
        number = int(digest[:8], 16)
        if not self.faults or attempt > self.attempts or number % 1000 >= self.share * 1000:
            return None
        return self.faults[(number // 1000) % len(self.faults)]

    def begin(self, body: dict[str, Any]) -> tuple[str, str | None]:
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            self._seen[digest] += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            return digest, self.fault_of(digest, self._seen[digest])

    def end(self, digest: str, kind: str, body: dict[str, Any], usage: dict[str, int] | None) -> None:
        with self._lock:
            self._now -= 1
            self.served.append(Served(digest, kind, body, time.time()))
            self.prompt_tokens += (usage or {}).get("prompt_tokens", 0)
            self.output_tokens += (usage or {}).get("completion_tokens", 0)

    # what it replies

    def reply(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for name in self.rejects:
            if name in body:
                return 400, {"error": {"message": f"Unrecognized request argument supplied: {name}", "code": None}}
        is_chat = path.endswith("/chat/completions")
        prompt = "\n".join(m["content"] for m in body["messages"]) if is_chat else body["prompt"]
        n_prompt = len(self.tokens(prompt))
        if n_prompt + body["max_tokens"] > self.max_context:
            said = f"This model's maximum context length is {self.max_context} tokens. Your request has {n_prompt} tokens."
            return 400, {"error": {"message": said, "code": 400}}
        choice, n_drawn = self._chat(body) if is_chat else self._completion(body)
        usage = {"prompt_tokens": n_prompt, "completion_tokens": n_drawn, "total_tokens": n_prompt + n_drawn}
        kept = {} if "usage" in self.drops else {"usage": usage}
        return 200, {"id": "1", "object": "x", "created": 1, "model": body["model"], "choices": [choice], **kept}

    def _draw(self, body: dict[str, Any]) -> str:
        draw = random.Random(body.get("seed", 0)).random()
        for text, probability in self.answers.items():
            draw -= probability
            if draw < 0:
                return text
        return next(iter(self.answers))

    def _completion(self, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        if not body.get("echo"):
            text = " " + self._draw(body)
            words = re.findall(r" ?\S+", text)
            cut = len(words) > body["max_tokens"]
            text = "".join(words[: body["max_tokens"]])
            return {"index": 0, "text": text, "finish_reason": "length" if cut else "stop", "logprobs": None}, min(
                len(words) + 1, body["max_tokens"]
            )
        prompt, drawn = self.tokens(body["prompt"]), [" x"][: body["max_tokens"]]
        tokens = drawn if "echo" in self.drops else [*prompt, *drawn]
        return {
            "index": 0,
            "text": "".join(tokens),
            "finish_reason": "length",
            "logprobs": None if "logprobs" in self.drops else self._echoed(tokens),
        }, len(drawn)

    def _echoed(self, tokens: list[str]) -> dict[str, Any]:
        values = [None, *(logprob(a, b) for a, b in itertools.pairwise(tokens))]
        offsets = [sum(map(len, tokens[:n])) for n in range(len(tokens))]
        # the second token of two in a row that begin alike is never the most probable
        tops = [
            None if v is None else {t: v, "?": v - 1 if zlib.crc32(t.encode()) % 4 else v + 0.5}
            for t, v in zip(tokens, values, strict=True)
        ]
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}

    def _chat(self, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        text = self._draw(body) if self.says is None else self.says
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs") and "logprobs" not in self.drops:
            tops = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in self.answers.items()]
            choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops[: body["top_logprobs"]]}]}
        return choice, len(text.split()) + 1


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests do on purpose."""


class _Handler(BaseHTTPRequestHandler):
    owner: FaultServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        digest, fault = self.owner.begin(body)
        usage = None
        try:
            if self.owner.latency_s:
                time.sleep(self.owner.latency_s)
            status, reply = self.owner.reply(self.path, body)
            sent = self._break(fault, reply) if fault else self._send(status, reply)
            usage = reply.get("usage") if sent else None
        finally:
            kind = fault or ("ok" if status == 200 else f"{status} fatal")
            self.owner.end(digest, kind, body, usage)

    def _send(self, status: int, reply: Any, headers: dict[str, str] | None = None) -> bool:
        content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return status == 200

    def _break(self, fault: str, reply: dict[str, Any]) -> bool:
        """Whether a whole reply with its usage went out all the same."""
        whole = json.dumps(reply).encode()
        choice = reply["choices"][0]
        if fault[:3].isdigit():
            headers = {"Retry-After": self._later()} if fault.endswith("wait") else {}
            code = "insufficient_quota" if fault.endswith("quota") else None
            self._send(int(fault[:3]), {"error": {"message": "not now", "code": code}}, headers)
            return False
        if fault == "hang":
            self.owner._over.wait(self.owner.hang_s)
            self.close_connection = True
            return False
        if fault == "drip":
            return self._drip(whole)
        if fault == "cut json":
            self._send(200, whole[: len(whole) // 2])
            return False
        if fault in ("half-sent", "reset"):
            return self._part(whole, reset=fault == "reset")
        if fault == "refusal":
            choice["finish_reason"] = "content_filter"
        elif fault == "no logprobs":
            choice["logprobs"] = None
        elif fault == "wrong shape":
            choice["logprobs"] = {"tokens": ["a"], "token_logprobs": ["-1"], "top_logprobs": {}, "text_offset": None}
        elif fault == "not a number" and choice.get("logprobs"):
            choice["logprobs"]["token_logprobs"][-2:] = [math.nan, math.nan]
        else:
            choice["finish_reason"] = None
        return self._send(200, reply)

    def _drip(self, whole: bytes) -> bool:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        until = time.monotonic() + self.owner.hang_s
        for n in range(len(whole)):
            if time.monotonic() > until or self.owner._over.wait(0.05):
                break
            self.wfile.write(whole[n : n + 1])
        return False

    def _later(self) -> str:
        return formatdate(time.time() + 1, usegmt=True) if self.owner.retry_after == "date" else self.owner.retry_after

    def _part(self, whole: bytes, *, reset: bool) -> bool:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return False
        self.send_response(200)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole[: len(whole) // 2])
        return False
