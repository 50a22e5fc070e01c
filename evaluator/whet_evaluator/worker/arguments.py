"""Arguments of a call as JSON, and back: tensors by what they look like, the rest by value.

Floats of tensors are drawn anew; integers keep their values while there are few. What is
reachable by name (a kernel, a function, a class) is kept as that name, and belongs to
whichever version of the unit replays the call.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .differential import values

MAX_VALUES = 4096
"""Integer tensors up to this many elements keep their values: they are often indices."""
MAX_SAMPLED = 1 << 16
"""Of longer float tensors every k-th element is looked at."""
MAX_DEPTH = 12

_unit_modules: set[str] = set()


def belongs_to_unit(name: str) -> None:
    """The module of that name is the unit: what it defines differs between versions."""
    _unit_modules.add(name)


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


# ---- to JSON --------------------------------------------------------------------------


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


# ---- and back -------------------------------------------------------------------------


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


def bound_to(
    module: types.ModuleType | None, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Rebuilt arguments for one version: objects become instances of `module`'s classes."""

    def bound(value: Any) -> Any:
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
