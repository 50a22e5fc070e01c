"""Comparisons on Triton's interpreter yield booleans, as they do in compiled code.

In Triton 3.9 the array of a comparison is boolean and its handle bears the type of what was
compared. A scalar's is made a block by that type: `(columns < n) & (row < m)` became integers, and
no mask. Blocks, whose arrays are kept as they are, never showed it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_NAMES = ("create_icmp", "create_fcmp")


def install(interpreter: Any) -> None:
    """Wraps the comparisons of `interpreter.InterpreterBuilder`."""
    builder = interpreter.InterpreterBuilder
    for name in dir(builder):
        if name.startswith(_NAMES):
            setattr(builder, name, _boolean(getattr(builder, name), interpreter))


def _boolean(compare: Callable[..., Any], interpreter: Any) -> Callable[..., Any]:
    handle, int1 = interpreter.TensorHandle, interpreter.tl.int1

    @functools.wraps(compare)
    def compared(self: Any, left: Any, right: Any) -> Any:
        made = compare(self, left, right)
        is_known = made.dtype == int1 or made.data.dtype != bool
        return made if is_known else handle(made.data, int1)

    return compared
