"""Cross entropy of logits against class indices, one loss per row."""

import torch
import triton
import triton.language as tl


@triton.jit
def _load_logits(row_ptr, cols, n_cols, EVEN: tl.constexpr):
    if EVEN:
        logits = tl.load(row_ptr + cols)
    else:
        logits = tl.load(row_ptr + cols, mask=cols < n_cols, other=float("-inf"))
    return logits.to(tl.float32)


@triton.heuristics({"EVEN": lambda args: args["n_cols"] % args["BLOCK"] == 0})
@triton.jit
def cross_entropy_kernel(
    logits_ptr,
    target_ptr,
    loss_ptr,
    stride_row,
    n_cols,
    ignore_index,
    BLOCK: tl.constexpr,
    EVEN: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(target_ptr + row)
    if target == ignore_index:
        tl.store(loss_ptr + row, 0.0)
        return

    row_ptr = logits_ptr + row * stride_row
    offsets = tl.arange(0, BLOCK)

    running_max = tl.full((BLOCK,), float("-inf"), tl.float32)
    for start in range(0, n_cols, BLOCK):
        logits = _load_logits(row_ptr, start + offsets, n_cols, EVEN)
        running_max = tl.maximum(running_max, logits)
    row_max = tl.max(running_max, axis=0)

    running_sum = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        logits = _load_logits(row_ptr, start + offsets, n_cols, EVEN)
        running_sum += tl.exp(logits - row_max)
    log_sum_exp = row_max + tl.log(tl.sum(running_sum, axis=0))

    target_logit = tl.load(row_ptr + target).to(tl.float32)
    tl.store(loss_ptr + row, log_sum_exp - target_logit)


def cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, ignore_index: int = -100
) -> torch.Tensor:
    """float32 losses, 0 where the target is `ignore_index`. Logits are (rows, classes)."""
    n_rows, n_cols = logits.shape
    assert logits.stride(1) == 1 and target.shape == (n_rows,)
    loss = torch.empty(n_rows, device=logits.device, dtype=torch.float32)
    cross_entropy_kernel[(n_rows,)](
        logits,
        target,
        loss,
        logits.stride(0),
        n_cols,
        ignore_index,
        BLOCK=2048,
        num_warps=8,
    )
    return loss
