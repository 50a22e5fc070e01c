import pytest
import torch

from kernels.transpose import transpose


@pytest.mark.parametrize("shape", [(64, 64), (96, 32), (40, 70)])
def test_transpose(shape):
    x = torch.randn(shape, device="cuda")
    scale = torch.rand(shape[1], device="cuda")
    torch.testing.assert_close(transpose(x, scale), (x * scale).T)
