import torch
import triton
import triton.language as tl


@triton.jit
def shares_kernel(x_ptr, out_ptr, stride, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    mask = columns < n_cols
    x = tl.load(x_ptr + row * stride + columns, mask=mask, other=-float("inf"))
    x = tl.exp(x)
    tl.store(out_ptr + row * n_cols + columns, x / tl.sum(x, axis=0), mask=mask)


def shares(x):
    """A softmax that overflows where a row holds large numbers."""
    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)
    block = triton.next_power_of_2(x.shape[1])
    shares_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block)
    return out
