"""A stage that needs the device to itself, started before it may have it.

Importing torch's device, both versions and the driver's first launches take a good half of a
short timing. They need a place on the device like any test, not the device alone: so the child
does them beside the candidate's tests and generated cases, waits at a gate (`gate`), and only what
comes behind it holds `gpu_timing`. Where there was no place for it in time, or it is not found
waiting, the stage starts as any other.

In a search its answer counts once it is there: a process that held a device takes a fifth of a
second to end, and only the device's next user must wait for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any

from . import gate
from .bench import Bench
from .orders import Where
from .runner import OnProgress
from .stage_ends import Answered, OutOfTime, StageEnd, Wedged

_WAITING = 3.0
"""A child may take so many times a stage's limit until its turn has come and is over; what comes
behind the gate has the limit alone."""


async def run(
    bench: Bench, job: dict[str, Any], where: Where, *, fresh: bool, wanted: asyncio.Event,
    on_progress: OnProgress,
) -> tuple[StageEnd, float]:  # fmt: skip
    """How it ended, and the seconds since it had the device. `wanted` says when it may have it."""
    path = os.path.join(where.scratch.output, f"{job['stage']}.gate")
    told = {**job, "gate": path, "deadline_s": bench.limits.stage_s}
    child = _Child(bench, told, where, fresh=fresh, on_progress=on_progress)
    preparing = asyncio.ensure_future(child.prepare())
    try:
        await wanted.wait()
        if not child.is_placed:
            preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)  # what it met, the stage will
        async with contextlib.AsyncExitStack() as place:
            await place.enter_async_context(bench.held("gpu_timing", "device", on_progress))
            began = time.monotonic()
            if child.is_waiting and gate.open_gate(path):
                end = await child.end(bench.limits.stage_s)
                if child.is_leaving:
                    leaving = asyncio.ensure_future(_see_off(bench, child, place.pop_all()))
                    bench.leaving.add(leaving)
                    leaving.add_done_callback(bench.leaving.discard)
                return end, time.monotonic() - began
        await child.cancel()
    finally:
        preparing.cancel()
        if not child.is_leaving:
            await child.cancel()
    return await bench.run(
        job, where, mode="device", lane="gpu_timing", fresh=fresh, on_progress=on_progress
    )


async def _see_off(bench: Bench, child: _Child, place: contextlib.AsyncExitStack) -> None:
    """Keeps its place until it is gone."""
    async with place:
        if isinstance(await child.gone(), Wedged):
            bench.wedged = True


class _Child:
    """The stage's process, from its start until it is gone."""

    def __init__(
        self, bench: Bench, job: dict[str, Any], where: Where, *, fresh: bool,
        on_progress: OnProgress,
    ) -> None:  # fmt: skip
        self._bench = bench
        self._job = job
        self._where = where
        self._fresh = fresh
        self._on_progress = on_progress
        self._ready = asyncio.Event()
        self._answered: asyncio.Future[StageEnd] = asyncio.get_running_loop().create_future()
        self.is_leaving = False
        """Whether it has answered, which is enough, and still runs."""
        self._running: asyncio.Task[StageEnd] | None = None

    @property
    def is_placed(self) -> bool:
        """Whether it had a place on the device, and so was started."""
        return self._running is not None

    @property
    def is_waiting(self) -> bool:
        """Whether it stands at its gate."""
        return self._running is not None and not self._running.done() and self._ready.is_set()

    async def prepare(self) -> None:
        """Starts it, in a place that it leaves once it waits."""
        zygote = await self._bench.zygote_for("device", fresh=self._fresh)
        async with self._bench.held("gpu", "device", lambda *_: None):
            limit_s = _WAITING * self._bench.limits.stage_s
            starting = self._bench.start(
                self._job, self._where, "device", zygote, limit_s, self._heard,
                None if self._fresh else self._hear_answer,
            )  # fmt: skip
            self._running = asyncio.ensure_future(starting)
            ready = asyncio.ensure_future(self._ready.wait())
            await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()

    def _heard(self, detail: str, done: int, total: int) -> None:
        if detail == gate.READY:
            self._ready.set()
        else:
            self._on_progress(detail, done, total)

    def _hear_answer(self, answered: Answered) -> None:
        if not self._answered.done():
            self._answered.set_result(answered)

    async def end(self, limit_s: float) -> StageEnd:
        """How it ended, or what it answered."""
        assert self._running is not None
        await asyncio.wait(
            {self._running, self._answered}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._running.done():
            return self._running.result()
        if self._answered.done():
            self.is_leaving = True
            return self._answered.result()
        await self.cancel()
        return OutOfTime(limit_s)

    async def gone(self) -> StageEnd:
        """How it ended in truth, once it did, which it has a limit for."""
        assert self._running is not None
        return await self._running

    async def cancel(self) -> None:
        """Ends it, wherever it is, and waits until it is gone."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._running])
