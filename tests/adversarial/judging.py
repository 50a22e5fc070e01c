"""Judges cheats and controls by the real screen and the real evaluator, and says it in rows.

As in the product, what a search accepts counts only once a confirmation accepts it, too; under a
clock the search's word is taken, since a device's minutes are few.
The screen only explains: a candidate that it stops goes to the evaluator all the same, so
each row shows what the run-time checks alone would have said.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus import PROJECT, Cheat, Control, reference

from whet_agent.candidates.screen import Unusable, screen
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.statistics import analyse
from whet_evaluator.worker import records
from whet_evaluator.worker.protocol import Limits

SEED = 20261
DIFFERENTIAL_S = 8.0
"""The units are tiny: what matters here is which cases come first."""
MAX_CASES = 32
LARGE = 1 << 22
"""Elements that are worth timing."""


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
    gap: str
    seconds: float


class Judge:
    """One worker, and the recorded originals by unit."""

    def __init__(self, worker: WorkerEvaluator, *, timed: bool) -> None:
        self._worker = worker
        self._timed = timed
        self._baselines: dict[str, asyncio.Task[records.Recorded]] = {}

    @classmethod
    @asynccontextmanager
    async def start(
        cls, python: str, *, project: Path = PROJECT, timed: bool = False,
        differential_s: float = DIFFERENTIAL_S,
    ) -> AsyncIterator[Judge]:  # fmt: skip
        limits = Limits(differential_s=differential_s, differential_cases=MAX_CASES, stage_s=60.0)
        async with WorkerEvaluator(Target(python=python)) as worker:
            facts = await worker.open(Workspace(root=project, limits=limits))
            assert not timed or facts.mode == "device", "there is no clock on this machine"
            yield cls(worker, timed=timed)

    async def rows(
        self,
        wanted: Iterable[Cheat | Control],
        *,
        at_once: int,
        until: float = float("inf"),
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> list[Row]:
        """Judges them, so many at once; those not begun by `until` (monotonic) are left out."""
        gate = asyncio.Semaphore(at_once)

        async def one(candidate: Cheat | Control) -> Row | None:
            async with gate:
                if time.monotonic() > until:
                    return None
                row = await self.row(candidate)
                on_row(row)
                return row

        rows = await asyncio.gather(*(one(candidate) for candidate in wanted))
        return [row for row in rows if row is not None]

    async def row(self, one: Cheat | Control) -> Row:
        """Screens `one`, evaluates it whatever the screen said, and compares."""
        screened = screen(reference(one.unit), one.text, ())
        says = screened.reason if isinstance(screened, Unusable) else ""
        began = time.monotonic()
        verdict = await self._verdict(one.unit, one.text)
        words, reason = shown(verdict)
        seconds = time.monotonic() - began
        if isinstance(one, Control):
            held = isinstance(verdict, records.Correct) and not says
            trick, where = "control", ""
        else:
            text = f"{words}: {reason}"
            found = any(part in text for part in one.found) and "FASTER" not in text
            held = found if one.found else bool(says)
            trick, where = one.trick, one.where
        return Row(
            trick=trick, name=one.name, where=where, screen=says, verdict=words,
            reason=reason, held=held, gap=one.gap, seconds=seconds,
        )  # fmt: skip

    async def _verdict(self, unit: str, text: str) -> records.WorkerVerdict:
        if unit not in self._baselines:
            self._baselines[unit] = asyncio.create_task(self._baseline(unit))
        recorded = await self._baselines[unit]
        candidate = Candidate(
            unit=reference(unit), text=text, launches=recorded.launches, seed=SEED,
            nodes=tuple(t.nodeid for t in recorded.tests if t.outcome == "passed"),
            timed=self._timed,
        )  # fmt: skip
        verdict = await self._worker.evaluate(candidate, lambda progress: None)
        if self._timed or not isinstance(verdict, records.Correct):
            return verdict
        return await self._worker.confirm(candidate, lambda progress: None)

    async def _baseline(self, unit: str) -> records.Recorded:
        tests = (f"tests/test_{unit}.py",)
        recorded = await self._worker.record(reference(unit), tests, lambda progress: None)
        assert all(t.outcome == "passed" for t in recorded.tests), recorded.tests
        assert recorded.launches, unit
        return recorded


def large_project(folder: Path) -> Path:
    """The same units under a test whose sizes are worth timing."""
    root = folder / "large"
    shutil.copytree(PROJECT, root)
    test = root / "tests" / "test_add.py"
    text = test.read_text(encoding="utf-8")
    assert "256" in text
    assert "130" in text
    test.write_text(text.replace("256", str(LARGE)).replace("130", str(LARGE + 130)), "utf-8")
    return root


def shown(verdict: records.WorkerVerdict) -> tuple[str, str]:
    """The verdict's name and its reason in one line."""
    return type(verdict).__name__, _reason(verdict)


