"""The kernels that `aa.py` times, from 2 us to 1 ms on an H200, and which of them when.

Each carries a loop of additions of zero whose length is an argument, so that the slower version
runs the same instructions, only longer.
"""

from __future__ import annotations

from dataclasses import dataclass

KERNELS = '''
import torch
import triton
import triton.language as tl

EXTRA = 0


@triton.jit
def spun(values, zero, extra):
    """Sixteenths of an addition: some programs of sixteen do one more than the others."""
    more = (tl.program_id(0) % 16 < extra % 16).to(tl.int32)
    for _ in range(extra // 16 + more):
        values = values + zero
    return values


@triton.jit(do_not_specialize=["extra", "zero"])
def softmax_kernel(x, out, n, zero, extra, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=-float("inf"))
    values = tl.exp(values - tl.max(values, axis=0))
    values = spun(values / tl.sum(values, axis=0), zero, extra)
    tl.store(out + row * n + at, values, mask=at < n)


def softmax(x):
    out = torch.empty_like(x)
    n = x.shape[1]
    block = triton.next_power_of_2(n)
    softmax_kernel[(x.shape[0],)](x, out, n, 0.0, EXTRA, BLOCK=block, num_warps=4)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def norm_kernel(x, w, out, n, zero, extra, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=0.0).to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(values * values, axis=0) / n + 1e-5)
    values = values * scale * tl.load(w + at, mask=at < n, other=0.0).to(tl.float32)
    tl.store(out + row * n + at, spun(values, zero, extra).to(out.dtype.element_ty), mask=at < n)


def rms_norm(x, w):
    out = torch.empty_like(x)
    n = x.shape[1]
    block = triton.next_power_of_2(n)
    norm_kernel[(x.shape[0],)](x, w, out, n, 0.0, EXTRA, BLOCK=block, num_warps=8)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def add_kernel(x, y, out, n, zero, extra, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n)
    tl.store(out + at, spun(values, zero, extra), mask=at < n)


def add(x, y):
    out = torch.empty_like(x)
    n = x.numel()
    add_kernel[(triton.cdiv(n, 1024),)](x, y, out, n, 0.0, EXTRA, BLOCK=1024, num_warps=4)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def matmul_kernel(a, b, c, m, n, k, zero, extra,
                  M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    tiles = tl.cdiv(n, N)
    row = tl.program_id(0) // tiles * M + tl.arange(0, M)
    col = tl.program_id(0) % tiles * N + tl.arange(0, N)
    at = tl.arange(0, K)
    left = a + row[:, None] * k + at[None, :]
    right = b + at[:, None] * n + col[None, :]
    total = tl.zeros((M, N), dtype=tl.float32)
    for _ in range(0, k, K):
        total = tl.dot(tl.load(left), tl.load(right), total)
        left += K
        right += K * n
    total = spun(total, zero, extra)
    tl.store(c + row[:, None] * n + col[None, :], total.to(c.dtype.element_ty))


def matmul(a, b):
    (m, k), n = a.shape, b.shape[1]
    c = torch.empty(m, n, dtype=a.dtype, device=a.device)
    grid = (m // 128 * (n // 128),)
    matmul_kernel[grid](a, b, c, m, n, k, 0.0, EXTRA, M=128, N=128, K=64,
                        num_warps=8, num_stages=3)
    return c
'''


@dataclass(frozen=True)
class Kernel:
    """`shapes` are those of the launcher's arguments."""

    name: str
    launcher: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"


TIMED = (
    Kernel("softmax 64x781", "softmax", ((64, 781),)),
    Kernel("softmax 2048x1024", "softmax", ((2048, 1024),)),
    Kernel("rms_norm 8192x2048 bf16", "rms_norm", ((8192, 2048), (2048,)), "bfloat16"),
    Kernel("add 16M", "add", ((1 << 24,), (1 << 24,))),
    Kernel("matmul 8192x8192x4096 bf16", "matmul", ((8192, 4096), (4096, 8192)), "bfloat16"),
)


def agenda(n_same: int, n_other: int) -> list[tuple[Kernel, str]]:
    """All kernels in turn, so that running out of time leaves them equally often measured."""
    turns = []
    for i in range(max(n_same, n_other)):
        for kernel in TIMED:
            if i < n_same:
                turns.append((kernel, "A/A"))
            if i < n_other:
                turns.append((kernel, "faster" if i % 2 else "slower"))
    return turns
