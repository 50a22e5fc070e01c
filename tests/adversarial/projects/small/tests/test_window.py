import pytest
import torch
from kernels.window import moving_mean


@pytest.mark.parametrize("n", [100, 300])
def test_moving_mean(n):
    torch.manual_seed(0)
    x = torch.randn(n, device="cuda")
    padded = torch.nn.functional.pad(x, (2, 0))
    want = (padded[2:] + padded[1:-1] + padded[:-2]) / 3
    torch.testing.assert_close(moving_mean(x, 3), want)
