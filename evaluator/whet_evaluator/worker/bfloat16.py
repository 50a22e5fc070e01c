"""bfloat16 arithmetic for Triton's interpreter, which keeps such values as plain integers
and computes garbage with them.

Each operation widens its operands to float32, which is exact, computes there, and rounds
the result to the nearest bfloat16, ties to even. That is what hardware does for one
operation. Atomics stay a limit: they work on memory, out of Python's reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import limits


def install(builder: Any) -> None:
    """Wraps the arithmetic of Triton's `InterpreterBuilder`."""
    for name in ("binary_op", "unary_op", "create_fma", "create_rsqrt", "create_erf"):
        _wrap(builder, name, _rounded)
    for name in ("create_dot", "create_precise_sqrt", "create_clampf"):
        _wrap(builder, name, _rounded)
    _wrap(builder, "cast_impl", _cast)
    _wrap(builder, "create_fp_to_fp", _cast)
    _wrap(builder, "create_atomic_rmw", _refused)


def widened(handle: Any) -> Any:
    """The same values as float32; a handle of another type as it is."""
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    if not _is_bfloat16(handle):
        return handle
    bits = np.asarray(handle.data).astype(np.uint32) << np.uint32(16)
    return TensorHandle(bits.view(np.float32), tl.float32)


def narrowed(handle: Any) -> Any:
    """Float32 values rounded to the nearest bfloat16; NaN stays NaN."""
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    values = np.asarray(handle.data).astype(np.float32)
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
    rounded = np.where(np.isnan(values), np.uint32(0x7FC0), rounded)
    return TensorHandle(rounded.astype(np.uint16), tl.bfloat16)


def _is_bfloat16(handle: Any) -> bool:
    kind = getattr(getattr(handle, "dtype", None), "scalar", None)
    # `differential.widen` keeps such values in float64, which needs no help.
    return getattr(kind, "name", None) == "bf16" and handle.data.dtype.itemsize == 2


def _wrap(builder: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(builder, name, None)
    if original is not None:
        setattr(builder, name, lambda self, *args: wrapper(original, self, *args))


def _rounded(original: Any, self: Any, *args: Any) -> Any:
    if not any(_is_bfloat16(a) for a in args):
        return original(self, *args)
    result = original(self, *(widened(a) for a in args))
    if result.data.dtype == bool:
        return result
    # A dot accumulates in the type of its third operand, everything else in its first.
    kind = args[2] if original.__name__ == "create_dot" else args[0]
    return narrowed(result) if _is_bfloat16(kind) else result


def _cast(original: Any, self: Any, source: Any, target: Any, *mode: Any) -> Any:
    to_bfloat16 = target.scalar.name == "bf16"
    if not to_bfloat16 and not _is_bfloat16(source):
        return original(self, source, target, *mode)
    if to_bfloat16:
        return source if _is_bfloat16(source) else narrowed(_as_float32(source))
    wide = widened(source)
    return wide if target.scalar.name == "fp32" else original(self, wide, target, *mode)


def _as_float32(handle: Any) -> Any:
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    return TensorHandle(np.asarray(handle.data).astype(np.float32), tl.float32)


def _refused(original: Any, self: Any, op: Any, pointer: Any, value: Any, *rest: Any) -> Any:
    if _is_bfloat16(value):
        raise limits.refuse("bfloat16 atomics")
    return original(self, op, pointer, value, *rest)
