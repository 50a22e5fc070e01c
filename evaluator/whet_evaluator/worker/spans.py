"""The bytes that an operation on memory touches, as spans of addresses. Needs NumPy.

Nearly all operations touch one span from its first lane to its last, or a few in rising order:
those are told without sorting, which would cost more than the operation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

LANES = 64
"""Neighbouring elements that go to memory together: a wavefront."""
SEGMENT_BYTES = 64


class Spans(NamedTuple):
    """`starts[i]` to before `ends[i]`, in bytes; int64, in no order and perhaps overlapping."""

    starts: Any
    ends: Any

    @property
    def n_bytes(self) -> int:
        """Of spans that do not overlap, such as those of `union`."""
        return int((self.ends - self.starts).sum())


class Access(NamedTuple):
    n_lanes: int
    """Active ones."""
    segments: int
    """Of `SEGMENT_BYTES`, summed over groups of `LANES` lanes: each is one transaction."""
    spans: Spans


def of_access(addresses: Any, mask: Any, size: int) -> Access:
    """`addresses`: one for each element of a tile of any rank; `mask`: which are active, of a
    shape that broadcasts to theirs, or None for all; `size` of an element in bytes."""
    import numpy as np

    at = np.asarray(addresses).astype(np.int64, copy=False)
    active = None if mask is None or mask.all() else np.broadcast_to(mask, at.shape)
    at, active = _innermost_last(at, active)
    if active is not None:
        n_active = int(np.count_nonzero(active))
        if active[:n_active].all():  # a tail is masked, as at the end of a row
            at, active = at[:n_active], None
    if active is not None:
        return _scattered(np, at, active, size)
    if not at.size:
        return Access(0, 0, Spans(at, at))
    steps = at[1:] - at[:-1]
    if (steps == size).all():
        return _one_span(np, int(at[0]), at.size, size)
    if (steps >= 0).all():
        return Access(at.size, _rising_segments(np, at), _rising_spans(np, at, steps, size))
    return _scattered(np, at, np.ones(at.shape, bool), size)


def union(parts: Sequence[Spans]) -> Spans:
    """The same bytes in spans that neither overlap nor touch, rising."""
    import numpy as np

    if not parts:
        return Spans(np.empty(0, np.int64), np.empty(0, np.int64))
    starts, ends = (np.concatenate(arrays) for arrays in zip(*parts))
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    apart = starts[1:] > ends[:-1]
    return Spans(_heads(np, starts, apart), _tails(np, ends, apart))


def _innermost_last(at: Any, active: Any) -> tuple[Any, Any]:
    """Both flattened, the dimension of the smallest address step innermost."""
    if at.ndim > 1 and at.size:
        steps = []
        for axis, n in enumerate(at.shape):
            index = tuple(1 if i == axis and n > 1 else 0 for i in range(at.ndim))
            step = abs(int(at[index]) - int(at.flat[0])) if n > 1 else 1 << 62
            steps.append(step)
        order = sorted(range(at.ndim), key=lambda axis: -steps[axis])
        at = at.transpose(order)
        active = None if active is None else active.transpose(order)
    return at.reshape(-1), None if active is None else active.reshape(-1)


def _one_span(np: Any, first: int, n: int, size: int) -> Access:
    last = first + (n - 1) * size
    segments = sum(
        min(head + (LANES - 1) * size, last) // SEGMENT_BYTES - head // SEGMENT_BYTES + 1
        for head in range(first, last + 1, LANES * size)
    )
    starts, ends = np.array([first], np.int64), np.array([last + size], np.int64)
    return Access(n, segments, Spans(starts, ends))


def _rising_segments(np: Any, at: Any) -> int:
    segments = at // SEGMENT_BYTES
    is_new = np.empty(at.shape, bool)
    is_new[1:] = segments[1:] != segments[:-1]
    is_new[::LANES] = True
    return int(np.count_nonzero(is_new))


def _rising_spans(np: Any, at: Any, steps: Any, size: int) -> Spans:
    apart = steps > size
    return Spans(_heads(np, at, apart), _tails(np, at, apart) + size)


def _scattered(np: Any, at: Any, active: Any, size: int) -> Access:
    chosen = np.sort(at[active])
    if not chosen.size:
        return Access(0, 0, Spans(chosen, chosen))
    rising = _rising_spans(np, chosen, chosen[1:] - chosen[:-1], size)
    return Access(chosen.size, _scattered_segments(np, at, active), rising)


def _scattered_segments(np: Any, at: Any, active: Any) -> int:
    segments = np.where(active, at // SEGMENT_BYTES, 0)
    rows = np.pad(segments, (0, -segments.size % LANES)).reshape(-1, LANES)
    rows = np.sort(rows, axis=1)
    distinct = (rows[:, 1:] != rows[:, :-1]).sum(axis=1) + 1
    has_zero = rows[:, 0] == 0  # inactive lanes: address zero is nobody's
    return int((distinct - has_zero).sum())


def _heads(np: Any, values: Any, apart: Any) -> Any:
    """The first value of each group; `apart[i]` parts values i and i + 1."""
    return values[np.concatenate([[True], apart])] if values.size else values


def _tails(np: Any, values: Any, apart: Any) -> Any:
    return values[np.concatenate([apart, [True]])] if values.size else values
