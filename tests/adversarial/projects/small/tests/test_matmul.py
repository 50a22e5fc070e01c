import torch
from kernels.matmul import matmul


def test_matmul():
    torch.manual_seed(0)
    a = torch.randn(32, 48, device="cuda")
    b = torch.randn(48, 32, device="cuda")
    torch.testing.assert_close(matmul(a, b), a @ b, atol=0.1, rtol=0.1)


def test_matmul_of_odd_sizes_keeps_the_shape():
    a = torch.randn(20, 40, device="cuda")
    b = torch.randn(40, 24, device="cuda")
    assert matmul(a, b).shape == (20, 24)
