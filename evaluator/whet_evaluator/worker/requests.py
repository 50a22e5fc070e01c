"""What each request means in stages. A candidate's cascade lies in `cascade`.

What is not the candidate's fault is a `WorkspaceError`, which becomes a `Failure`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Union

from . import answers, records
from .bench import Bench
from .cascade import Cascade
from .codec import from_json, to_json
from .orders import Where
from .protocol import Collect, Compile, Evaluate, Record, RunTests
from .records import WorkerVerdict
from .request_stages import OnStage, RequestStages
from .workspace import WorkspaceError

Request = Union[Collect, Record, Evaluate, RunTests, Compile]


class Work:
    """One request's way through its stages; `stage_s` fills up as they end."""

    def __init__(self, bench: Bench, calls: dict[str, list[Any]], on_stage: OnStage) -> None:
        self._bench = bench
        self._calls = calls
        self._stages = RequestStages(bench, on_stage)
        self._recording = asyncio.Lock()

    @property
    def stage_s(self) -> dict[str, float]:
        return self._stages.stage_s

    async def do(self, request: Request) -> records.Result:
        """Raises `WorkspaceError` for the world's faults, and for a missing package."""
        self._require_packages()
        if isinstance(request, Collect):
            return await self._collect(request)
        if isinstance(request, Record) or (isinstance(request, Evaluate) and not request.fresh):
            self._bench.expect_compiling()  # while the tests run
        if isinstance(request, Record):
            return await self._record(request)
        if isinstance(request, Evaluate):
            return await self._evaluate(request)
        if isinstance(request, RunTests):
            return await self._run_tests(request)
        return await self._compile_only(request)

    # ---- requests ---------------------------------------------------------------------

    async def _collect(self, request: Collect) -> records.Collected:
        async with self._stages.place(None, None) as where:
            job = {"tests": list(request.tests)}
            answer = answers.sound(await self._stages.run("collect", job, where, self._stages.mode))
        return records.Collected(
            nodes=tuple(answer["nodes"]),
            errors=tuple(from_json(records.CollectError, e) for e in answer["errors"]),
        )

    async def _record(self, request: Record) -> records.Recorded:
        unit = request.unit
        async with self._stages.place(unit, unit.text) as where:
            ran = await self._original(request.tests, request.benchmark, where)
            self._calls[unit.path] = ran["calls"]
            launches = ran["launches"]
            made: dict[str, Any] = {"compiled": [], "not_compiled": []}
            if launches:
                job = {"launches": launches, "arch": self._stages.arch}
                made = answers.sound(await self._stages.run("load", job, where, "compile"))
            self._bench.keep_compiled(where)
        return records.Recorded(
            tests=answers.outcomes(ran), launches=answers.launches(ran), compiled=answers.compiled(made),
            not_compiled=answers.compile_errors(made), too_slow=tuple(ran["too_slow"]),
        )  # fmt: skip

    async def _run_tests(self, request: RunTests) -> records.TestRun:
        unit = request.unit
        async with self._stages.place(unit, unit.text if unit else None) as where:
            job = {"nodes": list(request.tests), "record": False}
            return records.TestRun(
                tests=answers.outcomes(
                    answers.sound(await self._stages.run("tests", job, where, self._stages.mode))
                )
            )

    async def _compile_only(self, request: Compile) -> records.CompileReport:
        async with self._stages.place(request.unit, request.text) as where:
            job = {"launches": to_json(request.launches), "arch": request.arch}
            made = answers.sound(await self._stages.run("load", job, where, "compile"))
        return records.CompileReport(
            compiled=answers.compiled(made), errors=answers.compile_errors(made)
        )

    async def _evaluate(self, request: Evaluate) -> WorkerVerdict:
        self._stages.fresh = request.fresh
        async with self._stages.place(request.unit, request.text) as where:
            cascade = Cascade(
                self._bench, self._stages, request, where, lambda: self._calls_of(request)
            )
            return await cascade.verdict()

    async def _calls_of(self, request: Evaluate) -> list[Any]:
        """The original's recorded calls; recorded anew where this worker has not seen them."""
        async with self._recording:  # several stages ask at once
            if request.unit.path not in self._calls:
                async with self._stages.place(request.unit, request.unit.text) as where:
                    ran = await self._original(request.nodes, request.benchmark, where)
                    self._calls[request.unit.path] = ran["calls"]
        return self._calls[request.unit.path]

    async def _original(
        self, tests: tuple[str, ...], benchmark: str | None, where: Where
    ) -> dict[str, Any]:
        """The original under its tests and its benchmark. Raises `WorkspaceError`."""
        job = {"nodes": list(tests), "record": True, "benchmark": benchmark}
        ran = answers.sound(
            await self._stages.run("tests", job, where, self._stages.mode, name="record")
        )
        if ran["benchmark_error"]:
            raise WorkspaceError(
                "tests",
                f"the benchmark {benchmark} {ran['benchmark_error']}; mend it, or take it out of "
                "the setting `benchmark`",
            )
        return ran

    def _require_packages(self) -> None:
        facts = self._bench.facts
        if facts is None or self._bench.project is None:
            raise WorkspaceError("bad request", "no project is open")
        if self._bench.wedged:
            raise WorkspaceError(
                "device wedged", "the device hangs since an earlier stage; reset it, then run again"
            )
        for name, version in (
            ("torch", facts.torch),
            ("triton", facts.triton),
            ("pytest", facts.pytest),
        ):
            if version is None:
                raise WorkspaceError(f"no {name}", answers.missing_package(name, facts))
