"""Our turnaround beside an evaluator that starts cold processes for every candidate.

    python benchmarks/evaluator.py --arch sm_90 [--candidates 8] [--busy 20] [--out FILE]

The same candidates (parameter sweeps of four examples, taken in turn) are judged one at a
time and both ways in turn: by one warm worker, and by `cold_processes`, which does it the
way GEAK-eval does. Before that, one candidate of each example is judged by the worker alone:
it also runs the original on the generated cases, which later ones reuse. Then `--busy`
candidates go through the whole cascade, as many at once as the search has in flight, and it
is said for how long the device was in use. Every figure is *measured* wall time on the host
that starts the evaluators.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime as dt
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from cold_processes import Benchmark, ColdCost, ColdEvaluator
from device_use import Busy, Utilisation, Watch

from whet_agent.candidates.sweep import sweep_variants
from whet_agent.search.policy import MAX_JUDGES
from whet_agent.source.units import unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Facts

ROOT = Path(__file__).resolve().parents[1]


@attrs.frozen(kw_only=True)
class Example:
    name: str
    kernel: str
    benchmark: Benchmark

    @property
    def tests(self) -> str:
        return f"tests/test_{self.name}.py"


EXAMPLES = (
    Example(
        name="softmax",
        kernel="softmax_kernel",
        benchmark=Benchmark(inputs="x = torch.randn(4096, 4096, device='cuda')", call="softmax(x)"),
    ),
    Example(
        name="rms_norm",
        kernel="add_rms_norm_kernel",
        benchmark=Benchmark(
            inputs="norm = FusedAddRMSNorm(4096).cuda()\n"
            "x, y = torch.randn(2, 4096, 4096, device='cuda').half()",
            call="norm(x, y)",
        ),
    ),
    Example(
        name="cross_entropy",
        kernel="cross_entropy_kernel",
        benchmark=Benchmark(
            inputs="x = torch.randn(2048, 32003, device='cuda')\n"
            "t = torch.randint(32003, (2048,), device='cuda')",
            call="cross_entropy(x, t)",
        ),
    ),
    Example(
        name="flip",
        kernel="flip_kernel",
        benchmark=Benchmark(inputs="x = torch.randn(4, 1024, 4096, device='cuda')", call="flip(x)"),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=8, help="judged both ways, one by one")
    parser.add_argument("--busy", type=int, default=20, help="judged by us, several at once")
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--arch", default="gfx942")
    parser.add_argument("--generated-s", type=float, help="seconds for generated cases; 0: none")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/evaluator.md")
    options = parser.parse_args()
    facts, firsts, rows, busy = asyncio.run(measure(options))
    options.out.write_text(report(facts, firsts, rows, busy, options.note))
    print(options.out.read_text())


@attrs.frozen(kw_only=True)
class Row:
    """Seconds of one candidate. `correct`: compiled and tested, with nothing else asked for;
    `timing`: the stage *time*, zero without a device; `whole`: the whole cascade."""

    name: str
    correct: float
    timing: float
    whole: float
    cold: ColdCost


async def measure(
    options: argparse.Namespace,
) -> tuple[Facts, list[float], list[Row], Busy | None]:
    root = ROOT / "examples"
    target = Target(python=options.python, arch=options.arch)
    workspace = Workspace(root=root, limits=Limits(differential_s=options.generated_s))
    async with WorkerEvaluator(target) as evaluator:
        facts = await evaluator.open(workspace)
        arch = facts.devices[0].arch if facts.devices else options.arch
        pools = [await _candidates(evaluator, root, example, arch) for example in EXAMPLES]
        cold = ColdEvaluator(
            python=options.python, root=root, arch=arch, on_device=facts.mode == "device"
        )
        firsts = []
        for pool in pools if options.candidates else ():
            firsts.append((await _judged(evaluator, pool.pop(0)[1]))[0])
            print("first", firsts[-1], flush=True)
        turns = [one for turn in itertools.zip_longest(*pools) for one in turn if one is not None]
        rows = []
        for example, candidate in turns[: options.candidates]:
            rows.append(await _both_ways(evaluator, workspace, cold, example, candidate))
            print(rows[-1], flush=True)
        options.out.write_text(report(facts, firsts, rows, None, options.note))
        chosen = [candidate for _, candidate in turns[: options.busy]]
        busy = await _busy(evaluator, workspace, chosen) if chosen else None
    return facts, firsts, rows, busy


async def _candidates(
    evaluator: WorkerEvaluator, root: Path, example: Example, arch: str
) -> list[tuple[Example, Candidate]]:
    path = f"kernels/{example.name}.py"
    unit = unit_of((root / path).read_text(), path, example.kernel)
    assert unit is not None
    recorded = await evaluator.record(unit, (example.tests,), lambda _: None)
    nodes = tuple(test.nodeid for test in recorded.tests if test.outcome == "passed")
    return [
        (
            example,
            Candidate(
                unit=unit, text=variant.text, nodes=nodes, launches=recorded.launches, seed=number
            ),
        )
        for number, variant in enumerate(sweep_variants(unit.text, unit, arch))
    ]


async def _both_ways(
    evaluator: WorkerEvaluator,
    workspace: Workspace,
    cold: ColdEvaluator,
    example: Example,
    one: Candidate,
) -> Row:
    alone = dataclasses.replace(workspace, limits=Limits(differential_s=0))
    await evaluator.open(alone)
    correct, _ = await _judged(evaluator, dataclasses.replace(one, timed=False))
    await evaluator.open(workspace)
    whole, stages = await _judged(evaluator, one)
    cost = await asyncio.to_thread(cold.judge, one, (example.tests,), example.benchmark)
    return Row(
        name=example.name, correct=correct, timing=stages.get("time", 0.0), whole=whole, cold=cost
    )


async def _judged(
    evaluator: WorkerEvaluator,
    candidate: Candidate,
    also: Callable[[Progress], None] = lambda _: None,
) -> tuple[float, dict[str, float]]:
    stages: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        stages.update(progress.seconds)
        also(progress)

    began = time.monotonic()
    verdict = await evaluator.evaluate(candidate, on_progress)
    assert isinstance(verdict, Correct), verdict
    return time.monotonic() - began, stages


async def _busy(
    evaluator: WorkerEvaluator, workspace: Workspace, chosen: Sequence[Candidate]
) -> Busy:
    """The whole cascade for all of them, with what the search has in flight at once."""
    await evaluator.open(workspace)
    places = asyncio.Semaphore(MAX_JUDGES)
    spans: list[tuple[float, float]] = []
    began = time.monotonic()

    async def judge(candidate: Candidate) -> None:
        async with places:
            watch = Watch(began)
            await _judged(evaluator, candidate, watch)
            spans.extend(watch.ended())

    sampler = Utilisation()
    async with sampler, asyncio.TaskGroup() as group:
        for candidate in chosen:
            group.create_task(judge(candidate))
    return Busy(
        n_candidates=len(chosen),
        wall=time.monotonic() - began,
        spans=tuple(spans),
        utilisation=sampler.mean,
    )


# ---- the report ------------------------------------------------------------------------


def report(facts: Facts, firsts: list[float], rows: list[Row], busy: Busy | None, note: str) -> str:
    hardware = facts.devices[0].name if facts.devices else "no GPU (interpreter, CPU)"
    today = dt.datetime.now(dt.UTC).date()
    speed = "benchmark" if facts.devices else "compilation for the architecture"
    lines = [
        "# One candidate: a warm worker beside cold processes\n",
        (
            f"Measured {today} on {hardware}, torch {facts.torch}, triton {facts.triton}, Python "
            f"{facts.python}, by `benchmarks/evaluator.py`. Seconds, median (min to max). {note}\n"
        ),
        (
            f"The others: three cold processes (tests, tests again, {speed}), one Triton cache for "
            "the three. Ours: children of a warm worker; generated cases, and timing in rounds "
            "beside the original, have no counterpart there.\n"
        ),
    ]
    if firsts:
        lines.append(
            f"Before that, one candidate of each example, which also runs the original on the "
            f"generated cases: {_spread(firsts)} s.\n"
        )
    return "\n".join([*lines, *_side_by_side(rows, speed), *(_busy_lines(busy) if busy else ())])


def _side_by_side(rows: list[Row], speed: str) -> list[str]:
    if not rows:
        return []
    names = ", ".join(dict.fromkeys(row.name for row in rows))
    return [
        f"{len(rows)} candidates ({names}), one at a time, both ways in turn:\n",
        "| | seconds |",
        "|---|---|",
        f"| ours, compiled and tested | {_spread([r.correct for r in rows])} |",
        f"| ours, whole cascade | {_spread([r.whole for r in rows])} |",
        f"| cold, call accuracy | {_spread([r.cold.call for r in rows])} |",
        f"| cold, execution accuracy | {_spread([r.cold.execution for r in rows])} |",
        f"| cold, {speed} | {_spread([r.cold.speed for r in rows])} |",
        f"| cold, all three | {_spread([r.cold.total for r in rows])} |",
        "",
        "| cold over ours, candidate by candidate | ratio |",
        "|---|---|",
        f"| tests (theirs twice) | {_ratios(rows, _cold_correct, lambda r: r.correct)} |",
        f"| tests and {speed}, without generated cases | {_ratios(rows, _cold_total, _alike)} |",
        f"| end to end, all that ours does | {_ratios(rows, _cold_total, lambda r: r.whole)} |",
        "",
    ]


def _busy_lines(busy: Busy) -> list[str]:
    said = (
        f"{busy.n_candidates} candidates through the whole cascade, {MAX_JUDGES} in flight: "
        f"{busy.wall:.1f} s, {busy.wall / busy.n_candidates:.1f} s each. At least one candidate's "
        f"tests, generated cases or timing ran during {busy.share:.0%} of it."
    )
    if busy.utilisation is not None:
        said += f" nvidia-smi reported a mean utilisation of {busy.utilisation:.0%} meanwhile."
    return [said, ""]


def _cold_total(row: Row) -> float:
    return row.cold.total


def _alike(row: Row) -> float:
    """Ours for what the three cold processes do; it holds compilation in any case."""
    return row.correct + row.timing


def _cold_correct(row: Row) -> float:
    return row.cold.call + row.cold.execution


def _ratios(rows: list[Row], cold: Callable[[Row], float], ours: Callable[[Row], float]) -> str:
    values = [cold(row) / ours(row) for row in rows]
    return f"{statistics.median(values):.1f}x ({min(values):.1f} to {max(values):.1f})"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
