import pytest
import torch

from kernels.dequantize import dequantize

device = "cuda"


@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("n_rows, n_cols", [(1, 128), (37, 384), (256, 1024)])
def test_dequantize(n_rows, n_cols, group_size):
    q = torch.randint(-128, 128, (n_rows, n_cols), dtype=torch.int8, device=device)
    scale = torch.rand(n_rows, n_cols // group_size, device=device) * 0.02
    expected = (q.float() * scale.repeat_interleave(group_size, dim=1)).half()
    torch.testing.assert_close(dequantize(q, scale, group_size), expected)


def test_dequantize_to_float32():
    q = torch.randint(-128, 128, (16, 256), dtype=torch.int8, device=device)
    scale = torch.rand(16, 4, device=device)
    expected = q.float() * scale.repeat_interleave(64, dim=1)
    torch.testing.assert_close(dequantize(q, scale, 64, dtype=torch.float32), expected)
