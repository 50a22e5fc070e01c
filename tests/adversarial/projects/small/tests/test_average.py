import torch
from kernels.average import MovingAverage


def test_step():
    start = torch.randn(200, device="cuda")
    x = torch.randn(200, device="cuda")
    expected = start + (x - start) * 0.25
    assert torch.allclose(MovingAverage(start).step(x, []), expected, atol=1e-6)


def test_step_keeps_the_shape():
    start = torch.zeros(7, 9, device="cuda")
    assert MovingAverage(start).step(torch.ones_like(start), []).shape == (7, 9)
