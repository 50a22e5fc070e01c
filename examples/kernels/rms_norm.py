"""Residual addition fused with RMS normalisation, as at the head of a transformer block."""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def add_rms_norm_kernel(
    x_ptr,
    residual_ptr,
    weight_ptr,
    out_ptr,
    n_cols,
    eps,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x_ptr += row * n_cols
    residual_ptr += row * n_cols
    out_ptr += row * n_cols

    squares = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        mask = cols < n_cols
        x = tl.load(x_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        residual = tl.load(residual_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        added = x + residual
        squares += added * added
    rrms = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)

    for start in range(0, n_cols, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        mask = cols < n_cols
        x = tl.load(x_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        residual = tl.load(residual_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        added = x + residual
        tl.store(residual_ptr + cols, added.to(residual_ptr.dtype.element_ty), mask=mask)
        out = added * rrms * weight
        tl.store(out_ptr + cols, out.to(out_ptr.dtype.element_ty), mask=mask)


class FusedAddRMSNorm(nn.Module):
    """`residual += x`, in place, then RMS normalisation of the sum."""

    def __init__(self, hidden_size: int, eps: float = 1e-6, dtype: torch.dtype = torch.float16):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size, dtype=dtype))
        self.eps = eps

    @torch.no_grad()
    def forward(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        assert x.is_contiguous() and residual.is_contiguous()
        assert x.shape == residual.shape
        hidden_size = x.shape[-1]
        out = torch.empty_like(x)
        add_rms_norm_kernel[(x.numel() // hidden_size,)](
            x, residual, self.weight, out, hidden_size, self.eps, BLOCK=512
        )
        return out
