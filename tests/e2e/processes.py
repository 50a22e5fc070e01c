"""Which processes a test's editor has brought into the world, by `/proc`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def marked(mark: str) -> set[int]:
    """Processes whose environment holds `mark`, zombies apart."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
    return found


def descendants(pid: int) -> set[int]:
    """Children of `pid` and theirs, however their environment was cleaned."""
    parents: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(after_name[1]), set()).add(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        fresh = parents.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return found


def command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def commands_of(pids: Iterable[int]) -> dict[int, str]:
    return {pid: command_of(pid) for pid in pids}


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def survivors(pids: Iterable[int], *, within_s: float) -> dict[int, str]:
    """Those still alive after `within_s`, with their command lines; returns early when none is."""
    deadline = time.monotonic() + within_s
    left = [pid for pid in pids if is_alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if is_alive(pid)]
    return commands_of(left)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end(process: subprocess.Popen[bytes], *, grace_s: float = 5.0) -> None:
    """Terminate, a grace, then kill."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
