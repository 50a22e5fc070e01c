import pytest
import torch

from kernels.axpy import axpy_


@pytest.mark.parametrize("shape", [(4, 128), (3, 300)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_axpy(shape, dtype):
    x = torch.randn(shape, device="cuda", dtype=dtype)
    y = torch.randn(shape, device="cuda", dtype=dtype)
    expected = (y.float() + 0.5 * x.float()).to(dtype)
    torch.testing.assert_close(axpy_(y, x, 0.5), expected, atol=1e-2, rtol=1e-2)


def test_transposed():
    x = torch.randn(40, 30, device="cuda").T
    y = torch.randn(30, 40, device="cuda")
    expected = y + 2 * x
    torch.testing.assert_close(axpy_(y, x, 2.0), expected)


def test_with_itself():
    y = torch.randn(2, 64, device="cuda")
    expected = 3 * y
    torch.testing.assert_close(axpy_(y, y, 2.0), expected)
