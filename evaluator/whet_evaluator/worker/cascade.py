"""One candidate's way through the cascade load, tests, differ, time: the first failure, in
that order, is its verdict.

In a search, what does not wait for another runs beside it: compiling, tests and generated
cases; then timing, which got ready meanwhile, beside the judging of the cases. In a
confirmation the tests come first: what they launch is then compiled, once, beside the cases,
which on a device also run on the interpreter to be watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from . import answers, records, replay
from .answers import Rejected
from .bench import Bench
from .codec import from_json, to_json
from .differential import watched
from .differential.means import Means
from .differential.suite import Case, Row, Suite
from .loading import Loading
from .orders import Where
from .protocol import Evaluate
from .records import Mode, WorkerVerdict
from .request_stages import RequestStages
from .stage_ends import StageEnd

SEARCH_ROUNDS, SEARCH_PAIRS, SEARCH_CASES = 10, 5, 2
"""Enough to rank a candidate. What is claimed comes from its confirmation, which has all."""
N_CHILDREN = {"device": 3, "interpret": 2}
"""Of one version at once. On a device most of a case is the host's time for compiling. A search has
one less there: contexts on a device are made one after the other. On the interpreter they share one
budget: a core is idle once a candidate's tests are done."""

Calls = Callable[[], Awaitable[list[Any]]]
Rows = list[tuple[Case, Row]]
T = TypeVar("T")


