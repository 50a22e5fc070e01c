"""A candidate before the evaluator: for a verdict, and again to be borne out.

A verdict that the journal knows from an earlier run is not asked for twice. A confirmation
always is.
"""

from __future__ import annotations

import time
import zlib

import attrs

from whet_agent.events import Confirmed, Event, Judged
from whet_agent.loop_ports import Ports
from whet_agent.search.starts import StartConfirm, StartJudge
from whet_agent.search.state import Search, Tried
from whet_agent.store import verdicts
from whet_agent.task import Task
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, Progress
from whet_evaluator.worker.records import Differences


async def judge(start: StartJudge, search: Search, ports: Ports) -> Event:
    """Raises `EvaluatorError` for the world's faults; so does `confirm`."""
    watcher = _Stopwatch(start.id, ports)
    candidate = _candidate(search, start.candidate, start.nodes, f"{search.run}.{start.id}")
    key = _key(candidate, search, ports)
    known = await ports.journal.judged(key)
    if known is not None:
        run, before = known
        return attrs.evolve(
            before, id=start.id, candidate=start.candidate.id, stage_s={}, at=ports.clock.now(),
            known_from=run,
        )  # fmt: skip
    verdict = await ports.evaluator.evaluate(candidate, watcher)
    return Judged(
        id=start.id,
        candidate=start.candidate.id,
        verdict=verdict,
        stage_s=watcher.stages(),
        at=ports.clock.now(),
        key=key if verdicts.is_repeatable(verdict) else "",
    )


async def confirm(start: StartConfirm, search: Search, ports: Ports) -> Event:
    """On the files that the baseline ran with, or not at all."""
    candidate = _candidate(search, start.candidate, start.nodes, f"{search.run}.{start.id}")
    watcher = _Stopwatch(start.id, ports)
    verdict = await ports.evaluator.confirm(candidate, watcher)
    _require_same_files(search, ports)
    return Confirmed(
        id=start.id,
        candidate=start.candidate.id,
        verdict=verdict,
        at=ports.clock.now(),
        stage_s=watcher.stages(),
    )


def fatal_differences(task: Task) -> Differences:
    """What a difference from the original means. For `fix` the original is wrong."""
    if task.goal == "fix":
        return "listed"
    return "strict" if task.policy.strict else "contract"


def _key(candidate: Candidate, search: Search, ports: Ports) -> str:
    assert search.facts is not None, "open() comes before judging"
    return verdicts.key_of(
        candidate,
        task=search.task,
        facts=search.facts,
        shipped=ports.evaluator.shipped,
        limits=ports.workspace(search.task).limits,
    )


def _require_same_files(search: Search, ports: Ports) -> None:
    """A worker that was lost and started again may have been sent other files than those
    that the baseline ran with, and then evidence would name the wrong ones."""
    assert search.surroundings is not None
    if ports.evaluator.shipped.sources != search.surroundings.shipped.sources:
        raise EvaluatorError(
            "workspace",
            "the project's files changed while its worker was started again; `whet resume "
            f"{search.run}` judges everything by the files as they are now",
        )


def _candidate(search: Search, tried: Tried, nodes: tuple[str, ...], seed: str) -> Candidate:
    assert search.recorded is not None
    return Candidate(
        unit=search.task.unit,
        text=tried.text,
        nodes=nodes,
        launches=search.recorded.launches,
        seed=zlib.crc32(seed.encode()),
        timed=search.task.goal == "optimize",
        differences=fatal_differences(search.task),
        references=search.task.references,
        benchmark=search.task.benchmark,
    )


class _Stopwatch:
    """Passes progress on and keeps how long each stage took on the host's clock."""

    def __init__(self, work_id: str, ports: Ports) -> None:
        self._id = work_id
        self._ports = ports
        self._stage = "queue"
        self._since = time.monotonic()
        self._spent: dict[str, float] = {}
        self._inside: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.seconds:
            self._inside = dict(progress.seconds)
            return
        if progress.stage != self._stage:
            self._turn_to(progress.stage)
        self._ports.on_progress(self._id, progress)

    def stages(self) -> dict[str, float]:
        """Seconds by stage, in order; then, as `stage:phase`, what the worker counted within."""
        self._turn_to("")
        return {**self._inside, **self._spent}

    def _turn_to(self, stage: str) -> None:
        now = time.monotonic()
        self._spent[self._stage] = self._spent.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now
