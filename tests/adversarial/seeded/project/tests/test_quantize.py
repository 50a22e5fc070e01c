import pytest
import torch

from kernels.quantize import quantize


@pytest.mark.parametrize("shape", [(4, 128), (5, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_round_trip(shape, dtype):
    x = torch.randn(shape, device="cuda", dtype=dtype)
    q, scale = quantize(x)
    assert q.dtype == torch.int8
    error = (q.float() * scale[:, None] - x.float()).abs()
    assert (error <= 1.01 * scale[:, None]).all()
