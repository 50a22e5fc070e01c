"""Exercises the stages *tests* and *time* on a real device and prints what they say.

Run it with the Python that has torch, triton and pytest:
`python tests/gpu/try_timing.py [--rounds 20] [--pairs 10]`. It needs nothing of Whet's
installed. Checks: the original against itself reads SAME, in one process and in two, a candidate that
does its work twice reads SLOWER, and tricks with the clock are caught under it. Exits 1 when
one of them fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "evaluator"))
sys.path.insert(0, str(HERE.parents[1] / "evaluator"))

from stage_child import make_job, run_stage

from whet_evaluator.statistics import analyse
from whet_evaluator.worker.codec import from_json
from whet_evaluator.worker.records import Timing

KERNELS = """
import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x, out, stride, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    offsets = tl.arange(0, BLOCK)
    values = tl.load(x + row * stride + offsets, mask=offsets < n, other=-float("inf"))
    values = tl.exp(values - tl.max(values, axis=0))
    tl.store(out + row * stride + offsets, values / tl.sum(values, axis=0), mask=offsets < n)


def softmax(x):
    out = torch.empty_like(x)
    block = triton.next_power_of_2(x.shape[1])
    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block, num_warps=8)
    return out


@triton.jit
def scale_kernel(x, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(x + offsets, tl.load(x + offsets, mask=mask) * 0.5, mask=mask)


def scale_(x):
    scale_kernel[(triton.cdiv(x.numel(), 1024),)](x, x.numel(), BLOCK=1024)
    return x


@triton.autotune(
    configs=[triton.Config({"BLOCK": b}, num_warps=4) for b in (256, 1024)], key=["n"]
)
@triton.jit
def add_kernel(x, y, out, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    total = tl.load(x + offsets, mask=mask) + tl.load(y + offsets, mask=mask)
    tl.store(out + offsets, total, mask=mask)


def add(x, y):
    out = torch.empty_like(x)
    grid = lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)
    add_kernel[grid](x, y, out, x.numel())
    return out


def scale_warmed_(x):
    # As Triton's softmax tutorial launches: what `warmup` compiled.
    n = x.numel()
    compiled = scale_kernel.warmup(x, n, BLOCK=1024, grid=(1,))
    compiled._init_handles()
    compiled[(triton.cdiv(n, 1024), 1, 1)](x, n, 1024)
    return x


@triton.jit
def dropout_kernel(x, out, n, seed, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + offsets, mask=offsets < n)
    kept = tl.rand(seed, offsets) > 0.25
    tl.store(out + offsets, tl.where(kept, values, 0.0), mask=offsets < n)


def dropout(x):
    # Draws a seed of its own.
    out = torch.empty_like(x)
    seed = int(torch.randint(0, 1 << 30, (1,)))
    dropout_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), seed, BLOCK=1024)
    return out


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return add(x, x)

    @staticmethod
    def backward(ctx, grad):
        return add(grad.contiguous(), grad.contiguous())


def double(x):
    return Double.apply(x)
"""
TESTS = """
import pytest
import torch
from kernels import add, double, dropout, scale_, scale_kernel, scale_warmed_, softmax


@pytest.mark.parametrize("shape", [(4096, 4096), (64, 781)])
def test_softmax(shape):
    x = torch.randn(*shape, device="cuda")
    torch.testing.assert_close(softmax(x), torch.softmax(x, 1))


@pytest.mark.parametrize("n", [1 << 24, 1000])
def test_add(n):
    x, y = torch.randn(2, n, device="cuda")
    torch.testing.assert_close(add(x, y), x + y)


def test_scale():
    x = torch.randn(1 << 22, device="cuda")
    want = x * 0.5
    torch.testing.assert_close(scale_(x), want)


def test_scale_warmed():
    x = torch.randn(1 << 21, device="cuda")
    want = x * 0.5
    torch.testing.assert_close(scale_warmed_(x), want)


def test_dropout():
    x = torch.randn(1 << 20, device="cuda")
    kept = (dropout(x) == x).float().mean()
    assert 0.7 < kept < 0.8


def test_direct():
    x = torch.randn(1 << 20, device="cuda")
    want = x * 0.5
    scale_kernel[(1024,)](x, x.numel(), BLOCK=1024)
    torch.testing.assert_close(x, want)


def test_double():
    x = torch.randn(1 << 20, device="cuda", requires_grad=True)
    double(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 2.0))
"""
UNIT = {
    "path": "kernels.py",
    "kernels": ["softmax_kernel", "scale_kernel", "add_kernel", "dropout_kernel"],
    "launchers": [
        "softmax",
        "scale_",
        "scale_warmed_",
        "dropout",
        "add",
        "double",
        "Double.forward",
        "Double.backward",
    ],
    "text": "",
}
LAUNCH = (
    "    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block, num_warps=8)\n"
)


OPERATOR = """

@torch.library.custom_op("trial::soft", mutates_args=())
def soft(x: torch.Tensor) -> torch.Tensor:
    return softmax(x)
"""
ASIDE = LAUNCH.replace(
    "    softmax_kernel", "    with torch.cuda.stream(SIDE):\n        softmax_kernel"
)
KEPT = """
KEPT = {}
computed = softmax


def softmax(x):
    if x.data_ptr() not in KEPT:
        KEPT[x.data_ptr()] = computed(x)
    return KEPT[x.data_ptr()]
