import pytest
import torch
from kernels.weight_grad import weight_grad


@pytest.mark.parametrize("shape", [(70, 17), (100, 40)])
def test_weight_grad(shape):
    torch.manual_seed(0)
    x, grad = torch.randn(shape, device="cuda"), torch.randn(shape, device="cuda")
    torch.testing.assert_close(weight_grad(x, grad), (x * grad).sum(0), atol=1e-4, rtol=1e-4)
