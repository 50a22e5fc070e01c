"""In a process with `TRITON_INTERPRET=1`: what `Bounds` says of each kernel below, as JSON."""
# ruff: noqa: T201 - what it prints is its answer

import json

import torch
import triton
import triton.language as tl

from whet_evaluator.worker.differential.bounds import Bounds

N = 64
FAR = 1 << 24
"""Elements: no allocation of this process lies so near another that this is harmless."""


@triton.jit
def within(x, out, far: tl.constexpr, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + at))


@triton.jit
def masked_far_away(x, out, far: tl.constexpr, n: tl.constexpr):
    at = tl.arange(0, n)
    near = at < n // 2
    tl.store(out + at, tl.load(x + tl.where(near, at, at + far), mask=near, other=5.0))


@triton.jit
def read_far_away(x, out, far: tl.constexpr, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + at + tl.where(at < 2, far, 0)))


@triton.jit
def written_far_away(x, out, far: tl.constexpr, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at + tl.where(at == 0, far, 0), tl.load(x + at))


@triton.jit
def updated_far_away(x, out, far: tl.constexpr, n: tl.constexpr):
    tl.atomic_add(out + far + tl.arange(0, n), tl.load(x + tl.arange(0, n)))


@triton.jit
def half_of_an_element(x, out, far: tl.constexpr, n: tl.constexpr):
    last = (out + n - 1).to(tl.pointer_type(tl.int64))
    tl.store(last, tl.load(x).to(tl.int64))


KERNELS = (
    within, masked_far_away, read_far_away, written_far_away, updated_far_away, half_of_an_element,
)  # fmt: skip


def main() -> None:
    from triton.runtime import interpreter

    bounds = Bounds()
    bounds.install(interpreter)
    said = {}
    for kernel in KERNELS:
        x, out = torch.ones(N), torch.zeros(N + 1)[:N].clone()
        bounds.begin()
        kernel[(1,)](x, out, FAR, N)
        said[kernel.fn.__name__] = [bounds.end(), out[:4].tolist()]
    print(json.dumps(said))


if __name__ == "__main__":
    main()
