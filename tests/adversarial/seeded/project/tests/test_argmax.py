import pytest
import torch

from kernels.argmax import argmax


@pytest.mark.parametrize("shape", [(4, 128), (6, 300), (1, 16)])
def test_argmax(shape):
    x = torch.randn(shape, device="cuda")
    values, indices = argmax(x)
    expected_values, expected_indices = x.max(dim=1)
    assert torch.equal(values, expected_values)
    assert torch.equal(indices, expected_indices)


def test_half_precision():
    x = torch.randn(5, 200, device="cuda").half()
    values, indices = argmax(x)
    assert torch.equal(values, x.max(dim=1).values)
    assert torch.equal(x.gather(1, indices[:, None])[:, 0], values)
