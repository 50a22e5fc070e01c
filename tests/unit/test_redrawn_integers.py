"""Small integer tensors drawn anew for generated cases: what they held stays possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet_evaluator.worker.differential import encoded, indices


def call(values: list[int], dtype: str = "int32", *scalars: int) -> dict:
    tensor = {
        "shape": [len(values)], "strides": [1], "offset": 0, "dtype": dtype, "storage": 0,
        "storage_bytes": 4 * len(values), "requires_grad": False, "values": values,
    }  # fmt: skip
    arguments = [{"tensor": tensor}, *({"value": one} for one in scalars)]
    return {"launcher": "k", "args": arguments, "kwargs": {}}


def redrawn(values: list[int], *scalars: int, blocks: tuple[int, ...] = ()) -> list[int] | None:
    made = indices.redrawn(call(values, "int32", *scalars), blocks)
    if made is None:
        return None
    (described,) = encoded.tensors(made).values()
    return described["values"]


@given(st.lists(st.integers(-5, 40), min_size=1, max_size=12))
def test_what_held_of_the_values_holds_again(values):
    made = redrawn(values, 10)
    if made is None:
        return
    assert len(made) == len(values)
    assert min(values) <= min(made)
    assert max(made) <= max(values)
    if len(set(values)) == len(values):
        assert len(set(made)) == len(made)
    if values == sorted(values):
        assert made == sorted(made)
    assert made == redrawn(values, 10), "the same call gives the same values"


@pytest.mark.parametrize(
    "values",
    [[0, 4, 9, 12], [3, 1, 0, 2], [5], [7, 7]],
    ids=["count", "permutation", "one", "equal"],
)
def test_some_tensors_stay_as_they_are(values):
    assert redrawn(values) is None


def test_ends_of_blocks_and_scalars_are_drawn():
    values = [200, 128, 256, 128, 256, 200, 150, 150]
    made = redrawn(values, 222, blocks=(128,))
    assert made is not None
    assert {127, 128, 129, 221, 222, 223} & set(made)


@pytest.mark.parametrize(
    ("new_size", "expected"), [(300, [0, 299, 146]), (25, [0, 24, 24]), (50, [0, 49, 24])]
)
def test_indices_reach_the_end_of_a_larger_table(new_size, expected):
    (old,) = encoded.tensors(call([0, 49, 24])).values()
    new = dict(old)
    indices.adapt(old, new, [(50, new_size)])
    assert new["values"] == expected
    large = {**old, "range": [0, 49]}
    del large["values"]
    made = dict(large)
    indices.adapt(large, made, [(50, new_size)])
    assert made["range"] == [0, new_size - 1]
