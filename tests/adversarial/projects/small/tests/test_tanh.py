import pytest
import torch
from kernels.tanh import Tanh


@pytest.mark.parametrize("n", [100, 300])
def test_tanh(n):
    torch.manual_seed(0)
    x = torch.randn(n, device="cuda", requires_grad=True)
    grad = torch.randn(n, device="cuda")
    y = Tanh.apply(x)
    torch.testing.assert_close(y, torch.tanh(x))
    y.backward(grad)
    torch.testing.assert_close(x.grad, grad * (1 - torch.tanh(x.detach()) ** 2))
