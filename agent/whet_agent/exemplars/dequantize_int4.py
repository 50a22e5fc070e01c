"""Packed int4 weights to half precision: each byte is read once for its two values, a scale
once for its whole group, and both halves leave in one contiguous store."""

import torch
import triton
import triton.language as tl


@triton.jit
def dequantize_kernel(
    packed_ptr, scale_ptr, out_ptr, n_groups,
    HALF: tl.constexpr, GROUPS: tl.constexpr,
):
    groups = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    mask = groups < n_groups
    scale = tl.load(scale_ptr + groups, mask=mask, other=0.0).to(tl.float32)[:, None]
    offsets = groups[:, None] * HALF + tl.arange(0, HALF)[None, :]
    packed = tl.load(packed_ptr + offsets, mask=mask[:, None], other=0).to(tl.int32)
    low = ((packed & 15) - 8).to(tl.float32) * scale
    high = ((packed >> 4 & 15) - 8).to(tl.float32) * scale
    out = tl.interleave(low, high)
    wide = groups[:, None] * (2 * HALF) + tl.arange(0, 2 * HALF)[None, :]
    tl.store(out_ptr + wide, out.to(out_ptr.dtype.element_ty), mask=mask[:, None])


def dequantize(
    packed: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype = torch.float16
) -> torch.Tensor:
    """uint8 `packed` (rows, cols / 2), low half first; `scale` (rows, groups); both contiguous."""
    n_rows, n_bytes = packed.shape
    half = n_bytes // scale.shape[1]
    assert half == triton.next_power_of_2(half), "a group must be a power of two"
    out = torch.empty((n_rows, 2 * n_bytes), device=packed.device, dtype=dtype)
    GROUPS = max(1, 1024 // half)
    dequantize_kernel[(triton.cdiv(scale.numel(), GROUPS),)](
        packed, scale, out, scale.numel(), HALF=half, GROUPS=GROUPS, num_warps=4
    )
    return out
