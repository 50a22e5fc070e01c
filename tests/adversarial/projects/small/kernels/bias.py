import torch
import triton
import triton.language as tl


@triton.jit
def bias_kernel(
    x_ptr, bias_ptr, out_ptr, n, n_cols, slope,
    HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr,
):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias_ptr + offsets % n_cols, mask=mask).to(tl.float32)
    if ACTIVATION == "relu":
        x = tl.maximum(x, 0.0)
    elif ACTIVATION == "leaky_relu":
        x = tl.where(x > 0, x, slope * x)
    tl.store(out_ptr + offsets, x, mask=mask)


def bias_act(x, bias=None, activation="relu", slope=0.01):
    out = torch.empty_like(x)
    n, n_cols = x.numel(), x.shape[-1]
    bias_kernel[(triton.cdiv(n, 128),)](
        x, bias, out, n, n_cols, slope,
        HAS_BIAS=bias is not None, ACTIVATION=activation, BLOCK=128,
    )
    return out
