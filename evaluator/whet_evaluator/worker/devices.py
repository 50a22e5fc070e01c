"""What the user's Python has: packages, devices, architectures it compiles for.

Asked in a throw-away child, because a question to the driver makes every later fork of
that process unable to use the device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

from .codec import to_json
from .records import Device

_ARCHS = {"amd": ("gfx90a", "gfx942", "gfx950"), "nvidia": ("sm_80", "sm_90")}
_DRIVER_FILES = ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version")
_COMPILER_VARIABLES = frozenset({
    "TRITON_DEFAULT_FP_FUSION", "TRITON_F32_DEFAULT", "DISABLE_LLVM_OPT", "LLVM_IR_ENABLE_DUMP",
    "AMDGCN_USE_BUFFER_OPS", "AMDGCN_ANALYZE_SMALL_TENSOR_RANGE", "TRITON_HIP_USE_BLOCK_PINGPONG",
    "TRITON_DISABLE_LINE_INFO", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
})  # fmt: skip


def query(job: dict[str, Any]) -> dict[str, Any]:
    """Versions of torch, triton and pytest (None where missing or broken), the devices
    torch sees (CUDA or HIP), and the architectures Triton compiles for."""
    devices = [] if job.get("device") == "none" else _devices()
    if devices:
        _build_glue()
    return {
        "torch": _version("torch"),
        "triton": _version("triton"),
        "pytest": _version("pytest"),
        "devices": to_json(devices),
        "archs": _archs(),
        "settings": _settings(),
    }


def _settings() -> dict[str, str]:
    """The driver's version by its own file, the runtime torch was built for, and the
    variables by which Triton compiles other code."""
    found = {"TRITON_DEFAULT_FP_FUSION": "unset"}
    found |= {name: value for name, value in os.environ.items() if name in _COMPILER_VARIABLES}
    version = getattr(sys.modules.get("torch"), "version", None)
    for name in ("cuda", "hip"):
        if getattr(version, name, None):
            found[name] = str(getattr(version, name))
    for path in _DRIVER_FILES:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found["driver"] = " ".join(file.readline().split())[:120]
        except OSError:
            continue
    return found


def _build_glue() -> None:
    """Has Triton build what it needs to talk to the driver, for the worker to keep (`glue`)."""
    with contextlib.suppress(Exception):  # a candidate's own attempt will say what is wrong
        driver: Any = importlib.import_module("triton.runtime").driver
        assert driver.active.utils is not None


def _version(name: str) -> str | None:
    try:
        return str(importlib.import_module(name).__version__)
    except Exception:
        return None


def _devices() -> list[Device]:
    try:
        import torch

        if not torch.cuda.is_available():
            return []
        return [_device(torch, index) for index in range(torch.cuda.device_count())]
    except Exception:
        return []  # a driver that does not answer is a machine without a device


def _device(torch: Any, index: int) -> Device:
    found = torch.cuda.get_device_properties(index)
    # HIP names features behind the architecture: `gfx942:sramecc+:xnack-`.
    amd = getattr(found, "gcnArchName", "").partition(":")[0] if torch.version.hip else ""
    return Device(
        name=found.name,
        uuid=str(getattr(found, "uuid", index)),
        arch=amd or f"sm_{found.major}{found.minor}",
        memory_bytes=found.total_memory,
    )


def _archs() -> list[str]:
    try:
        backends = importlib.import_module("triton.backends").backends
    except Exception:
        return []
    return [arch for name, archs in _ARCHS.items() if name in backends for arch in archs]
