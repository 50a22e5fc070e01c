"""A launch in Triton's own spelling: its arguments, constants and grid as records hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .launch_records import Argument


def argument(name: str, value: Any, *, constexpr: bool) -> Argument:
    """One argument of a launch in Triton's spelling."""
    if constexpr or value is None:
        return Argument(name=name, type="constexpr", value=_constant(value))
    if hasattr(value, "data_ptr"):
        return Argument(
            name=name,
            type=_spelling(value),
            divisible_by_16=value.data_ptr() % 16 == 0,
            shape=tuple(getattr(value, "shape", ())) or None,
            strides=tuple(value.stride()) if hasattr(value, "stride") else None,
        )
    if isinstance(value, (bool, int, float)):
        divisible = isinstance(value, int) and not isinstance(value, bool) and value % 16 == 0
        return Argument(name=name, type=_spelling(value), value=value, divisible_by_16=divisible)
    return Argument(name=name, type=_spelling(value), value=None)


def grid(dims: Any) -> tuple[int, ...]:
    """As numbers, without the trailing ones that Triton adds."""
    numbers = [dims] if isinstance(dims, int) else [int(d) for d in dims]
    while len(numbers) > 1 and numbers[-1] == 1:
        numbers.pop()
    return tuple(numbers)


def constexprs(jit: Any, names: list[str]) -> set[str]:
    """Those of the parameters `names` that are annotated as such."""
    notes = getattr(jit.fn, "__annotations__", {})
    return {n for n in names if "constexpr" in str(getattr(notes.get(n), "__name__", notes.get(n)))}


def defaults(jit: Any, names: list[str]) -> dict[str, Any]:
    values = jit.fn.__defaults__ or ()
    tail = names[len(names) - len(values) :] if values else []
    return {**dict(zip(tail, values)), **(jit.fn.__kwdefaults__ or {})}


def qualname(function: Callable[..., Any]) -> str:
    return function.__qualname__.replace(".<locals>", "")


def _spelling(value: Any) -> str:
    from triton.runtime.jit import mangle_type

    try:
        return str(mangle_type(value))
    except (TypeError, ValueError, AttributeError):
        return type(value).__name__


def _constant(value: Any) -> int | float | bool | str | None:
    """A constexpr as JSON; what is not a number or text is marked with `@`."""
    if value.__class__.__name__ == "constexpr":
        value = value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if value.__class__.__name__ == "dtype":
        return f"@dtype:{value}"
    if hasattr(value, "fn"):
        return f"@jit:{qualname(value.fn)}"
    return f"@{type(value).__name__}:{value!r}"[:200]
