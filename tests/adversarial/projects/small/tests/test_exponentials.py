import pytest
import torch
from kernels.exponentials import shares


@pytest.mark.parametrize("shape", [(7, 33), (4, 64)])
def test_shares(shape):
    torch.manual_seed(0)
    x = torch.randn(*shape, device="cuda")
    torch.testing.assert_close(shares(x), torch.softmax(x, dim=1))
