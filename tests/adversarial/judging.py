"""Judges cheats and controls by the real screen and the real evaluator, and says it in rows.

The screen only explains: a candidate that it stops goes to the evaluator all the same, so
each row shows what the run-time checks alone would have said.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from corpus import PROJECT, Cheat, Control, reference

from whet_agent.candidates.screen import Unusable, screen
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.statistics import analyse
from whet_evaluator.worker import records
from whet_evaluator.worker.protocol import Limits

SEED = 20261
DIFFERENTIAL_S = 4.0
"""The units are tiny: what matters here is which cases come first."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate's verdict. `held` is whether it is the one the corpus demands."""

    trick: str
    name: str
    where: str
    screen: str
    verdict: str
    reason: str
    held: bool
    seconds: float


class Judge:
    """One worker, and the recorded originals by unit."""

    def __init__(self, worker: WorkerEvaluator) -> None:
        self._worker = worker
        self._baselines: dict[str, records.Recorded] = {}
        self.timed = False

    @classmethod
    @asynccontextmanager
    async def start(cls, python: str) -> AsyncIterator[Judge]:
        async with WorkerEvaluator(Target(python=python)) as worker:
            limits = Limits(differential_s=DIFFERENTIAL_S, stage_s=60.0)
            facts = await worker.open(Workspace(root=PROJECT, limits=limits))
            judge = cls(worker)
            judge.timed = facts.mode == "device"
            yield judge

    async def row(self, one: Cheat | Control) -> Row:
        """Screens `one`, evaluates it whatever the screen said, and compares."""
        screened = screen(reference(one.unit), one.text, ())
        says = screened.reason if isinstance(screened, Unusable) else ""
        began = time.monotonic()
        verdict = await self.verdict(one.unit, one.text)
        words, reason = shown(verdict)
        seconds = time.monotonic() - began
        if isinstance(one, Control):
            held = isinstance(verdict, records.Correct) and not says
            return Row(
                trick="control", name=one.name, where="", screen=says, verdict=words,
                reason=reason, held=held, seconds=seconds,
            )  # fmt: skip
        text = f"{words}: {reason}"
        held = any(part in text for part in one.found) if one.found else bool(says)
        return Row(
            trick=one.trick, name=one.name, where=one.where, screen=says, verdict=words,
            reason=reason, held=held, seconds=seconds,
        )  # fmt: skip

    async def verdict(self, unit: str, text: str) -> records.WorkerVerdict:
        recorded = await self._baseline(unit)
        candidate = Candidate(
            unit=reference(unit), text=text, launches=recorded.launches, seed=SEED,
            nodes=tuple(t.nodeid for t in recorded.tests if t.outcome == "passed"),
        )  # fmt: skip
        return await self._worker.evaluate(candidate, lambda progress: None)

    async def _baseline(self, unit: str) -> records.Recorded:
        if unit not in self._baselines:
            tests = (f"tests/test_{unit}.py",)
            recorded = await self._worker.record(reference(unit), tests, lambda progress: None)
            assert all(t.outcome == "passed" for t in recorded.tests), recorded.tests
            assert recorded.launches, unit
            self._baselines[unit] = recorded
        return self._baselines[unit]


def shown(verdict: records.WorkerVerdict) -> tuple[str, str]:
    """The verdict's name and its reason in one line."""
    name = type(verdict).__name__
    match verdict:
        case records.Cheated(reason=reason, detail=detail):
            return name, f"{reason}: {detail}"
        case records.Differs(cases=cases):
            return name, cases[0] if cases else ""
        case records.Failed(cases=cases):
            last = cases[0].detail.strip().splitlines()
            return name, f"{cases[0].nodeid.rpartition('::')[2]}: {last[-1] if last else ''}"
        case records.Crashed(stage=stage, how=how):
            return name, f"{stage}: {how}"
        case records.TimedOut(stage=stage) | records.Exceeded(stage=stage):
            return name, stage
        case records.Broken(trace=trace):
            return name, trace.strip().splitlines()[-1]
        case records.Misplaced(detail=detail):
            return name, detail
        case records.Correct():
            return _correct(verdict)
    raise AssertionError(verdict)


def _correct(verdict: records.Correct) -> tuple[str, str]:
    cases = verdict.differential.cases if verdict.differential else ()
    checked = f"{sum(c.status == 'equal' for c in cases)} generated cases equal"
    if isinstance(verdict.timing, records.Untimed):
        return "Correct", f"{checked}; untimed: {verdict.timing.reason}"
    analysis = analyse(verdict.timing)
    return "Correct", f"{checked}; {analysis}"[:300]


def markdown(rows: Sequence[Row]) -> str:
    """The table, a line a candidate; the screen's word where it has one."""
    lines = ["| trick | variant | held | verdict | reason | caught in | screen |", "|" + "---|" * 7]
    for row in rows:
        cells = (
            row.trick, row.name, "yes" if row.held else "**NO**", row.verdict,
            _cell(row.reason), row.where, _cell(row.screen) or "passes",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= 110 else line[:107] + "..."
