"""What isolation allows on a real device, and that a device survives its candidates.

    python tests/gpu/try_isolation.py --out FILE [--bwrap PROGRAM]

A worker of this Python judges a matmul at the best level this host allows, then candidates
that hang the device's queue, write far outside on the device, take all of its memory,
crash, fork and flood. After each the good candidate must pass again. The table says the
level with its reason, what each became, and what the walls cost a child. Exits 1 when a
verdict is not the one expected, or something is left behind.
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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "evaluator"))

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker import records
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.unit_ref import UnitRef

# The comment names what a candidate may then do too: it is the walls that are tried here.
MATMUL = """
# open( ctypes fork
import torch
import triton
import triton.language as tl


@triton.jit
def matmul_kernel(a, b, c, M, N, K, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, K, BLOCK):
        inner = start + tl.arange(0, BLOCK)
        left = tl.load(a + rows[:, None] * K + inner[None, :])
        right = tl.load(b + inner[:, None] * N + columns[None, :])
        total += tl.dot(left, right)
    tl.store(c + rows[:, None] * N + columns[None, :], total.to(tl.float16))


@triton.jit
def endless_kernel(flag):
    value = tl.load(flag, volatile=True)
    while value == 0:
        value = tl.load(flag, volatile=True)


@triton.jit
def wild_kernel(flag, far):
    tl.store(flag + far, 1)


