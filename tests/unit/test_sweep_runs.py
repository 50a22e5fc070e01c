"""Every swept text of the examples computes what the original does, on Triton's interpreter,
and compiles for the architecture it was made for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests import warm
from whet_agent.candidates.sweep import sweep_variants
from whet_agent.source.units import unit_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "kernels"

CALLS = {
    ("softmax", "softmax_kernel"): ("softmax", "torch.randn(3, 777)"),
    ("flip", "flip_kernel"): ("flip", "torch.randn(2, 3, 333)"),
    ("layer_norm", "layer_norm_fwd_kernel"): (
        "layer_norm", "torch.randn(3, 777), torch.randn(777), torch.randn(777)"),
    ("cross_entropy", "cross_entropy_kernel"): (
        "cross_entropy", "torch.randn(3, 5000), torch.tensor([1, 4999, 77])"),
    ("masked_sum", "masked_sum_kernel"): (
        "masked_sum", "torch.randn(3, 777), torch.tensor([777, 777, 777])"),
    ("dequantize", "dequantize_kernel"): (
        "dequantize", "torch.randint(-128, 127, (3, 256), dtype=torch.int8), torch.rand(3, 4), 64"),
    ("matmul", "matmul_kernel"): (
        "matmul", "torch.randn(70, 50).half(), torch.randn(50, 90).half()"),
    ("transpose_scale", "transpose_scale_kernel"): (
        "transpose_scale", "torch.randn(64, 64), torch.randn(64)"),
}  # fmt: skip

RUN = """
import importlib.util, json, pathlib, sys, torch
folder, function, arguments = sys.argv[1:]
def result(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tuned = [value for value in vars(module).values() if hasattr(value, "configs")]
    configs = [(kernel, one) for kernel in tuned for one in kernel.configs]
    for kernel, config in configs or [(None, None)]:
        if kernel is not None:
            kernel.configs = [config]  # the autotuner itself needs a GPU: take each in turn
        torch.manual_seed(0)
        yield getattr(module, function)(*eval("(" + arguments + ",)"))
paths = sorted(pathlib.Path(folder).glob("*.py"))
expect = next(result(paths[0]))
for path in paths[1:]:
    try:
        for got in result(path):
            torch.testing.assert_close(got, expect, rtol=1e-2, atol=1e-3)
    except Exception as error:
        print(json.dumps([path.stem, repr(error)[:500]]))
print(len(paths) - 1)
"""


@pytest.mark.parametrize(("example", "kernel"), sorted(CALLS))
def test_swept_texts_compute_the_same(example: str, kernel: str, tmp_path: Path) -> None:
    text = (EXAMPLES / f"{example}.py").read_text("utf-8")
    unit = unit_of(text, f"{example}.py", kernel)
    assert unit is not None
    variants = sweep_variants(text, unit, "gfx942")
    (tmp_path / "v00.py").write_text(text, "utf-8")
    for index, variant in enumerate(variants, start=1):
        (tmp_path / f"v{index:02}.py").write_text(variant.text, "utf-8")
    function, arguments = CALLS[example, kernel]
    done = warm.run(RUN, str(tmp_path), function, arguments, interpret=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    *wrong, count = done.stdout.splitlines()
    named = [(variants[int(json.loads(w)[0][1:]) - 1].strategy, json.loads(w)[1]) for w in wrong]
    assert named == []
    assert int(count) == len(variants) > 0


COMPILE = """
import sys, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from whet_dot import dot, copy
pointers = {"a_ptr": "*fp16", "b_ptr": "*fp16", "c_ptr": "*fp32", "SIZE": "constexpr"}
for arch, lanes, choices in (
    ("gfx942", 64, [{"waves_per_eu": 2}, {"matrix_instr_nonkdim": 16}, {"kpack": 2},
                    {"matrix_instr_nonkdim": 32}, {"num_stages": 4}, {"num_warps": 16}]),
    ("gfx950", 64, [{"waves_per_eu": 2}, {"matrix_instr_nonkdim": 16}]),
    (90, 32, [{"num_stages": 4}, {"num_warps": 16}]),
):
    target = GPUTarget("cuda" if arch == 90 else "hip", arch, lanes)
    for options in choices:
        triton.compile(ASTSource(dot, pointers, {(3,): 64}), target=target, options=options)
    signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "n": "i32", "BLOCK": "constexpr",
                 "AMD": "constexpr"}
    source = ASTSource(copy, signature, {(3,): 1024, (4,): arch != 90})
    triton.compile(source, target=target)
print("all compiled")
"""

KERNELS = """
import triton
import triton.language as tl

@triton.jit
def dot(a_ptr, b_ptr, c_ptr, SIZE: tl.constexpr):
    r = tl.arange(0, SIZE)
    tile = r[:, None] * SIZE + r[None, :]
    acc = tl.zeros((SIZE, SIZE), tl.float32)
    for k in range(0, 4):
        acc = tl.dot(tl.load(a_ptr + tile + k), tl.load(b_ptr + tile + k), acc)
    tl.store(c_ptr + tile, acc)

@triton.jit
def copy(x_ptr, y_ptr, n, BLOCK: tl.constexpr, AMD: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if AMD:
        x = tl.load(x_ptr + offs, mask=offs < n, cache_modifier=".cs")
    else:
        x = tl.load(x_ptr + offs, mask=offs < n, eviction_policy="evict_first")
    tl.store(y_ptr + offs, x, mask=offs < n)
"""


def test_every_option_and_hint_that_is_offered_compiles(tmp_path: Path) -> None:
    (tmp_path / "whet_dot.py").write_text(KERNELS, "utf-8")
    cache = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    done = warm.run(COMPILE, interpret=False, cwd=tmp_path, environ=cache)
    assert done.stdout.strip() == "all compiled", done.stderr[-3000:]
