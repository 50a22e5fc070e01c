"""The one line of a red test that says why."""

from __future__ import annotations

import pytest

from whet_evaluator.worker.records import TestOutcome


@pytest.mark.parametrize(
    ("detail", "gist"),
    [
        ("", ""),
        (">  assert f(x) == 1\nE  assert 2 == 1\nE   +  where 2 = f(3)\nt.py:4: AssertionError",
         "assert 2 == 1"),
        (">  self.fn()\nE  AttributeError: no to\nk.py:1: AttributeError\n>  raise E2 from e\n"
         "E  InterpreterError: AttributeError('no to')\ni.py:9: InterpreterError\n"
         "tensors: x: float32[2, 8]", "InterpreterError: AttributeError('no to')"),
        ("E  AssertionError: Tensor-likes are not close!\nE\nE  Mismatched elements: 1 / 2\n"
         "tensors: x: float32[2]", "AssertionError: Tensor-likes are not close!"),
        ("fixture 'gpu' not found\n", "fixture 'gpu' not found"),
        ("import failed\ntensors: x: float32[2]", "import failed"),
    ],
)  # fmt: skip
def test_gist(detail, gist):
    assert TestOutcome(nodeid="t.py::t", outcome="failed", seconds=0.1, detail=detail).gist == gist
