import pytest
import torch

from kernels.masked_sum import masked_sum


def reference(x, lengths):
    keep = torch.arange(x.shape[1], device=x.device)[None, :] < lengths[:, None]
    return torch.where(keep, x.float(), 0.0).sum(dim=1)


@pytest.mark.parametrize("n_cols", [16, 256, 1000])
def test_unpadded_rows(n_cols):
    x = torch.randn(32, n_cols, device="cuda")
    lengths = torch.full((32,), n_cols, device="cuda", dtype=torch.int32)
    torch.testing.assert_close(masked_sum(x, lengths), reference(x, lengths), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n_cols", [100, 256, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_padded_rows(n_cols, dtype):
    x = torch.randn(32, n_cols, device="cuda", dtype=dtype)
    lengths = torch.randint(0, n_cols + 1, (32,), device="cuda", dtype=torch.int32)
    torch.testing.assert_close(masked_sum(x, lengths), reference(x, lengths), atol=1e-4, rtol=1e-4)
