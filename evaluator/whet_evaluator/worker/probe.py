"""A forked child's proof that it can compute: the operations that hang after a bad fork."""

from __future__ import annotations

import importlib
from typing import Any


def run(job: dict[str, Any]) -> dict[str, Any]:
    """A product large enough to wake torch's thread pool, and a backward through it."""
    del job
    torch: Any = importlib.import_module("torch")
    left = torch.ones((512, 512), requires_grad=True)
    product = left @ torch.ones((512, 512))
    product.sum().backward()
    return {"sum": float(product.detach().sum()), "gradient": float(left.grad[0, 0])}
