"""Sum of rows by segment (offsets as in CSR): one program for each segment and block of
columns, partial sums in registers, no atomics, so the result is the same every time."""

import torch
import triton
import triton.language as tl


@triton.jit
def segment_sum_kernel(
    x_ptr, starts_ptr, out_ptr, n_cols, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    segment = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = cols < n_cols
    begin = tl.load(starts_ptr + segment)
    end = tl.load(starts_ptr + segment + 1)
    # Several rows at a time keep several loads in flight; they are added up once, at the end.
    acc = tl.zeros((ROWS, BLOCK), tl.float32)
    for first in range(begin, end, ROWS):
        rows = first + tl.arange(0, ROWS)
        x = tl.load(
            x_ptr + rows[:, None].to(tl.int64) * n_cols + cols[None, :],
            mask=(rows[:, None] < end) & mask[None, :], other=0.0,
        )
        acc += x.to(tl.float32)
    total = tl.sum(acc, axis=0)
    tl.store(out_ptr + segment * n_cols + cols, total.to(out_ptr.dtype.element_ty), mask=mask)


def segment_sum(x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """`x` is contiguous (rows, cols), `starts` (segments + 1,) row numbers in order."""
    n_segments, n_cols = starts.numel() - 1, x.shape[1]
    out = torch.empty((n_segments, n_cols), device=x.device, dtype=x.dtype)
    BLOCK = min(256, triton.next_power_of_2(n_cols))
    segment_sum_kernel[(n_segments, triton.cdiv(n_cols, BLOCK))](
        x, starts, out, n_cols, ROWS=8, BLOCK=BLOCK, num_warps=4
    )
    return out
