"""What one candidate costs beside its own tests: a warm worker against cold processes.

    python benchmarks/turnaround.py [--candidates 10] [--out FILE]

The same candidates are judged by the same worker twice, alternating in one run: by
children forked from a preloaded process, and by freshly started ones (as confirmation
does, and as an evaluator without a worker would). Overhead is the wall time until the
verdict on correctness minus the seconds pytest itself reports for the tests (imports, kernel
compilation and launches within a test are the test's own). The compile stage is not
subtracted, so the figure is an upper bound.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from whet_agent.candidates.sweep import sweep_variants
from whet_agent.source.units import unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, OnProgress, Progress, Target, Workspace
from whet_evaluator.worker.records import Correct, Facts, WorkerVerdict

Judge = Callable[[Candidate, OnProgress], Awaitable[WorkerVerdict]]
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--arch", default="gfx942")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/turnaround.md")
    options = parser.parse_args()
    facts, warm, cold = asyncio.run(measure(options))
    options.out.write_text(table(facts, warm, cold))
    print(options.out.read_text())


async def measure(options: argparse.Namespace) -> tuple[Facts, list, list]:
    root = ROOT / "examples"
    unit = unit_of(
        (root / "kernels/softmax.py").read_text(), "kernels/softmax.py", "softmax_kernel"
    )
    assert unit is not None
    async with WorkerEvaluator(Target(python=options.python, arch=options.arch)) as evaluator:
        facts = await evaluator.open(Workspace(root=root))
        recorded = await evaluator.record(unit, ("tests/test_softmax.py",), lambda _: None)
        nodes = tuple(test.nodeid for test in recorded.tests if test.outcome == "passed")
        texts = [one.text for one in sweep_variants(unit.text, unit, options.arch)]
        candidates = [
            Candidate(unit=unit, text=text, nodes=nodes, launches=recorded.launches, seed=number)
            for number, text in enumerate(texts[: options.candidates + 1])
        ]
        await _time(evaluator.evaluate, candidates[0])  # warm-up, not counted
        warm, cold = [], []
        for candidate in candidates[1:]:
            warm.append(await _time(evaluator.evaluate, candidate))
            cold.append(await _time(evaluator.confirm, candidate))
    return facts, warm, cold


async def _time(judge: Judge, candidate: Candidate) -> tuple[float, float]:
    """Wall seconds until correctness is known, and of them those inside the tests."""
    began = time.monotonic()
    timing_began: list[float] = []

    def on_progress(progress: Progress) -> None:
        if progress.stage == "time" and not timing_began:
            timing_began.append(time.monotonic())

    verdict = await judge(candidate, on_progress)
    end = timing_began[0] if timing_began else time.monotonic()
    assert isinstance(verdict, Correct), verdict
    return end - began, sum(test.seconds for test in verdict.tests)


def table(facts: Facts, warm: list, cold: list) -> str:
    hardware = facts.devices[0].name if facts.devices else "no GPU (interpreter, CPU)"
    said = (
        f"Measured {dt.datetime.now(tz=dt.UTC).date()} on {hardware}, torch {facts.torch}, "
        f"triton {facts.triton}, Python {facts.python}, by `benchmarks/turnaround.py`; "
        f"{len(warm)} candidates of examples/kernels/softmax.py, both ways alternating in one run. "
        "Seconds, median (min to max).\n"
    )
    lines = [
        "# Turnaround of one candidate\n",
        said,
        "| | until correctness is known | inside the tests | overhead |",
        "|---|---|---|---|",
    ]
    for name, rows in (("forked from a preloaded process", warm), ("cold processes", cold)):
        wall, own = [row[0] for row in rows], [row[1] for row in rows]
        over = [a - b for a, b in rows]
        lines.append(f"| {name} | {_spread(wall)} | {_spread(own)} | {_spread(over)} |")
    ratio = statistics.median(b[0] / a[0] for a, b in zip(warm, cold, strict=True))
    lines.append(f"\nCold over warm, candidate by candidate: median {ratio:.1f}x.\n")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