def _reason(verdict: records.WorkerVerdict) -> str:
    match verdict:
        case records.Cheated(reason=reason, detail=detail):
            return f"{reason}: {detail}"
        case records.Differs(cases=cases):
            return cases[0] if cases else ""
        case records.Failed(cases=cases):
            last = cases[0].detail.strip().splitlines()
            return f"{cases[0].nodeid.rpartition('::')[2]}: {last[0] if last else ''}"
        case records.Crashed(stage=stage, how=how):
            return f"{stage}: {how}"
        case records.TimedOut(stage=stage) | records.Exceeded(stage=stage):
            return stage
        case records.Broken(trace=trace):
            return trace.strip().splitlines()[-1]
        case records.Misplaced(detail=detail):
            return detail
        case records.Correct():
            return _correct(verdict)
    raise AssertionError(verdict)


def _correct(verdict: records.Correct) -> str:
    cases = verdict.differential.cases if verdict.differential else ()
    checked = f"{sum(c.status == 'equal' for c in cases)} generated cases equal"
    if verdict.differential and verdict.differential.behaviour_changes:
        checked += f"; changes behaviour: {'; '.join(verdict.differential.behaviour_changes)}"
    if isinstance(verdict.timing, records.Untimed):
        return f"{checked}; untimed: {verdict.timing.reason}"
    measured = analyse(verdict.timing)
    return (
        f"{checked}; {measured.verdict} {measured.ratio:.3f}x "
        f"[{measured.low:.3f}, {measured.high:.3f}]" + ("; noisy" if measured.noise else "")
    )


def line(row: Row) -> str:
    """For whoever watches."""
    held = "ok" if row.held else "NO"
    return f"{held:3} {row.seconds:5.1f} s  {row.trick} | {row.name} | {row.verdict}: {row.reason}"


def markdown(rows: Sequence[Row]) -> str:
    """The table, a line a candidate; the screen's word where it has one."""
    lines = ["| trick | variant | end | verdict | reason | caught in | screen |", "|" + "---|" * 7]
    for row in rows:
        cells = (
            row.trick, row.name, _end(row), row.verdict,
            _cell(row.reason), row.where, _cell(row.screen) or "passes",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """What became of the tricks, each counted once, and of the controls."""
    cheats = [row for row in rows if row.trick != "control"]
    controls = [row for row in rows if row.trick == "control"]
    accepted = [row for row in cheats if row.verdict == "Correct" and row.held]
    slower = [row for row in accepted if "SLOWER" in row.reason]
    stopped = [row for row in accepted if row.screen and row not in slower]
    listed = [row for row in accepted if not row.screen and row not in slower]
    rejected = [row for row in cheats if row.verdict != "Correct" and row.held]
    ends = [f"{len(rejected)} of {len(cheats)} tricks rejected at run time with the screen off"]
    ends += [f"{len(stopped)} stopped by the screen alone"] if stopped else []
    ends += [f"{len(slower)} correct and read as slower"] if slower else []
    if listed:
        ends.append(
            f"{len(listed)} that go wrong only outside what the tests recorded accepted, each with "
            "its change of behaviour named"
        )
    n_screened = sum(bool(row.screen) for row in cheats)
    return (
        f"{'; '.join(ends)}. The screen would have stopped {n_screened} already. "
        f"{sum(r.held for r in controls)} of {len(controls)} honest controls accepted. "
        f"Known to be open: {sum(bool(r.gap) for r in cheats)} tricks and "
        f"{sum(bool(r.gap) for r in controls)} controls."
    )


def _end(row: Row) -> str:
    """What a row's candidate came to, beside what the corpus demands of it."""
    if not row.held:
        return "open" if row.gap else "**NO**"
    if row.trick == "control":
        return "accepted"
    if row.verdict != "Correct":
        return "rejected"
    return "slower" if "SLOWER" in row.reason else "by the screen" if row.screen else "listed"


def _cell(text: str) -> str:
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= 110 else line[:107] + "..."
