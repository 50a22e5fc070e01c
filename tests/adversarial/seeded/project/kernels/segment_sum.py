"""Rows summed by segment, in any order of segments."""

import torch
import triton
import triton.language as tl


@triton.jit
def segment_sum_kernel(
    x_ptr, segment_ptr, out_ptr, stride_x, stride_out, n_cols, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = cols < n_cols
    segment = tl.load(segment_ptr + row)
    x = tl.load(x_ptr + row * stride_x + cols, mask=mask, other=0.0).to(tl.float32)
    tl.atomic_add(out_ptr + segment * stride_out + cols, x, mask=mask)


def segment_sum(x: torch.Tensor, segments: torch.Tensor, n_segments: int) -> torch.Tensor:
    """float32 sums (n_segments, cols) of the rows of `x`; `segments` (rows,) names each row's."""
    n_rows, n_cols = x.shape
    assert x.stride(1) == 1 and segments.shape == (n_rows,)
    out = torch.zeros((n_segments, n_cols), device=x.device, dtype=torch.float32)
    BLOCK = 128
    segment_sum_kernel[(n_rows, triton.cdiv(n_cols, BLOCK))](
        x, segments, out, x.stride(0), out.stride(0), n_cols, BLOCK=BLOCK
    )
    return out
