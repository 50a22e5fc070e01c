"""Cross entropy in one pass over the logits: maximum and sum of exponentials together,
rescaled when the maximum grows, per lane; lanes are joined once, after the loop."""

import torch
import triton
import triton.language as tl


@triton.jit
def cross_entropy_kernel(logits_ptr, target_ptr, loss_ptr, stride, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    logits_row = logits_ptr + row * stride
    target = tl.load(target_ptr + row)
    target_logit = tl.load(logits_row + target).to(tl.float32)
    lanes = tl.arange(0, BLOCK)

    top = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        cols = start + lanes
        x = tl.load(logits_row + cols, mask=cols < n_cols, other=float("-inf")).to(tl.float32)
        new_top = tl.maximum(top, x)
        # While a lane has seen only -inf, -inf minus -inf would be NaN: subtract 0 instead.
        shift = tl.where(new_top == float("-inf"), 0.0, new_top)
        total = total * tl.exp(top - shift) + tl.exp(x - shift)
        top = new_top
    row_max = tl.max(top, axis=0)
    log_sum = row_max + tl.log(tl.sum(total * tl.exp(top - row_max), axis=0))
    tl.store(loss_ptr + row, log_sum - target_logit)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """float32 loss of each row of (rows, classes) logits, classes contiguous."""
    n_rows, n_cols = logits.shape
    loss = torch.empty(n_rows, device=logits.device, dtype=torch.float32)
    BLOCK = min(4096, triton.next_power_of_2(n_cols))
    cross_entropy_kernel[(n_rows,)](
        logits, target, loss, logits.stride(0), n_cols, BLOCK=BLOCK,
        num_warps=4 if BLOCK <= 2048 else 8,
    )
    return loss
