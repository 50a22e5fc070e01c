"""Hints to the compiler that do not hold, found on Triton's interpreter.

`tl.multiple_of`, `tl.max_contiguous` and `tl.max_constancy` change nothing there: a false one
shows only on hardware, as loads that take the wrong elements or fault. Here each is held
against the values it is about, as Triton's language defines it.

Experts tell of blocks what is false at a tensor's end, where lanes wrap, are clamped or masked
off, and nobody uses what those load. So a group is false only where no two neighbours of the
whole block are as told; a first element that is no multiple counts always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_NAMES = {"tt.divisibility": "multiple_of", "tt.contiguity": "max_contiguous",
          "tt.constancy": "max_constancy"}  # fmt: skip


class Hints:
    """Watches between `begin` and `end`."""

    def __init__(self) -> None:
        self._watching = False
        self._found = ""

    def install(self, handle: Any) -> None:
        """Wraps the interpreter's `TensorHandle`, which is told each hint as an attribute."""
        original, hints = handle.set_attr, self

        def set_attr(self: Any, key: str, values: Any) -> None:
            if hints._watching and not hints._found and key in _NAMES:
                hints._found = false_hint(key, values, self.data, _step(self.dtype))
            original(self, key, values)

        handle.set_attr = set_attr

    def begin(self) -> None:
        self._watching, self._found = True, ""

    def end(self) -> str:
        """The first hint since `begin` that does not hold, without subject; empty for none."""
        self._watching = False
        return self._found


def false_hint(key: str, values: Sequence[int], data: Any, step: int) -> str:
    """What is wrong about telling `values`, one for each axis of `data`, whose neighbours are
    contiguous when they differ by `step`; empty where it holds."""
    import numpy as np

    data = np.asarray(data)
    if data.dtype.kind not in "iu" or len(values) != data.ndim or not data.size:
        return ""
    for axis, value in enumerate(values):
        lines = np.moveaxis(data, axis, -1).reshape(-1, data.shape[axis])
        if value > 1 and not _holds(key, int(value), lines, step):
            return f"tells the compiler {_NAMES[key]} {value}, which does not hold"
    return ""


def _holds(key: str, value: int, lines: Any, step: int) -> bool:
    import numpy as np

    if key == "tt.divisibility":
        # Differences of unsigned addresses wrap round, and still equal `step` where they should.
        follows = np.diff(lines, axis=1) == step
        first = np.concatenate([np.ones((len(lines), 1), bool), ~follows], axis=1)
        return not (lines[first] % value).any()
    size = min(value, lines.shape[1])
    if size < 2:
        return True
    groups = lines[:, : lines.shape[1] // size * size].reshape(-1, size)
    apart = np.diff(groups, axis=1)
    wanted = step if key == "tt.contiguity" else 0
    # All alike: lanes modulo a size of one.
    return bool((apart == wanted).any() or not apart.any())


def _step(dtype: Any) -> int:
    """Between neighbours in memory: one for numbers, an element's bytes for pointers."""
    if not dtype.is_ptr():
        return 1
    return max(1, int(dtype.element_ty.primitive_bitwidth) // 8)
