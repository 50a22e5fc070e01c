"""Every bug and every rewrite through the real evaluator, unit by unit.

A bug is asked of twice: of the user's tests alone, and of the generated cases alone (no
node is named, so the cascade has no stage "tests"). A rewrite goes through everything.
What a search accepts is confirmed, on all cases, as it would be before it is offered; only
what passes both counts as accepted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from patches import PROJECTS, UNITS, Bug, Patch, Rewrite, Unit, copy_projects, patched

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker import records
from whet_evaluator.worker.protocol import Limits

T = TypeVar("T", bound=Patch)
SEED = 20260
Stage = Literal["search", "confirmation"]


@dataclass(frozen=True, kw_only=True)
class BugFound:
    """What became of a bug. Empty strings stand for "not found"."""

    bug: Bug
    by_tests: str
    by_cases: str
    """The failing case, or how the candidate died."""
    as_change: str = ""
    """Named as a behaviour change outside the contract, where it was not rejected."""
    detail: str = ""
    stage: Stage = "search"
    """Which of the two found it, or found it last."""

    @property
    def is_found(self) -> bool:
        return bool(self.by_cases or self.as_change)


@dataclass(frozen=True, kw_only=True)
class RewriteJudged:
    """`rejected` is empty where it was accepted."""

    rewrite: Rewrite
    rejected: str
    changes: tuple[str, ...] = ()
    detail: str = ""
    stage: Stage = "search"


OnJudged = Callable[[BugFound | RewriteJudged], None]


async def judge(
    patches: Sequence[Patch],
    *,
    python: str = sys.executable,
    arch: str = "sm_90",
    differential_s: float,
    seconds: float = math.inf,
    with_tests: bool = True,
    timed: bool = False,
    on_judged: OnJudged,
) -> records.Facts:
    """Judges each patch once, in order, on one worker; none is begun after `seconds`.

    `differential_s` bounds one candidate's cases. Without `with_tests` a bug is asked of
    the generated cases alone. `timed` has a search time the rewrites, where there is a clock, so that
    what is compared under it is judged too. Patches of a unit whose own tests are red are passed over.
    """
    facts = None
    ends_at = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="whet-corpus-") as folder:
        projects = copy_projects(Path(folder))
        limits = Limits(differential_s=differential_s)
        async with WorkerEvaluator(Target(python=python, arch=arch)) as evaluator:
            for unit in units_of(patches):
                if time.monotonic() > ends_at:
                    break
                facts = await evaluator.open(Workspace(root=projects[unit.project], limits=limits))
                recorded = await evaluator.record(unit.reference, (unit.tests,), _silent)
                baseline = Baseline(
                    unit, recorded, tuple(t.nodeid for t in recorded.tests if t.outcome == "passed")
                )
                if not baseline.nodes:
                    continue
                for patch in patches:
                    if patch.unit == unit.name and time.monotonic() < ends_at:
                        judged = await _judged(
                            evaluator, baseline, patch, with_tests=with_tests, timed=timed
                        )
                        on_judged(judged)
    assert facts is not None
    return facts


def units_of(patches: Iterable[Patch]) -> list[Unit]:
    return [UNITS[name] for name in dict.fromkeys(patch.unit for patch in patches)]


@dataclass(frozen=True)
class Baseline:
    """A unit's recording and its green tests."""

    unit: Unit
    recorded: records.Recorded
    nodes: tuple[str, ...]

    def candidate(self, patch: Patch, nodes: tuple[str, ...]) -> Candidate:
        return Candidate(
            unit=self.unit.reference, text=patched(patch), nodes=nodes,
            launches=self.recorded.launches, seed=SEED, timed=False,
        )  # fmt: skip


async def _judged(
    evaluator: WorkerEvaluator, baseline: Baseline, patch: Patch, *, with_tests: bool, timed: bool
) -> BugFound | RewriteJudged:
    if isinstance(patch, Rewrite):
        candidate = baseline.candidate(patch, baseline.nodes)
        verdict, stage = await _whole(evaluator, candidate, timed=timed)
        return RewriteJudged(
            rewrite=patch, rejected=rejection(verdict), changes=_changes(verdict),
            detail=_detail(verdict), stage=stage,
        )  # fmt: skip
    by_tests = await _red(evaluator, baseline, patch) if with_tests else ""
    verdict, stage = await _whole(evaluator, baseline.candidate(patch, ()))
    changes = _changes(verdict)
    return BugFound(
        bug=patch, by_tests=by_tests, by_cases=rejection(verdict),
        as_change=changes[0] if changes else "", detail=_detail(verdict), stage=stage,
    )  # fmt: skip


