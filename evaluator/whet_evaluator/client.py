"""An `Evaluator` whose candidates are judged by a worker, here or at the end of a prefix.

A lost worker fails what was in flight with a retryable
error; the next call starts another one and opens the same workspace again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar, get_args

from whet_evaluator import diagnosis, targets
from whet_evaluator.evaluation import (
    Candidate,
    OnProgress,
    Progress,
    Shipped,
    Target,
    Workspace,
)
from whet_evaluator.files import load_manifest, shipped
from whet_evaluator.link import Link
from whet_evaluator.worker import protocol, records
from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.records import Facts, WorkerVerdict
from whet_evaluator.worker.unit_ref import UnitRef

_START_S = 60.0

_Result = TypeVar("_Result")
_VERDICT: tuple[type[WorkerVerdict], ...] = get_args(WorkerVerdict)


def _silent(progress: Progress) -> None:
    del progress


class WorkerEvaluator:
    """An `Evaluator` whose candidates are judged by a worker on `target`.

    Use as an async context manager, or `close()` it.
    """

    def __init__(self, target: Target, *, start_s: float = _START_S) -> None:
        self.target = target
        self.facts: Facts | None = None
        """What the last handshake found, kept even where `open` raised for what is missing."""
        self.shipped = Shipped()
        self._start_s = start_s
        self._link: Link | None = None
        self._workspace: Workspace | None = None
        self._starting = asyncio.Lock()

    @property
    def in_place(self) -> bool:
        """Whether the target has the project's files itself, so that none are sent."""
        return targets.is_local(self.target) or self.target.root is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self, workspace: Workspace) -> Facts:
        """See `Evaluator.open`. Raises for a Python without torch, triton or pytest."""
        self._workspace = workspace
        async with self._starting:
            return await self._open(workspace)

    async def collect(self, tests: tuple[str, ...]) -> records.Collected:
        return await self._ask(
            records.Collected, lambda id_: protocol.Collect(id=id_, tests=tests), _silent
        )

    async def record(
        self,
        unit: UnitRef,
        tests: tuple[str, ...],
        on_progress: OnProgress,
        *,
        benchmark: str | None = None,
    ) -> records.Recorded:
        return await self._ask(
            records.Recorded,
            lambda id_: protocol.Record(id=id_, unit=unit, tests=tests, benchmark=benchmark),
            on_progress,
        )

    async def evaluate(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        return await self._judge(candidate, on_progress, fresh=False)

    async def confirm(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        return await self._judge(candidate, on_progress, fresh=True)

    async def run_tests(
        self, tests: tuple[str, ...], unit: UnitRef | None, on_progress: OnProgress
    ) -> records.TestRun:
        return await self._ask(
            records.TestRun,
            lambda id_: protocol.RunTests(id=id_, tests=tests, unit=unit),
            on_progress,
        )

    async def compile(
        self, unit: UnitRef, text: str, launches: tuple[Launch, ...], arch: str
    ) -> records.CompileReport:
        return await self._ask(
            records.CompileReport,
            lambda id_: protocol.Compile(
                id=id_, unit=unit, text=text, launches=launches, arch=arch
            ),
            _silent,
        )

    async def close(self) -> None:
        """See `Evaluator.close`."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _judge(
        self, candidate: Candidate, on_progress: OnProgress, *, fresh: bool
    ) -> WorkerVerdict:
        return await self._ask(
            _VERDICT,
            lambda id_: protocol.Evaluate(
                id=id_, unit=candidate.unit, text=candidate.text, nodes=candidate.nodes,
                launches=candidate.launches, seed=candidate.seed, fresh=fresh,
                timed=candidate.timed, differences=candidate.differences,
                references=dict(candidate.references), benchmark=candidate.benchmark,
            ),
            on_progress,
        )  # fmt: skip

    async def _ask(
        self,
        expected: type[_Result] | tuple[type[_Result], ...],
        make: Callable[[int], protocol.Down],
        on_progress: OnProgress,
    ) -> _Result:
        link = await self._live_link()
        done = await link.request(make, on_progress, None)
        assert isinstance(done.result, expected), done.result
        if done.stage_s and expected is _VERDICT:
            on_progress(Progress("judged", seconds=done.stage_s))
        return done.result

    async def _live_link(self) -> Link:
        async with self._starting:
            if self._link is None or self._link.lost:
                if self._workspace is None:
                    raise AssertionError("open() comes first")
                await self._open(self._workspace)
            assert self._link is not None
            return self._link

    async def _open(self, workspace: Workspace) -> Facts:
        manifest = await asyncio.to_thread(load_manifest, workspace)
        self.shipped = shipped(manifest, in_place=self.in_place)
        if self._link is None or self._link.lost:
            await self.close()
            self._link = await Link.start(self.target, self._start_s)
        target = self.target
        root = str(manifest.root) if targets.is_local(target) else target.root
        done = await self._link.request(
            lambda id_: protocol.Open(
                id=id_, root=root or str(manifest.root), files=manifest.entries,
                in_place=self.in_place, device=target.device, arch=target.arch, env=dict(target.env),
                limits=workspace.limits,
            ),
            _silent,
            manifest,
        )  # fmt: skip
        facts = done.result
        assert isinstance(facts, Facts), facts
        self.facts = facts
        missing = diagnosis.missing_packages(target, facts)
        if missing is not None:
            raise missing
        return facts
