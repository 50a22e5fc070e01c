import pytest
import torch
from kernels.weigh import weigh


@pytest.mark.parametrize("n", [100, 300])
def test_weigh(n):
    x = torch.randint(-1000, 1000, (n,), device="cuda")
    y = torch.randint(-1000, 1000, (n,), device="cuda")
    assert torch.equal(weigh(x, y), x * y)
