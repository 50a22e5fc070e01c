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

from .launch_records import Counted

LANES = 64
SEGMENT_BYTES = 64
_MERGE_AT = 1 << 22


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
        self._touched: dict[int, list[Any]] = {}
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
        import numpy as np

        size = max(1, int(ptrs.get_element_ty().primitive_bitwidth) // 8)
        addresses = np.asarray(ptrs.data)
        active = np.ones(addresses.shape, bool) if mask is None else mask.data
        active = np.broadcast_to(active, addresses.shape)
        addresses, active = _coalesced(np, addresses, active)
        self._transactions += _segments(np, addresses, active)
        chosen = addresses[active]
        self._touched.setdefault(size, []).append(np.unique(chosen))
        self._n_pending += chosen.size
        if self._n_pending > _MERGE_AT:
            self._merge(np)
        return int(chosen.size) * size

    def _merge(self, np: Any) -> None:
        for size, arrays in self._touched.items():
            self._touched[size] = [np.unique(np.concatenate(arrays))]
        self._n_pending = 0

    def _distinct_bytes(self) -> int:
        """The union of all intervals touched, whatever the widths of the accesses."""
        import numpy as np

        self._merge(np)
        if not self._touched:
            return 0
        starts = np.concatenate([arrays[0] for arrays in self._touched.values()])
        ends = np.concatenate(
            [arrays[0] + np.uint64(size) for size, arrays in self._touched.items()]
        )
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        if not starts.size:
            return 0
        before = np.concatenate([starts[:1], ends[:-1]])
        gained = ends - np.maximum(starts, before)
        return int(gained[ends > before].sum())


def _coalesced(np: Any, addresses: Any, active: Any) -> tuple[Any, Any]:
    """Both flattened, the dimension of the smallest address step innermost."""
    if addresses.ndim < 2:
        return addresses.reshape(-1), active.reshape(-1)
    steps = []
    for axis, n in enumerate(addresses.shape):
        first = addresses[tuple(0 for _ in addresses.shape)]
        index = tuple(1 if i == axis and n > 1 else 0 for i in range(addresses.ndim))
        step = abs(int(addresses[index]) - int(first)) if n > 1 else 1 << 62
        steps.append(step)
    order = sorted(range(addresses.ndim), key=lambda axis: -steps[axis])
    return addresses.transpose(order).reshape(-1), active.transpose(order).reshape(-1)


def _segments(np: Any, addresses: Any, active: Any) -> int:
    """64-byte segments touched, summed over groups of 64 lanes."""
    segments = np.where(active, addresses // np.uint64(SEGMENT_BYTES), 0)
    padding = -segments.size % LANES
    rows = np.pad(segments, (0, padding)).reshape(-1, LANES)
    rows = np.sort(rows, axis=1)
    distinct = (rows[:, 1:] != rows[:, :-1]).sum(axis=1) + 1
    has_zero = rows[:, 0] == 0  # inactive lanes: address zero is nobody's
    return int((distinct - has_zero).sum())
