"""What the numbers were taken on: device, driver, clocks, partitions, versions.

Asked of torch and of the vendor's own tool. What cannot be read is said, not left out. The
part for AMD has never run on AMD hardware.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
from typing import Any

from . import hardware

_NVIDIA = (
    "driver_version,clocks.sm,clocks.mem,clocks.max.sm,"
    "temperature.gpu,power.draw,mig.mode.current,compute_mode,persistence_mode"
)
_AMD = (
    "--showdriverversion", "--showclocks", "--showtemp", "--showpower",
    "--showmemorypartition", "--showcomputepartition",
)  # fmt: skip
_PATIENCE_S = 20.0


class Described:
    """Of the first visible device, and of the software that drives it, as it is when this is made.
    The vendor's tool takes its time to say so: `facts` waits for it."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._asked = _Asked(_question(torch))

    def facts(self) -> dict[str, str]:
        now = _clocks(self._torch, self._asked)
        return {**_description(self._torch), **(now or {"clocks": "unreadable"})}


def _description(torch: Any) -> dict[str, str]:
    import triton

    properties = torch.cuda.get_device_properties(0)
    return {
        "device": str(properties.name),
        "arch": device_arch(torch),
        "units": str(properties.multi_processor_count),
        "memory_bytes": str(properties.total_memory),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "triton": str(triton.__version__),
        "cuda": str(torch.version.cuda),
        "hip": str(torch.version.hip),
        "TRITON_DEFAULT_FP_FUSION": os.environ.get("TRITON_DEFAULT_FP_FUSION", "unset"),
        "host": platform.node(),
    }


def clocks(torch: Any) -> dict[str, str]:
    """Driver, clocks, temperature, power and partition as they are now; empty where the
    vendor's tool is missing or does not answer."""
    return _clocks(torch, _Asked(_question(torch)))


def _clocks(torch: Any, asked: _Asked) -> dict[str, str]:
    return amd_facts(asked.answer()) if torch.version.hip else nvidia_facts(asked.answer())


def _question(torch: Any) -> list[str]:
    if torch.version.hip:
        return ["rocm-smi", *_AMD, "--json"]
    argv = ["nvidia-smi", f"--query-gpu={_NVIDIA}", "--format=csv,noheader"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    return argv + (["-i", visible] if visible else [])


def device_arch(torch: Any) -> str:
    """`gfx942` or `sm_90`."""
    if torch.version.hip:
        return str(torch.cuda.get_device_properties(0).gcnArchName).split(":")[0]
    major, minor = torch.cuda.get_device_capability(0)
    return f"sm_{major}{minor}"


def uuid(torch: Any) -> str:
    """The driver's name for the device, empty where torch does not tell."""
    return str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))


def cache_bytes(torch: Any) -> int:
    """The table's last-level cache (MI300X reports only its small L2), else what is reported."""
    arch = device_arch(torch)
    reported = int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0))
    known = hardware.CHIPS[arch].llc_bytes if arch in hardware.CHIPS else 64 << 20
    return max(reported, known)


def nvidia_facts(answer: str) -> dict[str, str]:
    """`nvidia-smi`'s line of values by what was asked for."""
    lines = answer.splitlines()
    values = [value.strip() for value in lines[0].split(",")] if lines else []
    names = _NVIDIA.split(",")
    return dict(zip(names, values)) if len(values) == len(names) else {}


def amd_facts(answer: str) -> dict[str, str]:
    """`rocm-smi`'s JSON, of its first card and of the system, by the tool's own names."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    first = min((name for name in found if name.startswith("card")), default="")
    parts = [part for part in (found.get("system"), found.get(first)) if isinstance(part, dict)]
    return {str(name): str(value) for part in parts for name, value in part.items()}


class _Asked:
    """A tool under way."""

    def __init__(self, argv: list[str]) -> None:
        self._process: subprocess.Popen[str] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )

    def answer(self) -> str:
        """What it said, nothing where it failed or takes too long."""
        if self._process is None:
            return ""
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return ""
        return said if self._process.returncode == 0 else ""
