import dataclasses

import torch
import triton
import triton.language as tl


@dataclasses.dataclass
class Stats:
    mean: torch.Tensor
    largest: torch.Tensor


@triton.jit
def stats_kernel(x_ptr, mean_ptr, largest_ptr, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    mask = columns < n_cols
    x = tl.load(x_ptr + row * n_cols + columns, mask=mask, other=0.0)
    tl.store(mean_ptr + row, tl.sum(x, axis=0) / n_cols)
    tl.store(largest_ptr + row, tl.max(tl.where(mask, x, float("-inf")), axis=0))


def stats(x):
    x = x.contiguous()
    n_rows, n_cols = x.shape
    mean, largest = x.new_empty(n_rows), x.new_empty(n_rows)
    stats_kernel[(n_rows,)](x, mean, largest, n_cols, BLOCK=triton.next_power_of_2(n_cols))
    return Stats(mean, largest)
