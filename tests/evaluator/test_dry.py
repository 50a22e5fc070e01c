"""Launches that nobody has the memory for, on the real interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import warm
from whet_evaluator.worker.differential import encoded, huge
from whet_evaluator.worker.differential.outputs import NOT_RUN

GIB = 1 << 30


@pytest.fixture(scope="module")
def answer():
    return warm.run_file(Path(__file__).with_name("unwieldy.py"))


@pytest.mark.parametrize(
    ("launcher", "raised", "strayed"),
    [
        ("offsets_of_64_bits", None, ""),
        ("offsets_of_32_bits", None, "outside every tensor of its launch"),
        ("rows_on_the_second_axis", "programs along axis 1, which ends at 65,535", ""),
        ("walks_its_input", f"{NOT_RUN}: it takes more than 1 s", ""),
        ("refuses", "TypeError: rows only", ""),
        ("flat", None, ""),
        ("one_block", "arange", ""),
    ],
)
def test_a_dry_launch(answer, launcher, raised, strayed):
    _, said, outside = answer["said"][launcher]
    assert (said is None) == (raised is None), said
    assert raised is None or raised in said
    assert bool(outside) == bool(strayed), outside
    assert strayed in outside


def test_no_memory_is_used_for_what_is_not_touched(answer):
    assert answer["peak"] < 2 * GIB


def tensor(shape, *, storage=0, **more):
    strides = encoded.contiguous(shape)
    described = {
        "shape": shape, "strides": strides, "offset": 0, "storage": storage, "dtype": "float32",
        "requires_grad": False, "storage_bytes": 4 * shape[0] * strides[0], **more,
    }  # fmt: skip
    return {"tensor": described}


def huge_of(*args, **more):
    call = {"launcher": "f", "args": list(args), "kwargs": {}, "names": [], **more}
    return [case["call"] for case in huge.cases([call], [64], seed=1)]


def shapes(call):
    return [one["tensor"]["shape"] for one in call["args"] if "tensor" in one]


def test_rows_become_many_and_stay_as_long():
    (call,) = huge_of(tensor([5, 40]), tensor([40], storage=1))
    ((rows, columns), weight) = shapes(call)
    assert (columns, weight) == (40, [40])
    assert huge.REACH < rows * columns < 1.01 * huge.REACH
    assert rows % 16 == 0


def test_a_square_stays_one():
    ((rows, columns),) = shapes(*huge_of(tensor([40, 40])))
    assert rows == columns
    assert rows * columns > huge.REACH


def test_a_number_that_counts_the_elements_follows():
    (call,) = huge_of(tensor([300]), {"value": 300})
    assert call["args"][1]["value"] == call["args"][0]["tensor"]["shape"][0] > huge.REACH


def test_indices_and_direct_launches_are_left_out():
    assert not huge_of(tensor([5, 40]), tensor([5], storage=1, dtype="int64", values=[1] * 5))
    assert not huge_of(tensor([5, 40]), grid=[5])
