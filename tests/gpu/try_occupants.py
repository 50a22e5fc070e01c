"""How a timing gets on with programs that are not Whet's, on a real device.

    python tests/gpu/try_occupants.py --out FILE [--python PYTHON]

A worker times a softmax alone, beside a process that only holds memory, beside one that
computes until it is ended, and beside another worker of Whet's. The table says what each
timing waited for. Exits 1 when one waited that should not have, did not wait that should
have, or was not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "evaluator"))

from try_timing import KERNELS

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker import records
from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.occupants import Occupants, nvidia
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.unit_ref import UnitRef

TEST = """
import torch
from unit import softmax


def test_softmax():
    x = torch.randn((4096, 2048), device="cuda")
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=1))
"""
NODE = "test_unit.py::test_softmax"
UNIT = UnitRef(path="unit.py", kernels=("softmax_kernel",), launchers=("softmax",), text=KERNELS)
HOLDS = """
import sys, torch
x = torch.ones(1 << 28, device="cuda")
torch.cuda.synchronize()
print("ready", flush=True)
sys.stdin.read()
"""
COMPUTES = """
import torch
x = torch.randn((4096, 4096), device="cuda")
torch.cuda.synchronize()
print("ready", flush=True)
while True:
    for _ in range(20):
        x @ x
    torch.cuda.synchronize()
"""
BUSY = "busy with process"
_COMPUTES_S = 15.0
_WAITS_S = 90.0
_N_ASKED = 10


@dataclass(frozen=True)
class Row:
    beside: str
    waited_for: str
    seconds: float
    verdict: str
    fine: bool


@dataclass(frozen=True)
class Stranger:
    process: subprocess.Popen[str]

    @property
    def name(self) -> str:
        return f"process {self.process.pid} "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    options = parser.parse_args()
    text, fine = asyncio.run(report(options.python))
    options.out.write_text(text)
    print(text)
    sys.exit(0 if fine else 1)


async def report(python: str) -> tuple[str, bool]:
    """The table, and whether all went as it should."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "unit.py").write_text(KERNELS)
        (root / "test_unit.py").write_text(TEST)
        workspace = Workspace(root=root, limits=Limits(differential_s=0, memory_bytes=16 << 30))
        target = Target(python=python)
        async with WorkerEvaluator(target) as worker, WorkerEvaluator(target) as other:
            facts = await worker.open(workspace)
            await other.open(workspace)
            device = facts.devices[0]
            asked_s = [await ask_s(device.uuid, folder) for _ in range(_N_ASKED)]
            recorded = await worker.record(UNIT, (NODE,), lambda _: None)
            launches = recorded.launches
            rows = [
                await nobody(worker, launches),
                await holder(worker, launches, workspace),
                await computer(worker, launches),
                await colleague(worker, other, launches),
            ]
    lines = [
        "# A timing beside other programs on its device",
        "",
        f"- {device.name}; torch {facts.torch}, triton {facts.triton}, Python {facts.python}",
        f"- {facts.platform}",
        f"- on the device when it was opened: {facts.device_busy or 'nobody'}",
        f"- who is there, asked of the driver's tool: median {1e3 * statistics.median(asked_s):.0f} ms",
        "",
        "| beside | waited for | seconds | verdict | as expected |",
        "|---|---|---|---|---|",
        *(
            f"| {row.beside} | {row.waited_for or 'nobody'} | {row.seconds:.1f} | {row.verdict} "
            f"| {'yes' if row.fine else 'NO'} |"
            for row in rows
        ),
        "",
    ]
    return "\n".join(lines), all(row.fine for row in rows)


async def ask_s(uuid: str, folder: str) -> float:
    began = time.monotonic()
    await Occupants(nvidia(uuid, os.environ, folder)).present()
    return time.monotonic() - began


async def nobody(worker: WorkerEvaluator, launches: tuple[Launch, ...]) -> Row:
    waits, seconds, verdict = await timed(worker, launches, seed=1)
    return Row("nobody", waits, seconds, *_said(verdict, waits == ""))


