import pytest
import torch

from kernels.rms_norm import FusedAddRMSNorm


def reference(x, residual, weight, eps):
    added = x.float() + residual.float()
    normed = added * torch.rsqrt(added.pow(2).mean(-1, keepdim=True) + eps) * weight.float()
    return normed.to(x.dtype), added.to(residual.dtype)


@pytest.mark.parametrize("hidden_size", [64, 770, 2048, 4096])
@pytest.mark.parametrize("n_tokens", [1, 83])
def test_fused_add_rms_norm(n_tokens, hidden_size):
    norm = FusedAddRMSNorm(hidden_size).cuda()
    norm.weight.data.normal_(mean=1.0, std=0.1)
    x = torch.randn(n_tokens, hidden_size).half().cuda()
    residual = torch.randn(n_tokens, hidden_size).half().cuda()
    expected, expected_residual = reference(x, residual, norm.weight.detach(), norm.eps)

    out = norm(x, residual)

    torch.cuda.synchronize()
    torch.testing.assert_close(out, expected, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(residual, expected_residual)


def test_batch_of_sequences():
    norm = FusedAddRMSNorm(256, dtype=torch.float32).cuda()
    x = torch.randn(2, 7, 256).cuda()
    residual = torch.randn(2, 7, 256).cuda()
    before = x.clone()
    expected, expected_residual = reference(x, residual, norm.weight.detach(), norm.eps)
    torch.testing.assert_close(norm(x, residual), expected)
    torch.testing.assert_close(residual, expected_residual)
    torch.testing.assert_close(x, before, atol=0, rtol=0)
