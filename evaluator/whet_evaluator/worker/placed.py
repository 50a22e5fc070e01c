"""Where a module keeps functions that launch kernels: its own, closures, other modules'."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator, Sequence
from typing import Any

from .rebuilding import reached

_WRAPPED = ("__wrapped__", "_init_fn", "_torchdynamo_orig_callable", "__func__", "func", "fn")
"""Where decorators keep what they wrap: functools, custom operators, `torch.compile`,
methods, partial functions and Triton."""


def function(found: Any, file: str) -> types.FunctionType | None:
    """The plain function of `file` below decorators, `staticmethod` and custom operators."""
    for _ in range(8):
        if isinstance(found, types.FunctionType) and _is_of(found, file):
            return found
        holders = [getattr(found, name, None) for name in _WRAPPED] + _captured(found, file)
        found = next((held for held in holders if held is not None), None)
    return None


def qualname(found: types.FunctionType) -> str:
    return found.__qualname__.replace(".<locals>", "")


def is_autograd(owner: type) -> bool:
    """Whether it is an `autograd.Function`: a module has hooks for its backward, no backward."""
    return hasattr(owner, "backward") and not hasattr(owner, "register_buffer")


def with_factories(names: Sequence[str], module: types.ModuleType) -> list[str]:
    """The launchers, and the functions around those that are closures, which make them."""
    found = list(names)
    for name in names:
        holder, _, _ = name.rpartition(".")
        while holder:
            owner = reached(module, holder)
            if owner is not None and not isinstance(owner, type):
                found.append(holder)
            holder = holder.rpartition(".")[0]
    return list(dict.fromkeys(found))


def closures(
    module: types.ModuleType, names: Sequence[str]
) -> Iterator[tuple[str, types.FunctionType]]:
    """Launchers made by a function that the module keeps by another name or in a table."""
    file = os.path.realpath(module.__file__ or "")
    for path, value in _kept(module):
        made = function(value, file)
        if made is not None and "<locals>" in made.__qualname__ and qualname(made) in names:
            yield path, made


def users_of_kernels(module: types.ModuleType, unit_file: str) -> list[str]:
    """Names of the module's functions that use a kernel of the unit, and of their callers."""
    kernels = _kernels_in(module, unit_file)
    if not kernels:
        return []
    functions = dict(_functions(module))
    users = {name for name, code in functions.items() if _mentions(code) & kernels}
    while True:
        heads = {name.partition(".")[0] for name in users}
        heads |= {name.rpartition(".")[2] for name in users} - {"forward", "backward", "__init__"}
        more = {name for name, code in functions.items() if _mentions(code) & heads} - users
        if not more:
            return [name for name in functions if name in users]
        users |= more


def is_kernel_of(value: Any, unit_file: str) -> bool:
    """Whether `value` is a jit object, or wraps one, whose function is in the unit's file."""
    for _ in range(8):
        if not hasattr(value, "run") or isinstance(value, (type, types.ModuleType)):
            return False
        value = getattr(value, "fn", None)
        code = getattr(value, "__code__", None)
        if code is not None:
            return bool(os.path.realpath(code.co_filename) == unit_file)
    return False


def kernel(module: types.ModuleType, found: Any) -> tuple[str, list[str], list[str]]:
    """A kernel's name in its module, its arguments' names, and those that are constants."""
    inner = found
    while not hasattr(inner, "__code__"):
        names = list(getattr(inner, "arg_names", []))
        inner = inner.fn
    named = [name for name, value in vars(module).items() if value is found]
    notes = getattr(inner, "__annotations__", {})
    constants = [
        name for name in names
        if "constexpr" in str(getattr(notes.get(name), "__name__", notes.get(name)))
    ]  # fmt: skip
    return (named or [qualname(inner)])[0], names, constants


def configured(found: Any, bound: dict[str, Any]) -> dict[str, Any]:
    """Constants that an autotuner or a heuristic would set, for the first configuration."""
    values: dict[str, Any] = {}
    while not hasattr(found, "__code__"):
        if isinstance(getattr(found, "configs", None), list) and found.configs:
            values.update(found.configs[0].kwargs)
        elif isinstance(getattr(found, "values", None), dict):
            for name, rule in found.values.items():
                values[name] = rule({**bound, **values})
        found = found.fn
    return values


def _kernels_in(module: types.ModuleType, unit_file: str) -> set[str]:
    """Names by which the module could mean kernels of the unit."""
    found = set()
    for name, value in list(vars(module).items()):
        if is_kernel_of(value, unit_file):
            found.add(name)
        elif isinstance(value, types.ModuleType) and _file_of(value) == unit_file:
            found |= {name for name, one in vars(value).items() if is_kernel_of(one, unit_file)}
    return found


def _captured(found: Any, file: str) -> list[Any]:
    """The function of `file` that a library's own wrapper (`triton_op`'s) closes over."""
    if not isinstance(found, types.FunctionType) or not found.__module__.startswith("torch."):
        return []
    held = [cell.cell_contents for cell in found.__closure__ or ()]
    return [one for one in held if isinstance(one, types.FunctionType) and _is_of(one, file)]


def _functions(module: types.ModuleType) -> Iterator[tuple[str, types.CodeType]]:
    file = _file_of(module)
    for name, value in list(vars(module).items()):
        if isinstance(value, type):
            if value.__module__ != module.__name__:
                continue
            for last, member in vars(value).items():
                found = function(member, file)
                if found is not None:
                    yield f"{name}.{last}", found.__code__
        else:
            found = function(value, file)
            if found is not None and not hasattr(value, "run"):
                yield name, found.__code__


def _mentions(code: types.CodeType) -> set[str]:
    """Names that the code and the functions inside it refer to."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _mentions(constant)
    return found


def _kept(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        yield name, value
        if isinstance(value, dict) and not name.startswith("__"):
            for key, item in value.items():
                if isinstance(key, str) and "." not in key:
                    yield f"{name}.{key}", item


def _file_of(module: types.ModuleType) -> str:
    return os.path.realpath(getattr(module, "__file__", None) or "")


def _is_of(found: types.FunctionType, file: str) -> bool:
    return os.path.realpath(found.__code__.co_filename) == file
