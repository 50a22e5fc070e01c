import torch
from kernels.norm import Norm


def test_norm():
    x = torch.randn(5, 40, device="cuda")
    weight = torch.randn(40, device="cuda")
    got = Norm(weight).forward(x)
    want = x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6) * weight
    torch.testing.assert_close(got, want)
