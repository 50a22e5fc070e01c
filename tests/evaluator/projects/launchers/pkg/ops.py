"""Launches a kernel of another module."""

import torch

from .kernels import scale_kernel


def _run(x, factor):
    out = torch.empty_like(x)
    scale_kernel[(x.numel() + 31) // 32,](x, out, factor, x.numel(), BLOCK=32)
    return out


def sixfold(x):
    return _run(x, 6.0)
