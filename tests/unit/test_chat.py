"""The chat client against a real HTTP server on loopback that speaks, or misspeaks, the protocol."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from pydantic import SecretStr

from whet_agent.model.chat import ChatModel, prompt_tokens_bound
from whet_agent.ports import Message, ModelError, Reply
from whet_agent.settings.keys import Key
from whet_agent.settings.loading import ModelSettings
from whet_agent.settings.table import origin_of

ASKED = (Message("system", "be brief"), Message("user", "größer"))


@attrs.define
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answer = Callable[[BaseHTTPRequestHandler, Request], None]


class Endpoint:
    """A server whose answers a test sets; `seen` are the requests it got."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[Request] = []
        self.hung_up = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                self._answer(json.loads(self.rfile.read(length) or b"{}"))

            def do_GET(self) -> None:
                self._answer({})

            def _answer(self, body: dict[str, Any]) -> None:
                headers = {k.lower(): v for k, v in self.headers.items()}
                request = Request(self.path, headers, body)
                outer.seen.append(request)
                outer.answers.pop(0)(self, request)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def settings(self, **given: Any) -> ModelSettings:
        return ModelSettings(**{"name": "m-1", "base_url": self.url, "timeout_s": 5.0, **given})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "choices": choices, **more}  # fmt: skip


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
HELLO = [chunk("Hel"), chunk("lo"), chunk(None, "stop"),
         chunk() | {"choices": [], "usage": USAGE}]  # fmt: skip


def streams(*chunks: Any, done: bool = True) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, _: Request) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream; charset=utf-8")
        handler.send_header("connection", "close")
        handler.end_headers()
        for item in chunks:
            text = item if isinstance(item, str) else json.dumps(item)
            handler.wfile.write(f"data: {text}\n\n".encode())
            handler.wfile.flush()
        if done:
            handler.wfile.write(b"data: [DONE]\n\n")
        handler.close_connection = True

    return answer


def answers(status: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, _: Request) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def error(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    detail = {"message": message, "code": code, "type": "t", "param": None}
    return answers(status, {"error": detail}, **headers)


async def ask(
    settings: ModelSettings, key: Key | None = None, *, limit: int = 100, deltas: Any = None
) -> Reply:
    model = ChatModel(settings, key)
    try:
        return await model.ask(
            ASKED, temperature=0.5, max_completion_tokens=limit,
            on_delta=(deltas if deltas is not None else []).append,
        )  # fmt: skip
    finally:
        await model.close()


async def test_a_streamed_reply_with_usage_and_price(endpoint: Endpoint) -> None:
    endpoint.answers = [streams(*HELLO)]
    deltas: list[str] = []
    settings = endpoint.settings(usd_per_million_input=2.0, usd_per_million_output=10.0)
    reply = await ask(settings, deltas=deltas)
    assert reply == Reply(
        text="Hello", finish_reason="stop", prompt_tokens=11, completion_tokens=3,
        usd=pytest.approx((11 * 2 + 3 * 10) / 1e6),
    )  # fmt: skip
    assert deltas == ["Hel", "lo"]
    (request,) = endpoint.seen
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "model": "m-1", "stream": True, "stream_options": {"include_usage": True},
        "temperature": 0.5, "max_completion_tokens": 100,
        "messages": [{"role": "system", "content": "be brief"},
                     {"role": "user", "content": "größer"}],
    }  # fmt: skip


async def test_without_usage_tokens_are_bounded_by_bytes(endpoint: Endpoint) -> None:
    endpoint.answers = [streams(chunk("é" * 5), chunk(None, "length"))]
    reply = await ask(endpoint.settings(usd_per_million_input=1.0))
    assert reply.completion_tokens == 10
    assert reply.prompt_tokens == prompt_tokens_bound(ASKED) >= len("be briefgrößer".encode())
    assert reply.usd is None, "one price alone is no price"
    assert reply.finish_reason == "length"


