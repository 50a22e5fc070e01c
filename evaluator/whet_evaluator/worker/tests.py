"""Runs the user's tests in this process, exactly those asked for, and says how each went.

pytest's exit status alone is not believed, and neither are the outcomes alone: a plugin
can fake the first, a deselected node is missing from the second. So every node that was
demanded gets an outcome, `not run` where pytest reported none.
The user's own configuration counts (markers, fixtures, `addopts`); only what would run
tests elsewhere, stop early or write outside the scratch is switched off.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from . import benchmark, interpret, limits, overlay, records, report
from .codec import to_json
from .phases import mark_of
from .record import Recorder

GRACE_S = 10.0
"""A test that started within the budget may run this long past it."""
_Function = TypeVar("_Function", bound=Callable[..., Any])
_hook: Callable[..., Callable[[_Function], _Function]] = pytest.hookimpl


def collect(job: dict[str, Any]) -> dict[str, Any]:
    """Nodes below `job["tests"]` (paths or node ids), and what failed to import."""
    _prepare(job)
    session = _Session(job, Recorder(job))
    session.main(job["tests"], "--collect-only")
    errors = [
        records.CollectError(path=path, message=message)
        for path, message in session.collect_errors.items()
    ]
    return {"nodes": session.collected, "errors": to_json(errors)}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Runs `job["nodes"]`. See the package's job contract for the keys of the answer."""
    _prepare(job)
    recorder = Recorder(job)
    recorder.install()
    mark_of(job)("hooks")
    session = _Session(job, recorder)
    status = session.main(job["nodes"])
    mark_of(job)("pytest end")
    named = benchmark.run(job, recorder) if job.get("benchmark") else {}
    outcomes = [*session.outcomes(), *session.missing(job["nodes"], status)]
    return {
        "outcomes": to_json(outcomes),
        "launches": to_json(recorder.launches()),
        "calls": recorder.calls.json(),
        "too_slow": [*session.too_slow, *filter(None, [named.get("too_slow")])],
        "benchmark_error": named.get("error"),
        "misplaced": overlay.check(job),
        "exit_status": status,
    }


def _prepare(job: dict[str, Any]) -> None:
    mark_of(job)("imports")
    overlay.install(job)
    mark_of(job)("overlay")
    if job["mode"] == "interpret":
        interpret.install(job)


