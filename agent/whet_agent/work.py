"""How each `Start` is carried out against the ports, and what is told of it.

A candidate's fault is a verdict and a model's stumble a `CallFailed`: both are events.
The world's fault is a `Fault`, which ends the run with the cure.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

import attrs

from whet_agent.candidates.drafts import Draft, Drafts, Passed, Unfit, screened, swept
from whet_agent.events import (
    Answered,
    BaselineRecorded,
    CallFailed,
    Confirmed,
    Event,
    Judged,
    Opened,
    Reason,
)
from whet_agent.ports import Clock, Model, ModelError, SystemClock
from whet_agent.search.briefing import Brief
from whet_agent.search.starts import (
    Start,
    StartAsk,
    StartConfirm,
    StartJudge,
    StartOpen,
    StartRecord,
    StartScreen,
    StartSweep,
)
from whet_agent.search.state import Search, Tried
from whet_agent.store import verdicts
from whet_agent.store.journal import Journal
from whet_agent.task import Task
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, Evaluator, OnProgress, Progress, Workspace
from whet_evaluator.worker.records import Differences, UnitRef

__all__ = [
    "Draft",
    "Drafts",
    "Fault",
    "Passed",
    "Ports",
    "Tell",
    "Unfit",
    "default_workspace",
    "perform",
]


def default_workspace(task: Task) -> Workspace:
    """The project with the unsaved buffers in place of their files."""
    return Workspace(root=Path(task.root), overlay={**task.overlay, task.unit.path: task.unit.text})


RETRY_AFTER_S = 2.0
"""Before work is tried again whose failure may have been the moment's."""


def _ignore(work_id: str, progress: Progress) -> None:
    """Nobody watches."""


@attrs.frozen(kw_only=True)
class Ports:
    """The loop's whole world. `model` None: the sweep alone.

    `read_reply(reply, finish_reason, original_text, unit)`, `screen(original, text,
    seen_hashes)` and `sweep(text, unit, arch)` are pure. `on_progress` gets the id of
    the work and how far it is: progress, not events.
    """

    evaluator: Evaluator
    journal: Journal
    brief: Brief
    read_reply: Callable[[str, str, str, UnitRef], Drafts]
    screen: Callable[[UnitRef, str, frozenset[str]], Passed | Unfit]
    sweep: Callable[[str, UnitRef, str | None], tuple[Draft, ...]]
    model: Model | None = None
    clock: Clock = attrs.field(factory=SystemClock)
    workspace: Callable[[Task], Workspace] = default_workspace
    on_progress: Callable[[str, Progress], None] = _ignore


@attrs.frozen(kw_only=True)
class Fault:
    """The world's fault: ends the run. `sentence` names the cure."""

    reason: Reason
    sentence: str


Tell = Callable[[tuple[Event, ...] | Fault], None]


async def perform(start: Start, search: Search, ports: Ports, tell: Tell) -> None:
    """Carries one piece of work out and tells its end. Never raises for the world's faults.

    What may go better the next time (a worker that was lost, a device in use) is tried
    once more before it ends the run.
    """
    try:
        tell(await _twice(start, search, ports))
    except EvaluatorError as error:
        tell(Fault(reason="evaluator failed", sentence=str(error)))


async def _twice(start: Start, search: Search, ports: Ports) -> tuple[Event, ...]:
    try:
        return await _events(start, search, ports)
    except EvaluatorError as error:
        if not error.retryable or (isinstance(start, StartOpen) and error.culprit == "target"):
            raise  # somebody waits to hear that a target cannot be reached
        ports.on_progress(start.id, Progress("retry", str(error)))
    await ports.clock.sleep(RETRY_AFTER_S)
    return await _events(start, search, ports)


async def _events(  # noqa: PLR0911 - a table
    start: Start, search: Search, ports: Ports
) -> tuple[Event, ...]:
    match start:
        case StartOpen():
            return (await _open(start, search, ports),)
        case StartRecord():
            return (await _record(start, search, ports),)
        case StartSweep():
            return tuple(swept(start, search, ports, ports.clock.now()))
        case StartAsk():
            return (await _ask(start, search, ports),)
        case StartScreen():
            return tuple(screened(start, search, ports, ports.clock.now()))
        case StartJudge():
            return (await _judge(start, search, ports),)
        case StartConfirm():
            return (await _confirm(start, search, ports),)
        case _:
            assert_never(start)


async def _open(start: StartOpen, search: Search, ports: Ports) -> Event:
    facts = await ports.evaluator.open(ports.workspace(search.task))
    return Opened(
        id=start.id,
        facts=facts,
        at=ports.clock.now(),
        shipped=ports.evaluator.shipped,
        whet=version("whet"),
    )


async def _record(start: StartRecord, search: Search, ports: Ports) -> Event:
    task = search.task
    recorded = await ports.evaluator.record(
        task.unit, task.tests, _watcher(start.id, ports), benchmark=task.benchmark
    )
    return BaselineRecorded(id=start.id, recorded=recorded, at=ports.clock.now())


# ---- the model -------------------------------------------------------------------------


