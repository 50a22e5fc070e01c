import torch
from kernels.gather_sum import gather_sum


def test_gather_sum():
    tensors = [torch.randn(130, device="cuda") for _ in range(3)]
    expected = tensors[0] + tensors[1] + tensors[2]
    assert torch.allclose(gather_sum(tensors, torch.float32), expected, atol=1e-5)
