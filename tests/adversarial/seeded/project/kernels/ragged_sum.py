"""Row sums of a padded batch."""

import torch
import triton
import triton.language as tl


@triton.jit
def ragged_sum_kernel(x_ptr, length_ptr, out_ptr, stride_row, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    length = tl.load(length_ptr + row)
    x_row = x_ptr + row * stride_row
    offsets = tl.arange(0, BLOCK)

    # Whole blocks need no mask; only the tail does.
    acc = tl.zeros((BLOCK,), tl.float32)
    n_whole = length // BLOCK * BLOCK
    for start in range(0, n_whole, BLOCK):
        acc += tl.load(x_row + start + offsets).to(tl.float32)
    tail = n_whole + offsets
    acc += tl.load(x_row + tail, mask=tail < length, other=0.0).to(tl.float32)
    tl.store(out_ptr + row, tl.sum(acc, axis=0))


def ragged_sum(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Sum of the first `lengths[i]` elements of row i of `x`, shape (rows, cols)."""
    assert x.ndim == 2 and x.stride(1) == 1
    out = torch.empty(x.shape[0], device=x.device, dtype=torch.float32)
    ragged_sum_kernel[(x.shape[0],)](x, lengths, out, x.stride(0), BLOCK=128)
    return out
