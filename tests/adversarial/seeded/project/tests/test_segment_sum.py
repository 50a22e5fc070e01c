import pytest
import torch

from kernels.segment_sum import segment_sum


@pytest.mark.parametrize("n_rows, n_cols, n_segments", [(12, 128, 5), (7, 256, 3)])
def test_segment_sum(n_rows, n_cols, n_segments):
    x = torch.randn(n_rows, n_cols, device="cuda")
    segments = torch.arange(n_rows, device="cuda") % n_segments
    expected = torch.zeros(n_segments, n_cols, device="cuda").index_add(0, segments, x)
    torch.testing.assert_close(segment_sum(x, segments, n_segments), expected)


def test_empty_segment_is_zero():
    x = torch.ones(4, 130, device="cuda")
    segments = torch.tensor([0, 0, 2, 2], device="cuda")
    out = segment_sum(x, segments, 3)
    assert (out[0] == 2).all() and (out[2] == 2).all() and (out[1] == 0).all()