async def holder(
    worker: WorkerEvaluator, launches: tuple[Launch, ...], workspace: Workspace
) -> Row:
    """One that only holds memory is named when a worker opens, and not waited for."""
    with stranger(worker.target.python, HOLDS) as one:
        async with WorkerEvaluator(worker.target) as another:
            present = (await another.open(workspace)).device_busy or "nobody"
        waits, seconds, verdict = await timed(worker, launches, seed=2)
    named = one.name in present
    beside = f"one that holds 1 GiB, idle; a worker says on opening: {present}"
    return Row(beside, waits, seconds, *_said(verdict, waits == "" and named))


async def computer(worker: WorkerEvaluator, launches: tuple[Launch, ...]) -> Row:
    """One that multiplies matrices until the timing has waited for it a while."""
    waiting = asyncio.Event()
    with stranger(worker.target.python, COMPUTES) as one:
        timing = asyncio.ensure_future(timed(worker, launches, seed=3, waiting=waiting))
        waited = asyncio.ensure_future(waiting.wait())
        await asyncio.wait((timing, waited), timeout=_WAITS_S, return_when="FIRST_COMPLETED")
        waited.cancel()
        await asyncio.sleep(_COMPUTES_S)
        ended_early = timing.done()
    freed = time.monotonic()
    waits, _, verdict = await timing
    named = one.name in waits
    seconds = time.monotonic() - freed
    beside = f"one that computes for {_COMPUTES_S:.0f} s more (seconds counted from its end)"
    return Row(beside, waits, seconds, *_said(verdict, named and not ended_early))


async def colleague(
    worker: WorkerEvaluator, other: WorkerEvaluator, launches: tuple[Launch, ...]
) -> Row:
    """Two workers with three candidates each: they take turns by the lock, and by nothing else."""
    began = time.monotonic()
    each = [timed(one, launches, seed=seed) for seed in (4, 5, 6) for one in (worker, other)]
    ended = await asyncio.gather(*each)
    waits = "; ".join(sorted({waits for waits, _, _ in ended if waits}))
    verdicts = [_said(verdict, waits == "") for _, _, verdict in ended]
    names = ", ".join(sorted({name for name, _ in verdicts}))
    fine = all(good for _, good in verdicts)
    return Row("another worker of Whet's, 3 candidates each", waits, time.monotonic() - began,
               names, fine)  # fmt: skip


async def timed(
    worker: WorkerEvaluator, launches: tuple[Launch, ...], *, seed: int,
    waiting: asyncio.Event | None = None,
) -> tuple[str, float, records.WorkerVerdict]:  # fmt: skip
    """Who was waited for, the seconds, and the verdict of one candidate."""
    heard: dict[str, None] = {}

    def take(progress: Progress) -> None:
        if BUSY in (text := f"{progress.stage} {progress.detail}".strip()):
            heard[text] = None
            if waiting is not None:
                waiting.set()

    text = KERNELS.replace("num_warps=8", f"num_warps=8, num_stages={1 + seed}")
    candidate = Candidate(unit=UNIT, text=text, nodes=(NODE,), launches=launches, seed=seed)
    began = time.monotonic()
    verdict = await worker.evaluate(candidate, take)
    return "; ".join(heard), time.monotonic() - began, verdict


def _said(verdict: records.WorkerVerdict, fine: bool) -> tuple[str, bool]:
    """Its name, and whether it was timed besides `fine`."""
    name = type(verdict).__name__
    if isinstance(verdict, records.Correct) and isinstance(verdict.timing, records.Timing):
        return f"{name}, timed", fine
    return f"{name}: {verdict}"[:300].replace("\n", " "), False


@contextmanager
def stranger(python: str, code: str) -> Iterator[Stranger]:
    """A process that is none of the worker's, once it is on the device."""
    with subprocess.Popen(
        [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield Stranger(process)
        finally:
            process.kill()


if __name__ == "__main__":
    main()
