import pytest
import torch

from kernels.matmul import matmul


@pytest.mark.parametrize("M, N, K", [(64, 64, 64), (100, 72, 136)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_matmul(M, N, K, dtype):
    a = torch.randn((M, K), device="cuda", dtype=dtype)
    b = torch.randn((K, N), device="cuda", dtype=dtype)
    expected = (a.float() @ b.float()).to(dtype)
    torch.testing.assert_close(matmul(a, b), expected, atol=2e-2, rtol=2e-2)


def test_many_tiles():
    a = torch.randn((512, 256), device="cuda", dtype=torch.float16)
    b = torch.randn((256, 512), device="cuda", dtype=torch.float16)
    expected = (a.float() @ b.float()).half()
    torch.testing.assert_close(matmul(a, b), expected, atol=2e-2, rtol=2e-2)


def test_transposed_operand():
    a = torch.randn((96, 64), device="cuda", dtype=torch.float16)
    b = torch.randn((80, 64), device="cuda", dtype=torch.float16).T
    expected = (a.float() @ b.float()).half()
    torch.testing.assert_close(matmul(a, b), expected, atol=2e-2, rtol=2e-2)
