"""What each request means in stages: collect, record, and the cascade load, tests, time.

The first failure ends a cascade, as a verdict. What is not the candidate's fault is a
`WorkspaceError`, which becomes a `Failure`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Union

from . import answers, records
from .bench import Bench
from .codec import from_json, to_json
from .differential.means import Means
from .differential.suite import Suite
from .launch_records import Launch
from .orders import Where
from .protocol import Collect, Compile, Evaluate, Record, RunTests
from .records import Mode, UnitRef, WorkerVerdict
from .request_stages import OnStage, RequestStages
from .stage_ends import Answered, Raised, StageEnd
from .workspace import WorkspaceError

SEARCH_ROUNDS, SEARCH_CASES = 10, 3
"""Enough to rank a candidate. What is claimed comes from its confirmation, which has all."""

Request = Union[Collect, Record, Evaluate, RunTests, Compile]


class Work:
    """One request's way through its stages; `stage_s` fills up as they end."""

    def __init__(self, bench: Bench, calls: dict[str, list[Any]], on_stage: OnStage) -> None:
        self._bench = bench
        self._calls = calls
        self._stages = RequestStages(bench, on_stage)

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
            self._bench.keep_glue(where)
            self._calls[unit.path] = ran["calls"]
            launches = ran["launches"]
            made: dict[str, Any] = {"compiled": [], "not_compiled": []}
            if launches:
                job = {"launches": launches, "arch": self._stages.arch}
                made = answers.sound(await self._stages.run("load", job, where, "compile"))
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
            passed = await self._load_and_test(request, where)
            if not isinstance(passed, tuple):
                return passed
            loaded, tested = passed
            launches = answers.launches(tested)
            if answers.specialisations(launches) != answers.specialisations(request.launches):
                # The candidate launches other specialisations than the original did:
                # these are the ones its users would run, so these must compile.
                loaded_anew = await self._load(launches, where)
                if not isinstance(loaded_anew, dict):
                    return loaded_anew
                loaded = loaded_anew
            differed = await self._differ(request, where, tested)
            if not (differed is None or isinstance(differed, records.Differential)):
                return differed
            timing = await self._time(request, where, tested)
            if not isinstance(timing, (records.Timing, records.Untimed)):
                return timing
        return records.Correct(
            tests=answers.outcomes(tested),
            launches=launches,
            compiled=answers.compiled(loaded),
            timing=timing,
            differential=differed,
        )

    # ---- stages of the cascade: their answer, or the verdict that ends it -------------

    async def _load_and_test(
        self, request: Evaluate, where: Where
    ) -> tuple[dict[str, Any], dict[str, Any]] | WorkerVerdict:
        """Side by side on the interpreter, where they share nothing. On a device one after
        the other: the tests find in the candidate's cache what loading has compiled. So do
        fresh processes, whose imports alone fill the cores."""
        in_turn = self._stages.mode == "device" or request.fresh
        loading = asyncio.ensure_future(self._load(request.launches, where))
        try:
            if in_turn and not isinstance(loaded := await loading, dict):
                return loaded
            testing = asyncio.ensure_future(self._tests(request, where))
            try:
                loaded = await loading
                if not isinstance(loaded, dict):
                    return loaded
                tested = await testing
            finally:
                await _ended(testing)
        finally:
            await _ended(loading)
        return (loaded, tested) if isinstance(tested, dict) else tested

    async def _load(
        self, launches: tuple[Launch, ...], where: Where
    ) -> dict[str, Any] | WorkerVerdict:
        job = {"launches": to_json(launches), "arch": self._stages.arch}
        end = await self._stages.run("load", job, where, "compile")
        if isinstance(end, Raised):
            return records.Broken(trace=end.trace)
        if not isinstance(end, Answered):
            return answers.verdict_of("load", end)
        answer: dict[str, Any] = end.answer
        broken = answer.get("broken")
        if broken:
            return records.Broken(trace=broken["trace"], kernel=broken.get("kernel"))
        return answer

    async def _tests(self, request: Evaluate, where: Where) -> dict[str, Any] | WorkerVerdict:
        if not request.nodes:  # pytest without a node would run the whole project
            return {"outcomes": [], "launches": to_json(request.launches)}
        # A candidate slower than the original on the interpreter is not thereby wrong:
        # its nodes all count, and only the stage's deadline ends them.
        job = {
            "nodes": list(request.nodes), "record": True, "seed": request.seed,
            "budget_s": self._bench.limits.stage_s,
        }  # fmt: skip
        end = await self._stages.run("tests", job, where, self._stages.mode)
        if not isinstance(end, Answered):
            return answers.verdict_of("tests", end)
        answer: dict[str, Any] = end.answer
        if answer["misplaced"]:
            return records.Misplaced(detail=answer["misplaced"])
        return answers.red(answer, request.nodes) or answer

    async def _differ(
        self, request: Evaluate, where: Where, tested: dict[str, Any]
    ) -> records.Differential | WorkerVerdict | None:
        """The generated cases. None where no launch of the unit was recorded."""
        if not request.launches or self._bench.limits.differential_s == 0:
            return None
        suite = Suite(self._means(request.unit), request, where)
        calls = await self._calls_of(request)
        return await suite.check(calls, to_json(request.launches), tested["launches"])

    def _means(self, unit: UnitRef) -> Means:
        async def run(job: dict[str, Any], where: Where, mode: Mode, *, trusted: bool) -> StageEnd:
            fresh = False if trusted else None
            return await self._stages.run(
                job["stage"], job, where, mode, name="differ", fresh=fresh
            )

        return Means(
            run=run,
            place=lambda text: (
                self._stages.place(unit, text) if text is not None else self._stages.empty()
            ),
            bank=self._bench.bank,
            mode=self._stages.mode,
            basis=self._bench.files_digest(unit.path),
            budget_s=self._bench.limits.differential_s,
            max_cases=self._bench.limits.differential_cases,
            max_bytes=self._bench.limits.disk_bytes // 5,
        )

    async def _time(  # noqa: PLR0911 - a table of ends
        self, request: Evaluate, where: Where, tested: dict[str, Any]
    ) -> records.Timing | records.Untimed | WorkerVerdict:
        if not request.timed:
            return records.Untimed(reason="timing was not asked for")
        if self._stages.mode != "device":
            return records.Untimed(reason="no GPU on this host, so nothing was timed")
        job = {
            "launches": tested["launches"], "calls": await self._calls_of(request),
            "rounds": request.rounds, "pairs": request.pairs, "seed": request.seed,
            "benchmark": request.benchmark,
        }  # fmt: skip
        if not request.fresh:
            job |= {"rounds": min(request.rounds, SEARCH_ROUNDS), "max_cases": SEARCH_CASES}
        end = await self._stages.run("time", job, where, "device", lane="gpu_timing")
        if not isinstance(end, Answered):
            return answers.verdict_of("time", end)
        answer = end.answer
        if answer["cheated"]:
            return records.Cheated(**answer["cheated"])
        if answer["differs"]:
            return records.Differs(cases=tuple(answer["differs"]))
        if not answer["cases"]:
            return records.Untimed(reason="; ".join(answer["not_timed"]) or "nothing to time")
        return records.Timing(
            cases=tuple(from_json(records.Case, case) for case in answer["cases"]),
            environment=answer["environment"],
            not_timed=tuple(answer["not_timed"]),
        )

    async def _calls_of(self, request: Evaluate) -> list[Any]:
        """The original's recorded calls; recorded anew where this worker has not seen them."""
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


async def _ended(task: asyncio.Future[Any]) -> None:
    """Cancels the task unless it is done, and waits until its child is gone."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
