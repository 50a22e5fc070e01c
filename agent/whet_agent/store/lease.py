"""Who works on a run: one process at a time, told by host, pid and start time.

On the same host a dead holder is seen at once (its pid is gone or belongs to a process
that started later); on another host only its silence tells, after `SILENCE_S`.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import attrs

HEARTBEAT_S = 10.0
SILENCE_S = 60.0


@attrs.frozen(kw_only=True)
class Holder:
    """A process. `started` is the system's start time of the pid, empty where unknown."""

    host: str
    pid: int
    started: str


def this_process() -> Holder:
    """The holder that this process is."""
    return Holder(host=platform.node(), pid=os.getpid(), started=process_start(os.getpid()))


def is_gone(holder: Holder, heartbeat: float, now: float) -> bool:
    """Whether a lease may be taken over. Times are seconds since the epoch."""
    if holder.host == platform.node() and _can_look_up_processes():
        return not _is_alive(holder)
    return now - heartbeat > SILENCE_S


def process_start(pid: int) -> str:
    """Start time of a process in the system's own units, empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the name in parentheses and may hold anything but is last closed.
    fields = stat.rpartition(")")[2].split()
    state, start = fields[0], fields[19]
    return "" if state in ("Z", "X") else start


def _can_look_up_processes() -> bool:
    """Signal 0 asks on POSIX; on Windows it would end the process."""
    return sys.platform != "win32"


def _is_alive(holder: Holder) -> bool:
    if sys.platform.startswith("linux"):
        return process_start(holder.pid) == holder.started != ""
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
