"""What a call did to its caller's lists, dicts and objects."""

from __future__ import annotations

import torch

from whet_evaluator.worker.differential.holdings import Holdings


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.n_calls = 0
        self._known: dict[str, torch.Tensor] = {}


X, OTHER = torch.ones(3), torch.ones(2, 2)


def test_nothing_was_done() -> None:
    x = X.clone()
    held = Holdings({"xs": [x, 1], "table": {"k": x}, "layer": Layer()}, [x])
    x.add_(1)  # an input's elements are compared elsewhere
    assert held.changed() == ({}, [])


def test_a_result_is_appended_and_put_under_a_key() -> None:
    outs: list[torch.Tensor] = []
    table: dict[str, object] = {"old": 1}
    held = Holdings({"outs": outs, "table": table}, [X])
    outs += [OTHER, X]
    table["new"] = "done"
    changed, tensors = held.changed()
    assert changed == {
        "outs": "list of 2", "outs[0]": "float32[2x2]", "outs[1]": "input 0",
        "table": "dict of 2", "table['new']": "'done'",
    }  # fmt: skip
    assert [(place, tensor is OTHER) for place, tensor in tensors] == [("outs[0]", True)]


def test_one_tensor_takes_anothers_place() -> None:
    xs = [OTHER.clone()]
    held = Holdings({"xs": xs}, [])
    xs[0] = OTHER
    assert held.changed() == ({"xs[0]": "float32[2x2]"}, [("xs[0]", OTHER)])


def test_what_was_taken_out_is_gone() -> None:
    table = {"a": 1, "b": [2, 3]}
    held = Holdings({"table": table}, [])
    del table["b"]
    assert held.changed()[0] == {
        "table": "dict of 1", "table['b']": "gone", "table['b'][0]": "gone",
        "table['b'][1]": "gone",
    }  # fmt: skip


def test_attributes_of_an_object_old_and_new() -> None:
    layer = Layer()
    held = Holdings({"self": layer}, [])
    layer.n_calls += 1
    layer.mean = OTHER
    layer._kept = {"a": [OTHER]}
    layer._known["k"] = OTHER
    changed, tensors = held.changed()
    assert changed == {
        "self.n_calls": "1", "self._buffers['mean']": "float32[2x2]",
        "self._kept (new)": "dict of 1", "self._known": "dict of 1",
        "self._known['k']": "float32[2x2]",
    }  # fmt: skip
    assert [place for place, _ in tensors] == ["self._buffers['mean']"]


def test_what_holds_itself_comes_to_an_end() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    held = Holdings({"loop": loop}, [])
    loop[0] = 2
    assert held.changed()[0] == {"loop[0]": "2"}
