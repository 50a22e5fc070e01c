"""The generated cases on right candidates: every example against itself and its rewrite.

    python benchmarks/differential.py [--python PYTHON] [--differential-s S] [--out FILE] [NAME...]

Each example's own text, twice, and the rewrite recorded in `examples/recorded` go through
the whole cascade without timing; a rejection here is a false one. The first candidate of an
example waits for the original's runs, the later ones find them in the bank. On a machine
with a GPU the cases run there, elsewhere on Triton's interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs

from whet_agent.candidates.reply import parse_reply
from whet_agent.source.units import parse_units, unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Differs, Facts, Recorded, WorkerVerdict
from whet_evaluator.worker.unit_ref import UnitRef

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NAMES = (
    "cross_entropy", "dequantize", "flip", "layer_norm", "matmul", "rms_norm", "rotary",
    "softmax", "transpose_scale",
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Row:
    example: str
    candidate: str
    verdict: WorkerVerdict
    seconds: float
    """Of stage `differ`, counted on the worker's host."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--differential-s", type=float, default=None)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/differential.md")
    options = parser.parse_args()
    facts, rows = asyncio.run(judged(options))
    options.out.write_text(report(facts, rows))
    print(options.out.read_text())


async def judged(options: argparse.Namespace) -> tuple[Facts, list[Row]]:
    rows: list[Row] = []
    limits = Limits(differential_s=options.differential_s)
    async with WorkerEvaluator(Target(python=options.python, arch="sm_90")) as evaluator:
        facts = await evaluator.open(Workspace(root=EXAMPLES, limits=limits))
        for name in options.names:
            unit = _unit(name)
            recorded = await evaluator.record(unit, (f"tests/test_{name}.py",), lambda _: None)
            for label, text in _texts(name, unit):
                rows.append(await _judged(evaluator, unit, recorded, (name, label, text)))
                print(_line(rows[-1]), flush=True)
    return facts, rows


def _unit(name: str) -> UnitRef:
    path = f"kernels/{name}.py"
    text = (EXAMPLES / path).read_text()
    kernel = next(one for one in parse_units(text) if not one.helper_of)
    unit = unit_of(text, path, kernel.qualname)
    assert unit is not None
    return unit


def _texts(name: str, unit: UnitRef) -> list[tuple[str, str]]:
    reply = (EXAMPLES / "recorded" / f"{name}.md").read_text()
    rewrite = parse_reply(reply, "stop", unit.text, unit).candidates[-1]
    return [
        ("itself", unit.text), ("itself again", unit.text),
        ("rewrite", rewrite.text_of_whole_file),
    ]  # fmt: skip


async def _judged(
    evaluator: WorkerEvaluator, unit: UnitRef, recorded: Recorded, what: tuple[str, str, str]
) -> Row:
    name, label, text = what
    spent: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        spent.update(progress.seconds)

    candidate = Candidate(
        unit=unit, text=text, launches=recorded.launches, seed=1, timed=False,
        nodes=tuple(test.nodeid for test in recorded.tests if test.outcome == "passed"),
    )  # fmt: skip
    began = time.monotonic()
    verdict = await evaluator.evaluate(candidate, on_progress)
    seconds = spent.get("differ", time.monotonic() - began)
    return Row(example=name, candidate=label, verdict=verdict, seconds=seconds)


def report(facts: Facts, rows: Sequence[Row]) -> str:
    where = facts.devices[0].name if facts.devices else "Triton's interpreter, no GPU"
    rejected = sum(not isinstance(row.verdict, Correct) for row in rows)
    taken = (
        f"`python benchmarks/differential.py` on {where}; torch {facts.torch}, Triton "
        f"{facts.triton}. {rejected} of {len(rows)} rejected, each of them falsely.\n"
    )
    return "\n".join([
        "# The generated cases on right candidates\n", taken,
        "| example | candidate | verdict | equal | behaviour change | not run | truth | s |",
        "|" + "---|" * 8, *map(_line, rows), "",
    ])  # fmt: skip


def _line(row: Row) -> str:
    verdict, said = row.verdict, type(row.verdict).__name__
    if isinstance(verdict, Differs):
        said = f"**{said}**: {verdict.cases[0]}".replace("|", "/")
    cases = (
        verdict.differential.cases if isinstance(verdict, Correct) and verdict.differential else ()
    )
    status = Counter(case.status for case in cases)
    oracles = Counter(case.oracle for case in cases if case.status != "not run")
    truth = ", ".join(f"{name} {n}" for name, n in oracles.most_common())
    counts = " | ".join(str(status[s]) for s in ("equal", "behaviour change", "not run"))
    return f"| {row.example} | {row.candidate} | {said} | {counts} | {truth} | {row.seconds:.1f} |"


if __name__ == "__main__":
    main()
