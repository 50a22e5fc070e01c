"""Runs tests written for a GPU unchanged on Triton's interpreter, with CPU tensors.

`pretend` makes tensors say where they live; here the rest of torch and Triton is taught
to agree: `torch.cuda`, default devices, generators, loading, operators registered for
CUDA alone, Triton's driver, and an autotuner that must not judge by a CPU's clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any

from . import (
    bfloat16,
    combining,
    comparisons,
    constant_arguments,
    hardware,
    interned,
    libdevice,
    limits,
    pretend,
    scans,
    standins,
    tf32,
)
from .patching import Patching

DEFAULT_ARCH = "sm_90"
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
    _patch_interpreter(triton, _known_arch(job))
    pretend.mark_mode(torch)().__enter__()


def install_device(job: dict[str, Any]) -> None:
    """Only the stand-ins for a device of `job["arch"]`, so that modules that ask for one
    while they are imported can be compiled. Without torch only Triton's driver."""
    if "device" in _installed:
        return
    _installed.add("device")
    arch = _known_arch(job)
    try:
        import torch
    except ImportError:
        _patch_driver(arch, lambda: None)
        return
    devices = pretend.Devices(torch)
    pretend.patch_tensor(torch, devices)
    pretend.patch_factories(torch, devices)
    _patch_torch(torch, devices, arch)
    _patch_libraries(torch)
    _patch_driver(arch, lambda: devices.device)


def _known_arch(job: dict[str, Any]) -> str:
    arch = job.get("arch")
    return arch if arch in hardware.CHIPS else DEFAULT_ARCH


def _patch_torch(torch: Any, devices: pretend.Devices, arch: str) -> None:
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


def _patch_load(torch: Any, devices: pretend.Devices) -> None:
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
        for value in pretend.leaves((loaded,)) if told else ():
            if isinstance(value, torch.Tensor):
                pretend.mark(value, not devices.is_device(map_location))
        return loaded

    torch.load = load


def _patch_default_device(torch: Any, devices: pretend.Devices) -> None:
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


def _patch_generator(torch: Any, devices: pretend.Devices) -> None:
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


def _patch_dot(interpreter: Any, arch: str) -> None:
    """What the compiler for that architecture refuses, the interpreter must refuse: products whose
    inner dimension is too short for the matrix units, of which it takes any."""
    if arch.startswith("gfx"):
        return
    with contextlib.suppress(ImportError, AttributeError, TypeError):
        backend: Any = importlib.import_module("triton.backends.nvidia.compiler")
        compiler: Any = importlib.import_module("triton.backends.compiler")
        target = compiler.GPUTarget("cuda", int(arch.removeprefix("sm_")), 32)
        refused = backend.min_dot_size(target)
        interpreter.interpreter_builder.codegen_fns["min_dot_size"] = refused


def choose_first_config(autotuner: Any) -> None:
    """An autotuner takes the first of its configurations, since no clock here could tell."""
    real_prune, real_bench = autotuner.prune_configs, autotuner._bench

    @functools.wraps(real_prune)
    def first_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        return list(real_prune(self, *args, **kwargs))[:1]

    @functools.wraps(real_bench)
    def untimed(self: Any, *args: Any, config: Any, **meta: Any) -> Any:
        """Triton 3.6 benches even a single config: its time decides nothing."""
        return [0.0, 0.0, 0.0]

    autotuner.prune_configs = first_config
    autotuner._bench = untimed


def _patch_interpreter(triton: Any, arch: str) -> None:
    from triton.runtime import interpreter
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.jit import JITFunction

    choose_first_config(Autotuner)
    interned.install(interpreter, triton.language.core)
    _let_tensors_be_numbers(interpreter)
    interpreter._patch_lang = Patching(interpreter, triton.language).patch
    JITFunction.run = _not_interpreted
    _without_overflow_checks(interpreter.interpreter_builder)
    _convert_floats(interpreter)
    constant_arguments.install(interpreter)
    libdevice.install()
    scans.install(interpreter)
    combining.install(interpreter)
    _patch_dot(interpreter, arch)
    tf32.install(interpreter.interpreter_builder, arch)
    bfloat16.install(interpreter.InterpreterBuilder)
    comparisons.install(interpreter)


def _let_tensors_be_numbers(interpreter: Any) -> None:
    """A scalar is an array of one element there. NumPy makes no integer of one from 2.4 on, and
    Triton 3.6 asks it to wherever a loop ends at an argument of the kernel."""
    real = interpreter._patch_lang_tensor

    @functools.wraps(real)
    def patch(tensor: Any, scope: Any) -> None:
        real(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patch


def _convert_floats(interpreter: Any) -> None:
    """A float that is passed to a kernel is a float32 there, with a tensor's methods and
    promotions; the interpreter leaves it a Python number."""
    import numpy as np
    import triton.language as tl

    real = interpreter._implicit_cvt

    def convert(argument: Any) -> Any:
        if not isinstance(argument, float):
            return real(argument)
        rounded = np.array([argument], np.float32)
        data = rounded.astype(interpreter._get_np_dtype(tl.float32))  # wider within `widen`
        return tl.tensor(interpreter.TensorHandle(data, tl.float32), tl.float32)

    interpreter._implicit_cvt = convert


def _without_overflow_checks(builder: Any) -> None:
    """Each sum of integers is made once more in 64 bits, for an assertion that nothing makes
    unless the kernel is debugged."""
    options = builder.options
    if not getattr(options, "debug", True) and hasattr(options, "sanitize_overflow"):
        builder.options = dataclasses.replace(options, sanitize_overflow=False)


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
