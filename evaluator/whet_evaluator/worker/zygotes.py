"""A worker's zygotes: started when first wanted, at most one of each kind, replaced when killed.

`compile` and `device` stages share one: what differs between them is set after the fork.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from .isolation import Wrap
from .spawn import Root, Zygote
from .workspace import Scratch

_MAX_RESTARTS = 3


@dataclass(frozen=True)
class Preloading:
    """How a process that preloads is to be started."""

    env: dict[str, str]
    wrap: Wrap


class _Preloading(Protocol):
    def __call__(self, *, interpret: bool) -> Preloading: ...


class _Probe(Protocol):
    def __call__(self, zygote: Zygote, *, interpret: bool) -> Awaitable[None]: ...


class Zygotes:
    """`home` is the worker's own folder; `how` says how to start one at that moment; `probe`
    tries a new one and gives it up if it is of no use."""

    def __init__(self, home: str, package_root: str, how: _Preloading, probe: _Probe) -> None:
        self._home = home
        self._package_root = package_root
        self._how = how
        self._probe = probe
        self._zygotes: dict[bool, asyncio.Task[Zygote]] = {}
        self._roots: dict[bool, asyncio.Task[Root]] = {}
        self._root_knows_triton = False
        self._n_restarts = 0

    async def get(self, *, interpret: bool) -> Zygote:
        """One that is ready, or has been given up."""
        return await asyncio.shield(self.want(interpret=interpret))

    def want(self, *, interpret: bool) -> asyncio.Task[Zygote]:
        """Has it started by the time it is needed."""
        known = self._zygotes.get(interpret)
        if known is not None and _died(known) and self._n_restarts < _MAX_RESTARTS:
            self._n_restarts += 1
            del self._zygotes[interpret]
        if interpret not in self._zygotes:
            self._zygotes[interpret] = asyncio.ensure_future(self._start(interpret=interpret))
        return self._zygotes[interpret]

    def stop(self) -> None:
        for task in (*self._zygotes.values(), *self._roots.values()):
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().stop()
            else:
                task.cancel()
        self._zygotes.clear()
        self._roots.clear()

    async def _start(self, *, interpret: bool) -> Zygote:
        root = await self._root(interpret=interpret)
        zygote = await root.split(interpret=interpret)
        try:
            if zygote.usable and not any(m.startswith("torch:") for m in zygote.missing):
                await self._probe(zygote, interpret=interpret)
        except asyncio.CancelledError:
            zygote.stop()
            raise
        return zygote

    async def _root(self, *, interpret: bool) -> Root:
        """What zygotes split off: one for both kinds, unless it came to know triton itself."""
        kind = interpret and self._root_knows_triton
        known = self._roots.get(kind)
        if known is None or (known.done() and known.result().gone):  # killed, so its zygotes too
            self._roots[kind] = asyncio.ensure_future(self._start_root(interpret=kind))
        root = await asyncio.shield(self._roots[kind])
        if interpret and root.knows_triton and not kind:
            self._root_knows_triton = True
            return await self._root(interpret=interpret)
        return root

    async def _start_root(self, *, interpret: bool) -> Root:
        folder = os.path.join(self._home, "zygote-interpret" if interpret else "zygote")
        how = self._how(interpret=interpret)
        private = Scratch(folder, folder).environment()
        del private["PYTHONPYCACHEPREFIX"]  # it would hide the bytecode of torch itself
        # Packages may lie in the user's home; torch's caches go elsewhere all the same.
        env = {**how.env, **private, "HOME": how.env.get("HOME", private["HOME"])}
        if not interpret:
            env.pop("TRITON_INTERPRET", None)
        os.makedirs(env["TMPDIR"], exist_ok=True)
        root = Root(self._package_root, folder, env, how.wrap)
        try:
            await root.start()
        except asyncio.CancelledError:
            root.stop()
            raise
        return root


def _died(starting: asyncio.Task[Zygote]) -> bool:
    """Whether a zygote that had started was killed since."""
    return starting.done() and not starting.cancelled() and starting.result().died
