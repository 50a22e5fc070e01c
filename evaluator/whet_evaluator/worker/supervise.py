"""The guardian: one process per stage that watches the child and leaves nothing behind.

It sits between the zygote and the child as a *subreaper*, so whatever the child starts,
daemons included, stays in the tree below it and is found by walking that tree. It polls
deadline, memory, disk and output; it ends the tree by SIGTERM, a grace, SIGKILL. Its
control socket reaching its end (the worker died or cancelled) is the order to do so now.

The last line it sends says how the child ended:
`{"ended": "exit" | "timeout" | "exceeded" | "cancelled", "status": int | null, "what": str}`
with `wedged: true` when something outlived SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from . import isolation, namespaces
from .process_tree import descendants, private_bytes

_POLL_S = 0.25
_LEAVING_S = 5.0
_GRACE_S = 1.0
WEDGED_S = 30.0
"""How long after SIGKILL a process may still be there before its device counts as wedged.

Five seconds were too few: of two runs of `tests/gpu/try_isolation.py` on an H200 host one ended as
wedged, and the device was sound. Which candidate's process it was is not known; of the seven the
fork bomb leaves the most to be torn down."""


@dataclass
class Descriptors:
    """What a stage is given: its order, and where control, result and output go."""

    order: int
    control: int
    result: int
    stdout: int
    stderr: int

    def in_order(self) -> list[int]:
        """As the constructor takes them."""
        return [self.order, self.control, self.result, self.stdout, self.stderr]


def guard(
    descriptors: Descriptors, run_child: Callable[[dict[str, Any], Descriptors], None]
) -> NoReturn:
    """Runs `run_child` in a fork of this process and watches it to the end. Never returns."""
    with contextlib.suppress(PermissionError):  # a fresh process leads its session already
        os.setsid()
    isolation.become_subreaper()
    order = _read_order(descriptors.order)
    me = os.getpid()
    outside = int(os.readlink("/proc/self"))
    if order["isolation"]["namespaces"]:
        namespaces.see_own_processes()
    child = os.fork()
    if child == 0:
        try:
            isolation.die_with_parent(me)
            os.close(descriptors.control)
            run_child(order, descriptors)
        finally:
            os._exit(70)
    control = socket.socket(fileno=descriptors.control)
    control.setblocking(True)
    _say(control, {"guardian": outside})
    watch = _Watch(order, child, descriptors.stdout, descriptors.stderr)
    os.close(descriptors.result)
    ended = _watch_to_the_end(watch, control)
    ended["wedged"] = not _end_tree(
        graceful=ended["ended"] not in ("exit", "exceeded"),
        all_in_sight=order["isolation"]["namespaces"] and me == 1,
    )
    _say(control, ended)
    os._exit(0)


def end_descendants() -> None:
    """Kills everything below this process. Whoever waits for its end does not wait for long."""
    _end_tree(graceful=False, patience_s=_LEAVING_S)


@dataclass
class _Watch:
    order: dict[str, Any]
    child: int
    stdout: int
    stderr: int
    started: float = field(default_factory=time.monotonic)
    disk_base: int = 0
    disk_due: float = 0.0

    def __post_init__(self) -> None:
        self.disk_base = _disk_bytes(self.order["scratch_dir"])

    def deadline_passed(self) -> bool:
        return time.monotonic() - self.started > float(self.order["deadline_s"])

    def exceeded(self) -> str | None:
        """The limit that was passed, with both figures, or None."""
        limits = self.order["limits"]
        output = max(os.fstat(self.stdout).st_size, os.fstat(self.stderr).st_size)
        for what, used, limit in (
            ("output", output, limits["output_bytes"]),
            ("memory", self._memory(), limits["memory_bytes"]),
            ("disk", self._disk(), limits["disk_bytes"]),
        ):
            if used > limit:
                return f"{what}: {_mib(used)} MiB used, {_mib(limit)} MiB allowed"
        alive = len(descendants(os.getpid()))
        if alive > limits["processes"]:
            return f"processes: {alive} running, {limits['processes']} allowed"
        return None

    def _memory(self) -> int:
        return sum(private_bytes(pid) for pid in descendants(os.getpid()))

    def _disk(self) -> int:
        # Walking a large tree is not free: spend at most a tenth of the time on it.
        now = time.monotonic()
        if now < self.disk_due:
            return 0
        used = _disk_bytes(self.order["scratch_dir"]) - self.disk_base
        self.disk_due = time.monotonic() + 10 * (time.monotonic() - now)
        return used


def _watch_to_the_end(watch: _Watch, control: socket.socket) -> dict[str, Any]:
    poller = select.poll()
    poller.register(control, select.POLLIN | select.POLLHUP)
    exited = _exit_descriptor(watch.child)
    if exited is not None:
        poller.register(exited, select.POLLIN)
    interval_ms = int(1000 * (_POLL_S if exited is not None else 0.02))
    while True:
        events = poller.poll(interval_ms)
        status = _reap(watch.child)
        if status is not None:
            # What was written in the last quarter second counts too, however the child ended:
            # a verdict must not hang on when the watch happened to look.
            what = watch.exceeded()
            return {"ended": "exceeded" if what else "exit", "status": status, "what": what or ""}
        if any(descriptor == control.fileno() for descriptor, _ in events):
            return {"ended": "cancelled", "status": None, "what": ""}
        if watch.deadline_passed():
            return {"ended": "timeout", "status": None, "what": ""}
        what = watch.exceeded()
        if what is not None:
            return {"ended": "exceeded", "status": None, "what": what}


def _end_tree(*, graceful: bool, all_in_sight: bool = False, patience_s: float = WEDGED_S) -> bool:
    """Ends everything below this process. False if something outlives SIGKILL.
    `all_in_sight`: this is the first process of a pid namespace, which holds just its tree.
    """
    if graceful:
        for pid in descendants(os.getpid()):
            _signal(pid, signal.SIGTERM)
        _wait_until_alone(time.monotonic() + _GRACE_S)
    deadline = time.monotonic() + patience_s
    while True:
        if all_in_sight:
            _signal(-1, signal.SIGKILL)  # all but process 1, which is us: no fork gets away
        for pid in descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)
        if _wait_until_alone(min(deadline, time.monotonic() + 0.2)):
            return True
        if time.monotonic() > deadline:
            return False


def _wait_until_alone(deadline: float) -> bool:
    while True:
        _reap(0)
        if not descendants(os.getpid()):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)


def _reap(child: int) -> int | None:
    """Collects every dead child of ours; returns the exit status of `child` if it is one."""
    status = None
    while True:
        try:
            pid, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = os.waitstatus_to_exitcode(how)


def _exit_descriptor(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:  # before Linux 5.3
        return None


def _read_order(descriptor: int) -> dict[str, Any]:
    size = os.fstat(descriptor).st_size
    order: dict[str, Any] = json.loads(os.pread(descriptor, size, 0))
    return order


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the worker is gone: the tree still has to end
        control.sendall(json.dumps(message).encode() + b"\n")


def _disk_bytes(folder: str) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _mib(n_bytes: int) -> int:
    return -(-n_bytes // (1 << 20))
