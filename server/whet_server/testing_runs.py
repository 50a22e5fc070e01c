"""A test run, shaped like a search run, so that both queue alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whet_evaluator.worker.records import TestOutcome, TestRun


class TestRunHandle:
    """Begins at once. `wait` gives the outcomes."""

    __test__ = False

    def __init__(self, work: Coroutine[object, object, TestRun]) -> None:
        self.run = f"tests-{uuid.uuid4().hex[:8]}"
        self._task = asyncio.create_task(work, name=self.run)

    def cancel(self) -> None:
        self._task.cancel()

    async def wait(self) -> tuple[TestOutcome, ...]:
        """Raises `UserError` for the world's faults, `CancelledError` after `cancel`."""
        return (await self._task).tests
