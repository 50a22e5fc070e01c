"""One request's stages at the bench, each in its own place, and the seconds that they took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from . import ahead
from .bench import Bench
from .orders import Where
from .records import Mode
from .stage_ends import Answered, StageEnd, Wedged
from .unit_ref import UnitRef
from .workspace import WorkspaceError

DEFAULT_ARCH = "gfx942"
"""What to compile for where there is no device and the user named nothing: MI300X."""

OnStage = Callable[[str, str, int, int], None]
"""Hears stage, detail, done, total."""


class RequestStages:
    """`fresh` ones have empty caches and, where walls are weak, processes of their own;
    `stage_s` fills up as they end."""

    def __init__(self, bench: Bench, on_stage: OnStage) -> None:
        self._bench = bench
        self._on_stage = on_stage
        self.fresh = False
        self.stage_s: dict[str, float] = {}

    @property
    def mode(self) -> Mode:
        assert self._bench.facts is not None
        return self._bench.facts.mode

    @property
    def arch(self) -> str:
        return self._bench.arch or DEFAULT_ARCH

    async def run(
        self,
        stage: str,
        job: dict[str, Any],
        where: Where,
        mode: Mode,
        *,
        name: str | None = None,
        lane: Any = None,
        fresh: bool | None = None,
    ) -> StageEnd:
        """Shown and counted as `name`, else as `stage`. Raises `WorkspaceError` where the
        device hangs, which no later stage could mend."""
        shown = name or stage
        self._on_stage(shown, "", 0, 0)
        end, seconds = await self._bench.run(
            {"stage": stage, **job}, where, mode=mode,
            lane=lane or ("gpu" if mode == "device" else "cpu"),
            fresh=self.fresh if fresh is None else fresh,
            on_progress=lambda detail, done, total: self._on_stage(shown, detail, done, total),
        )  # fmt: skip
        return self._counted(shown, end, seconds)

    async def run_alone(
        self, stage: str, job: dict[str, Any], where: Where, wanted: asyncio.Event
    ) -> StageEnd:
        """Runs a stage that has the device to itself, once it is `wanted`; it gets ready before
        (`ahead`). Shown and counted from then on."""

        def on_progress(detail: str, done: int, total: int) -> None:
            if wanted.is_set():
                self._on_stage(stage, detail, done, total)

        end, seconds = await ahead.run(
            self._bench, {"stage": stage, **job}, where, fresh=self.fresh, wanted=wanted,
            on_progress=on_progress,
        )  # fmt: skip
        return self._counted(stage, end, seconds)

    def _counted(self, shown: str, end: StageEnd, seconds: float) -> StageEnd:
        self._count(shown, seconds)
        for phase, part in end.phases.items() if isinstance(end, Answered) else ():
            self._count(f"{shown}:{phase}", part)
        if isinstance(end, Wedged):
            self._bench.wedged = True
            raise WorkspaceError(
                "device wedged",
                "a process on the device outlived SIGKILL, so its driver hangs; reset the device or restart the host, then run again",
            )
        return end

    @asynccontextmanager
    async def place(self, unit: UnitRef | None, text: str | None) -> AsyncIterator[Where]:
        """A tree of the project with `text` as the unit's file, removed afterwards."""
        began = time.monotonic()
        where = await self._bench.place(unit, text, fresh=self.fresh)
        self._count("place", time.monotonic() - began)
        try:
            yield where
        finally:
            began = time.monotonic()
            self._bench.remove(where)
            self._count("remove", time.monotonic() - began)

    @asynccontextmanager
    async def empty(self) -> AsyncIterator[Where]:
        """A tree without any project in it, removed afterwards."""
        where = self._bench.place_empty()
        try:
            yield where
        finally:
            self._bench.remove(where)

    def _count(self, name: str, seconds: float) -> None:
        self.stage_s[name] = self.stage_s.get(name, 0.0) + seconds
