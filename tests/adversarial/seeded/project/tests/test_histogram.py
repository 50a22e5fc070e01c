import pytest
import torch

from kernels.histogram import histogram


@pytest.mark.parametrize("n_elements, n_bins", [(256, 16), (1024, 50)])
def test_histogram(n_elements, n_bins):
    x = torch.randint(n_bins, (n_elements,), device="cuda", dtype=torch.int32)
    expected = torch.bincount(x, minlength=n_bins).int()
    assert torch.equal(histogram(x, n_bins), expected)


def test_outside_is_not_counted():
    x = torch.tensor([[-1, 0, 1], [2, 3, 9]], device="cuda", dtype=torch.int32)
    assert histogram(x, 4).tolist() == [1, 1, 1, 1]
