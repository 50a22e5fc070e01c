"""Dropout that can be repeated: the seed decides which elements are dropped."""

import torch
import triton
import triton.language as tl


@triton.jit
def dropout_kernel(x_ptr, out_ptr, n_elements, p, seed, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n_elements
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
    keep = tl.rand(seed, offsets) >= p
    out = tl.where(keep, x / (1.0 - p), 0.0)
    tl.store(out_ptr + offsets, out, mask=mask)


def dropout(x: torch.Tensor, p: float, seed: int) -> torch.Tensor:
    """Each element of `x` is dropped with probability `p`, the others are scaled up."""
    assert 0.0 <= p < 1.0
    x = x.contiguous()
    out = torch.empty_like(x)
    n_elements = x.numel()
    dropout_kernel[(triton.cdiv(n_elements, 256),)](x, out, n_elements, p, seed, BLOCK=256)
    return out
