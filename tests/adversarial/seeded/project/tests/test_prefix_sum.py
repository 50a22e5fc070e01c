import pytest
import torch

from kernels.prefix_sum import prefix_sum


@pytest.mark.parametrize("shape", [(1, 64), (5, 100), (3, 128)])
def test_prefix_sum(shape):
    x = torch.randn(shape, device="cuda")
    torch.testing.assert_close(prefix_sum(x), x.cumsum(dim=1), atol=1e-4, rtol=1e-4)


def test_half_precision():
    x = torch.rand(4, 90, device="cuda").half()
    expected = x.float().cumsum(dim=1).half()
    torch.testing.assert_close(prefix_sum(x), expected, atol=2e-1, rtol=1e-2)
