import pytest
import torch
import torch.nn.functional as F

from kernels.cross_entropy import cross_entropy


@pytest.mark.parametrize("n_rows, n_classes", [(1, 10), (64, 1000), (32, 4096), (16, 32003)])
def test_cross_entropy(n_rows, n_classes):
    logits = 3 * torch.randn(n_rows, n_classes, device="cuda")
    target = torch.randint(n_classes, (n_rows,), device="cuda")
    expected = F.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, target), expected, atol=1e-4, rtol=1e-4)


def test_half_precision_logits():
    logits = torch.randn(16, 5000, device="cuda").half()
    target = torch.randint(5000, (16,), device="cuda")
    expected = F.cross_entropy(logits.float(), target, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, target), expected, atol=1e-4, rtol=1e-4)


def test_ignored_rows_cost_nothing():
    logits = torch.randn(8, 3000, device="cuda")
    target = torch.randint(3000, (8,), device="cuda")
    target[::3] = -100
    losses = cross_entropy(logits, target)
    torch.cuda.synchronize()
    assert (losses[::3] == 0).all()
    expected = F.cross_entropy(logits, target, reduction="none", ignore_index=-100)
    torch.testing.assert_close(losses, expected, atol=1e-4, rtol=1e-4)


def test_masked_vocabulary():
    logits = torch.randn(4, 6000, device="cuda")
    logits[:, :4500] = float("-inf")
    target = torch.randint(4500, 6000, (4,), device="cuda")
    expected = F.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, target), expected, atol=1e-4, rtol=1e-4)
