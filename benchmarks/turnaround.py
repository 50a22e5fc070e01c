"""What one candidate costs beside its own tests: a warm worker against cold processes.

    python benchmarks/turnaround.py [--candidates 10] [--out FILE]

The same candidates are judged twice, alternating in one run: by children of a warm worker,
forked from a preloaded process, and as an evaluator without a worker would, by a cold process
that runs pytest over the candidate (`cold_processes`). Overhead is the wall time until the
verdict on correctness, minus compiling the candidate's kernels and minus the seconds pytest
itself reports for the tests (kernel compilation and launches within a test are its own).
A worker does both side by side, so it is also said what is left over the longer one; of a cold
process, which compiles within its tests, what is left over the same candidate's tests.
Nothing is timed on the device here, and no cases are generated: `evaluator.py` counts both.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import statistics
import sys
import time
from pathlib import Path

import attrs
from cold_processes import ColdEvaluator

from whet_agent.candidates.sweep import sweep_variants
from whet_agent.source.units import unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Facts

TESTS = ("tests/test_softmax.py",)
_AROUND = ("place", "remove")
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--arch", default="gfx942", help="where there is no device")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/turnaround.md")
    options = parser.parse_args()
    facts, rows = asyncio.run(measure(options))
    options.out.write_text(table(facts, rows))
    print(options.out.read_text())


async def measure(options: argparse.Namespace) -> tuple[Facts, list[Judged]]:
    root = ROOT / "examples"
    unit = unit_of(
        (root / "kernels/softmax.py").read_text(), "kernels/softmax.py", "softmax_kernel"
    )
    assert unit is not None
    async with WorkerEvaluator(Target(python=options.python, arch=options.arch)) as evaluator:
        facts = await evaluator.open(Workspace(root=root, limits=Limits(differential_s=0)))
        recorded = await evaluator.record(unit, TESTS, lambda _: None)
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
        cold = ColdEvaluator(
            python=options.python, root=root, arch=arch, on_device=facts.mode == "device"
        )
        await _judged(evaluator, cold, candidates[0])  # warm-up, not counted
        rows: list[Judged] = []
        for candidate in candidates[1:]:
            rows.append(await _judged(evaluator, cold, candidate))
            print(rows[-1], flush=True)
    return facts, rows


@attrs.frozen(kw_only=True)
class Judged:
    """Seconds of one candidate, both ways."""

    wall: float
    compiling: float
    tests: float
    phases: dict[str, float]
    """As the worker counted them: `stage:phase`."""
    cold: float
    """Of a process that runs its tests and compiles within them."""

    @property
    def over_both(self) -> float:
        return self.wall - self.compiling - self.tests

    @property
    def over_longer(self) -> float:
        """The stricter measure, since both were done side by side."""
        return self.wall - max(self.compiling, self.tests)

    @property
    def cold_over_tests(self) -> float:
        return self.cold - self.tests


async def _judged(evaluator: WorkerEvaluator, cold: ColdEvaluator, candidate: Candidate) -> Judged:
    phases: dict[str, float] = {}
    began = time.monotonic()
    verdict = await evaluator.evaluate(candidate, lambda told: phases.update(told.seconds))
    wall = time.monotonic() - began
    assert isinstance(verdict, Correct), verdict
    return Judged(
        wall=wall,
        compiling=phases["load:compile"],
        tests=sum(test.seconds for test in verdict.tests),
        phases={name: spent for name, spent in phases.items() if ":" in name or name in _AROUND},
        cold=await asyncio.to_thread(cold.test, candidate, TESTS),
    )


def table(facts: Facts, rows: list[Judged]) -> str:
    hardware = facts.devices[0].name if facts.devices else "no GPU (interpreter, CPU)"
    today = dt.datetime.now(dt.UTC).date()
    ratio = statistics.median(row.cold / row.wall for row in rows)
    figures = {
        "forked from a preloaded process: wall": [row.wall for row in rows],
        "own compilation": [row.compiling for row in rows],
        "own tests": [row.tests for row in rows],
        "over both": [row.over_both for row in rows],
        "over the longer, which hides the other": [row.over_longer for row in rows],
        "a cold process: wall": [row.cold for row in rows],
        "over the same tests": [row.cold_over_tests for row in rows],
    }
    return "\n".join([
        "# Turnaround of one candidate\n",
        (
            f"Measured {today} on {hardware}, torch {facts.torch}, triton {facts.triton}, "
            f"Python {facts.python}, by `benchmarks/turnaround.py`; {len(rows)} candidates of "
            "examples/kernels/softmax.py, both ways alternating in one run. "
            "Seconds until correctness is known, median (min to max). *Own* is the candidate's: "
            "compiling its kernels, and what pytest reports for its tests.\n"
        ),
        "| | seconds |",
        "|---|---|",
        *(f"| {name} | {_spread(values)} |" for name, values in figures.items()),
        f"\nCold over warm, candidate by candidate: median {ratio:.1f}x.\n",
        *_phases(rows),
    ])  # fmt: skip


def _phases(rows: list[Judged]) -> list[str]:
    """Where the time goes within the stages, as the worker counts it and the store keeps it."""
    names = dict.fromkeys(name for row in rows for name in row.phases)
    return [
        "## Phases\n",
        (
            "Median seconds, counted on the worker's host. `compile` and `tests` hold what is the "
            "candidate's own.\n"
        ),
        "| phase | forked |",
        "|---|---|",
        *(
            f"| {name} | {statistics.median(row.phases.get(name, 0.0) for row in rows):.3f} |"
            for name in names
        ),
        "",
    ]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
