"""What one candidate costs beside its own tests: a warm worker against cold processes.

    python benchmarks/turnaround.py [--candidates 10] [--out FILE]

The same candidates are judged by the same worker twice, alternating in one run: by
children forked from a preloaded process, and by freshly started ones (as confirmation
does, and as an evaluator without a worker would). Overhead is the wall time until the
verdict on correctness, minus compiling the candidate's kernels and minus the seconds pytest
itself reports for the tests (kernel compilation and launches within a test are its own).
A warm worker does both side by side: there it is also said what is left over the longer one.
Nothing is timed on the device here, and no cases are generated: `evaluator.py` counts both.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from whet_agent.candidates.sweep import sweep_variants
from whet_agent.source.units import unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, OnProgress, Progress, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Facts, WorkerVerdict

Judge = Callable[[Candidate, OnProgress], Awaitable[WorkerVerdict]]
_AROUND = ("place", "remove")
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--arch", default="gfx942", help="where there is no device")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/turnaround.md")
    options = parser.parse_args()
    facts, warm, cold = asyncio.run(measure(options))
    options.out.write_text(table(facts, warm, cold))
    print(options.out.read_text())


async def measure(options: argparse.Namespace) -> tuple[Facts, list[Judged], list[Judged]]:
    root = ROOT / "examples"
    unit = unit_of(
        (root / "kernels/softmax.py").read_text(), "kernels/softmax.py", "softmax_kernel"
    )
    assert unit is not None
    async with WorkerEvaluator(Target(python=options.python, arch=options.arch)) as evaluator:
        facts = await evaluator.open(Workspace(root=root, limits=Limits(differential_s=0)))
        recorded = await evaluator.record(unit, ("tests/test_softmax.py",), lambda _: None)
        nodes = tuple(test.nodeid for test in recorded.tests if test.outcome == "passed")
        arch = facts.devices[0].arch if facts.devices else options.arch
        texts = [one.text for one in sweep_variants(unit.text, unit, arch)]
        candidates = [
            Candidate(
                unit=unit,
                text=text,
                nodes=nodes,
                launches=recorded.launches,
                seed=number,
                timed=False,
            )
            for number, text in enumerate(texts[: options.candidates + 1])
        ]
        await _time(evaluator.evaluate, candidates[0])  # warm-up, not counted
        warm: list[Judged] = []
        cold: list[Judged] = []
        for candidate in candidates[1:]:
            warm.append(await _time(evaluator.evaluate, candidate, side_by_side=True))
            print("warm", warm[-1], flush=True)
            cold.append(await _time(evaluator.confirm, candidate))
            print("cold", cold[-1], flush=True)
    return facts, warm, cold


@attrs.frozen(kw_only=True)
class Judged:
    """Seconds of one candidate."""

    wall: float
    compiling: float
    tests: float
    stages: dict[str, float]
    phases: dict[str, float]
    """As the worker counted them: `stage:phase`."""

    side_by_side: bool
    """Whether it was compiled while its tests ran."""

    @property
    def over_both(self) -> float:
        return self.wall - self.compiling - self.tests

    @property
    def over_longer(self) -> float:
        """The stricter measure of what was done side by side."""
        own = (self.compiling, self.tests)
        return self.wall - (max(own) if self.side_by_side else sum(own))


async def _time(
    judge: Callable[..., Awaitable[object]], candidate: Candidate, *, side_by_side: bool = False
) -> Judged:
    """Judges once. What passes between two reports of progress belongs to the former's stage."""
    marks: list[tuple[float, str]] = [(time.monotonic(), "start")]

    phases: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        phases.update(progress.seconds)
        marks.append((time.monotonic(), progress.stage))

    verdict = await judge(candidate, on_progress)
    assert isinstance(verdict, Correct), verdict
    marks.append((time.monotonic(), "end"))
    stages: dict[str, float] = {}
    for (began, stage), (end, _) in itertools.pairwise(marks):
        stages[stage] = stages.get(stage, 0.0) + end - began
    return Judged(
        wall=marks[-1][0] - marks[0][0],
        compiling=phases["load:compile"],
        tests=sum(test.seconds for test in verdict.tests),
        stages=stages,
        side_by_side=side_by_side,
        phases={name: spent for name, spent in phases.items() if ":" in name or name in _AROUND},
    )


def table(facts: Facts, warm: list[Judged], cold: list[Judged]) -> str:
    hardware = facts.devices[0].name if facts.devices else "no GPU (interpreter, CPU)"
    today = dt.datetime.now(dt.UTC).date()
    lines = [
        "# Turnaround of one candidate\n",
        (
            f"Measured {today} on {hardware}, torch {facts.torch}, triton {facts.triton}, "
            f"Python {facts.python}, by `benchmarks/turnaround.py`; {len(warm)} candidates of "
            "examples/kernels/softmax.py, both ways alternating in one run. "
            "Seconds until correctness is known, median (min to max). *Own* is the candidate's: "
            "compiling its kernels, and what pytest reports for its tests.\n"
        ),
        "| | wall | own compilation | own tests | over both | over the longer, if side by side |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in (("forked from a preloaded process", warm), ("cold processes", cold)):
        columns = zip(
            *((r.wall, r.compiling, r.tests, r.over_both, r.over_longer) for r in rows), strict=True
        )
        lines.append(f"| {name} | " + " | ".join(_spread(list(c)) for c in columns) + " |")
    ratio = statistics.median(b.wall / a.wall for a, b in zip(warm, cold, strict=True))
    lines.append(f"\nCold over warm, candidate by candidate: median {ratio:.1f}x.\n")
    return "\n".join([*lines, *_phases(warm, cold)])


def _phases(warm: list[Judged], cold: list[Judged]) -> list[str]:
    """Where the time goes within the stages, as the worker counts it and the store keeps it."""
    lines = [
        "## Phases\n",
        (
            "Median seconds, counted on the worker's host. `compile` and `tests` hold what is the "
            "candidate's own.\n"
        ),
        "| phase | forked | cold |",
        "|---|---|---|",
    ]
    for name in dict.fromkeys(name for row in (*warm, *cold) for name in row.phases):
        medians = (
            statistics.median(r.phases.get(name, 0.0) for r in rows) for rows in (warm, cold)
        )
        lines.append(f"| {name} | " + " | ".join(f"{median:.3f}" for median in medians) + " |")
    return [*lines, ""]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