def matmul(a, b):
    c = torch.empty((a.shape[0], b.shape[1]), device=a.device, dtype=torch.float16)
    grid = (a.shape[0] // 64, b.shape[1] // 64)
    matmul_kernel[grid](a, b, c, a.shape[0], b.shape[1], a.shape[1], BLOCK=64)
    return c
"""
TEST = """
import torch
from unit import matmul


def test_matmul():
    a = torch.randn((256, 256), device="cuda", dtype=torch.float16)
    b = torch.randn((256, 256), device="cuda", dtype=torch.float16)
    torch.testing.assert_close(matmul(a, b), a @ b, rtol=1e-2, atol=1e-1)
"""
FLAG = "    flag = torch.zeros(1, device=a.device, dtype=torch.int32)\n"


@dataclass(frozen=True)
class Misdeed:
    """`body` runs before the launcher's own lines; `expected` are the fitting verdicts."""

    name: str
    body: str
    expected: tuple[type, ...]


MISDEEDS = (
    Misdeed(
        "hangs the device's queue",
        FLAG + "    endless_kernel[(1,)](flag)\n    torch.cuda.synchronize()\n",
        (records.TimedOut,),
    ),
    Misdeed(
        "writes far outside on the device",
        FLAG + "    wild_kernel[(1,)](flag, 1 << 44)\n    torch.cuda.synchronize()\n",
        (records.Failed, records.Crashed),
    ),
    Misdeed(
        "takes all of the device's memory",
        "    hoard = []\n    while True:\n"
        "        hoard.append(torch.ones(1 << 30, device=a.device, dtype=torch.uint8))\n",
        (records.Failed, records.Exceeded, records.Crashed),
    ),
    Misdeed("crashes", "    import ctypes\n    ctypes.string_at(0)\n", (records.Crashed,)),
    Misdeed(
        "forks without end",
        "    import os\n    for _ in range(100_000):\n        try:\n"
        "            os.fork()\n        except OSError:\n            pass\n",
        (records.Exceeded, records.TimedOut, records.Crashed),
    ),
    Misdeed(
        "writes 10 GB",
        "    for n in range(160):\n        with open(f'junk{n}', 'wb') as file:\n"
        "            for _ in range(64):\n                file.write(bytes(1 << 20))\n",
        (records.Exceeded,),
    ),
    Misdeed(
        "prints 1 GB",
        "    import sys\n    for _ in range(1024):\n        print('x' * (1 << 20))\n",
        (records.Correct, records.Exceeded),
    ),
)


@dataclass(frozen=True)
class Row:
    name: str
    verdict: str
    seconds: float
    good_after: bool
    left: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bwrap", type=Path, help="a bubblewrap that is not on the PATH")
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--stage-s", type=float, default=20.0)
    options = parser.parse_args()
    if options.bwrap is not None:
        os.environ["PATH"] = f"{options.bwrap.resolve().parent}:{os.environ['PATH']}"
    text, fine = asyncio.run(report(options.python, options.stage_s))
    options.out.write_text(text)
    print(text)
    sys.exit(0 if fine else 1)


async def report(python: str, stage_s: float) -> tuple[str, bool]:
    """The table, and whether all went as it should."""
    limits = Limits(
        stage_s=stage_s, differential_s=0, disk_bytes=1 << 30, processes=256,
        memory_bytes=16 << 30,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "unit.py").write_text(MATMUL)
        (root / "test_unit.py").write_text(TEST)
        async with WorkerEvaluator(Target(python=python)) as worker:
            began = time.monotonic()
            facts = await worker.open(Workspace(root=root, limits=limits))
            opened_s = time.monotonic() - began
            settles = [await settle_s(worker) for _ in range(6)]
            before = leftovers()
            rows = [await misdo(worker, misdeed, before) for misdeed in MISDEEDS]
    fine = all(row.good_after and not row.left and "UNEXPECTED" not in row.verdict for row in rows)
    return "\n".join([*head(facts, opened_s, settles), *map(line, rows), ""]), fine


def head(facts: records.Facts, opened_s: float, settles: list[float]) -> list[str]:
    names = ", ".join(device.name for device in facts.devices) or "none"
    return [
        "# Candidates that misbehave on a device",
        "",
        f"- devices: {names}; mode {facts.mode}",
        f"- torch {facts.torch}, triton {facts.triton}, Python {facts.python}, {facts.platform}",
        f"- isolation **{facts.isolation}**: {facts.isolation_detail}",
        f"- opening took {opened_s:.1f} s; fresh processes because: {facts.slow_start}",
        f"- settling a child behind its walls: median {1e3 * statistics.median(settles):.1f} ms",
        "",
        "| candidate that | verdict | seconds | the next one passes | left behind |",
        "|---|---|---|---|---|",
    ]


def line(row: Row) -> str:
    passes = "yes" if row.good_after else "NO"
    return (
        f"| {row.name} | {row.verdict} | {row.seconds:.1f} | {passes} | {row.left or 'nothing'} |"
    )


async def settle_s(worker: WorkerEvaluator) -> float:
    """Seconds that the children of one evaluation took to settle behind their walls, in the
    mean of the stages."""
    found: dict[str, float] = {}

    def take(progress: Progress) -> None:
        found.update(progress.seconds or {})

    verdict = await worker.evaluate(candidate(MATMUL), take)
    assert isinstance(verdict, records.Correct), verdict
    settled = [seconds for name, seconds in found.items() if name.endswith("settle")]
    assert settled, sorted(found)
    return statistics.mean(settled)


async def misdo(worker: WorkerEvaluator, misdeed: Misdeed, before: set[str]) -> Row:
    text = MATMUL.replace("    c = torch.empty", misdeed.body + "    c = torch.empty")
    began = time.monotonic()
    verdict = await worker.evaluate(candidate(text), lambda _: None)
    seconds = time.monotonic() - began
    said = type(verdict).__name__
    for name in ("stage", "what", "how"):
        said += f" {getattr(verdict, name)}" if hasattr(verdict, name) else ""
    if not isinstance(verdict, misdeed.expected):
        said = f"UNEXPECTED {str(verdict)[:300]}".replace("\n", " ")
    left = leftovers() - before
    until = time.monotonic() + 3.0
    while left and time.monotonic() < until:  # the driver lists the dead for a moment
        left = leftovers() - before
    again = await worker.evaluate(candidate(MATMUL), lambda _: None)
    return Row(
        misdeed.name, said, seconds, isinstance(again, records.Correct), ", ".join(sorted(left))
    )


def candidate(text: str) -> Candidate:
    unit = UnitRef(path="unit.py", kernels=("matmul_kernel",), launchers=("matmul",), text=MATMUL)
    return Candidate(
        unit=unit, text=text, nodes=("test_unit.py::test_matmul",), launches=(), seed=1,
        timed=False,
    )  # fmt: skip


def leftovers() -> set[str]:
    """What holds the device, by its driver's tool, and what lies in shared memory."""
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
    try:
        listed = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False
        ).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        listed = []
    return {*listed, *map(str, Path("/dev/shm").iterdir())}


if __name__ == "__main__":
    main()
