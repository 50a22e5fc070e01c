"""Running sums and products of floats in the order of a device.

Triton's interpreter takes one element after the other, so rounding grows with the length of the
block, and a kernel with longer blocks looks worse than it is. On a device threads combine what
lies 1, 2, 4, ... elements before, in as many steps as the length has bits; so does this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def install(interpreter: Any) -> None:
    """Replaces what `interpreter.ScanOps` asks of NumPy. Integers are exact in any order."""
    import numpy as np

    scans = interpreter.ScanOps
    for name, operation in (("cumsum", np.add), ("cumprod", np.multiply)):
        setattr(scans, name, _in_steps(getattr(scans, name), operation))


def _in_steps(one_by_one: Callable[..., Any], operation: Any) -> Callable[..., Any]:
    def scan(self: Any, tensor: Any) -> Any:
        data = tensor.handle.data
        if data.dtype.kind != "f":
            return one_by_one(self, tensor)
        return [self.to_tensor(scanned(operation, data, self.axis), dtype=tensor.dtype)]

    return scan


def scanned(operation: Any, data: Any, axis: int) -> Any:
    """Inclusive scan of an array along `axis`, in its own type."""
    import numpy as np

    made = np.moveaxis(np.array(data), axis, 0)
    step = 1
    with np.errstate(all="ignore"):  # infinities meet, as they may on a device
        while step < len(made):
            made[step:] = operation(made[step:], made[:-step])
            step *= 2
    return np.ascontiguousarray(np.moveaxis(made, 0, axis))
