"""Which kernels differ from what git's HEAD has: those an edit of one's own can be verified of.

git is asked in a thread, once for a file and again when the answer has grown old, because
a commit tells nobody. Features read what is known and never wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from whet_agent.revisions import load_committed
from whet_agent.source.units import parse_units
from whet_server.views import KernelView

OLD_S = 5.0


@attrs.frozen
class _Answer:
    """Unit digests at HEAD by kernel; empty without git or where HEAD lacks the file."""

    digests: dict[str, str]
    at: float


class Heads:
    """`on_change` is called when a file's answer has become another one."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._known: dict[Path, _Answer] = {}
        self._asking: dict[Path, asyncio.Task[None]] = {}

    def differs(self, path: Path, kernel: KernelView) -> bool:
        """Whether HEAD has the kernel with another unit. False while nobody knows."""
        answer = self._known.get(path)
        digest = answer.digests.get(kernel.qualname) if answer else None
        return digest is not None and digest != kernel.digest

    def ask(self, path: Path) -> None:
        """Begins to look, unless the answer is fresh."""
        answer = self._known.get(path)
        if path in self._asking or (answer and time.monotonic() - answer.at < OLD_S):
            return
        task = self._asking[path] = asyncio.create_task(self._look(path), name="whet head")
        task.add_done_callback(lambda _: self._asking.pop(path, None))

    async def wait(self, path: Path, *, timeout_s: float) -> None:
        """As `ask`, and waits so long at most where nothing is known yet."""
        self.ask(path)
        if path not in self._known and path in self._asking:
            await asyncio.wait({self._asking[path]}, timeout=timeout_s)

    def close(self) -> None:
        for task in self._asking.values():
            task.cancel()

    async def _look(self, path: Path) -> None:
        digests = await asyncio.to_thread(_digests, path)
        before = self._known.get(path)
        self._known[path] = _Answer(digests, time.monotonic())
        if digests != (before.digests if before else {}):
            self._on_change()


def _digests(path: Path) -> dict[str, str]:
    text = load_committed(path)
    return {} if text is None else {one.qualname: one.digest for one in parse_units(text)}
