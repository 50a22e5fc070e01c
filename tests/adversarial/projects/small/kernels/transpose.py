import torch
import triton
import triton.language as tl


@triton.jit
def transpose_kernel(x_ptr, out_ptr, n_rows, n_cols, BLOCK: tl.constexpr):
    rows = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))[:, None].to(tl.int64)
    columns = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :].to(tl.int64)
    mask = (rows < n_rows) & (columns < n_cols)
    x = tl.load(x_ptr + rows * n_cols + columns, mask=mask)
    tl.store(out_ptr + columns * n_rows + rows, x, mask=mask)


def transpose(x):
    n_rows, n_cols = x.shape
    out = torch.empty((n_cols, n_rows), device=x.device, dtype=x.dtype)
    grid = (triton.cdiv(n_rows, 16), triton.cdiv(n_cols, 16))
    transpose_kernel[grid](x, out, n_rows, n_cols, BLOCK=16)
    return out
