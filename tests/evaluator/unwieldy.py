"""In a process with `TRITON_INTERPRET=1`: what dry launches of the launchers below come to."""
# ruff: noqa: T201 - what it prints is its answer

import json
import math
import resource

import torch
import triton
import triton.language as tl

from whet_evaluator.worker.differential import encoded, huge, inputs
from whet_evaluator.worker.differential.bounds import Bounds
from whet_evaluator.worker.differential.dry import Dry


@triton.jit
def copy_rows(x, out, n_cols, axis: tl.constexpr, wide: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(axis)
    if wide:
        row = row.to(tl.int64)
    at = row * n_cols + tl.arange(0, block)
    mask = tl.arange(0, block) < n_cols
    tl.store(out + at, tl.load(x + at, mask=mask), mask=mask)


@triton.jit
def copy_flat(x, out, n, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    tl.store(out + at, tl.load(x + at, mask=at < n), mask=at < n)


def _rows(x, grid, axis, wide):
    out = torch.empty_like(x)
    copy_rows[grid](x, out, x.shape[1], axis, wide, triton.next_power_of_2(x.shape[1]))
    return out


def offsets_of_64_bits(x):
    return _rows(x, (x.shape[0],), 0, True)


def offsets_of_32_bits(x):
    return _rows(x, (x.shape[0],), 0, False)


def rows_on_the_second_axis(x):
    return _rows(x, (1, x.shape[0]), 1, True)


def walks_its_input(x):
    for row in range(x.shape[0]):
        x[row, 0].item()
    return x


def refuses(x):
    raise TypeError("rows only")


def flat(x):
    out = torch.empty_like(x)
    copy_flat[(triton.cdiv(x.numel(), 64),)](x, out, x.numel(), 64)
    return out


def one_block(x):
    out = torch.empty_like(x)
    copy_flat[(1,)](x, out, x.numel(), triton.next_power_of_2(x.numel()))
    return out


LAUNCHERS = (
    offsets_of_64_bits, offsets_of_32_bits, rows_on_the_second_axis, walks_its_input, refuses,
    flat, one_block,
)  # fmt: skip


def call(launcher, shape):
    strides = encoded.contiguous(shape)
    described = {
        "shape": shape, "strides": strides, "offset": 0, "storage": 0, "dtype": "float32",
        "requires_grad": False, "storage_bytes": 4 * math.prod(shape),
    }  # fmt: skip
    name = launcher.__name__
    return {"launcher": name, "args": [{"tensor": described}], "kwargs": {}, "names": ["x"]}


def main() -> None:
    from triton.runtime import interpreter

    dry, bounds = Dry(), Bounds()
    dry.install(interpreter)
    bounds.install(interpreter)
    said = {}
    for launcher in LAUNCHERS:
        shape = [300] if launcher in {flat, one_block} else [5, 40]
        (case,) = huge.cases([call(launcher, shape)], [64], seed=1)
        made = inputs.build(case, "cpu", filled=False)
        bounds.begin(made.extents())
        raised = dry.call(lambda launcher=launcher: launcher, made)
        said[launcher.__name__] = [case["elements"], raised, bounds.end()]
    ordinary = torch.randn(100, 3)
    assert torch.equal(offsets_of_32_bits(ordinary), ordinary), "afterwards all programs run"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"said": said, "peak": peak}))


if __name__ == "__main__":
    main()
