"""The loop: starts what `decide` says, stores what happens, shows it. A thin async shell.

One task group and one inbox. For each `Start` the loop stores `Started` and spawns a
task (`work.perform`); whatever a task has to tell comes back through the inbox and is
stored before anyone sees it. Cancel and the deadline are messages like any other, so
the order of the journal is the order of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from whet_agent.events import (
    Asked,
    CancelRequested,
    Created,
    Event,
    Finished,
    Interrupted,
    Resumed,
    Started,
    Ticked,
    WorkKind,
)
from whet_agent.loop_ports import Ports
from whet_agent.search.closing import stop
from whet_agent.search.fold import apply, replay
from whet_agent.search.policy import Search, Stop, decide
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
from whet_agent.store.journal import JournalError
from whet_agent.task import Task
from whet_agent.work import Fault, perform

Sink = Callable[[str, Event], None]
"""Called with the run and an event that is in the journal. Must not block or raise."""


async def create(run: str, task: Task, ports: Ports) -> None:
    """Stores a new run; `drive` then carries it out."""
    await ports.journal.append(run, Created(run=run, task=task, at=ports.clock.now()))


async def drive(
    run: str, ports: Ports, *, sinks: tuple[Sink, ...] = (), cancel: asyncio.Event
) -> Search:
    """Carries a stored run to its end, from wherever its journal stands.

    Setting `cancel` ends it within a second with the best kept. The world's faults end
    it with a `Finished` that names the cure. Raises `LeaseHeldError` when another
    process works on the run, `JournalError` when the store fails.
    """
    async with ports.journal.lease(run):
        events = await ports.journal.events(run)
        loop = _Loop(run, ports, sinks, replay(events))
        if len(events) > 1:
            await loop.take_up_again()
        return await loop.to_the_end(cancel)


class _Loop:
    """One drive of one run. Holds the only mutable reference to the state."""

    def __init__(self, run: str, ports: Ports, sinks: tuple[Sink, ...], search: Search) -> None:
        self._run = run
        self._ports = ports
        self._sinks = sinks
        self._search = search
        self._inbox: asyncio.Queue[tuple[Event, ...] | Fault] = asyncio.Queue()

    async def take_up_again(self) -> None:
        """What was in flight when the last process ended is lost."""
        at = self._ports.clock.now()
        lost = (Interrupted(id=work_id, at=at) for work_id in self._search.flight)
        await self._store(*lost, Resumed(at=at))

    async def to_the_end(self, cancel: asyncio.Event) -> Search:
        tasks: list[asyncio.Task[None]] = []
        failure: JournalError | None = None
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(self._wait_cancel(cancel)))
            tasks.append(group.create_task(self._wait_deadline()))
            try:
                await self._steps(group, tasks)
            except JournalError as error:
                failure = error  # raised below: a task group would wrap it
            finally:
                for task in tasks:
                    task.cancel()
        if failure is not None:
            raise failure
        return self._search

    async def _steps(self, group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]]) -> None:
        while True:
            step = decide(self._search, self._ports.brief)
            if isinstance(step, Stop):
                return await self._finish(step)
            for start in step:
                await self._begin(start)
                search = self._search
                tasks.append(
                    group.create_task(perform(start, search, self._ports, self._inbox.put_nowait))
                )
            message = await self._inbox.get()
            if isinstance(message, Fault):
                return await self._finish(
                    stop(self._search, message.reason, cause=message.sentence)
                )
            await self._store(*message)

    async def _begin(self, start: Start) -> None:
        at = self._ports.clock.now()
        begun = Started(id=start.id, work=_WORK[type(start)], at=at)
        if not isinstance(start, StartAsk):
            return await self._store(begun)
        # In one commit: the reservation is in the journal before the request leaves.
        asked = Asked(
            id=start.id,
            role=start.role,
            reserved_usd=start.reserved_usd,
            prompt_tokens_bound=start.prompt_tokens_bound,
            at=at,
        )
        return await self._store(begun, asked)

    async def _finish(self, end: Stop) -> None:
        """Work still in flight is given up; its reservations count as spent."""
        at = self._ports.clock.now()
        lost = (Interrupted(id=work_id, at=at) for work_id in self._search.flight)
        finished = Finished(reason=end.reason, sentence=end.sentence, best=end.best, at=at)
        await self._store(*lost, finished)

    async def _store(self, *events: Event) -> None:
        """The journal first, then the state, then everyone who watches."""
        await self._ports.journal.append(self._run, *events)
        for event in events:
            self._search = apply(self._search, event)
            for sink in self._sinks:
                sink(self._run, event)

    async def _wait_cancel(self, cancel: asyncio.Event) -> None:
        await cancel.wait()
        self._inbox.put_nowait((CancelRequested(at=self._ports.clock.now()),))

    async def _wait_deadline(self) -> None:
        limit = self._search.task.policy.max_seconds
        if limit is None:
            return
        clock = self._ports.clock
        end = clock.now() + max(0.0, limit - self._search.active_s)
        while (left := end - clock.now()) > 0:
            await clock.sleep(left)
        self._inbox.put_nowait((Ticked(at=clock.now()),))


_WORK: dict[type[Start], WorkKind] = {
    StartOpen: "open",
    StartRecord: "record",
    StartSweep: "sweep",
    StartAsk: "ask",
    StartScreen: "screen",
    StartJudge: "judge",
    StartConfirm: "confirm",
}
