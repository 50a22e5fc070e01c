import pytest
import torch

from kernels.dropout import dropout


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_share_and_scale(p):
    x = torch.randn(4096, device="cuda")
    out = dropout(x, p, seed=7)
    kept = out != 0
    assert abs(kept.float().mean().item() - (1 - p)) < 0.05
    torch.testing.assert_close(out[kept], x[kept] / (1 - p))


def test_same_seed_same_result():
    x = torch.randn(40, 25, device="cuda")
    assert torch.equal(dropout(x, 0.5, seed=3), dropout(x, 0.5, seed=3))
