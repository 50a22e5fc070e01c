"""Starts processes of the user's Python: zygotes that fork on request, or one per stage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from .isolation import NO_WRAP, WORLDS, Wrap
from .process_tree import children, descendants
from .supervise import Descriptors
from .zygote import FORK, IMPORT_LATE, SPLIT_COMPILE, SPLIT_INTERPRET

_PRELOAD_S = 90.0
_POLL_S = 0.01
_INIT = 1  # bubblewrap's own process, which is the parent of what it wraps
_ENTRY = (
    "import sys;sys.path.insert(0,sys.argv[1]);from {package} import zygote;"
    "zygote.{function}(*map(int,sys.argv[2:]))"
)
_MARK = b"import zygote;"
_spawned: set[int] = set()


class _Preloading:
    """A process that preloads and then takes requests on a channel. `why_not`: it is of no use."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self.why_not: str | None = None
        self.died = False
        """It had been of use and was killed: worth starting anew."""
        self.missing: list[str] = []
        self.threads = 0

    @property
    def usable(self) -> bool:
        return self._channel is not None and self.why_not is None

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        if self._channel is None:
            return True
        try:
            return not self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def give_up_killed(self) -> None:
        self.died = True
        self.give_up("the preloaded process was killed, perhaps because memory ran out")

    def give_up(self, reason: str) -> None:
        self.why_not = reason
        self.stop()

    def stop(self) -> None:
        """The process sees the end of its channel and ends."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def ready(self) -> dict[str, Any]:
        """What it says when it has preloaded; empty if it does not get so far."""
        assert self._channel is not None
        receiving = asyncio.get_running_loop().sock_recv(self._channel, 1 << 20)
        try:
            data = await asyncio.wait_for(receiving, _PRELOAD_S)
        except asyncio.TimeoutError:  # noqa: UP041 - not the built-in one before 3.11
            data = b""
        report: dict[str, Any] = json.loads(data) if data else {}
        self.missing, self.threads = report.get("missing", []), report.get("threads", 0)
        if report and self.threads != 1:
            self.give_up(f"preloading left {self.threads} threads, and a forked child could hang")
        return report

    async def _request(self, request: bytes, descriptors: list[int]) -> bool:
        """False if the process is gone."""
        while self._channel is not None:
            try:
                socket.send_fds(self._channel, [request], descriptors)
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError:
                self.give_up_killed()
            else:
                return True
        return False


class Root(_Preloading):
    """The one process that imports torch; zygotes for either kind of triton split off it."""

    def __init__(
        self, package_root: str, folder: str, env: dict[str, str], wrap: Wrap = NO_WRAP
    ) -> None:
        super().__init__()
        self._package_root = package_root
        self._wrap = wrap
        self._folder = folder
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self.knows_triton = False
        """It imported triton, which froze what its zygotes can be: they must be of one kind."""

    @property
    def pid(self) -> int:
        """Of the process, or of what it is wrapped in."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when it has preloaded, or has been given up."""
        self._channel, theirs = _channel()
        with theirs:
            self._process = _spawn(
                "serve", [theirs.fileno()], self._package_root, self._folder, self._env,
                self._wrap,
            )  # fmt: skip
        report = await self.ready()
        if not report:
            self.give_up("the preloading process did not start" + self._last_words())
            return
        self.knows_triton = report["knows_triton"]

    async def split(self, *, interpret: bool) -> Zygote:
        """A zygote that is ready, or has been given up."""
        ours, theirs = _channel()
        zygote = Zygote(self, ours)
        with theirs:
            asked = self.usable and await self._request(
                SPLIT_INTERPRET if interpret else SPLIT_COMPILE, [theirs.fileno()]
            )
        if not asked:
            zygote.give_up(self.why_not or "the preloading process is gone")
        elif not await zygote.ready() and zygote.usable:
            zygote.give_up("the preloaded process did not split" + self._last_words())
        zygote.missing += self.missing
        return zygote

    def stop(self) -> None:
        """Ends the process and with it its zygotes; guardians see their own controls."""
        super().stop()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), open(f"{self._folder}/stderr", "rb") as file:
            lines = file.read().decode(errors="replace").strip().splitlines()
            return f": {lines[-1]}" if lines else ""
        return ""


