"""`y += alpha * x`, in place."""

import torch
import triton
import triton.language as tl


@triton.jit
def axpy_kernel(
    x_ptr, y_ptr, alpha, n_cols, stride_xm, stride_xn, stride_ym, stride_yn, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = cols < n_cols
    y_ptrs = y_ptr + row * stride_ym + cols * stride_yn
    x = tl.load(x_ptr + row * stride_xm + cols * stride_xn, mask=mask, other=0.0).to(tl.float32)
    y = tl.load(y_ptrs, mask=mask, other=0.0).to(tl.float32)
    tl.store(y_ptrs, (y + alpha * x).to(y_ptr.dtype.element_ty), mask=mask)


def axpy_(y: torch.Tensor, x: torch.Tensor, alpha: float) -> torch.Tensor:
    """Adds `alpha * x` to `y`, both (rows, cols) of any strides; they may be one tensor."""
    assert x.shape == y.shape
    n_rows, n_cols = x.shape
    axpy_kernel[(n_rows, triton.cdiv(n_cols, 128))](
        x, y, alpha, n_cols, x.stride(0), x.stride(1), y.stride(0), y.stride(1), BLOCK=128
    )
    return y
