"""Stand-ins for a device, so that tests written for one run on Triton's interpreter.

Numbers that describe the device come from the hardware table for the architecture compiled for,
never from a measurement; whatever would need a clock is touched as a limit.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from . import hardware, limits, streams


class _DriverUtils:
    """What `driver.active.utils` answers."""

    def __init__(self, arch: str) -> None:
        self._arch = arch

    def get_device_properties(self, device: Any = 0) -> dict[str, int]:
        chip = hardware.chip(self._arch)
        return {
            "max_shared_mem": chip.shared_bytes_per_block,
            "max_num_regs": chip.registers_per_unit,
            "multiprocessor_count": chip.units,
            "warpSize": chip.lanes,
            "sm_clock_rate": chip.clock_khz,
            "mem_clock_rate": 0,
            "mem_bus_width": 0,
        }

    def __getattr__(self, name: str) -> Any:
        raise limits.refuse("the device driver")


class Driver:
    """What `triton.runtime.driver.active` answers. Without a device nothing is launched
    through it; whatever is not answered here raises `Uncovered`."""

    def __init__(self, arch: str, device: Callable[[], Any]) -> None:
        self._arch = arch
        self._device = device
        self.utils = _DriverUtils(arch)

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget(*hardware.triton_target(self._arch))

    def get_active_torch_device(self) -> Any:
        return self._device()

    def get_current_device(self) -> int:
        return 0

    def set_current_device(self, device: int) -> None: ...

    def get_current_stream(self, device: Any = None) -> int:
        return 0

    def get_device_interface(self) -> Any:
        import torch

        return torch.cuda

    def get_device_capability(self, device: Any = 0) -> tuple[int, int]:
        return hardware.capability(self._arch)

    def get_benchmarker(self) -> Callable[..., Any]:
        return once

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise limits.refuse("the device driver")


def once(kernel_call: Callable[[], Any], *_: Any, quantiles: Any = None, **__: Any) -> Any:
    """In place of `triton.testing.do_bench`: runs the call, returns no real time."""
    limits.touch("a device clock")
    started = time.perf_counter()
    kernel_call()
    elapsed_ms = (time.perf_counter() - started) * 1e3
    return elapsed_ms if quantiles is None else [elapsed_ms for _ in quantiles]


class Graph:
    """Capturing makes no sense where launches are Python calls."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise limits.refuse("device graphs")


def device_properties(arch: str) -> SimpleNamespace:
    """In place of `torch.cuda.get_device_properties`."""
    chip = hardware.chip(arch)
    major, minor = hardware.capability(arch)
    return SimpleNamespace(
        name=chip.name,
        major=major,
        minor=minor,
        gcnArchName=arch,
        total_memory=chip.memory_bytes,
        multi_processor_count=chip.units,
        warp_size=chip.lanes,
        L2_cache_size=chip.l2_bytes,
        regs_per_multiprocessor=chip.registers_per_unit,
        shared_memory_per_block=48 << 10,
        shared_memory_per_block_optin=chip.shared_bytes_per_block,
        shared_memory_per_multiprocessor=chip.shared_bytes_per_unit,
        max_threads_per_multi_processor=2048,
        max_threads_per_block=1024,
        is_integrated=False,
        is_multi_gpu_board=False,
    )


_CONSTANT: tuple[tuple[Any, list[str]], ...] = (
    (True, ["is_available", "is_initialized", "is_bf16_supported", "is_tf32_supported"]),
    (False, ["is_current_stream_capturing"]),
    (
        None,
        [
            *["init", "_lazy_init", "set_device", "empty_cache", "ipc_collect"],
            *["reset_peak_memory_stats", "reset_max_memory_allocated", "set_stream", "_sleep"],
            *["reset_accumulated_memory_stats", "set_per_process_memory_fraction"],
        ],
    ),
    (
        0,
        [
            *["current_device", "memory_allocated", "max_memory_allocated", "memory_reserved"],
            *["max_memory_reserved", "utilization", "temperature", "power_draw", "clock_rate"],
            *["current_blas_handle"],
        ],
    ),
)


def device_module(arch: str, device: Callable[[], Any], torch: Any) -> dict[str, Any]:
    """Replacements for attributes of `torch.cuda`, by name."""
    chip = hardware.chip(arch)

    def seed(value: int) -> None:
        torch.default_generator.manual_seed(value)  # `torch.manual_seed` would call us again

    named: dict[str, Any] = {
        "device_count": lambda: 1,
        "get_device_name": lambda *_: chip.name,
        "get_device_capability": lambda *_: hardware.capability(arch),
        "get_device_properties": lambda *_: device_properties(arch),
        "get_arch_list": lambda: [arch],
        "mem_get_info": lambda *_: (chip.memory_bytes, chip.memory_bytes),
        "memory_stats": lambda *_: {},
        "memory_summary": lambda *_, **__: "",
        "manual_seed": seed,
        "manual_seed_all": seed,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
        "get_rng_state_all": lambda: [torch.get_rng_state()],
        "set_rng_state_all": lambda states: torch.set_rng_state(states[0]),
        "Stream": streams.Stream,
        "Event": streams.Event,
        "ExternalStream": type("ExternalStream", (streams.Stream,), {}),
        "stream": streams.on,
        "synchronize": streams.synchronize,
        "device": lambda *_: contextlib.nullcontext(),
        "device_of": lambda *_: contextlib.nullcontext(),
        "current_stream": lambda *_: streams.current(device()),
        "default_stream": lambda *_: streams.Stream(device()),
        "CUDAGraph": Graph,
        "graph": type("graph", (Graph,), {}),
        "make_graphed_callables": lambda *_, **__: Graph(),
        "seed": torch.default_generator.seed,
        "initial_seed": torch.default_generator.initial_seed,
    }
    for answer, names in _CONSTANT:
        named |= {name: _always(answer) for name in names}
    return named


def _always(answer: Any) -> Callable[..., Any]:
    """A new function each time: dynamo refuses one object under two names."""
    return lambda *_, **__: answer
