"""Runs tests written for a GPU unchanged on Triton's interpreter, with CPU tensors.

Tensors say that they live on `cuda:0` although they lie in host memory. That is done on
the class `torch.Tensor`, not by a `TorchFunctionMode` alone: a mode is off in autograd's
backward and in other threads. What a test made on the host (a factory without a device,
`.cpu()`) is marked, so that moving it copies, as on real hardware, and an in-place kernel
cannot reach the reference's input; a mode passes the mark on through operations. Where
the mode is off a result counts as living on the device, which is harmless: no operation
here refuses mixed devices, and comparisons ignore the device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import hardware, libdevice, limits, standins

DEFAULT_ARCH = "sm_90"
_MARK = "_whet_on_host"
_LIKE = ("empty_like ones_like zeros_like full_like rand_like randn_like randint_like").split()
_installed: set[str] = set()


def install(job: dict[str, Any]) -> None:
    """Call before user code is imported, in a process where `TRITON_INTERPRET=1` took
    effect. Again is harmless."""
    if "interpreter" in _installed:
        return
    _installed.add("interpreter")
    import torch
    import triton

    install_device(job)
    _patch_interpreter(triton)
    _mark_mode(torch)().__enter__()


def install_device(job: dict[str, Any]) -> None:
    """Only the stand-ins for a device of `job["arch"]`, so that modules that ask for one
    while they are imported can be compiled. Without torch only Triton's driver."""
    if "device" in _installed:
        return
    _installed.add("device")
    arch = job.get("arch")
    if arch not in hardware.CHIPS:
        arch = DEFAULT_ARCH
    try:
        import torch
    except ImportError:
        _patch_driver(arch, lambda: None)
        return
    devices = _Devices(torch)
    _patch_tensor(torch, devices)
    _patch_factories(torch, devices)
    _patch_torch(torch, devices, arch)
    _patch_libraries(torch)
    _patch_driver(arch, lambda: devices.device)


class _Devices:
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


def _mark(tensor: Any, on_host: bool) -> Any:
    if on_host:
        tensor.__dict__[_MARK] = True
    else:
        getattr(tensor, "__dict__", {}).pop(_MARK, None)
    return tensor


def _patch_tensor(torch: Any, devices: _Devices) -> None:
    tensor = torch.Tensor
    real_device = torch._C.TensorBase.device.__get__
    real_to = tensor.to

    def device(self: Any) -> Any:
        real = real_device(self)
        return devices.device if real.type == "cpu" and not _on_host(self) else real

    def moved(self: Any, result: Any, to_host: bool) -> Any:
        if _on_host(self) != to_host and result is self:
            result = self.clone()
        return _mark(result, to_host)

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


