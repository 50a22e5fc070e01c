"""Triton's interpreter with every float register widened to float64: the nearest to the truth
that a kernel's own text can give.

Only registers are wide. Memory keeps its types, so launchers see the types they ask for;
what is stored is rounded once. Inside, a cast between float types changes nothing, so a
product kept in float16 on purpose is exact here and the original's rounding of it counts
as the original's error.

`nudged` moves every float read from memory by one unit in the last place of float32, up
or down by a hash of its value, so that a value read twice moves the same way. What that
changes in the outputs is what any order of additions may change. Where all values are `alike`
they would move together and nothing would cancel otherwise than before: there its place within
what is read at once decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_WIDE = {"fp16", "bf16", "fp32", "fp64"}


@contextmanager
def widened(*, nudged: bool = False, alike: bool = False) -> Iterator[None]:
    """Within it, kernels interpreted in this process compute in float64."""
    from triton.runtime import interpreter

    replaced: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        if hasattr(owner, name):
            replaced.append((owner, name, owner.__dict__[name]))
            setattr(owner, name, value)

    _Widening(interpreter, nudged=nudged, alike=alike).install(replace)
    try:
        yield
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)


class _Widening:
    """The replacements, over what the interpreter (and our bfloat16) did before."""

    def __init__(self, interpreter: Any, *, nudged: bool, alike: bool) -> None:
        import numpy as np

        self._np = np
        self._module = interpreter
        self._handle = interpreter.TensorHandle
        self._builder = interpreter.InterpreterBuilder
        self._memory_type: Callable[[Any], Any] = interpreter._get_np_dtype
        self._nudged, self._alike = nudged, alike

    def install(self, replace: Callable[[Any, str, Any], None]) -> None:
        builder = self._builder
        replace(self._module, "_get_np_dtype", self._register_type)
        # 3.6 to 3.9 refuse data wider than its type; here all of it is.
        replace(self._module, "_validate_np_data_size", lambda data, kind: True)
        for name, method in self._methods(builder).items():
            replace(builder, name, method)

    def _methods(self, builder: Any) -> dict[str, Any]:
        np, handle = self._np, self._handle
        real = {name: getattr(builder, name, None) for name in _WRAPPED}
        return {
            "get_fp16": lambda _, value: self._constant(value, np.float16, "float16"),
            "get_fp32": lambda _, value: self._constant(value, np.float32, "float32"),
            "create_fabs": lambda _, a: handle(np.abs(a.data), a.dtype.scalar),
            "create_fma": lambda _, x, y, z: handle(
                _f64(np, x) * _f64(np, y) + _f64(np, z), z.dtype.scalar
            ),
            "create_erf": lambda _, a: handle(
                self._module.np_erf_fp64(_f64(np, a)), a.dtype.scalar
            ),
            "create_masked_load": self._load(real["create_masked_load"]),
            "create_masked_store": self._store(real["create_masked_store"]),
            "create_atomic_rmw": self._atomic_rmw(real["create_atomic_rmw"]),
            "create_atomic_cas": self._atomic_cas(real["create_atomic_cas"]),
            "create_bitcast": self._bitcast(real["create_bitcast"]),
            "create_dot": self._dot(real["create_dot"]),
            "cast_impl": self._cast(real["cast_impl"]),
            "create_fp_to_fp": self._fp_to_fp(real["create_fp_to_fp"]),
        }

    # ---- types ------------------------------------------------------------------------

    def _register_type(self, kind: Any) -> Any:
        return self._np.dtype(self._np.float64) if _is_wide(kind) else self._memory_type(kind)

    def _constant(self, value: Any, narrow: Any, name: str) -> Any:
        """Rounded once, as the program's text means it, then kept wide."""
        import triton.language as tl

        data = self._np.array([value], dtype=narrow).astype(self._np.float64)
        return self._handle(data, getattr(tl, name))

    def _from_memory(self, raw: Any, kind: Any) -> Any:
        np = self._np
        if kind.name == "bf16":
            raw = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return raw.astype(np.float64)

    def _to_memory(self, data: Any, kind: Any) -> Any:
        from .. import bfloat16

        np = self._np
        with np.errstate(all="ignore"):
            if kind.name == "bf16":
                return bfloat16.narrowed(self._handle(data, kind)).data
            return np.asarray(data).astype(self._memory_type(kind))

    # ---- operations -------------------------------------------------------------------

    def _load(self, real: Any) -> Any:
        np = self._np

        def load(builder: Any, ptrs: Any, mask: Any, other: Any, *rest: Any) -> Any:
            kind = ptrs.get_element_ty()
            if not _is_wide(kind):
                return real(builder, ptrs, mask, other, *rest)
            memory = self._memory_type(kind)
            if other is None:
                fill = np.zeros_like(ptrs.data, dtype=memory)
            else:
                fill = self._to_memory(other.data, kind)
            raw = self._module._interpreter.load(ptrs.data, mask.data, fill, memory)
            data = self._from_memory(raw, kind)
            return self._handle(self._moved(data, kind) if self._nudged else data, kind)

        return load

    def _moved(self, data: Any, kind: Any) -> Any:
        np = self._np
        if self._alike:
            bits = np.arange(data.size, dtype=np.uint64).reshape(data.shape)
        else:
            bits = np.ascontiguousarray(data).view(np.uint64)
        hashed = bits * np.uint64(0x9E3779B97F4A7C15)
        up = (hashed >> np.uint64(62)) & np.uint64(1)
        step = 2.0**-52 if kind.name == "fp64" else 2.0**-23
        with np.errstate(all="ignore"):
            moved = data * np.where(up, 1 + step, 1 - step)
        return moved.reshape(data.shape)

    def _store(self, real: Any) -> Any:
        def store(builder: Any, ptrs: Any, value: Any, mask: Any, *rest: Any) -> Any:
            kind = ptrs.get_element_ty()
            if _is_wide(kind):
                value = self._handle(self._to_memory(value.data, kind), kind)
            return real(builder, ptrs, value, mask, *rest)

        return store

    def _atomic_rmw(self, real: Any) -> Any:
        def atomic(builder: Any, op: Any, ptr: Any, value: Any, *rest: Any) -> Any:
            kind = value.dtype.scalar
            if not _is_wide(kind):
                return real(builder, op, ptr, value, *rest)
            narrow = self._handle(self._to_memory(value.data, kind), kind)
            before = real(builder, op, ptr, narrow, *rest)
            return self._handle(self._from_memory(before.data, kind), kind)

        return atomic

    def _atomic_cas(self, real: Any) -> Any:
        def atomic(builder: Any, ptr: Any, compared: Any, value: Any, *rest: Any) -> Any:
            kind = value.dtype.scalar
            if not _is_wide(kind):
                return real(builder, ptr, compared, value, *rest)
            narrow = [self._handle(self._to_memory(h.data, kind), kind) for h in (compared, value)]
            before = real(builder, ptr, *narrow, *rest)
            return self._handle(self._from_memory(before.data, kind), kind)

        return atomic

    def _bitcast(self, real: Any) -> Any:
        def bitcast(builder: Any, source: Any, target: Any) -> Any:
            kind, wanted = source.dtype.scalar, target.scalar
            if not _is_wide(kind) and not _is_wide(wanted):
                return real(builder, source, target)
            data = self._to_memory(source.data, kind) if _is_wide(kind) else source.data
            bits = self._np.ascontiguousarray(data).view(self._memory_type(wanted))
            bits = bits.reshape(source.data.shape)
            return self._handle(
                self._from_memory(bits, wanted) if _is_wide(wanted) else bits, wanted
            )

        return bitcast

    def _dot(self, real: Any) -> Any:
        np = self._np

        def dot(builder: Any, a: Any, b: Any, d: Any, *rest: Any) -> Any:
            if not all(_is_wide(h.dtype.scalar) for h in (a, b, d)):
                return real(builder, a, b, d, *rest)
            product = np.matmul(_f64(np, a), _f64(np, b)) + _f64(np, d)
            return self._handle(product, d.dtype.scalar)

        return dot

    def _cast(self, real: Any) -> Any:
        def cast(builder: Any, source: Any, target: Any) -> Any:
            if not _is_wide(target.scalar):
                return real(builder, source, target)
            return self._handle(source.data.astype(self._np.float64), target.scalar)

        return cast

    def _fp_to_fp(self, real: Any) -> Any:
        import triton.language as tl

        np = self._np

        def convert(builder: Any, source: Any, target: Any, *mode: Any) -> Any:
            kind, wanted = source.dtype.scalar, target.scalar
            if _is_wide(kind) and _is_wide(wanted):
                return self._handle(source.data, wanted)
            if _is_wide(kind):  # to float8, whose few bits are the kernel's purpose
                narrow = self._handle(source.data.astype(np.float32), tl.float32)
                return real(builder, narrow, target, *mode)
            rounding = mode[0] if mode else None
            bits = self._module._convert_float(source.data, kind, tl.float32, rounding)
            return self._handle(bits.view(np.float32).astype(np.float64), wanted)

        return convert


_WRAPPED = (
    "create_masked_load", "create_masked_store", "create_atomic_rmw", "create_atomic_cas",
    "create_bitcast", "create_dot", "cast_impl", "create_fp_to_fp",
)  # fmt: skip


def _is_wide(kind: Any) -> bool:
    return getattr(getattr(kind, "scalar", kind), "name", None) in _WIDE


def _f64(np: Any, handle: Any) -> Any:
    return np.asarray(handle.data).astype(np.float64)
