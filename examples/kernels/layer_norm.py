"""Layer normalisation with a backward pass."""

import torch
import triton
import triton.language as tl


@triton.jit
def layer_norm_fwd_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    mean_ptr,
    rstd_ptr,
    stride_row,
    n_cols,
    eps,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x_ptr += row * stride_row
    y_ptr += row * stride_row
    offsets = tl.arange(0, BLOCK)

    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        cols = start + offsets
        total += tl.load(x_ptr + cols, mask=cols < n_cols, other=0.0).to(tl.float32)
    mean = tl.sum(total, axis=0) / n_cols

    squares = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        cols = start + offsets
        x = tl.load(x_ptr + cols, mask=cols < n_cols, other=0.0).to(tl.float32)
        centred = tl.where(cols < n_cols, x - mean, 0.0)
        squares += centred * centred
    rstd = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)

    tl.store(mean_ptr + row, mean)
    tl.store(rstd_ptr + row, rstd)

    for start in range(0, n_cols, BLOCK):
        cols = start + offsets
        mask = cols < n_cols
        x = tl.load(x_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        bias = tl.load(bias_ptr + cols, mask=mask, other=0.0).to(tl.float32)
        y = (x - mean) * rstd * weight + bias
        tl.store(y_ptr + cols, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def layer_norm_bwd_kernel(
    dy_ptr,
    x_ptr,
    weight_ptr,
    mean_ptr,
    rstd_ptr,
    dx_ptr,
    dweight_ptr,
    dbias_ptr,
    stride_row,
    n_rows,
    n_cols,
    BLOCK: tl.constexpr,
):
    # Each program takes every num_programs-th row and keeps its share of dweight
    # and dbias in registers; the host adds the shares up.
    program = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    mask = cols < n_cols
    weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)
    dweight = tl.zeros((BLOCK,), tl.float32)
    dbias = tl.zeros((BLOCK,), tl.float32)

    for row in range(program, n_rows, tl.num_programs(0)):
        offsets = row * stride_row + cols
        dy = tl.load(dy_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
        x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
        mean = tl.load(mean_ptr + row)
        rstd = tl.load(rstd_ptr + row)

        x_hat = tl.where(mask, (x - mean) * rstd, 0.0)
        dx_hat = dy * weight
        projection = tl.sum(x_hat * dx_hat, axis=0) / n_cols
        average = tl.sum(dx_hat, axis=0) / n_cols
        dx = (dx_hat - x_hat * projection - average) * rstd
        tl.store(dx_ptr + offsets, dx.to(dx_ptr.dtype.element_ty), mask=mask)
        dweight += dy * x_hat
        dbias += dy

    tl.store(dweight_ptr + program * n_cols + cols, dweight, mask=mask)
    tl.store(dbias_ptr + program * n_cols + cols, dbias, mask=mask)


class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        rows = x.contiguous().view(-1, x.shape[-1])
        n_rows, n_cols = rows.shape
        y = torch.empty_like(rows)
        mean = torch.empty(n_rows, dtype=torch.float32, device=x.device)
        rstd = torch.empty(n_rows, dtype=torch.float32, device=x.device)
        layer_norm_fwd_kernel[(n_rows,)](
            rows, weight, bias, y, mean, rstd, rows.stride(0), n_cols, eps, BLOCK=512, num_warps=4
        )
        ctx.save_for_backward(rows, weight, mean, rstd)
        return y.view(x.shape)

    @staticmethod
    def backward(ctx, dy):
        rows, weight, mean, rstd = ctx.saved_tensors
        n_rows, n_cols = rows.shape
        shape = dy.shape
        dy = dy.contiguous().view(n_rows, n_cols)
        dx = torch.empty_like(rows)
        n_programs = min(n_rows, 64)
        dweight = torch.empty((n_programs, n_cols), dtype=torch.float32, device=dy.device)
        dbias = torch.empty_like(dweight)
        layer_norm_bwd_kernel[(n_programs,)](
            dy,
            rows,
            weight,
            mean,
            rstd,
            dx,
            dweight,
            dbias,
            rows.stride(0),
            n_rows,
            n_cols,
            BLOCK=triton.next_power_of_2(n_cols),
            num_warps=8,
        )
        dweight = dweight.sum(0).to(weight.dtype)
        dbias = dbias.sum(0).to(weight.dtype)
        return dx.view(shape), dweight, dbias, None


def layer_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5
) -> torch.Tensor:
    """Normalises the last dimension of `x`; `weight` and `bias` have its size."""
    return LayerNormFunction.apply(x, weight, bias, eps)
