import torch
import triton
import triton.language as tl


@triton.jit
def accumulate_kernel(total_ptr, x_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    total = tl.load(total_ptr + offsets, mask=mask)
    x = tl.load(x_ptr + offsets, mask=mask).to(tl.float32)
    tl.store(total_ptr + offsets, total + x, mask=mask)


def gather_sum(tensors, dtype=torch.float32):
    assert tensors, "nothing to add"
    if any(x.shape != tensors[0].shape for x in tensors):
        raise ValueError("tensors of one shape are wanted")
    total = torch.zeros_like(tensors[0], dtype=torch.float32)
    n = total.numel()
    for x in tensors:
        accumulate_kernel[(triton.cdiv(n, 64),)](total, x.contiguous(), n, BLOCK=64)
    return total.to(dtype)
