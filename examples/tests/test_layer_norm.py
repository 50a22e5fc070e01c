import pytest
import torch
import torch.nn.functional as F

from kernels.layer_norm import layer_norm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def make_inputs(shape, dtype):
    x = torch.randn(shape, device="cuda", dtype=dtype)
    weight = torch.rand(shape[-1], device="cuda", dtype=dtype)
    bias = torch.rand(shape[-1], device="cuda", dtype=dtype)
    return x, weight, bias


@pytest.mark.parametrize("shape", [(8, 64), (4, 37, 1000), (64, 4096)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_forward(shape, dtype):
    x, weight, bias = make_inputs(shape, dtype)
    expected = F.layer_norm(x, (shape[-1],), weight, bias)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(
        layer_norm(x, weight, bias), expected, atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("shape", [(8, 64), (33, 1000)])
def test_backward(shape):
    inputs = make_inputs(shape, torch.float32)
    for tensor in inputs:
        tensor.requires_grad_(True)
    dy = torch.randn(shape, device="cuda")

    got = torch.autograd.grad(layer_norm(*inputs), inputs, dy)
    x, weight, bias = inputs
    expected = torch.autograd.grad(F.layer_norm(x, (shape[-1],), weight, bias), inputs, dy)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
