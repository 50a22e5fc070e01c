"""The grid of a direct launch, told as what it was probably computed from.

A test writes `kernel[(triton.cdiv(n, 64),)]` and only the quotient is recorded. Where it is
ceil(m / b) for a number m of the call and a constant b of the launch, the dimension becomes
`[[m, b]]`, so that it follows m when a size changes. A guess that is wrong makes a case
that the original fails too, and such a case decides nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from . import encoded
from .encoded import Call


def told(call: Call) -> Call:
    """The call with its grid's numbers as quotients where that fits; itself without a grid."""
    if not call.get("grid"):
        return call
    sizes = {n for one in encoded.tensors(call).values() for n in one["shape"]}
    made = copy.copy(call)
    made["grid"] = [
        _quotient(call, n) if isinstance(n, int) and n > 1 and n not in sizes else n
        for n in call["grid"]
    ]
    return made


def _quotient(call: Call, n: int) -> int | list[list[int]]:
    blocks = sorted(b for b in call_constants(call) if b > 1 and b & (b - 1) == 0)
    for whole in _wholes(call):
        for block in blocks:
            if -(-whole // block) == n:
                return [[whole, block]]
    return n


def call_constants(call: Call) -> set[int]:
    """Integers passed by keyword: a launch's constants are, and its warps and stages."""
    return {
        value
        for path, value in encoded.integers(call).items()
        if path[0] == "kwargs" and path[1] not in {"num_warps", "num_stages"}
    }


def _wholes(call: Call) -> Iterator[int]:
    """What could have been divided: integer arguments, then counts of elements, then sizes."""
    yield from (n for path, n in encoded.integers(call).items() if path[0] == "args")
    for described in encoded.tensors(call).values():
        count = 1
        for n in described["shape"]:
            count *= n
        yield count
    for described in encoded.tensors(call).values():
        yield from described["shape"]
