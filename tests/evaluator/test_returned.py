"""What a launcher returns, taken apart, and which outputs are the same memory."""

from __future__ import annotations

import collections
import dataclasses
import types
from typing import NamedTuple

import attrs
import torch

from whet_evaluator.worker.differential.execution import _together
from whet_evaluator.worker.returned import structure_of, tensors_in


class Pair(NamedTuple):
    mean: object
    rows: object


@dataclasses.dataclass
class Stats:
    mean: torch.Tensor
    more: dict


@attrs.define
class Wrapped:
    inner: object


ONE, TWO = torch.zeros(3), torch.ones(2)


def test_tensors_are_found_in_every_kind_of_result():
    for value in (
        (ONE, [TWO]), {"a": ONE, "b": TWO}, Pair(ONE, TWO), Stats(ONE, {"x": TWO}),
        Wrapped((ONE, TWO)), types.SimpleNamespace(a=ONE, b=TWO), torch.return_types.max((ONE, TWO)),
    ):  # fmt: skip
        assert [t.data_ptr() for t in tensors_in(value)] == [ONE.data_ptr(), TWO.data_ptr()]
    assert tensors_in(None) == tensors_in(3) == tensors_in(Stats) == []


def test_the_form_names_classes_and_fields():
    plain: list = []
    assert structure_of((ONE, [3, "a"]), plain) == "(Tensor, [int, str])"
    assert plain == [3, "a"]
    assert structure_of(Stats(ONE, {"x": 1.5}), plain) == "Stats(mean: Tensor, more: {x: float})"
    assert plain[2:] == ["1.5"]
    assert structure_of(Pair(ONE, None), plain) == "Pair(mean: Tensor, rows: NoneType)"
    assert structure_of(torch.Size([2]), plain) == structure_of((2,), plain) == "(int)"
    assert structure_of(collections.OrderedDict(a=ONE), plain) == "OrderedDict(a: Tensor)"


def test_outputs_that_share_elements_not_only_a_buffer():
    buffer = torch.zeros(4, 6)
    assert _together(torch, (buffer[:, :3], buffer[:, 3:])) == ()
    assert _together(torch, (buffer[:, ::2], buffer[:, 1::2], ONE)) == ()
    assert _together(torch, (buffer, buffer)) == ((0, 1),)
    assert _together(torch, (ONE, buffer[:, 2:4], buffer[1, 3:].t())) == ((1, 2),)
    assert _together(torch, (buffer[:0], buffer)) == ()
    assert _together(torch, (torch.zeros(1).expand(5), torch.zeros(1))) == ()
