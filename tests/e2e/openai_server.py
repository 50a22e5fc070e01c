"""A model endpoint that answers from a script: real HTTP, real server-sent events.

    with ScriptedOpenAI([rewrite, broken_code]) as server:
        run(["whet", "optimize", ..., "--base-url", server.base_url, "--model", server.model])
    assert server.requests[0].messages[-1]["role"] == "user"

Speaks enough of the OpenAI chat-completions protocol for the openai package: `POST
/v1/chat/completions`, streamed or whole, and `GET /v1/models`. A reply is a text or one
of the ways in which endpoints fail. When the script is used up, its last reply is given
again, so a test need not know how often a run asks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Text:
    """An answer. `delay_s` passes before its first token, `token_delay_s` before each other."""

    text: str
    finish_reason: str = "stop"
    delay_s: float = 0.0
    token_delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An HTTP error: 401 (bad key), 404 (no such model), 429, 500, ..."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    retry_after_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The connection is cut after the first `after` pieces of `text`, without an ending."""

    text: str
    after: int = 1


@dataclass(frozen=True, kw_only=True)
class Held:
    """No answer until the test sets `release`; then `reply`. For runs that must be caught alive."""

    reply: Reply
    release: threading.Event = field(default_factory=threading.Event)


Reply = str | Text | Refused | Dropped | Held


@dataclass(frozen=True, kw_only=True)
class Request:
    """One chat request as it arrived. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    """Monotonic seconds."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body["messages"]

    @property
    def text(self) -> str:
        """All that the model was told."""
        return "\n".join(str(message.get("content")) for message in self.messages)


Script = Iterable[Reply] | Callable[[Request], Reply]


class ScriptedOpenAI:
    """Serves on loopback from `__enter__` to `__exit__`. Safe to read from any thread.

    `replies` are given in order, or computed by a function of the request. With `key`,
    any other bearer token gets 401; with `model`, any other model gets 404.
    """

    def __init__(
        self, replies: Script, *, key: str | None = None, model: str | None = None
    ) -> None:
        self.key = key
        self.model = model or "scripted"
        self._only_model = model
        self._script = replies if callable(replies) else list(replies)
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @classmethod
    def from_files(cls, paths: Iterable[Path], **options: Any) -> ScriptedOpenAI:
        """One reply a file, in order."""
        return cls([Path(path).read_text("utf-8") for path in paths], **options)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def requests(self) -> list[Request]:
        """Chat requests so far, refused ones too."""
        with self._lock:
            return list(self._requests)

    def wait_for_requests(self, count: int, *, timeout_s: float = 60.0) -> list[Request]:
        """Waits until that many requests arrived. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_s
        while len(self.requests) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.requests)} of {count} requests in {timeout_s:g} s")
            time.sleep(0.02)
        return self.requests

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def take(self, request: Request) -> Reply:
        """Records the request and chooses what it gets."""
        with self._lock:
            index = len(self._requests)
            self._requests.append(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if callable(self._script):
            return self._script(request)
        assert self._script, "a script needs at least one reply"
        return self._script[min(index, len(self._script) - 1)]

    def _refusal(self, request: Request) -> Refused | None:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return Refused(status=401, message="Incorrect API key.", code="invalid_api_key")
        wanted = request.body.get("model")
        if self._only_model is not None and wanted != self._only_model:
            message = f"The model `{wanted}` does not exist."
            return Refused(status=404, message=message, code="model_not_found")
        return None

    def pause(self, seconds: float) -> None:
        """Sleeps, but not longer than the server lives."""
        if seconds > 0:
            self._closing.wait(seconds)

    def hold(self, release: threading.Event) -> bool:
        """Waits for the release; False when the server closes first."""
        while not self._closing.is_set():
            if release.wait(0.05):
                return True
        return False


class _Handler(BaseHTTPRequestHandler):
    endpoint: ScriptedOpenAI
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.split("?")[0] != "/v1/models":
            self._send_json(404, {"error": {"message": f"no {self.path}"}})
            return
        model = {"id": self.endpoint.model, "object": "model", "created": 0, "owned_by": "test"}
        self._send_json(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.split("?")[0] != "/v1/chat/completions":
            self._send_json(404, {"error": {"message": f"no {self.path}"}})
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            path=self.path, headers=headers, body=json.loads(raw), at=time.monotonic()
        )
        try:
            self._answer(request, self.endpoint.take(request))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client hung up, as a cancelled run does

    def _answer(self, request: Request, reply: Reply) -> None:
        match reply:
            case Held():
                if self.endpoint.hold(reply.release):
                    self._answer(request, reply.reply)
                self.close_connection = True
            case Refused():
                self._send_refusal(reply)
            case Dropped():
                self._stream(_pieces(reply.text)[: reply.after], request, delays=(0.0, 0.0))
                self.close_connection = True
            case str():
                self._answer(request, Text(text=reply))
            case Text() if request.body.get("stream"):
                delays = (reply.delay_s, reply.token_delay_s)
                self._stream(_pieces(reply.text), request, delays=delays)
                self._end_stream(request, reply)
            case Text():
                self.endpoint.pause(reply.delay_s)
                self._send_json(200, _whole(request, reply))

    def _send_refusal(self, reply: Refused) -> None:
        extra = {} if reply.retry_after_s is None else {"Retry-After": str(reply.retry_after_s)}
        error = {"message": reply.message, "type": "scripted", "param": None, "code": reply.code}
        self._send_json(reply.status, {"error": error}, extra)

    def _send_json(
        self, status: int, body: dict[str, Any], extra: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: list[str], request: Request, *, delays: tuple[float, float]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        first, each = delays
        self.endpoint.pause(first)
        self._send_event(_chunk(request, {"role": "assistant", "content": ""}))
        for piece in pieces:
            self._send_event(_chunk(request, {"content": piece}))
            self.endpoint.pause(each)

    def _end_stream(self, request: Request, reply: Text) -> None:
        self._send_event(_chunk(request, {}, finish_reason=reply.finish_reason))
        if (request.body.get("stream_options") or {}).get("include_usage"):
            self._send_event(
                {**_chunk(request, {}), "choices": [], "usage": _usage(request, reply)}
            )
        self._send_frame(b"data: [DONE]\n\n")
        self._send_frame(b"")

    def _send_event(self, event: dict[str, Any]) -> None:
        self._send_frame(f"data: {json.dumps(event)}\n\n".encode())

    def _send_frame(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Requests are recorded, not printed."""


def _pieces(text: str) -> list[str]:
    """Streamed tokens: short enough to cut lines and fences in the middle."""
    return list(_split(text, 37))


def _split(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _chunk(
    request: Request, delta: dict[str, Any], *, finish_reason: str | None = None
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {**_head(request), "object": "chat.completion.chunk", "choices": [choice]}


def _whole(request: Request, reply: Text) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    usage = _usage(request, reply)
    return {**_head(request), "object": "chat.completion", "choices": [choice], "usage": usage}


def _head(request: Request) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "created": 0, "model": request.body.get("model")}


def _usage(request: Request, reply: Text) -> dict[str, int]:
    """Four characters a token: near enough for a budget to have something to count."""
    asked, answered = len(request.text) // 4 + 1, len(reply.text) // 4 + 1
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
    }
