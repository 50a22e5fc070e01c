"""What to call to repeat a recorded call with one version of the unit.

A recorded call names its launcher by a dotted path in the unit's module. Beside that it may
hold `module` (the launcher lives in another module of the project, which uses the unit's
kernels), `factory` (arguments of a first call that makes the launcher: a closure), `grid`
(a kernel that a test launched itself) and `grad` false (it ran without gradients).
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, Union

from . import importing
from .rebuilding import UnreplayableError, bound_to, rebuilt

Dimension = Union[int, "list[list[Any]]"]
"""A grid's dimension: a number, or factors `[n, block]`: ceil(n / block), `block` being a
number or the name of a constant that the kernel's configuration sets."""

ORIGINAL = "__original"
"""Ends the name under which a second version of a module is loaded beside the first."""


def launcher_of(module: types.ModuleType, call: dict[str, Any], device: str) -> Callable[..., Any]:
    """A function of the call's arguments. Raises `UnreplayableError`."""
    home = outside(module, call["module"]) if "module" in call else module
    found = _reached(home, call["launcher"])
    if "grid" in call:
        return _launching(module, found, call)
    if not callable(found):
        raise UnreplayableError(f"a launcher named {call['launcher']}, which one version lacks,")
    if "factory" in call:
        factory = call["factory"]
        content = {"list": [{"list": factory["args"]}, {"dict": factory["kwargs"]}]}
        args, kwargs = bound_to(home, *rebuilt(content, _no_tensor, device))
        found = found(*args, **kwargs)
    return _as_recorded(module, found, grad=call.get("grad", True))


def entry_of(call: dict[str, Any]) -> str:
    """The name that launches made by this call carry as their `entry`."""
    if "module" in call:
        return f"{call['module']}::{call['launcher']}"
    return str(call.get("entry", call["launcher"]))


def outside(version: types.ModuleType, name: str) -> types.ModuleType:
    """The module `name` as it uses `version` of the unit.

    With the original loaded beside the candidate, that is a copy of the module which
    finds the original under the unit's name while it is imported.
    """
    if not version.__name__.endswith(ORIGINAL):
        return importlib.import_module(name)
    made_name = name + ORIGINAL
    if made_name in sys.modules:
        return sys.modules[made_name]
    path = importlib.import_module(name).__file__
    assert path is not None
    unit = version.__name__[: -len(ORIGINAL)]
    package, _, last = unit.rpartition(".")
    parent = sys.modules.get(package)
    candidate = sys.modules[unit]
    sys.modules[unit] = version
    if parent is not None:
        setattr(parent, last, version)
    try:
        return importing.load_file(os.path.realpath(path), made_name)
    finally:
        sys.modules[unit] = candidate
        if parent is not None:
            setattr(parent, last, candidate)


# ---- grids ----------------------------------------------------------------------------


def describe_grid(
    grid: Any, arguments: dict[str, Any], constants: Sequence[str]
) -> list[Dimension] | None:
    """A launch's grid as data; None for a function that is no product of ceil(n / block).

    `arguments` are the launch's by name, `constants` the integer constants that a
    configuration may set. A function is asked with many of their values.
    """
    if not callable(grid):
        return [int(n) for n in ([grid] if isinstance(grid, int) else grid)]
    numbers = [name for name in constants if type(arguments.get(name, 1)) is int]
    try:
        dimensions = _factors(grid, arguments, numbers)
        for probe in _probes(numbers):
            values = {**arguments, **probe}
            if grid_at(dimensions, values) != tuple(int(n) for n in grid(values)):
                return None
    except Exception:  # the user's function, asked for what it was not written for
        return None
    return dimensions


def grid_at(dimensions: Sequence[Dimension], values: dict[str, Any]) -> tuple[int, ...]:
    """The grid's numbers where the configuration's constants have these values."""
    return tuple(
        n if isinstance(n, int) else _product(_ceil(m, _block(b, values)) for m, b in n)
        for n in dimensions
    )


def _factors(
    grid: Callable[[dict[str, Any]], Any], arguments: dict[str, Any], names: Sequence[str]
) -> list[Dimension]:
    huge = dict.fromkeys(names, 1 << 40)
    rest = [int(n) for n in grid({**arguments, **huge})]
    found: list[Dimension] = [[[n, 1]] for n in rest]
    for name in names:
        alone = [int(n) for n in grid({**arguments, **huge, name: 1})]
        for dimension, n, least in zip(found, alone, rest):
            if n != least and isinstance(dimension, list):
                dimension.append([n // max(1, least), name])
    return [n[0][0] if isinstance(n, list) and len(n) == 1 else n for n in found]


def _probes(names: Sequence[str]) -> list[dict[str, int]]:
    sizes = (1, 8, 16, 32, 64, 128, 256, 1024)
    turned = [
        {name: sizes[(i * (k + 1) + k) % len(sizes)] for k, name in enumerate(names)}
        for i in range(len(sizes))
    ]
    return turned or [{}]


def _block(block: Any, values: dict[str, Any]) -> int:
    return int(values[block] if isinstance(block, str) else block)


def _ceil(n: int, block: int) -> int:
    return -(-n // block)


def _product(factors: Any) -> int:
    product = 1
    for factor in factors:
        product *= factor
    return product


# ---- callables ------------------------------------------------------------------------


def _reached(home: Any, dotted: str) -> Any:
    """By attributes, and by keys where a dictionary is met on the way."""
    found = home
    for part in dotted.split("."):
        found = found.get(part) if isinstance(found, dict) else getattr(found, part, None)
    return found


def _launching(module: types.ModuleType, kernel: Any, call: dict[str, Any]) -> Callable[..., Any]:
    if kernel is None or not hasattr(kernel, "run"):
        raise UnreplayableError(f"a kernel named {call['launcher']}, which one version lacks,")
    if call["grid"] is None:
        raise UnreplayableError("the grid, a function of the launching test,")

    def launch(*args: Any, **kwargs: Any) -> None:
        kernel[lambda values: grid_at(call["grid"], values)](*args, **kwargs)

    launch.__module__ = module.__name__
    return launch


def _as_recorded(
    module: types.ModuleType, function: Callable[..., Any], *, grad: bool
) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if grad:
            return function(*args, **kwargs)
        import torch

        with torch.no_grad():
            return function(*args, **kwargs)

    functools.update_wrapper(run, function, updated=())
    run.__module__ = module.__name__
    return run


def _no_tensor(described: dict[str, Any]) -> Any:
    raise UnreplayableError("a launcher made for a tensor")
