"""Running sums on the interpreter, in the order of a device."""

from __future__ import annotations

import numpy as np
import pytest

from whet_evaluator.worker.scans import scanned


@pytest.mark.parametrize("shape", [(1,), (7,), (64,), (3, 33), (5, 4, 16)])
@pytest.mark.parametrize("axis", [0, -1])
def test_each_element_is_combined_with_all_before_it(shape: tuple[int, ...], axis: int) -> None:
    data = np.random.default_rng(3).standard_normal(shape)
    before = data.copy()
    assert np.allclose(scanned(np.add, data, axis), np.cumsum(data, axis=axis))
    assert np.allclose(scanned(np.multiply, data, axis), np.cumprod(data, axis=axis))
    assert np.array_equal(data, before)


def test_rounding_does_not_grow_with_the_length() -> None:
    data = np.random.default_rng(3).random(1 << 16).astype(np.float32)
    truth = np.cumsum(data.astype(np.float64))
    one_by_one, in_steps = (
        np.abs(made - truth).max() for made in (np.cumsum(data), scanned(np.add, data, 0))
    )
    assert scanned(np.add, data, 0).dtype == np.float32
    assert in_steps < one_by_one / 4


def test_infinity_stays_behind_what_came_before_it() -> None:
    made = scanned(np.add, np.array([1.0, np.inf, 2.0, -np.inf, 3.0]), 0)
    assert made[0] == 1.0
    assert made[1] == made[2] == np.inf
    assert np.isnan(made[3:]).all()
