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
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from cold_processes import Benchmark, ColdEvaluator
from device_use import Busy, Utilisation, Watch
from evaluator_report import Row, report

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
            print(rows[-1].name, rows[-1].correct, rows[-1].whole, rows[-1].cold, flush=True)
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
    correct, correct_stages = await _judged(evaluator, dataclasses.replace(one, timed=False))
    await evaluator.open(workspace)
    whole, whole_stages = await _judged(evaluator, one)
    cost = await asyncio.to_thread(cold.judge, one, (example.tests,), example.benchmark)
    return Row(
        name=example.name, correct=correct, correct_stages=correct_stages, whole=whole,
        whole_stages=whole_stages, cold=cost,
    )  # fmt: skip


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


if __name__ == "__main__":
    main()
