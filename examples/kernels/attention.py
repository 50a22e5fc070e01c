"""Host side of the attention block."""

import torch
import triton

from kernels.rotary import rotary_kernel


def rotary_tables(
    seq_len: int, head_dim: int, device: torch.device | str, base: float = 10000.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, each (seq_len, head_dim // 2) in float32."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    positions = torch.arange(seq_len, dtype=torch.float32, device=device)
    angles = torch.outer(positions, base**-exponents)
    return angles.cos(), angles.sin()


def apply_rotary(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotates `q` and `k`, each (batch, seq, heads, head_dim), in place."""
    assert cos.is_contiguous() and sin.is_contiguous()
    for x in (q, k):
        assert x.is_contiguous()
        batch, seq_len, n_heads, head_dim = x.shape
        half = head_dim // 2
        rotary_kernel[(batch * seq_len,)](
            x,
            cos,
            sin,
            seq_len,
            n_heads,
            x.stride(1),
            x.stride(2),
            HALF=half,
            BLOCK=triton.next_power_of_2(half),
            num_warps=2,
        )
    return q, k
