"""Mean and reciprocal standard deviation of each row."""

import torch
import triton
import triton.language as tl


@triton.jit
def row_stats_kernel(x_ptr, mean_ptr, rstd_ptr, stride_row, n_cols, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    mask = cols < n_cols
    x = tl.load(x_ptr + row * stride_row + cols, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(x, axis=0) / n_cols
    centred = tl.where(mask, x - mean, 0.0)
    variance = tl.sum(centred * centred, axis=0) / n_cols
    tl.store(mean_ptr + row, mean)
    tl.store(rstd_ptr + row, 1.0 / tl.sqrt(variance + eps))


def row_stats(x: torch.Tensor, eps: float = 1e-5) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 (mean, rstd), each (rows,), of `x` (rows, cols); the variance is the biased one."""
    assert x.ndim == 2 and x.stride(1) == 1
    n_rows, n_cols = x.shape
    mean = torch.empty(n_rows, device=x.device, dtype=torch.float32)
    rstd = torch.empty(n_rows, device=x.device, dtype=torch.float32)
    row_stats_kernel[(n_rows,)](
        x, mean, rstd, x.stride(0), n_cols, eps, BLOCK=triton.next_power_of_2(n_cols)
    )
    return mean, rstd
