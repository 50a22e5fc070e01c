"""What the search asks of the outside world: a model and a clock.

The evaluator's port is `whet_evaluator.evaluation.Evaluator`. `loop_ports.Ports`
bundles all of them, so the loop takes its world as one argument and tests pass another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal, Protocol

import attrs

OnDelta = Callable[[str], None]
"""Called with each piece of streamed text. Progress only: nothing is stored of it."""


@attrs.frozen
class Message:
    """One turn of the conversation sent to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


@attrs.frozen(kw_only=True)
class Reply:
    """A model's whole answer. `usd` is what it cost, None when the price is unknown.

    `finish_reason` is the endpoint's own word: `stop`, `length`, `content_filter`, ...
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


class Model(Protocol):
    """A chat model behind an endpoint."""

    async def ask(
        self,
        messages: tuple[Message, ...],
        *,
        temperature: float,
        max_completion_tokens: int,
        on_delta: OnDelta,
    ) -> Reply:
        """Sends one request and no retry: retries are the search's, inside its budget.

        Raises `ModelError`. Cancelling the awaiting task closes the stream.
        """


class ModelError(Exception):
    """A request ended without a reply. `str()` is one sentence for the user, cure included.

    `fatal`: no later request can succeed (refused key, unknown model, exhausted
    quota). `retryable`: the same request may succeed later (rate limit, timeout, 5xx,
    dropped stream), not before `retry_after_s` where the endpoint named it. `billed`
    False only when the endpoint certainly charged nothing (it refused the request
    with an error status before any token); in doubt the reservation counts as spent.
    """

    def __init__(
        self,
        sentence: str,
        *,
        fatal: bool = False,
        retryable: bool = False,
        retry_after_s: float | None = None,
        billed: bool = True,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.fatal = fatal
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.billed = billed


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Waits; may be cancelled."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
