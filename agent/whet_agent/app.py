"""The façade that the server and the command line share: start, watch, cancel, resume.

It wires settings, journal, model and evaluator to the search and turns the world's
faults into a `Finished` event with the cure. Everything runs on the caller's asyncio
loop; nothing here blocks it for long.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from whet_agent.events import Event
from whet_agent.report import RunSummary
from whet_agent.task import Goal, Task
from whet_evaluator.worker.records import Facts, TestRun

OnEvent = Callable[[str, Event, RunSummary], None]
"""Called with the run id, the event just journalled, and the run's summary after it."""


class RunHandle:
    """A run in progress."""

    run: str

    def cancel(self) -> None:
        """Asks the run to stop; the best so far is kept. Returns at once."""

    async def wait(self) -> RunSummary:
        """Waits for `Finished`. Never raises for the world's faults."""


class App:
    """One per process. `editor` are settings from the client, `flags` from the CLI."""

    @classmethod
    def load(
        cls, root: Path, *, editor: dict[str, Any] | None = None, flags: dict[str, Any] | None = None
    ) -> App: ...

    def task(
        self,
        goal: Goal,
        path: Path,
        kernel: str,
        *,
        text: str | None = None,
        tests: tuple[str, ...] = (),
        overlay: dict[str, str] | None = None,
        target: str | None = None,
    ) -> Task:
        """Builds the order. `text` is the buffer's when it is unsaved. Tests come from the
        argument, else `[tool.whet] tests`, else the static map. Raises `UserError`
        (one sentence with the cure): no such kernel, no tests, untrusted folder, ..."""

    def start(self, task: Task, on_event: OnEvent) -> RunHandle:
        """Begins a run on the running loop and returns at once with its id."""

    def resume(self, run: str, on_event: OnEvent) -> RunHandle:
        """Goes on with a stopped run. Raises `UserError` when another process holds it."""

    def runs(self, *, root: Path | None = None) -> list[RunSummary]:
        """All runs in the store, newest first, those of `root` only if given."""

    async def run_tests(
        self, path: Path, kernel: str | None, tests: tuple[str, ...], *, text: str | None = None,
        target: str | None = None,
    ) -> TestRun:
        """Runs tests as they are, without the loop. Raises `UserError`."""

    async def close(self) -> None:
        """Cancels runs and ends workers; used at shutdown."""


class UserError(Exception):
    """`str()` is one sentence with the cure, shown as it is."""
