"""Leaving with the editor: when it dies, this process and all its children go within 3 s.

End of input is the usual sign, but a process that inherited the editor's pipe end hides
it, so the client's `processId` is watched too. A client on another machine or in
another pid namespace may send an id that means nothing here; then only end of input
counts. The watch is a thread of its own: a blocked event loop must not outlive the
editor. No signal is sent to anybody whom this process did not start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_S = 0.5
TERMINATE_GRACE_S = 0.5


def watch_parent(pid: int, on_death: Callable[[], None]) -> None:
    """Calls `on_death` once, from a thread of its own, when process `pid` is gone."""
    if not is_alive(pid):
        return

    def wait() -> None:
        while is_alive(pid):
            time.sleep(POLL_S)
        on_death()

    threading.Thread(target=wait, name="parent watch", daemon=True).start()


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs; a zombie does not."""
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return _state(pid) not in {"Z", "X"}


def end_children() -> None:
    """Terminates every descendant, gives them half a second, kills what is left.

    Descendants are collected first: killing a worker would orphan what it started.
    Linux only; elsewhere children end when their pipes close.
    """
    pids = descendants(os.getpid())
    for pid in pids:
        _send(pid, signal.SIGTERM)
    deadline = time.monotonic() + TERMINATE_GRACE_S
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in {*pids, *descendants(os.getpid())}:
        _send(pid, _KILL)


def descendants(pid: int) -> tuple[int, ...]:
    """Children, their children and so on, from `/proc`; empty where there is none."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text("ascii", "replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        todo += (below := children.get(todo.pop(), []))
        found += below
    return tuple(found)


_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _is_alive_on_windows(pid: int) -> bool:
    """By waiting zero milliseconds for it: `os.kill(pid, 0)` would end it there."""
    import ctypes

    kernel32: Any = vars(ctypes)["windll"].kernel32  # which exists on Windows alone
    synchronize, wait_timeout = 0x0010_0000, 0x102
    handle = kernel32.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return bool(kernel32.WaitForSingleObject(handle, 0) == wait_timeout)
    finally:
        kernel32.CloseHandle(handle)
