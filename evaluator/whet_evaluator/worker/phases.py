"""Where a stage's time goes: seconds by phase, from the worker's request to the child's end.

Every process of a stage reads the same monotonic clock of this host, so the worker's
moment of asking is where the child's first phase begins. A child sends what it counted
with its answer; what is after that, only its parents can tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Mark = Callable[[str], None]
"""Ends a phase: the time since the last mark was spent in the one named."""


class Phases:
    """Adds up seconds by name. `since`: when the first phase began, monotonic."""

    def __init__(self, since: float) -> None:
        self._since = since
        self.seconds: dict[str, float] = {}

    def mark(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def mark_of(job: dict[str, Any]) -> Mark:
    """The job's own mark; a job that is run outside the worker has none."""
    mark: Mark = job.get("mark", _unmarked)
    return mark


def _unmarked(name: str) -> None:
    """Nobody counts."""
