import pytest
import torch

from kernels.reverse import reverse_


@pytest.mark.parametrize("shape", [(1, 64), (5, 128), (3, 100)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
def test_reverse(shape, dtype):
    x = (torch.randn(shape, device="cuda") * 100).to(dtype)
    expected = x.flip(-1)
    assert torch.equal(reverse_(x), expected)
