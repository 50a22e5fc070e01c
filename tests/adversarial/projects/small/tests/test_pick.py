import torch
from kernels.pick import pick


def test_pick():
    table = torch.randn(12, 40, device="cuda")
    index = torch.tensor([0, 11, 3, 3, 7], device="cuda")
    assert torch.equal(pick(table.contiguous(), index), table[index])
