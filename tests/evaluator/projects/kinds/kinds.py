"""One small launcher for each kind of kernel that the generated cases must know."""

import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x_ptr, factor, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(x_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) * factor, mask=mask)


def scale_in_place(x, factor):
    scale_kernel[(triton.cdiv(x.numel(), 16),)](x, factor, x.numel(), BLOCK=16)
    return x


@triton.jit
def histogram_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    bins = tl.load(x_ptr + offsets, mask=mask, other=0)
    tl.atomic_add(out_ptr + bins, 1, mask=mask)


def histogram(x, n_bins):
    out = torch.zeros(n_bins, dtype=torch.int32, device=x.device)
    histogram_kernel[(triton.cdiv(x.numel(), 16),)](x, out, x.numel(), BLOCK=16)
    return out


@triton.jit
def total_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0)
    tl.atomic_add(out_ptr, tl.sum(values, axis=0))


def total(x):
    out = torch.zeros(1, dtype=torch.float32, device=x.device)
    total_kernel[(triton.cdiv(x.numel(), 16),)](x, out, x.numel(), BLOCK=16)
    return out


@triton.jit
def dropout_kernel(x_ptr, out_ptr, n, p, seed, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
    kept = tl.rand(seed, offsets) > p
    tl.store(out_ptr + offsets, tl.where(kept, x / (1 - p), 0.0), mask=mask)


def dropout(x, p, seed):
    out = torch.empty_like(x)
    dropout_kernel[(triton.cdiv(x.numel(), 16),)](x, out, x.numel(), p, seed, BLOCK=16)
    return out


@triton.jit
def gather_kernel(x_ptr, index_ptr, out_ptr, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    source = tl.load(index_ptr + row)
    cols = tl.arange(0, BLOCK)
    mask = cols < n_cols
    values = tl.load(x_ptr + source * n_cols + cols, mask=mask)
    tl.store(out_ptr + row * n_cols + cols, values, mask=mask)


def gather_rows(x, index):
    out = torch.empty(index.numel(), x.shape[1], dtype=x.dtype, device=x.device)
    block = triton.next_power_of_2(x.shape[1])
    gather_kernel[(index.numel(),)](x, index, out, x.shape[1], BLOCK=block)
    return out


@triton.jit
def peak_kernel(x_ptr, value_ptr, place_ptr, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n_cols + cols, mask=cols < n_cols, other=float("-inf"))
    tl.store(value_ptr + row, tl.max(x, axis=0))
    tl.store(place_ptr + row, tl.argmax(x, axis=0))


def peaks(x):
    value = torch.empty(x.shape[0], dtype=x.dtype, device=x.device)
    place = torch.empty(x.shape[0], dtype=torch.int32, device=x.device)
    block = triton.next_power_of_2(x.shape[1])
    peak_kernel[(x.shape[0],)](x, value, place, x.shape[1], BLOCK=block)
    return value, place


@triton.jit
def biased_kernel(x_ptr, bias_ptr, out_ptr, n, HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
    if HAS_BIAS:
        x += tl.load(bias_ptr + offsets, mask=mask, other=0.0)
    tl.store(out_ptr + offsets, x, mask=mask)


def biased(x, bias=None):
    out = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), 16),)
    biased_kernel[grid](x, bias, out, x.numel(), HAS_BIAS=bias is not None, BLOCK=16)
    return out


@triton.autotune(
    configs=[triton.Config({"BLOCK": block}) for block in (16, 32, 64)], key=["n"]
)
@triton.jit
def double_kernel(x_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(x_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) * 2, mask=mask)


def double_in_place(x):
    double_kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)](x, x.numel())


@triton.jit
def masked_bits_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, (tl.load(x_ptr + offsets, mask=mask) >> 1) & 7, mask=mask)


def masked_bits(x):
    out = torch.empty(x.numel() + 8, dtype=x.dtype, device=x.device)  # the last 8 are nobody's
    masked_bits_kernel[(triton.cdiv(x.numel(), 16),)](x, out, x.numel(), BLOCK=16)
    return out


@triton.jit
def square_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n)
    tl.store(out_ptr + offsets, x * x, mask=offsets < n)


@triton.jit
def square_backward_kernel(x_ptr, grad_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n)
    grad = tl.load(grad_ptr + offsets, mask=offsets < n)
    tl.store(out_ptr + offsets, 2 * x * grad, mask=offsets < n)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        out = torch.empty_like(x)
        square_kernel[(triton.cdiv(x.numel(), 16),)](x, out, x.numel(), BLOCK=16)
        return out

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        out, grad = torch.empty_like(x), grad.contiguous()
        square_backward_kernel[(triton.cdiv(x.numel(), 16),)](x, grad, out, x.numel(), BLOCK=16)
        return out
