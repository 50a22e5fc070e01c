"""Largest element of each row, and where it is."""

import torch
import triton
import triton.language as tl


@triton.jit
def argmax_kernel(x_ptr, value_ptr, index_ptr, stride_row, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    best = float("-inf")
    best_index = 0
    for start in range(0, n_cols, BLOCK):
        cols = start + offsets
        x = tl.load(x_ptr + row * stride_row + cols, mask=cols < n_cols, other=float("-inf"))
        x = x.to(tl.float32)
        block_best = tl.max(x, axis=0)
        block_index = start + tl.argmax(x, axis=0)
        best_index = tl.where(block_best > best, block_index, best_index)
        best = tl.maximum(best, block_best)
    tl.store(value_ptr + row, best.to(value_ptr.dtype.element_ty))
    tl.store(index_ptr + row, best_index.to(tl.int64))


def argmax(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values in x's dtype and int64 indices, each (rows,). The first of equals wins."""
    assert x.ndim == 2 and x.stride(1) == 1
    n_rows, n_cols = x.shape
    values = torch.empty(n_rows, device=x.device, dtype=x.dtype)
    indices = torch.empty(n_rows, device=x.device, dtype=torch.int64)
    argmax_kernel[(n_rows,)](x, values, indices, x.stride(0), n_cols, BLOCK=128)
    return values, indices
