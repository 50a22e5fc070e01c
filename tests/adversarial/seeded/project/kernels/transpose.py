"""Transpose a matrix and multiply each of its columns by a factor."""

import torch
import triton
import triton.language as tl


@triton.jit
def transpose_kernel(
    x_ptr,
    scale_ptr,
    out_ptr,
    M,
    N,
    stride_xm,
    stride_xn,
    stride_on,
    stride_om,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask = (rows[:, None] < M) & (cols[None, :] < N)
    scale = tl.load(scale_ptr + cols, mask=cols < N, other=0.0)
    x = tl.load(x_ptr + rows[:, None] * stride_xm + cols[None, :] * stride_xn, mask=mask)
    y = x * scale[None, :]
    tl.store(out_ptr + cols[None, :] * stride_on + rows[:, None] * stride_om, y, mask=mask)


def transpose(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """`(x * scale).T` for `x` (M, N) of any strides and `scale` (N,)."""
    M, N = x.shape
    out = torch.empty((N, M), device=x.device, dtype=x.dtype)
    grid = (triton.cdiv(M, 32), triton.cdiv(N, 32))
    transpose_kernel[grid](
        x,
        scale,
        out,
        M,
        N,
        x.stride(0),
        x.stride(1),
        out.stride(0),
        out.stride(1),
        BLOCK_M=32,
        BLOCK_N=32,
    )
    return out
