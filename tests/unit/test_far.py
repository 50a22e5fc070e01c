"""Whole numbers as no test passed them."""

from __future__ import annotations

import pytest

from whet_evaluator.worker.differential import far, inputs


def tensor(storage, dtype="int64", **more):
    size = 4 if dtype.endswith("32") else 8
    return {"tensor": {
        "shape": [6], "strides": [1], "offset": 0, "storage": storage, "dtype": dtype,
        "storage_bytes": 6 * size, "requires_grad": False, **more,
    }}  # fmt: skip


def cases_of(*args, **more):
    names = ["x", "y", "z"]
    call = {"launcher": "f", "args": list(args), "kwargs": {}, "names": names, **more}
    return far.cases([call], [64], seed=1)


@pytest.mark.parametrize(
    ("argument", "kind", "low", "high"),
    [
        (tensor(0, range=[-1000, 1000]), far.FAR, -(1 << 40), 1 << 40),
        (tensor(0, "int32", values=[-300, 2, 3, 4, 5, 6]), far.FAR, -(1 << 25), 1 << 25),
        (tensor(0, values=[0, 5, 2, 2, 1, 3]), far.FROM_THE_END, -6, -1),
        (tensor(0, range=[-100, 9]), far.FROM_THE_END, -10, -1),
    ],
)
def test_data_goes_far_and_indices_count_from_the_end(argument, kind, low, high):
    (case,) = cases_of(argument)
    assert (case["hard"], case["values"]) == (False, {"0": kind})
    (made,) = inputs.build(case, "cpu").tensors
    assert low <= int(made.min()) <= int(made.max()) <= high
    assert kind == far.FROM_THE_END or int(made.abs().max()) > 1 << 24


def test_each_storage_is_asked_once_and_only_whole_numbers():
    floats = tensor(1, "float32")
    assert [case["values"] for case in cases_of(tensor(0), floats, tensor(0))] == [
        {"0": far.FROM_THE_END}
    ]


def test_a_kernels_own_arguments_are_left_alone():
    assert not cases_of(tensor(0), grid=[1])
