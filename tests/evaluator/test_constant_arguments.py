"""Integer arguments that equal one reach a kernel on the interpreter as the compiler gives them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Broken, Correct, Differs, WorkerVerdict
from whet_evaluator.worker.unit_ref import UnitRef

Judge = Callable[[str, str], Awaitable[WorkerVerdict]]

KERNELS = """
import pytest, torch, triton, triton.language as tl

@triton.jit
def copy(x_ptr, out_ptr, n, stride, N: tl.constexpr):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * stride.to(tl.int64), mask=c < n), mask=c < n)

@triton.jit(do_not_specialize=["stride"])
def kept(x_ptr, out_ptr, n, stride, N: tl.constexpr):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * stride.to(tl.int64), mask=c < n), mask=c < n)

@triton.jit(do_not_specialize=[3])
def kept_by_place(x_ptr, out_ptr, n, stride, N: tl.constexpr):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * stride.to(tl.int64), mask=c < n), mask=c < n)

@triton.jit
def typed(x_ptr, out_ptr, n, stride: tl.int64, N: tl.constexpr):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * stride.to(tl.int64), mask=c < n), mask=c < n)

@triton.jit
def by_default(x_ptr, out_ptr, n, stride=1, N: tl.constexpr = 8):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * stride.to(tl.int64), mask=c < n), mask=c < n)

@triton.jit
def in_a_tuple(x_ptr, out_ptr, n, strides, N: tl.constexpr):
    c = tl.arange(0, N)
    tl.store(out_ptr + c, tl.load(x_ptr + c * strides[0].to(tl.int64), mask=c < n), mask=c < n)

@triton.jit
def assigned(x_ptr, out_ptr, n, stride, N: tl.constexpr):
    c, s = tl.arange(0, N), stride
    t = stride
    stride += 0
    at = c * s.to(tl.int64) + (t.to(tl.int64) - stride.to(tl.int64)) * tl.cast(stride, tl.int64)
    tl.store(out_ptr + c, tl.load(x_ptr + at, mask=c < n), mask=c < n)

@triton.jit
def helped(at, stride):
    return at * stride, stride

@triton.jit
def honest(x_ptr, out_ptr, n, stride, N: tl.constexpr):
    c = tl.arange(0, N)
    at, same = helped(c, stride)
    for i in range(stride):
        at += i * same
    for j in tl.range(0, tl.cdiv(n, N) * stride):
        x_ptr += j * stride
    if stride == 1:
        at = at * 1
    far = c.to(tl.int64) * stride + tl.program_id(0).to(tl.int64) * stride
    x = tl.load(x_ptr + tl.where(at == far, at, 0), mask=c < n * stride)
    tl.device_assert(stride > 0)
    tl.assume(stride > 0)
    tl.store(out_ptr + c, x, mask=(c < n) & (stride > 0))

def call(kernel, n, stride):
    x, out = torch.arange(16.0, device="cuda"), torch.zeros(8, device="cuda")
    if kernel is by_default:
        kernel[(1,)](x, out, n)
    else:
        kernel[(1,)](x, out, n, (stride, 3) if kernel is in_a_tuple else stride, N=8)
    assert (out[:n] == x[:n*stride:stride]).all()

@pytest.mark.parametrize("kernel", [copy, by_default, in_a_tuple])
def test_it_fails_as_in_the_compiler(kernel):
    with pytest.raises(Exception, match="'int' object has no attribute 'to'"):
        call(kernel, 8, 1)
    if kernel is not by_default:
        call(kernel, 8, 2)

@pytest.mark.parametrize("kernel", [kept, kept_by_place, typed, assigned, honest])
def test_it_works_as_in_the_compiler(kernel):
    call(kernel, 8, 1)
    call(kernel, 1, 1)
    if kernel is not honest:
        call(kernel, 8, 2)
"""


def test_an_argument_of_one_is_a_constant(tmp_path: Path) -> None:
    (tmp_path / "ones.py").write_text(KERNELS)
    job = make_job(tmp_path, tmp_path, tmp_path / "out", "ones.py", arch="sm_90")
    found = run_stage("tests:run", {**job, "nodes": ["ones.py"]})["outcomes"]
    assert len(found) == 8
    assert {one["outcome"] for one in found} == {"passed"}, [one["detail"] for one in found]


UNIT = """
import torch, triton, triton.language as tl

@triton.jit
def double_kernel(x_ptr, out_ptr, n_cols, row_stride, col_stride, BLOCK: tl.constexpr):
    row, cols = tl.program_id(0), tl.arange(0, BLOCK)
    at = row * row_stride + cols * col_stride
    x = tl.load(x_ptr + at, mask=cols < n_cols)
    tl.store(out_ptr + row * n_cols + cols, 2 * x, mask=cols < n_cols)

def double(x):
    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)
    block = triton.next_power_of_2(x.shape[1])
    double_kernel[(x.shape[0],)](x, out, x.shape[1], *x.stride(), BLOCK=block)
    return out
"""
TESTS = """
import torch
from unit import double

def test_double():
    x = torch.randn(5, 40, device="cuda")
    torch.testing.assert_close(double(x), 2 * x)
"""
REJECTED = {
    "recorded with one": ("cols * col_stride", "cols * col_stride.to(tl.int64)"),
    "one in generated cases": ("row * row_stride", "row * row_stride.to(tl.int64)"),
}
HONEST = {
    "another factor is wide": ("row * row_stride", "row.to(tl.int64) * row_stride"),
    "assigned before": (
        "    at = row * row_stride + cols * col_stride",
        (
            "    far, near = row_stride, col_stride\n"
            "    at = row * far.to(tl.int64) + cols * near.to(tl.int64)"
        ),
    ),
    "counted up": (
        "    at = row * row_stride",
        "    row_stride += 0\n    at = row * row_stride.to(tl.int64)",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(worker: WorkerEvaluator, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    root = tmp_path_factory.mktemp("doubled")
    (root / "unit.py").write_text(UNIT)
    (root / "test_unit.py").write_text(TESTS)
    limits = Limits(differential_cases=20, differential_s=60.0)
    await worker.open(Workspace(root=root, limits=limits))
    unit = UnitRef(path="unit.py", kernels=("double_kernel",), launchers=("double",), text=UNIT)
    recorded = await worker.record(unit, ("test_unit.py",), lambda progress: None)
    nodes = tuple(test.nodeid for test in recorded.tests if test.outcome == "passed")

    async def judged(old: str, new: str) -> WorkerVerdict:
        assert UNIT.count(old) == 1
        candidate = Candidate(
            unit=unit, text=UNIT.replace(old, new), nodes=nodes, launches=recorded.launches, seed=3
        )
        return await worker.evaluate(candidate, lambda progress: None)

    return judged


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", REJECTED)
async def test_what_fails_on_a_stride_of_one_is_rejected(judge: Judge, name: str) -> None:
    verdict = await judge(*REJECTED[name])
    assert isinstance(verdict, Broken if name == "recorded with one" else Differs), verdict
    assert "object has no attribute" in repr(verdict)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", HONEST)
async def test_what_works_with_strides_of_one_is_accepted(judge: Judge, name: str) -> None:
    verdict = await judge(*HONEST[name])
    assert isinstance(verdict, Correct), verdict
