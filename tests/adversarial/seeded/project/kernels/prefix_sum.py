"""Running sums along the rows of a matrix."""

import torch
import triton
import triton.language as tl


@triton.jit
def prefix_sum_kernel(x_ptr, out_ptr, stride_x, stride_out, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    carry = 0.0
    for start in range(0, n_cols, BLOCK):
        cols = start + offsets
        mask = cols < n_cols
        x = tl.load(x_ptr + row * stride_x + cols, mask=mask, other=0.0).to(tl.float32)
        sums = tl.cumsum(x, axis=0) + carry
        tl.store(out_ptr + row * stride_out + cols, sums.to(out_ptr.dtype.element_ty), mask=mask)
        carry += tl.sum(x, axis=0)


def prefix_sum(x: torch.Tensor) -> torch.Tensor:
    """Inclusive sums along the last dimension of `x`, shape (rows, cols), in its dtype."""
    assert x.ndim == 2 and x.stride(1) == 1
    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)
    prefix_sum_kernel[(x.shape[0],)](
        x, out, x.stride(0), out.stride(0), x.shape[1], BLOCK=64, num_warps=2
    )
    return out
