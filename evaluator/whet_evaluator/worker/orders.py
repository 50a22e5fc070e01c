"""What a child is told: its job, its environment, its limits. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .codec import to_json
from .isolation import Isolation
from .protocol import Limits
from .records import Device, Mode
from .unit_ref import UnitRef
from .view import View
from .workspace import Scratch


@dataclass(frozen=True)
class Where:
    """One candidate's place: its tree, its unit and the original's text beside it."""

    scratch: Scratch
    unit: UnitRef | None
    root: str

    def job(self) -> dict[str, Any]:
        """The keys of a job that tell where things lie."""
        unit = self.unit
        return {
            "unit": to_json(unit),
            "root": self.root,
            "scratch": self.scratch.project,
            "unit_file": self.scratch.place(unit.path) if unit else None,
            "unit_source": os.path.join(self.root, unit.path) if unit else None,
            "original": self.scratch.original if unit else None,
            "output_dir": self.scratch.output,
        }


@dataclass(frozen=True, kw_only=True)
class Stand:
    """What is the same for every stage of an opened project."""

    env: dict[str, str]
    limits: Limits
    walls: Isolation
    view: View
    private: str
    """The worker's own folder."""
    arch: str | None
    devices: tuple[Device, ...]

    def order(
        self, job: Mapping[str, Any], where: Where, mode: Mode, device: Device | None, *,
        log_dir: str, deadline_s: float,
    ) -> dict[str, Any]:  # fmt: skip
        """See `supervise.guard` and `stage.run_child`, which carry it out."""
        defaults = {
            "mode": mode, "seed": 0, "arch": self.arch, "device": device.uuid if device else None,
            "deadline_s": deadline_s, "budget_s": self.limits.tests_budget_s,
        }  # fmt: skip
        return {
            "job": {**defaults, **where.job(), **job},
            "env": self._child_env(where, mode, device),
            "cwd": where.scratch.project,
            "scratch_dir": where.scratch.folder,
            "writable": [where.scratch.folder],
            "log_dir": log_dir,
            "deadline_s": deadline_s,
            "limits": {
                "memory_bytes": self.limits.memory_bytes,
                "disk_bytes": self.limits.disk_bytes,
                "output_bytes": self.limits.output_bytes,
                "processes": self.limits.processes,
            },
            "isolation": {
                "landlock": self.walls.landlock, "namespaces": self.walls.namespaces,
            },
            "view": asdict(self.view),
            "private": self.private,
        }  # fmt: skip

    def process_env(self, *, interpret: bool) -> dict[str, str]:
        """A zygote's or fresh process's own environment, until its child settles."""
        # numpy's OpenBLAS starts threads at import; a process that forks must have one.
        env = {**self.env, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        # On the interpreter the lanes are the parallelism: small operations that wait for
        # threads on busy cores take a hundred times their own time.
        return {"OMP_NUM_THREADS": "1", **env, "TRITON_INTERPRET": "1"} if interpret else env

    def _child_env(self, where: Where, mode: Mode, device: Device | None) -> dict[str, str]:
        env = {**self.env, **where.scratch.environment()}
        if mode == "interpret":
            env["TRITON_INTERPRET"] = "1"
        if mode != "device":
            env.update(CUDA_VISIBLE_DEVICES="", HIP_VISIBLE_DEVICES="", ROCR_VISIBLE_DEVICES="")
        elif device is not None and len(self.devices) > 1:
            env.update(only_visible(device, self.devices, env))
        return env


def only_visible(
    device: Device, devices: tuple[Device, ...], env: Mapping[str, str]
) -> dict[str, str]:
    """Variables that leave one device of several visible."""
    if device.arch.startswith("gfx"):
        index = devices.index(device)
        shown = [name for name in env.get("HIP_VISIBLE_DEVICES", "").split(",") if name]
        return {"HIP_VISIBLE_DEVICES": shown[index] if index < len(shown) else str(index)}
    return {"CUDA_VISIBLE_DEVICES": f"GPU-{bare_uuid(device.uuid)}"}


def bare_uuid(uuid: str) -> str:
    """A device's UUID without the prefix that drivers print and torch does not."""
    return uuid.removeprefix("GPU-")
