"""Runs of this session: one after another on each target, one at a time on each kernel.

The id a client gets is the journal's when the run can begin at once, else a ticket that
stays its name for the session and also answers to the journal's id once it has begun.
Nothing here knows LSP, and nothing here blocks.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import attrs

from whet_agent.project import UserError
from whet_agent.source.units import unit_digest
from whet_server.comparing import Verified
from whet_server.views import Fit, Goal, RunView

if TYPE_CHECKING:
    from whet_agent.report import RunSummary
    from whet_evaluator.worker.records import TestOutcome

log = logging.getLogger(__name__)

State = Literal["queued", "running", "finished"]


class Handle(Protocol):
    """What `App.start` gives, and what a test run looks like from here."""

    run: str

    def cancel(self) -> None: ...

    async def wait(self) -> RunSummary | tuple[TestOutcome, ...] | Verified: ...


OnSummary = Callable[["RunSummary"], None]
Begin = Callable[[OnSummary], Handle]
"""Starts the work at once; called when the target is free. May raise `UserError`."""


@attrs.define(kw_only=True, eq=False)
class Run:
    """One order and what came of it. `digest` is the unit's when it was ordered."""

    path: Path
    kernel: str
    digest: str
    goal: Goal
    target: str
    begin: Begin | None = None
    """None for a run of an earlier session."""
    planned: int = 0
    """Turns that its budget allows; 0 when nobody said."""
    id: str = attrs.field(factory=lambda: f"queued-{uuid.uuid4().hex[:8]}")
    state: State = "queued"
    summary: RunSummary | None = None
    outcomes: tuple[TestOutcome, ...] | None = None
    """Of a test run, once it is finished."""
    verified: Verified | None = None
    """Of a verify run, once it is finished."""
    stage: str = ""
    """What a run without events does now."""
    taken: bool = False
    """Its best is the text of the open buffer: nothing is on offer while it is."""
    reason: str | None = None
    sentence: str = ""
    rejected: bool = False
    streamed: set[str] = attrs.field(factory=set)
    """Candidates that were put into the buffer unasked: each only once, so undo is final."""
    handle: Handle | None = None
    task: asyncio.Task[None] | None = None
    _read: str | None = None
    _best_digest: str | None = None
    _bases: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def of_store(cls, summary: RunSummary) -> Run:
        """A run of an earlier session, or of another process: nothing works on it here."""
        return cls(
            id=summary.run,
            path=Path(summary.root, summary.path),
            kernel=summary.kernel,
            digest=summary.digest,
            goal=summary.goal,
            target=summary.target,
            state="finished",
            summary=summary,
            reason=summary.reason,
            sentence=summary.sentence,
        )

    def view(self, digest: str) -> RunView:
        return RunView(
            id=self.id,
            goal=self.goal,
            state=self.state,
            fit=self.fit(digest),
            rejected=self.rejected,
            summary=self.summary,
            verified=self.verified,
        )

    def fit(self, digest: str) -> Fit:
        """`after` only for the best's own text: an earlier improvement still has one before it."""
        if digest == self.best_digest:
            return "after"
        return "before" if digest == self.digest or digest in self.bases else "stale"

    def see(self, summary: RunSummary) -> None:
        self.summary = summary

    @property
    def best_digest(self) -> str | None:
        self._read_best()
        return self._best_digest

    @property
    def bases(self) -> Mapping[str, str]:
        """By unit digest: whole-file texts that a best of this run may replace, which are
        the original and every earlier best."""
        self._read_best()
        return self._bases

    def _read_best(self) -> None:
        """Parses the texts once for each best, and only when somebody asks."""
        best = self.summary.best if self.summary else None
        if best is None or best.candidate == self._read:
            return
        self._read = best.candidate
        self._best_digest = unit_digest(best.text, self.kernel)
        for text in (best.original_text, best.text):
            digest = unit_digest(text, self.kernel)
            if digest is not None:
                self._bases[digest] = text


