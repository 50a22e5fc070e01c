"""`whet tests FILE::KERNEL --mutants`, through the installed command and a real worker."""

from __future__ import annotations

KERNEL = """import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x, y, factor, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    value = tl.load(x + at, mask=mask)
    tl.store(y + at, value * factor, mask=mask)


def scale(x, factor):
    y = torch.empty_like(x)
    scale_kernel[(triton.cdiv(x.numel(), 16),)](x, y, factor, x.numel(), BLOCK=16)
    return y
"""

WEAK = """import torch
from k import scale


def test_shape():
    assert scale(torch.randn(48, device="cuda"), 2.0).shape == (48,)
"""


def test_weak_tests_catch_nothing_and_generated_cases_do(empty):
    (empty.root / "k.py").write_text(KERNEL)
    (empty.root / "test_k.py").write_text(WEAK)
    empty.environment["WHET_LIMITS_DIFFERENTIAL_CASES"] = "14"
    ran = empty.whet("tests", "k.py::scale_kernel", "--mutants", "--json")
    assert ran.status == 0, ran.err
    (score,) = ran.lines
    by_kind = {one["kind"]: one for one in score["judged"]}
    assert score["mutants"] == len(score["judged"]) >= 3
    assert by_kind["factor dropped"]["after"] == "tl.store(y + at, value, mask=mask)"
    assert by_kind["factor dropped"]["caught_by"] == "generated cases"
    assert by_kind["bound off by one"]["caught_by"] == "generated cases"
    assert score["caught_by_tests"] == 0
    assert score["caught_with_generated_cases"] >= 2
    assert empty.read("k.py") == KERNEL
