"""In a process with `TRITON_INTERPRET=1`: what `Hints` says of each kernel below, as JSON."""
# ruff: noqa: T201 - what it prints is its answer

import json

import torch
import triton
import triton.language as tl

from whet_evaluator.worker.differential.hints import Hints

N = 64


@triton.jit
def as_told(x, out, stride, n: tl.constexpr):
    at = tl.max_contiguous(tl.multiple_of(16 + tl.arange(0, n), 16), n)
    rows = tl.max_constancy(at // 16, 16)
    tl.store(out + at - 16 + rows * 0, tl.load(x + at - 16))


@triton.jit
def aligned_pointers(x, out, stride, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(tl.multiple_of(x + at, 16)))


@triton.jit
def wrapped_at_the_end(x, out, stride, n: tl.constexpr):
    at = (48 + tl.arange(0, n)) % 60
    at = tl.max_contiguous(tl.multiple_of(at, 4), 4)
    tl.store(out + at, tl.load(x + at))


@triton.jit
def clamped_at_the_end(x, out, stride, n: tl.constexpr):
    at = tl.arange(0, n)
    at = tl.max_contiguous(tl.multiple_of(tl.where(at < 50, at, 0), n), n // 2)
    tl.store(out + at, tl.load(x + at))


@triton.jit
def modulo_one(x, out, stride, n: tl.constexpr):
    at = tl.max_contiguous(tl.multiple_of(tl.arange(0, n) % (stride - 6), n), n)
    tl.store(out + at, tl.load(x + at))


@triton.jit
def modulo_less_than_a_group(x, out, stride, n: tl.constexpr):
    at = tl.max_contiguous(tl.multiple_of(tl.arange(0, n) % stride, n), n)
    tl.store(out + at, tl.load(x + at))


@triton.jit
def no_multiple(x, out, stride, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + tl.multiple_of(stride, 16) + at))


@triton.jit
def unaligned_pointers(x, out, stride, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(tl.multiple_of(x + 1 + at, 16)))


@triton.jit
def rows_for_columns(x, out, stride, n: tl.constexpr):
    at = tl.max_contiguous(tl.arange(0, 8)[:, None] * 8 + tl.arange(0, 8)[None, :], (8, 1))
    tl.store(out + at, tl.load(x + at))


@triton.jit
def not_constant(x, out, stride, n: tl.constexpr):
    at = tl.max_constancy(tl.arange(0, n), 4)
    tl.store(out + at, tl.load(x + at))


KERNELS = (
    as_told, aligned_pointers, wrapped_at_the_end, clamped_at_the_end, modulo_one,
    modulo_less_than_a_group, no_multiple, unaligned_pointers, rows_for_columns, not_constant,
)  # fmt: skip


def main() -> None:
    from triton.runtime import interpreter

    hints = Hints()
    hints.install(interpreter.TensorHandle)
    said = {}
    for kernel in KERNELS:
        x, out = torch.ones(2 * N), torch.zeros(2 * N)
        hints.begin()
        kernel[(1,)](x, out, 7, N)
        said[kernel.fn.__name__] = hints.end()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
