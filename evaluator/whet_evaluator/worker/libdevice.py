"""The vendors' math functions for the interpreter, computed by NumPy.

Triton's interpreter knows none of them: the generic ones return None, the vendors' own
raise. NumPy's results may differ from the vendors' in the last bits, which tests that
compare with a tolerance bear. What is not in the table is a limit.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from typing import Any

from . import limits

_MODULES = ("libdevice", "cuda.libdevice", "hip.libdevice")
_NUMPY = {
    **{name: name for name in ("tanh", "sinh", "cosh", "tan", "exp", "exp2", "expm1", "log")},
    **{name: name for name in ("log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "floor")},
    **{name: name for name in ("ceil", "trunc", "rint", "hypot", "fmod", "isnan", "copysign")},
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "isinf": "isinf",
    "pow": "power",
    "abs": "abs",
    "fabs": "abs",
    "fmin": "fmin",
    "fmax": "fmax",
    "nearbyint": "rint",
    "isfinited": "isfinite",
    "finitef": "isfinite",
    "fast_expf": "exp",
    "fast_logf": "log",
    "fast_sinf": "sin",
    "fast_cosf": "cos",
    "fast_powf": "power",
    "fast_tanhf": "tanh",
    "fast_log2f": "log2",
    "div_rn": "divide",
    "fast_dividef": "divide",
    "llrint": "rint",
    "sqrt_rn": "sqrt",
}


def approximations(original: str, candidate: str) -> list[str]:
    """Functions that only the candidate uses, and that a device computes approximately."""
    known, found = (set(re.findall(r"\bfast_[a-z0-9]+f\b", text)) for text in (original, candidate))
    return [
        f"{name}: a device computes it approximately, here it was exact"
        for name in sorted(found - known)
    ]


def install() -> None:
    """Replaces every function of Triton's libdevice modules that are there."""
    for name in _MODULES:
        try:
            module = importlib.import_module(f"triton.language.extra.{name}")
        except ImportError:
            continue
        for function, value in list(vars(module).items()):
            if callable(value) and not function.startswith("_") and not isinstance(value, type):
                setattr(module, function, _computed(function) or _refused())


def _computed(function: str) -> Callable[..., Any] | None:
    compute = _compute(function)
    if compute is None:
        return None

    def call(*arguments: Any, **_: Any) -> Any:
        import numpy as np
        import triton.language as tl
        from triton.runtime.interpreter import TensorHandle

        first = next(a for a in arguments if hasattr(a, "handle"))
        values = [a.handle.data if hasattr(a, "handle") else a for a in arguments]
        with np.errstate(all="ignore"):
            data = np.asarray(compute(*values))
        if data.dtype == np.bool_:
            data = data.astype(np.int32)
            kind = tl.int32
        else:
            data, kind = data.astype(first.handle.data.dtype), first.dtype
        shaped = tl.block_type(kind, list(data.shape)) if first.type.is_block() else kind
        return tl.tensor(TensorHandle(data, kind), shaped)

    return call


def _compute(function: str) -> Callable[..., Any] | None:
    import numpy as np

    if function == "rsqrt":
        return lambda x: 1 / np.sqrt(x)
    if function in {"round", "llround"}:
        return lambda x: np.trunc(x + np.copysign(0.5, x))
    if function in {"erf", "erfc", "lgamma", "tgamma"}:
        exact = math.gamma if function == "tgamma" else getattr(math, function)
        return np.vectorize(exact, otypes=[np.float64])
    if function == "exp10":
        return lambda x: np.power(10.0, x)
    return getattr(np, _NUMPY[function]) if function in _NUMPY else None


def _refused() -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise limits.refuse("libdevice functions")

    return call
