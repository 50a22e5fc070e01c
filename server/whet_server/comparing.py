"""*Verify my changes*: a comparison with git's HEAD, shaped like a search run, so that it
queues like one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from whet_agent.compare import Comparison


@attrs.frozen(kw_only=True)
class Verified:
    """What came of a person's own edit: in a sentence, and as a markdown page of evidence.

    `against` names the original, `notes` say what was compared otherwise than expected.
    """

    against: str
    sentence: str
    notes: tuple[str, ...]
    report: str
    at: float


class ComparisonHandle:
    """Begins at once. `wait` gives what came of it."""

    def __init__(self, work: Coroutine[object, object, Comparison]) -> None:
        self.run = f"verify-{uuid.uuid4().hex[:8]}"
        self._task = asyncio.create_task(work, name=self.run)

    def cancel(self) -> None:
        self._task.cancel()

    async def wait(self) -> Verified:
        """Raises `UserError` for the world's faults, `CancelledError` after `cancel`."""
        from whet_agent import compare_words

        found = await self._task
        return Verified(
            against=found.against,
            sentence=compare_words.sentence(found),
            notes=found.notes if found.on else (),
            report=compare_words.page_of(found),
            at=found.at,
        )
