import torch
import triton
import triton.language as tl


@triton.jit
def weight_grad_kernel(x_ptr, grad_ptr, out_ptr, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    mask = columns < n_cols
    x = tl.load(x_ptr + row * n_cols + columns, mask=mask, other=0.0)
    grad = tl.load(grad_ptr + row * n_cols + columns, mask=mask, other=0.0)
    tl.atomic_add(out_ptr + columns, x * grad, mask=mask)


def weight_grad(x, grad):
    """The gradient of the weight of y = x * weight."""
    x, grad = x.contiguous(), grad.contiguous()
    n_rows, n_cols = x.shape
    out = torch.zeros(n_cols, device=x.device)
    weight_grad_kernel[(n_rows,)](x, grad, out, n_cols, BLOCK=triton.next_power_of_2(n_cols))
    return out