class _Session:
    """A pytest plugin for one run; its lists are the result."""

    def __init__(self, job: dict[str, Any], recorder: Recorder) -> None:
        self._job = job
        self._recorder = recorder
        self._uncovered: dict[str, str | None] = {}
        self._reports: dict[str, list[Any]] = {}
        self._ends_at: float | None = None
        self._n_started = 0
        self.collected: list[str] = []
        self.collect_errors: dict[str, str] = {}
        self.too_slow: list[str] = []

    def main(self, arguments: list[str], *flags: str) -> int:
        """Runs pytest once; returns its exit status."""
        output = self._job["output_dir"]
        own = [
            f"--rootdir={self._job['scratch']}",
            f"--basetemp={os.path.join(output, 'pytest-tmp')}",
            f"--override-ini=cache_dir={os.path.join(output, 'pytest-cache')}",
            "--continue-on-collection-errors",
            "--color=no",
        ]
        return int(pytest.main([*own, *flags, *arguments], plugins=[self]))

    def outcomes(self) -> list[records.TestOutcome]:
        return [self._outcome(nodeid) for nodeid in self._reports if nodeid not in self.too_slow]

    def missing(self, demanded: list[str], status: int) -> list[records.TestOutcome]:
        """An outcome for each demanded node that pytest reported nothing about."""
        absent = []
        for nodeid in demanded:
            seen = [n for n in (*self._reports, *self.too_slow) if _selects(nodeid, n)]
            if not seen:
                absent.append(self._absent(nodeid, status))
        not_run = [
            records.TestOutcome(
                nodeid=nodeid,
                outcome="not run",
                seconds=0.0,
                detail="not finished within the interpreter's time budget",
            )
            for nodeid in self.too_slow
        ]
        return absent + not_run

    def _absent(self, nodeid: str, status: int) -> records.TestOutcome:
        for path, message in self.collect_errors.items():
            if _selects(path, nodeid) or path == "":
                return records.TestOutcome(
                    nodeid=nodeid, outcome="error", seconds=0.0, detail=message
                )
        return records.TestOutcome(
            nodeid=nodeid,
            outcome="not run",
            seconds=0.0,
            detail=f"pytest did not report this test (exit status {status})",
        )

    def _outcome(self, nodeid: str) -> records.TestOutcome:
        reports = self._reports[nodeid]
        outcome, decisive = report.merged(reports)
        return records.TestOutcome(
            nodeid=nodeid,
            outcome=outcome,
            seconds=sum(r.duration for r in reports),
            detail=report.minimised(decisive) if decisive is not None else "",
            kernels=self._recorder.kernels_of(nodeid),
            uncovered=self._uncovered.get(nodeid),
        )

    # ---- pytest hooks -----------------------------------------------------------------

    @_hook(hookwrapper=True)
    def pytest_cmdline_main(self, config: Any) -> Any:
        """Around every other plugin's, so that xdist never sees its own `-n`."""
        for option, value in (("numprocesses", 0), ("tx", []), ("dist", "no"), ("maxfail", 0)):
            if hasattr(config.option, option):
                setattr(config.option, option, value)
        yield

    @_hook(tryfirst=True)
    def pytest_collection(self) -> None:
        mark_of(self._job)("pytest start")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.collect_errors[report.nodeid] = _collect_message(report)

    def pytest_collection_finish(self, session: Any) -> None:
        self.collected = [item.nodeid for item in session.items]
        mark_of(self._job)("collect")

    @_hook(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        mark_of(self._job)("tests")

    @_hook(tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> bool | None:
        """True ends this node's protocol: it counts as too slow and is never started."""
        self._n_started += 1
        self._recorder.begin(item.nodeid)
        limits.begin_node()
        self._job["progress"](item.nodeid, self._n_started - 1, len(self.collected))
        if self._job["mode"] != "interpret":
            return None
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._job["budget_s"]
        if time.monotonic() < self._ends_at:
            return None
        self.too_slow.append(item.nodeid)
        return True

    @_hook(hookwrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        """Ends a test that runs far past the interpreter's budget, rather than all of them."""
        if self._ends_at is None:
            yield
            return
        signal.signal(signal.SIGALRM, _raise_too_slow)
        signal.setitimer(signal.ITIMER_REAL, self._ends_at - time.monotonic() + GRACE_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @_hook(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        result = yield
        if call.excinfo is not None and call.excinfo.errisinstance(_TooSlow):
            self.too_slow.append(item.nodeid)
        if call.excinfo is not None:
            result.get_result().whet_tensors = report.tensors_of(call.excinfo, item)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._reports.setdefault(report.nodeid, []).append(report)
        if self._job["mode"] == "interpret":
            found = limits.explain(str(report.longrepr) if report.failed else None)
            self._uncovered[report.nodeid] = self._uncovered.get(report.nodeid) or found


class _TooSlow(BaseException):
    """Not an `Exception`, so that neither the interpreter nor a test takes it for its own."""


def _raise_too_slow(*_: Any) -> None:
    raise _TooSlow("past the interpreter's time budget")


def _selects(demanded: str, nodeid: str) -> bool:
    """Whether `demanded` (a folder, file, class, function or full node id) names `nodeid`."""
    if demanded == nodeid:
        return True
    prefix = demanded.rstrip("/")
    return nodeid.startswith((prefix + "::", prefix + "[", prefix + "/"))


def _collect_message(collect_report: Any) -> str:
    return report.shortened(str(collect_report.longrepr))
