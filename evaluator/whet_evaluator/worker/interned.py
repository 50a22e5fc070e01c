"""What Triton's interpreter makes anew for every operation, made once per shape and type.

An operation on a block makes a tensor or three, with a type, a tuple of constants and a name for
each, and looks up NumPy's types in a table that is built for the purpose. None of it depends on
anything but the shape and the type of its elements, and on small blocks it costs more than the
operation itself. What is unknown here is asked of Triton, each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_OF_A_TENSOR = {"handle", "type", "dtype", "numel", "shape"}
_MAX_KNOWN = 10_000
"""Entries of a table; kernels that make more kinds than that pay for the others each time."""


def install(interpreter: Any, core: Any) -> None:
    """Replaces constructors of `triton.language.core` and a lookup of the interpreter."""
    core.block_type.__init__ = _of_block_type(core.block_type.__init__, core)
    core.tensor.__init__ = _of_tensor(core.tensor.__init__)
    interpreter._get_np_dtype = _by_name(interpreter._get_np_dtype)


def _of_block_type(real: Callable[..., None], core: Any) -> Callable[..., None]:
    known: dict[tuple[str, tuple[int, ...]], dict[str, Any]] = {}

    @functools.wraps(real)
    def init(self: Any, element_ty: Any, shape: Any) -> None:
        sizes = tuple([getattr(size, "value", size) for size in shape])
        plain = isinstance(element_ty, core.dtype) and all(type(size) is int for size in sizes)
        if not plain:
            real(self, element_ty, shape)
            return
        made = known.get((element_ty.name, sizes))
        if made is None:
            real(self, element_ty, shape)
            if len(known) < _MAX_KNOWN:
                known[element_ty.name, sizes] = dict(vars(self))
            return
        vars(self).update(made)
        self.element_ty = element_ty

    return init


def _of_tensor(real: Callable[..., None]) -> Callable[..., None]:
    known: dict[tuple[int, ...], tuple[Any, Any]] = {}

    @functools.wraps(real)
    def init(self: Any, handle: Any, type: Any) -> None:  # noqa: A002 - Triton's name for it
        sizes = tuple(type.shape) if type.is_block() else ()
        made = known.get(sizes)
        if made is None:
            real(self, handle, type)
            if vars(self).keys() == _OF_A_TENSOR and len(known) < _MAX_KNOWN:
                known[sizes] = self.numel, self.shape
            return
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.numel, self.shape = made

    return init


def _by_name(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    known: dict[str, Any] = {}

    @functools.wraps(real)
    def lookup(tt_dtype: Any) -> Any:
        name = tt_dtype.name
        found = known.get(name)
        if found is None:
            found = real(tt_dtype)
            if len(known) < _MAX_KNOWN:
                known[name] = found
        return found

    return lookup