async def _ask(start: StartAsk, search: Search, ports: Ports) -> Event:
    assert ports.model is not None, "a model call was decided without a model"
    if start.delay_s > 0:
        seconds = f"{start.delay_s:.0f} s"
        ports.on_progress(start.id, Progress("model", f"asking again in {seconds}"))
        await ports.clock.sleep(start.delay_s)
    policy = search.task.policy
    n_characters = 0

    def on_delta(text: str) -> None:
        nonlocal n_characters
        n_characters += len(text)
        ports.on_progress(start.id, Progress("model", f"{start.role}: {n_characters} characters"))

    try:
        reply = await ports.model.ask(
            start.messages,
            temperature=policy.temperature,
            max_completion_tokens=policy.max_completion_tokens,
            on_delta=on_delta,
        )
    except ModelError as error:
        return _call_failed(start, error, ports.clock.now())
    return Answered(
        id=start.id,
        role=start.role,
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        usd=reply.usd,
        at=ports.clock.now(),
    )


def _call_failed(start: StartAsk, error: ModelError, at: float) -> CallFailed:
    return CallFailed(
        id=start.id,
        role=start.role,
        sentence=error.sentence,
        fatal=error.fatal,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        billed=error.billed,
        at=at,
    )


# ---- evaluation ------------------------------------------------------------------------


async def _judge(start: StartJudge, search: Search, ports: Ports) -> Event:
    watcher = _Stopwatch(start.id, ports)
    candidate = _candidate(search, start.candidate, start.nodes, f"{search.run}.{start.id}")
    key = _key(candidate, search, ports)
    known = await ports.journal.judged(key)
    if known is not None:
        run, before = known
        return attrs.evolve(
            before, id=start.id, candidate=start.candidate.id, stage_s={}, at=ports.clock.now(),
            known_from=run,
        )  # fmt: skip
    verdict = await ports.evaluator.evaluate(candidate, watcher)
    return Judged(
        id=start.id,
        candidate=start.candidate.id,
        verdict=verdict,
        stage_s=watcher.stages(),
        at=ports.clock.now(),
        key=key if verdicts.is_repeatable(verdict) else "",
    )


def _key(candidate: Candidate, search: Search, ports: Ports) -> str:
    assert search.facts is not None, "open() comes before judging"
    return verdicts.key_of(
        candidate,
        task=search.task,
        facts=search.facts,
        shipped=ports.evaluator.shipped,
        limits=ports.workspace(search.task).limits,
    )


async def _confirm(start: StartConfirm, search: Search, ports: Ports) -> Event:
    candidate = _candidate(search, start.candidate, start.nodes, f"{search.run}.{start.id}")
    watcher = _Stopwatch(start.id, ports)
    verdict = await ports.evaluator.confirm(candidate, watcher)
    _require_same_files(search, ports)
    return Confirmed(
        id=start.id,
        candidate=start.candidate.id,
        verdict=verdict,
        at=ports.clock.now(),
        stage_s=watcher.stages(),
    )


def _require_same_files(search: Search, ports: Ports) -> None:
    """A worker that was lost and started again may have been sent other files than those
    that the baseline ran with, and then evidence would name the wrong ones."""
    assert search.surroundings is not None
    if ports.evaluator.shipped.sources != search.surroundings.shipped.sources:
        raise EvaluatorError(
            "workspace",
            "the project's files changed while its worker was started again; `whet resume "
            f"{search.run}` judges everything by the files as they are now",
        )


def _candidate(search: Search, tried: Tried, nodes: tuple[str, ...], seed: str) -> Candidate:
    assert search.recorded is not None
    return Candidate(
        unit=search.task.unit,
        text=tried.text,
        nodes=nodes,
        launches=search.recorded.launches,
        seed=zlib.crc32(seed.encode()),
        timed=search.task.goal == "optimize",
        differences=fatal_differences(search.task),
        references=search.task.references,
        benchmark=search.task.benchmark,
    )


def fatal_differences(task: Task) -> Differences:
    """What a difference from the original means. For `fix` the original is wrong."""
    if task.goal == "fix":
        return "listed"
    return "strict" if task.policy.strict else "contract"


def _watcher(work_id: str, ports: Ports) -> OnProgress:
    return lambda progress: ports.on_progress(work_id, progress)


class _Stopwatch:
    """Passes progress on and keeps how long each stage took on the host's clock."""

    def __init__(self, work_id: str, ports: Ports) -> None:
        self._id = work_id
        self._ports = ports
        self._stage = "queue"
        self._since = time.monotonic()
        self._spent: dict[str, float] = {}
        self._inside: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.seconds:
            self._inside = dict(progress.seconds)
            return
        if progress.stage != self._stage:
            self._turn_to(progress.stage)
        self._ports.on_progress(self._id, progress)

    def stages(self) -> dict[str, float]:
        """Seconds by stage, in order; then, as `stage:phase`, what the worker counted within."""
        self._turn_to("")
        return {**self._inside, **self._spent}

    def _turn_to(self, stage: str) -> None:
        now = time.monotonic()
        self._spent[self._stage] = self._spent.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now
