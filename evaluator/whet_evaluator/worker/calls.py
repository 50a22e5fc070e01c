"""Records calls of the unit's launchers so that they can be replayed, and rebuilds them.

Each launcher's `__code__` is swapped for a trampoline once its module is imported. The
function object stays the same, so a call through `from m import f`, a dispatch table or
an attribute is seen alike; rebinding the module's name would miss the first two.
Only the outermost call counts: a launcher calling another is one call.
"""

from __future__ import annotations

import inspect
import json
import os
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import overlay

MAX_CALLS = 200
MAX_VALUES = 4096
"""Integer tensors up to this many elements keep their values: they are often indices."""
MAX_SAMPLED = 1 << 16
"""Of longer float tensors every k-th element is looked at."""

_unit_modules: set[str] = set()


@dataclass(frozen=True)
class Rebuilt:
    """An object of one of the unit's classes, as its recorded state: a method's `self`."""

    qualname: str
    state: dict[str, Any]

    def of(self, module: types.ModuleType) -> Any:
        """An instance of `module`'s own class, made without running its constructor."""
        kind = _reached(module, self.qualname)
        if kind is None:
            raise UnreplayableError(f"a class {self.qualname}, which one version lacks,")
        made = kind.__new__(kind)
        made.__dict__.update(self.state)
        return made


class CallRecorder:
    def __init__(
        self, unit_file: str | None, launchers: tuple[str, ...], nodeid: Callable[[], str]
    ) -> None:
        self._unit_file = unit_file
        self._launchers = launchers
        self._nodeid = nodeid
        self._depth = 0
        self._seen: dict[str, dict[str, Any]] = {}

    def install(self) -> None:
        """Swaps the launchers' code as soon as the unit's module has been imported."""
        overlay.after_unit_import(self._swap_all)

    def json(self) -> list[dict[str, Any]]:
        """`[{launcher, args, kwargs, nodeid, count}]`, in order of first call."""
        return list(self._seen.values())

    def _swap_all(self, module: types.ModuleType) -> None:
        _unit_modules.add(module.__name__)
        for launcher in self._launchers:
            holder, _, last = launcher.rpartition(".")
            owner = _reached(module, holder)
            if owner is None:
                continue
            if not holder:
                self._swap(launcher, self._function(vars(owner).get(last)), 0)
            elif not isinstance(owner, type):
                continue
            elif hasattr(owner, "backward") and not hasattr(owner, "register_buffer"):
                # An `autograd.Function` is called by `apply`, which adds the context.
                n_context = 0 if "setup_context" in vars(owner) else 1
                if last == "forward":
                    self._swap(f"{holder}.apply", self._function(vars(owner)[last]), n_context)
            else:
                self._swap(launcher, self._function(vars(owner).get(last)), 0)

    def _function(self, found: Any) -> types.FunctionType | None:
        """The plain function of the unit below decorators and `staticmethod`."""
        while found is not None:
            if isinstance(found, types.FunctionType) and self._is_own(found):
                return found
            found = getattr(found, "__wrapped__", None)
        return None

    def _is_own(self, value: types.FunctionType) -> bool:
        return (
            os.path.realpath(value.__code__.co_filename) == self._unit_file
            and not value.__code__.co_freevars
        )

    def _swap(self, launcher: str, function: types.FunctionType | None, n_context: int) -> None:
        """Calls of `function` become calls of `launcher`, less the first `n_context`."""
        if function is None:
            return
        original = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__
        )
        original.__kwdefaults__ = function.__kwdefaults__
        signature = inspect.signature(function)

        def hook(*args: Any, **kwargs: Any) -> Any:
            call = self._described(launcher, args[n_context:], kwargs) if self._depth == 0 else None
            self._depth += 1
            try:
                result = original(*args, **kwargs)
            finally:
                self._depth -= 1
            if call is not None:
                self._note(call)
            return result

        function.__code__ = _trampoline(function.__code__, hook)
        function.__signature__ = signature  # type: ignore[attr-defined]

    def _described(self, launcher: str, args: Any, kwargs: Any) -> dict[str, Any]:
        """Before the call, which may change its arguments."""
        storages: dict[int, int] = {}
        return {
            "launcher": launcher,
            "args": [encode(a, storages) for a in args],
            "kwargs": {k: encode(v, storages) for k, v in kwargs.items()},
        }

    def _note(self, call: dict[str, Any]) -> None:
        """After it: a call that raised is nothing to replay."""
        key = json.dumps(_without_facts(call), sort_keys=True)
        if key in self._seen:
            self._seen[key]["count"] += 1
        elif len(self._seen) < MAX_CALLS:
            self._seen[key] = {**call, "nodeid": self._nodeid(), "count": 1}


