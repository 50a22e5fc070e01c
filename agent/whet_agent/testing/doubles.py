"""Doubles for tests, demos and simulations: a scripted model and a scripted evaluator.

Shipped and typed like everything else. They play the outside world; the code under
test is always the real one. `ManualClock` makes waiting free.
"""

# ruff: noqa: ARG002 - the doubles take what the protocols name, and play a script

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from whet_agent.ports import Message, ModelError, OnDelta, Reply
from whet_agent.testing.records import (
    BASELINE_BYTES,
    NODE,
    baseline,
    broken_verdict,
    counted_verdict,
    device_facts,
    interpreter_facts,
    launch,
    passed,
    red,
    timed_verdict,
    timing,
    wrong_verdict,
)
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, OnProgress, Progress, Shipped, Workspace
from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.records import (
    Collected,
    CompileReport,
    Facts,
    Recorded,
    TestRun,
    WorkerVerdict,
)
from whet_evaluator.worker.unit_ref import UnitRef

__all__ = [
    "BASELINE_BYTES",
    "NODE",
    "Line",
    "ManualClock",
    "ScriptedEvaluator",
    "ScriptedModel",
    "Verdicts",
    "baseline",
    "broken_verdict",
    "counted_verdict",
    "device_facts",
    "interpreter_facts",
    "launch",
    "passed",
    "red",
    "timed_verdict",
    "timing",
    "wrong_verdict",
]

T = TypeVar("T")

Line = str | Reply | ModelError
"""One scripted answer; a string is a whole reply that ended with `stop`."""

Verdicts = (
    Mapping[str, WorkerVerdict | EvaluatorError]
    | Callable[[Candidate], WorkerVerdict | EvaluatorError]
)
"""By the first key that occurs in the candidate's text, or by a function."""


class ScriptedModel:
    """Answers from a list, in order, or by a function of the messages.

    When the list is used up the last line repeats. `prompts` are the messages of each
    call. `delay_s` is waited on `sleep` before every answer. Tokens are a quarter of
    the bytes; money follows the two prices, None without them.
    """

    def __init__(
        self,
        script: Sequence[Line] | Callable[[tuple[Message, ...]], Line],
        *,
        delay_s: float = 0.0,
        usd_per_million_input: float | None = None,
        usd_per_million_output: float | None = None,
        sleep: Callable[[float], asyncio.Future[None]] | None = None,
    ) -> None:
        self.prompts: list[tuple[Message, ...]] = []
        self._script = script
        self._delay_s = delay_s
        self._prices = (usd_per_million_input, usd_per_million_output)
        self._sleep = sleep or (lambda seconds: asyncio.ensure_future(asyncio.sleep(seconds)))

    async def ask(
        self,
        messages: tuple[Message, ...],
        *,
        temperature: float,
        max_completion_tokens: int,
        on_delta: OnDelta,
    ) -> Reply:
        """Plays the next line. Raises it when it is a `ModelError`."""
        del temperature
        self.prompts.append(messages)
        line = self._line(messages)
        await self._sleep(self._delay_s)
        if isinstance(line, ModelError):
            raise line
        reply = line if isinstance(line, Reply) else self._reply(messages, line)
        assert reply.completion_tokens <= max_completion_tokens, "the script answers too long"
        for start in range(0, len(reply.text), 256):
            on_delta(reply.text[start : start + 256])
        return reply

    def _line(self, messages: tuple[Message, ...]) -> Line:
        if callable(self._script):
            return self._script(messages)
        return self._script[min(len(self.prompts), len(self._script)) - 1]

    def _reply(self, messages: tuple[Message, ...], text: str) -> Reply:
        prompt = sum(len(message.content.encode()) for message in messages) // 4 + 1
        completion = len(text.encode()) // 4 + 1
        return Reply(
            text=text,
            finish_reason="stop",
            prompt_tokens=prompt,
            completion_tokens=completion,
            usd=self._usd(prompt, completion),
        )

    def _usd(self, prompt: int, completion: int) -> float | None:
        price_in, price_out = self._prices
        if price_in is None or price_out is None:
            return None
        return (prompt * price_in + completion * price_out) / 1e6


class ScriptedEvaluator:
    """Judges by script. `judged` and `confirmed` are the candidates it was given, `benchmarks`
    the functions that `record` was told to time.

    `confirmations` None: a fresh evaluation says what the first one said. A scripted
    `EvaluatorError` is raised. What no key matches is judged `default`.
    """

    def __init__(
        self,
        verdicts: Verdicts,
        *,
        facts: Facts | EvaluatorError | None = None,
        recorded: Recorded | EvaluatorError | None = None,
        shipped: Shipped | None = None,
        confirmations: Verdicts | None = None,
        default: WorkerVerdict | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.workspaces: list[Workspace] = []
        self.judged: list[Candidate] = []
        self.benchmarks: list[str | None] = []
        self.confirmed: list[Candidate] = []
        self.closed = False
        self.shipped = shipped or Shipped()
        self._verdicts = verdicts
        self._confirmations = verdicts if confirmations is None else confirmations
        self._facts = facts or interpreter_facts()
        self._recorded = recorded or baseline()
        self._default = default or counted_verdict(BASELINE_BYTES)
        self._delay_s = delay_s

    async def open(self, workspace: Workspace) -> Facts:
        self.workspaces.append(workspace)
        return await self._play(self._facts)

    async def collect(self, tests: tuple[str, ...]) -> Collected:
        recorded = await self._play(self._recorded)
        return Collected(nodes=tuple(test.nodeid for test in recorded.tests))

    async def record(
        self,
        unit: UnitRef,
        tests: tuple[str, ...],
        on_progress: OnProgress,
        *,
        benchmark: str | None = None,
    ) -> Recorded:
        self.benchmarks.append(benchmark)
        on_progress(Progress("record", "baseline", 0, 1))
        return await self._play(self._recorded)

    async def evaluate(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        self.judged.append(candidate)
        on_progress(Progress("load"))
        on_progress(Progress("tests", "", 0, len(candidate.nodes)))
        return await self._play(self._look_up(self._verdicts, candidate))

    async def confirm(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        self.confirmed.append(candidate)
        on_progress(Progress("confirm"))
        return await self._play(self._look_up(self._confirmations, candidate))

    async def run_tests(
        self, tests: tuple[str, ...], unit: UnitRef | None, on_progress: OnProgress
    ) -> TestRun:
        on_progress(Progress("tests"))
        recorded = await self._play(self._recorded)
        return TestRun(tests=recorded.tests)

    async def compile(
        self, unit: UnitRef, text: str, launches: tuple[Launch, ...], arch: str
    ) -> CompileReport:
        recorded = await self._play(self._recorded)
        return CompileReport(compiled=recorded.compiled)

    async def close(self) -> None:
        self.closed = True

    def _look_up(self, verdicts: Verdicts, candidate: Candidate) -> WorkerVerdict | EvaluatorError:
        if callable(verdicts):
            return verdicts(candidate)
        for key, verdict in verdicts.items():
            if key in candidate.text:
                return verdict
        return self._default

    async def _play(self, line: T | EvaluatorError) -> T:
        await asyncio.sleep(self._delay_s)
        if isinstance(line, EvaluatorError):
            raise line
        return line


class ManualClock:
    """Time that passes only by sleeping: a wait of an hour costs nothing."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self._now += seconds