async def _whole(
    evaluator: WorkerEvaluator, candidate: Candidate, *, timed: bool = False
) -> tuple[records.WorkerVerdict, Stage]:
    """The verdict that counts: a search's where it rejects, else the confirmation's."""
    verdict = await evaluator.evaluate(dataclasses.replace(candidate, timed=timed), _silent)
    if not isinstance(verdict, records.Correct):
        return verdict, "search"
    return await evaluator.confirm(candidate, _silent), "confirmation"


async def _red(evaluator: WorkerEvaluator, baseline: Baseline, bug: Bug) -> str:
    """How many of the user's tests the bug turns red; empty where they all stay green."""
    # Without launches there are no generated cases.
    candidate = dataclasses.replace(baseline.candidate(bug, baseline.nodes), launches=())
    verdict = await evaluator.evaluate(candidate, _silent)
    match verdict:
        case records.Failed(cases=cases):
            return f"{len(cases)} of {len(baseline.nodes)}"
        case records.Correct() | records.Differs():
            return ""
        case _:
            return type(verdict).__name__


def _detail(verdict: records.WorkerVerdict) -> str:
    """How far apart, or how much was looked at: for the log."""
    if isinstance(verdict, records.Differs):
        return verdict.cases[0]
    if isinstance(verdict, records.Correct) and verdict.differential is not None:
        found = verdict.differential
        n_run = sum(case.status != "not run" for case in found.cases)
        said = "; ".join(found.not_covered[:2])
        return f"{n_run} of {len(found.cases)} cases in {found.seconds:.1f} s; {said}"
    return str(verdict)[:300] if not isinstance(verdict, records.Correct) else "no cases"


def rejection(verdict: records.WorkerVerdict) -> str:
    """One phrase: the case that told a candidate from the original. Empty where none did."""
    match verdict:
        case records.Correct():
            return ""
        case records.Differs():
            hard = [one.name for one in verdict.found if one.status == "differs"]
            return hard[0] if hard else verdict.cases[0]
        case records.Failed(cases=cases):
            return f"test {cases[0].nodeid}"
        case records.Broken(trace=trace):
            return f"does not compile: {trace.strip().splitlines()[-1]}"
        case records.Crashed(stage=stage, how=how):
            return f"crashed in {stage}: {how}"
        case _:
            return f"{type(verdict).__name__}: {verdict}"


def _changes(verdict: records.WorkerVerdict) -> tuple[str, ...]:
    if isinstance(verdict, records.Correct) and verdict.differential is not None:
        return verdict.differential.behaviour_changes
    return ()


def differences_by_torch(patches: Iterable[Patch]) -> dict[str, str | None]:
    """What an independent check by torch says of each patch: a difference, or None for right."""
    with tempfile.TemporaryDirectory(prefix="whet-truth-") as scratch:
        jobs = [
            {
                "name": patch.name, "unit": patch.unit, "path": UNITS[patch.unit].path,
                "text": patched(patch), "project": str(PROJECTS[UNITS[patch.unit].project]),
                "scratch": scratch,
            }
            for patch in patches
        ]  # fmt: skip
        ran = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("truth.py"))],
            input=json.dumps(jobs), text=True, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
    found: dict[str, str | None] = json.loads(ran.stdout)
    return found


def in_parallel(patches: Sequence[T], n_workers: int) -> list[list[T]]:
    """The patches dealt out by unit, so that each unit is recorded once."""
    shares: list[list[T]] = [[] for _ in range(n_workers)]
    for unit in units_of(patches):
        smallest = min(shares, key=len)
        smallest += [patch for patch in patches if patch.unit == unit.name]
    return [share for share in shares if share]


async def judge_all(
    patches: Sequence[Patch], *, n_workers: int, python: str, differential_s: float,
    seconds: float = math.inf, with_tests: bool = True, timed: bool = False, on_judged: OnJudged,
) -> records.Facts:  # fmt: skip
    """As `judge`, on several workers at once."""
    facts = await asyncio.gather(
        *(
            judge(
                share, python=python, differential_s=differential_s, seconds=seconds,
                with_tests=with_tests, timed=timed, on_judged=on_judged,
            )
            for share in in_parallel(list(patches), n_workers)
        )
    )  # fmt: skip
    return facts[0]


def _silent(progress: Progress) -> None:
    del progress
