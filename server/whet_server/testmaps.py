"""The static map from kernels to tests, read in a thread when a hover first asks for it.

One map for each project root answers all its kernels, one question at a time; a saved
file makes all maps old.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whet_agent.source.testmap import TestMap


class TestMaps:
    """Answers are kept by path and kernel until `forget`."""

    __test__ = False

    def __init__(self) -> None:
        self._maps: dict[Path, TestMap] = {}
        self._found: dict[tuple[Path, str], asyncio.Task[tuple[str, ...]]] = {}
        self._one_at_a_time = asyncio.Lock()

    def known(self, path: Path, kernel: str) -> tuple[str, ...] | None:
        """None while nobody knows."""
        task = self._found.get((path, kernel))
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result()

    async def find(
        self, root: Path, path: Path, kernel: str, texts: dict[Path, str], *, timeout_s: float
    ) -> None:
        """Begins to look, if nobody has, and waits so long at most. `texts` are the open buffers."""
        key = (path, kernel)
        if key not in self._found:
            self._found[key] = asyncio.create_task(self._look(root, path, kernel, texts))
        await asyncio.wait({self._found[key]}, timeout=timeout_s)

    def forget(self) -> None:
        self._maps = {}
        self._found = {}

    async def _look(
        self, root: Path, path: Path, kernel: str, texts: dict[Path, str]
    ) -> tuple[str, ...]:
        async with self._one_at_a_time:
            found = self._maps.get(root)
            if found is None:
                found = self._maps[root] = await asyncio.to_thread(_read, root, path, texts)
            return await asyncio.to_thread(found.tests, path, kernel)


def _read(root: Path, path: Path, texts: dict[Path, str]) -> TestMap:
    from whet_agent.source.codebase import Codebase
    from whet_agent.source.testmap import TestMap

    return TestMap(Codebase(root, files=[path], overlay=texts))
