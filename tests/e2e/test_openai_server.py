"""The scripted endpoint against the openai package itself: what the product uses."""

from __future__ import annotations

import threading

import openai
import pytest

from tests.e2e.openai_server import Dropped, Held, Refused, ScriptedOpenAI, Text


def client(server: ScriptedOpenAI, *, key: str = "k") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=10)


def ask(server: ScriptedOpenAI, *, key: str = "k", model: str = "scripted") -> tuple[str, int]:
    """The streamed text and its completion tokens."""
    stream = client(server, key=key).chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "sharpen this"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, tokens = "", 0
    for chunk in stream:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return text, tokens


def test_streams_each_reply_in_turn_and_repeats_the_last() -> None:
    long = "x = 'é'\n" * 50
    with ScriptedOpenAI([long, "second"]) as server:
        assert ask(server) == (long, len(long) // 4 + 1)
        assert [ask(server)[0] for _ in range(2)] == ["second", "second"]
        assert server.requests[0].text == "sharpen this"
        assert server.requests[0].headers["authorization"] == "Bearer k"


def test_answers_whole_when_not_asked_to_stream() -> None:
    with ScriptedOpenAI([Text(text="cut", finish_reason="length")]) as server:
        reply = client(server).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "q"}]
        )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("cut", "length")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Refused(status=401), openai.AuthenticationError),
        (Refused(status=404, code="model_not_found"), openai.NotFoundError),
        (Refused(status=429, retry_after_s=7), openai.RateLimitError),
        (Refused(status=500), openai.InternalServerError),
    ],
)
def test_refuses_as_endpoints_do(reply: Refused, error: type[openai.APIStatusError]) -> None:
    with ScriptedOpenAI([reply]) as server, pytest.raises(error) as caught:
        ask(server)
    wanted = None if reply.retry_after_s is None else str(reply.retry_after_s)
    assert caught.value.response.headers.get("retry-after") == wanted


def test_wants_its_key_and_its_model() -> None:
    with ScriptedOpenAI(["ok"], key="secret", model="only") as server:
        with pytest.raises(openai.AuthenticationError):
            ask(server, key="other", model="only")
        with pytest.raises(openai.NotFoundError):
            ask(server, key="secret", model="scripted")
        assert ask(server, key="secret", model="only")[0] == "ok"
        assert [model.id for model in client(server).models.list()] == ["only"]


def test_drops_a_stream_in_the_middle() -> None:
    broken = [Dropped(text="y" * 100)]
    with ScriptedOpenAI(broken) as server, pytest.raises(openai.APIConnectionError):
        ask(server)


def test_holds_a_reply_until_it_is_released() -> None:
    held = Held(reply="at last")
    with ScriptedOpenAI([held]) as server:
        answers: list[str] = []
        asker = threading.Thread(target=lambda: answers.append(ask(server)[0]))
        asker.start()
        server.wait_for_requests(1)
        assert not answers
        held.release.set()
        asker.join(10)
        assert answers == ["at last"]


def test_hangs_up_on_what_it_holds_when_it_closes() -> None:
    failures: list[Exception] = []

    def asker() -> None:
        try:
            ask(server)
        except openai.APIError as error:
            failures.append(error)

    with ScriptedOpenAI([Held(reply="never")]) as server:
        thread = threading.Thread(target=asker)
        thread.start()
        server.wait_for_requests(1)
    thread.join(30)
    assert len(failures) == 1