def _without_facts(value: Any) -> Any:
    """The call without what differs each time random floats are drawn."""
    if isinstance(value, dict):
        return {k: _without_facts(v) for k, v in value.items() if k != "floats"}
    return [_without_facts(item) for item in value] if isinstance(value, list) else value


def _reached(module: types.ModuleType, dotted: str) -> Any:
    """The module's object of that name, the module itself for none, None if absent."""
    found: Any = module
    for part in dotted.split(".") if dotted else ():
        found = getattr(found, part, None)
    return found


def _trampoline(code: types.CodeType, hook: Callable[..., Any]) -> types.CodeType:
    """Code that calls `hook`, which sits among its constants: no name is added anywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        scope: dict[str, Any] = {}
        exec("def call(*args, **kwargs):\n    return 'hook'(*args, **kwargs)\n", scope)
    template: types.CodeType = scope["call"].__code__
    constants = tuple(hook if c == "hook" else c for c in template.co_consts)
    return template.replace(
        co_consts=constants,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_name=code.co_name,
    )


def encode(value: Any, storages: dict[int, int]) -> Any:  # noqa: PLR0911 - a table of types
    """JSON for one argument. `storages` numbers storages, so that aliases stay aliases."""
    if value is None or isinstance(value, (bool, int, str)):
        return {"value": value}
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        items = [encode(item, storages) for item in value]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: encode(v, storages) for k, v in value.items()}}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if kind in {"torch.dtype", "torch.device"}:
        return {kind.partition(".")[2]: str(value).removeprefix("torch.")}
    if hasattr(value, "untyped_storage") and value.layout is not None:
        return {"tensor": _encode_tensor(value, storages)}
    if isinstance(value, (set, frozenset)):
        return {"set": [encode(item, storages) for item in sorted(value, key=repr)]}
    if type(value).__module__ in _unit_modules and hasattr(value, "__dict__"):
        state = {k: encode(v, storages) for k, v in vars(value).items()}
        return {"object": {"class": type(value).__qualname__, "state": state}}
    return {"unreplayable": kind}


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


class UnreplayableError(ValueError):
    """The recorded call holds a value that cannot be rebuilt; `str()` names its type."""


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

    Raises `UnreplayableError`.
    """
    import torch

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
        return Rebuilt(content["class"], state)
    if kind == "dtype":
        return getattr(torch, content)
    if kind == "device":
        return torch.device(content if content == "cpu" else device)
    if kind == "tensor":
        return tensor(content)
    raise UnreplayableError(f"an argument of type {content}")


def bound_to(
    module: types.ModuleType | None, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Rebuilt arguments for one version: objects become instances of `module`'s classes."""

    def bound(value: Any) -> Any:
        if isinstance(value, Rebuilt):
            if module is None:
                raise UnreplayableError(f"an object of class {value.qualname}")
            return Rebuilt(value.qualname, bound(value.state)).of(module)
        if isinstance(value, (list, tuple, set)) and type(value) in {list, tuple, set}:
            return type(value)(bound(item) for item in value)
        if isinstance(value, dict):
            return {key: bound(item) for key, item in value.items()}
        return value

    return [bound(a) for a in args], {k: bound(a) for k, a in kwargs.items()}


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
    """`n` elements: floats normal, integers within the recorded range."""
    import torch

    if dtype.is_floating_point or dtype.is_complex:
        real = torch.randn(n, generator=generator)
        return real.to(dtype)
    low, high = described.get("range", [0, 1])
    if dtype == torch.bool:
        return torch.randint(0, 2, (n,), generator=generator).bool()
    return torch.randint(low, high + 1, (n,), generator=generator).to(dtype)
