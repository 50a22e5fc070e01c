"""Reductions and scans by a function of the kernel's own, in another order than the interpreter's.

Triton's interpreter takes one element after the other, and of equal largest ones the first. On a
device halves are combined, in an order that nobody promises, and which of equal elements
`tie_break_left=False` gives is left open. So a run may ask for the other order: reductions from
the far end, scans in steps of 1, 2, 4, ... A function that is associative (and, for a reduction,
commutative) gives the same, roundings apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_TIES_LEFT_OPEN = ("_argmax_combine_tie_break_fast", "_argmin_combine_tie_break_fast")


@dataclass
class _Order:
    is_other: bool = False
    was_other: bool = False
    """Whether anything was combined in it."""


_order = _Order()


@contextmanager
def in_another_order() -> Iterator[None]:
    _order.is_other, _order.was_other = True, False
    try:
        yield
    finally:
        _order.is_other = False


def was_reordered() -> bool:
    """Whether the last such run combined anything in the other order; forgets it."""
    found, _order.was_other = _order.was_other, False
    return found


def install(interpreter: Any) -> None:
    """Replaces the parts of `interpreter.ReduceOps` and `ScanOps` that call the kernel's function."""
    reduce, scan = interpreter.ReduceOps, interpreter.ScanOps
    reduce.generic_reduce = _from_the_far_end(reduce.generic_reduce)
    reduce.apply_impl = _last_of_equal(reduce.apply_impl, interpreter.tl.standard)
    scan.generic_scan = _in_steps(scan.generic_scan, interpreter.tl.core.tensor)


def _from_the_far_end(one_by_one: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(self: Any, given: Any) -> Any:
        if not _order.is_other:
            return one_by_one(self, given)
        _order.was_other = True
        return one_by_one(self, tuple(_turned(self, tensor) for tensor in given))

    return reduced


def _last_of_equal(first_of_equal: Callable[..., Any], standard: Any) -> Callable[..., Any]:
    open_ties = [getattr(standard, name, None) for name in _TIES_LEFT_OPEN]

    def applied(self: Any, given: Any) -> Any:
        if not _order.is_other or not any(self.combine_fn is one for one in open_ties):
            return first_of_equal(self, given)
        _order.was_other = True
        tensor = given[0] if isinstance(given, tuple) else given
        shape = tensor.handle.data.shape
        n = tensor.handle.data.size if self.axis is None else shape[self.axis]
        value, place = first_of_equal(self, (_turned(self, tensor), *given[1:]))
        place.handle.data = (n - 1 - place.handle.data).astype(place.handle.data.dtype)
        return value, place

    return applied


def _turned(operation: Any, tensor: Any) -> Any:
    import numpy as np

    data = np.ascontiguousarray(np.flip(tensor.handle.data, axis=operation.axis))
    return operation.to_tensor(data, tensor.dtype)


def _in_steps(one_by_one: Callable[..., Any], tensor: Any) -> Callable[..., Any]:
    def scanned(self: Any, given: Any) -> Any:
        if not _order.is_other:
            return one_by_one(self, given)
        try:
            with _without_truth(tensor):
                made = _doubled(self, given)
        except Exception:  # a function that takes no blocks, such as one with `if` in it
            return one_by_one(self, given)
        _order.was_other = True
        return made

    return scanned


@contextmanager
def _without_truth(tensor: Any) -> Iterator[None]:
    """Within it a block is neither true nor false: the interpreter asks whether any element is."""

    def refused(self: Any) -> bool:
        raise TypeError("a block of elements is neither true nor false")

    known = tensor.__bool__
    tensor.__bool__ = refused
    try:
        yield
    finally:
        tensor.__bool__ = known


def _doubled(self: Any, given: Any) -> list[Any]:
    """Each element combined with what lies 1, 2, 4, ... before it, whole blocks at once."""
    import numpy as np

    types = [tensor.dtype for tensor in given]
    blocks = [np.array(tensor.handle.data) for tensor in given]
    n, step = blocks[0].shape[self.axis], 1
    kept = np.arange(n).reshape([-1 if d == self.axis else 1 for d in range(blocks[0].ndim)])
    while step < n:
        before = [np.roll(block, step, axis=self.axis) for block in blocks]
        arguments = [
            self.to_tensor(block, dtype) for group in (before, blocks)
            for block, dtype in zip(group, types)
        ]  # fmt: skip
        found = self.combine_fn.fn(*arguments)
        found = found if isinstance(found, tuple) else (found,)
        combined: list[Any] = [getattr(getattr(one, "handle", None), "data", one) for one in found]
        blocks = [
            np.where(kept < step, old, new).astype(old.dtype) for old, new in zip(blocks, combined)
        ]
        step *= 2
    return [self.to_tensor(block, dtype) for block, dtype in zip(blocks, types)]
