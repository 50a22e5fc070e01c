"""The isolation of this worker's children: chosen, tried, attested, and said in words.

The best layers that work are taken. A child then attacks what a candidate could attack;
if it cannot live behind the walls, weaker ones are taken, and the reason is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from . import attest, layers
from .isolation import LEVELS, Isolation, Level, Wrap
from .spawn import output_of
from .stage_ends import Answered, StageEnd
from .view import EVERYTHING, View, below, host_view
from .workspace import WorkspaceError, remove_tree

_BREAKS = {
    "writes": "write files outside its scratch",
    "network": "reach the network",
    "memory": "read other processes' memory and environment",
    "signals": "signal other processes",
    "processes": "see other processes",
    "homes": "read files of the home folder",
    "neighbours": "read other candidates' scratch",
}
_ENTRIES_TRIED = 200
_FIND_DEVICE = "import torch; print(torch.cuda.is_available(), end='')"
_FIND_DEVICE_S = 60.0


class Shield:
    """`home` is this worker's own folder; `package_root` holds the shipped package."""

    def __init__(self, home: str, package_root: str) -> None:
        self.walls = Isolation()
        self.view: View = EVERYTHING
        self.level: Level = "none"
        self.detail = "not tried yet"
        self._home = home
        self._package_root = package_root
        self._env: Mapping[str, str] = {}
        self._in_sight: list[str] = []

    async def choose(self, env: Mapping[str, str], root: str) -> None:
        """Takes the best layers that work for processes with `env`. `attested` comes next."""
        self._env = env
        self._in_sight = [self._package_root]
        self.look(root)
        self.walls = await layers.working(self.view, self._home, self._package_root)

    def look(self, *paths: str) -> None:
        """Puts `paths` in sight of the children to come, read-only, but never a home."""
        new = [path for path in paths if path not in self._in_sight]
        if new or self.view is EVERYTHING:
            self._in_sight += new
            self.view = host_view(self._env, self._in_sight)

    @property
    def wrap(self) -> Wrap:
        words = layers.wrap(self.view, self._home) if self.walls.wrapped else []
        if not self.walls.namespaces:
            return Wrap(tuple(words), "shared")
        return Wrap(tuple(words), "inherited" if words else "new")

    @contextlib.asynccontextmanager
    async def bait(self) -> AsyncIterator[dict[str, Any]]:
        """The job of a child that attacks: a listener, a folder and a neighbour to find."""
        server = await asyncio.start_server(_hang_up, "127.0.0.1", 0)
        neighbour = tempfile.mkdtemp(dir=os.path.join(self._home, "scratch"))
        try:
            yield {
                "stage": "attest",
                "bait": {
                    "pid": os.getpid(),
                    "port": server.sockets[0].getsockname()[1],
                    "folder": self._home,
                    "neighbour": neighbour,
                    "entries": self._entries(),
                },
            }
        finally:
            server.close()
            remove_tree(neighbour)

    def attested(self, end: StageEnd) -> bool:
        """Takes what the attacking child found. False: weaker walls are up, attack again."""
        if not isinstance(end, Answered):
            return not self._weaken(f"a child behind it ended as {end}")
        broken, unseen = list(end.answer["broken"]), end.answer["unseen"]
        left = os.path.join(self._home, attest.LEFT)
        if os.path.exists(left):
            os.unlink(left)
            broken.insert(0, "writes")
        if unseen and self._weaken(f"it hides {unseen[0]}, which Python needs"):
            return False
        if self.view.exposed and "homes" not in broken:
            broken.append("homes")
        self.level = _level(self.walls, broken)
        self.detail = _detail(self.walls, broken, self.view)
        return True

    async def hides_device(self) -> bool:
        """After a confined child found no device: whether one that is not confined does. If so,
        weaker walls are up, and all is to be asked again.

        Drivers need more of a system than they document: CUDA finds no device where it cannot
        write its threads' names to /proc.
        """
        if not (self.walls.namespaces or self.walls.landlock):
            return False
        said = await output_of(
            [sys.executable, "-c", _FIND_DEVICE], self._env, self._home, _FIND_DEVICE_S
        )
        found = said is not None and said.endswith(b"True")
        return found and self._weaken("no device is found behind it")

    def require(self, least: Level) -> None:
        """Raises `WorkspaceError` where isolation is weaker than the user wants it."""
        if LEVELS.index(self.level) < LEVELS.index(least):
            raise WorkspaceError(
                "isolation",
                f"isolation on this host is {self.level}, and limits.isolation asks for {least}: "
                f"{self.detail}; cure that, or lower limits.isolation",
            )

    def _weaken(self, why: str) -> bool:
        walls = self.walls
        missing = (*walls.missing, f"given up: {why}")
        if walls.namespaces:
            self.walls = replace(walls, namespaces=False, wrapped=False, missing=missing)
        elif walls.landlock:
            self.walls = replace(walls, landlock=False, missing=missing)
        else:
            self.level, self.detail = "none", _detail(walls, list(_BREAKS), self.view)
            return False
        return True

    def _entries(self) -> list[str]:
        """What lies at the top of the homes and is not shown: none of it may be found."""
        found = []
        for home in self.view.homes:
            with contextlib.suppress(OSError):
                found += [os.path.join(home, name) for name in os.listdir(home)]
        kept = (*self.view.shown, *(link for link, _ in self.view.links))
        hidden = [path for path in found if not any(below(one, path) for one in kept)]
        return hidden[:_ENTRIES_TRIED]


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.close()


def _level(walls: Isolation, broken: list[str]) -> Level:
    if walls.namespaces and not broken:
        return "strong"
    return "none" if "writes" in broken else "partial"


def _detail(walls: Isolation, broken: list[str], view: View) -> str:
    """One sentence for the evidence: what holds, what does not, and why not."""
    names = [
        name
        for name, used in (
            ("bubblewrap", walls.wrapped),
            ("namespaces", walls.namespaces),
            ("Landlock", walls.landlock),
        )
        if used
    ]
    by = " by " + ", ".join(names) if names else ""
    if not broken:
        held = f"a candidate sees only its own processes, files and network{by}"
    else:
        held = f"a candidate can {', '.join(_BREAKS[what] for what in broken)}"
        held += f"; it is kept from the rest{by}" if names else ""
    return "; ".join(part for part in (held, view.exposed, *walls.missing) if part)
