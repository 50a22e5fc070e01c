import pytest
import torch
from kernels.flip import flip, flip_and_copy


@pytest.mark.parametrize("shape", [(3, 17), (4, 300)])
def test_flip(shape):
    x = torch.randn(shape, device="cuda")
    assert torch.equal(flip(x), x.flip(-1))
    one, two = flip_and_copy(x)
    assert torch.equal(one, x.flip(-1))
    assert torch.equal(two, x.flip(-1))
