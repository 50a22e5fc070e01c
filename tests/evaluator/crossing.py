"""In a process with `TRITON_INTERPRET=1`: what `Threads` says of each kernel below, as JSON."""
# ruff: noqa: T201 - what it prints is its answer

import json

import torch
import triton
import triton.language as tl

from whet_evaluator.worker.differential.threads import Threads

N = 64


@triton.jit
def in_place(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(x + at, tl.load(x + at) * 2)
    tl.store(x + at, tl.load(x + at) + 1)


@triton.jit
def turned_behind_a_barrier(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + at))
    tl.debug_barrier()
    tl.store(x + at, tl.load(out + n - 1 - at))


@triton.jit
def a_sum_kept_and_read(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out, tl.sum(tl.load(x + at), axis=0))
    tl.store(x + at, tl.load(x + at) / tl.load(out))


@triton.jit
def one_value_from_all(x, out, n: tl.constexpr):
    tl.store(out + tl.arange(0, n) * 0, tl.full((n,), 3.0, tl.float32))


@triton.jit
def masked_off(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    last = tl.minimum(at, n // 2)
    tl.store(x + last, tl.load(x + at), mask=at <= n // 2)


@triton.jit
def halves_exchanged(x, out, n: tl.constexpr):
    at = tl.arange(0, n // 2)
    low, high = tl.load(x + at), tl.load(x + n // 2 + at)
    tl.store(x + at, high)
    tl.store(x + n // 2 + at, low)


@triton.jit
def turned(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + at))
    tl.store(x + at, tl.load(out + n - 1 - at))


@triton.jit
def in_another_shape(x, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(x + at))
    i, j = tl.arange(0, 8)[:, None], tl.arange(0, n // 8)[None, :]
    tl.store(x + i * (n // 8) + j, tl.load(out + i * (n // 8) + j))


@triton.jit
def many_values_to_one(x, out, n: tl.constexpr):
    tl.store(out + tl.arange(0, n) // 2, tl.load(x + tl.arange(0, n)))


@triton.jit
def clamped_in_place(x, out, n: tl.constexpr):
    at = tl.minimum(tl.arange(0, n), n - 5)
    tl.store(x + at, tl.load(x + at) * 2)


KERNELS = (
    in_place, turned_behind_a_barrier, a_sum_kept_and_read, one_value_from_all, masked_off,
    halves_exchanged, turned, in_another_shape, many_values_to_one, clamped_in_place,
)  # fmt: skip


def main() -> None:
    from triton.runtime.interpreter import InterpreterBuilder

    name = ["kernel"]
    threads = Threads(lambda: name[0])
    threads.install(InterpreterBuilder)
    said = {}
    for kernel in KERNELS:
        name[0] = kernel.fn.__name__
        threads.begin()
        kernel[(1,)](torch.randn(N), torch.zeros(N), N)
        said[name[0]] = threads.end()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
