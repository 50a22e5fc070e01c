"""Group-wise int8 weights back to half precision."""

import torch
import triton
import triton.language as tl


@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 1024}, num_warps=4),
        triton.Config({"BLOCK": 2048}, num_warps=8),
        triton.Config({"BLOCK": 512}, num_warps=4),
    ],
    key=["n_elements"],
)
@triton.jit
def dequantize_kernel(
    q_ptr,
    scale_ptr,
    out_ptr,
    n_elements,
    GROUP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n_elements
    q = tl.load(q_ptr + offsets, mask=mask, other=0)
    scale = tl.load(scale_ptr + offsets // GROUP, mask=mask, other=0.0)
    weight = q.to(tl.float32) * scale
    tl.store(out_ptr + offsets, weight.to(out_ptr.dtype.element_ty), mask=mask)


def dequantize(
    q: torch.Tensor, scale: torch.Tensor, group_size: int, dtype: torch.dtype = torch.float16
) -> torch.Tensor:
    """int8 `q` (rows, cols) times float32 `scale` (rows, cols // group_size)."""
    n_rows, n_cols = q.shape
    assert q.dtype == torch.int8 and scale.dtype == torch.float32
    assert group_size == triton.next_power_of_2(group_size), "group size must be a power of two"
    assert n_cols % group_size == 0 and scale.shape == (n_rows, n_cols // group_size)
    assert q.is_contiguous() and scale.is_contiguous()
    out = torch.empty((n_rows, n_cols), device=q.device, dtype=dtype)
    n_elements = q.numel()

    def grid(meta):
        return (triton.cdiv(n_elements, meta["BLOCK"]),)

    dequantize_kernel[grid](q, scale, out, n_elements, GROUP=group_size)
    return out
