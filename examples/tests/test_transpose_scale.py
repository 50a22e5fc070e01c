import pytest
import torch
import triton

from kernels.transpose_scale import transpose_scale

DEVICE = triton.runtime.driver.active.get_active_torch_device()


@pytest.mark.parametrize("shape", [(1, 1), (64, 32), (100, 257), (512, 384)])
def test_contiguous(shape):
    x = torch.randn(shape, device=DEVICE)
    scale = torch.rand(shape[1], device=DEVICE)
    torch.testing.assert_close(transpose_scale(x, scale), (x * scale).T)


@pytest.mark.parametrize("shape", [(64, 32), (100, 257)])
def test_every_other_column(shape):
    x = torch.randn(shape[0], 2 * shape[1], device=DEVICE)[:, ::2]
    scale = torch.rand(shape[1], device=DEVICE)
    torch.testing.assert_close(transpose_scale(x, scale), (x * scale).T)


def test_already_transposed():
    x = torch.randn(48, 80, device=DEVICE).T
    scale = torch.rand(48, device=DEVICE)
    torch.testing.assert_close(transpose_scale(x, scale), (x * scale).T)
