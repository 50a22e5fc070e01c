import pytest
import torch
from kernels.total import total


@pytest.mark.parametrize("n", [1000, 2048])
def test_total(n):
    torch.manual_seed(0)
    x = torch.randn(n, device="cuda")
    torch.testing.assert_close(total(x), x.sum().reshape(1), atol=1e-3, rtol=1e-4)