class Cascade:
    """`calls` gives the original's recorded calls."""

    def __init__(
        self, bench: Bench, stages: RequestStages, request: Evaluate, where: Where, calls: Calls
    ) -> None:
        self._bench = bench
        self._stages = stages
        self._request = request
        self._where = where
        self._calls = calls
        self._loading = Loading(stages, where)
        self._suite: Suite | None = None
        if request.launches and bench.limits.differential_s != 0:
            self._suite = Suite(self._means(), request, where)

    async def verdict(self) -> WorkerVerdict:
        """Raises `WorkspaceError` for what is not the candidate's fault."""
        beside = _Beside()
        try:
            return await (
                self._in_turn(beside) if self._request.fresh else self._side_by_side(beside)
            )
        except Rejected as end:
            return end.verdict
        finally:
            await beside.end()

    async def _in_turn(self, beside: _Beside) -> records.Correct:
        tested = await self._tests_or_broken()
        launches = answers.launches(tested) or self._request.launches
        loading = beside.start(self._loading.exactly(launches))
        running = beside.start(self._cases(tested["launches"]))
        watching = beside.start(self._watched(tested["launches"]))
        wanted = asyncio.Event()
        timing = beside.start(self._time(wanted))
        loaded = await loading
        differed = await self._conclusion(await running)
        if differed is not None and self._stages.mode == "device":
            differed = self._as_watched(differed, await watching)
        wanted.set()
        return self._correct(tested, loaded, differed, await self._timing(await timing, tested))

    async def _side_by_side(self, beside: _Beside) -> records.Correct:
        loading = beside.start(self._load_ahead())
        testing = beside.start(self._tests())
        running = beside.start(self._cases([]))
        wanted = asyncio.Event()
        timing = beside.start(self._time(wanted))
        ahead = await loading
        tested = await testing
        launched = beside.start(self._loading.as_launched(ahead, tested))
        await self._cases_ran(running)
        wanted.set()
        rows = await running
        if self._suite is not None and self._suite.rejects(rows):
            timing.cancel()  # making the case smaller wants the device
        differed = await self._conclusion(rows)
        loaded = await launched
        return self._correct(tested, loaded, differed, await self._timing(await timing, tested))

    async def _cases_ran(self, running: asyncio.Task[Rows]) -> None:
        """Until the candidate has run the generated cases; not until they are judged."""
        if self._suite is None:
            return
        ran = asyncio.ensure_future(self._suite.ran.wait())
        await asyncio.wait({ran, running}, return_when=asyncio.FIRST_COMPLETED)
        ran.cancel()

    def _correct(
        self, tested: dict[str, Any], loaded: dict[str, Any],
        differed: records.Differential | None, timing: records.Timing | records.Untimed,
    ) -> records.Correct:  # fmt: skip
        return records.Correct(
            tests=answers.outcomes(tested),
            launches=answers.launches(tested),
            compiled=answers.compiled(loaded),
            timing=timing,
            differential=differed,
        )

    # ---- the stages: what they answer; they raise `Rejected` ---------------------------

    async def _load_ahead(self) -> dict[str, Any] | None:
        recorded = self._request.launches
        calls = await self._calls() if recorded else []
        also = self._suite.first_calls(calls) if self._suite and self._loading.waiting else []
        tested = [call for call in calls if call["nodeid"] in self._request.nodes]
        return await self._loading.ahead(recorded, tested, also)

    async def _tests_or_broken(self) -> dict[str, Any]:
        """A candidate that does not compile is broken, whatever its tests make of that."""
        try:
            return await self._tests()
        except Rejected:
            await self._loading.exactly(self._request.launches)
            raise

    async def _tests(self) -> dict[str, Any]:
        request = self._request
        if not request.nodes:  # pytest without a node would run the whole project
            return {"outcomes": [], "launches": to_json(request.launches)}
        # A candidate slower than the original on the interpreter is not thereby wrong:
        # its nodes all count, and only the stage's deadline ends them.
        job = {
            "nodes": list(request.nodes), "record": True, "seed": request.seed,
            "budget_s": self._bench.limits.stage_s, "describe_calls": False,
            **self._waiting,
        }  # fmt: skip
        end = await self._stages.run("tests", job, self._where, self._stages.mode)
        answer = answers.answer("tests", end)
        if answer["misplaced"]:
            raise Rejected(records.Misplaced(detail=answer["misplaced"]))
        red = answers.red(answer, request.nodes)
        if red is not None:
            raise Rejected(red)
        return answer

    async def _cases(self, launched: list[Any]) -> Rows:
        """The generated cases' rows; none where no launch of the unit was recorded."""
        if self._suite is None:
            return []
        calls = await self._calls()
        rows = await self._suite.run(calls, to_json(self._request.launches), launched)
        if rows is None:
            self._suite = None
            return []
        if not isinstance(rows, list):
            raise Rejected(rows)
        return rows

    async def _watched(self, launched: list[Any]) -> Rows:
        """Rows of cases on the interpreter, where it is not the interpreter that judges anyway."""
        if self._suite is None or self._stages.mode != "device":
            return []
        suite = Suite(watched.means_of(self._means()), self._request, self._where)
        launches = to_json(self._request.launches)
        return await watched.rows_of(suite, await self._calls(), launches, launched)

    def _as_watched(self, differed: records.Differential, rows: Rows) -> records.Differential:
        if (verdict := watched.verdict(rows)) is not None:
            raise Rejected(verdict)
        return watched.noted(differed, rows)

    async def _conclusion(self, rows: Rows) -> records.Differential | None:
        if self._suite is None:
            return None
        verdict = await self._suite.conclude(rows)
        if not isinstance(verdict, records.Differential):
            raise Rejected(verdict)
        return verdict

    @property
    def _waiting(self) -> dict[str, Any]:
        return {} if self._request.fresh else self._loading.waiting

    def _means(self) -> Means:
        unit, stages = self._request.unit, self._stages
        is_device = stages.mode == "device"

        async def run(job: dict[str, Any], where: Where, mode: Mode, *, trusted: bool) -> StageEnd:
            told, fresh = (job, False) if trusted else ({**job, **self._waiting}, None)
            return await stages.run(job["stage"], told, where, mode, name="differ", fresh=fresh)

        return Means(
            run=run,
            place=lambda text: stages.place(unit, text) if text is not None else stages.empty(),
            keep=self._bench.keep_glue,
            bank=self._bench.bank,
            mode=stages.mode,
            basis=self._bench.files_digest(unit.path),
            budget_s=self._bench.limits.differential_s,
            n_children=N_CHILDREN[stages.mode] - (is_device and not self._request.fresh),
            shares_budget=not is_device,
            max_cases=self._bench.limits.differential_cases,
            max_bytes=self._bench.limits.disk_bytes // 5,
        )

    async def _time(self, wanted: asyncio.Event) -> dict[str, Any] | records.Untimed:
        """The stage's answer. It gets ready at once, and reads no clock before it is `wanted`."""
        request = self._request
        if not request.timed:
            return records.Untimed(reason="timing was not asked for")
        if self._stages.mode != "device":
            return records.Untimed(reason="no GPU on this host, so nothing was timed")
        job = {
            "calls": await self._calls(), "rounds": request.rounds, "pairs": request.pairs, "seed": request.seed,
            "benchmark": request.benchmark,
        }  # fmt: skip
        if not request.fresh:
            job["rounds"] = min(request.rounds, SEARCH_ROUNDS)
            job["pairs"] = min(request.pairs, SEARCH_PAIRS)
            job["max_cases"] = SEARCH_CASES
        answer = answers.answer(
            "time", await self._stages.run_alone("time", job, self._where, wanted)
        )
        if answer["cheated"]:
            raise Rejected(records.Cheated(**answer["cheated"]))
        if answer["differs"]:
            raise Rejected(records.Differs(cases=tuple(answer["differs"])))
        return answer

    async def _timing(
        self, answer: dict[str, Any] | records.Untimed, tested: dict[str, Any]
    ) -> records.Timing | records.Untimed:
        if isinstance(answer, records.Untimed):
            return answer
        left_out = replay.left_out(tested["launches"], await self._calls())
        not_timed = tuple(dict.fromkeys([*answer["not_timed"], *left_out]))
        if not answer["cases"]:
            return records.Untimed(reason="; ".join(not_timed) or "nothing to time")
        return records.Timing(
            cases=tuple(from_json(records.Case, case) for case in answer["cases"]),
            environment=answer["environment"],
            not_timed=not_timed,
        )


class _Beside:
    """Tasks that run side by side and end together."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    async def end(self) -> None:
        """Cancels what still runs and waits until its children are gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
