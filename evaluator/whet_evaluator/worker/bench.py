"""Where stages run: zygotes, lanes, isolation, the open project, and the facts of this host.

`Bench.run` turns a job into an order, waits for a lane, runs it in a guarded child and
returns how it ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from . import environment, occupants
from .differential.bank import Bank
from .glue import GLUE, KERNELS, Kept
from .host_facts import chosen_device, facts_of
from .lanes import Lane, Lanes
from .occupants import Occupants
from .orders import Stand, Where
from .protocol import Limits, Open
from .records import Device, Facts, Mode
from .runner import OnAnswer, OnProgress, run_stage
from .shield import Shield
from .spawn import Zygote
from .stage_ends import Answered, StageEnd
from .unit_ref import UnitRef
from .view import import_root
from .workspace import Project, WorkspaceError, new_scratch, remove_tree
from .zygotes import Preloading, Zygotes

_QUERY_S = 90.0
_PROBE_S = 10.0
_GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_MAX_CPU_LANES = 4
_MAX_GPU_LANES = 5
"""One candidate's tests, two children of its generated cases and its timing getting ready fill four;
another candidate's next stage need not wait for all of them."""
_BYTES_PER_GPU_LANE = 16 << 30


class Bench:
    """`home` is this worker's own folder; `package_root` holds the shipped package."""

    def __init__(self, home: str, package_root: str, env: dict[str, str]) -> None:
        self.facts: Facts | None = None
        self.project: Project | None = None
        self.limits = Limits()
        self.arch: str | None = None
        self.wedged = False
        self._home = home
        self._package_root = package_root
        self._base_env = env
        self._env = env
        self._shield = Shield(home, package_root)
        self._lanes = Lanes({"cpu": _cpu_lanes(), "gpu": 1, "gpu_timing": 1})
        self.bank = Bank(os.path.join(home, "bank"))
        self._zygotes = Zygotes(home, package_root, self._preloading, self._probe)
        self._occupants: Occupants | None = None
        self._glue = Kept(os.path.join(home, "glue"), GLUE)
        self._kernels: dict[str, Kept] = {}
        self.leaving: set[asyncio.Task[None]] = set()
        """Children that have answered and are not gone yet (`ahead`)."""
        self._n_orders = 0
        self._learned: tuple[Any, ...] | None = None
        self._wanted_device = "auto"

    async def learn(self, request: Open) -> None:
        """Asks this host for its facts, unless they are known for this environment and device."""
        wanted = (sorted(request.env.items()), request.device)
        complete = self.facts is not None and None not in (
            self.facts.torch, self.facts.triton, self.facts.pytest,
        )  # fmt: skip
        if self._learned == wanted and complete:  # what was missing may be installed by now
            return
        self.stop_zygotes()
        self._learned = None
        self._env = {**self._base_env, **checked_env(request.env)}
        self._wanted_device = request.device
        await self._shield.choose(self._env, request.root)
        self.facts = await self._ask_facts()
        device = self.device
        if device is not None:
            lanes = max(1, min(_MAX_GPU_LANES, device.memory_bytes // _BYTES_PER_GPU_LANE))
            self._lanes = Lanes({"cpu": _cpu_lanes(), "gpu": lanes, "gpu_timing": 1})
            self._occupants = Occupants(occupants.nvidia(device.uuid, self._env, self._home))
            present = await self._occupants.present()
            self.facts = dataclasses.replace(self.facts, device_busy=present)
        self._learned = wanted

    def adopt(self, request: Open, project: Project) -> Facts:
        """Makes `project` the one that requests mean."""
        assert self.facts is not None, "learn() comes first"
        self._shield.require(request.limits.isolation)
        self._shield.look(request.root, *filter(None, request.limits.visible.split(":")))
        self.project, self.limits = project, request.limits
        device = self.device
        # A device's candidates are compiled for it; another architecture is for hosts without one.
        self.arch = device.arch if device else request.arch
        return self.facts

    def expect_compiling(self) -> None:
        """Has the process that compiles preloaded by the time it is wanted."""
        if self.facts is not None and self.facts.triton is not None:
            self._zygotes.want(interpret=False)

    @property
    def device(self) -> Device | None:
        """The device to use, None in interpreter mode."""
        assert self.facts is not None
        return chosen_device(self.facts, self._wanted_device)

    async def place(self, unit: UnitRef | None, text: str | None, *, fresh: bool = False) -> Where:
        """A fresh tree with `text` as the unit's file. `remove` it afterwards. Its caches hold
        what was compiled without a candidate (`glue`), and nothing for a `fresh` one."""
        assert self.project is not None
        if unit is not None and os.path.isabs(unit.path):
            self._shield.look(import_root(unit.path), unit.path)
        texts = {unit.path: text} if unit is not None and text is not None else {}
        scratch = await self.project.build(texts, unit.text if unit is not None else None)
        if not fresh:
            self._glue.seed(scratch.triton_cache)
            if unit is not None and unit.path in self._kernels:
                self._kernels[unit.path].seed(scratch.triton_cache)
        return Where(scratch, unit, self.project.root)

    def keep_glue(self, where: Where) -> None:
        """After stages that ran nothing but code of the user's own, or ours."""
        self._glue.harvest(where.scratch.triton_cache)

    def keep_compiled(self, where: Where) -> None:
        """As `keep_glue`, and the unit's kernels with it."""
        self.keep_glue(where)
        if where.unit is not None:
            name = hashlib.sha256(where.unit.path.encode()).hexdigest()[:16]
            folder = os.path.join(self._home, "kernels", name)
            kept = self._kernels.setdefault(where.unit.path, Kept(folder, KERNELS))
            kept.harvest(where.scratch.triton_cache)

    def place_empty(self) -> Where:
        """A tree without any project in it. `remove` it afterwards."""
        return Where(new_scratch(self._home), None, self._home)

    def files_digest(self, besides: str) -> str:
        """Of the project's files as opened, but for the one at path `besides`."""
        assert self.project is not None
        rows = sorted((f.path, f.sha256) for f in self.project.files if f.path != besides)
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    def remove(self, where: Where) -> None:
        remove_tree(where.scratch.folder)

    async def run(
        self, job: Mapping[str, Any], where: Where, *, mode: Mode, lane: Lane, fresh: bool,
        on_progress: OnProgress,
    ) -> tuple[StageEnd, float]:  # fmt: skip
        """Runs one job; returns how it ended and the seconds it took once admitted."""
        zygote = await self.zygote_for(mode, fresh=fresh)
        async with self.held(lane, mode, on_progress):
            started = time.monotonic()
            deadline_s = min(self.limits.stage_s, float(job.get("deadline_s", "inf")))
            end = await self.start(job, where, mode, zygote, deadline_s, on_progress)
            return end, time.monotonic() - started

    async def zygote_for(self, mode: Mode, *, fresh: bool) -> Zygote | None:
        """What a stage forks from; None where it must have a process of its own. Behind strong
        walls no candidate can have touched a zygote: its child is as fresh."""
        forked = not fresh or self._shield.level == "strong"
        return await self._zygotes.get(interpret=mode == "interpret") if forked else None

    @asynccontextmanager
    async def held(self, lane: Lane, mode: Mode, on_progress: OnProgress) -> AsyncIterator[None]:
        """A place in a lane, of the device where the mode has one: for a timing once nobody else
        computes there."""
        device = self.device if mode == "device" else None

        def on_wait(text: str) -> None:
            on_progress(text, 0, 0)

        while True:
            async with self._lanes.hold(lane, device.uuid if device else None, on_wait):
                alone = lane != "gpu_timing" or device is None
                busy = None if alone else await self._strangers()
                if busy is None:
                    yield
                    return
            on_wait(f"waiting for the device, {busy}")
            await asyncio.sleep(occupants.AGAIN_S)  # tests may run meanwhile

    async def _strangers(self) -> str | None:
        return await self._occupants.busy() if self._occupants is not None else None

    async def start(
        self, job: Mapping[str, Any], where: Where, mode: Mode, zygote: Zygote | None,
        deadline_s: float, on_progress: OnProgress, on_answer: OnAnswer | None = None,
    ) -> StageEnd:  # fmt: skip
        """Runs one job, whoever may run now."""
        device = self.device if mode == "device" else None
        order = self._order(job, where, mode, device, deadline_s)
        return await self._carry_out(
            order, zygote, on_progress, interpret=mode == "interpret", on_answer=on_answer
        )

    def stop_zygotes(self) -> None:
        self._zygotes.stop()

    # ---- orders -----------------------------------------------------------------------

    async def _carry_out(
        self, order: dict[str, Any], zygote: Zygote | None, on_progress: OnProgress, *,
        interpret: bool, on_answer: OnAnswer | None = None,
    ) -> StageEnd:  # fmt: skip
        env = self._stand().process_env(interpret=interpret)
        usable = zygote if zygote is not None and zygote.usable else None
        wrap = self._shield.wrap
        return await run_stage(order, usable, env, self._package_root, on_progress, wrap, on_answer)

    def _order(
        self, job: Mapping[str, Any], where: Where, mode: Mode, device: Device | None,
        deadline_s: float,
    ) -> dict[str, Any]:  # fmt: skip
        self._n_orders += 1
        log_dir = os.path.join(self._home, "logs", str(self._n_orders))
        return self._stand().order(job, where, mode, device, log_dir=log_dir, deadline_s=deadline_s)

    def _stand(self) -> Stand:
        return Stand(
            env=self._env, limits=self.limits, walls=self._shield.walls, view=self._shield.view,
            private=self._home, arch=self.arch,
            devices=self.facts.devices if self.facts else (),
        )  # fmt: skip

    # ---- zygotes and facts ------------------------------------------------------------

    def _preloading(self, *, interpret: bool) -> Preloading:
        return Preloading(self._stand().process_env(interpret=interpret), self._shield.wrap)

    async def _probe(self, zygote: Zygote, *, interpret: bool) -> None:
        """A forked child must compute, or every stage gets a process of its own."""
        mode: Mode = "interpret" if interpret else "compile"
        end = await self._run_bare({"stage": "probe"}, mode, zygote, _PROBE_S)
        if not isinstance(end, Answered):
            zygote.give_up(
                f"a forked child could not multiply two matrices within {_PROBE_S:.0f} s"
            )

    async def _run_bare(
        self, job: dict[str, Any], mode: Mode, zygote: Zygote, deadline_s: float
    ) -> StageEnd:
        """Runs a job that needs no project, in an empty tree."""
        where = Where(new_scratch(self._home), None, self._home)
        try:
            order = self._order(job, where, mode, None, deadline_s)
            return await self._carry_out(
                order, zygote, lambda *_: None, interpret=mode == "interpret"
            )
        finally:
            self.keep_compiled(where)
            self.remove(where)

    async def _ask_facts(self) -> Facts:
        # Only a guess which zygote will be wanted; the answer comes from the child, which
        # sees the device either way.
        likely = self._wanted_device != "none" and any(map(os.path.exists, _GPU_NODES))
        zygote = await self._zygotes.get(interpret=not likely)
        job = {"stage": "query", "device": self._wanted_device}
        async with self._shield.bait() as attack:
            end, attacked = await asyncio.gather(
                self._run_bare(job, "device", zygote, _QUERY_S),
                self._run_bare(attack, "device", zygote, _QUERY_S),
            )
        lost = likely and isinstance(end, Answered) and not end.answer.get("devices")
        if not self._shield.attested(attacked) or (lost and await self._shield.hides_device()):
            self.stop_zygotes()
            return await self._ask_facts()
        if not isinstance(end, Answered):
            raise WorkspaceError(
                "internal", f"the user's Python could not be asked for its packages: {end}"
            )
        return facts_of(
            end.answer,
            wanted_device=self._wanted_device,
            isolation=self._shield.level,
            isolation_detail=self._shield.detail,
            slow_start=zygote.why_not,
        )


def checked_env(env: Mapping[str, str]) -> dict[str, str]:
    """The target's own variables. Raises `WorkspaceError` for what looks like a key."""
    for name in env:
        if environment.is_secret(name):
            raise WorkspaceError(
                "bad request",
                f"the target's env names {name}, which looks like a key, and candidates could "
                "read it; remove it from env",
            )
    return dict(env)


def _cpu_lanes() -> int:
    return max(1, min(_MAX_CPU_LANES, len(os.sched_getaffinity(0))))
