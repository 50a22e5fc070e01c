"""Where stages run: zygotes, lanes, isolation and the open project, and the facts of this host.

`Bench.run` turns a job into an order, waits for a lane, runs it in a guarded child and
returns how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import environment, isolation
from .lanes import Lane, Lanes
from .protocol import Limits, Open, from_json
from .records import Device, Facts, Mode, UnitRef
from .runner import Answered, OnProgress, StageEnd, Zygote, run_stage
from .workspace import Project, Scratch, WorkspaceError, remove_tree

_QUERY_S = 90.0
_PROBE_S = 10.0
_PROBE_NO_TORCH = "torch does not import"
_CPU_LANES = 2
_GPU_LANES = 2


@dataclass(frozen=True)
class Where:
    """One candidate's place on the bench: its tree, its unit and the original's text."""

    scratch: Scratch
    unit: UnitRef | None
    root: str
    original: str | None = None

    def job(self) -> dict[str, Any]:
        """The keys of a job that tell where things lie."""
        unit = self.unit
        return {
            "root": self.root,
            "scratch": self.scratch.project,
            "unit_file": self.scratch.place(unit.path) if unit else None,
            "unit_source": os.path.join(self.root, unit.path) if unit else None,
            "original": self.original,
            "output_dir": self.scratch.output,
        }


@dataclass
class Bench:
    """`home` is this worker's own folder, removed when it ends."""

    home: str
    package_root: str
    base_env: dict[str, str]
    limits: Limits = field(default_factory=Limits)
    facts: Facts | None = None
    project: Project | None = None
    arch: str | None = None
    wedged: bool = False

    def __post_init__(self) -> None:
        self._env = self.base_env
        self._lanes = Lanes({"cpu": _CPU_LANES, "gpu": _GPU_LANES, "gpu_timing": 1})
        self._zygotes: dict[bool, asyncio.Task[Zygote]] = {}
        self._orders = 0
        self._isolation = isolation.Isolation(landlock=False, network=False)
        self._known: tuple[Any, ...] | None = None
        self._wanted_device = "auto"

    async def open(self, request: Open, project: Project) -> Facts:
        """Adopts a project; asks the host for its facts unless they are known already."""
        self.project, self.limits = project, request.limits
        known = (sorted(request.env.items()), request.device)
        if self._known != known:
            self.stop_zygotes()
            self._env = {**self.base_env, **checked_env(request.env)}
            self._wanted_device = request.device
            self._isolation = isolation.probe(os.path.join(self.home, "scratch"))
            self.facts = await self._ask_facts()
            self._known = known
        assert self.facts is not None
        device = self.device
        self.arch = request.arch or (device.arch if device else None)
        return self.facts

    @property
    def device(self) -> Device | None:
        """The device to use, None in interpreter mode."""
        assert self.facts is not None
        if self.facts.mode != "device":
            return None
        named = [d for d in self.facts.devices if _same_uuid(d.uuid, self._wanted_device)]
        return (named or list(self.facts.devices))[0]

    async def place(self, unit: UnitRef | None, text: str | None) -> Where:
        """A fresh tree with `text` as the unit's file. `remove` it afterwards."""
        assert self.project is not None
        texts = {unit.path: text} if unit is not None and text is not None else {}
        scratch = await self.project.build(texts)
        original = None
        if unit is not None:
            original = os.path.join(scratch.folder, "original.py")
            with open(
                original, "w", encoding="utf-8", newline="", errors="surrogateescape"
            ) as file:
                file.write(unit.text)
        return Where(scratch, unit, self.project.root, original)

    def remove(self, where: Where) -> None:
        remove_tree(where.scratch.folder)

    async def run(
        self,
        job: Mapping[str, Any],
        where: Where,
        *,
        mode: Mode,
        lane: Lane,
        fresh: bool,
        on_progress: OnProgress,
        deadline_s: float | None = None,
    ) -> tuple[StageEnd, float]:
        """Runs one job; returns how it ended and the seconds it took once admitted."""
        device = self.device if self.facts is not None and mode == "device" else None
        zygote = None if fresh else await self._zygote(interpret=mode == "interpret")
        uuid = device.uuid if device else None
        async with self._lanes.hold(lane, uuid, lambda text: on_progress(text, 0, 0)):
            order = self._order(job, where, mode, device, deadline_s or self.limits.stage_s)
            started = time.monotonic()
            end = await run_stage(
                order,
                zygote if zygote is not None and zygote.usable else None,
                self._env_of(interpret=mode == "interpret"),
                self.package_root,
                on_progress,
            )
            return end, time.monotonic() - started

    def stop_zygotes(self) -> None:
        for task in self._zygotes.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().stop()
            else:
                task.cancel()
        self._zygotes.clear()

    # ---- orders -----------------------------------------------------------------------

    def _order(
        self,
        job: Mapping[str, Any],
        where: Where,
        mode: Mode,
        device: Device | None,
        deadline_s: float,
    ) -> dict[str, Any]:
        self._orders += 1
        limits = self.limits
        defaults = {
            "mode": mode, "unit": None, "seed": 0, "arch": self.arch,
            "device": device.uuid if device else None, "deadline_s": deadline_s,
            "budget_s": limits.tests_budget_s,
        }  # fmt: skip
        return {
            "job": {**defaults, **where.job(), **job},
            "env": self._child_env(where, mode, device),
            "cwd": where.scratch.project,
            "scratch_dir": where.scratch.folder,
            "writable": [where.scratch.folder],
            "log_dir": os.path.join(self.home, "logs", str(self._orders)),
            "deadline_s": deadline_s,
            "limits": {
                "memory_bytes": limits.memory_bytes,
                "disk_bytes": limits.disk_bytes,
                "output_bytes": limits.output_bytes,
            },
            "isolation": {
                "landlock": self._isolation.landlock, "network": self._isolation.network,
            },
        }  # fmt: skip

    def _child_env(self, where: Where, mode: Mode, device: Device | None) -> dict[str, str]:
        env = {**self._env, **where.scratch.environment()}
        if mode == "interpret":
            env["TRITON_INTERPRET"] = "1"
        if mode != "device":
            env.update(CUDA_VISIBLE_DEVICES="", HIP_VISIBLE_DEVICES="", ROCR_VISIBLE_DEVICES="")
        elif device is not None:
            env.update(_only(device, self.facts, env))
        return env

    def _env_of(self, *, interpret: bool) -> dict[str, str]:
        """A zygote's or fresh process's own environment, until its child settles."""
        # numpy's OpenBLAS starts threads at import; a process that forks must have one.
        env = {**self._env, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return {**env, "TRITON_INTERPRET": "1"} if interpret else env

    # ---- zygotes and facts ------------------------------------------------------------

    async def _zygote(self, *, interpret: bool) -> Zygote:
        """The zygote for either kind of triton; started at most once. `compile` and `device`
        stages share one: what differs between them is set after the fork."""
        if interpret not in self._zygotes:
            self._zygotes[interpret] = asyncio.ensure_future(self._start_zygote(interpret))
        return await asyncio.shield(self._zygotes[interpret])

    async def _start_zygote(self, interpret: bool) -> Zygote:
        folder = os.path.join(self.home, "zygote-interpret" if interpret else "zygote-compile")
        zygote = Zygote(self.package_root, folder, self._env_of(interpret=interpret))
        try:
            await zygote.start()
            if zygote.usable and not any(m.startswith("torch:") for m in zygote.missing):
                await self._probe(zygote, interpret)
        except asyncio.CancelledError:
            zygote.stop()
            raise
        return zygote

    async def _probe(self, zygote: Zygote, interpret: bool) -> None:
        """A forked child must compute, or every stage gets a process of its own."""
        where = await self._bare_place()
        try:
            order = self._order(
                {"stage": "probe"}, where, "interpret" if interpret else "compile", None, _PROBE_S
            )
            end = await run_stage(order, zygote, {}, self.package_root, lambda *_: None)
        finally:
            self.remove(where)
        if not isinstance(end, Answered):
            zygote.give_up(
                f"a forked child could not multiply two matrices within {_PROBE_S:.0f} s"
            )

    async def _bare_place(self) -> Where:
        assert self.project is not None
        empty = Project(
            root=self.project.root,
            files=(),
            in_place=False,
            home=self.home,
            cache=self.project.cache,
        )
        return Where(await empty.build({}), None, self.project.root)

    async def _ask_facts(self) -> Facts:
        gpu_nodes = any(os.path.exists(node) for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
        wants_gpu = gpu_nodes and self._wanted_device != "none"
        zygote = await self._zygote(interpret=not wants_gpu)
        where = await self._bare_place()
        try:
            order = self._order(
                {"stage": "query", "device": self._wanted_device}, where, "device", None, _QUERY_S
            )
            end = await run_stage(
                order, zygote if zygote.usable else None,
                self._env_of(interpret=False), self.package_root, lambda *_: None,
            )  # fmt: skip
        finally:
            self.remove(where)
        if not isinstance(end, Answered):
            raise WorkspaceError(
                "internal", f"asking the user's Python for its packages failed: {end}"
            )
        return self._facts(end.answer, zygote.why_not)

    def _facts(self, answer: Mapping[str, Any], slow_start: str | None) -> Facts:
        devices = tuple(from_json(Device, d) for d in answer.get("devices", ()))
        if self._wanted_device == "none":
            devices = ()
        if self._wanted_device not in ("auto", "none"):
            if not any(_same_uuid(d.uuid, self._wanted_device) for d in devices):
                raise WorkspaceError(
                    "bad request",
                    f"this host has no device {self._wanted_device}; `whet doctor` lists those it has",
                )
        return Facts(
            python=platform.python_version(), platform=platform.platform(),
            host=socket.gethostname(), torch=answer.get("torch"), triton=answer.get("triton"),
            pytest=answer.get("pytest"), devices=devices,
            mode="device" if devices else "interpret", archs=tuple(answer.get("archs", ())),
            isolation=self._isolation.level, isolation_detail=self._isolation.detail,
            slow_start=slow_start,
        )  # fmt: skip


def checked_env(env: Mapping[str, str]) -> dict[str, str]:
    """The target's own variables. Raises `WorkspaceError` for what looks like a key."""
    for name in env:
        if environment.is_secret(name):
            raise WorkspaceError(
                "bad request",
                f"the target's env names {name}, which looks like a key, and candidates could read it; remove it from env",
            )
    return dict(env)


def _only(device: Device, facts: Facts | None, env: Mapping[str, str]) -> dict[str, str]:
    """Variables that leave just this device visible."""
    assert facts is not None
    if len(facts.devices) < 2:
        return {}
    index = [d.uuid for d in facts.devices].index(device.uuid)
    if device.arch.startswith("gfx"):
        shown = [name for name in env.get("HIP_VISIBLE_DEVICES", "").split(",") if name]
        return {"HIP_VISIBLE_DEVICES": shown[index] if index < len(shown) else str(index)}
    return {
        "CUDA_VISIBLE_DEVICES": device.uuid
        if device.uuid.startswith("GPU-")
        else f"GPU-{device.uuid}"
    }


def _same_uuid(left: str, right: str) -> bool:
    return left.removeprefix("GPU-") == right.removeprefix("GPU-")
