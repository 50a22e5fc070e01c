"""The façade that the server and the command line share: start, watch, cancel, resume.

It wires settings, journal, model and evaluator to the search and turns the world's
faults into sentences with the cure. Everything runs on the caller's asyncio loop;
nothing here blocks it for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from whet_agent import orders, wiring
from whet_agent.drive import create, drive
from whet_agent.events import Created, Event
from whet_agent.history import History
from whet_agent.model.recorded import RecordedModel
from whet_agent.ports import ModelError
from whet_agent.project import UserError
from whet_agent.report import RunSummary, step
from whet_agent.settings.loading import Loaded, load_settings
from whet_agent.source.units import unit_of
from whet_agent.store.journal import JournalError
from whet_agent.task import Goal, Task
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Progress
from whet_evaluator.worker.records import Recorded, TestRun

OnEvent = Callable[[str, Event, RunSummary], None]
"""Called with the run id, the event just journalled, and the run's summary after it."""

OnProgress = Callable[[str, Progress], None]
"""Called with the id of the work in flight and how far it is."""


class RunHandle:
    """A run in progress. Made by `App.start` and `App.resume`."""

    def __init__(self, run: str, cancel: asyncio.Event, work: asyncio.Task[RunSummary]) -> None:
        self.run = run
        self._cancel = cancel
        self._work = work

    def cancel(self) -> None:
        """Asks the run to stop; the best so far is kept. Returns at once."""
        self._cancel.set()

    async def wait(self) -> RunSummary:
        """Waits for the end. Raises `UserError` when the store itself failed."""
        return await asyncio.shield(self._work)


