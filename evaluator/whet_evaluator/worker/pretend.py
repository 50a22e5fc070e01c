"""Tensors in host memory that say they live on `cuda:0`.

That is done on the class `torch.Tensor`, not by a `TorchFunctionMode` alone: a mode is
off in autograd's backward and in other threads. What a test made on the host (a factory
without a device, `.cpu()`) is marked, so that moving it copies, as on real hardware, and
an in-place kernel cannot reach the reference's input; a mode passes the mark on through
operations. Where the mode is off a result counts as living on the device, which is
harmless: no operation here refuses mixed devices, and comparisons ignore the device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import limits

_MARK = "_whet_on_host"
_LIKE = ["empty_like", "ones_like", "zeros_like", "full_like"]
_LIKE += ["rand_like", "randn_like", "randint_like"]


class Devices:
    """Translates what a test says about devices into what is true here."""

    def __init__(self, torch: Any) -> None:
        self.host = torch.device("cpu")
        self.device = torch.device("cuda", 0)
        self._torch = torch
        self._torch_device = torch.device
        self.loading_to_host: bool | None = None

    def default_is_host(self) -> bool:
        """Where a factory without a device creates: `set_default_device`, `with device`."""
        if self.loading_to_host is not None:
            return self.loading_to_host
        for mode in reversed(self._torch.overrides._get_current_function_mode_stack()):
            if hasattr(mode, "whet_on_host"):
                return bool(mode.whet_on_host)
        return True

    def is_device(self, value: Any) -> bool:
        """Whether `value` names the GPU. Raises `Uncovered` for a second one."""
        if isinstance(value, bool) or value is None:
            return False
        if isinstance(value, str):
            try:
                value = self._torch_device(value)
            except RuntimeError:
                return False
        index = value if isinstance(value, int) else getattr(value, "index", None)
        kind = "cuda" if isinstance(value, int) else getattr(value, "type", None)
        if kind == "cuda" and index not in (None, 0):
            raise limits.refuse("more than one device")
        return kind == "cuda"

    def real(self, value: Any) -> Any:
        return self.host if self.is_device(value) else value

    def names_device(self, value: Any) -> bool:
        """Whether `value` could be a `device` argument at all."""
        if isinstance(value, str):
            return value.split(":")[0] in {"cuda", "cpu", "meta"}
        return isinstance(value, self._torch_device) or (
            isinstance(value, int) and not isinstance(value, bool)
        )


def _on_host(tensor: Any) -> bool:
    return getattr(tensor, "__dict__", {}).get(_MARK, False) is True


def mark(tensor: Any, on_host: bool) -> Any:
    if on_host:
        tensor.__dict__[_MARK] = True
    else:
        getattr(tensor, "__dict__", {}).pop(_MARK, None)
    return tensor


def patch_tensor(torch: Any, devices: Devices) -> None:
    tensor = torch.Tensor
    real_device = torch._C.TensorBase.device.__get__
    real_to = tensor.to

    def device(self: Any) -> Any:
        real = real_device(self)
        return devices.device if real.type == "cpu" and not _on_host(self) else real

    def moved(self: Any, result: Any, to_host: bool) -> Any:
        if _on_host(self) != to_host and result is self:
            result = self.clone()
        return mark(result, to_host)

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = kwargs.get("device", args[0] if args else None)
        to_host = _on_host(self)
        if isinstance(kwargs.get("other", target), torch.Tensor):
            to_host = _on_host(kwargs.get("other", target))
        elif devices.names_device(target):
            to_host = not devices.is_device(target)
            if "device" in kwargs:
                kwargs["device"] = devices.real(target)
            else:
                args = (devices.real(target), *args[1:])
        return moved(self, real_to(self, *args, **kwargs), to_host)

    tensor.device = property(device)
    tensor.is_cuda = property(lambda self: device(self).type == "cuda")
    tensor.is_cpu = property(lambda self: device(self).type == "cpu")
    tensor.get_device = lambda self: 0 if device(self).type == "cuda" else -1
    tensor.to = to
    tensor.cuda = lambda self, device=None, *_, **__: to(self, "cuda" if device is None else device)
    tensor.cpu = lambda self, *_, **__: to(self, "cpu")
    tensor.pin_memory = lambda self, *_: self
    tensor.is_pinned = lambda self, *_: False
    tensor.record_stream = lambda self, stream: None
    for name in (
        "new_empty",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_tensor",
        "new_empty_strided",
    ):
        setattr(tensor, name, _new(getattr(tensor, name), devices))


def _new(original: Callable[..., Any], devices: Devices) -> Callable[..., Any]:
    @functools.wraps(original)
    def new(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("device")
        if given is not None:
            kwargs["device"] = devices.real(given)
        on_host = _on_host(self) if given is None else not devices.is_device(given)
        return mark(original(self, *args, **kwargs), on_host)

    return new


def patch_factories(torch: Any, devices: Devices) -> None:
    from torch.utils import _device

    constructors = {function.__name__ for function in _device._device_constructors()}
    for name in sorted(constructors - {"as_tensor", "asarray"}):
        if hasattr(torch, name):
            setattr(torch, name, _factory(getattr(torch, name), devices))
    for name in ("as_tensor", "asarray", *_LIKE):
        setattr(torch, name, _factory(getattr(torch, name), devices, follows_input=True))
    for name in ("from_numpy", "frombuffer", "from_file"):
        setattr(torch, name, _factory(getattr(torch, name), devices))


def _factory(
    original: Callable[..., Any], devices: Devices, *, follows_input: bool = False
) -> Callable[..., Any]:
    @functools.wraps(original)
    def factory(*args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("device")
        on_host = devices.default_is_host()
        if given is not None and devices.loading_to_host is None:
            on_host = not devices.is_device(given)
        if given is not None:
            kwargs["device"] = devices.real(given)
        elif follows_input and hasattr(args[0] if args else None, "untyped_storage"):
            on_host = _on_host(args[0])
        return mark(original(*args, **kwargs), on_host)

    return factory


def mark_mode(torch: Any) -> type:
    """A mode that marks the results of operations on host tensors alone."""

    class HostMarks(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            tensors = [a for a in leaves(args) if isinstance(a, torch.Tensor)]
            if tensors and all(_on_host(a) for a in tensors):
                for made in leaves((result,)):
                    if isinstance(made, torch.Tensor):
                        mark(made, on_host=True)
            return result

    return HostMarks


def leaves(values: Any) -> list[Any]:
    """What lists, tuples and dicts hold in the end."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            found += leaves(value)
        elif isinstance(value, dict):
            found += leaves(value.values())
        else:
            found.append(value)
    return found
