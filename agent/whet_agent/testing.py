"""Doubles for tests, demos and simulations: a scripted model and a scripted evaluator.

Shipped and typed like everything else. They play the outside world; the code under
test is always the real one. `ManualClock` makes waiting free.
"""

# ruff: noqa: ARG002 - the doubles take what the protocols name, and play a script

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

from whet_agent.ports import Message, ModelError, OnDelta, Reply
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, OnProgress, Progress, Workspace
from whet_evaluator.worker.records import (
    Broken,
    Case,
    Collected,
    Compiled,
    CompileReport,
    Correct,
    Counted,
    Device,
    Facts,
    Failed,
    Launch,
    Recorded,
    TestOutcome,
    TestRun,
    Timing,
    UnitRef,
    Untimed,
    WorkerVerdict,
)

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
    """Judges by script. `judged` and `confirmed` are the candidates it was given.

    `confirmations` None: a fresh evaluation says what the first one said. A scripted
    `EvaluatorError` is raised. What no key matches is judged `default`.
    """

    def __init__(
        self,
        verdicts: Verdicts,
        *,
        facts: Facts | EvaluatorError | None = None,
        recorded: Recorded | EvaluatorError | None = None,
        confirmations: Verdicts | None = None,
        default: WorkerVerdict | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.workspaces: list[Workspace] = []
        self.judged: list[Candidate] = []
        self.confirmed: list[Candidate] = []
        self.closed = False
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
        self, unit: UnitRef, tests: tuple[str, ...], on_progress: OnProgress
    ) -> Recorded:
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

    def _look_up(
        self, verdicts: Verdicts, candidate: Candidate
    ) -> WorkerVerdict | EvaluatorError:
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


# ---- verdicts and facts to script with ---------------------------------------------------

BASELINE_BYTES = 1000
NODE = "tests/test_kernel.py::test_kernel"


def interpreter_facts() -> Facts:
    """A handshake on a machine without a GPU."""
    return _facts(devices=(), mode="interpret")


def device_facts(name: str = "Scripted GPU", arch: str = "gfx942") -> Facts:
    """A handshake on a machine with one GPU."""
    device = Device(name=name, uuid="GPU-0", arch=arch, memory_bytes=64 << 30)
    return _facts(devices=(device,), mode="device")


def baseline(
    *,
    tests: tuple[TestOutcome, ...] = (),
    launches: tuple[Launch, ...] | None = None,
    compiled: tuple[Compiled, ...] = (),
    too_slow: tuple[str, ...] = (),
) -> Recorded:
    """A recorded baseline; by default one green test with one counted launch."""
    return Recorded(
        tests=tests or (passed(),),
        launches=(launch(BASELINE_BYTES),) if launches is None else launches,
        compiled=compiled,
        too_slow=too_slow,
    )


def passed(nodeid: str = NODE) -> TestOutcome:
    return TestOutcome(nodeid=nodeid, outcome="passed", seconds=0.1, kernels=("kernel",))


def red(nodeid: str = NODE, detail: str = "assert 1 == 2", uncovered: str | None = None) -> (
    TestOutcome
):
    return TestOutcome(
        nodeid=nodeid, outcome="failed", seconds=0.1, detail=detail, uncovered=uncovered
    )


def launch(loaded_bytes: int, *, transactions: int | None = None) -> Launch:
    """One launch that loads this many bytes."""
    counted = Counted(
        loaded_bytes=loaded_bytes,
        stored_bytes=0,
        atomic_bytes=0,
        compulsory_bytes=min(loaded_bytes, BASELINE_BYTES // 2),
        dot_flops=0,
        programs=1,
        transactions=loaded_bytes if transactions is None else transactions,
    )
    return Launch(kernel="kernel", grid=(1,), arguments=(), nodeid=NODE, counted=counted)


def counted_verdict(loaded_bytes: int, *, compiled: tuple[Compiled, ...] = ()) -> Correct:
    """Correct, untimed, with this much traffic."""
    return Correct(
        tests=(passed(),),
        launches=(launch(loaded_bytes),),
        compiled=compiled,
        timing=Untimed(reason="there is no GPU here"),
    )


def timed_verdict(ratio: float, *, seed: int = 0, noise: float = 0.003) -> Correct:
    """Correct, with raw samples whose true ratio of original to candidate is `ratio`."""
    return Correct(
        tests=(passed(),), launches=(), compiled=(), timing=timing(ratio, seed=seed, noise=noise)
    )


def timing(ratio: float, *, seed: int = 0, noise: float = 0.003) -> Timing:
    """20 rounds of 10 pairs around 100 us with log-normal noise, and a quiet control."""
    random = Random(seed)  # noqa: S311 - repeatable by design

    def rounds(true_ratio: float) -> tuple[tuple[tuple[float, float], ...], ...]:
        return tuple(
            tuple(
                (
                    100.0 * random.lognormvariate(0.0, noise),
                    100.0 / true_ratio * random.lognormvariate(0.0, noise),
                )
                for _ in range(10)
            )
            for _ in range(20)
        )

    case = Case(
        name="case", method="events", state="warm", seed=seed, rounds=rounds(ratio),
        control=rounds(1.0),
    )
    return Timing(cases=(case,), environment={"device": "Scripted GPU"})


def broken_verdict(trace: str = "CompilationError: at 3:4") -> Broken:
    return Broken(trace=trace)


def wrong_verdict(detail: str = "assert allclose") -> Failed:
    return Failed(cases=(red(detail=detail),), passed=0)


def _facts(*, devices: tuple[Device, ...], mode: str) -> Facts:
    return Facts(
        python="3.12.1",
        platform="linux",
        host="scripted",
        torch="2.13.0",
        triton="3.9.0",
        pytest="8.3.0",
        devices=devices,
        mode="device" if mode == "device" else "interpret",
        archs=("gfx942", "sm_90"),
        isolation="partial",
    )
