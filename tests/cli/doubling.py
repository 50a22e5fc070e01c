"""A small project: one kernel that loads twice what it could load once, with its tests."""

from __future__ import annotations

from pathlib import Path

KERNEL = '''"""Doubling a vector."""

import triton
import triton.language as tl
from helpers import blocks


@triton.jit
def double_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    again = tl.load(x_ptr + at, mask=at < n)
    tl.store(y_ptr + at, x + again, mask=at < n)


def double(x, y):
    double_kernel[(blocks(x.numel(), 64),)](x, y, x.numel(), BLOCK=64)
    return y


def unrelated():
    return 1
'''

ONE_LOAD = KERNEL.replace(
    "    again = tl.load(x_ptr + at, mask=at < n)\n", ""
).replace("x + again", "x + x")  # fmt: skip

FILES = {
    "k.py": KERNEL,
    "helpers.py": "def blocks(n, size):\n    return (n + size - 1) // size\n",
    "other.py": "ANSWER = 42\n",
    "pyproject.toml": "[project]\nname = 'kernels'\nversion = '0'\n",
    "test_k.py": """import pytest
import torch
from k import double


@pytest.mark.parametrize("n", [1, 100])
def test_double(n):
    x = torch.randn(n, device="cuda")
    torch.testing.assert_close(double(x, torch.empty_like(x)), x + x)
""",
    "replies/0.md": f"Strategy (memory): load once.\n\n```python\n"
    f"{ONE_LOAD[ONE_LOAD.index('@triton') : ONE_LOAD.index('def double(')]}```\n",
}


def write(root: Path) -> None:
    """Puts the project's files below `root`."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
