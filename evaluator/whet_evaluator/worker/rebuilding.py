"""Recorded arguments as values again, for either version of the unit.

Floats of tensors are drawn anew, at the magnitude and within the bounds that were seen.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .differential import values


class UnreplayableError(ValueError):
    """The recorded call holds a value that cannot be rebuilt; `str()` names its type."""


@dataclass(frozen=True)
class Rebuilt:
    """An object as its recorded state, most often a method's `self`.

    Its class is the unit's own where `home` is empty, else that module's.
    """

    qualname: str
    state: dict[str, Any]
    home: str = ""

    def of(self, module: types.ModuleType) -> Any:
        """An instance of `module`'s own class, made without running its constructor."""
        kind = reached(_home(self.home) or module, self.qualname)
        if kind is None:
            raise UnreplayableError(f"a class {self.qualname}, which one version lacks,")
        made = kind.__new__(kind)
        made.__dict__.update(self.state)
        return made


@dataclass(frozen=True)
class Named:
    """Something of the unit that each version has under one name: a kernel, a function."""

    qualname: str


def reached(module: Any, dotted: str) -> Any:
    """The module's object of that name, the module itself for none, None if absent."""
    found = module
    for part in dotted.split(".") if dotted else ():
        found = getattr(found, part, None)
    return found


def decode(encoded: Any, storages: dict[int, Any], device: str, generator: Any) -> Any:
    """The inverse of `encode`, floats drawn anew from `generator` (a CPU generator).

    `storages` maps numbers to the tensors rebuilt so far. Raises `UnreplayableError`.
    """

    def tensor(described: dict[str, Any]) -> Any:
        return _decode_tensor(described, storages, device, generator)

    return rebuilt(encoded, tensor, device)


def rebuilt(  # noqa: PLR0911 - a table of types
    encoded: Any, tensor: Callable[[dict[str, Any]], Any], device: str
) -> Any:
    """The value that was encoded, tensors as `tensor` makes them from their description.

    What belongs to the unit is left as `Rebuilt` and `Named`, for `bound_to`.
    Raises `UnreplayableError`.
    """
    (kind, content), *_ = encoded.items()
    if kind == "value":
        return content
    if kind == "float":
        return float(content)
    if kind in {"list", "tuple", "set"}:
        items = [rebuilt(item, tensor, device) for item in content]
        return {"list": list, "tuple": tuple, "set": set}[kind](items)
    if kind == "dict":
        return {k: rebuilt(v, tensor, device) for k, v in content.items()}
    if kind == "object":
        state = {k: rebuilt(v, tensor, device) for k, v in content["state"].items()}
        return Rebuilt(content["class"], state, content.get("home", ""))
    if kind == "name":
        return _of_name(*content)
    if kind == "partial":
        function, args, keywords = (rebuilt(item, tensor, device) for item in content)
        return functools.partial(_Late(function), *args, **keywords)
    if kind == "tensor":
        return tensor(content)
    if kind == "unreplayable":
        raise UnreplayableError(f"an argument of type {content}")
    return _library_value(kind, content, tensor, device)


_LEAVES = frozenset((int, float, bool, str, type(None)))


def bound_to(
    module: types.ModuleType | None, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Rebuilt arguments for one version: objects become instances of `module`'s classes."""

    def bound(value: Any) -> Any:
        # Most of what there is, told at once: it is part of a call's own time on the host.
        return value if type(value) in _LEAVES else made(value)

    def made(value: Any) -> Any:
        if isinstance(value, Rebuilt):
            if module is None:
                raise UnreplayableError(f"an object of class {value.qualname}")
            return Rebuilt(value.qualname, bound(value.state), value.home).of(module)
        if isinstance(value, Named):
            found = reached(module, value.qualname)
            if found is None:
                raise UnreplayableError(f"{value.qualname}, which one version lacks,")
            return found
        if isinstance(value, functools.partial) and isinstance(value.func, _Late):
            function, args = bound(value.func.function), [bound(a) for a in value.args]
            return functools.partial(function, *args, **bound(value.keywords))
        if isinstance(value, (list, tuple, set)) and type(value) in {list, tuple, set}:
            return type(value)(bound(item) for item in value)
        if isinstance(value, dict):
            return {key: bound(item) for key, item in value.items()}
        return value

    return [bound(a) for a in args], {k: bound(a) for k, a in kwargs.items()}


def depends_on_version(encoded: Any) -> bool:
    """Whether `bound_to` has anything to do: not on every call under a clock."""
    if isinstance(encoded, list):
        return any(depends_on_version(item) for item in encoded)
    if not isinstance(encoded, dict) or "tensor" in encoded:
        return False
    return not encoded.keys().isdisjoint({"object", "name", "partial"}) or any(
        depends_on_version(item) for item in encoded.values()
    )


class _Late:
    """Stands for a function until `bound_to` knows the version it comes from."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise UnreplayableError("a function that belongs to no version yet")


def _of_name(home: str, qualname: str) -> Any:
    if not home:
        return Named(qualname)
    found = reached(_home(home), qualname)
    if found is None:
        raise UnreplayableError(f"{home}.{qualname}, which is not there any more,")
    return found


def _home(name: str) -> types.ModuleType | None:
    return importlib.import_module(name) if name else None


def _library_value(
    kind: str, content: Any, tensor: Callable[[dict[str, Any]], Any], device: str
) -> Any:
    """Values of torch's and Triton's own types."""
    if kind in {"dtype", "device"}:
        import torch

        if kind == "dtype":
            return getattr(torch, content)
        return torch.device(content if content == "cpu" else device)
    from triton.language import core

    if kind == "triton dtype":
        return core.dtype(content)
    if kind == "constexpr":
        return core.constexpr(rebuilt(content[0], tensor, device))
    raise UnreplayableError(f"an argument of kind {kind}")


def _decode_tensor(
    described: dict[str, Any], storages: dict[int, Any], device: str, generator: Any
) -> Any:
    import torch

    dtype = getattr(torch, described["dtype"])
    number = described["storage"]
    if number not in storages:
        n = max(1, described["storage_bytes"] // dtype.itemsize)
        where = "cpu" if described.get("device") == "cpu" else device
        storages[number] = _fresh(described, n, dtype, generator).to(where)
    base = storages[number]
    if base.dtype != dtype:
        base = base.view(dtype)
    view = base.as_strided(described["shape"], described["strides"], described["offset"])
    if "values" in described:
        view.copy_(torch.tensor(described["values"]).reshape(described["shape"]).to(dtype))
    view = view.detach()
    return view.requires_grad_() if described["requires_grad"] else view


def _fresh(described: dict[str, Any], n: int, dtype: Any, generator: Any) -> Any:
    """`n` elements: floats normal at the recorded magnitude, integers in the recorded range."""
    import torch

    if dtype.is_floating_point or dtype.is_complex:
        return values.draw("normal", n, dtype, described, generator)
    low, high = described.get("range", [0, 1])
    if dtype == torch.bool:
        return torch.randint(0, 2, (n,), generator=generator).bool()
    return torch.randint(low, high + 1, (n,), generator=generator).to(dtype)
