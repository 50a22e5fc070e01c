"""Starts processes of the user's Python: a zygote that forks on request, or one per stage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from .isolation import NO_WRAP, WORLDS, Wrap
from .process_tree import children, descendants
from .supervise import Descriptors
from .zygote import FORK, IMPORT_LATE

_ZYGOTE_START_S = 90.0
_INIT = 1  # bubblewrap's own process, which is the parent of what it wraps
_ENTRY = (
    "import sys;sys.path.insert(0,sys.argv[1]);from {package} import zygote;"
    "zygote.{function}(*map(int,sys.argv[2:]))"
)
_spawned: set[int] = set()


class Zygote:
    """One preloaded process. `start` may find that it is of no use; then `why_not` says why."""

    def __init__(
        self, package_root: str, folder: str, env: dict[str, str], wrap: Wrap = NO_WRAP
    ) -> None:
        self._package_root = package_root
        self._wrap = wrap
        self._folder = folder
        self._env = env
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._gate = asyncio.Lock()
        self.why_not: str | None = None
        self.died = False
        """It had been of use and was killed: worth starting anew."""
        self._imported_late = False
        self.missing: list[str] = []
        self.threads = 0

    async def start(self) -> None:
        """Returns when the zygote is ready, or has been given up."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = _spawn(
                "serve", [theirs.fileno()], self._package_root, self._folder, self._env,
                self._wrap,
            )  # fmt: skip
        self._channel = ours
        try:
            report = await asyncio.wait_for(self._receive(), _ZYGOTE_START_S)
        except asyncio.TimeoutError:  # noqa: UP041 - not the built-in one before 3.11
            report = {}
        if not report.get("ready"):
            self.give_up("the preloading process did not start" + self._last_words())
            return
        self.missing, self.threads = report["missing"], report["threads"]
        if self.threads != 1:
            self.give_up(f"preloading left {self.threads} threads, and a forked child could hang")

    @property
    def usable(self) -> bool:
        return self._channel is not None and self.why_not is None

    @property
    def pid(self) -> int:
        """Of the process, or of what it is wrapped in."""
        assert self._process is not None
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it has ended, and with it, if it was wrapped, all that it had forked."""
        if self._channel is None:
            return True
        try:
            return not self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def fork(self, descriptors: Descriptors) -> bool:
        """Asks for one child, whose guardian reports on its control socket. False if the
        zygote is gone."""
        async with self._gate:
            while self._channel is not None:
                try:
                    socket.send_fds(self._channel, [FORK], descriptors.in_order())
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                except OSError:
                    self.give_up_killed()
                else:
                    return True
        return False

    def import_late(self) -> None:
        """Has it load what a child of it loaded late. Called again, or gone: nothing happens."""
        if self._channel is not None and not self._imported_late:
            self._imported_late = True
            with contextlib.suppress(OSError):
                self._channel.send(IMPORT_LATE)

    def give_up_killed(self) -> None:
        self.died = True
        self.give_up("the preloaded process was killed, perhaps because memory ran out")

    def give_up(self, reason: str) -> None:
        self.why_not = reason
        self.stop()

    def stop(self) -> None:
        """Ends the process; its guardians see their own controls, not this."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def _receive(self) -> dict[str, Any]:
        assert self._channel is not None
        data = await asyncio.get_running_loop().sock_recv(self._channel, 1 << 20)
        report: dict[str, Any] = json.loads(data) if data else {}
        return report

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), open(f"{self._folder}/stderr", "rb") as file:
            lines = file.read().decode(errors="replace").strip().splitlines()
            return f": {lines[-1]}" if lines else ""
        return ""


def spawn_stage(
    descriptors: Descriptors, package_root: str, folder: str, env: dict[str, str],
    wrap: Wrap = NO_WRAP,
) -> int:  # fmt: skip
    """One stage in a process of its own, with nothing preloaded. Returns its pid."""
    return _spawn("serve_one", descriptors.in_order(), package_root, folder, env, wrap).pid


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
