"""Counts a kernel's traffic element by element on Triton's interpreter.

Nothing here is measured: these are the bytes the kernel's own loads and stores name,
whatever a cache would make of them. A wavefront is taken as 64 neighbouring elements of
a tile, neighbouring along the dimension whose addresses lie closest, which is how the
compiler lays out a tile it can coalesce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import spans
from .launch_records import Counted

_MERGE_AT = 1 << 20
"""Spans kept apart before they are united."""


class Counter:
    """Counts between entering and leaving `counting()`; costs nothing outside it."""

    def __init__(self) -> None:
        self._active = False
        self._clear()

    def install(self, builder: Any) -> None:
        """Wraps the memory and dot operations of Triton's `InterpreterBuilder`."""
        self._wrap(builder, "create_masked_load", self._load)
        self._wrap(builder, "create_masked_store", self._store)
        self._wrap(builder, "create_atomic_rmw", self._atomic)
        self._wrap(builder, "create_atomic_cas", self._compare_and_swap)
        self._wrap(builder, "create_dot", self._dot)
        self._wrap(builder, "create_dot_scaled", self._dot_scaled)

    @contextmanager
    def counting(self) -> Iterator[None]:
        self._clear()
        self._active = True
        try:
            yield
        finally:
            self._active = False

    def result(self, grid: tuple[int, ...]) -> Counted:
        programs = 1
        for n in grid:
            programs *= n
        return Counted(
            loaded_bytes=self._loaded,
            stored_bytes=self._stored,
            atomic_bytes=self._atomics,
            compulsory_bytes=self._distinct_bytes(),
            dot_flops=self._flops,
            programs=programs,
            transactions=self._transactions,
        )

    def _clear(self) -> None:
        self._loaded = self._stored = self._atomics = self._flops = self._transactions = 0
        self._touched: list[spans.Spans] = []
        self._n_pending = 0

    def _wrap(self, builder: Any, name: str, count: Callable[..., None]) -> None:
        original = getattr(builder, name, None)
        if original is None:
            return
        counter = self

        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            if counter._active:
                count(*args, **kwargs)
            return original(self, *args, **kwargs)

        setattr(builder, name, wrapped)

    # ---- one operation ----------------------------------------------------------------

    def _load(self, ptrs: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._loaded += self._access(ptrs, mask)

    def _store(self, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._stored += self._access(ptrs, mask)

    def _atomic(self, op: Any, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._atomics += self._access(ptrs, mask)

    def _compare_and_swap(self, ptrs: Any, *_: Any, **__: Any) -> None:
        self._atomics += self._access(ptrs, None)

    def _dot(self, a: Any, b: Any, *_: Any, **__: Any) -> None:
        self._flops += 2 * int(a.data.size) * int(b.data.shape[-1])

    def _dot_scaled(self, *args: Any, **__: Any) -> None:
        accumulator = args[-1].data
        packed = next(a.data for a in args if hasattr(a, "data"))
        self._flops += 2 * int(accumulator.size) * int(packed.shape[-1])

    def _access(self, ptrs: Any, mask: Any) -> int:
        """Notes the addresses of one operation; returns the bytes of its active lanes."""
        size = max(1, int(ptrs.get_element_ty().primitive_bitwidth) // 8)
        seen = spans.of_access(ptrs.data, None if mask is None else mask.data, size)
        self._transactions += seen.segments
        self._touched.append(seen.spans)
        self._n_pending += len(seen.spans.starts)
        if self._n_pending > _MERGE_AT:
            self._merge()
        return seen.n_lanes * size

    def _merge(self) -> None:
        self._touched = [spans.union(self._touched)]
        self._n_pending = 0

    def _distinct_bytes(self) -> int:
        self._merge()
        return self._touched[0].n_bytes
