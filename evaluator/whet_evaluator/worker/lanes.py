"""Who may run now: `cpu` (N at once), `gpu` (K), `gpu_timing` (alone on its device).

The admission rule is pure (`admissible`); `Lanes` adds waiting. Workers of other users
and editors are kept apart by a lock file per device: correctness stages share it, timing
holds it alone, and a gate file lets a waiting timing stage drain the others first.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import platform
import re
import stat
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal

Lane = Literal["cpu", "gpu", "gpu_timing"]
_POLL_S = 0.1
LOCK_FOLDER = "/tmp/whet-locks"


def admissible(
    waiting: Sequence[Lane], running: Mapping[Lane, int], capacity: Mapping[Lane, int]
) -> list[int]:
    """Indices of `waiting`, first come first served per lane, that may start now.

    Timing starts when no `gpu` and no other timing runs, and while one waits no `gpu`
    behind it starts. `cpu` is independent of both.
    """
    now = Counter(running)
    started: list[int] = []
    timing_waits = False
    for index, lane in enumerate(waiting):
        if lane == "cpu":
            free = now["cpu"] < capacity["cpu"]
        elif lane == "gpu":
            free = not timing_waits and not now["gpu_timing"] and now["gpu"] < capacity["gpu"]
        else:
            free = not timing_waits and not now["gpu"] and not now["gpu_timing"]
            timing_waits = timing_waits or not free
        if free:
            now[lane] += 1
            started.append(index)
    return started


class Lanes:
    """Hands out places in lanes, in order of asking."""

    def __init__(self, capacity: Mapping[Lane, int], lock_folder: str = LOCK_FOLDER) -> None:
        self._capacity = capacity
        self._running: Counter[Lane] = Counter()
        self._waiting: list[tuple[Lane, asyncio.Future[None]]] = []
        self._lock_folder = lock_folder

    @contextlib.asynccontextmanager
    async def hold(
        self, lane: Lane, device: str | None, on_wait: Callable[[str], None]
    ) -> AsyncIterator[None]:
        """Holds a place while the block runs. `on_wait` hears, once, who is waited for."""
        await self._admission(lane)
        try:
            if lane == "cpu" or device is None:
                yield
            else:
                async with self._device(device, exclusive=lane == "gpu_timing", on_wait=on_wait):
                    yield
        finally:
            self._running[lane] -= 1
            self._admit()

    async def _admission(self, lane: Lane) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lane, place))
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if (lane, place) in self._waiting:
                self._waiting.remove((lane, place))
            else:  # admitted in the same turn as cancelled
                self._running[lane] -= 1
            self._admit()
            raise

    def _admit(self) -> None:
        starting = admissible([lane for lane, _ in self._waiting], self._running, self._capacity)
        chosen = [self._waiting[index] for index in starting]
        for lane, place in chosen:
            self._waiting.remove((lane, place))
            self._running[lane] += 1
            if not place.done():
                place.set_result(None)

    @contextlib.asynccontextmanager
    async def _device(
        self, uuid: str, *, exclusive: bool, on_wait: Callable[[str], None]
    ) -> AsyncIterator[None]:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", uuid)
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        gate = self._open(f"{name}.gate")
        try:
            held_by = os.path.join(self._lock_folder, f"{name}.lock")
            await _lock(gate, how, lambda: on_wait(_waiting_for(held_by)))
            held = self._open(f"{name}.lock")
            try:
                await _lock(held, how, lambda: on_wait(_waiting_for(held_by)))
                _sign(held, "timing" if exclusive else "testing")
                if not exclusive:
                    fcntl.flock(gate, fcntl.LOCK_UN)  # the gate only stops newcomers
                yield
            finally:
                os.close(held)
        finally:
            os.close(gate)

    def _open(self, name: str) -> int:
        """Opens a lock file that every user may lock; closing it releases the lock."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._lock_folder)
            os.chmod(self._lock_folder, 0o1777)
        path = os.path.join(self._lock_folder, name)
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            # Without O_CREAT first: in a sticky folder the kernel refuses it on others' files.
            handle = os.open(path, flags)
        except FileNotFoundError:
            handle = os.open(path, flags | os.O_CREAT, 0o666)
            with contextlib.suppress(PermissionError):
                os.fchmod(handle, 0o666)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(f"{path} is not a regular file")
        return handle


def _sign(handle: int, what: str) -> None:
    """Leaves word in the lock file of who holds it. Several may test at once: the last signs."""
    name = f"process {os.getpid()} of user {os.getuid()} on {platform.node()}, {what}"
    text = f"{name} since {time.strftime('%H:%M:%S')}".encode()
    os.ftruncate(handle, 0)
    os.pwrite(handle, text, 0)


def _waiting_for(path: str) -> str:
    """One sentence on who holds the device, as far as they have signed."""
    try:
        with open(path, "rb") as file:
            signed = file.read(200).decode(errors="replace")
    except OSError:
        signed = ""
    who = "".join(c for c in signed if c.isprintable())
    return "waiting for the device: another worker is using it" + (f" ({who})" if who else "")


async def _lock(handle: int, how: int, on_wait: Callable[[], None]) -> None:
    told = False
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                on_wait()
                told = True
            await asyncio.sleep(_POLL_S)
        else:
            return