async def test_usage_in_every_chunk_takes_the_last(endpoint: Endpoint) -> None:
    first = chunk("a") | {"usage": {**USAGE, "completion_tokens": 1}}
    last = chunk("b", "stop") | {"usage": {**USAGE, "completion_tokens": 2}}
    endpoint.answers = [streams(first, last)]
    assert (await ask(endpoint.settings())).completion_tokens == 2


async def test_the_key_headers_and_query_are_sent(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-you")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    endpoint.answers = [streams(*HELLO), streams(*HELLO)]
    settings = endpoint.settings(headers={"X-Team": SecretStr("t")}, query={"api-version": "3"})
    await ask(settings, Key("sk-1", origin=origin_of(endpoint.url)))
    await ask(endpoint.settings(headers={"Authorization": SecretStr("Basic abc")}))
    first, second = endpoint.seen
    assert first.headers["authorization"] == "Bearer sk-1"
    assert first.headers["x-team"] == "t"
    assert first.path == "/v1/chat/completions?api-version=3"
    assert second.headers["authorization"] == "Basic abc"
    for request in endpoint.seen:
        assert "openai-organization" not in request.headers
        assert "not-for-you" not in str(request)


async def test_without_a_key_no_authorization_is_sent(endpoint: Endpoint) -> None:
    endpoint.answers = [streams(*HELLO)]
    await ask(endpoint.settings())
    assert "authorization" not in endpoint.seen[0].headers


def test_a_key_of_another_origin_is_refused() -> None:
    with pytest.raises(ValueError, match="this key is for https://a:443"):
        ChatModel(ModelSettings(name="m"), Key("k", origin="https://a:443"))


@pytest.mark.parametrize(
    ("refusal", "gone", "instead"),
    [
        ("Unsupported parameter: 'temperature' does not support 0.5 with this model",
         "temperature", None),
        ("Unrecognized request argument supplied: stream_options", "stream_options", None),
        ("max_completion_tokens: Extra inputs are not permitted",
         "max_completion_tokens", "max_tokens"),
    ],
)  # fmt: skip
async def test_an_optional_parameter_is_left_out_once_refused_and_stays_out(
    endpoint: Endpoint, refusal: str, gone: str, instead: str | None
) -> None:
    endpoint.answers = [error(400, refusal), streams(*HELLO), streams(*HELLO)]
    model = ChatModel(endpoint.settings(), None)
    for _ in range(2):
        await model.ask(ASKED, temperature=0.5, max_completion_tokens=9, on_delta=lambda _: None)
    await model.close()
    first, second, third = (request.body for request in endpoint.seen)
    assert gone in first
    assert gone not in second
    assert second == third
    assert instead is None or second[instead] == 9


async def test_an_older_server_that_refuses_everything_optional_still_works(
    endpoint: Endpoint,
) -> None:
    endpoint.answers = [
        error(422, "unknown field max_completion_tokens"),
        error(422, "unknown field stream_options"),
        error(422, "unknown field temperature"),
        error(422, "unknown field max_tokens"),
        streams(*HELLO),
    ]
    assert (await ask(endpoint.settings())).text == "Hello"
    assert set(endpoint.seen[-1].body) == {"model", "messages", "stream"}


async def test_a_server_that_ignores_the_limit_is_cut_off(endpoint: Endpoint) -> None:
    endpoint.answers = [streams(*[chunk("word ")] * 50, chunk(None, "stop"))]
    reply = await ask(endpoint.settings(), limit=10)
    assert reply.finish_reason == "length"
    assert 10 * 16 < len(reply.text) <= 10 * 16 + len("word ")


async def test_a_server_that_streams_single_characters_is_heard_out(endpoint: Endpoint) -> None:
    endpoint.answers = [streams(*[chunk("x")] * 30, chunk(None, "stop"))]
    assert (await ask(endpoint.settings(), limit=10)).text == "x" * 30


async def test_a_server_that_does_not_stream_is_understood(endpoint: Endpoint) -> None:
    message = {"role": "assistant", "content": "whole"}
    body = {"object": "chat.completion", "usage": USAGE,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    endpoint.answers = [answers(200, body)]
    reply = await ask(endpoint.settings())
    assert (reply.text, reply.prompt_tokens, reply.finish_reason) == ("whole", 11, "stop")


MODELS = {"object": "list", "data": [{"id": n, "object": "model", "created": 1, "owned_by": "x"}
                                     for n in ("zeta", "m-2", "alpha")]}  # fmt: skip

FATAL, RETRY, NEITHER = "fatal", "retryable", "neither"


@pytest.mark.parametrize(
    ("given", "kind", "billed", "parts"),
    [
        ([error(401, "Incorrect API key: sk-secret")], FATAL, False,
         ["refused the key", "<hidden>", "WHET_API_KEY"]),
        ([error(403, "no access")], FATAL, False, ["refused the key", "403"]),
        ([error(404, "The model does not exist", "model_not_found"), answers(200, MODELS)],
         FATAL, False, ["knows no model `m-1`", "it offers m-2, alpha, zeta"]),
        ([answers(404, "<html><h1>Not here</h1></html>", "text/html"), answers(404, "no")],
         FATAL, False, ["knows no model `m-1`", "base_url"]),
        ([error(429, "You exceeded your current quota", "insufficient_quota")], FATAL, False,
         ["quota", "top it up"]),
        ([error(402, "Payment required")], FATAL, False, ["quota", "top it up"]),
        ([error(429, "slow", retry_after="7")], RETRY, False, ["slow down for 7 s"]),
        ([error(429, "slow")], RETRY, False, ["slow down (429)"]),
        ([error(500, "oops")], RETRY, False, ["failed (500: oops)", "tried again"]),
        ([error(502, "bad gateway")], RETRY, True, ["502"]),
        ([error(400, "This model's maximum context length is 8 tokens",
                "context_length_exceeded")], NEITHER, False, ["too long", "larger context"]),
        ([error(400, "max_tokens is too large: 100. At most 50.")], FATAL, False,
         ["lower `policy.max_completion_tokens`"]),
        ([error(400, "flagged", "content_filter")], NEITHER, False, ["filtered the prompt"]),
        ([error(400, "messages must alternate")], FATAL, False, ["messages must alternate"]),
        ([answers(302, "", location="https://evil.example/")], FATAL, False,
         ["redirects to https://evil.example/", "base_url"]),
        ([answers(200, "<html><body>Welcome</body></html>", "text/html")], FATAL, False,
         ["did not answer as an OpenAI-compatible", "Welcome", "/v1"]),
        ([streams("{nonsense")], FATAL, False, ["did not answer as an OpenAI-compatible"]),
        ([streams(chunk("half"), done=False)], RETRY, True, ["ended its reply too early"]),
        ([streams(chunk("half"), {"error": {"message": "overloaded"}})], RETRY, True,
         ["broke off its reply (overloaded)"]),
        ([streams(chunk(None, "stop"))], RETRY, True, ["empty reply"]),
        ([streams(chunk(None, "length"))], NEITHER, True, ["wrote nothing", "raise"]),
        ([streams(chunk(None, "content_filter"))], NEITHER, True, ["filtered"]),
    ],
)  # fmt: skip
async def test_every_failure_is_one_sentence_with_the_cure(
    endpoint: Endpoint, given: list[Answer], kind: str, billed: bool, parts: list[str]
) -> None:
    endpoint.answers = list(given)
    with pytest.raises(ModelError) as caught:
        await ask(endpoint.settings(), Key("sk-secret", origin=origin_of(endpoint.url)))
    failure = caught.value
    for part in parts:
        assert part in failure.sentence
    assert "sk-secret" not in failure.sentence
    assert "\n" not in failure.sentence
    assert (failure.fatal, failure.retryable) == (kind == FATAL, kind == RETRY)
    assert failure.billed is billed
    assert endpoint.answers == [], "every answer was asked for"


async def test_retry_after_may_be_a_date_or_milliseconds(endpoint: Endpoint) -> None:
    for headers, expect in (
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
    ):
        endpoint.answers = [error(429, "slow", **headers)]
        with pytest.raises(ModelError) as caught:
            await ask(endpoint.settings())
        assert caught.value.retry_after_s == expect


async def test_listing_models_proves_the_endpoint(endpoint: Endpoint) -> None:
    endpoint.answers = [answers(200, MODELS), error(401, "no"), answers(200, "<html>", "text/html")]
    model = ChatModel(endpoint.settings(), None)
    assert await model.list_models() == ("m-2", "alpha", "zeta")
    with pytest.raises(ModelError, match="refused the key"):
        await model.list_models()
    with pytest.raises(ModelError, match="did not answer as an OpenAI-compatible"):
        await model.list_models()
    await model.close()


def _reset(handler: BaseHTTPRequestHandler, _: Request) -> None:
    handler.connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    handler.connection.close()
    handler.close_connection = True


def _half_then_reset(handler: BaseHTTPRequestHandler, request: Request) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    data = f"data: {json.dumps(chunk('half'))}\n\n".encode()
    handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    handler.wfile.flush()
    _reset(handler, request)


@pytest.mark.parametrize("answer", [_reset, _half_then_reset])
async def test_a_dropped_connection_may_be_tried_again(endpoint: Endpoint, answer: Answer) -> None:
    endpoint.answers = [answer]
    with pytest.raises(ModelError, match="dropped the connection") as caught:
        await ask(endpoint.settings())
    assert caught.value.retryable
    assert caught.value.billed, "in doubt it was charged"


async def test_a_silent_server_times_out(endpoint: Endpoint) -> None:
    release = threading.Event()
    endpoint.answers = [lambda _handler, _request: (release.wait(20), None)[1]]
    with pytest.raises(ModelError, match=r"said nothing for 0\.2 s") as caught:
        await ask(endpoint.settings(timeout_s=0.2))
    release.set()
    assert caught.value.retryable


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ModelSettings(name="m", base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(ModelError, match="is the server running") as caught:
        await ask(settings)
    assert caught.value.retryable
    assert not caught.value.billed


async def test_a_bad_ca_bundle_is_named(endpoint: Endpoint, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    for text in (None, "not a certificate"):
        if text is not None:
            bundle.write_text(text)
        with pytest.raises(ModelError, match=r"model\.ca_bundle.*name a PEM file") as caught:
            await ask(endpoint.settings(ca_bundle=str(bundle)))
        assert caught.value.fatal


async def test_cancelling_hangs_up(endpoint: Endpoint) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def talk_on(handler: BaseHTTPRequestHandler, _: Request) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(f"data: {json.dumps(chunk('x'))}\n\n".encode())
                handler.wfile.flush()
        except OSError:
            endpoint.hung_up.set()
        handler.close_connection = True

    def heard(_: str) -> None:
        loop.call_soon_threadsafe(began.set)

    endpoint.answers = [talk_on]
    model = ChatModel(endpoint.settings(), None)
    task = asyncio.create_task(
        model.ask(ASKED, temperature=1, max_completion_tokens=1 << 40, on_delta=heard)
    )
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(endpoint.hung_up.wait, 10), "the server saw the hang-up"
    await model.close()
    await model.close()


def test_openai_is_not_imported_before_a_request() -> None:
    code = (
        "import sys; from whet_agent.model.chat import ChatModel;"
        "from whet_agent.settings.loading import ModelSettings;"
        "ChatModel(ModelSettings(name='m'), None);"
        "sys.exit(any(m in sys.modules for m in ('openai', 'httpx2', 'torch', 'triton')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
