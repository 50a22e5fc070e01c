import pytest
import torch
import torch.nn.functional as F

from kernels.bias_gelu import bias_gelu


@pytest.mark.parametrize("shape", [(16, 64), (64, 64), (33, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bias_gelu(shape, dtype):
    x = torch.randn(shape, device="cuda", dtype=dtype)
    bias = torch.full((shape[1],), 0.5, device="cuda", dtype=dtype)
    expected = F.gelu(x.float() + bias.float()).to(dtype)
    torch.testing.assert_close(bias_gelu(x, bias), expected, atol=2e-3, rtol=1e-2)


def test_without_bias():
    x = torch.randn(20, 100, device="cuda")
    torch.testing.assert_close(bias_gelu(x), F.gelu(x), atol=1e-4, rtol=1e-4)
