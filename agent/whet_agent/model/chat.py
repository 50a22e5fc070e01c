"""The model behind an OpenAI-compatible endpoint, remote or on this machine.

One `ask` is one streamed request; retries are the search's. Only when an endpoint
refuses to know an optional parameter (`temperature`, `stream_options`,
`max_completion_tokens`) is the request sent again without it, and that is remembered.
`openai` is imported when the first request is made, never before.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from whet_agent.model.connection import connect
from whet_agent.model.heard import Heard, empty_reply, whole_answer
from whet_agent.ports import Message, ModelError, OnDelta, Reply
from whet_agent.settings.keys import Key
from whet_agent.settings.loading import ModelSettings
from whet_agent.settings.table import is_loopback, origin_of

if TYPE_CHECKING:
    import openai

_MESSAGE_OVERHEAD_TOKENS = 16
_LIST_MODELS_LIMIT_S = 5.0


class ChatModel:
    """Implements `ports.Model`. Close it when the run ends."""

    def __init__(self, settings: ModelSettings, key: Key | None) -> None:
        """`key` None: the endpoint needs none. Raises `ValueError` for a key of another origin."""
        if key is not None and key.origin != origin_of(settings.base_url):
            raise ValueError(f"this key is for {key.origin}")
        self._settings = settings
        self._key = key
        self._client: openai.AsyncOpenAI | None = None
        self._refused: set[str] = set()
        """Optional parameters this endpoint has refused to know."""

    async def ask(
        self,
        messages: tuple[Message, ...],
        *,
        temperature: float,
        max_completion_tokens: int,
        on_delta: OnDelta,
    ) -> Reply:
        """One request. Raises `ModelError`; cancelling closes the stream.

        Where the endpoint reports no usage, tokens are bounded from above by bytes.
        """
        import httpx2
        import openai

        from whet_agent.model import chat_errors

        client = self._connected()
        try:
            stream = await self._open(client, messages, temperature, max_completion_tokens)
            async with stream:
                heard = await self._listen(stream, max_completion_tokens, on_delta)
        except ModelError as error:
            raise self._without_secrets(error) from None
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            explained = chat_errors.explain(error, self._endpoint())
            raise self._without_secrets(explained) from None
        return self._reply(heard, messages)

    async def close(self) -> None:
        """Ends the connections. Never raises; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.close()

    def _connected(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = connect(self._settings, self._key)
        return self._client

    async def _open(
        self,
        client: openai.AsyncOpenAI,
        messages: tuple[Message, ...],
        temperature: float,
        max_completion_tokens: int,
    ) -> Any:
        """Sends the request, again for each optional parameter that is refused."""
        import openai

        from whet_agent.model import chat_errors

        while True:
            options = self._options(temperature, max_completion_tokens)
            try:
                return await client.chat.completions.create(
                    model=self._settings.name, messages=_spelled(messages), stream=True, **options
                )
            except openai.APIStatusError as error:
                refused = chat_errors.unsupported_parameter(error, tuple(options))
                if refused is not None:
                    self._refused.add(refused)
                elif chat_errors.names_no_model(error):
                    listed: tuple[str, ...] = ()
                    with contextlib.suppress(ModelError):  # a courtesy beside the real error
                        listed = await self.list_models()
                    raise chat_errors.unknown_model(self._endpoint(), listed) from None
                else:
                    raise

    def _options(self, temperature: float, max_completion_tokens: int) -> dict[str, Any]:
        """Optional parameters; each set shrinks or changes with what was refused."""
        limit = "max_completion_tokens"
        if limit in self._refused:
            limit = "max_tokens"
        wanted: dict[str, Any] = {
            "temperature": temperature,
            "stream_options": {"include_usage": True},
            limit: max_completion_tokens,
        }
        return {name: value for name, value in wanted.items() if name not in self._refused}

    async def _listen(
        self, stream: openai.AsyncStream[Any], max_completion_tokens: int, on_delta: OnDelta
    ) -> Heard:
        from whet_agent.model import chat_errors

        heard = Heard()
        kind = stream.response.headers.get("content-type", "")
        if "event-stream" not in kind:
            body = (await stream.response.aread()).decode("utf-8", "replace")
            return whole_answer(body, on_delta) or _raise(
                chat_errors.not_openai(self._endpoint(), f"{kind or 'no content type'}: {body}")
            )
        async for chunk in stream:
            heard.take(chunk, on_delta)
            if heard.is_beyond(max_completion_tokens):
                heard.finish_reason = "length"
                break
        if heard.finish_reason is None:
            raise ModelError(
                f"{self._settings.base_url} ended its reply too early; it is tried again.",
                retryable=True,
            )
        if not heard.text.strip():
            raise empty_reply(heard, self._settings.name)
        return heard

    def _reply(self, heard: Heard, messages: tuple[Message, ...]) -> Reply:
        settings = self._settings
        prompt = heard.prompt_tokens
        if prompt is None:
            prompt = prompt_tokens_bound(messages)
        completion = heard.completion_tokens
        if completion is None:
            completion = heard.received_bytes
        prices = (settings.usd_per_million_input, settings.usd_per_million_output)
        usd = None
        if prices[0] is not None and prices[1] is not None:
            usd = (prompt * prices[0] + completion * prices[1]) / 1e6
        return Reply(
            text=heard.text,
            finish_reason=heard.finish_reason or "",
            prompt_tokens=prompt,
            completion_tokens=completion,
            usd=usd,
        )

    async def list_models(self) -> tuple[str, ...]:
        """What the endpoint offers, nearest in name to the configured one first.

        Proves address, key and certificate at no cost. Raises `ModelError`.
        """
        import httpx2
        import openai

        from whet_agent.model import chat_errors

        try:
            async with asyncio.timeout(_LIST_MODELS_LIMIT_S):
                page = await self._connected().models.list()
            names = sorted(str(model.id) for model in page.data)
        except TimeoutError:
            raise ModelError(
                f"{self._settings.base_url} did not list its models within "
                f"{_LIST_MODELS_LIMIT_S:g} s; is it overloaded?",
                retryable=True,
                billed=False,
            ) from None
        except (
            openai.OpenAIError,
            httpx2.HTTPError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            raise self._without_secrets(chat_errors.explain(error, self._endpoint())) from None
        near = difflib.get_close_matches(self._settings.name, names, n=3, cutoff=0.3)
        return tuple(dict.fromkeys([*near, *names]))

    def _endpoint(self) -> Any:
        from whet_agent.model.chat_errors import Endpoint

        return Endpoint(
            model=self._settings.name,
            base_url=self._settings.base_url,
            timeout_s=self._settings.timeout_s,
            is_loopback=is_loopback(urlsplit(self._settings.base_url).hostname or ""),
        )

    def _without_secrets(self, error: ModelError) -> ModelError:
        """Endpoints may echo a key in their message; it goes no further."""
        secrets = [header.get_secret_value() for header in self._settings.headers.values()]
        secrets += [*self._settings.query.values(), self._key.reveal() if self._key else ""]
        sentence = error.sentence
        for secret in secrets:
            if len(secret) >= 4:
                sentence = sentence.replace(secret, "<hidden>")
        return ModelError(
            sentence,
            fatal=error.fatal,
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
            billed=error.billed,
        )


def prompt_tokens_bound(messages: tuple[Message, ...]) -> int:
    """No prompt has more tokens than bytes, plus a few that mark each message."""
    return sum(len(m.content.encode()) + _MESSAGE_OVERHEAD_TOKENS for m in messages)


def _spelled(messages: tuple[Message, ...]) -> Any:
    return [{"role": message.role, "content": message.content} for message in messages]


def _raise(error: ModelError) -> Any:
    raise error