"""
WITH_SIDE = KERNELS.replace("import torch\n", "import torch\nSIDE = torch.cuda.Stream()\n", 1)
TRICKS = {
    "tail": KERNELS.replace("offsets < n)\n", "offsets < n - 1)\n"),
    "kept by pointer": KERNELS + KEPT,
    "side stream": WITH_SIDE.replace(LAUNCH, ASIDE),
    "side stream, not in a graph": WITH_SIDE.replace(
        LAUNCH, "    torch.cuda.current_stream().query()\n" + ASIDE
    ),
    "patched clock": KERNELS + "\ntorch.cuda.Event.elapsed_time = lambda self, end: 1e-3\n",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="try-timing-"))
    recorded = record(place)
    soft = {**recorded, "calls": [c for c in recorded["calls"] if c["launcher"] == "softmax"]}
    both = [c for c in recorded["calls"] if c["launcher"] in {"softmax", "double"}]
    twice = KERNELS.replace(LAUNCH, LAUNCH * 2)
    failures = [
        *unseen(recorded),
        *look("same", KERNELS, place, recorded, options, "SAME"),
        *look("twice", twice, place, soft, options, "SLOWER"),
        *look("apart", KERNELS + OPERATOR, place, {**recorded, "calls": both}, options, "SAME"),
        *look("apart twice", twice + OPERATOR, place, soft, options, "SLOWER"),
        *(
            failure
            for name, text in TRICKS.items()
            for failure in caught(name, text, place, soft, options)
        ),
    ]
    print("\n".join(failures) or "all as expected")
    return bool(failures)


def record(place: Path) -> dict[str, Any]:
    job = project(place, "record", KERNELS)
    result = run_stage("tests:run", {**job, "nodes": ["test_kernels.py"]})
    for outcome in result["outcomes"]:
        print(outcome["nodeid"], outcome["outcome"], outcome["kernels"], outcome["detail"])
    for launch in result["launches"]:
        print("launch", launch["kernel"], launch["grid"], launch["entry"], launch["options"])
    print(len(result["calls"]), "calls recorded; exit status", result["exit_status"])
    return result


def unseen(recorded: dict[str, Any]) -> list[str]:
    """Launchers of which no call, and no launch of a kernel, was recorded."""
    wanted = {"softmax", "add", "scale_", "scale_warmed_", "dropout"}
    calls = {call["launcher"] for call in recorded["calls"]}
    launches = {launch["entry"] for launch in recorded["launches"]}
    return [f"{name} was not recorded" for name in sorted(wanted - (calls & launches))]


def time_candidate(
    name: str, text: str, place: Path, recorded: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    job = project(place, name, text)
    original = place / "original.py"
    original.write_text(KERNELS)
    job |= {"original": str(original), "rounds": options.rounds, "pairs": options.pairs}
    job |= {"launches": recorded["launches"], "calls": recorded["calls"]}
    started = time.perf_counter()
    result = run_stage("timing:run", job)
    print(f"\n== {name}: stage took {time.perf_counter() - started:.1f} s")
    if name == "same":
        print(json.dumps(result["environment"], indent=1))
    print("not timed:", result["not_timed"])
    print("differs:", result["differs"])
    print("cheated:", result["cheated"])
    return result


def look(
    name: str,
    text: str,
    place: Path,
    recorded: dict[str, Any],
    options: argparse.Namespace,
    expected: str,
) -> list[str]:
    """Prints every case; `expected` is the verdict of the large softmax."""
    result = time_candidate(name, text, place, recorded, options)
    if not any("4096x4096" in case["name"] for case in result["cases"]):
        return [f"{name}: not timed: {result['not_timed']} {result['differs']} {result['cheated']}"]
    timing = from_json(Timing, {"kind": "Timing", **result})
    measured = analyse(timing)
    for case, raw in zip(measured.cases, timing.cases, strict=True):
        sample = raw.rounds[0][0]
        print(
            f"{case.verdict:9} {case.ratio:.4f} [{case.low:.4f}, {case.high:.4f}] {case.method:6} "
            f"{case.state:4} {sample[0]:9.2f} us {sample[1]:9.2f} us  floor "
            f"{raw.floor_us} us, {raw.processes} process(es), {case.n_rounds} rounds  {case.name}"
        )
    print(f"overall {measured.verdict} {measured.ratio:.4f}; control ok: {measured.control_ok}")
    print(
        "noise:", *measured.noise, *(f"{c.name}: {note}" for c in timing.cases for note in c.notes)
    )
    (large,) = [c for c in measured.cases if c.name.startswith("softmax(float32[4096x4096])")]
    missing = {c["launcher"] for c in recorded["calls"]} - {
        c.name.partition("(")[0] for c in measured.cases
    }
    if name == "same" and any("kernel" not in launcher for launcher in missing):
        return [f"{name}: not timed: {missing}: {result['differs']} {result['not_timed']}"]
    wrong = [] if large.verdict == expected else [f"{name}: {large.verdict} instead of {expected}"]
    if name.startswith("apart") != (timing.cases[0].processes == 2):
        wrong.append(f"{name}: {timing.cases[0].processes} process(es)")
    if result["differs"] or result["cheated"] or not measured.control_ok:
        wrong.append(f"{name}: differs {result['differs']}, noise {measured.noise}")
    return wrong


def caught(
    name: str, text: str, place: Path, recorded: dict[str, Any], options: argparse.Namespace
) -> list[str]:
    assert text != KERNELS
    result = time_candidate(name, text, place, recorded, options)
    return [] if result["differs"] or result["cheated"] else [f"{name}: was not noticed"]


def project(place: Path, name: str, text: str) -> dict[str, Any]:
    root, scratch = place / name / "root", place / name / "scratch"
    for folder, kernels in ((root, KERNELS), (scratch, text)):
        folder.mkdir(parents=True)
        (folder / "kernels.py").write_text(kernels)
        (folder / "test_kernels.py").write_text(TESTS)
    output = place / name / "out"
    return make_job(root, scratch, output, "kernels.py", mode="device", device="auto", unit=UNIT)


if __name__ == "__main__":
    sys.exit(main())
