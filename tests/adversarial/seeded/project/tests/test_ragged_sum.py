import pytest
import torch

from kernels.ragged_sum import ragged_sum


@pytest.mark.parametrize("n_cols", [16, 128, 300])
def test_unpadded_rows(n_cols):
    x = torch.randn(8, n_cols, device="cuda")
    lengths = torch.full((8,), n_cols, device="cuda", dtype=torch.int32)
    torch.testing.assert_close(ragged_sum(x, lengths), x.sum(dim=1), atol=1e-4, rtol=1e-4)


def test_padded_rows():
    x = torch.randn(3, 256, device="cuda", dtype=torch.float16)
    x[0, 200:] = x[1, 128:] = 0
    lengths = torch.tensor([200, 128, 256], device="cuda", dtype=torch.int32)
    torch.testing.assert_close(ragged_sum(x, lengths), x.float().sum(dim=1), atol=1e-2, rtol=1e-2)
