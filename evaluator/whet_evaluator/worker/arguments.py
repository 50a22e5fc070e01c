"""Arguments of a call as JSON: tensors by what they look like, the rest by value.

Integers keep their values while there are few. What is reachable by name (a kernel, a
function, a class) is kept as that name: it belongs to whichever version of the unit
replays the call. `rebuilding` is the way back.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from .rebuilding import reached

MAX_VALUES = 4096
"""Integer tensors up to this many elements keep their values: they are often indices."""
MAX_SAMPLED = 1 << 16
"""Of longer float tensors every k-th element is looked at."""
MAX_DEPTH = 12

_unit_modules: set[str] = set()


def belongs_to_unit(name: str) -> None:
    """The module of that name is the unit: what it defines differs between versions."""
    _unit_modules.add(name)


def encode(value: Any, storages: dict[int, int], depth: int = 0) -> Any:  # noqa: PLR0911
    """JSON for one argument. `storages` numbers storages, so that aliases stay aliases."""
    if value is None or type(value) in {bool, int, str}:
        return {"value": value}
    if isinstance(value, enum.Enum):
        return _member(value)
    if isinstance(value, int):  # NumPy's and the like
        return {"value": int(value)}
    if isinstance(value, float):
        return {"float": repr(float(value))}
    if depth > MAX_DEPTH:
        return {"unreplayable": "an object nested too deeply"}

    def inner(item: Any) -> Any:
        return encode(item, storages, depth + 1)

    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "untyped_storage") and value.layout is not None:
        return _encode_tensor_or_refuse(value, storages)
    found = _container(value, inner) or _library(value, kind, inner) or _by_name(value)
    if found is not None:
        return found
    if hasattr(value, "__dict__") and _is_rebuildable(type(value)):
        state = {k: inner(v) for k, v in vars(value).items()}
        home = _home_of(type(value).__module__)
        return {"object": {"class": type(value).__qualname__, "home": home, "state": state}}
    return {"unreplayable": kind}


def left_at_default(signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    """None, numbers, flags and texts that the caller did not pass, by name, encoded."""
    try:
        given = signature.bind_partial(*args, **kwargs).arguments
    except TypeError:  # the call itself will raise it
        return {}
    return {
        name: encode(parameter.default, {})
        for name, parameter in signature.parameters.items()
        if name not in given and type(parameter.default) in {type(None), bool, int, float, str}
        and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
    }  # fmt: skip


def _container(value: Any, inner: Callable[[Any], Any]) -> dict[str, Any] | None:
    if isinstance(value, (list, tuple)):
        return {"list" if isinstance(value, list) else "tuple": [inner(item) for item in value]}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: inner(v) for k, v in value.items()}}
    if isinstance(value, (set, frozenset)):
        return {"set": [inner(item) for item in sorted(value, key=repr)]}
    if isinstance(value, functools.partial):
        return {"partial": [inner(value.func), inner(list(value.args)), inner(value.keywords)]}
    return None


def _library(value: Any, kind: str, inner: Callable[[Any], Any]) -> dict[str, Any] | None:
    """Values of torch's and Triton's own types."""
    if kind in {"torch.dtype", "torch.device"}:
        return {kind.partition(".")[2]: str(value).removeprefix("torch.")}
    if kind.startswith("triton.") and kind.endswith(".dtype"):
        return {"triton dtype": str(value)}
    if kind.startswith("triton.") and kind.endswith(".constexpr"):
        return {"constexpr": [inner(value.value)]}
    return None


def _by_name(value: Any) -> dict[str, Any] | None:
    """`{"name": [module, qualname]}` where that name leads back to this very value."""
    origin = getattr(value, "fn", value) if not isinstance(value, type) else value
    while not isinstance(getattr(origin, "__qualname__", None), str):
        origin = getattr(origin, "fn", None)
        if origin is None:
            return None
    if isinstance(value, types.ModuleType):
        return {"name": [_home_of(value.__name__), ""]}
    module, qualname = getattr(origin, "__module__", None), origin.__qualname__
    if not isinstance(module, str) or module not in sys.modules:
        return None
    if reached(sys.modules[module], qualname) is value:
        return {"name": [_home_of(module), qualname]}
    kept = [name for name, one in vars(sys.modules[module]).items() if one is value]
    return {"name": [_home_of(module), kept[0]]} if kept else None


def _member(value: enum.Enum) -> dict[str, Any]:
    kind = type(value)
    found = _by_name(kind)
    if found is None:
        return {"unreplayable": f"{kind.__module__}.{kind.__qualname__}"}
    home, qualname = found["name"]
    return {"name": [home, f"{qualname}.{value.name}"]}


def _home_of(module: str) -> str:
    return "" if module in _unit_modules else module


def _is_rebuildable(kind: type) -> bool:
    """The unit's classes, modules of networks, records, and classes of the project."""
    module = sys.modules.get(kind.__module__)
    if reached(module, kind.__qualname__) is not kind:
        return False
    if kind.__module__ in _unit_modules or dataclasses.is_dataclass(kind):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.nn.Module):
        return True
    file = os.path.realpath(getattr(module, "__file__", None) or os.sep)
    return file.startswith(os.path.realpath(os.getcwd()) + os.sep)


def _encode_tensor_or_refuse(tensor: Any, storages: dict[int, int]) -> dict[str, Any]:
    try:
        return {"tensor": _encode_tensor(tensor, storages)}
    except (RuntimeError, NotImplementedError):  # sparse, or of a wrapper without storage
        return {"unreplayable": f"{type(tensor).__module__}.{type(tensor).__qualname__}"}


def _encode_tensor(tensor: Any, storages: dict[int, int]) -> dict[str, Any]:
    import torch

    storage = tensor.untyped_storage()
    described: dict[str, Any] = {
        "shape": list(tensor.shape),
        "strides": list(tensor.stride()),
        "offset": tensor.storage_offset(),
        "storage": storages.setdefault(storage.data_ptr(), len(storages)),
        "storage_bytes": storage.nbytes(),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "requires_grad": tensor.requires_grad,
    }
    if str(tensor.device) == "cpu":
        described["device"] = "cpu"
    whole = not tensor.dtype.is_floating_point and not tensor.dtype.is_complex
    if whole and tensor.numel():
        plain = tensor.detach().to(torch.int64)
        if tensor.numel() <= MAX_VALUES:
            described["values"] = plain.reshape(-1).tolist()
        else:
            described["range"] = [int(plain.min()), int(plain.max())]
    elif tensor.dtype.is_floating_point and tensor.numel():
        described["floats"] = _float_facts(torch, tensor.detach())
    return described


def _float_facts(torch: Any, tensor: Any) -> dict[str, Any]:
    """What kind of values these are, from up to `MAX_SAMPLED` of them."""
    flat = tensor.reshape(-1)
    sampled = flat[:: max(1, flat.numel() // MAX_SAMPLED)].to("cpu", torch.float64)
    finite = sampled[torch.isfinite(sampled)]
    if not finite.numel():
        constant = "nan" if bool(sampled.isnan().any()) else repr(float(sampled[0]))
        return {"constant": constant, "finite": False}
    return {
        "low": float(finite.min()),
        "high": float(finite.max()),
        "typical": float(finite.abs().median()),
        "finite": finite.numel() == sampled.numel(),
    }
