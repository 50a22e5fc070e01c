"""The one line of a red test that says why."""

from __future__ import annotations

import pytest

from whet_evaluator.worker.records import TestOutcome

ASSERTION = """\
>  assert f(x) == 1
E  assert 2 == 1
E   +  where 2 = f(3)
t.py:4: AssertionError"""
CHAINED = """\
>  self.fn()
E  AttributeError: no to
k.py:1: AttributeError
>  raise E2 from e
E  InterpreterError: AttributeError('no to')
i.py:9: InterpreterError
tensors: x: float32[2, 8]"""
LONG = """\
E  AssertionError: Tensor-likes are not close!
E
E  Mismatched elements: 1 / 2
tensors: x: float32[2]"""
SYNTAX = """\
t.py:1: in <module>
    from k import f
E     File "/tmp/whet-worker-x/k.py", line 28
E       def half(
E               ^
E   SyntaxError: '(' was never closed"""


@pytest.mark.parametrize(
    ("detail", "gist"),
    [
        ("", ""),
        (ASSERTION, "assert 2 == 1"),
        (CHAINED, "InterpreterError: AttributeError('no to')"),
        (SYNTAX, "SyntaxError: '(' was never closed (k.py, line 28)"),
        (LONG, "AssertionError: Tensor-likes are not close!"),
        ("fixture 'gpu' not found\n", "fixture 'gpu' not found"),
        ("import failed\ntensors: x: float32[2]", "import failed"),
    ],
)
def test_gist(detail, gist):
    assert TestOutcome(nodeid="t.py::t", outcome="failed", seconds=0.1, detail=detail).gist == gist


def test_a_limit_of_the_interpreter_says_so():
    outcome = TestOutcome(
        nodeid="t.py::t",
        outcome="failed",
        seconds=0.1,
        detail=ASSERTION,
        uncovered="inline assembly",
    )
    assert outcome.gist == "Triton's interpreter cannot do this: inline assembly"
