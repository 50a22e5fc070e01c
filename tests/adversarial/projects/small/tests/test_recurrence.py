import pytest
import torch
from kernels.recurrence import recurrence


@pytest.mark.parametrize("shape", [(3, 17), (2, 30)])
def test_recurrence(shape):
    torch.manual_seed(0)
    a, b = torch.rand(shape, device="cuda"), torch.randn(shape, device="cuda")
    h, want = torch.zeros(shape[0], device="cuda"), []
    for t in range(shape[1]):
        h = a[:, t] * h + b[:, t]
        want.append(h)
    torch.testing.assert_close(recurrence(a, b), torch.stack(want, 1))
