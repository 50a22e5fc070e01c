import torch
import triton
import triton.language as tl


@triton.jit
def flip_kernel(x_ptr, out_ptr, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < n_cols
    x = tl.load(x_ptr + row * n_cols + n_cols - 1 - columns, mask=mask)
    tl.store(out_ptr + row * n_cols + columns, x, mask=mask)


def flip(x):
    x = x.contiguous()
    out = torch.empty_like(x)
    n_rows, n_cols = x.shape
    flip_kernel[(n_rows, triton.cdiv(n_cols, 128))](x, out, n_cols, BLOCK=128)
    return out


def flip_and_copy(x):
    """What was flipped, and a copy of it that the caller adds to in place."""
    out = flip(x)
    return out, out.clone()
