"""What Triton's interpreter cannot judge, in one table; each row has a test.

A red test that a row explains is *not covered*, never a red baseline: on a GPU it may
well be green. Rows are found either by the error's text, or because the test touched
something only a device has (`touch`, called by the stand-ins).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """`error` is searched in the failure's text; None when only touching tells."""

    name: str
    error: str | None
    even_when_green: bool = False
    """Whether a green test proves nothing either."""


LIMITS = (
    Limit("bfloat16 atomics", None),
    Limit("float8 arithmetic", None, even_when_green=True),
    Limit("device graphs", None),
    Limit("torch.compile", None),
    Limit("a device clock", None, even_when_green=True),
    Limit("more than one device", None),
    Limit("libdevice functions", r"extern_elementwise"),
    Limit("inline assembly", r"inline_asm"),
    Limit(
        "the compiled kernel's handle",
        r"'NoneType' object has no attribute '(n_regs|n_spills|n_max_threads|metadata|asm|"
        r"function|kernel|name|hash|src|launch_metadata|_init_handles|result)'"
        r"|'InterpretedFunction' object has no attribute",
    ),
    Limit("Gluon kernels", None),
    Limit(
        "triton.language names imported one by one",
        r"Did you forget to add @triton\.jit|Expected list of tensors or constexprs|"
        r"`_semantic` argument must be provided|triton\.language must be visible",
    ),
    Limit(
        "a torch operation without a CPU version",
        r"not implemented for '(Half|BFloat16|Float8\w*|UInt\d+)'|not compiled with CUDA|"
        r"No NVIDIA driver|Found no NVIDIA|arguments from the 'CUDA' backend|"
        r"no kernel for device|Cannot access accelerator device|_cuda_\w+",
    ),
    Limit("the device driver", None),
)
_BY_NAME = {limit.name: limit for limit in LIMITS}
_touched: set[str] = set()


class Uncovered(RuntimeError):
    """A test asked a stand-in for something only a device can do."""


def touch(name: str) -> None:
    """The running test used `name`, a row of the table."""
    assert name in _BY_NAME, name
    _touched.add(name)


def refuse(name: str) -> Uncovered:
    """Touches `name`; raise what it returns."""
    touch(name)
    return Uncovered(f"{name}: not available on Triton's interpreter")


def begin_node() -> None:
    _touched.clear()


def explain(failure: str | None) -> str | None:
    """The limit behind the running node's result, or None. `failure` is None when green."""
    for limit in LIMITS:
        if limit.name in _touched and (failure is not None or limit.even_when_green):
            return limit.name
    if failure is None:
        return None
    for limit in LIMITS:
        if limit.error is not None and re.search(limit.error, failure):
            return limit.name
    return None