class Runs:
    """All runs the session knows. `on_change` is called after every change of one."""

    def __init__(self, on_change: Callable[[Run], None]) -> None:
        self._on_change = on_change
        self._runs: dict[str, Run] = {}
        self._aliases: dict[str, str] = {}
        self._current: dict[str, Run] = {}
        self._waiting: dict[str, deque[Run]] = {}

    def submit(self, run: Run) -> None:
        """Begins the run, or queues it while its target is busy.

        Raises `UserError` while another run works on the same kernel, and what `begin`
        raises when it is begun at once.
        """
        self.require_idle(run.path, run.kernel)
        if run.target in self._current:
            self._waiting.setdefault(run.target, deque()).append(run)
        else:
            self._begin(run)
            assert run.handle is not None
            run.id = run.handle.run
            self._aliases[run.id] = run.id  # `_begin` knew it under its ticket
        self._runs.pop(run.id, None)  # a resumed run becomes the newest
        self._runs[run.id] = run
        self._on_change(run)

    def require_idle(self, path: Path, kernel: str) -> None:
        """Raises `UserError` while a run works on the kernel."""
        other = self.at_work(path, kernel)
        if other is not None:
            raise UserError(
                f"Whet already works on {kernel} (run {other.id}): wait for it, or cancel it "
                "before starting another."
            )

    def remember(self, run: Run) -> None:
        """Adds a run of an earlier session as the oldest, unless it is known already."""
        if run.id not in self._runs and run.id not in self._aliases:
            self._runs = {run.id: run, **self._runs}

    def get(self, run_id: str) -> Run | None:
        return self._runs.get(self._aliases.get(run_id, run_id))

    def all(self) -> tuple[Run, ...]:
        """Newest first."""
        return tuple(reversed(self._runs.values()))

    def of(self, path: Path, kernel: str) -> tuple[Run, ...]:
        """Newest first."""
        return tuple(run for run in self.all() if run.path == path and run.kernel == kernel)

    def at_work(self, path: Path, kernel: str) -> Run | None:
        return next((run for run in self.of(path, kernel) if run.state != "finished"), None)

    def n_unfinished(self) -> int:
        return sum(run.state != "finished" for run in self._runs.values())

    def cancel(self, run_id: str) -> Run:
        """Asks a run to stop and returns at once. Raises `UserError` for an unknown one."""
        run = self.get(run_id)
        if run is None:
            raise UserError(f"There is no run {run_id} here: `whet runs` lists those of the store.")
        if run.state == "queued":
            self._waiting[run.target].remove(run)
            self._finish(run, "cancelled", "Cancelled before it began.")
        elif run.state == "running" and run.handle is not None:
            run.handle.cancel()
        return run

    async def close(self) -> None:
        """Drops what waits, asks what runs to stop, and waits for it."""
        self._waiting.clear()
        tasks = [run.task for run in self._current.values() if run.task is not None]
        for run in self._current.values():
            if run.handle is not None:
                run.handle.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, run: Run) -> None:
        assert run.begin is not None
        run.handle = run.begin(lambda summary: self._progress(run, summary))
        run.state = "running"
        self._current[run.target] = run
        self._aliases[run.handle.run] = run.id
        run.task = asyncio.create_task(self._wait(run, run.handle), name=f"whet {run.handle.run}")

    async def _wait(self, run: Run, handle: Handle) -> None:
        try:
            self._end(run, await handle.wait())
        except asyncio.CancelledError:
            self._finish(run, "cancelled", "Cancelled.")
        except UserError as refused:
            self._finish(run, "refused", str(refused))
        except Exception:
            log.exception("run %s", run.id)
            self._finish(
                run,
                "internal error",
                "Whet itself failed; its log (stderr of `whet serve`) says why.",
            )
        finally:
            self._next(run.target)

    def _next(self, target: str) -> None:
        """Begins what waits for `target`; one that cannot begin leaves it to the next."""
        self._current.pop(target, None)
        waiting = self._waiting.get(target)
        while waiting and target not in self._current:
            run = waiting.popleft()
            try:
                self._begin(run)
                self._on_change(run)
            except UserError as refused:
                self._finish(run, "refused", str(refused))

    def _end(self, run: Run, result: RunSummary | tuple[TestOutcome, ...] | Verified) -> None:
        if isinstance(result, tuple):
            run.outcomes = result
            self._finish(run, "tests ran", _tests_sentence(result))
        elif isinstance(result, Verified):
            run.verified = result
            self._finish(run, "verified", result.sentence)
        else:
            run.see(result)
            self._finish(run, result.reason or "finished", result.sentence)

    def _progress(self, run: Run, summary: RunSummary) -> None:
        run.see(summary)
        if run.id in self._runs:
            self._on_change(run)

    def _finish(self, run: Run, reason: str, sentence: str) -> None:
        run.state = "finished"
        run.reason = reason
        run.sentence = sentence
        self._on_change(run)


def _tests_sentence(outcomes: tuple[TestOutcome, ...]) -> str:
    tally = Counter(outcome.outcome for outcome in outcomes)
    if not tally:
        return "No test ran: name one under `tests` in `[tool.whet]` of pyproject.toml."
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(tally.items())) + "."
