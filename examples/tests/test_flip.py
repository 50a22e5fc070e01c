import pytest
import torch
import triton

from kernels.flip import flip

DEVICE = triton.runtime.driver.active.get_active_torch_device()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 100), (8, 4, 1000), (16, 8, 512)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_flip(shape, dtype):
    x = torch.randn(shape, device=DEVICE, dtype=dtype)
    torch.testing.assert_close(flip(x), torch.flip(x, dims=[-1]), rtol=0, atol=0)


def test_flip_integers():
    x = torch.arange(3 * 5 * 130, device=DEVICE, dtype=torch.int32).view(3, 5, 130)
    assert torch.equal(flip(x), torch.flip(x, dims=[-1]))


def test_flip_twice_is_identity():
    x = torch.randn((2, 2, 333), device=DEVICE)
    assert torch.equal(flip(flip(x)), x)
