"""Traffic told by spans, beside an account lane by lane."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from whet_evaluator.worker import spans

_BASE = 1 << 40
_SIZES = st.sampled_from([1, 2, 4, 8])


def _lane_by_lane(
    addresses: np.ndarray, active: np.ndarray, size: int
) -> tuple[int, int, set[int]]:
    """Lanes, segments and bytes of a flat tile."""
    n_segments = 0
    for start in range(0, len(addresses), spans.LANES):
        group = slice(start, start + spans.LANES)
        touched = addresses[group][active[group]]
        n_segments += len({int(a) // spans.SEGMENT_BYTES for a in touched})
    touched_bytes = {int(a) + i for a in addresses[active] for i in range(size)}
    return int(active.sum()), n_segments, touched_bytes


def _check(addresses: np.ndarray, active: np.ndarray | None, size: int) -> None:
    seen = spans.of_access(addresses, active, size)
    everywhere = np.ones(addresses.shape, bool) if active is None else active
    expected = _lane_by_lane(addresses.reshape(-1), everywhere.reshape(-1), size)
    united = spans.union([seen.spans])
    held = {b for start, end in zip(*united, strict=True) for b in range(int(start), int(end))}
    assert (seen.n_lanes, seen.segments, held) == expected
    assert united.n_bytes == len(held)


@given(
    n=st.integers(1, 300), step=st.integers(-3, 20), size=_SIZES, n_active=st.integers(0, 300),
    offset=st.integers(0, 130),
)  # fmt: skip
def test_even_steps_with_a_masked_tail(
    n: int, step: int, size: int, n_active: int, offset: int
) -> None:
    addresses = (_BASE + offset + np.arange(n) * step * size).astype(np.uint64)
    _check(addresses, None, size)
    _check(addresses, np.arange(n) < n_active, size)


@given(st.data(), _SIZES)
def test_any_addresses_and_any_mask(data: st.DataObject, size: int) -> None:
    n = data.draw(st.integers(1, 200))
    drawn = data.draw(arrays.arrays(np.uint64, n, elements=st.integers(0, 4000)))
    active = data.draw(arrays.arrays(bool, n))
    _check(drawn + np.uint64(_BASE), active, size)


def test_a_column_major_tile_is_read_along_its_columns() -> None:
    rows, columns = np.arange(32)[:, None], np.arange(64)[None, :]
    by_rows = (_BASE + 4 * (rows * 64 + columns)).astype(np.uint64)
    seen = spans.of_access(by_rows.T, None, 4)
    assert seen == spans.of_access(by_rows, None, 4)
    assert seen.segments == 32 * 64 * 4 // spans.SEGMENT_BYTES


def test_spans_of_several_accesses_are_counted_once() -> None:
    one = spans.of_access(np.arange(_BASE, _BASE + 400, 4, dtype=np.uint64), None, 4)
    two = spans.of_access(np.arange(_BASE + 200, _BASE + 600, 8, dtype=np.uint64), None, 8)
    assert spans.union([one.spans, two.spans, one.spans]).n_bytes == 600
    assert spans.union([]).n_bytes == 0
