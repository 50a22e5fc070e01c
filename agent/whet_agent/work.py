"""How each `Start` is carried out against the ports, and what is told of it.

A candidate's fault is a verdict and a model's stumble a `CallFailed`: both are events.
The world's fault is a `Fault`, which ends the run with the cure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import attrs

from whet_agent.candidates.drafts import screened, swept
from whet_agent.events import (
    Answered,
    BaselineRecorded,
    CallFailed,
    Event,
    Opened,
    Reason,
)
from whet_agent.judging import confirm, judge
from whet_agent.loop_ports import Ports
from whet_agent.ports import ModelError
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
from whet_agent.search.state import Search
from whet_agent.version import __version__
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Progress

RETRY_AFTER_S = 2.0
"""Before work is tried again whose failure may have been the moment's."""


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
            return (await judge(start, search, ports),)
        case StartConfirm():
            return (await confirm(start, search, ports),)
        case _:
            assert_never(start)


async def _open(start: StartOpen, search: Search, ports: Ports) -> Event:
    facts = await ports.evaluator.open(ports.workspace(search.task))
    return Opened(
        id=start.id,
        facts=facts,
        at=ports.clock.now(),
        shipped=ports.evaluator.shipped,
        whet=__version__,
    )


async def _record(start: StartRecord, search: Search, ports: Ports) -> Event:
    task = search.task
    recorded = await ports.evaluator.record(
        task.unit,
        task.tests,
        lambda progress: ports.on_progress(start.id, progress),
        benchmark=task.benchmark,
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