class Zygote(_Preloading):
    """A preloaded process that forks a guardian with its child for each stage."""

    def __init__(self, root: Root, channel: socket.socket) -> None:
        super().__init__()
        self._channel = channel
        self._root = root
        self._gate = asyncio.Lock()
        self._imported_late = False

    @property
    def ancestor(self) -> int:
        """Of all that it forks: a process that this one started itself."""
        return self._root.pid

    async def fork(self, descriptors: Descriptors) -> bool:
        """Asks for one child, whose guardian reports on its control socket. False if the
        zygote is gone."""
        async with self._gate:
            return await self._request(FORK, descriptors.in_order())

    def import_late(self) -> None:
        """Has it load what a child of it loaded late. Called again, or gone: nothing happens."""
        if self._channel is not None and not self._imported_late:
            self._imported_late = True
            with contextlib.suppress(OSError):
                self._channel.send(IMPORT_LATE)


def _channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def spawn_stage(
    descriptors: Descriptors, package_root: str, folder: str, env: dict[str, str],
    wrap: Wrap = NO_WRAP,
) -> int:  # fmt: skip
    """One stage in a process of its own, with nothing preloaded. Returns its pid."""
    return _spawn("serve_one", descriptors.in_order(), package_root, folder, env, wrap).pid


async def output_of(
    argv: Sequence[str], env: Mapping[str, str], folder: str, limit_s: float
) -> bytes | None:
    """What a program wrote; None if it cannot be started, or does not end within `limit_s` seconds.
    Its status is no answer, since the worker collects every child's itself; and one that is killed
    is not waited for: what asks a driver may outlive SIGKILL."""
    with tempfile.TemporaryFile(dir=folder) as said:
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for without blocking
                argv, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError:
            return None
        _spawned.add(process.pid)
        try:
            for _ in range(round(limit_s / _POLL_S)):
                if process.poll() is not None:
                    _spawned.discard(process.pid)
                    said.seek(0)
                    return said.read()
                await asyncio.sleep(_POLL_S)
        finally:
            process.kill()
        return None


def is_stage(pid: int) -> bool:
    """Whether a process is a stage's, or a zygote, of this worker or another: they take turns on a
    device by its lock. Says so of nobody whose command line cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return _MARK in file.read(4096)
    except OSError:
        return False


def kill_strays() -> None:
    """Ends orphans this process adopted: what a murdered guardian leaves."""
    for pid in children(os.getpid()):
        if pid not in _spawned:
            for stray in (*descendants(pid), pid):
                with contextlib.suppress(OSError):
                    os.kill(stray, signal.SIGKILL)


def _spawn(
    function: str, descriptors: list[int], package_root: str, folder: str, env: dict[str, str],
    wrap: Wrap,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Runs a function of `zygote` in a new process of the user's Python, without `-I`."""
    os.makedirs(folder, exist_ok=True)
    neutral = os.path.join(folder, "empty")
    os.makedirs(neutral, exist_ok=True)
    entry = _ENTRY.format(package=__package__, function=function)
    parent = _INIT if wrap.words else os.getpid()
    numbers = [parent, WORLDS.index(wrap.world), *descriptors]
    with open(f"{folder}/stdout", "ab") as out, open(f"{folder}/stderr", "ab") as err:
        process = subprocess.Popen(
            [*wrap.words, sys.executable, "-c", entry, package_root, *map(str, numbers)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=neutral, env=env,
            pass_fds=descriptors, start_new_session=True,
        )  # fmt: skip
    _spawned.add(process.pid)
    return process
