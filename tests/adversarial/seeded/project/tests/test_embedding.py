import pytest
import torch
import torch.nn.functional as F

from kernels.embedding import embedding


@pytest.mark.parametrize("n_cols", [64, 128, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_embedding(n_cols, dtype):
    table = torch.randn(50, n_cols, device="cuda", dtype=dtype)
    index = torch.randint(50, (3, 7), device="cuda")
    torch.testing.assert_close(embedding(index, table), F.embedding(index, table))


def test_padding_is_zero():
    table = torch.randn(10, 64, device="cuda")
    index = torch.tensor([1, 0, 3, 0], device="cuda")
    out = embedding(index, table, padding_index=0)
    assert (out[1] == 0).all() and (out[3] == 0).all()
    torch.testing.assert_close(out[0], table[1])
