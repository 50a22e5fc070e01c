import torch
from kernels.square import square


def test_square():
    x = torch.randn(300, device="cuda", requires_grad=True)
    y = square(x)
    y.sum().backward()
    torch.testing.assert_close(y, x * x)
    torch.testing.assert_close(x.grad, 2 * x)
