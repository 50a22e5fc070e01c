"""What an endpoint's stream has said so far, and answers that come whole. Pure."""

from __future__ import annotations

import json
from typing import Any

import attrs

from whet_agent.ports import ModelError, OnDelta

_BYTES_PER_TOKEN_AT_MOST = 16
_CHUNKS_PER_TOKEN_AT_MOST = 4
"""A reply is cut off beyond this many bytes or chunks per allowed token: some servers ignore
the limit they were given, and some stream single characters."""


@attrs.define
class Heard:
    """What a stream has said so far."""

    parts: list[str] = attrs.field(factory=list)
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    received_bytes: int = 0
    chunks: int = 0

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def take(self, chunk: Any, on_delta: OnDelta) -> None:
        """Some servers send usage alone, some with every chunk, some never."""
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self.prompt_tokens = _count(getattr(usage, "prompt_tokens", None))
            self.completion_tokens = _count(getattr(usage, "completion_tokens", None))
        for choice in (getattr(chunk, "choices", None) or [])[:1]:
            self.finish_reason = getattr(choice, "finish_reason", None) or self.finish_reason
            delta = getattr(choice, "delta", None)
            said = _words(delta, "content") or _words(delta, "refusal")
            thought = _words(delta, "reasoning_content") or _words(delta, "reasoning")
            self.received_bytes += len(said.encode()) + len(thought.encode())
            self.chunks += bool(said or thought)
            if said:
                self.parts.append(said)
                on_delta(said)

    def is_beyond(self, max_completion_tokens: int) -> bool:
        """Whether the server writes on beyond the limit it was given."""
        limit = max_completion_tokens * _BYTES_PER_TOKEN_AT_MOST
        too_many = self.chunks > max_completion_tokens * _CHUNKS_PER_TOKEN_AT_MOST
        return too_many or self.received_bytes > limit


def whole_answer(body: str, on_delta: OnDelta) -> Heard | None:
    """A server that does not stream answers with one JSON object; None if this is not one."""
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        text = choice["message"].get("content") or choice["message"].get("refusal")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(text, str) or not text.strip():
        return None
    usage = document.get("usage") or {}
    on_delta(text)
    return Heard(
        parts=[text],
        finish_reason=choice.get("finish_reason") or "stop",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        received_bytes=len(text.encode()),
    )


def empty_reply(heard: Heard, model: str) -> ModelError:
    match heard.finish_reason:
        case "length":
            return ModelError(
                f"`{model}` used its whole reply for thinking and wrote nothing; raise "
                "`policy.max_completion_tokens`."
            )
        case "content_filter":
            return ModelError(f"The endpoint filtered `{model}`'s reply; the next turn goes on.")
        case _:
            return ModelError(f"`{model}` gave an empty reply; it is tried again.", retryable=True)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _words(delta: object, name: str) -> str:
    value = getattr(delta, name, None)
    return value if isinstance(value, str) else ""
