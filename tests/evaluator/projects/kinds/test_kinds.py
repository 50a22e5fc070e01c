import kinds
import torch

DEVICE = "cuda"


def test_each_runs():
    x = torch.randn(3, 21, device=DEVICE)
    assert kinds.scale_in_place(x.clone(), 2.0).shape == x.shape
    whole = torch.arange(40, device=DEVICE, dtype=torch.int32) % 7
    assert int(kinds.histogram(whole, 7).sum()) == 40
    assert kinds.total(x).shape == (1,)
    assert kinds.dropout(x, 0.5, 3).shape == x.shape
    index = torch.tensor([2, 0, 1, 2], device=DEVICE)
    assert torch.equal(kinds.gather_rows(x, index), x[index])
    assert torch.equal(kinds.peaks(x)[0], x.max(1).values)
    assert torch.equal(kinds.biased(x), x)
    assert torch.equal(kinds.biased(x, x), x + x)
    doubled = x.clone()
    kinds.double_in_place(doubled)
    assert torch.equal(doubled, x * 2)
    assert torch.equal(kinds.masked_bits(whole)[:40], (whole >> 1) & 7)
    leaf = x.clone().requires_grad_()
    kinds.Square.apply(leaf).sum().backward()
    assert torch.equal(leaf.grad, 2 * x)
