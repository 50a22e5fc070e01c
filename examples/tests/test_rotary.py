import pytest
import torch

from kernels.attention import apply_rotary, rotary_tables


def reference(x, cos, sin):
    low, high = x.float().chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1).to(x.dtype)


@pytest.mark.parametrize(
    "batch, seq_len, n_heads, n_kv_heads, head_dim",
    [(1, 5, 2, 1, 64), (2, 17, 12, 4, 80), (1, 32, 16, 4, 128)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_apply_rotary(batch, seq_len, n_heads, n_kv_heads, head_dim, dtype):
    device = torch.device("cuda")
    q = torch.randn(batch, seq_len, n_heads, head_dim, dtype=dtype, device=device)
    k = torch.randn(batch, seq_len, n_kv_heads, head_dim, dtype=dtype, device=device)
    cos, sin = rotary_tables(seq_len, head_dim, device)
    expected_q, expected_k = reference(q, cos, sin), reference(k, cos, sin)

    apply_rotary(q, k, cos, sin)

    torch.testing.assert_close(q, expected_q, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(k, expected_k, atol=2e-3, rtol=1e-3)
