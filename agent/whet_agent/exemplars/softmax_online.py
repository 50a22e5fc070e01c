"""Row softmax. Short rows are read once and kept in registers; long rows take one online pass
for maximum and sum together, then one pass to write: two reads instead of three."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(
    x_ptr, y_ptr, x_stride, y_stride, n_cols, BLOCK: tl.constexpr, FITS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    x_row = x_ptr + row * x_stride
    y_row = y_ptr + row * y_stride
    lanes = tl.arange(0, BLOCK)
    if FITS:
        mask = lanes < n_cols
        x = tl.load(x_row + lanes, mask=mask, other=float("-inf")).to(tl.float32)
        exponentials = tl.exp(x - tl.max(x, axis=0))
        y = exponentials / tl.sum(exponentials, axis=0)
        tl.store(y_row + lanes, y.to(y_ptr.dtype.element_ty), mask=mask)
    else:
        # Every lane keeps its own maximum and sum; lanes meet once, after the loop.
        top = tl.full((BLOCK,), float("-inf"), tl.float32)
        total = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, n_cols, BLOCK):
            cols = start + lanes
            x = tl.load(x_row + cols, mask=cols < n_cols, other=float("-inf")).to(tl.float32)
            new_top = tl.maximum(top, x)
            # While a lane has seen only -inf, -inf minus -inf would be NaN: subtract 0 instead.
            shift = tl.where(new_top == float("-inf"), 0.0, new_top)
            total = total * tl.exp(top - shift) + tl.exp(x - shift)
            top = new_top
        row_max = tl.max(top, axis=0)
        denominator = tl.sum(total * tl.exp(top - row_max), axis=0)
        for start in range(0, n_cols, BLOCK):
            cols = start + lanes
            mask = cols < n_cols
            x = tl.load(x_row + cols, mask=mask, other=float("-inf")).to(tl.float32)
            y = tl.exp(x - row_max) / denominator
            tl.store(y_row + cols, y.to(y_ptr.dtype.element_ty), mask=mask)


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Softmax of each row of `x`, shape (rows, cols), columns contiguous."""
    n_rows, n_cols = x.shape
    y = torch.empty((n_rows, n_cols), dtype=x.dtype, device=x.device)
    BLOCK = min(8192, triton.next_power_of_2(n_cols))
    softmax_kernel[(n_rows,)](
        x, y, x.stride(0), y.stride(0), n_cols, BLOCK=BLOCK, FITS=n_cols <= BLOCK,
        num_warps=4 if BLOCK <= 2048 else 8,
    )
    return y
