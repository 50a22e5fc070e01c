"""Dot products of float32 as the target makes them, which the interpreter makes in full.

`tl.dot` multiplies float32 in TF32 where nothing else is asked and the target has it: ten bits
of mantissa instead of 23. NVIDIA has it from sm_80 on, AMD on gfx942 alone, as XF32 (Triton's
`parse_options` of either backend). Products and sums of the rounded operands stay float32.
"""

from __future__ import annotations

import dataclasses
from typing import Any

_HALF, _MASK = 0x1000, 0xFFFFE000
"""Half of the last bit kept, and the bits kept: PTX's `cvt.rna.tf32.f32` rounds half away
from zero."""


def install(builder: Any, arch: str) -> None:
    """Has `builder`, the interpreter's only one, round as `arch` does."""
    options = builder.options
    if not has_tf32(arch):
        others = [p for p in options.allowed_dot_input_precisions if p != "tf32"]
        builder.options = dataclasses.replace(
            options, allowed_dot_input_precisions=tuple(others), default_dot_input_precision="ieee"
        )
    kind = type(builder)
    real = kind.create_dot

    def create_dot(self: Any, a: Any, b: Any, d: Any, precision: Any, *rest: Any) -> Any:
        if getattr(precision, "name", "") == "TF32":
            a, b = rounded(a), rounded(b)
        return real(self, a, b, d, precision, *rest)

    create_dot.__name__ = "create_dot"  # other wrappers look at it
    kind.create_dot = create_dot


def has_tf32(arch: str) -> bool:
    """Whether Triton multiplies in TF32 there."""
    return arch == "gfx942" or arch.startswith("sm_")


def rounded(handle: Any) -> Any:
    """Float32 values with TF32's mantissa; a handle of anything else, or wider, as it is."""
    import numpy as np
    from triton.runtime.interpreter import TensorHandle

    if handle.data.dtype != np.float32:
        return handle
    bits = np.ascontiguousarray(handle.data).view(np.uint32)
    kept = (bits + np.uint32(_HALF)) & np.uint32(_MASK)
    data = np.where(np.isfinite(handle.data), kept.view(np.float32), handle.data)
    return TensorHandle(data, handle.dtype)