class App:
    """One per project and process."""

    def __init__(
        self,
        root: Path,
        loaded: Loaded,
        *,
        editor: dict[str, Any] | None = None,
        recording: Path | None = None,
    ) -> None:
        self.root = root
        self.loaded = loaded
        self._editor = editor
        self._recording = recording
        self.history = History(loaded.settings.store)
        self._handles: dict[str, RunHandle] = {}
        self._evaluators: set[WorkerEvaluator] = set()

    @classmethod
    def load(
        cls,
        root: Path,
        *,
        editor: dict[str, Any] | None = None,
        flags: dict[str, Any] | None = None,
        path: Path | None = None,
        recording: Path | None = None,
    ) -> App:
        """Reads the settings for `root`. `editor` come from the client, `flags` from the
        command line; `recording` plays recorded replies in place of a model."""
        loaded = load_settings(root, editor, flags, path=path)
        return cls(root, loaded, editor=editor, recording=recording)

    # ---- runs --------------------------------------------------------------------------

    def task(
        self,
        goal: Goal,
        path: Path,
        kernel: str | None,
        *,
        text: str | None = None,
        tests: tuple[str, ...] = (),
        overlay: dict[str, str] | None = None,
        target: str | None = None,
    ) -> Task:
        """Builds the order. `text` is the buffer's when it is unsaved; `kernel` None means
        the only one of the file. Tests come from the argument, else `[tool.whet] tests`,
        else the static map. Raises `UserError`: no such kernel, no tests, untrusted, ..."""
        return orders.build(
            self.loaded, self.root, goal, path, kernel,
            text=text, tests=tests, overlay=overlay or {}, target=target, recording=self._recorded(),
        )  # fmt: skip

    def start(
        self, task: Task, on_event: OnEvent, on_progress: OnProgress | None = None
    ) -> RunHandle:
        """Begins a run on the running loop and returns at once with its id."""
        self._require_leave()
        return self._begin(_new_id(), task, on_event, on_progress, is_new=True)

    def resume(
        self, run: str, on_event: OnEvent, on_progress: OnProgress | None = None
    ) -> RunHandle:
        """Goes on with a stopped run. Raises `UserError` when another process holds it."""
        self._require_leave()
        run = self.history.find_run(run)
        created = self.history.events(run)[0]
        assert isinstance(created, Created)
        holder = self.history.holder(run)
        if holder is not None:
            raise UserError(
                f"Run {run} is in work by process {holder.pid} on {holder.host}: wait for it, "
                "or cancel it there."
            )
        return self._begin(run, created.task, on_event, on_progress, is_new=False)

    async def store_only(self, task: Task) -> str:
        """Puts a new run into the journal for another process to carry out. Raises
        `UserError` for what would stop that process at once."""
        self._require_leave()
        run = _new_id()
        try:
            if (model := self._model(task)) is not None:
                await model.close()
            await self.history.journal.append(run, Created(run=run, task=task, at=time.time()))
        except (JournalError, ModelError) as error:
            raise UserError(str(error)) from None
        return run

    # ---- tests without the loop ----------------------------------------------------------

    async def run_tests(
        self,
        path: Path,
        kernel: str | None,
        tests: tuple[str, ...],
        *,
        text: str | None = None,
        target: str | None = None,
    ) -> TestRun:
        """Runs tests as they are, with `text` in place of the file. Raises `UserError`."""
        order = self.task("fix", path, kernel, text=text, tests=tests, target=target)
        unit = unit_of(order.unit.text, order.unit.path, order.kernel)
        async with self.opened(order) as evaluator:
            return await evaluator.run_tests(order.tests, unit, lambda _: None)

    async def record(self, task: Task) -> Recorded:
        """Runs the task's tests on the code as it is and watches the launches.

        Raises `UserError`.
        """
        async with self.opened(task) as evaluator:
            return await evaluator.record(task.unit, task.tests, lambda _: None)

    @contextlib.asynccontextmanager
    async def opened(self, task: Task) -> AsyncIterator[WorkerEvaluator]:
        """An evaluator for the task's project, open. Raises `UserError`, also for what the
        evaluator says of the world inside the context."""
        self._require_leave()
        evaluator = WorkerEvaluator(task.target)
        self._evaluators.add(evaluator)
        try:
            await evaluator.open(wiring.workspace(self.loaded)(task))
            yield evaluator
        except EvaluatorError as error:
            raise UserError(str(error)) from None
        finally:
            self._evaluators.discard(evaluator)
            await evaluator.close()

    async def close(self) -> None:
        """Cancels runs and ends workers; used at shutdown."""
        for handle in self._handles.values():
            handle.cancel()
        await asyncio.gather(*(h.wait() for h in self._handles.values()), return_exceptions=True)
        await asyncio.gather(*(e.close() for e in self._evaluators), return_exceptions=True)
        self.history.close()

    # ---- inside ------------------------------------------------------------------------

    def _begin(
        self,
        run: str,
        task: Task,
        on_event: OnEvent,
        on_progress: OnProgress | None,
        *,
        is_new: bool,
    ) -> RunHandle:
        self.history.journal  # noqa: B018 - a store that cannot be opened is said now
        try:
            model = self._model(task)
        except ModelError as error:
            raise UserError(error.sentence) from None
        cancel = asyncio.Event()
        work = asyncio.get_running_loop().create_task(
            self._carry_out(run, task, model, on_event, on_progress, cancel, is_new=is_new)
        )
        handle = self._handles[run] = RunHandle(run, cancel, work)
        work.add_done_callback(lambda _: self._handles.pop(run, None))
        return handle

    async def _carry_out(
        self,
        run: str,
        task: Task,
        model: wiring.ClosableModel | None,
        on_event: OnEvent,
        on_progress: OnProgress | None,
        cancel: asyncio.Event,
        *,
        is_new: bool,
    ) -> RunSummary:
        evaluator = WorkerEvaluator(task.target)
        self._evaluators.add(evaluator)
        ports = wiring.ports(self.loaded, task, evaluator, self.history.journal, model, on_progress)
        summary = None if is_new else self.history.summary(run)

        def sink(run: str, event: Event) -> None:
            nonlocal summary
            summary = step(summary, event)
            on_event(run, event, summary)

        try:
            if is_new:
                await create(run, task, ports)
                sink(run, (await self.history.journal.events(run))[0])
            await drive(run, ports, sinks=(sink,), cancel=cancel)
        except JournalError as error:
            raise UserError(str(error)) from None
        finally:
            self._evaluators.discard(evaluator)
            await evaluator.close()
            if model is not None:
                await model.close()
        assert summary is not None
        return summary

    def _model(self, task: Task) -> wiring.ClosableModel | None:
        if task.model is None:
            return None
        return self._recorded() or wiring.chat_model(
            self.root, self.loaded, self._editor, task.model
        )

    def _recorded(self) -> RecordedModel | None:
        return RecordedModel.load(self._recording) if self._recording else None

    def _require_leave(self) -> None:
        """Raises `UserError` for an untrusted folder, and for settings of the person's own
        that cannot be followed: another value in their place is not what was asked for."""
        if not self.loaded.trusted:
            raise UserError(orders.untrusted(self.root))
        if self.loaded.unusable:
            raise UserError(self.loaded.unusable[0].sentence)


def _new_id() -> str:
    """Sortable by time and unique between machines: `20261120-161205-3fa9`."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


__all__ = ["App", "OnEvent", "OnProgress", "RunHandle", "UserError"]
