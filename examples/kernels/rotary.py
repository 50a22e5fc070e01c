"""Rotary position embedding, applied in place. `kernels.attention` launches it."""

import triton
import triton.language as tl


@triton.jit
def rotary_kernel(
    x_ptr,
    cos_ptr,
    sin_ptr,
    seq_len,
    n_heads,
    stride_token,
    stride_head,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program per token. Rotates the pairs (x[i], x[i + HALF]) of every head."""
    token = tl.program_id(0)
    position = token % seq_len
    lanes = tl.arange(0, BLOCK)
    mask = lanes < HALF
    x_token = x_ptr + token.to(tl.int64) * stride_token

    for head in range(n_heads):
        cos = tl.load(cos_ptr + position * HALF + lanes, mask=mask, other=0.0)
        sin = tl.load(sin_ptr + position * HALF + lanes, mask=mask, other=0.0)
        low_ptrs = x_token + head * stride_head + lanes
        high_ptrs = low_ptrs + HALF
        low = tl.load(low_ptrs, mask=mask, other=0.0).to(tl.float32)
        high = tl.load(high_ptrs, mask=mask, other=0.0).to(tl.float32)
        rotated_low = low * cos - high * sin
        rotated_high = high * cos + low * sin
        tl.store(low_ptrs, rotated_low.to(x_ptr.dtype.element_ty), mask=mask)
        tl.store(high_ptrs, rotated_high.to(x_ptr.dtype.element_ty), mask=mask)
