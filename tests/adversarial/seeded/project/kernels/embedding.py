"""Rows of a table, looked up by index."""

import torch
import triton
import triton.language as tl


@triton.jit
def embedding_kernel(
    index_ptr, table_ptr, out_ptr, stride_table, n_cols, padding_index, BLOCK: tl.constexpr
):
    position = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = cols < n_cols
    index = tl.load(index_ptr + position)
    row = tl.load(table_ptr + index * stride_table + cols, mask=mask, other=0.0)
    row = tl.where(index == padding_index, 0.0, row)
    tl.store(out_ptr + position * n_cols + cols, row, mask=mask)


def embedding(index: torch.Tensor, table: torch.Tensor, padding_index: int = -1) -> torch.Tensor:
    """Rows of `table` (entries, cols), zeros where the index is `padding_index`."""
    assert table.stride(1) == 1 and index.is_contiguous()
    n_cols = table.shape[1]
    out = torch.empty((*index.shape, n_cols), device=table.device, dtype=table.dtype)
    embedding_kernel[(index.numel(), triton.cdiv(n_cols, 128))](
        index, table, out, table.stride(0), n_cols, padding_index, BLOCK=128
    )
    return out
