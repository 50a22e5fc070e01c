"""Tells the client what changed, at most four times a second however fast things happen.

Changes are collected and the newest state of each run is sent: notifications for
clients that know Whet, `$/progress` for all that can draw it, and one request to fetch
lenses and hints again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from whet_server.features import progress_text
from whet_server.runs import Run
from whet_server.to_lsp import Client
from whet_server.wording import best_label

INTERVAL_S = 0.25

PROGRESS_NAME = "whet-"
"""Before the run's id: the progress token that a cancel names."""


class Reporter:
    """`uri_of` names a run's document as the client does; `publish` sends diagnostics."""

    def __init__(
        self, client: Client, *, uri_of: Callable[[Run], str], publish: Callable[[], None]
    ) -> None:
        self._client = client
        self._uri_of = uri_of
        self._publish = publish
        self._dirty: dict[str, Run] = {}
        self._bars: dict[str, Literal["creating", "open", "none"]] = {}
        self._wake = asyncio.Event()
        self._tasks = {asyncio.create_task(self._flush_forever(), name="whet reporter")}

    def changed(self, run: Run) -> None:
        """May be called thousands of times a second."""
        self._dirty[run.id] = run
        self._wake.set()

    def poke(self) -> None:
        """Something that is published changed, though no run did."""
        self._wake.set()

    def refresh(self) -> None:
        """What lenses and hints show changed, though no run did."""
        self._spawn(self._client.refresh())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            runs, self._dirty = tuple(self._dirty.values()), {}
            for run in runs:
                self._client.notify("whet/runChanged", run_payload(run, self._uri_of(run)))
                self._progress(run)
            self._publish()
            if runs:
                self._spawn(self._client.refresh())
            await asyncio.sleep(INTERVAL_S)

    def _progress(self, run: Run) -> None:
        token = f"{PROGRESS_NAME}{run.id}"
        match self._bars.get(run.id):
            case None if run.state != "finished":
                self._bars[run.id] = "creating"
                self._spawn(self._open_bar(run, token))
            case "open" if run.state == "finished":
                self._client.end_progress(token, run.sentence)
                self._bars[run.id] = "none"
            case "open":
                self._client.report_progress(token, _message(run), _percentage(run))
            case _:
                pass

    async def _open_bar(self, run: Run, token: str) -> None:
        title = f"Whet: {run.kernel}"
        opened = await self._client.begin_progress(token, title, _message(run))
        self._bars[run.id] = "open" if opened else "none"
        self.changed(run)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def run_payload(run: Run, uri: str) -> dict[str, Any]:
    """What `whet/runChanged` and `whet/listRuns` say of a run; a queued one counts as running."""
    summary = run.summary
    return {
        "run": run.id,
        "uri": uri,
        "kernel": run.kernel,
        "goal": run.goal,
        "state": "finished" if run.state == "finished" else "running",
        "stage": "queued" if run.state == "queued" else summary.stage if summary else run.stage,
        "tried": summary.tried if summary else 0,
        "iterations": _iterations(run),
        "best": _best_payload(run),
        "sentence": run.sentence or (summary.sentence if summary else ""),
        "reason": run.reason,
    }


def _best_payload(run: Run) -> dict[str, Any] | None:
    """Nothing is on offer while the buffer holds it, however it came there."""
    best = run.summary.best if run.summary and not run.rejected and not run.taken else None
    if best is None:
        return None
    speedup = best.evidence.speedup
    return {
        "candidate": best.candidate,
        "speedup": speedup and {"ratio": speedup.ratio, "low": speedup.low, "high": speedup.high},
        "label": best_label(best),
    }


def _iterations(run: Run) -> int:
    """The budget's turns. A turn may try several candidates, and `23/20` would be nonsense."""
    summary = run.summary
    return max(run.planned, summary.tried, summary.iterations) if summary else run.planned


def _percentage(run: Run) -> int:
    iterations = _iterations(run)
    return 100 * run.summary.tried // iterations if run.summary and iterations else 0


def _message(run: Run) -> str:
    if run.state == "queued":
        return "waiting for another run on its target"
    if run.summary is None and run.stage:
        return run.stage
    return progress_text(run.summary, iterations=_iterations(run))
