"""How often each value occurs."""

import torch
import triton
import triton.language as tl


@triton.jit
def histogram_kernel(x_ptr, counts_ptr, n_elements, n_bins, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n_elements, other=-1)
    inside = (x >= 0) & (x < n_bins)
    tl.atomic_add(counts_ptr + x, 1, mask=inside)


def histogram(x: torch.Tensor, n_bins: int) -> torch.Tensor:
    """int32 counts of 0 .. n_bins - 1 among the int32 elements of `x`; others do not count."""
    assert x.dtype == torch.int32
    x = x.contiguous()
    counts = torch.zeros(n_bins, device=x.device, dtype=torch.int32)
    n_elements = x.numel()
    histogram_kernel[(triton.cdiv(n_elements, 128),)](x, counts, n_elements, n_bins, BLOCK=128)
    return counts
