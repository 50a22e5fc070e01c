import torch
import triton
import triton.language as tl


@triton.jit
def blend_kernel(old_ptr, x_ptr, out_ptr, n, decay, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    old = tl.load(old_ptr + offsets, mask=mask)
    x = tl.load(x_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, old + (x - old) * decay, mask=mask)


class MovingAverage:
    def __init__(self, start, decay=0.25):
        self.value = start
        self.decay = decay
        self.n_steps = 0

    def step(self, x, history):
        out = torch.empty_like(x)
        n = x.numel()
        blend_kernel[(triton.cdiv(n, 64),)](self.value, x, out, n, self.decay, BLOCK=64)
        self.value = out
        self.n_steps += 1
        history.append(out)
        return out
