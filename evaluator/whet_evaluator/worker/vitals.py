"""How the device does between rounds: clocks, throttling, other processes on it.

Read from NVIDIA's management library, which ships with the driver, in well under a
millisecond and without a package. On AMD hardware and where the library is missing
nothing is read, and that is said. These readings are the only grounds on which samples are
dropped; a ratio never is one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_SLOWDOWNS = {
    0x08: "the hardware slows itself down",
    0x20: "the driver slows it down for its temperature",
    0x40: "the hardware slows itself down for its temperature",
    0x80: "the power supply demands a slowdown",
}
"""Bits of the reasons for lowered clocks. A power cap is none of them: it is part of how a
device runs heavy kernels, and both versions meet it."""
_MAX_PROCESSES = 64


@dataclass(frozen=True)
class Reading:
    """Clocks in MHz; `slowdowns` are bits of `_SLOWDOWNS`; process ids as the driver has them."""

    sm_mhz: int
    memory_mhz: int
    slowdowns: int
    processes: frozenset[int]


class Vitals:
    """Hears about disturbances between two questions."""

    def __init__(self, read: Callable[[], Reading | None]) -> None:
        self._read = read
        self._known: frozenset[int] | None = None
        self.sm_mhz: list[int] = []

    def summary(self) -> dict[str, str]:
        """What was seen between rounds, for the evidence. Processes include this one where
        the driver tells of it."""
        if not self.sm_mhz:
            return {"clocks between rounds": "unreadable"}
        return {
            "clocks between rounds": f"{min(self.sm_mhz)} to {max(self.sm_mhz)} MHz",
            "processes seen on the device": str(len(self._known or ())),
        }

    def disturbance(self) -> str | None:
        """What is wrong now, in a few words. Processes seen at the first question are taken
        for granted: one of them is this one, and who else waits is not known by its id."""
        found = self._read()
        if found is None:
            return None
        self.sm_mhz.append(found.sm_mhz)
        if self._known is None:
            self._known = found.processes
        newcomers = found.processes - self._known
        self._known |= found.processes
        if newcomers:
            ids = ", ".join(map(str, sorted(newcomers)))
            return f"another process came onto the device ({ids})"
        reasons = [text for bit, text in _SLOWDOWNS.items() if found.slowdowns & bit]
        return reasons[0] if reasons else None


def reader(uuid: str) -> Callable[[], Reading | None]:
    """Reads the NVIDIA device of that UUID; where there is none, a reader of nothing."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        device = ctypes.c_void_p()
        name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(
            name.encode(), ctypes.byref(device)
        ):
            return _nothing
    except (OSError, AttributeError):
        return _nothing
    return lambda: _reading(library, device)


def _nothing() -> Reading | None:
    return None


def _reading(library: Any, device: Any) -> Reading | None:
    clock, memory = ctypes.c_uint(), ctypes.c_uint()
    reasons = ctypes.c_ulonglong()
    try:
        failed = (
            library.nvmlDeviceGetClockInfo(device, _SM_CLOCK, ctypes.byref(clock)),
            library.nvmlDeviceGetClockInfo(device, _MEMORY_CLOCK, ctypes.byref(memory)),
            library.nvmlDeviceGetCurrentClocksThrottleReasons(device, ctypes.byref(reasons)),
        )
    except AttributeError:  # a library without one of these functions
        return None
    if any(failed):
        return None
    return Reading(clock.value, memory.value, reasons.value, _processes(library, device))


class _Process(ctypes.Structure):
    """The library's `nvmlProcessInfo_t`, second version and later."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def _processes(library: Any, device: Any) -> frozenset[int]:
    """Of compute processes on the device, none where the driver does not tell."""
    count = ctypes.c_uint(_MAX_PROCESSES)
    found = (_Process * _MAX_PROCESSES)()
    ask = getattr(library, "nvmlDeviceGetComputeRunningProcesses_v3", None)
    if ask is None or ask(device, ctypes.byref(count), found):
        return frozenset()
    return frozenset(found[i].pid for i in range(min(count.value, _MAX_PROCESSES)))
