"""What the project's owner wants to be fast."""

import torch
from pkg import ops
from pkg.kernels import Scale, scale


def representative():
    x = torch.randn(1000, device="cuda")
    scale(x, 0.5)
    scale(x, 0.5)
    ops.sixfold(torch.randn(128, device="cuda"))
    leaf = x.clone().requires_grad_()
    Scale.apply(leaf, 2.0).sum().backward()
