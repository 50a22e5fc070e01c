"""A test run, shaped like a search run, so that both queue alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine

from whet_evaluator.worker.records import TestOutcome, TestRun
from whet_server.apps import refusing


class TestRunHandle:
    """Begins at once. `wait` gives the outcomes."""

    __test__ = False

    def __init__(self, work: Coroutine[object, object, TestRun]) -> None:
        self.run = f"tests-{uuid.uuid4().hex[:8]}"
        self._task = asyncio.create_task(work, name=self.run)

    def cancel(self) -> None:
        self._task.cancel()

    async def wait(self) -> tuple[TestOutcome, ...]:
        """Raises `RefusedError` for the world's faults, `CancelledError` after `cancel`."""
        with refusing():
            return (await self._task).tests