def _new(original: Callable[..., Any], devices: _Devices) -> Callable[..., Any]:
    @functools.wraps(original)
    def new(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("device")
        if given is not None:
            kwargs["device"] = devices.real(given)
        on_host = _on_host(self) if given is None else not devices.is_device(given)
        return _mark(original(self, *args, **kwargs), on_host)

    return new


def _patch_factories(torch: Any, devices: _Devices) -> None:
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
    original: Callable[..., Any], devices: _Devices, *, follows_input: bool = False
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
        return _mark(original(*args, **kwargs), on_host)

    return factory


def _mark_mode(torch: Any) -> type:
    """A mode that marks the results of operations on host tensors alone."""

    class HostMarks(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            tensors = [a for a in _leaves(args) if isinstance(a, torch.Tensor)]
            if tensors and all(_on_host(a) for a in tensors):
                for made in _leaves((result,)):
                    if isinstance(made, torch.Tensor):
                        _mark(made, on_host=True)
            return result

    return HostMarks


def _leaves(values: Any) -> list[Any]:
    leaves: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            leaves += _leaves(value)
        elif isinstance(value, dict):
            leaves += _leaves(value.values())
        else:
            leaves.append(value)
    return leaves


def _patch_torch(torch: Any, devices: _Devices, arch: str) -> None:
    for name, value in standins.device_module(arch, lambda: devices.device, torch).items():
        setattr(torch.cuda, name, value)
    _patch_default_device(torch, devices)
    _patch_generator(torch, devices)

    def compiled(model: Any = None, **_: Any) -> Any:
        limits.touch("torch.compile")
        return model if model is not None else compiled

    def autocast(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        real_autocast(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    real_autocast = torch.autocast.__init__
    torch.autocast.__init__ = autocast
    _patch_load(torch, devices)
    torch.compile = compiled
    if arch.startswith("gfx"):
        torch.version.hip = torch.version.hip or "6.4.0"
    else:
        torch.version.cuda = torch.version.cuda or "12.8"


def _patch_load(torch: Any, devices: _Devices) -> None:
    """Saved host tensors carry their mark in the file; the others belong to the device."""
    real_load = torch.load

    @functools.wraps(real_load)
    def load(file: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        where = map_location if callable(map_location) else "cpu"
        told = devices.names_device(map_location)
        devices.loading_to_host = told and not devices.is_device(map_location)
        try:
            loaded = real_load(file, where, *args, **kwargs)
        finally:
            devices.loading_to_host = None
        for value in _leaves((loaded,)) if told else ():
            if isinstance(value, torch.Tensor):
                _mark(value, not devices.is_device(map_location))
        return loaded

    torch.load = load


def _patch_default_device(torch: Any, devices: _Devices) -> None:
    from torch.utils import _device

    context = _device.DeviceContext
    real_init = context.__init__

    def init(self: Any, device: Any) -> None:
        self.whet_on_host = not devices.is_device(device)
        real_init(self, devices.real(device))

    context.__init__ = init
    torch.get_default_device = lambda: devices.host if devices.default_is_host() else devices.device
    if hasattr(torch, "accelerator"):
        torch.accelerator.is_available = lambda: True
        torch.accelerator.current_accelerator = lambda *_, **__: torch.device("cuda")
        torch.accelerator.device_count = lambda: 1
        torch.accelerator.synchronize = lambda *_: None
        torch.accelerator.current_device_index = lambda: 0
        torch.accelerator.current_device_idx = lambda: 0


def _patch_generator(torch: Any, devices: _Devices) -> None:
    class Generator(torch.Generator):  # type: ignore[misc]
        """Takes `device="cuda"`, draws on the CPU: other numbers than on a device."""

        def __new__(cls, device: Any = "cpu") -> Any:
            made = super().__new__(cls, devices.real(device))
            made.whet_device = devices.device if devices.is_device(device) else devices.host
            return made

        @property
        def device(self) -> Any:
            return self.whet_device

    torch.Generator = Generator


def _patch_driver(arch: str, device: Callable[[], Any]) -> None:
    import triton
    from triton import testing

    driver = standins.Driver(arch, device)
    triton.runtime.driver.set_active(driver)
    triton.runtime.driver._default = driver
    for name in ("do_bench", "do_bench_cudagraph"):
        setattr(testing, name, standins.once)


def _patch_interpreter(triton: Any) -> None:
    from triton.runtime import interpreter
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.jit import JITFunction

    real_prune, real_patch = Autotuner.prune_configs, interpreter._patch_lang

    def first_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        return list(real_prune(self, *args, **kwargs))[:1]

    def patch_lang(fn: Any) -> Any:
        # It looks for `tl` among the kernel's globals; `import triton` alone is as good.
        fn.__globals__.setdefault("__whet_tl__", triton.language)
        return real_patch(fn)

    Autotuner.prune_configs = first_config
    # Triton 3.6 benches even a single config: its time decides nothing.
    Autotuner._bench = lambda self, *args, config, **meta: [0.0, 0.0, 0.0]
    interpreter._patch_lang = patch_lang
    JITFunction.run = _not_interpreted
    libdevice.install()


def _not_interpreted(jit: Any, *_: Any, **__: Any) -> Any:
    """With `TRITON_INTERPRET=1` only other dialects still make compiled functions."""
    is_gluon = getattr(jit, "is_gluon", lambda: False)()
    raise limits.refuse("Gluon kernels" if is_gluon else "the device driver")


def _patch_libraries(torch: Any) -> None:
    """Operators registered for CUDA alone are registered for the CPU."""
    real_custom_op, real_impl = torch.library.custom_op, torch.library.impl
    real_register = torch.library.register_kernel

    def on_host(kinds: Any) -> Any:
        if isinstance(kinds, str):
            return kinds.replace("cuda", "cpu").replace("CUDA", "CPU")
        return None if kinds is None else [on_host(kind) for kind in kinds]

    def custom_op(*args: Any, device_types: Any = None, **kwargs: Any) -> Any:
        return real_custom_op(*args, device_types=on_host(device_types), **kwargs)

    def impl(qualname: Any, types: Any, *args: Any, **kwargs: Any) -> Any:
        return real_impl(qualname, on_host(types), *args, **kwargs)

    def register_kernel(op: Any, device_types: Any, *args: Any, **kwargs: Any) -> Any:
        return real_register(op, on_host(device_types), *args, **kwargs)

    torch.library.custom_op = custom_op
    torch.library.impl = impl
    torch.library.register_kernel = register_kernel
    if hasattr(torch.library, "wrap_triton"):
        torch.library.wrap_triton = lambda kernel: kernel
    real_assert = torch.testing._comparison.TensorLikePair.__init__

    def compare(self: Any, *args: Any, check_device: bool = True, **kwargs: Any) -> None:
        real_assert(self, *args, check_device=False, **kwargs)

    torch.testing._comparison.TensorLikePair.__init__ = compare
